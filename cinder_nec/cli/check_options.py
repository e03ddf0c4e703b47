# SPDX-License-Identifier: Apache-2.0
"""Checks of what stands in ``cinder.conf``; nothing is sent anywhere."""

from __future__ import annotations

import difflib

from cinder_nec import errors, opts
from cinder_nec.assembly import Method
from cinder_nec.cli.findings import Report
from cinder_nec.cli.rights import SERVICE_USER, service_can_read
from cinder_nec.cli.site import DriverClass, Entry
from cinder_nec.config import WITHOUT_EFFECT
from cinder_nec.in_tree import tree

_PREFIX = 'nec_'
_KNOWN = frozenset(option.name for option in opts.nec_opts)
# Cinder's own that matter for a back end.
_CINDERS = frozenset({
    'volume_driver', 'volume_backend_name', 'backend_host',
    'ssh_conn_timeout', 'ssh_min_pool_conn', 'ssh_max_pool_conn',
    'reserved_percentage', 'max_over_subscription_ratio',
    'use_multipath_for_image_xfer', 'enforce_multipath_for_image_xfer',
    'filter_function', 'goodness_function', 'backend_availability_zone',
    'image_volume_cache_enabled', 'image_volume_cache_max_size_gb',
    'image_volume_cache_max_count', 'volume_clear', 'volume_clear_size',
    'use_chap_auth', 'chap_username', 'chap_password', 'extra_capabilities',
    'zoning_mode', 'replication_device', 'report_discard_supported'})
_VERY_CLOSE = 0.9
_CLOSE_ENOUGH = 0.75


def check_options(entry: Entry, report: Report) -> None:
    """Look at the options of one back end."""
    _check_driver(entry, report)
    if not entry.enabled:
        report.warning('enabled', f'enabled_backends does not name '
                       f'{entry.group}.')
    _check_names(entry, report)
    if entry.config is None:
        error = entry.error
        if error is not None and entry.driver is not None:
            report.failed('options', error)
        return
    report.ok('options', 'All values can be used.')


def _check_driver(entry: Entry, report: Report) -> None:
    if entry.driver is None:
        if entry.error is not None:
            report.failed('driver', entry.error)
    elif entry.in_tree:
        _check_in_tree(entry, entry.driver, report)
    else:
        report.ok('driver', _in_words(entry.driver))


def _in_words(driver: DriverClass) -> str:
    return (f'{driver.name}: {driver.protocol.value}, '
            f'{driver.method.value} method.')


def _check_in_tree(entry: Entry, driver: DriverClass,
                   report: Report) -> None:
    """Tell whose driver the path of the Cinder tree leads to."""
    try:
        state = tree.find().look().state
    except tree.InTreeError:
        state = tree.State.UNKNOWN
    says = f'volume_driver = {entry.driver_path}: the path of the Cinder tree'
    if state in (tree.State.PLACED, tree.State.PLACED_EARLIER):
        report.ok('driver', f'{_in_words(driver)} This driver stands behind '
                  'the path of the Cinder tree.')
        return
    remedy = (f'Set volume_driver = {driver.path}; or see `cinder-nec '
              'in-tree status` for which driver is behind that path.')
    if state is tree.State.UNKNOWN:
        report.warning('driver', f'{says}; which driver stands there is not '
                       'known.', remedy)
    elif driver.method is Method.REPLICATION:
        report.error('driver', f"{says}, where Cinder's own driver stands, "
                     'which has no such class.', remedy)
    else:
        report.warning('driver', f"{says}, where Cinder's own driver "
                       'stands.', remedy)


def _check_names(entry: Entry, report: Report) -> None:
    """Look for names that are not known.

    Cinder's own options are many, and differ by release: of those only
    what looks like one that matters here is pointed at.
    """
    for name in sorted(entry.written - _KNOWN - _CINDERS):
        if name.startswith(_PREFIX):
            near = difflib.get_close_matches(name, _KNOWN, 1,
                                             _CLOSE_ENOUGH)
            report.warning(
                'unknown-option', f'{name} is no option of this driver.',
                f'Did you mean {near[0]}?' if near else '')
        else:
            near = difflib.get_close_matches(name, _CINDERS, 1, _VERY_CLOSE)
            if near:
                report.warning('unknown-option', f'{name} is not '
                               f'{near[0]}.', f'Did you mean {near[0]}?')
    if not report.has('unknown-option'):
        report.ok('unknown-option', 'All nec_* options are known.')
    for name in sorted(entry.written & WITHOUT_EFFECT.keys()):
        report.warning('idle-option',
                       f'{name} is set: {WITHOUT_EFFECT[name]}.')


def check_key_file(entry: Entry, report: Report) -> None:
    """Read the secret key, if one is set."""
    from cinder_nec.ismcli import ssh

    path = entry.config.private_key_file if entry.config else None
    if not path:
        return
    try:
        ssh.check_key_file(path)
    except errors.ConfigError as error:
        report.failed('key-file', error)
        return
    if service_can_read(path):
        report.ok('key-file', f'{path} holds a usable secret key.')
    else:
        report.error('key-file', f'{path} holds a usable secret key, but the '
                     f'user {SERVICE_USER} cannot read it.')
