# SPDX-License-Identifier: Apache-2.0
"""Checks of LD Sets, portals and host ports."""

from __future__ import annotations

from cinder_nec import errors
from cinder_nec.assembly import Array
from cinder_nec.cli.findings import Report
from cinder_nec.cli.site import Entry
from cinder_nec.model import (
    ArrayConfig,
    HostPort,
    LdSet,
    LdSetName,
    LinkState,
    Protocol,
)


def check_access(entry: Entry, array: Array, config: ArrayConfig,
                 report: Report) -> None:
    """Look at what stands between hosts and their volumes."""
    assert entry.driver is not None
    _check_ld_sets(entry, array, config, report)
    if entry.driver.protocol is Protocol.ISCSI:
        _check_portals(entry, config, report)
    _check_ports(entry.driver.protocol, config, report)


def _configured(entry: Entry) -> dict[str, LdSetName]:
    assert entry.config is not None
    named = {'nec_ldset': entry.config.ld_set,
             'nec_ldset_for_controller_node':
                 entry.config.controller_ld_set}
    return {option: name for option, name in named.items() if name}


def _check_ld_sets(entry: Entry, array: Array, config: ArrayConfig,
                   report: Report) -> None:
    assert entry.config is not None and entry.driver is not None
    protocol = entry.driver.protocol
    for option, name in _configured(entry).items():
        found = config.ld_sets.get(name)
        if found is None:
            report.error('ld-sets', f'{option} = {name}: the array has no '
                         'such LD Set.')
        elif found.protocol is not protocol:
            report.error('ld-sets', f'{option} = {name} is an LD Set for '
                         f'{found.protocol.value}, not {protocol.value}.')
        elif not (found.initiators or found.paths or found.port_paths):
            _check_nobody(option, found, array, report)
        else:
            report.ok('ld-sets', f'{option} = {name} exists.')
    if _configured(entry):
        return
    count = sum(s.protocol is protocol for s in config.ld_sets.values())
    if entry.config.automatic_access_control:
        report.ok('ld-sets', f'{count} for {protocol.value}; one is made '
                  'for a host that has none.')
    elif not count:
        report.error('ld-sets', f'The array has none for {protocol.value}, '
                     'and nec_auto_accesscontrol is off.')
    else:
        report.ok('ld-sets', f'{count} for {protocol.value}; '
                  'nec_auto_accesscontrol is off.')


def _check_nobody(option: str, ld_set: LdSet, array: Array,
                  report: Report) -> None:
    """An LD Set without hosts is right in full access mode only."""
    full: bool | None = None
    if ld_set.protocol is Protocol.ISCSI:
        try:
            full = array.client.has_full_access(ld_set.name)
        except errors.NecError:
            full = None
    if full:
        report.ok('ld-sets', f'{option} = {ld_set.name} exists, in full '
                  'access mode.')
    else:
        report.warning(
            'ld-sets', f'{option} = {ld_set.name} lists no host.',
            'Register the hosts with `iSMcfg addldsetinitiator` (iSCSI) or '
            '`iSMcfg addldsetpath` (FC).')


def _check_portals(entry: Entry, config: ArrayConfig,
                   report: Report) -> None:
    up = {port.ip for port in config.host_ports
          if port.protocol is Protocol.ISCSI and port.link is LinkState.UP}
    configured = set(_configured(entry).values())
    for ld_set in config.ld_sets.values():
        if ld_set.protocol is not Protocol.ISCSI:
            continue
        used = (ld_set.name in configured or ld_set.initiators
                or ld_set.mappings)
        down = [str(p) for p in ld_set.portals if p.ip not in up]
        if not ld_set.portals and used:
            report.error('portals', f'LD Set {ld_set.name} has none.')
        elif not ld_set.portals:
            report.warning('portals', f'LD Set {ld_set.name} has none; it '
                           'is not used.')
        elif len(down) == len(ld_set.portals):
            report.error('portals', f'No portal of LD Set {ld_set.name} is '
                         f'up: {", ".join(down)}.')
        elif down:
            report.warning('portals', f'LD Set {ld_set.name}: '
                           f'{", ".join(down)} is down.')
    if not report.has('portals'):
        report.ok('portals', 'Each iSCSI LD Set has portals that are up.')


def _check_ports(protocol: Protocol, config: ArrayConfig,
                 report: Report) -> None:
    ports = [port for port in config.host_ports
             if port.protocol is protocol]
    # An FC port shows its link only while it is down.
    up = [p for p in ports if p.link is not LinkState.DOWN]
    for port in ports:
        if port.link is LinkState.DOWN and (port.ip or port.wwpn):
            report.warning('ports', f'{name_of(port)} is down.')
    if not up:
        report.error('ports', f'The array has no {protocol.value} port '
                     'that is up.')
    if not report.has('ports'):
        report.ok('ports', f'All {len(ports)} {protocol.value} ports are '
                  'up.')


def name_of(port: HostPort) -> str:
    """Return what to call a host port."""
    return (f'Port {port.director:02x}-{port.number:02x} '
            f'({port.ip or port.wwpn or "no address"})')
