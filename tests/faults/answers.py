# SPDX-License-Identifier: Apache-2.0
"""What Cinder is told, compared with what the array has.

Written from ISMCLI.md (sections A.2, B, F, H) and from what Cinder does
with an answer, not from the driver: each check looks at the records of the
simulated array.  A check returns in words what is not true; it is made
right after the operation, while the fault lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cinder_nec import naming
from cinder_nec.model import Protocol
from ismsim import entities
from ismsim.entities import GIB, LdKind, LdSet, LogicalDisk, TargetMode
from tests.faults.rig import Rig

DUMP = 'iSMquery -cinder -xml -all'
Answer = Callable[[Rig, Any], list[str]]


def differ(what: str, told: object, true: object) -> list[str]:
    """Return what is told wrongly of a thing."""
    return [] if told == true else [f'{what} is {true!r}, told {told!r}']


def all_of(*answers: Answer) -> Answer:
    """Several things are told."""
    return lambda r, told: [each for answer in answers
                            for each in answer(r, told)]


# -- nothing, or a word -----------------------------------------------------

def nothing_told(_rig: Rig, told: Any) -> list[str]:
    """Cinder would write an answer in its database."""
    return [] if told in (None, {}) else [f'nothing is to say, told {told!r}']


def no_updates(_rig: Rig, told: Any) -> list[str]:
    """Of ``update_provider_info``: volumes, and snapshots."""
    return [] if told in ((None, None), ([], [])) else [
        f'no update is due, told {told!r}']


def told_as(value: object) -> Answer:
    return lambda _rig, told: differ('the answer', told, value)


# -- volumes and snapshots --------------------------------------------------

def ld_of(rig: Rig, name: str) -> LogicalDisk | None:
    """Return the LD of a record, by what Cinder looks for it with."""
    return rig.engine.array.store.find_ld(rig.name(getattr(rig, name)).label)


def there_is(name: str, size_gib: int | None = None,
             limits: tuple[int, int] | None = None,
             pool: int | None = None) -> Answer:
    """An LD stands for a record, as large as Cinder has it.

    :param limits: the upper and the lower one
    """
    def answer(rig: Rig, _told: Any) -> list[str]:
        ld = ld_of(rig, name)
        if ld is None:
            return [f'no LD is named after the {name}']
        record = getattr(rig, name)
        size = size_gib or getattr(record, 'size', None) or (
            record.volume_size)
        found = differ(f'the size of the {name}', size * GIB, ld.capacity)
        if limits is not None:
            found += differ('its limits', limits,
                            (ld.limit.upper, ld.limit.lower))
        if pool is not None:
            found += differ('its pool', pool, ld.pool)
        return found
    return answer


def made(name: str, **values: Any) -> Answer:
    """It was made or changed; Cinder's record of it is right as it is."""
    return all_of(nothing_told, there_is(name, **values))


def gone(*names: str) -> Answer:
    """What stood for these records is away."""
    def answer(rig: Rig, told: Any) -> list[str]:
        return nothing_told(rig, told) + [
            f'the LD of the {name} is there' for name in names
            if ld_of(rig, name) is not None]
    return answer


def held_by(name: str) -> Answer:
    """Of ``update_migrated_volume``: by what name Cinder finds the LD.

    ``new`` is the volume that was migrated; what it became was ``volume``.
    """
    def answer(rig: Rig, told: Any) -> list[str]:
        if not isinstance(told, dict) or set(told) != {'_name_id'}:
            return [f'a _name_id is to say, told {told!r}']
        label = naming.ld_name(told['_name_id'] or rig.new.id)
        ld = rig.engine.array.store.find_ld(label)
        if ld is None:
            return [f'no LD is named {label!r}, told {told!r}']
        return differ('the LD by the name that is told', ld.ldn,
                      rig.marks[name])
    return answer


# -- connections ------------------------------------------------------------

def attached_as(name: str, number: int = 1, *,
                multipath: bool = False) -> Answer:
    """Of an attach: how a host reaches the LD of a volume."""
    def answer(rig: Rig, told: Any) -> list[str]:
        ld = ld_of(rig, name)
        if ld is None:
            return [f'no LD is named after the {name}']
        return list(_connection(rig, told, getattr(rig, name).id, ld.ldn,
                                rig.host(number), multipath))
    return answer


def snapshot_attached(name: str, number: int = 1) -> Answer:
    """Of the attach of a snapshot: by its RV, or by a read-only LV."""
    def answer(rig: Rig, told: Any) -> list[str]:
        ld, store = ld_of(rig, name), rig.engine.array.store
        if ld is None:
            return [f'no LD is named after the {name}']
        ldn = ld.ldn
        if rig.is_replication:
            pair = store.pair_of_rv(ldn)
            access = 'no RV' if pair is None else pair.rv_access
        else:
            links = [link for link in store.links.values()
                     if link.sv == ld.ldn]
            if len(links) != 1:
                return [f'{len(links)} LVs show the snapshot']
            ldn, access = links[0].lv, links[0].access
        return differ('what a host may do', 'ro', access) + list(
            _connection(rig, told, getattr(rig, name).id, ldn,
                        rig.host(number), False))
    return answer


