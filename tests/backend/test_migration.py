# SPDX-License-Identifier: Apache-2.0
"""Moving a volume inside the array, and what a crash leaves of it."""

from __future__ import annotations

import itertools

import pytest

from cinder_nec import errors
from cinder_nec.backend.io_control import IoControl, IoLimits
from cinder_nec.backend.volumes import migrating, parked
from cinder_nec.model import GIB, LdName
from ismsim import operate
from ismsim.faults import Action
from tests.backend.arrays import (
    POOL,
    Lab,
    Time,
    host,
    make_engine,
    make_lab,
)
from tests.backend.moves import make_migration

NAME = LdName('LX', 'V' * 22)
COPY, OLD = migrating(NAME), parked(NAME)
SNAPSHOT, OTHER = LdName('LX', 'S' * 22), LdName('LX', 'W' * 22)
DESTINATION = 2
NONE = IoLimits()
DATA = b'the only copy'
END = 2 * GIB - len(DATA)


@pytest.fixture
def volume(lab: Lab) -> LdName:
    lab.volumes.create(NAME, 2, [POOL])
    write(lab)
    return NAME


def write(lab: Lab) -> None:
    lab.write(NAME, DATA)
    lab.write(NAME, DATA, END)


def assert_data(lab: Lab, name: LdName = NAME) -> None:
    assert lab.read(name, len(DATA)) == DATA
    assert lab.read(name, len(DATA), END) == DATA


def ours(lab: Lab) -> dict[str, int]:
    """Return the pools of the LDs that belong to the volume."""
    return {name: ld.pool for name, ld in lab.lds().items()
            if name.startswith(NAME.label)}


def move(lab: Lab, limits: IoLimits = NONE) -> None:
    make_migration(lab).move(NAME, [DESTINATION], limits)


def limit(lab: Lab, name: LdName = NAME) -> tuple[int, int, bool]:
    found = lab.lds()[name.label].limit
    return found.upper, found.lower, found.report


# -- a move -----------------------------------------------------------------

def test_volume_is_in_the_other_pool_under_its_name(lab, volume):
    before = lab.state()
    move(lab)
    assert ours(lab) == {NAME.label: DESTINATION}
    assert_data(lab)
    assert not lab.engine.array.store.pairs
    assert lab.lds()[NAME.label].capacity == 2 * GIB
    assert len(lab.state()[0]) == len(before[0])


def test_what_it_sends(lab, volume):
    mark = lab.mark()
    move(lab)
    sent = lab.sent(mark)
    assert [c for c in sent if c not in ('dump', 'rc_query')] == [
        'ldbind', 'nickname', 'pair', 'rc_replicate', 'rc_separate',
        'unpair', 'nickname', 'nickname', 'ldunbind']
    assert sent.count('dump') <= 3


def test_volume_can_be_used_after_it(lab, volume):
    move(lab)
    lab.access.attach(NAME, host())
    lab.access.detach(NAME, host())
    lab.volumes.extend(NAME, 4)
    lab.snapshots.create_snapshot(NAME, SNAPSHOT)
    lab.snapshots.delete_snapshot(NAME, SNAPSHOT)
    assert lab.lds()[NAME.label].capacity == 4 * GIB
    lab.snapshots.delete_volume(NAME)
    assert not ours(lab)


def test_there_and_back(lab, volume):
    move(lab)
    make_migration(lab).move(NAME, [POOL], NONE)
    assert ours(lab) == {NAME.label: POOL}
    assert_data(lab)


def test_volume_that_is_there_already_is_not_copied(lab, volume):
    mark = lab.mark()
    make_migration(lab).move(NAME, [POOL, DESTINATION], NONE)
    make_migration(lab).move(NAME, [], NONE)
    assert not lab.sent(mark)


def test_copy_that_takes_its_time(tmp_path):
    lab = make_lab(make_engine(tmp_path, clock=Time(), copy_rate=1 << 20))
    lab.volumes.create(NAME, 2, [POOL])
    write(lab)
    move(lab)
    assert lab.time.slept_seconds >= 2048
    assert_data(lab)
    assert ours(lab) == {NAME.label: DESTINATION}


def test_limits_of_the_volume_are_kept(lab, volume):
    move(lab, IoLimits(500, 100, True))
    assert limit(lab) == (500, 100, True)


