# SPDX-License-Identifier: Apache-2.0
"""The text outputs (layouts: ISMCLI.md A.2, A.5, A.6, H, I).

iSMrc_query puts the value behind the label with blanks only, because the
in-tree driver cuts a fixed number of characters off; iSMsc_query has a
colon, and its values begin in column 15.
"""

from __future__ import annotations

from datetime import datetime, timezone

from ismsim.array import Array
from ismsim.copying import copy_left, separate_difference
from ismsim.entities import (
    Generation,
    LdKind,
    LdSet,
    Link,
    LogicalDisk,
    Pair,
    Protocol,
    RemotePair,
    SnapState,
    TargetMode,
)
from ismsim.render_xml import link_status, portal_text


def _time(moment: float | None) -> str:
    if moment is None:
        return '-'
    return datetime.fromtimestamp(moment, timezone.utc).strftime(
        '%Y/%m/%d %H:%M:%S')


def _encode(lines: list[str]) -> bytes:
    return ('\n'.join(lines) + '\n').encode()


def _wide(label: str, value: str) -> str:
    return f'{label:<13}: {value}'


def _loose(label: str, value: str) -> str:
    return f'  {label:<22}{value}'


def _os_type(ld: LogicalDisk) -> str:
    return ld.platform or '--'


# -- iSMrc_query -------------------------------------------------------------

def _volume(ld: LogicalDisk) -> list[str]:
    return [_loose('Special File', '-'), _loose('LD Name', ld.name),
            _loose('Type', _os_type(ld))]


def _pair_state(array: Array, pair: Pair) -> list[str]:
    activity = pair.activity.capitalize()
    return [
        _loose('Activity State', pair.activity),
        _loose('Sync State', pair.state.value),
        _loose('Copy Control State',
               'bg' if pair.activity == 'replicate' else '---'),
        _loose(f'{activity} Start Time', _time(pair.started)),
        _loose(f'{activity} End Time', _time(pair.ended)),
        _loose('Separate Diff',
               f'{separate_difference(array, pair) // 1024}KB'),
        _loose('Copy Diff', f'{copy_left(array, pair) // 1024}KB'),
        _loose('RV Access', pair.rv_access),
        _loose('Previous Active', pair.previous)]


def pairs_of_mv(array: Array, mv: LogicalDisk, pairs: list[Pair],
                remotes: list[RemotePair]) -> bytes:
    """Asked by MV: its own LD Name, then one block per RV."""
    lines = ['MV Information', *_volume(mv)]
    for pair in pairs:
        lines += ['RV Information', *_volume(array.store.lds[pair.rv]),
                  *_pair_state(array, pair)]
    for remote in remotes:
        # ISMCLI.md E: iSMrc_query by MV also lists remote RVs.
        lines += ['RV Information', _loose('LD Name', remote.rv_name),
                  _loose('Sync State', remote.state.value),
                  _loose('Separate Diff', '0KB')]
    return _encode(lines)


def pair_of_rv(array: Array, rv: LogicalDisk, pair: Pair) -> bytes:
    """Asked by RV: its MV, itself, one state."""
    return _encode(['MV Information', *_volume(array.store.lds[pair.mv]),
                    'RV Information', *_volume(rv),
                    *_pair_state(array, pair)])


# -- iSMsc_* -----------------------------------------------------------------

def snapshot_created(bv: LogicalDisk, sv: LogicalDisk,
                     taken: float) -> str:
    """What follows the message of iSMsc_create."""
    return (f'BV:{bv.name} {_os_type(bv)}\n  Special File : -\n'
            f'SV:{sv.name} {_os_type(sv)}\n  Generation   : -1\n'
            f'  Status       : snap/active [{_time(taken)}]\n')


def generation_numbers(array: Array, bv: int) -> dict[int, int]:
    """SV -> generation: newest -1, then -2 (B.6).

    ASSUMED: a generation that holds no data is 0.
    """
    found = [item for item in array.store.generations_of(bv)
             if item.taken is not None]
    found.sort(key=lambda item: item.order, reverse=True)
    return {item.sv: -1 - index for index, item in enumerate(found)}