def _connection(rig: Rig, told: Any, record_id: str, ldn: int,
                connector: dict[str, Any],
                multipath: bool) -> Iterator[str]:
    sets = [(s, slot) for s in _sets_of(rig, connector)
            for slot in [s.slot_of(ldn)] if slot is not None]
    if len(sets) != 1:
        yield f'the host sees the LD in {len(sets)} LD Sets, not in one'
        return
    is_fc = rig.cls.PROTOCOL is Protocol.FC
    data = told['data']
    yield from differ('the volume', data['volume_id'], record_id)
    yield from differ('the protocol', told['driver_volume_type'],
                      'fibre_channel' if is_fc else 'iscsi')
    ld_set, slot = sets[0]
    pool = rig.engine.array.store.lds[ldn].pool
    if is_fc:
        yield from _paths(rig, data, connector, pool)
        yield from differ('the LUN', data['target_lun'],
                          ld_set.maps[slot].lun)
    else:
        yield from _portals(rig, data, ld_set, slot, pool, multipath)


def _sets_of(rig: Rig, connector: dict[str, Any]) -> list[LdSet]:
    """Return the LD Sets that let a host in (ISMCLI.md F and H)."""
    is_fc = rig.cls.PROTOCOL is Protocol.FC
    wwpns = set(connector['wwpns'])
    return [s for s in rig.engine.array.store.ldsets.values()
            if (wwpns & {_plain(path) for path in s.paths} if is_fc
                else s.full_access
                or connector['initiator'] in s.initiators)]


def _plain(wwpn: str) -> str:
    return wwpn.replace('-', '').lower()


def _ports(rig: Rig, protocol: str) -> list[entities.HostPort]:
    return [port for port in rig.engine.array.store.ports.values()
            if port.protocol.value == protocol]


def _portals(rig: Rig, data: dict[str, Any], ld_set: LdSet, slot: int,
             pool: int, multipath: bool) -> Iterator[str]:
    """One target of the LD Set for all its LDs, or one for each.

    In multi-target mode the LUN is always 0, but an LV cannot have that.
    Of each controller as many portals as the option says, first of the one
    that owns the pool.
    """
    normal = ld_set.mode is TargetMode.NORMAL
    target = ld_set.target(0 if normal else slot)
    mapping = ld_set.maps[slot]
    if not normal and rig.engine.array.store.lds[
            mapping.ldn].kind is not LdKind.LV:
        yield from differ('the LUN in multi-target mode', mapping.lun, 0)
    lun = mapping.lun
    yield from differ('the target', data['target_iqn'], target)
    yield from differ('the LUN', data['target_lun'], lun)
    up = {f'{port.ip}:3260': port.director % 2
          for port in _ports(rig, 'iscsi')
          if port.link_up and port.ip in ld_set.portals}
    told = data['target_portals'] if multipath else [data['target_portal']]
    yield from differ('the first portal', data['target_portal'], told[0])
    yield from differ('what is down of the portals', [
        portal for portal in told if portal not in up], [])
    controllers = sorted(set(up.values()), key=lambda c: (c != pool % 2, c))
    assert rig.config.portals_per_controller == 1
    yield from differ('the controllers of the portals',
                      [up.get(portal) for portal in told],
                      controllers if multipath else controllers[:1])
    if multipath:
        yield from differ('the targets', data['target_iqns'],
                          [target] * len(told))
        yield from differ('the LUNs', data['target_luns'],
                          [lun] * len(told))


def _paths(rig: Rig, data: dict[str, Any], connector: dict[str, Any],
           pool: int) -> Iterator[str]:
    """All ports of the host to all ports of the array whose link is up."""
    listed = {_plain(path) for s in _sets_of(rig, connector)
              for path in s.paths}
    yield from differ('who is let in', sorted(listed & {
        *connector['wwpns']}), sorted(connector['wwpns']))
    up = {port.wwpn.lower(): port.director % 2
          for port in _ports(rig, 'fc') if port.link_up}
    yield from differ('what is up of the ports',
                      sorted(data['target_wwn']), sorted(up))
    yield from differ('the controller of the first port', up.get(
        data['target_wwn'][0]), pool % 2)
    yield from differ('the paths', {
        initiator: sorted(targets) for initiator, targets
        in data['initiator_target_map'].items()},
        dict.fromkeys(connector['wwpns'], sorted(up)))


