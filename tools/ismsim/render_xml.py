# SPDX-License-Identifier: Apache-2.0
"""The XML dump (layout: ISMCLI.md A.2).

A dump of 8,192 LDs is 19 MB when it is padded to its real size, so what
was rendered for an LD is kept until the LD changes.
"""

from __future__ import annotations

import weakref
from xml.sax.saxutils import escape

from ismsim.array import Array
from ismsim.entities import (
    HostPort,
    LdSet,
    LogicalDisk,
    Pool,
    Protocol,
    TargetMode,
)

_UNSIGNED = 1 << 64

# Plausible further UNITs of an LD, so that a dump can be as long as a
# real one. Names that the layout of ISMCLI.md A.2 uses are not among them.
_PADDING = (
    'RaidType', 'Progression', 'LD State', 'Special File', 'Reserve',
    'Group', 'Cache Resident', 'Cache Mode', 'Cache Swap', 'WWPN Mode',
    'Number of Units', 'Unit Size', 'Format Progress', 'Rebuild Time',
    'Expand State', 'Creation Time', 'Basepool', 'Tier Level',
    'Compression', 'Dedupe', 'Spin Down', 'Power State', 'Data Keep',
    'Term of Keep', 'Secure Mode', 'Guard State', 'Guard Mode',
    'Quota', 'Quota Threshold', 'IO Class', 'Numa Node', 'ALUA',
    'Owner CTL', 'Current CTL', 'Preferred CTL', 'IO Read', 'IO Write',
    'Trace', 'Alarm', 'Comment', 'Revision', 'Checksum')


class _Cache:
    """The fragments of one array's LDs, and its last dump."""

    def __init__(self) -> None:
        self.lds: dict[int, tuple[LogicalDisk, str, str, bytes]] = {}
        self.settings: tuple[int, frozenset[str]] = (0, frozenset())
        self.whole: dict[str, tuple[int, bytes]] = {}


_CACHES: weakref.WeakKeyDictionary[Array, _Cache] = (
    weakref.WeakKeyDictionary())


def render(array: Array, path: str, arg: str) -> bytes:
    """The dump as of now."""
    cache = _CACHES.setdefault(array, _Cache())
    settings = (array.dump_units_per_ld, frozenset(array.omitted_units))
    if settings != cache.settings:
        cache.lds.clear()
        cache.whole.clear()
        cache.settings = settings
    thin = any(pool.actual is not None
               for pool in array.store.pools.values())
    kept = cache.whole.get(path)
    # What a thin pool uses changes without any command.
    if kept is not None and kept[0] == array.store.version and not thin:
        return kept[1]
    result = b''.join(_parts(array, cache, path, arg))
    if array.omitted_units:
        result = _omit(result, array.omitted_units)
    cache.whole[path] = (array.store.version, result)
    return result


def _parts(array: Array, cache: _Cache, path: str,
           arg: str) -> list[bytes]:
    version = array.settings.ism_version
    parts = [
        '<REQUEST>\n'
        f' <CMD_REQUEST cmd_name="/opt/iSMCliGateway/impl/{path}"\n'
        f'              arg="{arg}"\n'
        f'              version="Version {version}">\n'.encode(),
        _disk_array(array), b'  <CHAPTER name="Logical Disk">\n']
    for ldn in sorted(array.store.lds):
        parts.append(_ld(array, cache, array.store.lds[ldn]))
    parts.append(b'  </CHAPTER>\n  <CHAPTER name="Pool">\n')
    for number in sorted(array.store.pools):
        parts.append(_pool(array, array.store.pools[number]))
    parts.append(b'  </CHAPTER>\n  <CHAPTER name="Controller">\n')
    for key in sorted(array.store.ports):
        parts.append(_port(array.store.ports[key]))
    parts.append(b'  </CHAPTER>\n  <CHAPTER name="Access Control">\n')
    ldsets = sorted(array.store.ldsets.values(),
                    key=lambda ldset: (ldset.protocol.value, ldset.index))
    for ldset in ldsets:
        parts.append(_fc_set(ldset) if ldset.protocol is Protocol.FC
                     else _iscsi_set(ldset, array.iscsi_port))
    parts.append(
        b'  </CHAPTER>\n'
        b' <RETURN_MSG>Command Completed Successfully!!</RETURN_MSG>\n'
        b' <RETURN_CODE>0</RETURN_CODE>\n'
        b' </CMD_REQUEST>\n</REQUEST>\n')
    return parts


def _section(name: str, *units: tuple[str, str]) -> str:
    lines = ''.join(f'     <UNIT name="{unit}">{escape(value)}</UNIT>\n'
                    for unit, value in units)
    return f'    <SECTION name="{name}">\n{lines}    </SECTION>\n'


def _object(name: str, *sections: str) -> bytes:
    return (f'   <OBJECT name="{name}">\n{"".join(sections)}'
            '   </OBJECT>\n').encode()


def _disk_array(array: Array) -> bytes:
    return (b'  <CHAPTER name="Disk Array">\n'
            + _object('Disk Array', _section(
                'Disk Array Detail Information',
                ('Product ID', array.settings.product_id)))
            + b'  </CHAPTER>\n')


