# SPDX-License-Identifier: Apache-2.0
"""A volume with several attachments: a detach ends one of them."""

from __future__ import annotations

import types

import pytest

from cinder_nec.backend.access.connector import AccessOptions
from cinder_nec.model import LdSetName, Protocol
from tests.backend.arrays import make_engine, make_lab
from tests.cinder.assembled import (
    a_volume,
    connector,
    driver_on,
    ld_name,
    sets_of,
)
from tests.cinder.drivers import DRIVERS

# How a host is reached differs, the copy method does not matter.
CLASSES = [d for d in DRIVERS if 'DDR' not in d.__name__]
SHARED = LdSetName('LX', 'shared')


@pytest.fixture(params=CLASSES, ids=lambda d: d.__name__)
def driver(request, tmp_path):
    return driver_on(request.param, make_lab(make_engine(tmp_path)))


@pytest.fixture(params=CLASSES, ids=lambda d: d.__name__)
def with_shared_set(request, tmp_path):
    """A driver with nec_ldset, one LD Set of all hosts."""
    is_fc = request.param.PROTOCOL is Protocol.FC
    shared = {'name': str(SHARED), 'type': 'fc' if is_fc else 'iscsi'}
    if is_fc:
        shared['paths'] = [f'1000-0090-FAA0-{n:02X}{p:02X}'
                           for n in (1, 2) for p in (0, 1)]
    else:
        shared['multitarget'] = True
        shared['initiators'] = [f'iqn.1994-05.com.redhat:host{n:04d}'
                                for n in (1, 2)]
    return driver_on(request.param, make_lab(
        make_engine(tmp_path, changes={'ldsets': [shared]}),
        options=AccessOptions(ld_set=SHARED)))


def attach(driver, volume, number):
    """Attach as the manager does; the record has the connector then."""
    host = connector(driver, number)
    volume.volume_attachment.append(types.SimpleNamespace(
        id=f'attachment{len(volume.volume_attachment)}', connector=host))
    return driver.initialize_connection(volume, host)


def detach(driver, volume, number):
    """Detach as the manager does; the record goes afterwards."""
    host = connector(driver, number)
    answer = driver.terminate_connection(volume, host, force=False)
    records = volume.volume_attachment
    records.remove(next(r for r in records if r.connector == host))
    return answer


def host_sets(driver, volume) -> int:
    return len(sets_of(driver, ld_name(volume)))


def test_two_instances_on_one_host(driver):
    volume = a_volume(driver)
    first = attach(driver, volume, 1)
    assert attach(driver, volume, 1) == first
    detach(driver, volume, 1)
    assert host_sets(driver, volume) == 1
    detach(driver, volume, 1)
    assert host_sets(driver, volume) == 0


def test_instances_on_two_hosts(driver):
    volume = a_volume(driver)
    for number in (1, 2, 1):
        attach(driver, volume, number)
    assert host_sets(driver, volume) == 2
    detach(driver, volume, 1)
    assert host_sets(driver, volume) == 2
    detach(driver, volume, 2)
    assert host_sets(driver, volume) == 1
    detach(driver, volume, 1)
    assert host_sets(driver, volume) == 0


def test_the_last_detach_of_a_host_leaves_the_other(driver):
    volume = a_volume(driver)
    attach(driver, volume, 1)
    other = attach(driver, volume, 2)
    detach(driver, volume, 1)
    assert host_sets(driver, volume) == 1
    again = driver.initialize_connection(volume, connector(driver, 2))
    assert again == other


def test_hosts_that_share_an_ld_set(with_shared_set):
    driver = with_shared_set
    volume = a_volume(driver)
    for number in (1, 2):
        attach(driver, volume, number)
    assert sets_of(driver, ld_name(volume)) == [str(SHARED)]
    detach(driver, volume, 1)
    assert sets_of(driver, ld_name(volume)) == [str(SHARED)]
    detach(driver, volume, 2)
    assert sets_of(driver, ld_name(volume)) == []


def test_several_on_each_of_hosts_that_share_an_ld_set(with_shared_set):
    driver = with_shared_set
    volume = a_volume(driver)
    for number in (1, 1, 2):
        attach(driver, volume, number)
    for number in (1, 2):
        detach(driver, volume, number)
        assert sets_of(driver, ld_name(volume)) == [str(SHARED)]
    detach(driver, volume, 1)
    assert sets_of(driver, ld_name(volume)) == []


def test_another_volume_in_the_shared_ld_set_stays(with_shared_set):
    driver = with_shared_set
    one, other = a_volume(driver), a_volume(driver)
    for volume in (one, other):
        attach(driver, volume, 1)
    detach(driver, one, 1)
    assert sets_of(driver, ld_name(one)) == []
    assert sets_of(driver, ld_name(other)) == [str(SHARED)]


@pytest.mark.parametrize('odd', [
    None, {}, {'host': 'reserved'}, {'initiator': 'x;reboot'},
    {'wwpns': 'x;reboot'}])
def test_odd_attachments_keep_nothing(driver, odd):
    """Reserved ones have no connector; old ones may have anything."""
    volume = a_volume(driver)
    attach(driver, volume, 1)
    volume.volume_attachment.append(types.SimpleNamespace(
        id='odd', connector=odd))
    detach(driver, volume, 1)
    assert host_sets(driver, volume) == 0


def test_an_attach_that_cinder_has_not_written_down_yet(with_shared_set):
    """The manager stores the connector after the driver has answered."""
    driver = with_shared_set
    volume = a_volume(driver)
    attach(driver, volume, 1)
    reserved = types.SimpleNamespace(id='new', connector=None)
    volume.volume_attachment.append(reserved)
    driver.initialize_connection(volume, connector(driver, 2))
    detach(driver, volume, 1)
    assert sets_of(driver, ld_name(volume)) == [str(SHARED)]
    reserved.connector = connector(driver, 2)
    detach(driver, volume, 2)
    assert sets_of(driver, ld_name(volume)) == []


def test_detaches_whose_records_are_there_still(with_shared_set):
    """The API removes them after the manager has answered."""
    driver = with_shared_set
    volume = a_volume(driver)
    for number in (1, 2):
        attach(driver, volume, number)
    for number in (1, 2):
        driver.terminate_connection(volume, connector(driver, number))
    assert sets_of(driver, ld_name(volume)) == []


def test_a_forced_detach_ends_all(driver):
    volume = a_volume(driver)
    for number in (1, 1, 2):
        attach(driver, volume, number)
    driver.terminate_connection(volume, None, force=True)
    assert host_sets(driver, volume) == 0
