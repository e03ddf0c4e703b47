# SPDX-License-Identifier: Apache-2.0
"""The operations in the midst of which a service is killed.

Each comes in four parts: what there is before, what Cinder writes to its
database before it calls the driver, the call, and what a user or an
operator does when the service is back.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import random
from typing import Any

from tests.kill.world import (
    GIB,
    LIMITS,
    STRANGER,
    World,
    connector,
    label,
)

DATA, LATER = b'what the user wrote', b'what came after....'
MOVED_TO = 2
BOTH = ('snapshot', 'replication')
SNAPSHOT, REPLICATION = BOTH[:1], BOTH[1:]

Names = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Case:
    """One operation.

    :param prepare: returns the records that it concerns, by short names
    :param begin: adds to them what Cinder makes first
    :param again: the second try; it must succeed
    :param copies: a GiB takes so many seconds
    :param is_variant: of another one; the sample has it on one class only
    """

    name: str
    prepare: Callable[[World], Names]
    begin: Callable[[World, Names], object]
    run: Callable[[World, Names], object]
    again: Callable[[World, Names], object]
    methods: tuple[str, ...] = BOTH
    copies: float = 0.0
    is_variant: bool = False


# -- before ------------------------------------------------------------

def nothing(_world: World) -> Names:
    return {}


def volume(world: World) -> Names:
    return {'volume': world.create(1, DATA)}


def snapshot(world: World) -> Names:
    names = volume(world)
    names['snapshot'] = world.snapshot(names['volume'])
    world.write(names['volume'], LATER)
    return names


def kept(world: World) -> Names:
    """With data replication, the RV of a deleted snapshot stays."""
    names = volume(world)
    world.delete_snapshot(world.snapshot(names['volume']))
    return names


def attached(world: World) -> Names:
    names = for_new_host(world)
    names['attachment'] = world.reserve(names['volume'])
    world.attach(names['volume'], names['attachment'], names['number'])
    return names


def for_new_host(world: World) -> Names:
    return {**volume(world), 'number': a_host()}


def a_host() -> int:
    return random.randrange(1, 1 << 19)


def twice_attached(world: World) -> Names:
    """To two hosts."""
    names = attached(world)
    names['second'] = world.reserve(names['volume'])
    world.attach(names['volume'], names['second'], a_host())
    return names


def forgotten(world: World) -> Names:
    """In an LD Set, which Cinder does not know of."""
    names = attached(world)
    names['volume'].volume_attachment.remove(names.pop('attachment'))
    names['volume'].status = 'available'
    return names


def known_host(world: World) -> Names:
    names = attached(world)
    names['other'] = world.create()
    return names


def exported(world: World) -> Names:
    names = to_be_exported(world)
    export(world, names)
    return names


def to_be_exported(world: World) -> Names:
    return {**snapshot(world), 'number': a_host()}


def strangers(world: World) -> Names:
    used = {ld['ldn'] for ld in world.array.state()['lds']}
    ldn = min(set(range(1024)) - used)
    for command in (
            f'iSMcfg ldbind -poolnumber 0 -ldn {ldn} -capacity 1 -immediate',
            f'iSMcfg nickname -ldn {ldn} -newname LX:{STRANGER} '
            '-immediate'):
        assert world.array.execute(command)['status'] == 0, command
    world.array.write(STRANGER, DATA)
    return {'reference': {'source-name': STRANGER}}


def strangers_snapshot(world: World) -> Names:
    """Somebody else has made it, of a volume of Cinder's."""
    names = snapshot(world)
    made = names.pop('snapshot')
    world.rename(made, STRANGER)
    del world.db.snapshots[made.id], world.db.data[made.id]
    return {**names, 'reference': {'source-name': STRANGER}}


# -- the database ------------------------------------------------------

def creating(size: int = 1, **fields: Any
             ) -> Callable[[World, Names], None]:
    def begin(world: World, names: Names) -> None:
        names['new'] = world.db.volume(size, **fields)
    return begin


def status(word: str, of: str = 'volume') -> Callable[[World, Names], None]:
    def begin(_world: World, names: Names) -> None:
        names[of].status = word
    return begin


def snapshotting(world: World, names: Names) -> None:
    names['new'] = world.db.snapshot(names['volume'])


def reserving(of: str) -> Callable[[World, Names], None]:
    def begin(world: World, names: Names) -> None:
        names['new'] = world.reserve(names[of])
    return begin


