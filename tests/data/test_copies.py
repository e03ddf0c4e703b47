# SPDX-License-Identifier: Apache-2.0
"""Snapshots, clones, growth: what the host finds on the copies."""

from __future__ import annotations

import pytest

from allinone import wait_for
from harness.attached import MIB
from tests.data.cloud import User

pytestmark = pytest.mark.xdist_group('data-cloud')
GIB = 1 << 30
END = GIB - 4096


def test_a_snapshot_keeps_its_moment(user: User):
    """Of a volume that a host writes to; in a volume made from it, and
    after the volume was reverted to it."""
    volume = user.create()
    with user.on_host(volume) as disk:
        disk.write('at the snapshot', 0)
        disk.write('at the snapshot', END)
        snapshot = user.snapshot(volume, force=True)
        then = user.fingerprint(volume)
        disk.write('after', 0)
    copy = user.create(snapshot_id=snapshot)
    assert user.fingerprint(copy) == then != user.fingerprint(volume)
    assert user.host_reads(copy, 0, END) == ['at the snapshot'] * 2
    user.client.volumes.revert_to_snapshot(
        user.client.volumes.get(volume),
        user.client.volume_snapshots.get(snapshot))
    user.wait_volume(volume, 'available')
    assert user.fingerprint(volume) == then
    assert user.host_reads(volume, 0, END) == ['at the snapshot'] * 2


def test_a_second_snapshot_has_nothing_of_the_first(user: User):
    """What the array keeps of a deleted snapshot is not its own."""
    volume = user.create()
    user.write(volume, 'of the first', 0)
    user.write(volume, 'of the first', MIB)
    user.delete_snapshot(user.snapshot(volume))
    user.write(volume, 'of the second', 0)
    user.write(volume, '\0' * 20, MIB)
    second = user.snapshot(volume)
    wanted = user.fingerprint(volume)
    user.write(volume, 'later', 0)
    copy = user.create(snapshot_id=second)
    assert user.fingerprint(copy) == wanted
    assert user.read(copy, 13) == 'of the second'


def test_a_clone_goes_its_own_way(user: User):
    volume = user.create()
    user.write(volume, 'both', 0)
    user.write(volume, 'both', END)
    clone = user.create(source_volid=volume)
    assert user.fingerprint(clone) == user.fingerprint(volume)
    with user.on_host(volume) as source, user.on_host(clone, 1) as copy:
        assert [copy.read(0), copy.read(END)] == ['both'] * 2
        source.write('source', 0)
        copy.write('clone', END)
        assert [copy.read(0), source.read(END)] == ['both'] * 2


def test_growth_on_a_host(user: User):
    """Old data stays, the new part is zero to the end."""
    volume = user.create()
    with user.on_host(volume) as disk:
        disk.write('start', 0)
        disk.write('end', END)
        before = user.fingerprint(volume)
        user.client.volumes.extend(volume, 2)
        wait_for('volume extended', lambda: user.volume(
            volume).size == 2, 60)
        assert disk.extend() == 2 * GIB
        assert [disk.read(0), disk.read(END)] == ['start', 'end']
        assert disk.count_nonzero(GIB, 8 * MIB) == 0
        assert disk.count_nonzero(2 * GIB - 8 * MIB, 8 * MIB) == 0
        assert user.fingerprint(volume) == before
        disk.write('grown', 2 * GIB - 4096)
        assert user.read(volume, 5, 2 * GIB - 4096) == 'grown'
    user.wait_volume(volume, 'available')


def test_a_larger_copy_is_zero_behind_its_source(user: User):
    volume = user.create()
    user.write(volume, 'end', END)
    for copy in (user.create(2, source_volid=volume),
                 user.create(2, snapshot_id=user.snapshot(volume))):
        assert user.fingerprint(copy) == user.fingerprint(volume)
        assert user.path(copy).stat().st_size == 2 * GIB
