# SPDX-License-Identifier: Apache-2.0
"""Cinder's scheduler, with its real filter and weigher, on our stats."""

from __future__ import annotations

import contextlib
import types

import pytest

from cinder_nec.errors import ConnectFailed
from cinder_nec.model import LdName
from ismsim.faults import Action
from tests.backend.arrays import Lab, make_engine, make_lab
from tests.cinder.drivers import DRIVERS
from tests.cinder.test_stats import driver_on

from cinder import objects  # isort: skip
from cinder.objects import request_spec  # isort: skip
from cinder.scheduler import host_manager  # isort: skip
from cinder.scheduler.filters import driver_filter  # isort: skip
from cinder.scheduler.weights import goodness  # isort: skip

POOLS = {'pools': [
    {'number': 0, 'capacity': '100 GiB'},
    {'number': 1, 'capacity': '400 GiB'}], 'lds': [], 'ldsets': []}
SERVICE = types.SimpleNamespace(
    host='n@gold', cluster_name=None, updated_at=None, created_at=None,
    service_state='up', is_up=True)


@pytest.fixture
def lab(tmp_path) -> Lab:
    return make_lab(make_engine(tmp_path, changes=POOLS))


def states(driver, name='n@gold') -> dict[str, host_manager.PoolState]:
    """Return the scheduler's view of each pool, by name."""
    stats = dict(driver.get_volume_stats(True), timestamp=None)
    backend = host_manager.BackendState(name, None)
    backend.update_from_volume_capability(stats, dict(SERVICE.__dict__))
    return backend.pools


def asked(**properties):
    return {'request_spec': {'volume_properties': properties},
            'volume_type': {}, 'qos_specs': {}}


NEW = asked(size=1, status='creating')


def passes(state, request=NEW) -> bool:
    return bool(driver_filter.DriverFilter().backend_passes(state, request))


def weight(state, request=NEW) -> float:
    return goodness.GoodnessWeigher()._weigh_object(state, request)


def fill(lab: Lab, count: int, pool: int = 0, size: int = 1,
         start: str = 'v') -> None:
    for number in range(count):
        lab.volumes.create(LdName('LX', f'{start}{number}'), size, [pool])


# -- filter -----------------------------------------------------------------

@pytest.mark.parametrize('driver', DRIVERS, ids=lambda d: d.__name__)
def test_a_volume_goes_where_an_ld_can_be_made(lab, driver, caplog):
    fill(lab, 3)
    [room] = states(driver_on(lab, limit=4, driver=driver)).values()
    [full] = states(driver_on(lab, limit=3, driver=driver)).values()
    assert passes(room)
    assert not passes(full)
    assert 'Error in' not in caplog.text


def test_the_arrays_own_limit_counts_too(tmp_path):
    lab = make_lab(make_engine(tmp_path, changes=POOLS))
    lab.inventory.refresh()
    driver = driver_on(lab)
    stats = driver.get_volume_stats(True)
    assert (stats['nec_ld_count'], stats['nec_ld_limit']) == (0, 4096)
    fill(lab, 2)
    stats = driver_on(lab, limit=10_000).get_volume_stats(True)
    assert (stats['nec_ld_count'], stats['nec_ld_limit']) == (2, 4096)


@pytest.mark.parametrize('status', ['retyping', 'managing', 'extending'])
def test_what_has_its_ld_is_not_kept_from_a_full_back_end(lab, status):
    fill(lab, 3)
    [full] = states(driver_on(lab, limit=3)).values()
    assert passes(full, asked(size=1, status=status))


def test_a_snapshot_is_asked_for_without_a_status(lab, caplog):
    """Cinder's request for it knows nothing but the size."""
    objects.register_all()
    request = {'request_spec': {'volume_properties':
                                request_spec.VolumeProperties(size=1)}}
    fill(lab, 3)
    [room] = states(driver_on(lab, limit=4)).values()
    assert passes(room, request)
    assert 'Error in' not in caplog.text
    [full] = states(driver_on(lab, limit=3)).values()
    assert not passes(full, request)


# -- goodness ---------------------------------------------------------------

def test_the_emptier_pool_is_better_not_the_larger_one(lab):
    fill(lab, 1, pool=1, size=300)
    pools = states(driver_on(lab, each=True, pools=(0, 1)))
    small, large = pools['pool0'], pools['pool1']
    assert large.free_capacity_gb == small.free_capacity_gb == 100
    assert 90 < weight(small) <= 100
    assert 20 < weight(large) < 30


def test_few_lds_left_are_worse(lab):
    fill(lab, 9)
    [scarce] = states(driver_on(lab, limit=10)).values()
    [plenty] = states(driver_on(lab, limit=1000)).values()
    assert weight(scarce) < 15 < 90 < weight(plenty)


def test_what_the_scheduler_gave_out_since_counts(lab):
    [state] = states(driver_on(lab, pools=(0, 1))).values()
    before = weight(state)
    state.consume_from_volume({'size': 200})
    assert weight(state) == pytest.approx(before / 2, rel=0.01)


def test_a_busy_array_is_worse(lab):
    [idle] = states(driver_on(lab)).values()
    source = LdName('LX', 'v0')
    with contextlib.ExitStack() as copies:
        for _ in range(8):
            copies.enter_context(lab.settler.place(source))
        fill(lab, 1)
        [busy] = states(driver_on(lab)).values()
    assert busy.capabilities['nec_copies_running'] == 8
    assert weight(busy) == pytest.approx(weight(idle) / 2, rel=0.05)


def test_copies_count_in_the_pool_they_are_in(lab):
    fill(lab, 1, pool=1)
    with lab.settler.place(LdName('LX', 'v0')):
        pools = states(driver_on(lab, each=True, pools=(0, 1)))
    assert [pools[name].capabilities['nec_copies_running']
            for name in ('pool0', 'pool1')] == [0, 1]


def test_slow_commands_are_worse(lab):
    [before] = states(driver_on(lab)).values()
    lab.fault(Action.DELAY, prefix='iSMcfg', seconds=12.0, times=None)
    fill(lab, 1)
    [after] = states(driver_on(lab)).values()
    assert after.capabilities['nec_command_seconds'] >= 12
    assert weight(after) == pytest.approx(weight(before) / 4, rel=0.05)


# -- the operator, and an array that is away ---------------------------------

@pytest.mark.parametrize('each', [False, True])
def test_the_operators_functions_win(lab, each):
    driver = driver_on(lab, each=each, pools=(0, 1))
    driver.configuration.filter_function = 'volume.size < 5'
    driver.configuration.goodness_function = '42'
    for state in states(driver).values():
        assert passes(state, asked(size=4, status='creating'))
        assert not passes(state, asked(size=5, status='creating'))
        assert weight(state) == 42


def test_an_array_that_is_away_is_passed_by_without_an_error(lab, caplog):
    driver = driver_on(lab)

    def away(*_):
        raise ConnectFailed('no route')
    lab.inventory._fetch = away
    [state] = states(driver).values()
    caplog.clear()
    assert not passes(state)
    assert 'Error in' not in caplog.text
    assert state.capabilities['nec_goodness'] == 0
