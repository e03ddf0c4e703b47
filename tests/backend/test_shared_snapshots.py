# SPDX-License-Identifier: Apache-2.0
"""Data replication method: several volumes from one snapshot at a time.

The snapshot has no pair with its volume meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
import threading

import pytest

from cinder_nec import errors
from cinder_nec.model import LdName
from ismsim.faults import Action
from tests.backend.arrays import POOL, Lab, Time, make_engine, make_lab
from tests.backend.replication import (
    FULL_SECONDS,
    OLD,
    OTHER,
    RATE,
    S1,
    THIRD,
    VOLUME,
    label,
    lds_of,
    pairs_of,
    picture,
    snapshots,
)
from tests.backend.test_cluster import Locks


@pytest.fixture
def lab(tmp_path):
    return with_snapshot(make_lab(
        make_engine(tmp_path, copy_rate=RATE), replication=True,
        waits=False))


def with_snapshot(lab: Lab) -> Lab:
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.write(VOLUME, OLD)
    snapshots(lab, S1)
    return lab


def make(lab: Lab, name: LdName) -> None:
    lab.snapshots.volume_from_snapshot(VOLUME, S1, 1, name, 1, [POOL])


def end_copies(lab: Lab) -> None:
    """What the settler's thread does, in the time of the lab."""
    while len(lab.settler):
        lab.settler.settle(next(iter(lab.settler._copies)), 3600)


def before(lab: Lab, method: str, act: Callable[[], object]) -> None:
    """Do something when the first command of a kind is to be sent."""
    real = getattr(lab.client, method)
    armed = [True]

    def run(*args, **values):
        if armed[0]:
            armed[0] = False
            act()
        return real(*args, **values)

    setattr(lab.client, method, run)


def check(lab: Lab, *volumes: LdName) -> None:
    """See that all is as it was, with some volumes more."""
    assert picture(lab) == (lds_of(VOLUME, S1, *volumes), pairs_of(S1))
    for name in (S1, *volumes):
        assert lab.read(name, len(OLD)) == OLD


@pytest.mark.parametrize('part', ['ldbind', 'nickname_of_ldn', 'rc_pair'])
def test_the_first_one_settles_while_the_second_one_begins(lab, part):
    make(lab, OTHER)
    before(lab, part, lambda: end_copies(lab))
    make(lab, THIRD)
    assert lab.settler.involving(S1)
    end_copies(lab)
    check(lab, OTHER, THIRD)


@pytest.mark.parametrize('part', ['rc_replicate', 'rc_separate', 'rc_unpair'])
def test_the_first_one_settles_while_the_second_one_is_waited_for(lab,
                                                                  part):
    make(lab, OTHER)
    lab.snapshots._waits = True
    first = lab.settler.involving(S1)
    before(lab, part, lambda: lab.settler._step(first))
    lab.time.sleep(10 * FULL_SECONDS)
    make(lab, THIRD)
    end_copies(lab)
    check(lab, OTHER, THIRD)


@pytest.mark.parametrize('settles_first', [False, True])
@pytest.mark.parametrize('part', [
    ('ldbind', 'iSMcfg ldbind'),
    ('rc_pair', f'iSMrc_pair -pair -mv {S1.label}'),
    ('rc_replicate', 'iSMrc_replicate')])
def test_a_second_one_that_fails_leaves_the_pair(lab, part, settles_first):
    make(lab, OTHER)
    method, prefix = part
    if settles_first:
        before(lab, method, lambda: end_copies(lab))
    lab.fault(Action.REFUSE, prefix=prefix, times=None)
    with pytest.raises(errors.NecError):
        make(lab, THIRD)
    lab.engine.faults.clear()
    end_copies(lab)
    check(lab, OTHER)


def test_one_alone_that_fails_leaves_the_pair(lab):
    lab.fault(Action.DROP_AFTER, prefix='iSMrc_pair -unpair')
    lab.fault(Action.REFUSE, prefix='iSMrc_replicate', times=None)
    with pytest.raises(errors.NecError):
        make(lab, OTHER)
    check(lab)


def test_a_copy_that_broke_does_not_keep_the_pair_for_ever(lab):
    make(lab, OTHER)
    lab.operate('pair_state', mv=S1.label, rv=OTHER.label, state='fault')
    lab.settler._step(lab.settler.involving(S1))
    lab.snapshots.delete_volume(OTHER)
    make(lab, THIRD)
    end_copies(lab)
    check(lab, THIRD)


@pytest.mark.parametrize('waits', [False, True])
def test_eight_at_once(tmp_path, waits):
    """Servers are booted from one snapshot."""
    def start(work):
        threading.Thread(target=work, daemon=True).start()

    lab = with_snapshot(make_lab(
        make_engine(tmp_path, clock=Time(real=0.001), copy_rate=RATE),
        replication=True, waits=waits, start=start))
    names = [label(n) for n in range(40, 48)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: make(lab, name), names))
    end_copies(lab)
    lab.settler.settle(S1, 3600)
    # The thread of the settler may be at the pair right now.
    lab.snapshots._unpaired.pair_when_free(S1)
    check(lab, *names)


@pytest.mark.parametrize('way', ['delete', 'revert'])
def test_a_snapshot_is_not_paired_again_behind_ones_back(lab, way):
    """The settler's thread is late with what comes after the copy."""
    make(lab, OTHER)
    [copy] = lab.settler.involving(S1)
    end_copies_late = copy.then
    lab.settler.hand_over(copy.mv, copy.rv)
    end_copies(lab)
    if way == 'delete':
        lab.snapshots.delete_snapshot(VOLUME, S1, force=True)
        after = lds_of(VOLUME, OTHER), {}
    else:
        lab.snapshots.revert(VOLUME, S1)
        after = lds_of(VOLUME, S1, OTHER), pairs_of(S1)
    mark = lab.mark()
    end_copies_late()
    assert lab.sent(mark) == []
    assert picture(lab) == after


# -- two services of a cluster ----------------------------------------------

@pytest.fixture
def nodes(tmp_path):
    engine, locks = make_engine(tmp_path, copy_rate=RATE), Locks()
    one, two = (make_lab(engine, waits=False, replication=True,
                         ldn_start=start, cluster_lock=locks.of)
                for start in (100, 300))
    with_snapshot(one)
    two.inventory.refresh()
    return one, two


@pytest.mark.parametrize('part', ['ldbind', 'rc_pair'])
def test_a_peer_pairs_it_again_while_it_is_about_to_be_copied(nodes, part):
    one, two = nodes
    make(one, OTHER)
    before(two, part, lambda: end_copies(one))
    make(two, THIRD)
    end_copies(two)
    check(two, OTHER, THIRD)


def test_a_peer_copies_it_longer(nodes):
    one, two = nodes
    make(one, OTHER)
    one.time.sleep(FULL_SECONDS / 2)
    make(two, THIRD)
    one.settler.settle(OTHER, 3600)
    assert one.settler.involving(S1)
    end_copies(two)
    end_copies(one)
    check(one, OTHER, THIRD)
