# SPDX-License-Identifier: Apache-2.0
"""What ``cinder.conf`` says of the back ends, read without Cinder.

Only oslo.config is needed, with the few of Cinder's options that the driver
reads.  A section whose options are wrong is kept beside the others, with
what is wrong: one back end must not hide the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import getpass
import os
import socket
from typing import Any

from oslo_config import cfg

from cinder_nec import config, errors, opts
from cinder_nec.assembly import Method
from cinder_nec.cli.status import NotRun
from cinder_nec.config import SHARED_GROUP, BackendConfig
from cinder_nec.model import Protocol

PROJECT, SERVICE = 'cinder', 'cinder-volume'
# Where oslo.config looks when no file is named.
PLACES = '~/.cinder, ~, /etc/cinder and /etc'

# Cinder's own, with Cinder's defaults.
_DEFAULT_OPTIONS = [
    cfg.ListOpt('enabled_backends'),
    cfg.StrOpt('state_path', default='/var/lib/cinder'),
    cfg.StrOpt('host', default=socket.gethostname()),
    cfg.StrOpt('ssh_hosts_key_file', default='$state_path/ssh_known_hosts'),
    cfg.BoolOpt('strict_ssh_host_key_policy', default=False),
]
_BACKEND_OPTIONS = [
    cfg.StrOpt('volume_driver'),
    cfg.StrOpt('volume_backend_name'),
    cfg.IntOpt('ssh_conn_timeout', default=30),
    cfg.IntOpt('ssh_max_pool_conn', default=5, min=1),
    *opts.nec_opts,
]


@dataclasses.dataclass(frozen=True)
class DriverClass:
    """One of the driver classes that ``volume_driver`` may name."""

    name: str
    protocol: Protocol
    method: Method

    @property
    def path(self) -> str:
        return f'{OUR_MODULE}.{self.name}'


OUR_MODULE = 'cinder_nec.volume'
# The driver of the Cinder tree; `cinder-nec in-tree` puts ours there.
IN_TREE_MODULE = 'cinder.volume.drivers.nec.volume'
_PACKAGES = ('cinder_nec.', 'cinder.volume.drivers.nec.')
CLASSES = {c.name: c for c in (
    DriverClass('MStorageISCSIDriver', Protocol.ISCSI, Method.SNAPSHOT),
    DriverClass('MStorageFCDriver', Protocol.FC, Method.SNAPSHOT),
    DriverClass('MStorageDDRISCSIDriver', Protocol.ISCSI,
                Method.REPLICATION),
    DriverClass('MStorageDDRFCDriver', Protocol.FC, Method.REPLICATION),
)}


@dataclasses.dataclass(frozen=True)
class Entry:
    """One back end as ``cinder.conf`` has it.

    Either ``config`` or ``error`` is there.

    :param driver: None if ``volume_driver`` is none of ours
    :param driver_path: what ``volume_driver`` says
    :param enabled: whether ``enabled_backends`` names it
    :param written: names of the options that stand in its section, with
        those of ``[backend_defaults]``; never their values
    """

    group: str
    driver: DriverClass | None
    driver_path: str
    enabled: bool
    config: BackendConfig | None = None
    error: errors.ConfigError | None = None
    written: frozenset[str] = frozenset()

    @property
    def is_meant(self) -> bool:
        """Tell whether this driver is meant, be its class misspelt."""
        return self.driver_path.startswith(_PACKAGES)

    @property
    def in_tree(self) -> bool:
        return self.driver_path.startswith(IN_TREE_MODULE + '.')


@dataclasses.dataclass(frozen=True)
class Site:
    """The back ends that a command is about.

    :param files: what was read, in order
    """

    files: tuple[str, ...]
    entries: tuple[Entry, ...]


class _Section:
    """A section as Cinder's drivers see it: what it does not set comes
    from ``[backend_defaults]``."""

    def __init__(self, conf: cfg.ConfigOpts, group: str) -> None:
        self._conf = conf
        self.config_group = group

    def __getattr__(self, option: str) -> Any:
        value = getattr(self._conf[self.config_group], option)
        if value is None:
            value = getattr(self._conf[SHARED_GROUP], option)
        return value


def read_site(files: Sequence[str] = (), directories: Sequence[str] = (),
              backends: Sequence[str] = ()) -> Site:
    """Read what cinder-volume would read.

    :param backends: sections; all enabled ones of this driver if empty
    :raises NotRun: a file cannot be read, or there is no such back end
    """
    conf = _parsed(files, directories)
    read = _files_of(conf)
    sections = _sections(read)
    conf.register_opts(_DEFAULT_OPTIONS)
    try:
        enabled = list(conf.enabled_backends or ())
    except (ValueError, cfg.Error) as error:
        raise NotRun(f'enabled_backends cannot be used: {error}') from None
    for name in backends:
        if name not in sections:
            raise NotRun(f'there is no section [{name}] in '
                         f'{_listed(read)}. Enabled back ends: '
                         f'{_listed(enabled)}.')
    entries = [_entry(conf, name, name in enabled, sections)
               for name in dict.fromkeys(backends or enabled)]
    if not backends:
        entries = [entry for entry in entries if entry.is_meant
                   or entry.group not in sections]
    if not entries:
        raise NotRun(
            f'no back end in {_listed(read)} has this driver: '
            f'enabled_backends is {_listed(enabled)}, and a volume_driver '
            f'is to be {OUR_MODULE}.MStorageISCSIDriver or one of its '
            'siblings. Name other files with --config-file.')
    return Site(tuple(read), tuple(entries))


def _parsed(files: Sequence[str],
            directories: Sequence[str]) -> cfg.ConfigOpts:
    """:raises NotRun: a file cannot be read, or there is none"""
    conf = cfg.ConfigOpts()
    arguments = [f'--config-file={name}' for name in files]
    arguments += [f'--config-dir={name}' for name in directories]
    # The default directory goes with the default file.
    defaults: dict[str, list[str]] = {
        'default_config_files': [], 'default_config_dirs': [],
    } if files or directories else {}
    try:
        conf(arguments, project=PROJECT, prog=SERVICE, **defaults)
    except cfg.ConfigFilesPermissionDeniedError as error:
        raise NotRun(
            f'{_listed(error.config_files)} cannot be read by '
            f'{_user()}: permission denied. It holds passwords, so only '
            "the service's user may read it: run the command as root or "
            'with `sudo -u cinder`.') from None
    except cfg.ConfigFilesNotFoundError as error:
        raise NotRun(f'{_listed(error.config_files)} cannot be found (or '
                     f'its directory cannot be read by {_user()}).'
                     ) from None
    except cfg.Error as error:
        raise NotRun(f'cinder.conf cannot be read: {_first(error)}'
                     ) from None
    if not _files_of(conf):
        raise NotRun(
            f'there is no cinder.conf in {PLACES} that {_user()} can see. '
            'Name it with --config-file, or run the command as root.')
    return conf


def _user() -> str:
    try:
        return f'the user {getpass.getuser()}'
    except (KeyError, OSError):
        return f'uid {os.getuid()}'


def _files_of(conf: cfg.ConfigOpts) -> list[str]:
    """Return the files that were read, in the order of their weight."""
    found = list(conf.config_file or ())
    for directory in conf.config_dirs:
        found += sorted(
            os.path.join(directory, name) for name in os.listdir(directory)
            if name.endswith('.conf') and not name.startswith('.'))
    return found


def _sections(files: Sequence[str]) -> Mapping[str, frozenset[str]]:
    """Return which options stand in which section; no values."""
    found: dict[str, set[str]] = {}
    for name in files:
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(name, sections).parse()
        for section, values in sections.items():
            found.setdefault(section, set()).update(values)
    return {name: frozenset(options) for name, options in found.items()}


def _entry(conf: cfg.ConfigOpts, group: str, enabled: bool,
           sections: Mapping[str, frozenset[str]]) -> Entry:
    for option in _BACKEND_OPTIONS:
        conf.register_opt(option, group=SHARED_GROUP)
        conf.register_opt(option, group=group)
        conf.set_default(option.name, None, group=group)
    section = _Section(conf, group)
    path = section.volume_driver or ''
    module, _, name = path.rpartition('.')
    driver = (CLASSES.get(name) if module in (OUR_MODULE, IN_TREE_MODULE)
              else None)
    entry = Entry(group, driver, path, enabled, written=frozenset(
        sections.get(group, frozenset())
        | sections.get(SHARED_GROUP, frozenset())))
    if driver is None:
        return dataclasses.replace(entry, error=errors.ConfigError(
            'volume_driver', f'[{group}] has volume_driver = {path!r}, '
            'which is not this driver.' if path else
            f'[{group}] has no volume_driver.',
            f'Set it to {OUR_MODULE}.<class>, one of '
            f'{", ".join(CLASSES)}.'))
    try:
        return dataclasses.replace(entry, config=config.load(
            section, driver.name, f'{conf.host}@{group}', conf))
    except errors.ConfigError as error:
        return dataclasses.replace(entry, error=error)


def _listed(names: Sequence[str]) -> str:
    return ', '.join(names) or 'nothing'


def _first(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else repr(error)