def _ld(array: Array, cache: _Cache, ld: LogicalDisk) -> bytes:
    attribute, purpose = array.rpl_attribute(ld), array.purpose(ld)
    kept = cache.lds.get(ld.ldn)
    if (kept is not None and kept[0] is ld and kept[1] == attribute
            and kept[2] == purpose):
        return kept[3]
    units = [
        ('LDN(h)', f'{ld.ldn:04x}'), ('OS Type', ld.platform or '  '),
        ('LD Name', ld.name), ('LD Capacity', str(ld.capacity)),
        ('Pool No.(h)', f'{ld.pool:04x}'), ('Purpose', purpose),
        ('RPL Attribute', attribute)]
    missing = array.dump_units_per_ld - len(units)
    for index in range(max(0, missing)):
        name = _PADDING[index % len(_PADDING)]
        turn = index // len(_PADDING)
        units.append((f'{name} {turn}' if turn else name,
                      f'{(ld.ldn * 31 + index) % 10**9:09d}'))
    result = _object('Logical Disk',
                     _section('LD Detail Information', *units))
    cache.lds[ld.ldn] = (ld, attribute, purpose, result)
    return result


def _pool(array: Array, pool: Pool) -> bytes:
    sections = [_section(
        'Pool Detail Information',
        ('Pool No.(h)', f'{pool.number:04x}'),
        ('Pool Capacity', str(pool.capacity)),
        # ISMCLI.md A.2: seen as a huge unsigned number.
        ('Used Pool Capacity', str(array.used(pool) % _UNSIGNED)),
        ('Free Pool Capacity', str(array.free(pool) % _UNSIGNED)))]
    if pool.actual is not None:
        sections.append(_section('Virtual Capacity Pool Information',
                                 ('Actual Capacity', str(pool.actual))))
    return _object('Pool', *sections)


def link_status(port: HostPort) -> str:
    """`Link Status` of a port."""
    return 'Link Up' if port.link_up else 'Link Down'


def _port(port: HostPort) -> bytes:
    units = [('Port No.(h)', port.key)]
    if port.protocol is Protocol.FC:
        units.append(('WWPN', port.wwpn))
    else:
        units.append(('IP Address', port.ip))
    # ASSUMED for FC: ISMCLI.md A.2 lists the link status for iSCSI only,
    # so that a driver may not count on it. It is shown for a port that is
    # down, where a driver can do something with it.
    if port.protocol is Protocol.ISCSI or not port.link_up:
        units.append(('Link Status', link_status(port)))
    return _object('Host Port', _section(
        'Host Director/Host Port Information', *units))


def _fc_set(ldset: LdSet) -> bytes:
    sections = [_section('LD Set(FC) Information',
                         ('Platform', ldset.platform),
                         ('LD Set Name', ldset.name))]
    sections += [_section('Path List', ('Path', path))
                 for path in ldset.paths]
    sections += _luns(ldset)
    return _object('LD Set(FC)', *sections)


def _luns(ldset: LdSet) -> list[str]:
    return [_section('LUN/LD List', ('LUN(h)', f'{mapping.lun:04x}'),
                     ('LDN(h)', f'{mapping.ldn:04x}'))
            for _slot, mapping in sorted(ldset.maps.items())]


def portal_text(address: str, port: int = 3260) -> str:
    """`ip:3260`; ASSUMED: an IPv6 address stands in brackets."""
    return f'[{address}]:{port}' if ':' in address else f'{address}:{port}'


def _iscsi_set(ldset: LdSet, port: int) -> bytes:
    mode = ldset.mode or TargetMode.NORMAL
    units = [('Platform', ldset.platform), ('LD Set Name', ldset.name),
             ('Target Mode', mode.value)]
    if mode is TargetMode.NORMAL:
        units.append(('Target Name', ldset.target(0)))
    sections = [_section('LD Set(iSCSI) Information', *units)]
    sections += [_section('Portal',
                          ('Portal', portal_text(address, port)))
                 for address in ldset.portals]
    sections += [_section('Initiator List', ('Initiator List', name))
                 for name in ldset.initiators]
    if mode is TargetMode.NORMAL:
        sections += _luns(ldset)
    else:
        sections += [_target(ldset, number)
                     for number in range(ldset.target_count)]
    return _object('LD Set(iSCSI)', *sections)


def _target(ldset: LdSet, number: int) -> str:
    mapping = ldset.maps.get(number)
    lun = '----' if mapping is None else f'{mapping.lun:04x}'
    ldn = '----' if mapping is None else f'{mapping.ldn:04x}'
    return _section('Target Information For Multi-Target Mode',
                    ('Target Name', ldset.target(number)),
                    ('LUN(h)', lun), ('LDN(h)', ldn))


def _omit(dump: bytes, names: set[str]) -> bytes:
    """A dump that lacks some units (a fault, see faults.py)."""
    marks = tuple(f'<UNIT name="{name}">'.encode() for name in names)
    return b''.join(line for line in dump.splitlines(keepends=True)
                    if not line.lstrip().startswith(marks))