def test_no_limits_means_the_initial_values(lab, volume):
    lab.client._transport.run('iSMioc setdfllimit -upperlimit 700', 60.0)
    move(lab)
    assert limit(lab) == (700, 0, False)


# -- refusals ---------------------------------------------------------------

def assert_refused(lab, error, match, run=move):
    before = lab.state()
    with pytest.raises(error, match=match):
        run(lab)
    assert lab.state() == before


def test_attached_volume_stays(lab, volume):
    lab.access.attach(NAME, host())
    assert_refused(lab, errors.InUse, 'LD Set')


def test_volume_with_snapshots_stays(lab, volume):
    lab.snapshots.create_snapshot(NAME, SNAPSHOT)
    assert_refused(lab, errors.InUse, 'snapshots')


def test_volume_with_an_rv_that_keeps_differences_stays(lab, volume):
    """Manual 7.3.4, note 2."""
    kept = LdName('LX', SNAPSHOT.label + '_d')
    lab.volumes.create(kept, 2, [1])
    lab.client.rc_pair(NAME.label, kept.label)
    assert_refused(lab, errors.InUse, 'note 2')


def test_peers_change_is_seen(lab, volume):
    """What the inventory says is old: another service has attached it."""
    make_lab(lab.engine).access.attach(NAME, host())
    assert_refused(lab, errors.InUse, 'LD Set')


def test_unknown_volume(lab):
    assert_refused(lab, errors.NotFound, 'V' * 22)


def test_no_room(lab, volume):
    operate.pool_free(lab.engine.array,
                      {'pool': DESTINATION, 'free': '1 GiB'})
    assert_refused(lab, errors.NoCapacity, 'No available pools')


def test_limits_the_array_refuses(lab, volume):
    assert_refused(lab, errors.CommandFailed, 'setlimit',
                   lambda lab: move(lab, IoLimits(10, 20)))
    assert limit(lab) == (0, 0, False)


# -- copies that go wrong ---------------------------------------------------

@pytest.mark.parametrize('state', ['fault', 'cancel'])
def test_broken_copy(tmp_path, state):
    """Only `separated` is success (trap D2)."""
    lab = slow(tmp_path)

    def strike() -> None:
        operate.pair_state(lab.engine.array, {
            'mv': NAME.label, 'rv': COPY.label, 'state': state})

    during_the_copy(lab, strike)
    assert_refused(lab, errors.UnexpectedState, state)
    assert_data(lab)


def test_unknown_state_is_no_success(lab, volume):
    """Nothing is known of the pair any more: nothing is removed."""
    lab.fault(Action.GARBLE, prefix='iSMrc_query', times=None)
    with pytest.raises(errors.NecError) as caught:
        move(lab)
    assert isinstance(caught.value, errors.RollbackFailed)
    assert COPY.label in str(caught.value)
    assert ours(lab)[NAME.label] == POOL
    assert_data(lab)
    lab.engine.faults.clear()
    move(lab)
    assert ours(lab) == {NAME.label: DESTINATION}


def test_deadline(tmp_path):
    """It gives up after its time, not after twice of it."""
    lab = slow(tmp_path)
    migration = make_migration(lab, within_seconds=600.0)
    with pytest.raises(errors.RollbackFailed,
                       match='did not finish within 600 s') as caught:
        migration.move(NAME, [DESTINATION], NONE)
    assert lab.time.slept_seconds < 700
    assert 'iSMrc_pair -unpair' in str(caught.value)
    assert_data(lab)
    # Later on the copy has ended, and the next try makes a new one.
    lab.time.sleep(3600)
    move(lab)
    assert ours(lab) == {NAME.label: DESTINATION}
    assert_data(lab)


def slow(tmp_path) -> Lab:
    lab = make_lab(make_engine(tmp_path, clock=Time(), copy_rate=1 << 20))
    lab.volumes.create(NAME, 2, [POOL])
    write(lab)
    return lab


def during_the_copy(lab: Lab, strike) -> None:
    """Do something while the driver waits for the copy."""
    sleep = lab.time.sleep

    def sleeping(seconds: float) -> None:
        pairs = lab.engine.array.store.pairs.values()
        if any(pair.state.value == 'sep/exec' for pair in pairs):
            lab.time.sleep = sleep
            strike()
        sleep(seconds)

    lab.time.sleep = sleeping


# -- what others do meanwhile -----------------------------------------------

