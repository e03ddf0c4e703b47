# SPDX-License-Identifier: Apache-2.0
"""What Fibre Channel answers to Cinder, and when zones come and go."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import contextlib
import threading
import types
import uuid

import pytest

from tests.cinder import drivers  # first: it registers objects
from tests.cinder.unsaved import UnsavedVolume

from cinder import context, coordination, exception, objects  # isort: skip
from cinder.zonemanager import utils as fczm_utils  # isort: skip

from cinder_nec import naming  # isort: skip
from cinder_nec import volume as module  # isort: skip
from cinder_nec.model import LdName  # isort: skip
from tests.backend.arrays import (  # isort: skip
    POOL, make_engine, make_lab, wwpn)

PATIENCE = 30
NOTHING = {'driver_volume_type': 'fibre_channel', 'data': {}}


class Lookup:
    """Zoning is on; everybody is in one fabric."""

    def get_device_mapping_from_network(self, initiator_list, target_list):
        return {'SAN': {'initiator_port_wwn_list': initiator_list,
                        'target_port_wwn_list': target_list}}


class ZoneManager:
    """Holds the zones; a test may put something in its way."""

    def __init__(self):
        self.zones = set()
        self.before_add = self.before_delete = lambda: None

    @staticmethod
    def pairs(info):
        return {(initiator, target) for initiator, targets
                in info['data']['initiator_target_map'].items()
                for target in targets}

    def add_connection(self, info):
        self.before_add()
        self.zones |= self.pairs(info)

    def delete_connection(self, info):
        self.before_delete()
        self.zones -= self.pairs(info)

    def hosts(self):
        return {initiator for initiator, _target in self.zones}


class Locks:
    """A coordinator that tells when somebody has to wait."""

    def __init__(self):
        self.locks = {}
        self.waiting = threading.Event()

    @contextlib.contextmanager
    def get_lock(self, name):
        lock = self.locks.setdefault(name, threading.Lock())
        if not lock.acquire(blocking=False):
            self.waiting.set()
            assert lock.acquire(timeout=PATIENCE)
        try:
            yield
        finally:
            lock.release()


def driver_on(lab, *, zoning=True, cls=drivers.volume.MStorageFCDriver):
    driver = object.__new__(cls)
    driver._driver_name, driver.host = 'driver', 'node@gold'
    driver._lookup = Lookup() if zoning else None
    driver._backend = types.SimpleNamespace(
        config=types.SimpleNamespace(address='192.0.2.1', platform='LX'),
        access=lab.fc)
    return driver


@pytest.fixture
def lab(tmp_path):
    return make_lab(make_engine(tmp_path), fabric=Lookup())


@pytest.fixture
def driver(lab):
    return driver_on(lab)


@pytest.fixture
def locks(monkeypatch):
    found = Locks()
    monkeypatch.setattr(coordination, 'COORDINATOR', found)
    return found


@pytest.fixture
def manager(monkeypatch, locks):
    found = ZoneManager()
    monkeypatch.setattr(fczm_utils, 'create_zone_manager', lambda: found)
    return found


def connector(number=1, ports=(0, 1), **more):
    return {'host': f'host{number}', 'multipath': True,
            'wwpns': [wwpn(number, port) for port in ports], **more}


def a_volume(lab, *connectors):
    """A volume with its LD, attached by Cinder's records."""
    ctxt = context.get_admin_context()
    attachments = [objects.VolumeAttachment(
        ctxt, id=str(uuid.uuid4()), connector=each) for each in connectors]
    volume = UnsavedVolume(
        ctxt, id=str(uuid.uuid4()), _name_id=None, size=1,
        volume_attachment=objects.VolumeAttachmentList(objects=attachments))
    lab.volumes.create(ld_name(volume), 1, [POOL])
    return volume


def ld_name(volume):
    return LdName('LX', naming.ld_name(volume.name_id))


def ld_sets(lab, volume):
    ldn = lab.lds()[ld_name(volume).label].ldn
    return sorted(lab.engine.array.store.ldsets_of(ldn))


