# SPDX-License-Identifier: Apache-2.0
"""Create, delete, extend."""

from __future__ import annotations

from cinderclient import exceptions
import pytest

from harness.array import Array
from tests.system.cloud import GIB, Cloud


def test_create(cloud: Cloud, array: Array):
    volume = cloud.create(3)
    ld = array.find_ld(volume)
    assert ld is not None
    assert ld.platform == 'LX'
    assert ld.capacity == 3 * GIB
    assert ld.pool == 0
    assert not array.sets_of(volume)


def test_volumes_have_disks_of_their_own(cloud: Cloud, array: Array):
    first, second = cloud.create(), cloud.create()
    cloud.write(first, 'first')
    cloud.write(second, 'second')
    assert cloud.read(first, 5) == 'first'
    assert array.find_ld(first).ldn != array.find_ld(second).ldn


def test_delete(cloud: Cloud, array: Array):
    volume = cloud.create()
    cloud.delete(volume)
    assert array.find_ld(volume) is None


def test_delete_of_a_disk_that_is_gone(cloud: Cloud, array: Array):
    """A delete that was interrupted after its last command."""
    volume = cloud.create()
    array.run(f'iSMcfg ldunbind -ldname {array.find_ld(volume).full_name}')
    cloud.delete(volume)


def test_extend_keeps_the_bytes(cloud: Cloud, array: Array):
    volume = cloud.create()
    cloud.write(volume, 'kept', GIB - 4)
    cloud.extend(volume, 4)
    assert array.find_ld(volume).capacity == 4 * GIB
    assert cloud.read(volume, 4, GIB - 4) == 'kept'
    assert cloud.read(volume, 4, 4 * GIB - 4) == '\0' * 4


def test_delete_of_an_attached_volume_is_refused(cloud: Cloud,
                                                 array: Array):
    volume = cloud.create()
    cloud.attach(volume)
    mark = array.mark()
    with pytest.raises(exceptions.BadRequest):
        cloud.client.volumes.delete(volume)
    assert not array.journal(mark)
    assert cloud.volume_status(volume) == 'in-use'


@pytest.mark.oldest
def test_many_at_once(cloud: Cloud, array: Array):
    ids = [cloud.client.volumes.create(1).id for _ in range(8)]
    cloud._volumes += ids
    for volume in ids:
        cloud.wait_volume(volume, 'available')
    assert len({array.find_ld(volume).ldn for volume in ids}) == 8
