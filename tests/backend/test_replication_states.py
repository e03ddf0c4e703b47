# SPDX-License-Identifier: Apache-2.0
"""Data replication method: every state a pair can be in has an answer.

Also RVs in another array (RDR), expanding, and what crashes leave.
"""

from __future__ import annotations

import contextlib

import pytest

from cinder_nec import errors
from cinder_nec.backend.io_control import IoLimits
from cinder_nec.model import GIB
from tests.backend.arrays import (
    BACKUP_POOL,
    POOL,
    make_engine,
    make_lab,
)
from tests.backend.moves import make_migration
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
    VOLUME,
    die_after,
    execute,
    keep,
    kept,
    label,
    lds_of,
    make_ddr_lab,
    pair,
    pairs_of,
    picture,
    put_state,
    show,
    snapshots,
)

RUNNING = ('rpl/exec', 'rpl/sync', 'sep/exec')
BROKEN = ('fault', 'cancel')
STRANGE = ('rst/exec', 'rst/sync', 'unknown')


@pytest.fixture
def lab(tmp_path):
    return make_ddr_lab(tmp_path)


def put(lab, rv, state: str) -> None:
    """Bring a pair into a state, or let the array say a word unknown."""
    if state == 'unknown':
        show(lab, 'resync/hold', instead_of='separated')
    else:
        put_state(lab, rv, state)


# -- delete volume ----------------------------------------------------------

@pytest.mark.parametrize('state', ['separated', *RUNNING, *BROKEN])
def test_delete_of_a_volume_whose_kept_rv_is_in_a_state(lab, state):
    keep(lab, S1, S2)  # W16: two pairs were read as one state
    put(lab, kept(S1), state)
    lab.snapshots.delete_volume(VOLUME)
    assert picture(lab) == ({}, {})


@pytest.mark.parametrize('state', STRANGE)
def test_delete_of_a_volume_stops_at_what_it_does_not_know(lab, state):
    keep(lab, S1)
    put(lab, kept(S1), state)
    before = picture(lab)
    with pytest.raises(errors.UnexpectedState, match='busy or unknown'):
        lab.snapshots.delete_volume(VOLUME)
    assert picture(lab) == before


def test_a_wait_has_a_bound(tmp_path):
    engine = make_engine(tmp_path, copy_rate=RATE / 1000)
    lab = make_lab(engine, replication=True, within_seconds=600)
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.snapshots.create_snapshot(VOLUME, S1)
    slept = lab.time.slept_seconds
    with pytest.raises(errors.DeadlineExceeded, match='within 600 s'):
        lab.snapshots.delete_snapshot(VOLUME, S1, force=True)
    assert 599 < lab.time.slept_seconds - slept < 700
    assert picture(lab) == (lds_of(VOLUME, S1),
                            pairs_of(S1, state='sep/exec'))


# -- delete snapshot --------------------------------------------------------

@pytest.mark.parametrize('state', ['separated', *RUNNING])
def test_a_deleted_snapshot_is_kept_and_nothing_is_waited_for(lab, state):
    snapshots(lab, S1)
    put(lab, S1, state)
    slept = lab.time.slept_seconds
    lab.snapshots.delete_snapshot(VOLUME, S1)
    assert lab.time.slept_seconds == slept
    after = 'separated' if state == 'separated' else 'sep/exec'
    if state == 'rpl/sync':
        after = 'separated'  # nothing is left to be copied
    assert picture(lab) == (lds_of(VOLUME, kept(S1)),
                            pairs_of(kept(S1), state=after))


@pytest.mark.parametrize('force', [False, True])
@pytest.mark.parametrize('state', BROKEN)
def test_a_deleted_snapshot_without_differences_is_removed(lab, state,
                                                           force):
    snapshots(lab, S1)
    put(lab, S1, state)
    lab.snapshots.delete_snapshot(VOLUME, S1, force=force)
    assert picture(lab) == (lds_of(VOLUME), {})