def test_written_while_it_was_copied(tmp_path):
    """Cinder lets a volume that migrates be attached and detached."""
    lab = slow(tmp_path)
    peer = make_lab(lab.engine)

    def use() -> None:
        peer.access.attach(NAME, host())
        peer.write(NAME, b'newer', 4096)
        peer.access.detach(NAME, host())

    during_the_copy(lab, use)
    with pytest.raises(errors.InUse, match='written to'):
        move(lab)
    assert ours(lab) == {NAME.label: POOL}
    assert lab.read(NAME, 5, 4096) == b'newer'


@pytest.mark.parametrize('use', [
    lambda peer: peer.access.attach(NAME, host()),
    lambda peer: peer.snapshots.create_snapshot(NAME, SNAPSHOT),
], ids=['attach', 'snapshot'])
def test_used_while_it_was_copied(tmp_path, use):
    lab = slow(tmp_path)
    peer = make_lab(lab.engine)
    during_the_copy(lab, lambda: use(peer))
    with pytest.raises(errors.InUse):
        move(lab)
    assert ours(lab) == {NAME.label: POOL}
    assert_data(lab)


def before_command(lab: Lab, number: int, strike) -> None:
    """Do something before the nth `nickname -ldname` is sent."""
    transport, counter = lab.client._transport, itertools.count(1)
    run = transport.run

    def running(line: str, timeout_seconds: float):
        if (line.startswith('iSMcfg nickname -ldname')
                and next(counter) == number):
            strike()
        return run(line, timeout_seconds)

    transport.run = running


def test_expanded_just_before_the_names_change(lab, volume):
    peer = make_lab(lab.engine)
    before_command(lab, 1, lambda: peer.volumes.extend(NAME, 3))
    with pytest.raises(errors.InUse, match='changed'):
        move(lab)
    assert ours(lab) == {NAME.label: POOL}
    assert lab.lds()[NAME.label].capacity == 3 * GIB
    assert_data(lab)


def test_attach_between_the_names_wins(lab, volume):
    """No LD has the volume's name at that moment; the attach gives it."""
    peer = make_lab(lab.engine)
    before_command(lab, 2, lambda: peer.access.attach(NAME, host()))
    with pytest.raises(errors.CommandFailed):
        move(lab)
    assert ours(lab) == {NAME.label: POOL}
    assert_data(lab)
    assert lab.access.attach(NAME, host())


def test_take_over_whose_answer_is_lost(lab, volume):
    """It happened, but the array cannot be read: no name is taken back."""
    lab.fault(Action.DROP_AFTER, nth=2, prefix='iSMcfg nickname -ldname')
    before_command(lab, 2, lambda: lab.fault(Action.REFUSE,
                                             prefix='iSMquery'))
    with pytest.raises(errors.CommandFailed, match='iSMquery'):
        move(lab)
    assert ours(lab) == {NAME.label: DESTINATION, OLD.label: POOL}
    assert_data(lab)
    move(lab)
    assert ours(lab) == {NAME.label: DESTINATION}
    assert_data(lab)


# -- crashes ----------------------------------------------------------------

class Crash(BaseException):
    """The process ends: nothing is undone, nothing remembered."""


def crashed_after(directory, commands: int) -> Lab | None:
    """Crash after so many changes; None if it did not come so far."""
    lab = make_lab(make_engine(directory))
    lab.volumes.create(NAME, 2, [POOL])
    write(lab)
    transport, counter = lab.client._transport, itertools.count()
    run = transport.run

    def running(line: str, timeout_seconds: float):
        if 'query' not in line and next(counter) >= commands:
            raise Crash
        return run(line, timeout_seconds)

    transport.run = running
    try:
        move(lab)
    except Crash:
        return make_lab(lab.engine, ldn_start=300)
    return None


BOUNDARIES = range(1, 9)


def test_all_boundaries_are_tried(tmp_path):
    assert crashed_after(tmp_path / 'last', BOUNDARIES[-1]) is not None
    assert crashed_after(tmp_path / 'none', BOUNDARIES[-1] + 1) is None


@pytest.fixture(params=BOUNDARIES)
def crashed(request, tmp_path) -> Lab:
    """A new service after the old one went in the middle of a move."""
    lab = crashed_after(tmp_path, request.param)
    assert lab is not None
    return lab


