# SPDX-License-Identifier: Apache-2.0
"""Data replication method: every figure of the manual's chapter 10.

Each test shows the LDs, the pairs and their states before and after.
"""

from __future__ import annotations

from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
import contextlib

import pytest

from cinder_nec import errors
from cinder_nec.model import GIB, LdName
from tests.backend.arrays import BACKUP_POOL, POOL, host, make_engine, make_lab
from tests.backend.replication import (
    FULL_SECONDS,
    NEW,
    OLD,
    OTHER,
    RATE,
    S1,
    S2,
    S3,
    S4,
    S5,
    THIRD,
    VOLUME,
    execute,
    is_usable,
    keep,
    kept,
    lds_of,
    make_ddr_lab,
    pair,
    pairs_of,
    picture,
    snapshots,
)


@pytest.fixture
def lab(tmp_path):
    return make_ddr_lab(tmp_path)


# -- 10.1 creating a snapshot -----------------------------------------------

def test_10_1_1_a_new_rv_with_a_full_copy(lab):
    assert picture(lab) == (lds_of(VOLUME), {})
    slept = lab.time.slept_seconds
    lab.snapshots.create_snapshot(VOLUME, S1)
    # Ready as soon as the content is fixed, long before the copy ends.
    assert lab.time.slept_seconds == slept
    assert picture(lab) == (lds_of(VOLUME, S1),
                            pairs_of(S1, state='sep/exec'))
    assert is_usable(lab, S1)
    lab.write(VOLUME, NEW)
    assert lab.read(S1, len(OLD)) == OLD
    assert pair(lab, S1).copy_total == GIB
    lab.time.sleep(FULL_SECONDS)
    assert picture(lab) == (lds_of(VOLUME, S1), pairs_of(S1))
    assert lab.read(S1, len(OLD)) == OLD
    assert lab.read(VOLUME, len(NEW)) == NEW
    assert pair(lab, S1).rv_access == 'ro'
    assert lab.lds()[S1.label].pool == BACKUP_POOL


def test_a_snapshot_costs_five_commands_and_no_dump(lab):
    mark = lab.mark()
    lab.snapshots.create_snapshot(VOLUME, S1)
    assert lab.sent(mark) == ['ldbind', 'nickname', 'pair', 'rc_replicate',
                              'rc_separate']


def test_10_1_1_a_fourth_snapshot_is_refused_before_anything_is_made(lab):
    snapshots(lab, S1, S2, S3)
    before, mark = picture(lab), lab.mark()
    with pytest.raises(errors.PairLimit) as caught:
        lab.snapshots.create_snapshot(VOLUME, S4)
    assert str(caught.value).startswith(
        'Cannot create snapshot. number of pairs reached 3. '
        f'ldname={VOLUME}.')
    assert picture(lab) == before
    assert set(lab.sent(mark)) == {'rc_query'}
    # "The snapshot resulting in an error can be deleted."
    lab.snapshots.delete_snapshot(VOLUME, S4)
    assert picture(lab) == before


def test_10_1_1_three_snapshots_of_three_moments(lab):
    for number, name in enumerate((S1, S2, S3)):
        lab.write(VOLUME, b'moment %d' % number)
        lab.snapshots.create_snapshot(VOLUME, name)
    lab.write(VOLUME, b'now     ')
    assert [lab.read(n, 8) for n in (S1, S2, S3, VOLUME)] == [
        b'moment 0', b'moment 1', b'moment 2', b'now     ']


def test_10_1_2_an_rv_that_keeps_differences_is_reused(lab):
    keep(lab, S1)
    assert picture(lab) == (lds_of(VOLUME, kept(S1)), pairs_of(kept(S1)))
    ldn = lab.lds()[kept(S1).label].ldn
    lab.write(VOLUME, NEW)
    slept = lab.time.slept_seconds
    lab.snapshots.create_snapshot(VOLUME, S2)
    assert lab.time.slept_seconds == slept
    lab.write(VOLUME, OLD)
    assert lab.lds()[S2.label].ldn == ldn
    assert lab.read(S2, len(NEW)) == NEW
    # Only what differs is copied.
    assert 0 < pair(lab, S2).copy_total < GIB // 1000
    assert is_usable(lab, S2)
    lab.time.sleep(1)
    assert picture(lab) == (lds_of(VOLUME, S2), pairs_of(S2))
    assert pair(lab, S2).rv_access == 'ro'