def wwpns(number, ports=(0, 1)):
    return {wwpn(number, port) for port in ports}


# -- answers ----------------------------------------------------------------

def test_the_answer_to_an_attach(lab, driver, manager):
    volume = a_volume(lab)
    info = driver.initialize_connection(volume, connector())
    assert info['driver_volume_type'] == 'fibre_channel'
    assert info['data']['volume_id'] == volume.id
    assert info['data']['target_lun'] == 0
    assert info['data']['target_discovered'] is True
    assert info['data']['initiator_target_map'].keys() == wwpns(1)
    assert manager.zones == manager.pairs(info)


def test_the_answers_to_detaches(lab, driver, manager):
    volumes = [a_volume(lab, connector()) for _ in range(2)]
    for volume in volumes:
        driver.initialize_connection(volume, connector())
    assert driver.terminate_connection(volumes[0], connector()) == NOTHING
    assert manager.hosts() == wwpns(1)
    last = driver.terminate_connection(volumes[1], connector())
    assert last['data'].keys() == {'target_wwn', 'initiator_target_map'}
    assert manager.zones == set()


def test_a_second_attachment_on_the_host_keeps_all(lab, driver, manager):
    volume = a_volume(lab, connector(), connector())
    driver.initialize_connection(volume, connector())
    assert driver.terminate_connection(volume, connector()) == NOTHING
    assert ld_sets(lab, volume) == [f'LX:{wwpn()}']
    assert manager.hosts() == wwpns(1)


@pytest.mark.parametrize('now', [
    connector(ports=(1, 0)), connector(multipath=False),
    connector(ports=(1, 5))], ids=['order', 'multipath', 'new HBA'])
def test_the_ending_attachment_is_known_by_its_wwpns(
        lab, driver, manager, now):
    """Nova may send the host's connector of today."""
    volume = a_volume(lab, connector(2), connector(1))
    for number in (1, 2):
        driver.initialize_connection(volume, connector(number))
    driver.terminate_connection(volume, now)
    assert ld_sets(lab, volume) == [f'LX:{wwpn(2)}']
    assert manager.hosts() == wwpns(2)


@pytest.mark.parametrize('order', [(1, 2), (2, 1)])
def test_hosts_of_one_iqn_are_two_hosts(lab, driver, manager, order):
    """Machines from one image: Fibre Channel tells them apart."""
    iqn = {'initiator': 'iqn.1994-05.com.redhat:image'}
    volume = a_volume(lab, *(connector(n, **iqn) for n in order))
    for number in order:
        driver.initialize_connection(volume, connector(number, **iqn))
    driver.terminate_connection(volume, connector(1, multipath=False,
                                                  **iqn))
    assert ld_sets(lab, volume) == [f'LX:{wwpn(2)}']


@pytest.mark.parametrize('nobody', [None, {}])
def test_forced_detach(lab, driver, manager, nobody):
    volume, other = a_volume(lab), a_volume(lab)
    for number in (1, 2):
        driver.initialize_connection(volume, connector(number))
    driver.initialize_connection(other, connector(2))
    ended = driver.terminate_connection(volume, nobody, force=True)
    assert ld_sets(lab, volume) == []
    assert ended['data']['initiator_target_map'].keys() == wwpns(1)
    assert manager.hosts() == wwpns(2)
    assert driver.terminate_connection(volume, nobody,
                                       force=True) == NOTHING


def test_a_connector_without_wwpns_is_refused(lab, driver):
    with pytest.raises(exception.InvalidConnectorException, match='wwpns'):
        driver.validate_connector(
            {'host': 'h', 'initiator': 'iqn.1994-05.com.redhat:h'})
    driver.validate_connector(connector())


# -- zones ------------------------------------------------------------------

def test_an_attach_without_zones_is_taken_back(lab, driver, manager):
    def fails():
        raise exception.ZoneManagerException(reason='switch')

    volume = a_volume(lab)
    manager.before_add = fails
    with pytest.raises(exception.ZoneManagerException):
        driver.initialize_connection(volume, connector())
    assert ld_sets(lab, volume) == []


