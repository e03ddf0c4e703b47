# SPDX-License-Identifier: Apache-2.0
"""The options of one back end as one value, checked.

The last place that sees oslo.config.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import socket
from typing import Any

from oslo_config import cfg

from cinder_nec import errors
from cinder_nec.model import LdSetName

LOG = logging.getLogger(__name__)

SHARED_GROUP = 'backend_defaults'
_DEFAULT_PORTALS_PER_CONTROLLER = 1
_COPY_SECONDS_PER_UNIT = 24
_NAME_FORMAT = re.compile(r'([A-Z][A-Z0-9]):%s')
# A label that is not longer than the array's 24 characters.
_CONTROL_VOLUME_FORMAT = re.compile(
    r'[A-Z][A-Z0-9]:(?=.{2,22}\Z)[A-Za-z0-9_/.][A-Za-z0-9_/.-]*%x'
    r'[A-Za-z0-9_/.-]*')
_LD_SET = re.compile(r'([A-Z][A-Z0-9]):([A-Za-z0-9_/.][A-Za-z0-9_/.-]*)')
_NOT_IN_FILE_NAMES = re.compile(r'[^A-Za-z0-9_.@-]')
WITHOUT_EFFECT = {
    'nec_ismview_dir': 'no configuration is written to files any more',
}


@dataclasses.dataclass(frozen=True)
class BackendConfig:
    """One back end's section of ``cinder.conf`` (manual chapter 6).

    Options that are not set and have no default are None.

    :param service: ``host`` of the service, ``node@group``
    :param stats_fresh_seconds: how old a dump may be that serves the stats
    """

    group: str
    backend_name: str
    address: str
    port: int
    user: str
    password: str | None = dataclasses.field(repr=False)
    private_key_file: str | None
    known_hosts_file: str
    trust_on_first_use: bool
    connect_timeout_seconds: float
    max_sessions: int
    legacy_view: bool | None
    pools: tuple[int, ...]
    backup_pools: tuple[int, ...]
    platform: str
    backup_platform: str
    control_volume_format: str
    ld_set: LdSetName | None
    controller_ld_set: LdSetName | None
    controller_hosts: frozenset[str]
    automatic_access_control: bool
    portals_per_controller: int
    max_ld_count: int | None
    actual_capacity: bool
    report_pools: bool
    clone_waits: bool
    copy_within_seconds: float
    disk_array_name: str
    service: str
    metrics_file: str | None
    journal_directory: str | None = None
    stats_fresh_seconds: float = 20.0


class _Section:
    """Reads the options of a back end, its errors in plain words."""

    def __init__(self, configuration: Any, driver_name: str,
                 conf: cfg.ConfigOpts) -> None:
        self._configuration = configuration
        self._driver_name = driver_name
        self._conf = conf
        self.group: str = configuration.config_group

    def get(self, option: str) -> Any:
        """:raises errors.ConfigError: the value is of the wrong kind"""
        try:
            return getattr(self._configuration, option)
        except (ValueError, cfg.Error) as error:
            reason = str(error).rpartition('is not valid: ')[2]
            raise errors.ConfigError(
                option, f'{self._driver_name}: [{self.group}] {option} '
                f'cannot be used: {reason}.',
                f'Correct {option} in cinder.conf.') from None

    def under_state_path(self, path: str) -> str:
        """Return a path as it is, or below state_path if relative."""
        if 'state_path' not in self._conf:
            return path
        return os.path.join(self._conf.state_path, path)

    def is_set(self, option: str) -> bool:
        """Tell whether the operator wrote the option down."""
        for group in (self.group, SHARED_GROUP):
            try:
                found = self._conf.get_location(option, group)
            except cfg.NoSuchOptError:
                continue
            except (ValueError, cfg.Error):
                return True  # with a wrong value, which get() tells
            if found is not None and (
                    found.location.is_user_controlled
                    or found.location is cfg.Locations.set_override):
                return True
        return False

    def required(self, option: str) -> Any:
        value = self.get(option)
        if not value:
            raise errors.ConfigError(
                option, f'{self._driver_name}: {option} is not set.',
                f'Set {option} in section [{self.group}] of cinder.conf.',
                missing=True)
        return value

    def wrong(self, option: str, hint: str) -> errors.ConfigError:
        return errors.ConfigError(
            option, f'{self._driver_name}: [{self.group}] {option} = '
            f'{str(self.get(option))[:80]!r} cannot be used.', hint)

    def pools(self, option: str) -> tuple[int, ...]:
        """Read pool numbers, decimal or hexadecimal with ``h``."""
        numbers = []
        for text in self.get(option) or ():
            text = text.strip()
            try:
                numbers.append(int(text[:-1], 16)
                               if text[-1:] in ('h', 'H') else int(text))
            except ValueError:
                raise self.wrong(
                    option, 'Give pool numbers, decimal or hexadecimal '
                    'with an h behind, such as 0,1,0ah.') from None
        if any(number < 0 for number in numbers):
            raise self.wrong(option, 'Pool numbers start at 0.')
        return tuple(dict.fromkeys(numbers))

    def platform(self, option: str) -> str:
        found = _NAME_FORMAT.fullmatch(self.get(option) or '')
        if found is None:
            raise self.wrong(option, 'Leave it out, or use LX:%s.')
        return found.group(1)

    def control_volume_format(self, option: str) -> str:
        text: str = self.get(option) or ''
        if _CONTROL_VOLUME_FORMAT.fullmatch(text) is None:
            raise self.wrong(option, 'Leave it out, or use '
                             'LX:__ControlVolume_%xh.')
        return text

    def ld_set(self, option: str) -> LdSetName | None:
        text = self.get(option)
        if not text:
            return None
        found = _LD_SET.fullmatch(text)
        if found is None:
            raise self.wrong(option, 'Give the OS type and the name, such '
                             'as LX:Server1.')
        return LdSetName(found.group(1), found.group(2))


def load(configuration: Any, driver_name: str, host: str,
         conf: cfg.ConfigOpts = cfg.CONF) -> BackendConfig:
    """Read and check the options of one back end.

    :param configuration: Cinder's configuration of the back end, with
        :data:`cinder_nec.opts.nec_opts` appended
    :param host: the ``host`` of the service, ``node@group``
    :param conf: what ``configuration`` was read from
    :raises errors.ConfigError: an option is missing or wrong
    """
    section = _Section(configuration, driver_name, conf)
    password = section.get('nec_ismcli_password') or None
    key_file = section.get('nec_ismcli_privkey') or None
    address = section.required('nec_ismcli_fip')
    user = section.required('nec_ismcli_user')
    if password is None and key_file is None:
        raise errors.ConfigError(
            'nec_ismcli_password',
            f'{driver_name}: nec_ismcli_password or nec_ismcli_privkey '
            'must be set.', f'Set one of them in section [{section.group}] '
            'of cinder.conf.', missing=True)
    legacy = section.get('nec_queryconfig_view')
    optimized = section.get('nec_ismview_alloptimize')
    _warn_without_effect(section)
    return BackendConfig(
        group=section.group,
        backend_name=section.get('volume_backend_name') or driver_name,
        address=address, port=section.get('nec_ssh_pool_port_number'),
        user=user, password=password, private_key_file=key_file,
        known_hosts_file=conf.ssh_hosts_key_file,
        trust_on_first_use=_trusts_on_first_use(conf),
        connect_timeout_seconds=float(section.get('ssh_conn_timeout')),
        max_sessions=max(1, section.get('ssh_max_pool_conn')),
        legacy_view=optimized if legacy else None,
        pools=section.pools('nec_pools'),
        backup_pools=section.pools('nec_backup_pools'),
        platform=section.platform('nec_ldname_format'),
        backup_platform=section.platform('nec_backup_ldname_format'),
        control_volume_format=section.control_volume_format(
            'nec_cv_ldname_format'),
        ld_set=section.ld_set('nec_ldset'),
        controller_ld_set=section.ld_set('nec_ldset_for_controller_node'),
        controller_hosts=frozenset(
            {socket.gethostname(), socket.getfqdn(), host.split('@')[0]}),
        automatic_access_control=section.get('nec_auto_accesscontrol'),
        portals_per_controller=_portals_per_controller(section),
        max_ld_count=_max_ld_count(section),
        actual_capacity=section.get('nec_actual_free_capacity'),
        report_pools=section.get('nec_report_pools'),
        clone_waits=section.get('nec_clone_wait_for_copy'),
        copy_within_seconds=float(
            section.get('nec_unpairthread_timeout')
            * _COPY_SECONDS_PER_UNIT),
        disk_array_name=section.get('nec_diskarray_name') or '',
        service=host or section.group,
        metrics_file=_metrics_file(section, host or section.group),
        stats_fresh_seconds=_stats_fresh_seconds(conf),
        journal_directory=_journal_directory(host))


def _stats_fresh_seconds(conf: cfg.ConfigOpts) -> float:
    """Return how old a dump may be that serves the stats.

    Cinder asks for them periodically, and after each delete: a part of the
    period, so that the array is read once in it.
    """
    if 'backend_stats_polling_interval' not in conf:
        # Cinder's volume manager has it; a command collects no stats.
        return BackendConfig.stats_fresh_seconds
    return float(conf.backend_stats_polling_interval) / 3


def _journal_directory(host: str) -> str | None:
    """Return where this service writes down what it has begun.

    Cinder names a service by its ``host``, so no two have the same.
    """
    state_path = cfg.CONF.state_path if 'state_path' in cfg.CONF else ''
    if not state_path or not host:
        return None
    return os.path.join(state_path, 'nec-journal',
                        _NOT_IN_FILE_NAMES.sub('_', host))


def _trusts_on_first_use(conf: cfg.ConfigOpts) -> bool:
    """Unknown host keys are refused unless the operator wrote otherwise.

    Cinder's default of ``strict_ssh_host_key_policy`` is False; only a
    False in ``cinder.conf`` is taken for a wish.
    """
    found = conf.get_location('strict_ssh_host_key_policy')
    written = found is not None and (
        found.location.is_user_controlled
        or found.location is cfg.Locations.set_override)
    return written and not conf.strict_ssh_host_key_policy


def _portals_per_controller(section: _Section) -> int:
    """The manual's default is 1, the in-tree driver's option has 0."""
    option = 'nec_iscsi_portals_per_cont'
    if not section.is_set(option):
        return _DEFAULT_PORTALS_PER_CONTROLLER
    value: int = section.get(option)
    if value < 0:
        raise section.wrong(option, 'Give 1 or more, or 0 for all.')
    return value


def _max_ld_count(section: _Section) -> int | None:
    """Not set: only the array's own limit counts (manual 6.1.2)."""
    option = 'nec_backend_max_ld_count'
    return section.get(option) if section.is_set(option) else None


def _metrics_file(section: _Section, service: str) -> str | None:
    """Each back end has a file: a directory can be set for all of them.

    What does not end in ``.prom`` is passed by by node_exporter.
    """
    directory = section.get('nec_metrics_dir')
    if not directory:
        return None
    return metrics_path(section.under_state_path(directory), service)


def metrics_path(directory: str, service: str) -> str:
    """Return the file of a back end's figures."""
    name = _NOT_IN_FILE_NAMES.sub('_', service)
    return os.path.join(directory, f'cinder-nec-{name}.prom')


def _warn_without_effect(section: _Section) -> None:
    for option, reason in WITHOUT_EFFECT.items():
        if section.is_set(option):
            LOG.warning('[%s] %s has no effect: %s. It can be removed '
                        'from cinder.conf.', section.group, option, reason)
