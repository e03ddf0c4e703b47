# SPDX-License-Identifier: Apache-2.0
"""A volume goes back to a snapshot: bytes, states, refusals, crashes."""

from __future__ import annotations

import pytest

from cinder_nec import errors
from cinder_nec.model import GIB, LdName
from ismsim.entities import SnapState
from ismsim.faults import Action
from tests.backend.arrays import (
    POOL,
    Lab,
    host,
    make_engine,
    make_lab,
)
from tests.backend.replication import (
    OTHER,
    RATE,
    S1,
    S2,
    S3,
    kept,
    make_ddr_lab,
    pairs_of,
    picture,
    put_state,
)
from tests.backend.replication import VOLUME as MV

VOLUME, SNAPSHOT = LdName('LX', 'V' * 21), LdName('LX', 'S' * 21)
LATER = LdName('LX', 'L' * 21)
OLD, NEW = b'before the snapshot', b'after the snapshot!'


@pytest.fixture
def changed(tmp_path) -> Lab:
    """A volume that was changed after a snapshot; copies take time."""
    lab = make_lab(make_engine(tmp_path, copy_rate=RATE))
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.write(VOLUME, OLD)
    lab.snapshots.create_snapshot(VOLUME, SNAPSHOT)
    lab.write(VOLUME, NEW)
    return lab


def generation(lab: Lab, snapshot: LdName = SNAPSHOT):
    store = lab.engine.array.store
    return store.generations[lab.lds()[snapshot.label].ldn]


def run(lab: Lab, command: str) -> None:
    reply = lab.engine.execute(command).reply
    assert reply.status == 0, reply


# -- snapshot method --------------------------------------------------------

def test_the_volume_has_what_the_snapshot_kept(changed):
    capacity = changed.lds()[VOLUME.label].capacity
    changed.snapshots.revert(VOLUME, SNAPSHOT)
    assert changed.read(VOLUME, len(OLD)) == OLD
    assert changed.lds()[VOLUME.label].capacity == capacity
    assert generation(changed).state is SnapState.ACTIVE


def test_it_returns_when_the_array_is_done(changed):
    ldn = changed.lds()[VOLUME.label].ldn
    changed.engine.array.backing.write(
        ldn, 0, b'x' * (200 << 20), GIB)
    changed.snapshots.revert(VOLUME, SNAPSHOT)
    assert changed.time.slept_seconds > 1
    assert generation(changed).state is SnapState.ACTIVE
    assert generation(changed).ends is None


def test_it_takes_no_dump(changed):
    mark = changed.mark()
    changed.snapshots.revert(VOLUME, SNAPSHOT)
    sent = changed.sent(mark)
    assert sent[:2] == ['sc_query', 'sc_restore']
    assert set(sent[2:]) == {'sc_query'}


def test_other_snapshots_keep_their_data(changed):
    changed.snapshots.create_snapshot(VOLUME, LATER)
    changed.snapshots.revert(VOLUME, SNAPSHOT)
    assert changed.read(LATER, len(NEW)) == NEW
    assert changed.read(SNAPSHOT, len(OLD)) == OLD


def test_a_second_time(changed):
    for _ in range(2):
        changed.snapshots.revert(VOLUME, SNAPSHOT)
        assert changed.read(VOLUME, len(OLD)) == OLD
        changed.write(VOLUME, NEW)


def test_a_restore_that_runs_is_waited_for(changed):
    run(changed, f'iSMsc_restore -bv {VOLUME.label} -bvflg ld '
        f'-sv {SNAPSHOT.label} -svflg ld -derivsv keep -nowait')
    mark = changed.mark()
    changed.snapshots.revert(VOLUME, SNAPSHOT)
    assert set(changed.sent(mark)) == {'sc_query'}
    assert generation(changed).state is SnapState.ACTIVE


@pytest.mark.parametrize('state', ['---', 'snap/fault'])
def test_a_snapshot_without_data_restores_nothing(changed, state):
    changed.operate('snap_state', sv=SNAPSHOT.label, state=state)
    mark = changed.mark()
    with pytest.raises(errors.UnexpectedState, match='cannot be reverted'):
        changed.snapshots.revert(VOLUME, SNAPSHOT)
    assert 'sc_restore' not in changed.sent(mark)
    assert changed.read(VOLUME, len(NEW)) == NEW


def test_a_restore_that_fails_is_no_success(changed):
    """An unknown or bad state ends the wait with an error (D2)."""
    changed.fault(Action.GARBLE, prefix='iSMsc_query', nth=2)
    with pytest.raises(errors.NecError):
        changed.snapshots.revert(VOLUME, SNAPSHOT)