def leaving(*which: str) -> Callable[[World, Names], None]:
    """Cinder's database does not tell which attachments end."""
    def begin(_world: World, names: Names) -> None:
        for one in which:
            names[one].is_ending = True
    return begin


def managing_snapshot(world: World, names: Names) -> None:
    snapshotting(world, names)
    # The manager looks after those only that it makes.
    names['new'].has_worker = False


def migrating(_world: World, names: Names) -> None:
    names['volume'].migration_status = 'migrating'


def exporting(world: World, names: Names) -> None:
    names['snapshot'].status = 'backing-up'


def forced(_world: World, names: Names) -> None:
    names['snapshot'].status = 'deleting'
    names['snapshot'].metadata['force-delete'] = 'True'


# -- the second try ----------------------------------------------------

def delete_new(world: World, names: Names) -> None:
    """A volume in error can only be deleted."""
    assert names['new'].status == 'error', names['new'].status
    world.delete(names['new'])


def create_again(world: World, names: Names) -> None:
    delete_new(world, names)
    world.create()


def clone_again(size: int) -> Callable[[World, Names], None]:
    def again(world: World, names: Names) -> None:
        delete_new(world, names)
        made = world.db.volume(size)
        world.clone(made, names['volume'])
        assert world.read(made, len(DATA)) == DATA
    return again


def restore_again(size: int) -> Callable[[World, Names], None]:
    def again(world: World, names: Names) -> None:
        delete_new(world, names)
        made = world.db.volume(size)
        world.restore(made, names['snapshot'])
        assert world.read(made, len(DATA)) == DATA
    return again


def is_gone(world: World, names: Names) -> None:
    assert names['volume'].id not in world.db.volumes
    assert world.array.ld(label(names['volume'].id)) is None


def extend(world: World, names: Names) -> None:
    world.driver.extend_volume(names['volume'], 3)


def extend_again(world: World, names: Names) -> None:
    extend(world, names)
    names['volume'].size, names['volume'].status = 3, 'available'
    ld = world.array.ld(label(names['volume'].id))
    assert ld is not None and ld['capacity'] == 3 * GIB


def snapshot_again(world: World, names: Names) -> None:
    assert names['new'].status == 'error', names['new'].status
    world.delete_snapshot(names['new'])
    made = world.snapshot(names['volume'])
    world.write(names['volume'], LATER)
    copy = world.db.volume(1)
    world.restore(copy, made)
    assert world.read(copy, len(DATA)) == DATA


def attach(of: str) -> Callable[[World, Names], None]:
    def run(world: World, names: Names) -> None:
        world.attach(names[of], names['new'], names['number'])
    return run


def attach_again(of: str) -> Callable[[World, Names], None]:
    def again(world: World, names: Names) -> None:
        """The attachment is deleted; without a connector, in Cinder."""
        names[of].volume_attachment.remove(names['new'])
        names[of].status = 'available'
        attachment = world.reserve(names[of])
        world.attach(names[of], attachment, names['number'])
        world.detach(names[of], attachment)
    return again


def attach_second_again(world: World, names: Names) -> None:
    """The first host has used the volume all the time."""
    names['volume'].volume_attachment.remove(names['new'])
    attachment = world.reserve(names['volume'])
    world.attach(names['volume'], attachment, names['other_number'])
    world.detach(names['volume'], attachment)


def for_second(world: World) -> Names:
    return {**attached(world), 'other_number': a_host()}


def attach_second(world: World, names: Names) -> None:
    world.attach(names['volume'], names['new'], names['other_number'])


def detach(world: World, names: Names) -> None:
    world.detach(names['volume'], names['attachment'])


def force_detach(world: World, names: Names) -> None:
    world.driver.terminate_connection(names['volume'], None)
    names['volume'].volume_attachment.clear()
    names['volume'].status = 'available'


def another_pool(world: World) -> dict[str, Any]:
    """What the scheduler hands over."""
    there = str(dataclasses.replace(world.driver.backend.location,
                                    pools=(MOVED_TO,)))
    return {'host': 'kill@nec2#silver',
            'capabilities': {'location_info': there}}


def migrate(world: World, names: Names) -> None:
    moved, _update = world.driver.migrate_volume(
        None, names['volume'], another_pool(world))
    assert moved


