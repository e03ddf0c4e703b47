# SPDX-License-Identifier: Apache-2.0
"""The operations: what each needs, does, and how a user repeats it.

To add one, see doc/source/contributor/faults.rst.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
import types
from typing import Any

from cinder_nec.model import Protocol
from tests.backend.arrays import BACKUP_POOL, POOL
from tests.faults.rig import (
    DEMO_POOL,
    FULL_ACCESS,
    HERE,
    LONG_SECONDS,
    NEW,
    OLD,
    THERE,
    Rig,
)

Step = Callable[[Rig], object]
THEIRS, THEIR_SNAPSHOT = 'data01', 'data01_monday'
LIMITED = 'type with limits'
QOS = {LIMITED: {'upperlimit': '3000', 'lowerlimit': '200'}}


def nothing(_rig: Rig) -> None:
    pass


@dataclasses.dataclass(frozen=True)
class Scenario:
    """An operation and what it is done on.

    :param covers: methods of the driver that it calls
    :param row: of the README's table "Operations by class", or ''
    :param again: what a user does before a second try
    :param second: the second try, where it is not the same
    :param partial: a failure may leave it half done: what is gone was to
        go, and the second try goes on from there
    :param overwrites: what the volume holds while it fails is not sure
    :param quiet: it does not raise; the result says what it came to
    :param only: which driver classes it is for
    :param options: of ``cinder.conf``, by the names in ``BackendConfig``
    :param cold: the service was started just before
    """

    name: str
    covers: tuple[str, ...]
    prepare: Step
    run: Step
    row: str = ''
    again: Step = nothing
    second: Step | None = None
    partial: bool = False
    overwrites: bool = False
    quiet: bool = False
    only: Callable[[type], bool] = lambda _cls: True
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    cold: bool = False


# -- what is there before ---------------------------------------------------

def volume(r: Rig) -> None:
    r.driver.create_volume(r.volume)
    r.write(r.volume, OLD)


def attached(r: Rig) -> None:
    volume(r)
    r.driver.initialize_connection(r.volume, r.host())


def attached_twice(r: Rig) -> None:
    attached(r)
    r.driver.initialize_connection(r.volume, r.host(3))
    r.volume.volume_attachment = [
        types.SimpleNamespace(id=str(n), connector=r.host(n))
        for n in (1, 3)]


def half_admitted(r: Rig) -> None:
    """The host's LD Set lists the first of its ports only."""
    volume(r)
    one = {**r.host(), 'wwpns': r.host()['wwpns'][:1]}
    r.driver.initialize_connection(r.volume, one)
    r.driver.terminate_connection(r.volume, one)


def normal_mode(r: Rig) -> None:
    """The operator has made an LD Set in which LUNs are chosen."""
    r.lab.operate('ldset_add', ldset={
        'name': 'LX:normal', 'type': 'iscsi',
        'initiators': [r.host()['initiator']]})
    r.backend.array.inventory.refresh()


def both(*steps: Step) -> Step:
    def do(r: Rig) -> None:
        for step in steps:
            step(r)
    return do


def snapshot(r: Rig) -> None:
    volume(r)
    r.driver.create_snapshot(r.snapshot)
    r.rest()
    r.write(r.volume, NEW)


def snapshot_of_long_ago(r: Rig) -> None:
    """A host has seen the snapshot; the service has forgotten it."""
    attached_snapshot(r)
    r.start_service()
    r.backend.array.inventory.current()


def kept_rvs(number: int) -> Step:
    """RVs of deleted snapshots keep their differences."""
    def prepare(r: Rig) -> None:
        volume(r)
        for each in r.snapshots[:number]:
            r.driver.create_snapshot(each)
        r.clock.sleep(LONG_SECONDS)
        for each in r.snapshots[:number]:
            r.driver.delete_snapshot(each)
    return prepare


def unpaired_rv(r: Rig) -> None:
    snapshot(r)
    r.lab.client.rc_unpair(r.name(r.volume).label, r.name(r.snapshot).label)


def attached_snapshot(r: Rig) -> None:
    snapshot(r)
    r.driver.initialize_connection_snapshot(r.snapshot, r.host())