def test_a_snapshot_that_is_gone(changed):
    changed.snapshots.delete_snapshot(VOLUME, SNAPSHOT)
    with pytest.raises(errors.NotFound, match='has unbound already'):
        changed.snapshots.revert(VOLUME, SNAPSHOT)
    assert changed.read(VOLUME, len(NEW)) == NEW


def test_a_volume_that_a_host_sees_is_told_so(changed):
    changed.access.attach(VOLUME, host())
    with pytest.raises(errors.InUse, match='in LD Set LX:.*Detach'):
        changed.snapshots.revert(VOLUME, SNAPSHOT)
    assert changed.read(VOLUME, len(NEW)) == NEW


def test_a_snapshot_that_a_backup_reads(changed):
    run(changed, f'iSMcfg lvbind -bvname {VOLUME} -lvn 800 '
        f'-lvname {SNAPSHOT.label}_l')
    run(changed, f'iSMsc_link -lv {SNAPSHOT.label}_l -lvflg ld '
        f'-sv {SNAPSHOT.label} -svflg ld -lvacc ro')
    run(changed, 'iSMcfg addldsetld -ldset LX:Oracle '
        f'-ldname LX:{SNAPSHOT.label}_l')
    with pytest.raises(errors.InUse, match='LX:Oracle.*backup'):
        changed.snapshots.revert(VOLUME, SNAPSHOT)
    assert changed.read(VOLUME, len(NEW)) == NEW


def test_it_does_not_wait_for_ever(tmp_path):
    lab = make_lab(make_engine(tmp_path, copy_rate=1.0),
                   within_seconds=600.0)
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.snapshots.create_snapshot(VOLUME, SNAPSHOT)
    lab.write(VOLUME, NEW * 1000)
    with pytest.raises(errors.DeadlineExceeded, match='Reverting'):
        lab.snapshots.revert(VOLUME, SNAPSHOT)


# -- data replication -------------------------------------------------------
@pytest.fixture
def ddr(tmp_path) -> Lab:
    """A volume that was changed after a snapshot of it."""
    lab = make_ddr_lab(tmp_path)
    lab.write(MV, OLD)
    lab.snapshots.create_snapshot(MV, S1)
    lab.write(MV, NEW)
    return lab


def crash(lab: Lab) -> Lab:
    """Return a service that starts after the first one died."""
    return make_lab(lab.engine, ldn_start=3000, replication=True)


def test_a_replica_is_copied_back(ddr):
    ddr.snapshots.revert(MV, S1)
    assert ddr.read(MV, len(OLD)) == OLD
    assert ddr.read(S1, len(OLD)) == OLD
    assert picture(ddr) == ({MV.label: 1, S1.label: 1}, pairs_of(S1))


def test_it_never_sends_what_nobody_knows_the_form_of(ddr):
    mark = ddr.mark()
    ddr.snapshots.revert(MV, S1)
    assert 'rc_restore' not in ddr.sent(mark)


def test_snapshots_go_on_afterwards(ddr):
    ddr.snapshots.revert(MV, S1)
    ddr.write(MV, NEW)
    ddr.snapshots.create_snapshot(MV, S2)
    assert ddr.read(S2, len(NEW)) == NEW
    ddr.snapshots.delete_snapshot(MV, S1, force=True)
    ddr.snapshots.delete_snapshot(MV, S2, force=True)
    ddr.snapshots.delete_volume(MV)
    assert picture(ddr) == ({}, {})


def test_three_snapshots_stay_and_are_paired_again(ddr):
    for snapshot in (S2, S3):
        ddr.snapshots.create_snapshot(MV, snapshot)
    ddr.snapshots.revert(MV, S1)
    assert ddr.read(MV, len(OLD)) == OLD
    assert ddr.read(S2, len(NEW)) == NEW
    assert picture(ddr)[1] == pairs_of(S1, S2, S3)


def test_replicas_of_deleted_snapshots_go(ddr):
    ddr.snapshots.create_snapshot(MV, S2)
    ddr.snapshots.delete_snapshot(MV, S2)
    assert kept(S2).label in ddr.lds()
    ddr.snapshots.revert(MV, S1)
    assert picture(ddr) == ({MV.label: 1, S1.label: 1}, pairs_of(S1))


def test_an_unpaired_snapshot(ddr):
    ddr.inventory.refresh()
    pair = (f'-mv {MV.label} -mvflg ld -rv {S1.label} -rvflg ld')
    ddr.time.sleep(120)
    run(ddr, f'iSMrc_pair -unpair {pair} -force all')
    ddr.snapshots.revert(MV, S1)
    assert ddr.read(MV, len(OLD)) == OLD
    assert picture(ddr)[1] == {}