def retype(world: World, names: Names) -> None:
    """To a type with limits."""
    host = names.get('host') or {'host': names['volume'].host}
    assert world.driver.retype(None, names['volume'], {'id': 'fast'}, {},
                               host)


def retype_to_pool(world: World, names: Names) -> None:
    retype(world, {**names, 'host': another_pool(world)})


def retype_again(world: World, names: Names) -> None:
    """Nobody but an operator takes a volume out of `retyping`."""
    assert names['volume'].status == 'retyping'
    retype(world, names)
    check_retyped(world, names)


def retype_to_pool_again(world: World, names: Names) -> None:
    assert names['volume'].status == 'retyping'
    retype_to_pool(world, names)
    check_retyped(world, names)
    ld = world.array.ld(label(names['volume'].id))
    assert ld is not None and ld['pool'] == MOVED_TO


def check_retyped(world: World, names: Names) -> None:
    names['volume'].status = 'available'
    names['volume'].volume_type_id = 'fast'
    check_limited(world, names['volume'])


def check_limited(world: World, volume: Any) -> None:
    ld = world.array.ld(label(volume.id))
    assert ld is not None
    assert (ld['limit']['upper'], ld['limit']['lower']) == LIMITS, ld


def migrate_again(world: World, names: Names) -> None:
    # cinder reset-state --reset-migration-status
    names['volume'].migration_status = None
    migrate(world, names)
    ld = world.array.ld(label(names['volume'].id))
    assert ld is not None and ld['pool'] == MOVED_TO


def revert(world: World, names: Names) -> None:
    world.driver.revert_to_snapshot(None, names['volume'],
                                    names['snapshot'])


def revert_again(world: World, names: Names) -> None:
    revert(world, names)
    names['volume'].status = 'available'
    world.db.data[names['volume'].id] = DATA


def export(world: World, names: Names) -> None:
    world.driver.initialize_connection_snapshot(
        names['snapshot'], connector(names['number']))
    world.db.exports.add(names['snapshot'].id)


def hide(world: World, names: Names) -> None:
    world.driver.terminate_connection_snapshot(
        names['snapshot'], connector(names['number']))
    world.driver.remove_export_snapshot(None, names['snapshot'])
    world.db.exports.discard(names['snapshot'].id)


def delete_shown(world: World, names: Names) -> None:
    """A backup has died, and nobody hid its snapshot."""
    world.db.exports.discard(names['snapshot'].id)
    world.delete_snapshot(names['snapshot'])


def export_again(world: World, names: Names) -> None:
    names['snapshot'].status = 'available'
    export(world, names)
    hide(world, names)


def manage(world: World, names: Names) -> None:
    world.driver.manage_existing(names['new'], names['reference'])


def manage_again(world: World, names: Names) -> None:
    """An LD that has not its new name yet is found by the old one."""
    if world.array.ld(label(names['new'].id)) is None:
        manage(world, names)
    names['new'].status = 'available'
    assert world.read(names['new'], len(DATA)) == DATA


def manage_limited_again(world: World, names: Names) -> None:
    """Of the volume's limits, nobody knows."""
    if world.array.ld(label(names['new'].id)) is None:
        manage(world, names)
    else:
        names['volume'] = names['new']
        retype(world, names)
    names['new'].status = 'available'
    check_limited(world, names['new'])
    assert world.read(names['new'], len(DATA)) == DATA


def manage_snapshot(world: World, names: Names) -> None:
    world.driver.manage_existing_snapshot(names['new'],
                                          names['reference'])


def manage_snapshot_again(world: World, names: Names) -> None:
    """What has not its new name yet is not what Cinder deletes."""
    made = names['new']
    assert made.status == 'creating'
    if world.array.ld(label(made.id)) is None:
        world.delete_snapshot(made)
        made = world.db.snapshot(names['volume'])
        manage_snapshot(world, {**names, 'new': made})
    made.status = 'available'
    world.db.data[made.id] = DATA


def become(world: World, names: Names) -> None:
    """A volume that was migrated through a host takes the old name."""
    old = names['old'] = world.db.volumes.get(
        names['old'].id, names['old'])
    update = world.driver.update_migrated_volume(
        None, old, names['volume'], 'available')
    assert update == {'_name_id': None}


def becoming(world: World, names: Names) -> None:
    names['old'] = world.db.volume(
        1, 'available', migration_status='completing',
        host='kill@nec2#silver')
    names['volume'].migration_status = f'target:{names["old"].id}'