@pytest.mark.parametrize('state', ['separated', *RUNNING])
def test_force_delete_waits_for_what_runs(lab, state):
    snapshots(lab, S1)
    put(lab, S1, state)
    slept = lab.time.slept_seconds
    lab.snapshots.delete_snapshot(VOLUME, S1, force=True)
    assert picture(lab) == (lds_of(VOLUME), {})
    if state in ('rpl/exec', 'sep/exec'):
        assert lab.time.slept_seconds - slept >= FULL_SECONDS


@pytest.mark.parametrize('force', [False, True])
@pytest.mark.parametrize('state', STRANGE)
def test_delete_of_a_snapshot_stops_at_what_it_does_not_know(lab, state,
                                                             force):
    snapshots(lab, S1)
    put(lab, S1, state)
    before = picture(lab)
    with pytest.raises(errors.UnexpectedState):
        lab.snapshots.delete_snapshot(VOLUME, S1, force=force)
    assert picture(lab) == before


# -- create snapshot --------------------------------------------------------

@pytest.mark.parametrize('state', ['separated', *RUNNING])
def test_a_kept_rv_in_a_state_is_reused(lab, state):
    keep(lab, S1)
    put(lab, kept(S1), state)
    lab.write(VOLUME, NEW)
    slept = lab.time.slept_seconds
    lab.snapshots.create_snapshot(VOLUME, S2)
    waited = lab.time.slept_seconds - slept
    assert (waited >= FULL_SECONDS) == (state == 'sep/exec')
    lab.write(VOLUME, OLD)
    lab.time.sleep(10 * FULL_SECONDS)
    assert picture(lab) == (lds_of(VOLUME, S2), pairs_of(S2))
    assert lab.read(S2, len(NEW)) == NEW


@pytest.mark.parametrize('state', [*BROKEN, *STRANGE[:2]])
def test_a_kept_rv_in_another_state_is_passed_by(lab, state):
    keep(lab, S1)
    put(lab, kept(S1), state)
    snapshots(lab, S2)
    assert picture(lab) == (
        lds_of(VOLUME, kept(S1), S2),
        {**pairs_of(kept(S1), state=state), **pairs_of(S2)})


@pytest.mark.parametrize('state', BROKEN)
def test_a_useless_kept_rv_gives_way(lab, state):
    keep(lab, S1)
    put(lab, kept(S1), state)
    snapshots(lab, S2, S3, S4)
    assert picture(lab) == (lds_of(VOLUME, S2, S3, S4),
                            pairs_of(S2, S3, S4))


def test_kept_rvs_of_unknown_state_do_not_give_way(lab):
    keep(lab, S1, S2, S3)
    for name in (S1, S2, S3):
        put(lab, kept(name), 'rst/exec')
    before = picture(lab)
    with pytest.raises(errors.PairLimit):
        lab.snapshots.create_snapshot(VOLUME, S4)
    assert picture(lab) == before


@pytest.mark.parametrize('state', ['separated', *RUNNING, *BROKEN])
def test_a_kept_rv_in_a_state_gives_way_to_a_clone(lab, state):
    snapshots(lab, S2, S3)
    keep(lab, S1)
    put(lab, kept(S1), state)
    lab.snapshots.clone(VOLUME, 1, OTHER, 1, [POOL])
    assert picture(lab) == (lds_of(VOLUME, S2, S3, OTHER),
                            pairs_of(S2, S3))
    assert lab.read(OTHER, len(OLD)) == OLD


def test_the_target_of_a_running_copy_has_no_snapshot_yet(lab):
    lab.volumes.create(OTHER, 1, [POOL])
    lab.client.rc_pair(VOLUME.label, OTHER.label)
    lab.inventory.refresh()
    before = picture(lab)
    with pytest.raises(errors.InUse, match='has been copied'):
        lab.snapshots.create_snapshot(OTHER, S1)
    assert picture(lab) == before


def test_a_copy_for_a_reuse_that_breaks_leaves_what_was_kept(lab):
    keep(lab, S1)
    put(lab, kept(S1), 'sep/exec')
    real_sleep = lab.time.sleep

    def sleep(seconds):
        real_sleep(seconds)
        if seconds and pair(lab, S2).state.value == 'sep/exec':
            lab.operate('pair_state', mv=VOLUME.label, rv=S2.label,
                        state='fault')

    lab.time.sleep = sleep
    with pytest.raises(errors.UnexpectedState):
        lab.snapshots.create_snapshot(VOLUME, S2)
    assert picture(lab) == (lds_of(VOLUME, kept(S1)),
                            pairs_of(kept(S1), state='fault'))