def detached_snapshot(r: Rig) -> None:
    """A backup that was broken off: what shows it was not removed."""
    attached_snapshot(r)
    r.start_service()
    r.backend.array.inventory.current()
    for each in r.lab.inventory.current().ld_sets.values():
        for ldn in each.mappings:
            ld = r.lab.inventory.current().logical_disks[ldn]
            if ld.name.label.endswith('_l'):
                r.lab.client.delldsetld(each.name, ld.name)
    r.backend.array.inventory.refresh()


def clone_that_settles(r: Rig) -> None:
    volume(r)
    r.driver.create_cloned_volume(r.same_size, r.volume)


def half_migrated(r: Rig) -> None:
    """A migration was killed while it copied."""
    volume(r)
    name = r.name(r.volume)
    r.command(f'iSMcfg ldbind -poolnumber {DEMO_POOL} -ldn 700 -capacity 2 '
              '-immediate')
    r.command(f'iSMcfg nickname -ldn 700 -newname {name}_m -immediate')
    r.lab.client.rc_pair(name.label, f'{name.label}_m')
    r.backend.array.inventory.refresh()


def theirs(r: Rig) -> None:
    """An LD of somebody else, which has a snapshot."""
    r.lab.operate('ld_add', ldn=900, name=f'LX:{THEIRS}', pool=POOL,
                  capacity='2 GiB', kind='ordinary')
    if r.is_replication:
        r.lab.operate('ld_add', ldn=901, name=f'LX:{THEIR_SNAPSHOT}',
                      pool=BACKUP_POOL, capacity='2 GiB', kind='ordinary')
        pair = (f'-mv {THEIRS} -mvflg ld -rv {THEIR_SNAPSHOT} -rvflg ld')
        r.command(f'iSMrc_pair -pair {pair}')
        r.command(f'iSMrc_replicate {pair} -nowait -cprange full '
                  '-cpmode bg')
        r.command(f'iSMrc_separate {pair} -rvacc ro -rvuse immediate '
                  '-nowait')
        r.rest()
    else:
        r.command(f'iSMcfg generationadd -bvname LX:{THEIRS} -poolnumber '
                  f'{BACKUP_POOL} -count 1 -svname {THEIR_SNAPSHOT}')
        r.command(f'iSMsc_create -bv {THEIRS} -bvflg ld '
                  f'-sv {THEIR_SNAPSHOT} -svflg ld')


def managed(r: Rig) -> None:
    theirs(r)
    r.driver.manage_existing(r.volume, {'source-name': THEIRS})


# -- what is done -----------------------------------------------------------

def attach(r: Rig) -> object:
    return r.driver.initialize_connection(r.volume, r.host(multipath=True))


def detach(r: Rig) -> object:
    return r.driver.terminate_connection(r.volume, r.host())


def attach_snapshot(r: Rig) -> object:
    return r.driver.initialize_connection_snapshot(r.snapshot, r.host())


def detach_snapshot(r: Rig) -> None:
    r.driver.terminate_connection_snapshot(r.snapshot, r.host())
    r.driver.remove_export_snapshot(None, r.snapshot)


def extend(r: Rig) -> None:
    r.driver.extend_volume(r.volume, 4)


def create_limited(r: Rig) -> None:
    r.volume.volume_type_id = LIMITED
    r.driver.create_volume(r.volume)


def from_snapshot(name: str) -> Step:
    return lambda r: r.driver.create_volume_from_snapshot(
        getattr(r, name), r.snapshot)


def clone(name: str) -> Step:
    return lambda r: r.driver.create_cloned_volume(getattr(r, name),
                                                   r.volume)


def delete(name: str) -> Step:
    return lambda r: r.driver.delete_volume(getattr(r, name))


def delete_snapshot(r: Rig) -> None:
    r.driver.delete_snapshot(r.snapshot)


def force_delete(r: Rig) -> None:
    r.snapshot.metadata = {'force-delete': 'True'}
    r.driver.delete_snapshot(r.snapshot)


def destination(r: Rig) -> dict[str, Any]:
    there = dataclasses.replace(r.backend.location, pools=(DEMO_POOL,))
    return {'host': THERE, 'cluster_name': None,
            'capabilities': {'location_info': str(there)}}


