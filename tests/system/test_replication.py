# SPDX-License-Identifier: Apache-2.0
"""Data replication method through Cinder: what only it does (chapter 10)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from allinone import wait_for
from harness import drivers
from harness.array import Array
from tests.system.cloud import GIB, PATIENCE, Cloud

REPLICATION = [name for name in drivers.READY
               if drivers.find(name).method == drivers.REPLICATION]


@pytest.fixture(params=REPLICATION)
def driver(request: pytest.FixtureRequest) -> drivers.Driver:
    return drivers.find(request.param)


@pytest.fixture
def source(cloud: Cloud) -> Iterator[str]:
    volume = cloud.create()
    cloud.write(volume, 'before')
    yield volume


def replicas(array: Array, volume: str) -> list[str]:
    """The volume's RVs by name, with the states of their pairs checked."""
    points = array.points_in_time(volume)
    assert {point.kind for point in points} <= {'replica'}
    return sorted(point.name for point in points)


def test_a_deleted_snapshot_keeps_its_rv(cloud: Cloud, array: Array,
                                         source: str):
    snapshot = cloud.snapshot(source)
    [name] = replicas(array, source)
    cloud.delete_snapshot(snapshot)
    assert replicas(array, source) == [f'{name}_d']
    cloud.write(source, 'later_')
    second = cloud.snapshot(source)
    assert len(replicas(array, source)) == 1
    cloud.write(source, 'now___')
    assert cloud.read(cloud.create(snapshot_id=second), 6) == 'later_'


def test_force_delete_removes_it(cloud: Cloud, array: Array, source: str):
    snapshot = cloud.snapshot(source)
    cloud.client.volume_snapshots.set_metadata(
        snapshot, {'force-delete': 'True'})
    cloud.delete_snapshot(snapshot)
    assert replicas(array, source) == []


def test_a_fourth_snapshot_goes_to_error_and_can_be_deleted(
        cloud: Cloud, array: Array, source: str):
    for _ in range(3):
        cloud.snapshot(source)
    before = replicas(array, source)
    fourth = cloud.client.volume_snapshots.create(source)
    wait_for('snapshot error', lambda: cloud.snapshot_status(
        fourth.id) == 'error', PATIENCE)
    assert replicas(array, source) == before
    assert 'Cannot create snapshot. number of pairs reached 3.' in (
        cloud.stage.cinder.log())
    cloud.client.volume_snapshots.delete(fourth.id)
    wait_for('snapshot gone', lambda: cloud.snapshot_status(
        fourth.id) == 'gone', PATIENCE)
    assert cloud.volume_status(source) == 'available'


def test_a_volume_with_snapshots_is_extended(cloud: Cloud, array: Array,
                                             source: str):
    snapshot = cloud.snapshot(source)
    cloud.extend(source, 3)
    [name] = replicas(array, source)
    assert array.find_ld(source).capacity == 3 * GIB
    assert {ld.capacity for ld in array.lds().values()
            if ld.name == name} == {3 * GIB}
    cloud.write(source, 'now___')
    assert cloud.read(cloud.create(3, snapshot_id=snapshot), 6) == 'before'


def test_a_volume_takes_its_kept_rvs_with_it(cloud: Cloud, array: Array,
                                             source: str):
    before = array.lds().keys()
    for snapshot in [cloud.snapshot(source) for _ in range(2)]:
        cloud.delete_snapshot(snapshot)
    assert len(array.lds()) == len(before) + 2
    cloud.delete(source)
    assert len(array.lds()) == len(before) - 1


def test_a_kept_rv_gives_way_to_a_clone(cloud: Cloud, array: Array,
                                        source: str):
    for snapshot in [cloud.snapshot(source) for _ in range(3)]:
        cloud.delete_snapshot(snapshot)
    clone = cloud.create(source_volid=source)
    assert cloud.read(clone, 6) == 'before'
    assert len(replicas(array, source)) == 2
