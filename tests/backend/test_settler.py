# SPDX-License-Identifier: Apache-2.0
"""Copies that are handed out when they can be read, and settle then."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import threading

import pytest

from cinder_nec import errors
from cinder_nec.backend.copying.progress import Progress
from cinder_nec.model import GIB, LdName
from tests.backend.arrays import POOL, Time, host, make_engine, make_lab
from tests.helpers import FakeClock

# Base-62 of version 4 UUIDs: what a restarted service takes for volumes.
VOLUME = LdName('LX', '2mhTuYrCGy8YnJcgRQBCPs')
CLONE = LdName('LX', '6NSjtgPWTieAMhvsJspHA6')
OTHER = LdName('LX', '6timV9ZImmJlGxJzyoGgid')
SNAPSHOT = LdName('LX', '4q7I6V6T8c8BVFuE8UfWVP')
DATA = b'what the user wrote'
RATE = float(32 << 20)  # half a minute for a GiB


@pytest.fixture
def slow(tmp_path):
    return volume_on(make_lab(make_engine(tmp_path, copy_rate=RATE),
                              waits=False))


@pytest.fixture
def ddr(tmp_path):
    return volume_on(make_lab(make_engine(tmp_path, copy_rate=RATE),
                              replication=True, waits=False))


def volume_on(lab):
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.write(VOLUME, DATA)
    return lab


def clone(lab, name=CLONE, size_gib=1):
    lab.snapshots.clone(VOLUME, 1, name, size_gib, [POOL])


def pairs(lab):
    return len(lab.engine.array.store.pairs)


def run_settler(lab, seconds=3600):
    """What the thread does, in the time of the lab."""
    for name in [copy.rv for copy in lab.settler._copies.values()]:
        lab.settler.settle(name, seconds)


# -- ready at once ----------------------------------------------------------

@pytest.mark.parametrize('size_gib', [1, 1024])
def test_a_clone_of_any_size_is_ready_at_once(tmp_path, size_gib):
    lab = make_lab(make_engine(tmp_path, copy_rate=RATE), waits=False)
    lab.volumes.create(VOLUME, size_gib, [POOL])
    lab.write(VOLUME, DATA)
    mark, slept = lab.mark(), lab.time.slept_seconds
    lab.snapshots.clone(VOLUME, size_gib, CLONE, size_gib, [POOL])
    assert lab.sent(mark) == ['ldbind', 'nickname', 'pair', 'rc_replicate',
                              'rc_separate']
    assert lab.time.slept_seconds == slept
    assert lab.read(CLONE, len(DATA)) == DATA


def test_it_keeps_the_moment_of_the_clone_and_settles_alone(slow):
    clone(slow)
    slow.write(VOLUME, b'something newer....')
    assert slow.read(CLONE, len(DATA)) == DATA
    run_settler(slow)
    assert pairs(slow) == 0
    assert len(slow.settler) == 0
    assert slow.read(CLONE, len(DATA)) == DATA


def test_a_larger_clone_is_waited_for(slow):
    clone(slow, size_gib=2)
    assert slow.lds()[CLONE.label].capacity == 2 * GIB
    assert pairs(slow) == 0
    assert slow.time.slept_seconds > 20


def test_the_old_behaviour_comes_back_with_the_option(tmp_path):
    lab = volume_on(make_lab(make_engine(tmp_path, copy_rate=RATE)))
    clone(lab)
    assert pairs(lab) == 0
    assert lab.time.slept_seconds > 20


def test_a_clone_that_settles_can_be_attached(slow):
    clone(slow)
    info = slow.access.attach(CLONE, host())
    assert info['data']['target_iqn']
    run_settler(slow)
    assert slow.read(CLONE, len(DATA)) == DATA


# -- what waits -------------------------------------------------------------

def test_extend_of_either_end_waits(slow):
    clone(slow)
    slow.snapshots.extend_volume(CLONE, 2)
    assert slow.lds()[CLONE.label].capacity == 2 * GIB
    assert pairs(slow) == 0
    clone(slow, OTHER)
    slow.snapshots.extend_volume(VOLUME, 3)
    assert slow.lds()[VOLUME.label].capacity == 3 * GIB


def test_a_snapshot_of_the_clone_waits(slow):
    clone(slow)
    slow.snapshots.create_snapshot(CLONE, SNAPSHOT)
    assert slow.read(SNAPSHOT, len(DATA)) == DATA
    assert pairs(slow) == 0


def test_a_clone_of_the_clone_waits(slow):
    clone(slow)
    slow.snapshots.clone(CLONE, 1, OTHER, 1, [POOL])
    run_settler(slow)
    assert slow.read(OTHER, len(DATA)) == DATA
    assert pairs(slow) == 0


def test_a_snapshot_of_the_source_does_not_wait(slow):
    clone(slow)
    slept = slow.time.slept_seconds
    slow.snapshots.create_snapshot(VOLUME, SNAPSHOT)
    assert slow.time.slept_seconds == slept


@pytest.mark.parametrize('name', [VOLUME, CLONE], ids=['source', 'clone'])
def test_delete_of_either_end_waits_a_minute(slow, name):
    clone(slow)
    slow.snapshots.delete_volume(name)
    assert name.label not in slow.lds()
    assert pairs(slow) == 0


@pytest.mark.parametrize('name', [VOLUME, CLONE], ids=['source', 'clone'])
def test_delete_during_a_long_copy_is_refused_with_its_progress(
        tmp_path, name):
    lab = volume_on(make_lab(make_engine(tmp_path, copy_rate=1 << 20),
                             waits=False))
    clone(lab)
    before = lab.state()
    with pytest.raises(errors.InUse, match=r'still runs \(\d+ %, 1 MiB/s, '
                       r'0:1\d:\d\d left\)'):
        lab.snapshots.delete_volume(name)
    assert lab.state() == before
    lab.time.sleep(2000)
    lab.snapshots.delete_volume(name)
    assert name.label not in lab.lds()


# -- three pairs ------------------------------------------------------------

def test_more_clones_than_pairs_queue(slow):
    names = [LdName('LX', f'Clone{n:016d}') for n in range(8)]
    for name in names:
        clone(slow, name)
    run_settler(slow)
    for name in names:
        assert slow.read(name, len(DATA)) == DATA
    assert pairs(slow) == 0


@pytest.mark.parametrize('size_gib', [1, 2])
def test_sixteen_clones_at_once(tmp_path, size_gib):
    def start(work):
        threading.Thread(target=work, daemon=True).start()

    lab = volume_on(make_lab(
        make_engine(tmp_path, clock=Time(real=0.001), copy_rate=RATE),
        waits=False, start=start))
    names = [LdName('LX', f'Clone{n:016d}') for n in range(16)]
    mark = lab.mark()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: clone(lab, name, size_gib), names))
    run_settler(lab)
    for name in names:
        assert lab.read(name, len(DATA)) == DATA
    assert pairs(lab) == 0
    assert lab.sent(mark).count('ldbind') == 16
    # Who would be refused does not even ask.
    assert lab.sent(mark).count('pair') == 16


def test_three_snapshots_leave_no_place_to_wait_for(ddr):
    for number in range(3):
        ddr.snapshots.create_snapshot(
            VOLUME, LdName('LX', f'Snapshot{number:013d}'))
    before = ddr.state()
    with pytest.raises(errors.PairLimit):
        clone(ddr)
    assert ddr.state() == before


# -- what goes wrong --------------------------------------------------------

@pytest.mark.parametrize('state', ['fault', 'cancel'])
def test_a_copy_that_breaks_later_is_reported(slow, caplog, state):
    clone(slow)
    slow.operate('pair_state', mv=VOLUME.label, rv=CLONE.label, state=state)
    run_settler(slow)
    told, = (record.getMessage() for record in caplog.records
             if f'has stopped in state {state}' in record.getMessage())
    assert len(slow.settler) == 0
    # What it says is what mends it.
    slow.write(VOLUME, b'what came later')
    for text in told.rpartition(': ')[2].split('; '):
        slow.time.sleep(3600)
        reply = slow.engine.execute(text).reply
        assert reply.status == 0, (text, reply)
    assert pairs(slow) == 0
    assert slow.read(CLONE, 15) == b'what came later'
    slow.snapshots.delete_volume(CLONE)
    assert pairs(slow) == 0


def test_an_array_that_is_away_for_a_while_is_asked_again(slow):
    from ismsim.faults import Action
    clone(slow)
    slow.fault(Action.REFUSE, prefix='iSMrc_query', times=3)
    slow.fault(Action.REFUSE, prefix='iSMrc_pair -unpair', times=1)
    run_settler(slow)
    assert pairs(slow) == 0


def test_a_pair_that_a_peer_took_apart_has_settled(slow):
    clone(slow)
    slow.time.sleep(100)
    slow.client.rc_unpair(VOLUME.label, CLONE.label)
    run_settler(slow)
    assert len(slow.settler) == 0


# -- a restart --------------------------------------------------------------

def test_a_new_service_goes_on(slow):
    clone(slow)
    after = make_lab(slow.engine, waits=False)
    after.inventory.current()
    after.settler.adopt({VOLUME, CLONE})
    assert len(after.settler) == 1
    after.snapshots.extend_volume(CLONE, 2)
    assert pairs(after) == 0
    assert after.read(CLONE, len(DATA)) == DATA


def test_a_new_service_leaves_pairs_of_snapshots_alone(ddr):
    ddr.snapshots.create_snapshot(VOLUME, SNAPSHOT)
    clone(ddr)
    after = make_lab(ddr.engine, replication=True, waits=False)
    after.inventory.current()
    after.settler.adopt({VOLUME, CLONE})
    assert len(after.settler) == 1
    run_settler(after)
    assert pairs(after) == 1
    after.snapshots.delete_snapshot(VOLUME, SNAPSHOT, force=True)


def test_a_new_service_leaves_pairs_of_strangers_alone(slow):
    for name in ('strange_mv', 'strange_rv'):
        slow.volumes.create(LdName('LX', name), 1, [POOL])
    slow.client.rc_pair('strange_mv', 'strange_rv')
    after = make_lab(slow.engine, waits=False)
    after.settler.adopt({VOLUME, LdName('LX', 'strange_rv')})
    assert len(after.settler) == 0


# -- data replication -------------------------------------------------------

def test_a_volume_from_a_snapshot_is_ready_at_once(ddr):
    ddr.snapshots.create_snapshot(VOLUME, SNAPSHOT)
    ddr.time.sleep(100)
    slept = ddr.time.slept_seconds
    ddr.snapshots.volume_from_snapshot(VOLUME, SNAPSHOT, 1, CLONE, 1,
                                       [POOL])
    assert ddr.time.slept_seconds == slept
    assert ddr.read(CLONE, len(DATA)) == DATA
    run_settler(ddr)
    assert [(ddr.lds()[VOLUME.label].ldn, ddr.lds()[SNAPSHOT.label].ldn)
            ] == [(p.mv, p.rv)
                  for p in ddr.engine.array.store.pairs.values()]


def test_the_snapshot_is_paired_again_after_the_last_copy_from_it(ddr):
    ddr.snapshots.create_snapshot(VOLUME, SNAPSHOT)
    ddr.time.sleep(100)
    for name in (CLONE, OTHER):
        ddr.snapshots.volume_from_snapshot(VOLUME, SNAPSHOT, 1, name, 1,
                                           [POOL])
    run_settler(ddr)
    assert pairs(ddr) == 1
    for name in (CLONE, OTHER):
        assert ddr.read(name, len(DATA)) == DATA


def test_delete_of_the_snapshot_waits_for_the_copy(ddr):
    ddr.snapshots.create_snapshot(VOLUME, SNAPSHOT)
    ddr.time.sleep(100)
    ddr.snapshots.volume_from_snapshot(VOLUME, SNAPSHOT, 1, CLONE, 1,
                                       [POOL])
    ddr.snapshots.delete_snapshot(VOLUME, SNAPSHOT, force=True)
    assert SNAPSHOT.label not in ddr.lds()
    assert ddr.read(CLONE, len(DATA)) == DATA


# -- nobody asks without need -----------------------------------------------

def test_no_thread_and_no_query_without_copies(tmp_path):
    started = []
    lab = volume_on(make_lab(make_engine(tmp_path), waits=False,
                             start=started.append))
    mark = lab.mark()
    lab.snapshots.extend_volume(VOLUME, 2)
    assert lab.sent(mark) == ['ldexpand']
    assert not started
    clone_2 = LdName('LX', 'Clone2')
    lab.snapshots.clone(VOLUME, 2, clone_2, 2, [POOL])
    assert len(started) == 1
    started[0]()  # the thread ends when there is nothing left
    assert len(lab.settler) == 0
    mark = lab.mark()
    started[0]()
    assert lab.sent(mark) == []


def test_one_query_serves_all_copies_of_a_source(slow):
    for number in range(3):
        clone(slow, LdName('LX', f'Clone{number:016d}'))
    mark = slow.mark()
    slow.settler._step(slow.settler.involving(VOLUME))
    assert slow.sent(mark) == ['rc_query']


# -- progress ---------------------------------------------------------------

def test_progress_is_logged_in_steps_with_rate_and_time(slow, caplog):
    caplog.set_level('INFO', 'cinder_nec.backend.copying.settler')
    clone(slow)
    run_settler(slow)
    lines = [m for m in caplog.messages if m.startswith('Copying')]
    assert 1 <= len(lines) <= 10
    assert all('%' in line and 'MiB/s' in line and 'left' in line
               for line in lines[1:])
    assert caplog.messages[-1] == f'Copied `{VOLUME}` to `{CLONE}`.'


def test_progress_as_a_value():
    clock = FakeClock()
    progress = Progress(clock, 1000 << 20)
    assert not progress.move(1000 << 20)
    assert str(progress) == '0 %'
    clock.advance(10)
    assert not progress.move(950 << 20)
    clock.advance(10)
    assert progress.move(800 << 20)
    assert str(progress) == '20 %, 10 MiB/s, 0:01:20 left'
    clock.advance(601)
    assert progress.move(799 << 20)
