# SPDX-License-Identifier: Apache-2.0
"""Two services of one cluster that work on the same volumes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import contextlib
import threading

import pytest

from cinder_nec import errors
from cinder_nec.backend.claims import Claims
from cinder_nec.model import GIB, LdName
from ismsim.faults import Action
from tests.backend.arrays import POOL, make_engine, make_lab

VOLUME = LdName('LX', '2mhTuYrCGy8YnJcgRQBCPs')
CLONE = LdName('LX', '6NSjtgPWTieAMhvsJspHA6')
OTHER = LdName('LX', '6timV9ZImmJlGxJzyoGgid')
SNAPSHOT = LdName('LX', '4q7I6V6T8c8BVFuE8UfWVP')
SECOND = LdName('LX', '3eJ0mQ5dYqH1bGZzq1xW9k')
RATE = float(32 << 20)  # half a minute for a GiB


class Locks:
    """The coordination back end of a cluster."""

    def __init__(self) -> None:
        self._locks: dict[str, threading.Lock] = {}
        self.names: list[str] = []

    def of(self, name: str) -> contextlib.AbstractContextManager[object]:
        self.names.append(name)
        return self._locks.setdefault(name, threading.Lock())


@pytest.fixture(params=[False, True], ids=['snapshot', 'replication'])
def nodes(request, tmp_path):
    """Two services; what one does, the other one has to find out."""
    engine, locks = make_engine(tmp_path, copy_rate=RATE), Locks()
    one, two = (make_lab(engine, waits=False, replication=request.param,
                         ldn_start=start, cluster_lock=locks.of)
                for start in (100, 300))
    one.volumes.create(VOLUME, 1, [POOL])
    two.inventory.refresh()
    return one, two


def pairs(lab):
    return len(lab.engine.array.store.pairs)


def test_a_clone_of_a_peer_is_waited_for(nodes):
    one, two = nodes
    one.snapshots.clone(VOLUME, 1, CLONE, 1, [POOL])
    assert pairs(one) == 1
    two.snapshots.extend_volume(CLONE, 2)
    assert two.lds()[CLONE.label].capacity == 2 * GIB
    assert pairs(two) == 0


def test_a_clone_of_a_clone_of_a_peer(nodes):
    one, two = nodes
    one.write(VOLUME, b'data')
    one.snapshots.clone(VOLUME, 1, CLONE, 1, [POOL])
    two.snapshots.clone(CLONE, 1, OTHER, 1, [POOL])
    assert two.read(OTHER, 4) == b'data'


def test_the_source_of_a_clone_of_a_peer_is_deleted(nodes):
    one, two = nodes
    one.snapshots.clone(VOLUME, 1, CLONE, 1, [POOL])
    two.snapshots.delete_volume(VOLUME)
    assert set(two.lds()) & {VOLUME.label, CLONE.label} == {CLONE.label}


def test_a_snapshot_of_a_clone_of_a_peer(nodes):
    one, two = nodes
    one.snapshots.clone(VOLUME, 1, CLONE, 1, [POOL])
    two.snapshots.create_snapshot(CLONE, SNAPSHOT)
    assert SNAPSHOT.label in two.lds()


def test_both_look_after_a_copy_and_one_ends_it(nodes):
    """Who comes second finds it gone, and is content."""
    one, two = nodes
    one.snapshots.clone(VOLUME, 1, CLONE, 1, [POOL])
    two.settler.settle(CLONE, 3600)
    one.settler.settle(CLONE, 3600)
    assert len(one.settler) == len(two.settler) == pairs(one) == 0


def test_a_snapshot_is_no_copy_of_a_peer(nodes):
    """With data replication it is an RV that keeps its pair."""
    one, two = nodes
    one.snapshots.create_snapshot(VOLUME, SNAPSHOT)
    before = pairs(one)
    two.settler.settle(VOLUME, 3600)
    assert pairs(one) == before


def test_a_number_that_is_another_volumes_now_is_not_expanded(nodes):
    """A peer has moved the volume, and the old LDN was bound again."""
    one, two = nodes
    old = one.lds()[VOLUME.label].ldn
    moved = one.volumes.create(CLONE, 1, [POOL])
    one.volumes.unbind(VOLUME)
    one.volumes.rename(moved.name, VOLUME)
    one.client.ldbind(POOL, old, 1)
    one.client.nickname_of_ldn(old, OTHER)
    two.snapshots.extend_volume(VOLUME, 5)
    sizes = {name: ld.capacity // GIB for name, ld in two.lds().items()}
    assert (sizes[VOLUME.label], sizes[OTHER.label]) == (5, 1)


def test_outside_of_a_cluster_nobody_asks_for_peers(tmp_path):
    lab = make_lab(make_engine(tmp_path), waits=False)
    lab.volumes.create(VOLUME, 1, [POOL])
    mark = lab.mark()
    lab.snapshots.extend_volume(VOLUME, 2)
    assert lab.sent(mark) == ['ldexpand']


def test_snapshots_of_one_volume_by_two_services_come_one_by_one(nodes):
    """``generationdel`` does not say which generation it means."""
    one, two = nodes
    with ThreadPoolExecutor(2) as pool:
        for done in (pool.submit(lab.snapshots.create_snapshot, VOLUME, name)
                     for lab, name in ((one, SNAPSHOT), (two, SECOND))):
            done.result()
        for done in (pool.submit(lab.snapshots.delete_snapshot, VOLUME, name)
                     for lab, name in ((two, SNAPSHOT), (one, SECOND))):
            done.result()
    assert set(one.lds()).isdisjoint({SNAPSHOT.label, SECOND.label})


def test_a_claim_is_held_in_both_services():
    locks = Locks()
    with Claims(locks.of).of(('host', VOLUME)):
        assert locks._locks[locks.names[0]].locked()
        with Claims(locks.of).of(('host', CLONE)):
            pass
    assert not any(lock.locked() for lock in locks._locks.values())
    with Claims(locks.of).of(('host', VOLUME)):
        pass
    assert locks.names[2] == locks.names[0] != locks.names[1]
    # Whatever a name has in it, a file may be called like that.
    assert all(name.isalnum() for name in locks.names)


def test_without_the_lock_nothing_is_begun(tmp_path):
    def broken(name: str):
        raise errors.StateError('no etcd')
    lab = make_lab(make_engine(tmp_path), cluster_lock=broken)
    lab.volumes.create(VOLUME, 1, [POOL])
    before = lab.state()
    with pytest.raises(errors.StateError, match='no etcd'):
        lab.snapshots.create_snapshot(VOLUME, SNAPSHOT)
    assert lab.state() == before


# -- generations without data ---------------------------------------------

def test_a_generation_that_was_left_without_data_goes_first(tmp_path):
    """The array takes the oldest one without data, not ours."""
    lab = make_lab(make_engine(tmp_path))
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.fault(Action.REFUSE, regex='iSMsc_create|generationdel',
              kind='CHANGE', times=2)
    with pytest.raises(errors.NecError):
        lab.snapshots.create_snapshot(VOLUME, SNAPSHOT)
    assert SNAPSHOT.label in lab.lds()
    lab.snapshots.create_snapshot(VOLUME, SECOND)
    lab.snapshots.delete_snapshot(VOLUME, SECOND)
    assert set(lab.lds()).isdisjoint({SNAPSHOT.label, SECOND.label})