def test_reuse_costs_four_commands_and_no_dump(lab):
    keep(lab, S1)
    mark = lab.mark()
    lab.snapshots.create_snapshot(VOLUME, S2)
    assert lab.sent(mark) == ['rc_query', 'nickname', 'rc_replicate',
                              'rc_separate']


def test_10_1_2_of_several_one_is_reused(lab):
    keep(lab, S1, S2, S3)
    lab.snapshots.create_snapshot(VOLUME, S4)
    names, pairs = picture(lab)
    assert S4.label in names and len(names) == 4
    assert len(set(names) & {kept(s).label for s in (S1, S2, S3)}) == 2
    assert len(pairs) == 3


def test_the_one_with_the_fewest_differences_is_reused(lab):
    keep(lab, S1)
    for number in range(4):
        lab.write(VOLUME, NEW, number << 20)
    snapshots(lab, S2)  # takes S1's
    lab.snapshots.create_snapshot(VOLUME, S3)
    lab.time.sleep(10 * FULL_SECONDS)
    lab.snapshots.delete_snapshot(VOLUME, S2)
    for number in range(4):
        lab.write(VOLUME, OLD, number << 20)
    snapshots(lab, S4)  # takes S2's
    lab.snapshots.delete_snapshot(VOLUME, S3)
    lab.snapshots.delete_snapshot(VOLUME, S4)
    ldn = lab.lds()[kept(S4).label].ldn
    lab.snapshots.create_snapshot(VOLUME, S5)
    assert lab.lds()[S5.label].ldn == ldn


def test_an_rv_of_another_size_is_not_reused(lab):
    keep(lab, S1)
    execute(lab, f'iSMcfg ldexpand -ldn {lab.lds()[VOLUME.label].ldn} '
                 '-capacity 2 -unit gb')
    lab.inventory.refresh()
    snapshots(lab, S2)
    assert picture(lab) == (
        {VOLUME.label: 2, S2.label: 2, kept(S1).label: 1},
        pairs_of(kept(S1), S2))
    assert lab.read(S2, len(OLD)) == OLD


# -- 10.2 deleting a snapshot -----------------------------------------------

def test_10_2_1_the_rv_is_kept_for_its_differences(lab):
    snapshots(lab, S1)
    ldn = lab.lds()[S1.label].ldn
    assert picture(lab) == (lds_of(VOLUME, S1), pairs_of(S1))
    mark = lab.mark()
    lab.snapshots.delete_snapshot(VOLUME, S1)
    assert picture(lab) == (lds_of(VOLUME, kept(S1)), pairs_of(kept(S1)))
    assert lab.lds()[kept(S1).label].ldn == ldn
    assert lab.sent(mark) == ['rc_query', 'nickname']
    lab.snapshots.delete_snapshot(VOLUME, S1)  # once more is no error
    assert picture(lab) == (lds_of(VOLUME, kept(S1)), pairs_of(kept(S1)))


def test_10_2_2_force_delete_removes_the_rv(lab):
    snapshots(lab, S1, S2)
    lab.snapshots.delete_snapshot(VOLUME, S1, force=True)
    assert picture(lab) == (lds_of(VOLUME, S2), pairs_of(S2))
    lab.snapshots.delete_snapshot(VOLUME, S2, force=True)
    assert picture(lab) == (lds_of(VOLUME), {})
    mark = lab.mark()
    lab.snapshots.delete_volume(VOLUME)
    assert lab.sent(mark) == ['ldunbind']


def test_10_2_2_force_delete_removes_what_was_kept_before(lab):
    keep(lab, S1)
    lab.snapshots.delete_snapshot(VOLUME, S1, force=True)
    assert picture(lab) == (lds_of(VOLUME), {})