def snapshots(array: Array, bv: LogicalDisk,
              generations: list[Generation]) -> bytes:
    """iSMsc_query in its short form: BV, then a row per SV."""
    numbers = generation_numbers(array, bv.ldn)
    busy = any(item.state is SnapState.RESTORING
               for item in array.store.generations_of(bv.ldn))
    lines = ['BV Information', _wide('LD Name', bv.name),
             _wide('Type', _os_type(bv)), _wide('Special File', '-'),
             _wide('State', 'rst/exec' if busy else 'normal'),
             _wide('Reserve Area', '-'), 'SV Information']
    for item in generations:
        sv = array.store.lds[item.sv]
        row = (f'  {_os_type(sv)}:{sv.name:<24} '
               f'({numbers.get(item.sv, 0):>3}) {item.state.value}')
        if item.taken is not None:
            row += f' [{_time(item.taken)}]'
        if array.store.link_to(item.sv) is not None:
            row += ' [link]'
        lines.append(row)
    return _encode(lines)


def snapshot_detail(array: Array, bv: LogicalDisk,
                    generations: list[Generation]) -> bytes:
    """iSMsc_query -detail."""
    numbers = generation_numbers(array, bv.ldn)
    lines = ['BV Information', _wide('LD Name', bv.name),
             _wide('Type', _os_type(bv)), _wide('Special File', '-'),
             'Pair Information']
    for item in generations:
        sv = array.store.lds[item.sv]
        size = array.backing.used(item.sv)
        link = array.store.link_to(item.sv)
        lines += [
            _wide('LD Name', sv.name), _wide('Type', _os_type(sv)),
            f'Generation(Attribute)   : {numbers.get(item.sv, 0)}(normal)',
            f'Snap State              : {item.state.value}',
            f'Create   Start Time     : {_time(item.taken)}',
            'Processing Data Size    : -',
            f'Snapshot Data Size      : {size / (1 << 30):.1f}GB',
            'SV Guard                : off',
            f'LV Link Status          : {"link" if link else "---"}']
        if link is not None:
            lv = array.store.lds[link.lv]
            lines += [_wide('LD Name', lv.name),
                      _wide('Type', _os_type(lv)),
                      _wide('Special File', '-'),
                      _wide('LV Access', link.access)]
    return _encode(lines)


def link_info(array: Array, volume: LogicalDisk,
              link: Link | None) -> bytes:
    """iSMsc_linkinfo."""
    lds = array.store.lds
    linked = link is not None and link.sv is not None
    is_lv = volume.kind is LdKind.LV
    other = '---'
    if link is not None and link.sv is not None:
        other = lds[link.sv if is_lv else link.lv].name
    lines = ['Specified Volume Information',
             _wide('LD Name', volume.name),
             _wide('Type', _os_type(volume)), _wide('Special File', '-'),
             _wide('State', f'link ({other})' if linked else 'unlink'),
             _wide('Mode', link.access if link and is_lv else 'nr'),
             'Destination Volume Information']
    if link is not None and link.sv is not None:
        lv, sv = lds[link.lv], lds[link.sv]
        lines.append(f'  LV:{lv.name} {_os_type(lv)} link ({sv.name}) '
                     f'{link.access}')
    return _encode(lines)


# -- iSMview -----------------------------------------------------------------

def disk_arrays(array: Array) -> bytes:
    """iSMview -d."""
    settings = array.settings
    return _encode([
        '--- Disk Array List ---',
        f'{"Product ID":<16}{"Disk Array Name":<34}{"Resource State":<16}'
        'Monitoring',
        f'{settings.product_id:<16}{settings.array_name:<34}{"ready":<16}'
        'running'])


def _label(label: str, value: str) -> str:
    return f'{label:<27}: {value}'