def detached_from(*numbers: int, name: str = 'volume') -> Answer:
    """Of a detach: which paths of the hosts no LUN needs any more.

    Cinder's zone manager takes these away, so none may be among them that
    a LUN needs.  One that is not named has its zone until the host's next
    attach and detach: that is let pass where the array could not be read,
    and after a detach that was broken off.
    """
    def answer(rig: Rig, told: Any) -> list[str]:
        is_fc = rig.cls.PROTOCOL is Protocol.FC
        found = differ('the protocol', told['driver_volume_type'],
                       'fibre_channel' if is_fc else 'iscsi')
        ld = ld_of(rig, name)
        store = rig.engine.array.store
        ldns = {ld.ldn} if ld is not None else set()
        ldns |= {link.lv for link in store.links.values()
                 if ld is not None and link.sv == ld.ldn}
        ports = sorted(port.wwpn.lower() for port in _ports(rig, 'fc'))
        idle: dict[str, list[str]] = {}
        for number in numbers:
            sets = _sets_of(rig, rig.host(number))
            found += [f'{s.key} has it still' for s in sets
                      if any(m.ldn in ldns for m in s.maps.values())]
            if is_fc and not any(s.maps for s in sets):
                idle |= dict.fromkeys(rig.host(number)['wwpns'], ports)
        told_paths = {one: sorted(two) for one, two in told['data'].get(
            'initiator_target_map', {}).items()}
        if rig.tried or rig.transport.struck == DUMP:
            idle = {one: two for one, two in idle.items()
                    if one in told_paths}
        return found + differ('the paths that are idle', told_paths, idle)
    return answer


# -- what there is ----------------------------------------------------------

def pools_told(rig: Rig, told: Any) -> list[str]:
    """Of the stats: a state, and where it is up the pools' figures."""
    if told.get('backend_state') == 'down':
        return differ('what is free when nothing is known',
                      told.get('free_capacity_gb'), 0)
    array = rig.engine.array
    found = differ('the state', told.get('backend_state'), 'up')
    found += differ('the pools', [
        pool['pool_name'] for pool in told['pools']],
        [f'pool{number}' for number in rig.config.pools])
    for number, pool in zip(rig.config.pools, told['pools'], strict=False):
        record = array.store.pools[number]
        inside = [ld for ld in array.store.lds.values()
                  if ld.pool == number]
        found += differ('the capacity of the pool',
                        pool['total_capacity_gb'],
                        round(record.capacity / GIB, 2))
        found += differ('what is free in the pool',
                        pool['free_capacity_gb'],
                        round(max(0, array.free(record)) / GIB, 2))
        found += differ('what the LDs of the pool may take',
                        pool['provisioned_capacity_gb'],
                        round(sum(ld.capacity for ld in inside) / GIB, 2))
        found += differ('the LDs of the pool', pool['total_volumes'],
                        len(inside))
    return found


def pool_told(rig: Rig, told: Any) -> list[str]:
    ld = ld_of(rig, 'volume')
    return differ('the pool', told, f'pool{ld.pool}' if ld else None)


def listed(rig: Rig, told: Any) -> list[str]:
    """Of the lists of what can be managed: that it is there, how large."""
    volumes, snapshots = told
    store = rig.engine.array.store
    found = _entries(rig, volumes, {
        ld for ld in store.lds.values() if ld.pool in rig.config.pools})
    found += _entries(rig, snapshots, {
        ld for ld in store.lds.values()
        if store.pair_of_rv(ld.ldn) is not None or ld.kind is LdKind.SV})
    for entry in snapshots:
        if not entry['source_reference']:
            found += [] if entry['reason_not_safe'] else [
                'no word on why a snapshot has no source']
            continue
        source = _ld_of(rig, entry['source_reference'])
        shot = _ld_of(rig, entry['reference'])
        if source is not None and shot is not None:
            pair = store.pair_of_rv(shot.ldn)
            mv = (store.generations[shot.ldn].bv if pair is None
                  else pair.mv)
            found += differ('the source of a snapshot', source.ldn, mv)
    known = [e for e in volumes if e['cinder_id'] == rig.bystander.id]
    return found + differ('how often a volume of Cinder\'s is listed',
                          len(known), 1) + [
        'what Cinder has may be managed again'
        for entry in known if entry['safe_to_manage']]


def _entries(rig: Rig, entries: Sequence[dict[str, Any]],
             there: set[LogicalDisk]) -> list[str]:
    found = []
    for entry in entries:
        ld = _ld_of(rig, entry['reference'])
        if ld not in there:
            found.append(f'{entry["reference"]} is not on the array')
            continue
        found += differ(f'the size of {ld.name}', entry['size'],
                        -(-ld.capacity // GIB))
    return found


def _ld_of(rig: Rig, reference: dict[str, str]) -> LogicalDisk | None:
    return rig.engine.array.store.find_ld(
        reference['source-name'].rpartition(':')[2])