def test_zones_that_could_not_be_removed_go_with_the_next_try(
        lab, driver, manager):
    def fails():
        raise exception.ZoneManagerException(reason='switch')

    volume = a_volume(lab, connector())
    driver.initialize_connection(volume, connector())
    manager.before_delete = fails
    with pytest.raises(exception.ZoneManagerException):
        driver.terminate_connection(volume, connector())
    manager.before_delete = lambda: None
    driver.terminate_connection(volume, connector())
    assert manager.zones == set()


def test_zones_are_back_before_an_attach_ends(lab, driver, manager, locks):
    """The last detach removes zones while another volume is attached."""
    old, new = a_volume(lab, connector()), a_volume(lab)
    driver.initialize_connection(old, connector())
    removing = threading.Event()

    def while_removing():
        removing.set()
        assert locks.waiting.wait(PATIENCE)

    # Without the lock the attach would get here meanwhile.
    manager.before_add = locks.waiting.set
    manager.before_delete = while_removing
    with ThreadPoolExecutor(2) as pool:
        detach = pool.submit(driver.terminate_connection, old, connector())
        assert removing.wait(PATIENCE)
        attach = pool.submit(driver.initialize_connection, new, connector())
        detach.result(PATIENCE)
        attach.result(PATIENCE)
    assert ld_sets(lab, new)
    assert manager.hosts() == wwpns(1)


def test_the_last_lun_is_judged_where_zones_are_changed(
        lab, driver, manager, locks):
    """Another volume was attached after this one was unmapped."""
    old, new = a_volume(lab, connector()), a_volume(lab)
    driver.initialize_connection(old, connector())
    detaching = lab.fc.detaching

    @contextlib.contextmanager
    def then_attach(*arguments):
        with detaching(*arguments) as left:
            driver.initialize_connection(new, connector())
            yield left

    lab.fc.detaching = then_attach
    assert driver.terminate_connection(old, connector()) == NOTHING
    assert manager.hosts() == wwpns(1)


def test_no_attach_comes_between_the_look_and_the_removal(
        lab, driver, manager, locks):
    old, new = a_volume(lab, connector()), a_volume(lab)
    driver.initialize_connection(old, connector())
    look = lab.fc.ended

    with ThreadPoolExecutor(1) as pool:
        attaches = []

        def then_attach(*arguments):
            answer = look(*arguments)
            attach = pool.submit(driver.initialize_connection, new,
                                 connector())
            # It waits, or without the lock it comes to its end here.
            attach.add_done_callback(lambda _done: locks.waiting.set())
            assert locks.waiting.wait(PATIENCE)
            attaches.append(attach)
            return answer

        lab.fc.ended = then_attach
        driver.terminate_connection(old, connector())
        attaches[0].result(PATIENCE)
    assert manager.hosts() == wwpns(1)


def test_without_zoning_no_lock_is_needed(lab, monkeypatch):
    monkeypatch.setattr(fczm_utils, 'create_zone_manager', lambda: None)
    driver = driver_on(lab, zoning=False)
    volume = a_volume(lab, connector())
    # Cinder's coordinator is not even started here.
    driver.initialize_connection(volume, connector())
    assert driver.terminate_connection(volume, connector())['data']


@pytest.mark.parametrize('cls', [
    drivers.volume.MStorageFCDriver, drivers.volume.MStorageDDRFCDriver])
def test_the_lookup_service_is_asked_for_at_start(monkeypatch, cls):
    lookup, given = Lookup(), []
    monkeypatch.setattr(fczm_utils, 'create_lookup_service', lambda: lookup)
    monkeypatch.setattr(module.config, 'load', lambda *_arguments: None)
    monkeypatch.setattr(module.assembly, 'build',
                        lambda _config, _protocol, _method, fabric, *_rest:
                        given.append(fabric))
    driver = object.__new__(cls)
    driver._driver_name = driver.host = driver.configuration = ''
    driver.cluster_name = None
    driver.do_setup(None)
    assert given == [lookup]