def become_again(world: World, names: Names) -> None:
    become(world, names)
    assert world.read(names['old'], len(DATA)) == DATA
    world.db.data[names['old'].id] = DATA
    names['old'].migration_status = None
    del world.db.volumes[names['volume'].id]


CASES = (
    Case('create', nothing, creating(),
         lambda w, n: w.driver.create_volume(n['new']), create_again),
    Case('create with limits', nothing, creating(volume_type_id='fast'),
         lambda w, n: w.driver.create_volume(n['new']), create_again),
    Case('delete', volume, status('deleting'),
         lambda w, n: w.driver.delete_volume(n['volume']), is_gone),
    Case('delete with kept differences', kept, status('deleting'),
         lambda w, n: w.driver.delete_volume(n['volume']), is_gone,
         methods=REPLICATION),
    Case('extend', volume, status('extending'), extend, extend_again),
    Case('extend with RVs', snapshot, status('extending'), extend,
         extend_again, methods=REPLICATION),
    Case('snapshot', volume, snapshotting,
         lambda w, n: w.driver.create_snapshot(n['new']), snapshot_again),
    Case('snapshot from differences', kept, snapshotting,
         lambda w, n: w.driver.create_snapshot(n['new']), snapshot_again,
         methods=REPLICATION),
    Case('delete snapshot', snapshot, status('deleting', 'snapshot'),
         lambda w, n: w.driver.delete_snapshot(n['snapshot']),
         lambda w, n: w.delete_snapshot(n['snapshot'])),
    Case('delete snapshot by force', snapshot, forced,
         lambda w, n: w.driver.delete_snapshot(n['snapshot']),
         lambda w, n: w.delete_snapshot(n['snapshot']),
         methods=REPLICATION),
    Case('delete a snapshot that is shown', exported,
         status('deleting', 'snapshot'),
         lambda w, n: w.driver.delete_snapshot(n['snapshot']),
         delete_shown),
    Case('clone', volume, creating(),
         lambda w, n: w.clone(n['new'], n['volume']), clone_again(1)),
    Case('clone that takes long', volume, creating(),
         lambda w, n: w.clone(n['new'], n['volume']), clone_again(1),
         copies=0.8),
    Case('larger clone', volume, creating(2),
         lambda w, n: w.clone(n['new'], n['volume']), clone_again(2)),
    Case('volume from snapshot', snapshot, creating(),
         lambda w, n: w.restore(n['new'], n['snapshot']),
         restore_again(1)),
    Case('larger volume from snapshot', snapshot, creating(2),
         lambda w, n: w.restore(n['new'], n['snapshot']),
         restore_again(2)),
    Case('attach', for_new_host, reserving('volume'), attach('volume'),
         attach_again('volume')),
    Case('attach to a known host', known_host, reserving('other'),
         attach('other'), attach_again('other')),
    Case('detach', attached, leaving('attachment'), detach, detach),
    Case('export snapshot', to_be_exported, exporting, export, export_again),
    Case('hide snapshot', exported, lambda w, n: None, hide, hide),
    Case('migrate', volume, migrating, migrate, migrate_again),
    Case('migrate that takes long', volume, migrating, migrate,
         migrate_again, copies=0.8),
    Case('revert', snapshot, status('reverting'), revert, revert_again),
    Case('manage', strangers, creating(status='managing'), manage,
         manage_again),
    Case('take the old name', volume, becoming, become, become_again),
    Case('retype', volume, status('retyping'), retype, retype_again),
    Case('retype to another pool', volume, status('retyping'),
         retype_to_pool, retype_to_pool_again),
    Case('manage with limits', strangers,
         creating(status='managing', volume_type_id='fast'), manage,
         manage_limited_again, is_variant=True),
    Case('manage snapshot', strangers_snapshot, managing_snapshot,
         manage_snapshot, manage_snapshot_again),
    Case('second attach', for_second, reserving('volume'), attach_second,
         attach_second_again, is_variant=True),
    Case('detach one of two', twice_attached, leaving('attachment'),
         detach, detach, is_variant=True),
    Case('forced detach', twice_attached, leaving('attachment', 'second'),
         force_detach, force_detach, is_variant=True),
    Case('delete of a mapped volume', forgotten, status('deleting'),
         lambda w, n: w.driver.delete_volume(n['volume']), is_gone,
         is_variant=True),
)
BY_NAME = {case.name: case for case in CASES}