@pytest.mark.parametrize('force', [False, True])
def test_10_2_3_an_unpaired_rv_is_removed_in_any_case(lab, force):
    snapshots(lab, S1)
    execute(lab, f'iSMrc_pair -unpair -mv {VOLUME.label} -mvflg ld '
                 f'-rv {S1.label} -rvflg ld')
    assert picture(lab) == (lds_of(VOLUME, S1), {})
    lab.snapshots.delete_snapshot(VOLUME, S1, force=force)
    assert picture(lab) == (lds_of(VOLUME), {})


def test_a_leftover_never_wins_over_the_real_one(lab):
    """D5: the leftover was deleted, the real LD was orphaned."""
    snapshots(lab, S1)
    lab.volumes.create(kept(S1), 1, [BACKUP_POOL])
    lab.snapshots.delete_snapshot(VOLUME, S1)
    assert picture(lab) == (lds_of(VOLUME, kept(S1)), {})


def test_an_attached_snapshot_is_shown_to_nobody_afterwards(lab):
    snapshots(lab, S1)
    lab.access.attach(S1, host())
    lab.snapshots.delete_snapshot(VOLUME, S1)
    assert not lab.engine.array.store.ldsets_of(
        lab.lds()[kept(S1).label].ldn)


# -- 10.3 a volume from a snapshot ------------------------------------------

@pytest.mark.parametrize('size_gib', [1, 3])
def test_10_3_1_from_an_rv_that_is_paired(lab, size_gib):
    snapshots(lab, S1)
    lab.write(VOLUME, NEW)
    assert picture(lab) == (lds_of(VOLUME, S1), pairs_of(S1))
    lab.snapshots.volume_from_snapshot(VOLUME, S1, 1, OTHER, size_gib,
                                       [POOL])
    assert picture(lab) == (
        {**lds_of(VOLUME, S1), OTHER.label: size_gib}, pairs_of(S1))
    assert lab.lds()[OTHER.label].pool == POOL
    assert [lab.read(n, len(OLD)) for n in (VOLUME, S1, OTHER)] == [
        NEW, OLD, OLD]


def test_10_3_1_note_1_the_limit_was_reached_meanwhile(lab, caplog):
    snapshots(lab, S1)
    peer = make_lab(lab.engine, replication=True)
    real_sleep, made = lab.time.sleep, []

    def sleep(seconds):
        real_sleep(seconds)
        if seconds and not made:
            made.extend((S2, S3, S4))
            for name in made:
                peer.snapshots.create_snapshot(VOLUME, name)

    lab.time.sleep = sleep
    lab.snapshots.volume_from_snapshot(VOLUME, S1, 1, OTHER, 1, [POOL])
    lab.time.sleep = real_sleep
    lab.time.sleep(10 * FULL_SECONDS)
    assert picture(lab) == (lds_of(VOLUME, S1, S2, S3, S4, OTHER),
                            pairs_of(S2, S3, S4))
    assert 'Re-pairing the volumes failed' in caplog.text
    assert 'number of pairs reached 3' in caplog.text
    assert lab.read(OTHER, len(OLD)) == OLD
    # The snapshot serves as before, and can be deleted.
    lab.snapshots.volume_from_snapshot(VOLUME, S1, 1, THIRD, 1, [POOL])
    assert lab.read(THIRD, len(OLD)) == OLD
    lab.snapshots.delete_snapshot(VOLUME, S1)
    assert S1.label not in lab.lds()


def test_10_3_1_note_2_the_next_copy_is_a_full_one(lab):
    snapshots(lab, S1)
    lab.snapshots.volume_from_snapshot(VOLUME, S1, 1, OTHER, 1, [POOL])
    lab.snapshots.delete_snapshot(VOLUME, S1)
    lab.write(VOLUME, NEW)
    mark = lab.mark()
    snapshots(lab, S2)
    [replicate] = [e.command for e in lab.engine.journal.since(mark)
                   if 'replicate' in e.command]
    assert '-cprange full' in replicate
    assert picture(lab) == (lds_of(VOLUME, S2, OTHER), pairs_of(S2))
    assert lab.read(S2, len(NEW)) == NEW
    # And the one after that is differential again.
    lab.snapshots.delete_snapshot(VOLUME, S2)
    lab.snapshots.create_snapshot(VOLUME, S3)
    assert pair(lab, S3).copy_total < GIB // 1000