# -- volume from snapshot ---------------------------------------------------

def test_a_volume_from_a_snapshot_that_is_still_being_copied(lab):
    lab.snapshots.create_snapshot(VOLUME, S1)
    lab.write(VOLUME, NEW)
    assert picture(lab)[1] == pairs_of(S1, state='sep/exec')
    lab.snapshots.volume_from_snapshot(VOLUME, S1, 1, OTHER, 1, [POOL])
    assert picture(lab) == (lds_of(VOLUME, S1, OTHER), pairs_of(S1))
    assert lab.read(OTHER, len(OLD)) == OLD


@pytest.mark.parametrize('state', [*BROKEN, *STRANGE, 'rpl/exec',
                                   'rpl/sync'])
def test_a_snapshot_without_sure_content_makes_no_volume(lab, state):
    snapshots(lab, S1)
    put(lab, S1, state)
    before = picture(lab)
    with pytest.raises(errors.UnexpectedState, match='is not available'):
        lab.snapshots.volume_from_snapshot(VOLUME, S1, 1, OTHER, 1, [POOL])
    assert picture(lab) == before


@pytest.mark.parametrize('state', BROKEN)
def test_a_broken_snapshot_whose_pair_was_taken_apart_serves(lab, state):
    """What the error's text advises."""
    snapshots(lab, S1)
    put(lab, S1, state)
    execute(lab, f'iSMrc_pair -unpair -mv {VOLUME.label} -mvflg ld '
                 f'-rv {S1.label} -rvflg ld -force all')
    lab.snapshots.volume_from_snapshot(VOLUME, S1, 1, OTHER, 1, [POOL])
    assert lab.read(OTHER, len(OLD)) == OLD


# -- RVs in another array ---------------------------------------------------

@pytest.fixture(params=['remote-rv-name', 'the same name'])
def remote(lab, request):
    """An RDR pair beside a snapshot's, once with a name known here."""
    snapshots(lab, S1)
    name = {'the same name': S1.label}.get(request.param, request.param)
    lab.operate('remote_pair_add', mv=VOLUME.label, rv=name)
    lab.inventory.refresh()
    return name


def remote_pairs(lab) -> list[str]:
    return [p.rv_name for p in lab.engine.array.store.remote_pairs.values()]


def test_a_volume_with_an_rdr_pair_is_not_deleted(lab, remote):
    lab.snapshots.delete_snapshot(VOLUME, S1)
    before = picture(lab)
    with pytest.raises(errors.InUse, match='in another disk array'):
        lab.snapshots.delete_volume(VOLUME)
    assert picture(lab) == before
    assert remote_pairs(lab) == [remote]


def test_a_volume_with_an_rdr_pair_is_not_expanded(lab, remote):
    before = picture(lab)
    with pytest.raises(errors.InUse, match='in another disk array'):
        lab.snapshots.extend_volume(VOLUME, 2)
    assert picture(lab) == before


def test_an_rdr_pair_takes_a_place_and_keeps_it(lab, remote):
    snapshots(lab, S2)
    with pytest.raises(errors.PairLimit):
        lab.snapshots.create_snapshot(VOLUME, S3)
    lab.snapshots.delete_snapshot(VOLUME, S2)
    lab.snapshots.clone(VOLUME, 1, OTHER, 1, [POOL])
    assert picture(lab) == (lds_of(VOLUME, S1, OTHER), pairs_of(S1))
    assert remote_pairs(lab) == [remote]


def test_the_snapshot_beside_an_rdr_pair_goes_its_way(lab, remote):
    lab.snapshots.volume_from_snapshot(VOLUME, S1, 1, OTHER, 1, [POOL])
    lab.snapshots.delete_snapshot(VOLUME, S1)
    snapshots(lab, S2)
    lab.snapshots.delete_snapshot(VOLUME, S2, force=True)
    assert picture(lab) == (lds_of(VOLUME, OTHER), {})
    assert remote_pairs(lab) == [remote]