def ldset(array: Array, item: LdSet) -> bytes:
    """iSMview -ac (manual 2.1, C.6)."""
    if item.protocol is Protocol.FC:
        lines = ['--- LD Set(FC) Information ---',
                 _label('Platform', item.platform),
                 _label('LD Set Name', item.name),
                 *(_label('Path', path) for path in item.paths)]
    else:
        mode = item.mode or TargetMode.NORMAL
        lines = ['--- LD Set(iSCSI) Information ---',
                 _label('Platform', item.platform),
                 _label('LD Set Name', item.name),
                 _label('Configuration Change', ''),
                 _label('Action mode', 'Normal mode'),
                 _label('Full Access Mode',
                        'on' if item.full_access else 'off'),
                 _label('Explicit ALUA', '---'),
                 _label('Target Mode', mode.value),
                 _label('Target Count', str(item.target_count))]
        for index, address in enumerate(item.portals):
            lines.append(_label('' if index else 'Portal',
                                portal_text(address, array.iscsi_port)))
        lines += [_label('Initiator', name) for name in item.initiators]
    return _encode(lines)


def access_control(array: Array) -> bytes:
    """iSMview -a (manual C.5)."""
    sets = sorted(array.store.ldsets.values(), key=lambda one: one.index)
    fc = [one for one in sets if one.protocol is Protocol.FC]
    iscsi = [one for one in sets if one.protocol is Protocol.ISCSI]
    initiators = [*array.settings.initiators]
    for one in iscsi:
        initiators += one.initiators
    fc_paths = sum(len(one.paths) for one in fc)
    iscsi_paths = sum(len(one.initiators) for one in iscsi)
    lines = [
        '--- Access Control Information ---', '',
        _label('Access Control Mode',
               'on' if array.settings.access_control else 'off'),
        _label('Licensed Path Count', 'nolim'),
        _label('Used Path Count(FC)', str(fc_paths)),
        _label('Used Path Count(iSCSI)', str(iscsi_paths)),
        _label('Used Path Count(Total)', str(fc_paths + iscsi_paths)),
        _label('Registered Initiator Count', str(len(initiators))), '']
    if fc:
        lines += ['--- LD Set(FC) List ---', '',
                  'Platform  LD Set Name      Path Count       LD Count']
        lines += [f'{one.platform:<10}{one.name:<17}'
                  f'{len(one.paths):<17}{len(one.maps)}' for one in fc]
        lines.append('')
    lines += ['--- LD Set(iSCSI) List ---', '',
              'Platform  LD Set Name      Initiator Count  LD Count']
    lines += [f'{one.platform:<10}{one.name:<17}'
              f'{len(one.initiators):<17}{len(one.maps)}' for one in iscsi]
    lines += ['', '--- Initiator List ---', '', 'Initiator Name',
              *initiators]
    return _encode(lines)


def _short(size: int) -> str:
    for unit, letter in ((1 << 40, 'T'), (1 << 30, 'G')):
        if abs(size) >= unit:
            return f'{size / unit:.1f}{letter}'
    return f'{size / (1 << 20):.1f}M'


def view_all(array: Array) -> bytes:
    """iSMview -all as text (A.2: labels and banners)."""
    settings, store = array.settings, array.store
    lines = [_label('Vendor ID', 'NEC'),
             _label('Product ID', settings.product_id),
             _label('Product FW Revision', settings.firmware),
             _label('World Wide Name', settings.wwn)]
    for port in sorted(store.ports.values(), key=lambda one: one.key):
        name = 'WWPN' if port.protocol is Protocol.FC else 'IP Address'
        lines += [_label('Port No.(h)', port.key),
                  _label(name, port.wwpn or port.ip),
                  _label('Link Status', link_status(port))]
    for ldn in sorted(store.lds):
        ld = store.lds[ldn]
        lines += ['--- LD Detail Information ---',
                  _label('LDN(h)', f'{ldn:04x}'),
                  _label('OS Type', ld.platform or '  '),
                  _label('LD Name', ld.name),
                  _label('LD Capacity', _short(ld.capacity)),
                  _label('Pool Name', store.pools[ld.pool].name),
                  _label('RaidType', 'RAID6')]
    for number in sorted(store.pools):
        pool = store.pools[number]
        lines += ['--- Pool Detail Information ---',
                  _label('Pool Name', pool.name),
                  _label('Pool Capacity', _short(pool.capacity)),
                  _label('Used Pool Capacity', _short(array.used(pool))),
                  _label('Free Pool Capacity', _short(array.free(pool)))]
    return _encode(lines)