def test_10_3_2_from_an_rv_that_is_not_paired(lab):
    snapshots(lab, S1)
    execute(lab, f'iSMrc_pair -unpair -mv {VOLUME.label} -mvflg ld '
                 f'-rv {S1.label} -rvflg ld')
    lab.inventory.refresh()
    lab.write(VOLUME, NEW)
    assert picture(lab) == (lds_of(VOLUME, S1), {})
    lab.snapshots.volume_from_snapshot(VOLUME, S1, 1, OTHER, 1, [POOL])
    assert picture(lab) == (lds_of(VOLUME, S1, OTHER), {})
    assert lab.read(OTHER, len(OLD)) == OLD


def test_the_snapshot_survives_a_copy_that_breaks(lab):
    snapshots(lab, S1)
    before = picture(lab)
    real_sleep, broken = lab.time.sleep, []

    def sleep(seconds):
        real_sleep(seconds)
        if seconds and not broken:
            broken.append(lab.operate('pair_state', mv=S1.label,
                                      rv=OTHER.label, state='fault'))

    lab.time.sleep = sleep
    with pytest.raises(errors.UnexpectedState, match='failed'):
        lab.snapshots.volume_from_snapshot(VOLUME, S1, 1, OTHER, 1, [POOL])
    assert picture(lab) == before
    assert lab.read(S1, len(OLD)) == OLD


def test_no_room_for_the_larger_volume_leaves_the_pair_alone(lab):
    """W21: the pool must have room for the size the volume gets."""
    snapshots(lab, S1)
    lab.operate('pool_free', pool=POOL, free='2 GiB')
    lab.inventory.refresh()
    before, mark = lab.state(), lab.mark()
    with pytest.raises(errors.NoCapacity, match='No available pools'):
        lab.snapshots.volume_from_snapshot(VOLUME, S1, 1, OTHER, 4, [POOL])
    assert lab.state() == before
    assert 'unpair' not in lab.sent(mark)


# -- 10.4 deleting a volume -------------------------------------------------

def test_10_4_1_without_rvs(lab):
    assert picture(lab) == (lds_of(VOLUME), {})
    lab.snapshots.delete_volume(VOLUME)
    assert picture(lab) == ({}, {})


def test_10_4_2_the_rvs_that_keep_differences_go_with_it(lab):
    keep(lab, S1, S2)
    lab.volumes.create(OTHER, 1, [POOL])
    assert picture(lab) == (lds_of(VOLUME, kept(S1), kept(S2), OTHER),
                            pairs_of(kept(S1), kept(S2)))
    lab.snapshots.delete_volume(VOLUME)
    assert picture(lab) == (lds_of(OTHER), {})


def test_10_4_2_also_when_another_service_made_them(lab):
    peer = make_lab(lab.engine, replication=True)
    keep(peer, S1)
    lab.snapshots.delete_volume(VOLUME)
    assert picture(lab) == ({}, {})


def test_10_4_3_with_a_snapshot_it_is_refused(lab):
    snapshots(lab, S1)
    keep(lab, S2)
    before = lab.state()
    with pytest.raises(errors.InUse) as caught:
        lab.snapshots.delete_volume(VOLUME)
    assert f'Specified Logical Disk {VOLUME} has been copied' in str(
        caught.value)
    assert S1.label in str(caught.value)
    assert lab.state() == before


# -- where snapshots go -----------------------------------------------------

def test_backup_pools_are_chosen_by_lds_and_room(tmp_path):
    """W22: the pool with the fewest LDs that has room."""
    engine = make_engine(tmp_path, copy_rate=RATE, changes={'pools': [
        {'number': 0, 'capacity': '100 GiB'},
        {'number': 1, 'capacity': '100 GiB'},
        {'number': 2, 'capacity': '4 GiB'},
        {'number': 3, 'capacity': '100 GiB'}],
        'lds': [{'ldn': 9, 'name': 'RSV', 'pool': 0, 'capacity': '1 GiB',
                 'kind': 'rsv'},
                *({'ldn': ldn, 'name': f'LX:other{ldn}', 'pool': 3,
                   'capacity': '1 GiB'} for ldn in (7, 8))],
        'ldsets': []})
    lab = make_lab(engine, replication=True, backup_pools=(1, 2, 3))
    lab.volumes.create(VOLUME, 2, [POOL])
    chosen = []
    for name in (S1, S2, S3):
        lab.snapshots.create_snapshot(VOLUME, name)
        chosen.append(lab.lds()[name.label].pool)
    assert chosen == [1, 2, 1]