# -- extending (7.3.3) ------------------------------------------------------

def test_7_3_3_note_1_the_volume_and_all_its_rvs_are_expanded(lab):
    snapshots(lab, S1, S2)
    lab.snapshots.delete_snapshot(VOLUME, S1)
    lab.snapshots.extend_volume(VOLUME, 3)
    assert picture(lab) == (
        {name.label: 3 for name in (VOLUME, S2, kept(S1))},
        pairs_of(S2, kept(S1)))
    lab.write(VOLUME, NEW, 3 * GIB - len(NEW))
    snapshots(lab, S3)  # reuses the expanded one
    assert len(picture(lab)[1]) == 2
    assert lab.read(S3, len(NEW), 3 * GIB - len(NEW)) == NEW


def test_an_unpaired_volume_costs_one_command(lab):
    mark = lab.mark()
    lab.snapshots.extend_volume(VOLUME, 2)
    assert lab.sent(mark) == ['ldexpand']


@pytest.mark.parametrize('model', ['M110', 'M310', 'M310F', 'M510', 'M710',
                                   'M710F', 'M100', 'M320', 'A5000'])
def test_only_the_models_of_the_manual_expand_pairs(tmp_path, model):
    lab = make_ddr_lab(tmp_path, changes={'array': {
        'product_id': model}, 'lds': [
            {'ldn': 900, 'name': 'RSV', 'pool': 0, 'capacity': '8 GiB',
             'kind': 'rsv'}], 'ldsets': [], 'pools': [
                 {'number': 0, 'capacity': '1 TiB'},
                 {'number': 1, 'capacity': '1 TiB'}]})
    snapshots(lab, S1)
    before = picture(lab)
    if model[:2] == 'M1' and model != 'M100' or model in (
            'M310', 'M310F', 'M510', 'M710', 'M710F'):
        lab.snapshots.extend_volume(VOLUME, 2)
        assert picture(lab)[0] == {VOLUME.label: 2, S1.label: 2}
        return
    with pytest.raises(errors.InUse, match=f'a disk array {model} cannot '
                                           'expand paired'):
        lab.snapshots.extend_volume(VOLUME, 2)
    assert picture(lab) == before
    lab.snapshots.delete_snapshot(VOLUME, S1, force=True)
    lab.snapshots.extend_volume(VOLUME, 2)


def test_extending_waits_for_a_copy_that_is_about_to_end(lab):
    lab.snapshots.create_snapshot(VOLUME, S1)
    slept = lab.time.slept_seconds
    lab.snapshots.extend_volume(VOLUME, 2)
    assert lab.time.slept_seconds - slept >= FULL_SECONDS
    assert picture(lab) == ({VOLUME.label: 2, S1.label: 2}, pairs_of(S1))
    assert lab.read(S1, len(OLD)) == OLD


@pytest.mark.parametrize('state', [*BROKEN, *STRANGE, 'rpl/exec',
                                   'rpl/sync'])
def test_extending_is_refused_for_a_snapshot_in_another_state(lab, state):
    snapshots(lab, S1)
    put(lab, S1, state)
    before = picture(lab)
    with pytest.raises(errors.StateError, match=S1.label):
        lab.snapshots.extend_volume(VOLUME, 2)
    assert picture(lab) == before


@pytest.mark.parametrize('state', BROKEN)
def test_extending_removes_a_useless_kept_rv(lab, state):
    snapshots(lab, S1)
    keep(lab, S2)
    put(lab, kept(S2), state)
    lab.snapshots.extend_volume(VOLUME, 2)
    assert picture(lab) == ({VOLUME.label: 2, S1.label: 2}, pairs_of(S1))


def test_room_for_all_is_looked_for_first(lab):
    snapshots(lab, S1, S2)
    lab.operate('pool_free', pool=BACKUP_POOL, free='3 GiB')
    lab.inventory.refresh()
    before = picture(lab)
    with pytest.raises(errors.NoCapacity,
                       match='Not enough pool capacity. pool_number=1, '
                             'size_increase=4 GiB'):
        lab.snapshots.extend_volume(VOLUME, 3)
    assert picture(lab) == before
    lab.snapshots.extend_volume(VOLUME, 2)