def test_good_copies_have_names_that_lead_to_them(crashed):
    ld = crashed.volumes.get(NAME)
    assert_data(crashed)
    assert crashed.lds()[NAME.label].ldn == ld.ldn


def test_attach_after_a_crash(crashed):
    crashed.access.attach(NAME, host())
    assert_data(crashed)
    store = crashed.engine.array.store
    mapped = {m.ldn for s in store.ldsets.values()
              for m in s.maps.values()}
    assert crashed.lds()[NAME.label].ldn in mapped


@pytest.mark.parametrize('replication', [False, True])
def test_clone_after_a_crash(crashed, replication):
    service = make_lab(crashed.engine, replication=replication,
                       ldn_start=400)
    service.snapshots.clone(NAME, 2, OTHER, 2, [POOL])
    assert_data(service, OTHER)


def test_next_migration_after_a_crash(crashed):
    before = crashed.volumes.find(LdName('LX', 'oracle_data'))
    move(crashed)
    assert ours(crashed) == {NAME.label: DESTINATION}
    assert_data(crashed)
    assert crashed.volumes.find(LdName('LX', 'oracle_data')) == before
    nameless = [ld for ld in crashed.engine.array.store.lds.values()
                if not ld.platform and ld.pool == DESTINATION]
    assert len(nameless) <= 1  # bound, and the crash came before its name


def test_delete_after_a_crash(crashed):
    make_migration(crashed).clear(NAME)
    crashed.snapshots.delete_volume(NAME)
    assert not ours(crashed)
    assert not crashed.engine.array.store.pairs


def test_create_of_another_volume_after_a_crash(crashed):
    crashed.volumes.create(OTHER, 1, [POOL])
    crashed.volumes.get(NAME)
    assert_data(crashed)


def test_migration_of_the_in_tree_driver_that_crashed(lab, volume):
    """It unbinds the old LD before it renames the copy (trap D4)."""
    lab.client.nickname(NAME, COPY)
    other = make_lab(lab.engine)
    assert other.volumes.get(NAME).name == NAME
    assert_data(other)


def test_incomplete_copy_never_becomes_the_volume(lab, volume):
    """It is paired, so it is not taken, whatever happened to the rest."""
    lab.volumes.create(COPY, 2, [DESTINATION])
    lab.client.rc_pair(NAME.label, COPY.label)
    lab.client.nickname(NAME, OTHER)
    other = make_lab(lab.engine)
    assert other.volumes.find(NAME) is None
    assert COPY.label in other.lds()


def test_leftover_does_not_stand_for_the_volume(lab, volume):
    """Delete removes the volume, not only what has a similar name (D5)."""
    lab.volumes.create(COPY, 2, [DESTINATION])
    lab.volumes.create(OLD, 2, [POOL])
    make_migration(lab).clear(NAME)
    assert ours(lab) == {NAME.label: POOL}
    assert_data(lab)


def test_clear_costs_nothing_where_nothing_is_left(lab, volume):
    mark = lab.mark()
    make_migration(lab).clear(NAME)
    assert not lab.sent(mark)


def test_old_disk_that_cannot_be_removed_is_no_failure(lab, volume, caplog):
    lab.fault(Action.REFUSE, prefix='iSMcfg ldunbind', times=None)
    move(lab)
    assert ours(lab) == {NAME.label: DESTINATION, OLD.label: POOL}
    assert OLD.label in caplog.text
    assert_data(lab)
    lab.engine.faults.clear()
    make_migration(lab).clear(NAME)
    assert ours(lab) == {NAME.label: DESTINATION}


# -- every command fails for good -------------------------------------------

LASTING = (Action.REFUSE, Action.DROP_BEFORE, Action.DROP_AFTER,
           Action.GARBLE)


@pytest.mark.parametrize('action', LASTING, ids=lambda a: a.value)
def test_from_some_command_on_all_fail(tmp_path, action):
    """The array goes away in the middle, and comes back later."""
    commands = count_commands(tmp_path / 'whole')
    for nth in range(1, commands + 1):
        lab = make_lab(make_engine(tmp_path / str(nth)))
        lab.volumes.create(NAME, 2, [POOL])
        write(lab)
        lab.fault(action, nth=nth, times=None)
        try:
            move(lab)
        except errors.NecError:
            pass
        assert_whole(lab)
        lab.engine.faults.clear()
        other = make_lab(lab.engine, ldn_start=300)
        other.volumes.get(NAME)
        assert_data(other)
        move(other)
        assert ours(other) == {NAME.label: DESTINATION}
        assert_data(other)