def test_no_room_in_the_backup_pools_leaves_nothing(lab):
    lab.operate('pool_free', pool=BACKUP_POOL, free='0')
    lab.inventory.refresh()
    before = lab.state()
    with pytest.raises(errors.NoCapacity, match='nec_backup_pools'):
        lab.snapshots.create_snapshot(VOLUME, S1)
    assert lab.state() == before


def test_without_backup_pools_nothing_is_sent(lab):
    bare = make_lab(lab.engine, backup_pools=(), replication=True)
    mark = lab.mark()
    with pytest.raises(errors.ConfigError,
                       match='backup_pools is not set') as caught:
        bare.snapshots.create_snapshot(VOLUME, S1)
    assert caught.value.option == 'nec_backup_pools'
    assert lab.sent(mark) == []


def test_snapshots_may_have_another_os_type_than_volumes(lab):
    """W14: names were made with the wrong format."""
    s1, s2 = (LdName('AX', s.label) for s in (S1, S2))
    snapshots(lab, s1)
    lab.write(VOLUME, NEW)
    lab.snapshots.volume_from_snapshot(VOLUME, s1, 1, OTHER, 1, [POOL])
    assert lab.read(OTHER, len(OLD)) == OLD
    lab.snapshots.delete_snapshot(VOLUME, s1)
    assert lab.lds()[kept(s1).label].platform == 'AX'
    snapshots(lab, s2)
    assert lab.read(s2, len(NEW)) == NEW
    lab.snapshots.extend_volume(VOLUME, 2)
    lab.snapshots.delete_snapshot(VOLUME, s2)
    lab.snapshots.delete_volume(VOLUME)
    assert picture(lab) == (lds_of(OTHER), {})


def test_a_volume_that_is_not_whole_gib_has_no_snapshot(lab):
    lab.operate('ld_add', ldn=77, name=str(OTHER), pool=POOL,
                capacity='1536 MiB')
    before = lab.state()
    with pytest.raises(errors.InvalidInput, match='extend the volume'):
        lab.snapshots.create_snapshot(OTHER, S1)
    assert lab.state() == before


# -- several at once --------------------------------------------------------

def outcomes(started) -> list[str]:
    done = []
    for future in started:
        error = future.exception(60)
        assert error is None or isinstance(error, errors.NecError), error
        done.append('ok' if error is None else type(error).__name__)
    return sorted(done)


def test_five_snapshots_at_once_give_three(lab):
    with ThreadPoolExecutor(5) as pool:
        started = [pool.submit(lab.snapshots.create_snapshot, VOLUME, name)
                   for name in (S1, S2, S3, S4, S5)]
        assert outcomes(started) == ['PairLimit'] * 2 + ['ok'] * 3
    lab.time.sleep(100 * FULL_SECONDS)
    names, pairs = picture(lab)
    assert len(names) == 4 and len(pairs) == 3
    assert set(pairs.values()) == {'separated'}


def test_one_kept_rv_serves_one_of_two_at_once(lab):
    keep(lab, S1)
    with ThreadPoolExecutor(2) as pool:
        started = [pool.submit(lab.snapshots.create_snapshot, VOLUME, name)
                   for name in (S2, S3)]
        assert outcomes(started) == ['ok', 'ok']
    lab.time.sleep(10 * FULL_SECONDS)
    assert picture(lab) == (lds_of(VOLUME, S2, S3), pairs_of(S2, S3))