def test_a_half_done_extension_is_completed(lab):
    snapshots(lab, S1, S2)
    execute(lab, f'iSMcfg ldexpand -ldn {lab.lds()[VOLUME.label].ldn} '
                 '-capacity 2 -unit gb')
    lab.snapshots.extend_volume(VOLUME, 2)
    assert picture(lab)[0] == {n.label: 2 for n in (VOLUME, S1, S2)}


@pytest.mark.parametrize('backup_pools', [(BACKUP_POOL,), (POOL,)])
def test_a_running_clone_is_not_mistaken_for_a_snapshot(tmp_path,
                                                        backup_pools):
    """A clone would be larger for ever than Cinder knows."""
    lab = make_lab(make_engine(tmp_path, copy_rate=RATE), replication=True,
                   backup_pools=backup_pools)
    lab.volumes.create(VOLUME, 1, [POOL])
    snapshots(lab, S1)
    real_sleep, seen = lab.time.sleep, []

    def sleep(seconds):
        real_sleep(seconds)
        if seconds and not seen:
            seen.append(picture(lab)[1][VOLUME.label, OTHER.label])
            with pytest.raises(errors.InUse, match='wait for the copy'):
                lab.snapshots.extend_volume(VOLUME, 2)

    lab.time.sleep = sleep
    lab.snapshots.clone(VOLUME, 1, OTHER, 1, [POOL])
    assert seen == ['sep/exec']
    assert picture(lab) == (lds_of(VOLUME, S1, OTHER), pairs_of(S1))


def test_a_volume_from_an_expanded_snapshot_is_as_large_as_that(lab,
                                                                caplog):
    snapshots(lab, S1)
    lab.write(VOLUME, NEW)
    lab.snapshots.extend_volume(VOLUME, 2)
    lab.snapshots.volume_from_snapshot(VOLUME, S1, 1, OTHER, 1, [POOL])
    assert picture(lab) == ({n.label: 2 for n in (VOLUME, S1, OTHER)},
                            pairs_of(S1))
    assert lab.read(OTHER, len(OLD)) == OLD
    assert 'instead of 1 GiB' in caplog.text


def test_a_peer_has_expanded_the_volume_before_its_snapshot(lab):
    """An RV is as large as its MV, and only the array knows how large."""
    make_lab(lab.engine, replication=True).snapshots.extend_volume(
        VOLUME, 2)
    snapshots(lab, S1)
    assert picture(lab) == ({n.label: 2 for n in (VOLUME, S1)},
                            pairs_of(S1))
    assert lab.read(S1, len(OLD)) == OLD


def test_a_peer_has_expanded_the_snapshot_before_a_volume_of_it(lab):
    snapshots(lab, S1)
    make_lab(lab.engine, replication=True).snapshots.extend_volume(
        VOLUME, 2)
    lab.snapshots.volume_from_snapshot(VOLUME, S1, 1, OTHER, 2, [POOL])
    assert picture(lab) == ({n.label: 2 for n in (VOLUME, S1, OTHER)},
                            pairs_of(S1))
    assert lab.read(OTHER, len(OLD)) == OLD


# -- moving (7.3.4) ---------------------------------------------------------

def test_7_3_4_note_2_a_paired_volume_is_not_moved(lab):
    keep(lab, S1)
    migration = make_migration(lab)
    before = picture(lab)
    with pytest.raises(errors.InUse, match='it is paired'):
        migration.move(VOLUME, [2], IoLimits())
    assert picture(lab) == before


# -- crashes ----------------------------------------------------------------

def reuse(lab) -> None:
    keep(lab, S1)
    lab.write(VOLUME, NEW)


def three_kept(lab) -> None:
    keep(lab, S1, S2, S3)


def one(lab) -> None:
    snapshots(lab, S1)