def assert_whole(lab: Lab) -> None:
    """The data is under a name that the driver finds again."""
    names = ours(lab)
    assert names
    found = NAME if NAME.label in names else OLD
    assert found.label in names
    assert_data(lab, found)


def count_commands(directory) -> int:
    lab = make_lab(make_engine(directory))
    lab.volumes.create(NAME, 2, [POOL])
    mark = lab.mark()
    move(lab)
    return len(lab.sent(mark))


# -- limits -----------------------------------------------------------------

@pytest.fixture
def io_control(lab: Lab) -> IoControl:
    return IoControl(lab.client, lab.inventory)


def create_limited(lab: Lab, io_control: IoControl,
                   limits: IoLimits) -> None:
    with io_control.on_new(NAME, limits, lab.snapshots.delete_volume):
        lab.volumes.create(NAME, 1, [POOL])


def test_limits_cost_one_command(lab, io_control):
    lab.inventory.current()
    mark = lab.mark()
    create_limited(lab, io_control, IoLimits(3000, 200))
    assert lab.sent(mark) == ['ldbind', 'nickname', 'setlimit']
    assert limit(lab) == (3000, 200, False)


def test_no_limits_cost_none(lab, io_control):
    lab.inventory.current()
    mark = lab.mark()
    create_limited(lab, io_control, NONE)
    assert lab.sent(mark) == ['ldbind', 'nickname']


@pytest.mark.parametrize('limits, expected', [
    (NONE, (700, 50, True)), (IoLimits(0, 0), (0, 0, True)),
    (IoLimits(upper=900), (900, 50, True)),
    (IoLimits(report=False), (700, 50, False))])
def test_initial_values(lab, io_control, limits, expected):
    """Manual 7.3.5, *1 and *2: what is omitted is not sent."""
    lab.client._transport.run('iSMioc setdfllimit -upperlimit 700 '
                              '-lowerlimit 50 -upperreport on', 60.0)
    create_limited(lab, io_control, limits)
    assert limit(lab) == expected


def test_new_volume_that_cannot_be_limited_goes(lab, io_control):
    """Trap K2."""
    lab.inventory.current()
    before = lab.state()
    with pytest.raises(errors.CommandFailed, match='setlimit'):
        create_limited(lab, io_control, IoLimits(10, 20))
    assert lab.state() == before


def test_new_clone_that_cannot_be_limited_goes(lab, volume, io_control):
    before = lab.state()
    with pytest.raises(errors.CommandFailed, match='setlimit'):
        with io_control.on_new(OTHER, IoLimits(10, 20),
                               lab.snapshots.delete_volume):
            lab.snapshots.clone(NAME, 2, OTHER, 3, [POOL])
    assert lab.state() == before
    assert_data(lab)


def test_volume_that_was_there_stays(lab, volume, io_control):
    """Trap D1: no limit is worth a user's data."""
    with pytest.raises(errors.CommandFailed):
        io_control.set(NAME, IoLimits(10, 20))
    with pytest.raises(errors.CommandFailed):
        with io_control.on_new(NAME, IoLimits(10, 20),
                               lab.snapshots.delete_volume):
            pass
    assert_data(lab)


@pytest.mark.parametrize('action', [Action.DROP_BEFORE, Action.DROP_AFTER])
def test_lost_answers_are_sent_again(lab, io_control, action):
    lab.inventory.current()
    lab.fault(action, prefix='iSMioc')
    create_limited(lab, io_control, IoLimits(3000, 200))
    assert limit(lab) == (3000, 200, False)


def test_limits_of_an_attached_volume(lab, volume, io_control):
    lab.access.attach(NAME, host())
    io_control.set(NAME, IoLimits(10, 10, True))
    assert limit(lab) == (10, 10, True)


@pytest.mark.parametrize('new, old, expected', [
    (NONE, NONE, NONE),
    (NONE, IoLimits(5, 5, True), IoLimits(0, 0, False)),
    (IoLimits(20), IoLimits(30, 40), IoLimits(20, 0)),
    (IoLimits(0, 20, True), NONE, IoLimits(0, 20, True)),
])
def test_limits_of_another_type(new, old, expected):
    assert new.replacing(old) == expected