def migrate(r: Rig) -> None:
    assert r.driver.migrate_volume(None, r.volume, destination(r))[0]


def retype(r: Rig) -> None:
    """To a type with limits, where it is."""
    assert r.driver.retype(None, r.volume, {'id': LIMITED}, {},
                           {'host': HERE, 'capabilities': {}})


def retype_away(r: Rig) -> None:
    assert r.driver.retype(None, r.volume, {'id': LIMITED}, {},
                           destination(r))


def take_over(r: Rig) -> object:
    return r.driver.update_migrated_volume(None, r.new, r.volume,
                                           'available')


def revert(r: Rig) -> None:
    r.driver.revert_to_snapshot(None, r.volume, r.snapshot)


def manage(r: Rig) -> None:
    reference = {'source-name': THEIRS}
    assert r.driver.manage_existing_get_size(r.volume, reference) == 2
    r.driver.manage_existing(r.volume, reference)


def manage_limited(r: Rig) -> None:
    r.volume.volume_type_id = LIMITED
    manage(r)


def manage_snapshot(r: Rig) -> None:
    reference = {'source-name': THEIR_SNAPSHOT}
    assert r.driver.manage_existing_snapshot_get_size(
        r.snapshot, reference) == 2
    r.driver.manage_existing_snapshot(r.snapshot, reference)


def manage_again(r: Rig) -> None:
    """Take it over by the name that it has now."""
    names = r.lab.lds().keys()
    here = THEIRS if THEIRS in names else r.name(r.volume).label
    r.driver.manage_existing(r.volume, {'source-name': here})


def manage_snapshot_again(r: Rig) -> None:
    if THEIR_SNAPSHOT in r.lab.lds():
        manage_snapshot(r)


def lists(r: Rig) -> None:
    found = r.driver.get_manageable_volumes(
        [r.bystander], None, 100, 0, ['size'], ['asc'])
    assert THEIRS in str(found)
    found = r.driver.get_manageable_snapshots(
        [], None, 100, 0, ['size'], ['asc'])
    assert THEIR_SNAPSHOT in str(found)


def volume_of_long_ago(r: Rig) -> None:
    """What was read of the array then is too old for stats."""
    volume(r)
    r.clock.sleep(LONG_SECONDS)


def stats(r: Rig) -> object:
    return r.driver.get_volume_stats(refresh=True)


def pool_of(r: Rig) -> None:
    assert r.driver.get_pool(r.volume) == f'pool{POOL}'


def of_replication(cls: type) -> bool:
    return cls.METHOD.name == 'REPLICATION'


def of_snapshot(cls: type) -> bool:
    return not of_replication(cls)


def fc(cls: type) -> bool:
    return cls.PROTOCOL is Protocol.FC


def iscsi(cls: type) -> bool:
    return cls.PROTOCOL is Protocol.ISCSI


CREATE, EXTEND = 'create, delete', 'extend'
ATTACH, MULTIATTACH = 'attach, detach, multipath', 'multi-attach'
ZONES, FULL = 'zones by Cinder', 'full access mode'
SNAPSHOT, FROM = 'snapshot', 'volume from snapshot'
REVERT, CLONE, IMAGE = 'revert to snapshot', 'clone', 'image, image cache'
BACKUP, QOS_ROW = 'backup of a volume in use', 'QoS, retype in place'
MOVE, MANAGE = 'migration inside an array', 'manage, unmanage'
MOVE_AWAY, STATS = 'migration to another array', 'stats per pool'