CRASHES = {
    'snapshot': (lambda lab: None, lambda lab:
                 lab.snapshots.create_snapshot(VOLUME, S2)),
    'snapshot, reused': (reuse, lambda lab:
                         lab.snapshots.create_snapshot(VOLUME, S2)),
    'delete snapshot': (one, lambda lab:
                        lab.snapshots.delete_snapshot(VOLUME, S1)),
    'force delete': (one, lambda lab: lab.snapshots.delete_snapshot(
        VOLUME, S1, force=True)),
    'volume from snapshot': (one, lambda lab:
                             lab.snapshots.volume_from_snapshot(
                                 VOLUME, S1, 1, OTHER, 2, [POOL])),
    'clone': (three_kept, lambda lab: lab.snapshots.clone(
        VOLUME, 1, OTHER, 2, [POOL])),
    'extend': (one, lambda lab: lab.snapshots.extend_volume(VOLUME, 2)),
    'delete volume': (three_kept, lambda lab:
                      lab.snapshots.delete_volume(VOLUME)),
}


def nameless(lab) -> int:
    return sum(not ld.platform
               for ld in lab.engine.array.store.lds.values())


@pytest.mark.parametrize('first', ['volume', 'snapshots'])
@pytest.mark.parametrize('name', CRASHES)
def test_later_deletes_heal_what_a_crash_leaves(tmp_path, name, first):
    """K4, K5: the service dies after each command in turn."""
    prepare, run = CRASHES[name]
    clean = make_ddr_lab(tmp_path / 'clean')
    prepare(clean)
    mark = clean.mark()
    run(clean)
    commands = len(clean.sent(mark))
    for count in range(commands):
        lab = make_ddr_lab(tmp_path / str(count))
        prepare(lab)
        die_after(lab, count)
        with contextlib.suppress(errors.NecError):
            run(lab)
        content = lab.read(VOLUME, len(NEW)) if (
            VOLUME.label in lab.lds()) else None
        assert content in (None, NEW, OLD), count
        after = make_lab(lab.engine, replication=True)
        deletes = [lambda lab=after: lab.snapshots.delete_volume(OTHER),
                   *(lambda lab=after, s=s: lab.snapshots.delete_snapshot(
                       VOLUME, s) for s in (S1, S2, S3))]
        if first == 'snapshots':
            deletes.reverse()
        for delete in deletes:
            delete()
        after.snapshots.delete_volume(VOLUME)
        # A second volume's end sweeps what no name leads to.
        after.snapshots.delete_volume(label(99))
        assert picture(lab) == ({}, {}), (name, count)
        # Between ldbind and nickname nothing tells whose an LD is.
        assert nameless(lab) <= nameless(clean) + 1, count


@pytest.mark.parametrize('steps', range(1, 20))
def test_no_crash_loses_a_snapshot(tmp_path, steps):
    """Volume from snapshot: afterwards it serves again, and for good."""
    lab = make_ddr_lab(tmp_path)
    snapshots(lab, S1)
    lab.write(VOLUME, NEW)
    die_after(lab, steps)
    with contextlib.suppress(errors.NecError):
        lab.snapshots.volume_from_snapshot(VOLUME, S1, 1, OTHER, 1, [POOL])
    after = make_lab(lab.engine, replication=True)
    assert after.read(S1, len(OLD)) == OLD
    after.snapshots.delete_volume(OTHER)
    after.snapshots.volume_from_snapshot(VOLUME, S1, 1, OTHER, 1, [POOL])
    assert after.read(OTHER, len(OLD)) == OLD


# -- orphans ----------------------------------------------------------------

def test_an_orphan_is_swept_and_nothing_else(lab):
    others = {'LX:backup_d', 'LX:' + label(50).label}
    for number, name in enumerate([str(kept(S1)), *sorted(others)]):
        lab.operate('ld_add', ldn=70 + number, name=name,
                    pool=BACKUP_POOL, capacity='1 GiB')
    lab.operate('ld_add', ldn=80, name=str(kept(S2)), pool=POOL,
                capacity='1 GiB')  # not where snapshots are
    keep(lab, S3)
    lab.volumes.create(OTHER, 1, [POOL])
    lab.inventory.refresh()
    lab.snapshots.delete_volume(OTHER)
    names = set(lab.lds())
    assert kept(S1).label not in names
    assert {'backup_d', label(50).label, kept(S2).label,
            kept(S3).label} <= names
