# SPDX-License-Identifier: Apache-2.0
"""What the scheduler is told, and what a start finds wrong."""

from __future__ import annotations

import pytest

from cinder_nec import errors
from cinder_nec.backend.selftest import check_backend
from cinder_nec.backend.stats import Stats, roomiest
from cinder_nec.model import LdName
from tests.backend.arrays import make_engine, make_lab

VOLUME = LdName('LX', 'V' * 21)
POOLS = {'pools': [
    {'number': 0, 'capacity': '100 GiB'},
    {'number': 1, 'capacity': '300 GiB'},
    {'number': 2, 'capacity': '900 GiB', 'actual': '200 GiB'}],
    'lds': [], 'ldsets': []}


@pytest.fixture
def lab(tmp_path):
    return make_lab(make_engine(tmp_path, changes=POOLS))


def stats(lab, *pools, actual=False, limit=None, **more) -> Stats:
    return Stats(lab.inventory, pools, actual_capacity=actual,
                 max_ld_count=limit, load=lab.load,
                 **{'fresh_seconds': 20, **more})


def test_the_roomiest_of_the_pools_counts(lab):
    found = roomiest(stats(lab, 0, 1).read())
    assert (found.total_gib, found.free_gib) == (300, 300)
    lab.volumes.create(VOLUME, 250, [1])
    found = roomiest(stats(lab, 0, 1).read())
    assert (found.total_gib, found.free_gib) == (100, 100)
    assert found.ld_count == 1


def test_each_pool_by_itself(lab):
    lab.volumes.create(VOLUME, 40, [0])
    zero, two = stats(lab, 0, 2, actual=True).read()
    assert (zero.number, zero.total_gib, zero.free_gib,
            zero.provisioned_gib, zero.ld_count) == (0, 100, 60, 40, 1)
    assert (two.number, two.total_gib, two.is_thin) == (2, 200, True)


def test_all_pools_if_none_is_named(lab):
    assert roomiest(stats(lab).read()).total_gib == 900


def test_actual_capacity_of_a_thin_pool(lab):
    found = roomiest(stats(lab, 2, actual=True).read())
    assert found.total_gib == 200
    assert found.is_thin
    assert not roomiest(stats(lab, 2).read()).is_thin


def test_nothing_is_free_at_the_limit_of_lds(lab):
    lab.volumes.create(VOLUME, 1, [0])
    assert roomiest(stats(lab, 0, limit=2).read()).free_gib == 99
    assert roomiest(stats(lab, 0, limit=1).read()).free_gib == 0


def test_one_dump_each_period_and_none_after_a_fresh_one(lab):
    service = stats(lab, 0)
    service.read()
    mark = lab.mark()
    lab.time.sleep(60)
    roomiest(service.read())
    assert lab.sent(mark) == ['dump']
    lab.inventory.refresh()
    mark = lab.mark()
    roomiest(service.read())
    assert lab.sent(mark) == []


def test_how_old_a_dump_may_be(lab):
    """Cinder asks after each delete as well."""
    service = stats(lab, 0, fresh_seconds=100)
    service.read()
    mark = lab.mark()
    lab.time.sleep(99)
    service.read()
    assert lab.sent(mark) == []
    lab.time.sleep(2)
    service.read()
    assert lab.sent(mark) == ['dump']


def test_own_changes_count_without_a_dump(lab):
    service = stats(lab, 0)
    roomiest(service.read())
    lab.volumes.create(VOLUME, 10, [0])
    mark = lab.mark()
    found = roomiest(service.read())
    assert found.free_gib == 90
    assert found.provisioned_gib == 10
    assert lab.sent(mark) == []


def test_a_pool_whose_used_capacity_wrapped(tmp_path):
    """As on real arrays: free is more than the total (ISMCLI.md A.2)."""
    lab = make_lab(make_engine(tmp_path))
    found = roomiest(stats(lab, 2, actual=True).read())
    assert 0 < found.free_gib <= found.total_gib == 2048


# -- start ------------------------------------------------------------------

def test_a_good_array_passes(lab):
    check_backend(lab.inventory, [0, 1], [2])


@pytest.mark.parametrize('pools, backup, option', [
    ([0, 7], [1], 'nec_pools'), ([0], [0x1f], 'nec_backup_pools')])
def test_a_missing_pool_is_named_with_the_ones_there_are(
        lab, pools, backup, option):
    with pytest.raises(errors.ConfigError) as caught:
        check_backend(lab.inventory, pools, backup)
    assert caught.value.option == option
    assert 'No available pools found' in str(caught.value)
    assert '0 (0h), 1 (1h), 2 (2h)' in str(caught.value)


def test_an_array_without_pools(tmp_path):
    lab = make_lab(make_engine(tmp_path, 'empty',
                               changes={'pools': [], 'lds': []}))
    with pytest.raises(errors.ConfigError,
                       match='No available pools found'):
        check_backend(lab.inventory, [], [])