def test_a_clone_does_not_take_away_what_a_snapshot_has_chosen(lab):
    keep(lab, S1, S2, S3)
    real, clones = lab.volumes.rename, []

    def rename(old_name, new_name):
        clones.append(pool.submit(lab.snapshots.clone, VOLUME, 1, OTHER, 1,
                                  [POOL]))
        # It waits until the snapshot has its RV.
        with contextlib.suppress(futures.TimeoutError):
            clones[0].result(0.5)
        real(old_name, new_name)

    lab.volumes.rename = rename
    with ThreadPoolExecutor(1) as pool:
        lab.snapshots.create_snapshot(VOLUME, S4)
        clones[0].result(60)
    names, pairs = picture(lab)
    assert {VOLUME.label, S4.label, OTHER.label} <= set(names)
    assert len(names) == 4 and len(pairs) == 2


def test_a_limit_that_others_reached_is_undone(lab):
    """7.3.2 note 2: the array says no although three were not known."""
    peer = make_lab(lab.engine, replication=True)
    snapshots(peer, S1, S2, S3)
    before = picture(lab)
    with pytest.raises(errors.PairLimit, match='Cannot create snapshot'):
        lab.snapshots.create_snapshot(VOLUME, S4)
    assert picture(lab) == before


def test_a_kept_rv_of_another_service_is_found_after_a_refusal(lab):
    peer = make_lab(lab.engine, replication=True)
    snapshots(peer, S1, S2, S3)
    peer.snapshots.delete_snapshot(VOLUME, S2)
    lab.snapshots.create_snapshot(VOLUME, S4)
    lab.time.sleep(10 * FULL_SECONDS)
    assert picture(lab) == (lds_of(VOLUME, S1, S3, S4),
                            pairs_of(S1, S3, S4))


# -- clones (7.3.2) ---------------------------------------------------------

def test_a_clone_of_a_volume_with_two_snapshots(lab):
    snapshots(lab, S1, S2)
    lab.snapshots.clone(VOLUME, 1, OTHER, 2, [POOL])
    assert picture(lab) == ({**lds_of(VOLUME, S1, S2), OTHER.label: 2},
                            pairs_of(S1, S2))
    assert lab.read(OTHER, len(OLD)) == OLD


def test_7_3_2_note_1_a_clone_with_three_rvs_is_refused(lab):
    snapshots(lab, S1, S2, S3)
    before, mark = picture(lab), lab.mark()
    with pytest.raises(errors.PairLimit) as caught:
        lab.snapshots.clone(VOLUME, 1, OTHER, 1, [POOL])
    assert str(caught.value).startswith(
        'Cannot create clone volume. number of pairs reached 3. '
        f'ldname={VOLUME}.')
    assert picture(lab) == before
    assert set(lab.sent(mark)) == {'rc_query'}


@pytest.mark.parametrize('live', [(), (S4,), (S4, S5)])
def test_an_rv_that_keeps_differences_gives_way_to_a_clone(lab, live):
    snapshots(lab, *live)
    for name in (S1, S2, S3)[len(live):]:
        snapshots(lab, name)
    for name in (S1, S2, S3)[len(live):]:
        lab.snapshots.delete_snapshot(VOLUME, name)
    assert len(picture(lab)[1]) == 3
    lab.snapshots.clone(VOLUME, 1, OTHER, 1, [POOL])
    names, pairs = picture(lab)
    assert len(pairs) == 2 and len(names) == 4
    assert {name.label for name in (VOLUME, OTHER, *live)} <= set(names)
    assert lab.read(OTHER, len(OLD)) == OLD


def test_one_gives_way_also_when_only_the_array_knows_of_three(lab):
    keep(make_lab(lab.engine, replication=True), S1, S2, S3)
    lab.snapshots.clone(VOLUME, 1, OTHER, 1, [POOL])
    assert len(picture(lab)[1]) == 2
    assert lab.read(OTHER, len(OLD)) == OLD


def test_a_clone_of_a_volume_without_rvs_asks_nothing_first(lab):
    mark = lab.mark()
    lab.snapshots.clone(VOLUME, 1, OTHER, 1, [POOL])
    sent = lab.sent(mark)
    assert sent[:5] == ['ldbind', 'nickname', 'pair', 'rc_replicate',
                        'rc_separate']
    assert 'dump' not in sent
