# SPDX-License-Identifier: Apache-2.0
"""The stats that the manager gets, and where a new volume goes."""

from __future__ import annotations

import dataclasses
import types

import pytest

from cinder_nec import assembly
from cinder_nec.backend.exposition import MetricsFile
from cinder_nec.backend.location import Location
from cinder_nec.backend.stats import Stats
from ismsim.faults import Action
from tests.backend.arrays import Lab, make_engine, make_lab
from tests.cinder.drivers import DRIVERS

POOLS = {'pools': [
    {'number': 0, 'capacity': '100 GiB'},
    {'number': 10, 'capacity': '300 GiB'},
    {'number': 11, 'capacity': '900 GiB', 'actual': '200 GiB'}],
    'lds': [], 'ldsets': []}
KEYS = {'total_capacity_gb', 'free_capacity_gb', 'provisioned_capacity_gb',
        'reserved_percentage', 'thin_provisioning_support',
        'thick_provisioning_support', 'QoS_support', 'multiattach',
        'online_extend_support', 'location_info'}


@pytest.fixture
def lab(tmp_path) -> Lab:
    return make_lab(make_engine(tmp_path, changes=POOLS))


def driver_on(lab, *, each=False, actual=False, limit=None, pools=(0, 10, 11),
              address='192.0.2.1', driver=DRIVERS[0]):
    made = object.__new__(driver)
    made._driver_name, made._stats = driver.__name__, {}
    made.configuration = types.SimpleNamespace(
        safe_get=lambda name: None, filter_function=None,
        goodness_function=None)
    made._backend = assembly.Backend(
        config=types.SimpleNamespace(
            address=address, port=22, platform='LX', backup_platform='LX',
            pools=pools, backend_name='Gold', report_pools=each),
        array=assembly.Array(lab.client, lab.inventory, None, None),
        volumes=lab.volumes, copying=lab.snapshots, access=lab.access,
        stats=Stats(lab.inventory, pools, fresh_seconds=20,
                    actual_capacity=actual,
                    max_ld_count=limit, load=lab.load),
        io_control=None, migration=None, manage=None,
        snapshot_access=None, settler=None)
    return made


def a_volume(host, size=1, uuid='24944c37-db40-45bc-ad11-fb3e9c54c9f0'):
    return types.SimpleNamespace(
        id=uuid, name_id=uuid, size=size, host=host, volume_type_id=None)


@pytest.mark.parametrize('driver', DRIVERS, ids=lambda d: d.__name__)
def test_the_manuals_values(lab, driver):
    stats = driver_on(lab, driver=driver).get_volume_stats(True)
    assert stats['volume_backend_name'] == 'Gold'
    assert stats['vendor_name'] == 'NEC'
    assert stats['driver_version'] == driver.VERSION
    assert stats['storage_protocol'] == driver.PROTOCOL.value
    assert stats['reserved_percentage'] == 0
    assert stats['QoS_support'] is stats['multiattach'] is True
    assert stats['total_capacity_gb'] == stats['free_capacity_gb'] == 900
    assert stats['backend_state'] == 'up'
    assert stats.keys() >= KEYS
    assert 'pools' not in stats


def test_each_pool_where_the_operator_wants_it(lab):
    stats = driver_on(lab, each=True, actual=True).get_volume_stats(True)
    by_name = {pool['pool_name']: pool for pool in stats['pools']}
    assert sorted(by_name) == ['pool0', 'pool10', 'pool11']
    assert by_name['pool0']['total_capacity_gb'] == 100
    assert by_name['pool11']['total_capacity_gb'] == 200
    assert by_name['pool11']['thin_provisioning_support'] is True
    assert by_name['pool10']['thin_provisioning_support'] is False
    for number, pool in ((0, by_name['pool0']), (11, by_name['pool11'])):
        assert pool.keys() >= KEYS
        assert Location.find(pool['location_info']).pools == (number,)
    assert stats['backend_state'] == 'up'


def test_no_room_at_the_limit_of_lds(lab):
    driver = driver_on(lab, limit=1)
    lab.volumes.create(driver._ld_name(a_volume('n@g')), 1, [0])
    assert driver.get_volume_stats(True)['free_capacity_gb'] == 0
    pools = driver_on(lab, limit=1, each=True).get_volume_stats(True)['pools']
    assert [p['free_capacity_gb'] for p in pools] == [0, 0, 0]


@pytest.mark.parametrize('host, each, expected', [
    ('node@gold#pool10', True, (10,)),
    ('node@gold#Gold', True, (0, 10, 11)),  # made before it was switched on
    ('node@gold', True, (0, 10, 11)),
    (None, True, (0, 10, 11)),
    ('node@gold#pool10', False, (0, 10, 11)),
])
def test_a_volume_goes_where_the_scheduler_wants_it(lab, host, each,
                                                    expected):
    driver = driver_on(lab, each=each)
    assert driver._pools_for(a_volume(host)) == expected


def test_get_pool_tells_the_reported_name(lab):
    volume = a_volume('node@gold#pool10')
    driver = driver_on(lab, each=True)
    lab.volumes.create(driver._ld_name(volume), 1,
                       driver._pools_for(volume))
    assert driver.get_pool(volume) == 'pool10'
    assert driver_on(lab).get_pool(volume) == 'Gold'


def test_location_survives_ipv6(lab):
    stats = driver_on(lab, address='2001:db8::1').get_volume_stats(True)
    found = Location.find(stats['location_info'])
    assert found.address == '2001:db8::1'
    assert found.pools == (0, 10, 11)


def test_an_array_that_cannot_be_reached_is_down_with_a_reason(lab, caplog):
    driver = driver_on(lab)
    driver.get_volume_stats(True)
    lab.time.sleep(60)
    lab.fault(Action.REFUSE, prefix='iSMquery', times=None,
              text='no service')
    stats = driver.get_volume_stats(True)
    assert stats['backend_state'] == 'down'
    assert stats['total_capacity_gb'] == stats['free_capacity_gb'] == 0
    assert 'the array cannot be read' in caplog.text
    assert 'no service' in caplog.text
    lab.engine.faults.clear()
    assert driver.get_volume_stats(True)['backend_state'] == 'up'


def test_figures_that_cannot_be_written_do_not_cost_the_stats(lab, tmp_path,
                                                              caplog):
    driver = driver_on(lab)
    for path in (str(tmp_path / 'missing' / 'x.prom'), 'a\0b'):
        driver._backend = dataclasses.replace(
            driver._backend, metrics=MetricsFile(path, 'node@gold'))
        assert driver.get_volume_stats(True)['backend_state'] == 'up'
    assert caplog.text.count('cannot be written') == 2