SCENARIOS = (
    # -- volumes
    Scenario('create', ('create_volume',), nothing,
             lambda r: r.driver.create_volume(r.volume), CREATE,
             again=delete('volume')),
    Scenario('create with limits', ('create_volume',), nothing,
             create_limited, QOS_ROW, again=delete('volume')),
    Scenario('delete', ('delete_volume',), volume, delete('volume'), CREATE,
             partial=True),
    Scenario('delete mapped', ('delete_volume',), attached,
             delete('volume'), CREATE, partial=True),
    Scenario('delete after a migration', ('delete_volume',), half_migrated,
             delete('volume'), MOVE, partial=True),
    Scenario('delete a clone that settles', ('delete_volume',),
             clone_that_settles, delete('same_size'), CLONE, partial=True),
    Scenario('extend', ('extend_volume',), volume, extend, EXTEND),
    Scenario('extend attached', ('extend_volume',), attached, extend,
             EXTEND),
    Scenario('extend MV and RV', ('extend_volume',), snapshot, extend,
             EXTEND, partial=True, only=of_replication),
    # -- access
    Scenario('attach', ('initialize_connection',), volume, attach, ATTACH),
    Scenario('attach a second', ('initialize_connection',), attached,
             lambda r: r.driver.initialize_connection(r.volume, r.host(3)),
             MULTIATTACH),
    Scenario('attach to a known host', ('initialize_connection',), volume,
             lambda r: r.driver.initialize_connection(r.volume, r.host(2)),
             ATTACH),
    Scenario('attach with a new HBA', ('initialize_connection',),
             half_admitted, attach, ATTACH, only=fc),
    Scenario('attach in normal mode', ('initialize_connection',),
             both(normal_mode, volume), attach, ATTACH, only=iscsi),
    Scenario('attach with full access', ('initialize_connection',),
             volume, attach, FULL, only=iscsi,
             options={'ld_set': FULL_ACCESS}),
    Scenario('detach', ('terminate_connection',), attached, detach, ATTACH,
             partial=True),
    Scenario('detach one of two', ('terminate_connection',),
             attached_twice, detach, MULTIATTACH, partial=True),
    Scenario('forced detach', ('terminate_connection',), attached_twice,
             lambda r: r.driver.terminate_connection(r.volume, None),
             ATTACH, partial=True),
    Scenario('detach with zones', ('terminate_connection',), attached,
             detach, ZONES, partial=True, only=fc,
             options={'zones': True}),
    # -- snapshots
    Scenario('snapshot', ('create_snapshot',), volume,
             lambda r: r.driver.create_snapshot(r.snapshot), SNAPSHOT,
             again=delete_snapshot),
    Scenario('second snapshot', ('create_snapshot',), snapshot,
             lambda r: r.driver.create_snapshot(r.snapshots[0]), SNAPSHOT,
             again=lambda r: r.driver.delete_snapshot(r.snapshots[0])),
    Scenario('snapshot on a kept RV', ('create_snapshot',), kept_rvs(1),
             lambda r: r.driver.create_snapshot(r.snapshot), SNAPSHOT,
             again=delete_snapshot, only=of_replication),
    Scenario('delete snapshot', ('delete_snapshot',), snapshot,
             delete_snapshot, SNAPSHOT, partial=True),
    Scenario('delete snapshot by force', ('delete_snapshot',), snapshot,
             force_delete, SNAPSHOT, partial=True, only=of_replication),
    Scenario('delete unpaired RV', ('delete_snapshot',), unpaired_rv,
             delete_snapshot, SNAPSHOT, partial=True, only=of_replication),
    Scenario('delete attached snapshot', ('delete_snapshot',),
             snapshot_of_long_ago, delete_snapshot, BACKUP, partial=True),
    Scenario('delete MV with kept RVs', ('delete_volume',), kept_rvs(2),
             delete('volume'), SNAPSHOT, partial=True, only=of_replication),
    Scenario('volume from snapshot', ('create_volume_from_snapshot',),
             snapshot, from_snapshot('same_size'), FROM,
             again=delete('same_size')),
    Scenario('larger volume from snapshot',
             ('create_volume_from_snapshot',), snapshot,
             from_snapshot('new'), FROM, again=delete('new')),
    Scenario('clone', ('create_cloned_volume',), volume,
             clone('same_size'), CLONE, again=delete('same_size')),
    Scenario('larger clone, as of a cached image',
             ('create_cloned_volume',), volume, clone('new'), IMAGE,
             again=delete('new')),
    Scenario('clone of an MV', ('create_cloned_volume',), snapshot,
             clone('same_size'), CLONE, again=delete('same_size')),
    Scenario('clone, an RV gives way', ('create_cloned_volume',),
             kept_rvs(3), clone('same_size'), CLONE, partial=True,
             again=delete('same_size'), only=of_replication),
    Scenario('revert', ('revert_to_snapshot',), snapshot, revert, REVERT,
             partial=True, overwrites=True),
    # -- backup
    Scenario('attach snapshot', ('initialize_connection_snapshot',),
             snapshot, attach_snapshot, BACKUP),
    Scenario('attach snapshot in normal mode',
             ('initialize_connection_snapshot',),
             both(normal_mode, snapshot), attach_snapshot, BACKUP,
             only=iscsi),
    Scenario('detach snapshot', ('terminate_connection_snapshot',
                                 'remove_export_snapshot'),
             attached_snapshot, detach_snapshot, BACKUP, partial=True),
    Scenario('detach snapshot in normal mode',
             ('terminate_connection_snapshot', 'remove_export_snapshot'),
             both(normal_mode, attached_snapshot), detach_snapshot, BACKUP,
             partial=True, only=iscsi),
    Scenario('remove export of a broken off backup',
             ('remove_export_snapshot',), detached_snapshot,
             lambda r: r.driver.remove_export_snapshot(None, r.snapshot),
             BACKUP, partial=True, only=of_snapshot),
    # -- types and places
    Scenario('retype in place', ('retype',), volume, retype, QOS_ROW,
             partial=True),
    Scenario('retype to another pool', ('retype',), volume, retype_away,
             MOVE),
    Scenario('migrate', ('migrate_volume',), volume, migrate, MOVE),
    Scenario('migrate again after a crash', ('migrate_volume',),
             half_migrated, migrate, MOVE, partial=True),
    Scenario('take a migrated volume\'s name', ('update_migrated_volume',),
             volume, take_over, MOVE_AWAY, quiet=True),
    # -- taking over
    Scenario('manage', ('manage_existing_get_size', 'manage_existing'),
             theirs, manage, MANAGE, second=manage_again),
    Scenario('manage with limits', ('manage_existing',), theirs,
             manage_limited, MANAGE, second=manage_again),
    Scenario('manage snapshot', ('manage_existing_snapshot_get_size',
                                 'manage_existing_snapshot'),
             managed, manage_snapshot, MANAGE,
             second=manage_snapshot_again),
    Scenario('list what can be managed', (
        'get_manageable_volumes', 'get_manageable_snapshots'), theirs,
        lists, MANAGE),
    # -- the service
    Scenario('stats', ('get_volume_stats',), volume_of_long_ago, stats, STATS,
             quiet=True, options={'report_pools': True}),
    Scenario('pool of a volume', ('get_pool',), volume, pool_of, STATS,
             options={'report_pools': True}, cold=True),
    Scenario('check at start', ('check_for_setup_error',), volume,
             lambda r: r.driver.check_for_setup_error(), cold=True),
    Scenario('go on with copies at start', ('update_provider_info',),
             clone_that_settles,
             lambda r: r.driver.update_provider_info(
                 [r.volume, r.same_size], []), CLONE, quiet=True,
             cold=True),
)

# Methods that Cinder does not call, and who does.
NOT_OF_CINDER = {
    'audit': 'cinder-nec, which tells its errors as they are; it reads only',
}
# Methods that send nothing, and why.
SILENT = {
    'backup_use_temp_snapshot': 'answers a question about the driver',
    'create_export': 'initialize_connection does it',
    'create_export_snapshot': 'initialize_connection_snapshot does it',
    'do_setup': 'reads options; the rig puts the back end together alike',
    'ensure_export': 'mappings outlive a restart of the service',
    'get_default_filter_function': 'a text for the scheduler',
    'get_default_goodness_function': 'a text for the scheduler',
    'get_driver_options': 'names options',
    'remove_export': 'terminate_connection does it',
    'snapshot_revert_use_temp_snapshot':
        'answers a question about the driver',
    'unmanage': 'the LD keeps its name',
    'unmanage_snapshot': 'the LD keeps its name',
    'validate_connector': 'looks at the connector only',
}


def scenarios_of(cls: type) -> list[Scenario]:
    return [each for each in SCENARIOS if each.only(cls)]
