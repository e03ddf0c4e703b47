# SPDX-License-Identifier: Apache-2.0
"""Manage and unmanage through the real API: lists, pages, refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import json
from typing import Any

from cinderclient import exceptions
import pytest

from allinone import wait_for
from harness import drivers, names
from harness.array import Array
from tests.system.cloud import PATIENCE, Cloud

MakeLd = Callable[..., str]


@pytest.fixture
def make_ld(array: Array, cloud: Cloud) -> Iterator[MakeLd]:
    """LDs of an operator, removed if they are his at the end.

    That is before ``cloud`` compares what is left.
    """
    made: list[str] = []

    def make(name: str, *, pool: int = 0, gib: int = 1) -> str:
        used = {ld.ldn for ld in array.lds().values()}
        ldn = next(n for n in range(3000, 4000) if n not in used)
        array.run(f'iSMcfg ldbind -poolnumber {pool} -ldn {ldn} '
                  f'-capacity {gib} -immediate')
        array.run(f'iSMcfg nickname -ldn {ldn} -newname LX:{name} '
                  '-immediate')
        made.append(f'LX:{name}')
        return f'LX:{name}'

    yield make
    left = array.lds()
    for name in made:
        if name in left:
            array.run(f'iSMcfg ldunbind -ldname {name}')


class Operator:
    """Short words for what an administrator of Cinder does."""

    def __init__(self, cloud: Cloud, make_ld: MakeLd) -> None:
        self.cloud = cloud
        self.client = cloud.client
        self.make_ld = make_ld
        services = self.client.services.list(binary='cinder-volume')
        pools = self.client.pools.list(detailed=False)
        assert len(services) == len(pools) == 1
        self.host = pools[0].name

    def manage(self, reference: dict[str, Any] | str, *,
               status: str = 'available') -> str:
        volume = self.client.volumes.manage(self.host, reference)
        self.cloud._volumes.append(volume.id)
        wait_for(f'volume {status}', lambda: self.cloud.volume_status(
            volume.id) == status, PATIENCE)
        return str(volume.id)

    def refused(self, reference: dict[str, Any] | str) -> None:
        """Cinder gives the volume up, and nothing of it is left."""
        volume = self.manage(reference, status='error')
        self.client.volumes.force_delete(volume)
        wait_for('volume gone', lambda: self.cloud.volume_status(volume)
                 == 'gone', PATIENCE)
        self.cloud._volumes.remove(volume)

    def unmanage(self, volume: str) -> None:
        self.client.volumes.unmanage(volume)
        wait_for('volume gone', lambda: self.cloud.volume_status(volume)
                 == 'gone', PATIENCE)
        self.cloud._volumes.remove(volume)

    def manage_snapshot(self, volume: str, reference: dict[str, Any], *,
                        status: str = 'available') -> str:
        snapshot = self.client.volume_snapshots.manage(volume, reference)
        self.cloud._snapshots.append(snapshot.id)
        wait_for(f'snapshot {status}', lambda: self.cloud.snapshot_status(
            snapshot.id) == status, PATIENCE)
        return str(snapshot.id)

    def unmanage_snapshot(self, snapshot: str) -> None:
        self.client.volume_snapshots.unmanage(snapshot)
        wait_for('snapshot gone', lambda: self.cloud.snapshot_status(
            snapshot) == 'gone', PATIENCE)
        self.cloud._snapshots.remove(snapshot)

    def volumes(self, **values: Any) -> list[dict[str, Any]]:
        return [each._info for each in self.client.volumes.list_manageable(
            self.host, detailed=True, **values)]

    def snapshots(self, **values: Any) -> list[dict[str, Any]]:
        manager = self.client.volume_snapshots
        return [each._info for each in manager.list_manageable(
            self.host, detailed=True, **values)]


@pytest.fixture
def operator(make_ld: MakeLd, cloud: Cloud) -> Operator:
    return Operator(cloud, make_ld)


def name_in(entry: dict[str, Any]) -> str:
    return str(entry['reference']['source-name'])


# -- volumes ----------------------------------------------------------------

def test_a_volume_is_taken_over_with_its_bytes(operator, cloud: Cloud,
                                               array: Array):
    operator.make_ld('theirs01', gib=2)
    array.control.write('theirs01', b'kept', 0)
    volume = operator.manage({'source-name': 'LX:theirs01'})
    assert cloud.volume(volume).size == 2
    assert 'LX:theirs01' not in array.lds()
    assert cloud.read(volume, 4) == 'kept'
    assert array.ld(volume).full_name == f'LX:{names.label(volume)}'
    cloud.extend(volume, 3)
    cloud.attach(volume)


@pytest.mark.parametrize('key', ['source-id', 'source-name'])
def test_a_volume_is_let_go_and_comes_back(operator, cloud: Cloud,
                                           array: Array, key: str):
    volume = cloud.create(1)
    cloud.write(volume, 'kept')
    name = array.ld(volume).full_name
    operator.unmanage(volume)
    assert name in array.lds()
    again = operator.manage({key: volume})
    assert again != volume
    assert cloud.read(again, 4) == 'kept'
    assert name not in array.lds()


def test_the_list_tells_who_may_be_taken(operator, cloud: Cloud,
                                         array: Array):
    operator.make_ld('theirs01', gib=2)
    operator.make_ld('elsewhere', pool=2)
    volume = cloud.create()
    mark = array.mark()
    found = {name_in(entry): entry for entry in operator.volumes()}
    assert [c.is_dump for c in array.journal(mark)] == [True]
    theirs = found['LX:theirs01']
    assert theirs['safe_to_manage'] is True
    assert theirs['size'] == 2
    ours = found[array.ld(volume).full_name]
    assert ours['safe_to_manage'] is False
    assert ours['cinder_id'] == volume
    assert ours['reason_not_safe'] == 'already managed'
    used = found['LX:oracle_data']
    assert 'LX:Oracle' in used['reason_not_safe']
    assert 'LX:elsewhere' not in found
    assert not any('SYV' in name or 'RSV' in name or 'SDV' in name
                   for name in found)


def test_pages_in_any_order(operator):
    for number in range(3):
        operator.make_ld(f'page{number}', gib=3 - number)
    every = [name_in(entry) for entry in operator.volumes(
        sort='reference:asc')]
    pages, marker = [], None
    while page := operator.volumes(
            sort='reference:asc', limit=2,
            **({'marker': marker} if marker else {})):
        pages += [name_in(entry) for entry in page]
        marker = json.dumps({'source-name': pages[-1]})
    assert pages == every == sorted(every)
    sizes = [entry['size'] for entry in operator.volumes(sort='size:desc')]
    assert sizes == sorted(sizes, reverse=True)
    assert [name_in(entry) for entry in operator.volumes(
        sort='reference:asc', limit=1, offset=1)] == every[1:2]


def test_hostile_references(operator, array: Array):
    mark = array.mark()
    for reference in ('theirs01', {}, {'source-name': 'x;reboot'},
                      {'source-id': 'theirs01'},
                      {'source-name': '$(reboot)'},
                      {'source-name': 'n' * 300}):
        operator.refused(reference)
    assert not any(c.hostile or c.is_change for c in array.journal(mark))


def test_what_is_not_for_taking(operator, cloud: Cloud, array: Array):
    operator.make_ld('elsewhere', pool=2)
    attached = cloud.create()
    cloud.attach(attached)
    before = array.contents()
    for name in ('LX:absent', 'LX:oracle_data', 'LX:elsewhere',
                 'Pool0000_SYV0FFF', 'RSV0FFD',
                 array.ld(attached).full_name):
        operator.refused({'source-name': name})
    operator.refused({'source-id': attached})
    assert array.contents() == before


def test_a_rename_that_fails(operator, cloud: Cloud, array: Array):
    operator.make_ld('theirs01')
    array.control.add_fault('refuse', prefix='iSMcfg nickname', times=5)
    try:
        operator.refused({'source-name': 'LX:theirs01'})
    finally:
        array.control.clear_faults()
    assert 'LX:theirs01' in array.lds()


# -- snapshots --------------------------------------------------------------

def test_a_snapshot_is_let_go_and_comes_back(operator, cloud: Cloud,
                                             array: Array):
    volume = cloud.create()
    cloud.write(volume, 'then')
    snapshot = cloud.snapshot(volume)
    cloud.write(volume, 'now!')
    operator.unmanage_snapshot(snapshot)
    assert f'LX:{names.label(snapshot)}' in array.lds()
    [entry] = [e for e in operator.snapshots()
               if name_in(e) == f'LX:{names.label(snapshot)}']
    assert entry['safe_to_manage'] is True
    assert entry['size'] == 1
    assert entry['source_reference'] == {
        'source-name': f'LX:{names.label(volume)}', 'source-id': volume}
    again = operator.manage_snapshot(volume, entry['reference'])
    assert f'LX:{names.label(snapshot)}' not in array.lds()
    assert cloud.read(cloud.create(snapshot_id=again), 4) == 'then'


def test_a_volume_with_its_snapshot(operator, cloud: Cloud, array: Array):
    volume = cloud.create()
    cloud.write(volume, 'then')
    snapshot = cloud.snapshot(volume)
    cloud.write(volume, 'now!')
    operator.unmanage_snapshot(snapshot)
    operator.unmanage(volume)
    again = operator.manage({'source-id': volume})
    new = operator.manage_snapshot(again, {'source-id': snapshot})
    assert cloud.read(again, 4) == 'now!'
    assert cloud.read(cloud.create(snapshot_id=new), 4) == 'then'


def test_the_list_of_snapshots(operator, cloud: Cloud, array: Array):
    volume = cloud.create()
    known = cloud.snapshot(volume)
    mark = array.mark()
    [entry] = [e for e in operator.snapshots()
               if name_in(e) == f'LX:{names.label(known)}']
    assert [c.is_dump for c in array.journal(mark)] == [True]
    assert entry['cinder_id'] == known
    assert entry['reason_not_safe'] == 'already managed'
    assert entry['source_reference']['source-id'] == volume


def test_a_snapshot_of_another_volume(operator, cloud: Cloud,
                                      array: Array):
    volume, other = cloud.create(), cloud.create()
    snapshot = cloud.snapshot(volume)
    operator.unmanage_snapshot(snapshot)
    before = array.contents()
    refused = operator.manage_snapshot(other, {'source-id': snapshot},
                                       status='error')
    assert array.contents() == before
    cloud.client.volume_snapshots.reset_state(refused, 'available')
    cloud.delete_snapshot(refused)
    again = operator.manage_snapshot(volume, {'source-id': snapshot})
    assert cloud.snapshot_status(again) == 'available'


def test_a_managed_snapshot_is_not_taken_twice(operator, cloud: Cloud,
                                               array: Array):
    volume = cloud.create()
    snapshot = cloud.snapshot(volume)
    before = array.contents()
    refused = operator.manage_snapshot(volume, {'source-id': snapshot},
                                       status='error')
    assert array.contents() == before
    cloud.delete_snapshot(refused)


# -- revert -----------------------------------------------------------------

def revert(cloud: Cloud, volume: str, snapshot: str) -> None:
    cloud.client.volumes.revert_to_snapshot(
        cloud.volume(volume), cloud.client.volume_snapshots.get(snapshot))
    wait_for('volume reverted', lambda: (
        cloud.volume_status(volume) == 'available'
        and cloud.snapshot_status(snapshot) == 'available'), PATIENCE)


def test_revert(cloud: Cloud, array: Array):
    volume = cloud.create()
    cloud.write(volume, 'then')
    snapshot = cloud.snapshot(volume)
    cloud.write(volume, 'now!')
    points = array.points_in_time(volume)
    revert(cloud, volume, snapshot)
    assert cloud.read(volume, 4) == 'then'
    assert cloud.volume(volume).size == 1
    found = array.points_in_time(volume)
    assert [p.name for p in found] == [p.name for p in points]
    cloud.write(volume, 'more')
    revert(cloud, volume, snapshot)
    assert cloud.read(volume, 4) == 'then'


def test_revert_to_the_latest_of_three(cloud: Cloud):
    """There is no room for a safety snapshot, and no need of one."""
    volume = cloud.create()
    snapshots = []
    for text in ('1st', '2nd', '3rd'):
        cloud.write(volume, text)
        snapshots.append(cloud.snapshot(volume))
    cloud.write(volume, 'now')
    revert(cloud, volume, snapshots[-1])
    assert cloud.read(volume, 3) == '3rd'
    for text, snapshot in zip(('1st', '2nd', '3rd'), snapshots,
                              strict=True):
        copy = cloud.create(snapshot_id=snapshot)
        assert cloud.read(copy, 3) == text


def test_revert_of_an_attached_volume_is_refused(cloud: Cloud,
                                                 array: Array):
    volume = cloud.create()
    snapshot = cloud.snapshot(volume)
    cloud.attach(volume)
    mark = array.mark()
    with pytest.raises(exceptions.ClientException):
        revert(cloud, volume, snapshot)
    assert not any(c.is_change for c in array.journal(mark))


def test_revert_that_fails_is_an_error(cloud: Cloud, array: Array):
    """The volume may hold anything then; the snapshot is as it was."""
    if cloud.driver.method != drivers.SNAPSHOT:
        pytest.skip('a copy has steps of its own: tests/backend')
    volume = cloud.create()
    cloud.write(volume, 'then')
    snapshot = cloud.snapshot(volume)
    array.control.add_fault('refuse', prefix='iSMsc_restore', times=3)
    try:
        cloud.client.volumes.revert_to_snapshot(
            cloud.volume(volume),
            cloud.client.volume_snapshots.get(snapshot))
        wait_for('volume in error', lambda: cloud.volume_status(volume)
                 == 'error', PATIENCE)
    finally:
        array.control.clear_faults()
    wait_for('snapshot available', lambda: cloud.snapshot_status(snapshot)
             == 'available', PATIENCE)
    cloud.client.volumes.reset_state(volume, 'available')
    revert(cloud, volume, snapshot)
    assert cloud.read(volume, 4) == 'then'
