# SPDX-License-Identifier: Apache-2.0
"""Snapshots, volumes from snapshots, clones: at the right point in time."""

from __future__ import annotations

from cinderclient import exceptions
import pytest

from harness import drivers
from harness.array import Array
from tests.system.cloud import GIB, Cloud

END = GIB - 6


@pytest.fixture
def source(cloud: Cloud) -> str:
    """A volume with bytes at its start and at its end."""
    volume = cloud.create()
    cloud.write(volume, 'before')
    cloud.write(volume, 'before', END)
    return volume


def change(cloud: Cloud, volume: str) -> None:
    """Write over what the source fixture wrote."""
    cloud.write(volume, 'after_')
    cloud.write(volume, 'after_', END)


def assert_before(cloud: Cloud, volume: str) -> None:
    """The volume holds what the source held first."""
    assert cloud.read(volume, 6) == 'before'
    assert cloud.read(volume, 6, END) == 'before'


def test_snapshot(cloud: Cloud, array: Array, source: str):
    cloud.snapshot(source)
    [point] = array.points_in_time(source)
    if cloud.driver.method == drivers.SNAPSHOT:
        assert point.state == 'snap/active'


def test_snapshots_of_several_moments(cloud: Cloud, source: str):
    snapshots = []
    for text in ('one', 'two'):
        cloud.write(source, text)
        snapshots.append(cloud.snapshot(source))
    cloud.write(source, 'now')
    volumes = [cloud.create(snapshot_id=s) for s in snapshots]
    assert [cloud.read(v, 3) for v in volumes] == ['one', 'two']
    assert cloud.read(source, 3) == 'now'


def test_snapshot_of_an_attached_volume(cloud: Cloud, source: str):
    cloud.attach(source)
    snapshot = cloud.snapshot(source, force=True)
    change(cloud, source)
    assert_before(cloud, cloud.create(snapshot_id=snapshot))


def test_delete_snapshot(cloud: Cloud, array: Array, source: str):
    snapshots = [cloud.snapshot(source) for _ in range(3)]
    cloud.delete_snapshot(snapshots[1])
    if cloud.driver.method == drivers.SNAPSHOT:
        assert len(array.points_in_time(source)) == 2
    for snapshot in (snapshots[0], snapshots[2]):
        cloud.delete_snapshot(snapshot)


def test_volume_from_snapshot(cloud: Cloud, array: Array, source: str):
    snapshot = cloud.snapshot(source)
    change(cloud, source)
    volume = cloud.create(snapshot_id=snapshot)
    assert_before(cloud, volume)
    ld = array.find_ld(volume)
    assert (ld.capacity, ld.pool) == (GIB, 0)
    cloud.write(volume, 'own___')
    assert cloud.read(source, 6) == 'after_'


def test_larger_volume_from_snapshot(cloud: Cloud, array: Array,
                                     source: str):
    snapshot = cloud.snapshot(source)
    change(cloud, source)
    volume = cloud.create(2, snapshot_id=snapshot)
    assert_before(cloud, volume)
    assert array.find_ld(volume).capacity == 2 * GIB
    assert cloud.read(volume, 4, 2 * GIB - 4) == '\0' * 4


def test_volume_outlives_its_snapshot(cloud: Cloud, source: str):
    snapshot = cloud.snapshot(source)
    volume = cloud.create(snapshot_id=snapshot)
    cloud.delete_snapshot(snapshot)
    cloud.delete(source)
    assert_before(cloud, volume)


def test_clone(cloud: Cloud, array: Array, source: str):
    clone = cloud.create(source_volid=source)
    change(cloud, source)
    assert_before(cloud, clone)
    ld = array.find_ld(clone)
    assert (ld.capacity, ld.pool) == (GIB, 0)
    cloud.write(clone, 'own___')
    assert cloud.read(source, 6) == 'after_'


def test_larger_clone(cloud: Cloud, array: Array, source: str):
    clone = cloud.create(2, source_volid=source)
    change(cloud, source)
    assert_before(cloud, clone)
    assert array.find_ld(clone).capacity == 2 * GIB
    assert cloud.read(clone, 4, 2 * GIB - 4) == '\0' * 4


def test_clone_of_a_clone(cloud: Cloud, source: str):
    first = cloud.create(source_volid=source)
    second = cloud.create(source_volid=first)
    change(cloud, source)
    change(cloud, first)
    assert_before(cloud, second)


def test_clone_outlives_its_source(cloud: Cloud, source: str):
    clone = cloud.create(source_volid=source)
    cloud.delete(source)
    assert_before(cloud, clone)


def test_clone_of_an_attached_volume(cloud: Cloud, source: str):
    cloud.attach(source)
    assert_before(cloud, cloud.create(source_volid=source))


def test_clone_can_be_extended_and_attached(cloud: Cloud, array: Array,
                                            source: str):
    clone = cloud.create(source_volid=source)
    cloud.extend(clone, 3)
    cloud.attach(clone)
    assert array.find_ld(clone).capacity == 3 * GIB
    assert_before(cloud, clone)


def test_delete_of_a_volume_with_snapshots_is_refused(cloud: Cloud,
                                                      source: str):
    cloud.snapshot(source)
    with pytest.raises(exceptions.BadRequest):
        cloud.client.volumes.delete(source)
