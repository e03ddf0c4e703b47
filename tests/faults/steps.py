# SPDX-License-Identifier: Apache-2.0
"""What an operation finds, and the operation itself.

Each step takes a rig; what an operation tells Cinder is returned.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import types
from typing import Any

from cinder_nec.model import Protocol
from ismsim.entities import LdKind, LogicalDisk
from tests.backend.arrays import BACKUP_POOL, POOL
from tests.faults.rig import (
    DEMO_POOL,
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
UPPER, LOWER = 3000, 200
QOS = {LIMITED: {'upperlimit': str(UPPER), 'lowerlimit': str(LOWER)}}


def nothing(_rig: Rig) -> None:
    pass


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


def detach_snapshot(r: Rig) -> object:
    told = r.driver.terminate_connection_snapshot(r.snapshot, r.host())
    r.driver.remove_export_snapshot(None, r.snapshot)
    return told


def extend(r: Rig) -> object:
    return r.driver.extend_volume(r.volume, 4)


def create_limited(r: Rig) -> object:
    r.volume.volume_type_id = LIMITED
    return r.driver.create_volume(r.volume)


def from_snapshot(name: str) -> Step:
    return lambda r: r.driver.create_volume_from_snapshot(
        getattr(r, name), r.snapshot)


def clone(name: str) -> Step:
    return lambda r: r.driver.create_cloned_volume(getattr(r, name),
                                                   r.volume)


def delete(name: str) -> Step:
    return lambda r: r.driver.delete_volume(getattr(r, name))


def delete_snapshot(r: Rig) -> object:
    return r.driver.delete_snapshot(r.snapshot)


def force_delete(r: Rig) -> object:
    r.snapshot.metadata = {'force-delete': 'True'}
    return r.driver.delete_snapshot(r.snapshot)


def destination(r: Rig) -> dict[str, Any]:
    there = dataclasses.replace(r.backend.location, pools=(DEMO_POOL,))
    return {'host': THERE, 'cluster_name': None,
            'capabilities': {'location_info': str(there)}}


def migrate(r: Rig) -> object:
    return r.driver.migrate_volume(None, r.volume, destination(r))


def retype(r: Rig) -> object:
    """To a type with limits, where it is."""
    return r.driver.retype(None, r.volume, {'id': LIMITED}, {},
                           {'host': HERE, 'capabilities': {}})


def retype_away(r: Rig) -> object:
    return r.driver.retype(None, r.volume, {'id': LIMITED}, {},
                           destination(r))


def take_over(r: Rig) -> object:
    return r.driver.update_migrated_volume(None, r.new, r.volume,
                                           'available')


def revert(r: Rig) -> object:
    return r.driver.revert_to_snapshot(None, r.volume, r.snapshot)


def manage(r: Rig) -> object:
    reference = {'source-name': THEIRS}
    assert r.driver.manage_existing_get_size(r.volume, reference) == 2
    return r.driver.manage_existing(r.volume, reference)


def manage_limited(r: Rig) -> object:
    r.volume.volume_type_id = LIMITED
    return manage(r)


def manage_snapshot(r: Rig) -> object:
    reference = {'source-name': THEIR_SNAPSHOT}
    assert r.driver.manage_existing_snapshot_get_size(
        r.snapshot, reference) == 2
    return r.driver.manage_existing_snapshot(r.snapshot, reference)


def manage_again(r: Rig) -> object:
    """Take it over by the name that it has now."""
    names = r.lab.lds().keys()
    here = THEIRS if THEIRS in names else r.name(r.volume).label
    return r.driver.manage_existing(r.volume, {'source-name': here})


def manage_snapshot_again(r: Rig) -> object:
    if THEIR_SNAPSHOT in r.lab.lds():
        return manage_snapshot(r)
    return None


def lists(r: Rig) -> object:
    volumes = r.driver.get_manageable_volumes(
        [r.bystander], None, 100, 0, ['size'], ['asc'])
    assert THEIRS in str(volumes)
    snapshots = r.driver.get_manageable_snapshots(
        [], None, 100, 0, ['size'], ['asc'])
    assert THEIR_SNAPSHOT in str(snapshots)
    return volumes, snapshots


def volume_of_long_ago(r: Rig) -> None:
    """What was read of the array then is too old for stats."""
    volume(r)
    r.clock.sleep(LONG_SECONDS)


def stats(r: Rig) -> object:
    return r.driver.get_volume_stats(refresh=True)


def pool_of(r: Rig) -> object:
    return r.driver.get_pool(r.volume)


# -- the last run of the service was killed ---------------------------------

def _is_left(r: Rig, word: Callable[[LogicalDisk], bool]) -> bool:
    """Tell whether the array has such an LD now and had none before."""
    return any(word(ld) for ld in r.engine.array.store.lds.values()
               if ld.ldn not in r.numbers)


def _kill(r: Rig, step: Step, word: Callable[[LogicalDisk], bool]) -> None:
    r.numbers = set(r.engine.array.store.lds)
    r.kill(step, lambda r: _is_left(r, word))


def _is_mapped(name: str) -> Callable[[Rig], bool]:
    return lambda r: any(label.startswith(r.name(getattr(r, name)).label)
                         for _ld_set, label in r.state().mapped)


def killed_binding(r: Rig) -> None:
    r.volume.status, r.known = 'creating', [r.volume]
    _kill(r, lambda r: r.driver.create_volume(r.volume),
          lambda ld: not ld.platform)


def killed_copying(r: Rig) -> None:
    volume(r)
    r.kill(migrate, lambda r: bool(r.state().pairs))


def killed_renaming(r: Rig) -> None:
    """The volume's LD is parked, and the copy has not its name yet."""
    volume(r)
    name, r.known = r.name(r.volume).label, [r.volume]
    r.kill(migrate, lambda r: name not in r.lab.lds())


def killed_attaching(r: Rig) -> None:
    volume(r)
    r.kill(attach, _is_mapped('volume'))


def killed_showing(r: Rig) -> None:
    """The host sees the LV; nobody was told."""
    snapshot(r)
    before = len(r.state().mapped)
    r.kill(attach_snapshot, lambda r: any(
        link in label for link in r.state().links
        for _ld_set, label in r.state().mapped)
        and len(r.state().mapped) > before)


def killed_controlling(r: Rig) -> None:
    """A control volume has no name yet."""
    if r.cls.PROTOCOL is Protocol.ISCSI:
        # With a target for each LD nothing has to be on LUN 0.
        normal_mode(r)
    snapshot(r)
    _kill(r, attach_snapshot, lambda ld: ld.kind is LdKind.CV
          and not ld.platform)


def killed_taking(r: Rig) -> None:
    """Cinder has not heard that the LD has the other volume's name."""
    volume(r)
    r.volume.migration_status = f'target:{r.new.id}'
    name, r.known = r.name(r.new).label, [r.volume]
    r.kill(take_over, lambda r: name in r.lab.lds())
