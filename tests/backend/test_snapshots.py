# SPDX-License-Identifier: Apache-2.0
"""Snapshot method: snapshots, volumes from them, clones, with bytes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from cinder_nec import errors
from cinder_nec.model import GIB, LdName
from tests.backend.arrays import POOL, Time, make_engine, make_lab

VOLUME, OTHER = LdName('LX', 'V' * 21), LdName('LX', 'W' * 21)
SNAPSHOT = LdName('LX', 'S' * 21)
OLD, NEW = b'before the snapshot', b'after the snapshot!'


def snapshots(count: int) -> list[LdName]:
    return [LdName('LX', f'Snapshot{n:013d}') for n in range(count)]


@pytest.fixture
def written(lab):
    """A volume that was changed after a snapshot of it."""
    lab.volumes.create(VOLUME, 2, [POOL])
    lab.write(VOLUME, OLD)
    lab.snapshots.create_snapshot(VOLUME, SNAPSHOT)
    lab.write(VOLUME, NEW)
    return lab


def generations(lab) -> int:
    return len(lab.engine.array.store.generations)


def pairs(lab) -> int:
    return len(lab.engine.array.store.pairs)


def test_a_snapshot_takes_two_commands(lab):
    lab.volumes.create(VOLUME, 1, [POOL])
    mark = lab.mark()
    lab.snapshots.create_snapshot(VOLUME, SNAPSHOT)
    assert lab.sent(mark) == ['generationadd', 'sc_create']
    assert SNAPSHOT.label in lab.lds()


def test_the_snapshot_keeps_what_was_there(written):
    assert written.read(SNAPSHOT, len(OLD)) == OLD
    assert written.read(VOLUME, len(NEW)) == NEW


@pytest.mark.parametrize('size_gib', [2, 5])
def test_a_volume_from_a_snapshot_has_its_data(written, size_gib):
    written.snapshots.volume_from_snapshot(
        VOLUME, SNAPSHOT, 2, OTHER, size_gib, [POOL])
    assert written.read(OTHER, len(OLD)) == OLD
    assert written.lds()[OTHER.label].capacity == size_gib * GIB
    assert pairs(written) == 0
    written.snapshots.delete_snapshot(VOLUME, SNAPSHOT)
    assert written.read(OTHER, len(OLD)) == OLD


@pytest.mark.parametrize('size_gib', [2, 5])
def test_a_clone_has_the_data_of_now_and_stands_alone(written, size_gib):
    written.snapshots.clone(VOLUME, 2, OTHER, size_gib, [POOL])
    written.write(VOLUME, OLD)
    assert written.read(OTHER, len(NEW)) == NEW
    assert written.lds()[OTHER.label].capacity == size_gib * GIB
    assert pairs(written) == 0


def test_a_deleted_snapshot_leaves_nothing(written):
    written.snapshots.delete_snapshot(VOLUME, SNAPSHOT)
    assert generations(written) == 0
    assert SNAPSHOT.label not in written.lds()
    assert written.read(VOLUME, len(NEW)) == NEW
    mark = written.mark()
    written.volumes.extend(VOLUME, 3)  # no base volume any more
    written.snapshots.delete_volume(VOLUME)
    assert written.sent(mark) == ['ldexpand', 'ldunbind']


def test_a_snapshot_that_is_gone_is_deleted_with_success(written):
    written.snapshots.delete_snapshot(VOLUME, SNAPSHOT)
    written.snapshots.delete_snapshot(VOLUME, SNAPSHOT)


def test_deleting_one_of_many_removes_that_one(lab):
    lab.volumes.create(VOLUME, 1, [POOL])
    for number, name in enumerate(snapshots(5)):
        lab.write(VOLUME, b'%d' % number)
        lab.snapshots.create_snapshot(VOLUME, name)
    for gone in (2, 4, 0):
        lab.snapshots.delete_snapshot(VOLUME, snapshots(5)[gone])
    assert [lab.read(snapshots(5)[n], 1) for n in (1, 3)] == [b'1', b'3']
    assert generations(lab) == 2


def test_snapshots_of_one_volume_at_once_do_not_mix_up(tmp_path):
    lab = make_lab(make_engine(tmp_path, clock=Time(real=0.001)))
    lab.volumes.create(VOLUME, 1, [POOL])
    first, second = snapshots(16)[:8], snapshots(16)[8:]
    for name in first:
        lab.snapshots.create_snapshot(VOLUME, name)
    with ThreadPoolExecutor(16) as pool:
        deletes = [pool.submit(lab.snapshots.delete_snapshot, VOLUME, n)
                   for n in first]
        creates = [pool.submit(lab.snapshots.create_snapshot, VOLUME, n)
                   for n in second]
        for future in deletes + creates:
            future.result(60)
    assert {n.label for n in second} <= set(lab.lds())
    assert not {n.label for n in first} & set(lab.lds())
    assert generations(lab) == 8


def test_a_volume_with_snapshots_is_neither_extended_nor_deleted(written):
    before = written.state()
    with pytest.raises(errors.InUse, match='has snapshots'):
        written.volumes.extend(VOLUME, 3)
    with pytest.raises(errors.InUse, match='has snapshots'):
        written.snapshots.delete_volume(VOLUME)
    assert written.state() == before


def test_without_backup_pools_nothing_is_sent(lab):
    lab.volumes.create(VOLUME, 1, [POOL])
    bare = make_lab(lab.engine, backup_pools=())
    mark = lab.mark()
    with pytest.raises(errors.ConfigError,
                       match='backup_pools is not set') as caught:
        bare.snapshots.create_snapshot(VOLUME, SNAPSHOT)
    assert caught.value.option == 'nec_backup_pools'
    assert lab.sent(mark) == []


@pytest.mark.parametrize('pool', [0, 99], ids=['no SRA', 'no such pool'])
def test_a_backup_pool_that_cannot_serve_leaves_nothing(lab, pool):
    lab.volumes.create(VOLUME, 1, [POOL])
    before = lab.state()
    wrong = make_lab(lab.engine, backup_pools=(pool,))
    with pytest.raises(errors.CommandFailed):
        wrong.snapshots.create_snapshot(VOLUME, SNAPSHOT)
    assert lab.state() == before


def test_the_greatest_number_of_generations(lab):
    lab.volumes.create(VOLUME, 1, [POOL])
    for name in snapshots(256):
        lab.snapshots.create_snapshot(VOLUME, name)
    before = lab.state()
    with pytest.raises(errors.NecError):
        lab.snapshots.create_snapshot(VOLUME, SNAPSHOT)
    assert lab.state() == before


# -- states that should not be ----------------------------------------------

@pytest.mark.parametrize('state', ['snap/fault', '---'])
def test_a_lost_snapshot_makes_no_volume_and_can_be_deleted(written, state):
    written.operate('snap_state', sv=SNAPSHOT.label, state=state)
    before = written.state()
    with pytest.raises(errors.UnexpectedState,
                       match='the snapshot data does not exist'):
        written.snapshots.volume_from_snapshot(
            VOLUME, SNAPSHOT, 2, OTHER, 2, [POOL])
    assert written.state() == before
    written.snapshots.delete_snapshot(VOLUME, SNAPSHOT)
    assert generations(written) == 0


# -- copies -----------------------------------------------------------------

@pytest.fixture
def slow(tmp_path):
    """A full copy of 1 GiB takes half a minute."""
    lab = make_lab(make_engine(tmp_path, copy_rate=float(32 << 20)))
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.write(VOLUME, OLD * 100_000)
    return lab


def test_a_clone_waits_for_the_copy_and_asks_ever_less(slow):
    mark = slow.mark()
    slow.snapshots.clone(VOLUME, 1, OTHER, 1, [POOL])
    queries = slow.sent(mark).count('rc_query')
    assert slow.time.slept_seconds > 20
    assert 3 < queries < 15
    assert slow.read(OTHER, len(OLD) * 100_000) == OLD * 100_000


@pytest.mark.parametrize('state', ['fault', 'cancel'])
def test_a_copy_that_breaks_is_undone(slow, state):
    before = slow.state()
    real_sleep = slow.time.sleep
    broken = []

    def sleep(seconds):
        real_sleep(seconds)
        if seconds and not broken:
            broken.append(state)
            slow.operate('pair_state', mv=VOLUME.label, rv=OTHER.label,
                         state=state)

    slow.time.sleep = sleep
    with pytest.raises(errors.UnexpectedState, match='failed') as caught:
        slow.snapshots.clone(VOLUME, 1, OTHER, 1, [POOL])
    assert caught.value.actual == state
    assert slow.state() == before


def test_a_fourth_pair_is_refused_and_undone(slow):
    for number in range(3):
        name = LdName('LX', f'Pair{number:017d}')
        slow.volumes.create(name, 1, [POOL])
        slow.client.rc_pair(VOLUME.label, name.label)
    before = slow.state()
    with pytest.raises(errors.PairLimit,
                       match='number of pairs reached 3'):
        slow.snapshots.clone(VOLUME, 1, OTHER, 1, [POOL])
    assert slow.state() == before


@pytest.mark.parametrize('steps', range(5))
def test_what_a_crash_leaves_is_removed_by_the_delete(slow, steps):
    """The service dies after so many commands of a clone."""
    from cinder_nec.ismcli.commands import CopyRange, RvUse, VolumeAccess
    slow.volumes.create(OTHER, 1, [POOL])
    pair = (VOLUME.label, OTHER.label)
    for step in [
            lambda: slow.client.rc_pair(*pair),
            lambda: slow.client.rc_replicate(*pair, CopyRange.FULL),
            lambda: slow.client.rc_separate(
                *pair, VolumeAccess.READ_WRITE, RvUse.IMMEDIATE),
            lambda: slow.time.sleep(10_000)][:steps]:
        step()
    after = make_lab(slow.engine)
    after.snapshots.delete_volume(OTHER)
    assert OTHER.label not in slow.lds()
    assert pairs(slow) == 0
    after.snapshots.delete_volume(VOLUME)
    assert VOLUME.label not in slow.lds()