@pytest.mark.parametrize('broken, target', [(S1, S1), (S2, S1), (S1, S2)])
@pytest.mark.parametrize('state', ['fault', 'cancel'])
def test_a_snapshot_that_is_not_whole_stays_seen_as_such(
        ddr, broken, target, state):
    """Pairing it again would make it look sound."""
    ddr.snapshots.create_snapshot(MV, S2)
    ddr.time.sleep(120)
    put_state(ddr, broken, state)
    with pytest.raises(errors.UnexpectedState, match='broken off'):
        ddr.snapshots.revert(MV, target)
    assert ddr.read(MV, len(NEW)) == NEW
    assert picture(ddr)[1][MV.label, broken.label] == state


def test_a_volume_that_is_being_cloned(ddr):
    ddr.time.sleep(120)
    ddr.volumes.create(OTHER, 1, [POOL])
    pair = f'-mv {MV.label} -mvflg ld -rv {OTHER.label} -rvflg ld'
    run(ddr, f'iSMrc_pair -pair {pair}')
    run(ddr, f'iSMrc_replicate {pair} -nowait -cprange full -cpmode bg')
    with pytest.raises(errors.InUse, match='Wait for the copy'):
        crash(ddr).snapshots.revert(MV, S1)
    assert ddr.read(MV, len(NEW)) == NEW
    assert (MV.label, S1.label) in picture(ddr)[1]


def test_a_replica_in_another_array(ddr):
    ddr.operate('remote_pair_add', mv=MV.label, rv='faraway')
    with pytest.raises(errors.InUse, match='faraway'):
        ddr.snapshots.revert(MV, S1)
    assert ddr.read(MV, len(NEW)) == NEW


def test_a_volume_that_was_expanded_without_its_snapshot(ddr):
    ddr.time.sleep(120)
    pair = f'-mv {MV.label} -mvflg ld -rv {S1.label} -rvflg ld'
    run(ddr, f'iSMrc_pair -unpair {pair} -force all')
    run(ddr, f'iSMcfg ldexpand -ldn {ddr.lds()[MV.label].ldn} '
        '-capacity 2 -unit gb')
    with pytest.raises(errors.InUse, match='2 GiB.*1 GiB.*from the snap'):
        ddr.snapshots.revert(MV, S1)
    assert ddr.read(MV, len(NEW)) == NEW


def test_a_paired_volume_that_a_host_sees(ddr):
    ddr.time.sleep(120)
    ddr.access.attach(MV, host())
    with pytest.raises(errors.InUse, match='in LD Set'):
        ddr.snapshots.revert(MV, S1)
    assert picture(ddr)[1] == pairs_of(S1)


def test_a_snapshot_of_another_volume(ddr):
    ddr.volumes.create(OTHER, 1, [POOL])
    before = picture(ddr)
    with pytest.raises(errors.InUse, match='is paired with'):
        ddr.snapshots.revert(OTHER, S1)
    assert picture(ddr) == before


@pytest.mark.parametrize('command', [
    'iSMrc_pair -unpair', 'iSMrc_pair -pair', 'iSMrc_replicate',
    'iSMrc_separate'])
def test_a_crash_is_made_good_by_a_second_try(ddr, command):
    """The service dies right after a command, the copy half done."""
    class Died(BaseException):
        pass

    def die(*_arguments, **_values):
        raise Died

    ddr.snapshots.create_snapshot(MV, S2)
    ddr.time.sleep(120)
    ddr.inventory.refresh()
    transport = ddr.client._transport
    run_command = transport.run

    def dying(line, timeout):
        result = run_command(line, timeout)
        if line.startswith(command):
            transport.run = die
            raise Died
        return result

    transport.run = dying
    with pytest.raises(Died):
        ddr.snapshots.revert(MV, S1)
    again = crash(ddr)
    again.snapshots.revert(MV, S1)
    assert again.read(MV, len(OLD)) == OLD
    assert again.read(S1, len(OLD)) == OLD
    assert again.read(S2, len(NEW)) == NEW
    assert not any(rv == MV.label for _mv, rv in picture(again)[1])
    for snapshot in (S1, S2):
        again.snapshots.delete_snapshot(MV, snapshot, force=True)
    again.snapshots.delete_volume(MV)
    assert picture(again) == ({}, {})


def test_the_other_way_the_copy_breaks(ddr):
    """The volume is incomplete: an error, and everything is in place."""
    ddr.time.sleep(120)

    def break_copy():
        array = ddr.engine.array
        for pair in list(array.store.pairs.values()):
            if pair.rv == ddr.lds()[MV.label].ldn:
                ddr.operate('pair_state', rv=MV.label, state='fault')

    sleep = ddr.time.sleep
    ddr.time.sleep = lambda seconds: (break_copy(), sleep(seconds))
    with pytest.raises(errors.NecError):
        ddr.snapshots.revert(MV, S1)
    del ddr.time.sleep
    assert picture(ddr)[1] == pairs_of(S1)
    ddr.snapshots.revert(MV, S1)
    assert ddr.read(MV, len(OLD)) == OLD
