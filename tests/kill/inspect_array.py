# SPDX-License-Identifier: Apache-2.0
"""What is on the array without an object of Cinder's that explains it.

Written from what the simulated array says of itself; none of the driver's
code is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.kill.world import STRANGER, Db, label

State = dict[str, Any]


def unexplained(now: State, before: State, db: Db, *,
                is_over: bool = False) -> list[str]:
    """Return each thing that nothing of Cinder's stands for.

    And what is not there although Cinder has it: mappings.

    :param before: the array without any volumes
    :param is_over: the second try was made as well
    """
    known = {ld['ldn'] for ld in before['lds']}
    new = [ld for ld in now['lds'] if ld['ldn'] not in known]
    sets = {ld_set['name'] for ld_set in before['ldsets']}
    return [*_disks(new, db), *_pairs(now, db), *_generations(new, db),
            *_mappings(now, db, {ld['ldn']: ld for ld in new}),
            *_not_mapped(now, db),
            *_ld_sets([one for one in now['ldsets']
                       if one['name'] not in sets], is_over=is_over)]


def _disks(new: list[State], db: Db) -> Iterator[str]:
    volumes, snapshots = map(_labels, (db.volumes, db.snapshots))
    exported = {f'{label(one)}_l' for one in db.exports}
    for ld in new:
        name = ld['name']
        if not ld['platform'].strip():
            yield f'LD {ld["ldn"]} has no name'
        elif (name in volumes or name in snapshots or name in exported
              or name == STRANGER):
            continue
        elif name.startswith('__ControlVolume_'):
            if not exported:
                yield f'the control volume {name}'
        elif not name.endswith('_d') or ld['rpl_attribute'] != 'RV':
            yield f'the LD {name} ({ld["rpl_attribute"]})'


def _pairs(now: State, db: Db) -> Iterator[str]:
    volumes, snapshots = map(_labels, (db.volumes, db.snapshots))
    for pair in now['pairs']:
        mv, rv = pair['mv'], pair['rv']
        of = snapshots.get(rv)
        if mv in volumes and (rv.endswith('_d') or rv == STRANGER):
            continue
        if of is None or label(of.volume_id) != mv:
            yield f'the pair of {mv} and {rv} ({pair["state"]})'


def _generations(new: list[State], db: Db) -> Iterator[str]:
    snapshots = _labels(db.snapshots)
    for ld in new:
        if (ld['kind'] == 'sv' and ld['name'] not in snapshots
                and ld['name'] != STRANGER):
            yield f'the generation {ld["name"]} of {ld["bv"]}'


def _mappings(now: State, db: Db,
              new: dict[int, State]) -> Iterator[str]:
    volumes = _labels(db.volumes)
    exported = {label(one) for one in db.exports}
    for ld_set in now['ldsets']:
        hosts = _hosts(ld_set)
        for mapping in ld_set['luns']:
            name = new.get(mapping['ldn'], {}).get('name', '')
            if name.removesuffix('_l') in exported:
                continue
            if name.startswith('__ControlVolume_') and exported:
                continue
            attachments = getattr(volumes.get(name), 'volume_attachment',
                                  ())
            if name and not any(_is_of(one, hosts) for one in attachments):
                yield f'{name} in LD Set {ld_set["name"]}'


def _not_mapped(now: State, db: Db) -> Iterator[str]:
    """A host that Cinder has told of a volume still has it."""
    ldns = {ld['name']: ld['ldn'] for ld in now['lds']}
    for volume in db.volumes.values():
        if volume.status == 'deleting':
            continue
        for attachment in volume.volume_attachment:
            if attachment.connector and not attachment.is_ending and not any(
                    _is_of(attachment, _hosts(ld_set))
                    for ld_set in now['ldsets']
                    for mapping in ld_set['luns']
                    if mapping['ldn'] == ldns.get(label(volume.id))):
                yield (f'{label(volume.id)} is not shown to '
                       f'{attachment.connector["host"]}')


def _ld_sets(new: list[State], *, is_over: bool) -> Iterator[str]:
    """LD Sets stay, since nothing removes one; but one for each host.

    One that lists no host yet is its that has not been attached yet.
    """
    listing: dict[str, str] = {}
    for ld_set in new:
        for host in _hosts(ld_set):
            other = listing.setdefault(host, ld_set['name'])
            if other != ld_set['name']:
                yield f'{host} in LD Sets {other} and {ld_set["name"]}'
    vacant = [one['name'] for one in new if not _hosts(one)]
    if len(vacant) > (0 if is_over else 1):
        yield f'LD Sets without a host: {", ".join(vacant)}'


def _hosts(ld_set: State) -> set[str]:
    return {*ld_set['initiators'],
            *(path.replace('-', '').lower() for path in ld_set['paths'])}


def _is_of(attachment: Any, hosts: set[str]) -> bool:
    connector = attachment.connector or {}
    return bool({connector.get('initiator'),
                 *connector.get('wwpns', ())} & hosts)


def _labels(things: dict[str, Any]) -> dict[str, Any]:
    return {label(identifier): one for identifier, one in things.items()}
