# SPDX-License-Identifier: Apache-2.0
"""Checks of the commands that the driver needs, by reading ones only.

What a licence allows shows only where the array refuses to answer; an
array that has no snapshot and no pair yet cannot be asked for one.
"""

from __future__ import annotations

from collections.abc import Callable
import re

from cinder_nec import errors
from cinder_nec.assembly import Array, Method
from cinder_nec.cli.findings import Report
from cinder_nec.cli.site import Entry
from cinder_nec.ismcli.commands import PairRole
from cinder_nec.model import ArrayConfig, Protocol, RplAttribute

# A shell's own status and words for a command that is not there.
_NO_SUCH_COMMAND = 127
_NOT_THERE = re.compile(r'not found|no such file|unknown command', re.I)
_LICENCE = re.compile(r'licen[cs]e', re.I)
# Asked for where the array has no LD at all.
_NO_LD = 'cinder_nec_check'


def check_query(array: Array, report: Report) -> ArrayConfig | None:
    """Read the configuration; None if it cannot be had."""
    try:
        config = array.inventory.current()
    except errors.NecError as error:
        report.failed('query', error)
        return None
    report.ok('query', f'{config.product_id}, {config.version}: '
              f'{len(config.pools)} pools, {len(config.logical_disks)} '
              f'logical disks, {len(config.ld_sets)} LD Sets.')
    if config.unrecognized:
        shown = '; '.join(config.unrecognized[:3])
        more = len(config.unrecognized) - 3
        report.warning('unrecognized', shown + (
            f'; and {more} more.' if more > 0 else '.'))
    else:
        report.ok('unrecognized', 'Everything is understood.')
    return config


def check_commands(entry: Entry, array: Array, config: ArrayConfig,
                   report: Report) -> None:
    """Ask what the copy methods ask, and look at access control."""
    needs_snapshots = (entry.driver is not None
                       and entry.driver.method is Method.SNAPSHOT)
    if needs_snapshots:
        label, there = _example(config, RplAttribute.BV)
        _probe('snapshot-command', 'iSMsc_query', there, report,
               lambda: array.client.sc_query_of_bv(label))
    label, there = _example(config, RplAttribute.MV)
    _probe('replication-command', 'iSMrc_query', there, report,
           lambda: array.client.rc_query(label, PairRole.MV))
    _check_access(entry, array, report)


def _example(config: ArrayConfig, role: RplAttribute) -> tuple[str, bool]:
    """Return an LD to ask about, and whether it has the role."""
    named = [ld for ld in config.logical_disks.values()
             if ld.name.platform and ld.name.label]
    for ld in named:
        if ld.has(role):
            return ld.name.label, True
    return (named[0].name.label if named else _NO_LD), False


def _probe(check: str, command: str, there: bool, report: Report,
           question: Callable[[], object]) -> None:
    try:
        question()
    except errors.CommandFailed as error:
        said = f'{error.stdout} {error.stderr}'.strip()
        if (error.status == _NO_SUCH_COMMAND
                or not error.message_id and _NOT_THERE.search(said)):
            report.error(check, f'{command} is not there: {said}.',
                         'Update the Storage Manager of the array.')
        elif there or _LICENCE.search(said):
            report.error(check, f'{command} is refused: {said}.')
        else:
            report.ok(check, f'{command} answers. Whether the licence is '
                      'released shows only once it is used.')
    except errors.NecError as error:
        report.failed(check, error)
    else:
        report.ok(check, f'{command} answers, and is in use.')


def _check_access(entry: Entry, array: Array, report: Report) -> None:
    is_fc = (entry.driver is not None
             and entry.driver.protocol is Protocol.FC)
    try:
        found = array.client.view_access()
    except errors.NecError as error:
        report.warning('access-control', f'It cannot be seen: {error}')
        return
    if found.is_on is None:
        report.warning('access-control', 'iSMview -a does not show whether '
                       'it is on.')
    elif not found.is_on and is_fc:
        report.error('access-control', 'It is off.')
    else:
        report.ok('access-control', 'It is on.' if found.is_on else
                  'It is off, which iSCSI does not mind.')
    if (found.licensed_paths is not None and found.used_paths is not None
            and found.used_paths >= found.licensed_paths):
        report.warning(
            'access-control', f'All {found.licensed_paths} licensed paths '
            'are used: no further host can be registered.',
            'Release a licence for more paths, or take hosts out that are '
            'gone.')
