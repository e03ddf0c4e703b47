# SPDX-License-Identifier: Apache-2.0
"""Revert, and snapshots for backups, called by the manager's own code."""

from __future__ import annotations

import types

import pytest

from tests.cinder.drivers import DRIVERS  # first: it registers objects

from cinder import context, exception, objects  # isort: skip
from cinder.volume import manager  # isort: skip
from cinder_nec import assembly  # isort: skip
from ismsim.faults import Action  # isort: skip
from tests.backend.arrays import make_engine, make_lab  # isort: skip
from tests.cinder.assembled import (  # isort: skip
    a_snapshot,
    a_volume,
    connector,
    driver_on,
    ld_name,
    sets_of,
    snapshot_name,
)

OLD, NEW = b'before the snapshot', b'after the snapshot!'
ADMIN = context.RequestContext('user', 'project', is_admin=True)


@pytest.fixture(params=DRIVERS, ids=lambda d: d.__name__)
def driver(request, tmp_path):
    cls = request.param
    lab = make_lab(make_engine(tmp_path),
                   replication=cls.METHOD is assembly.Method.REPLICATION)
    made = driver_on(cls, lab)
    made.set_initialized()
    return made


@pytest.fixture
def snapshot(driver, monkeypatch):
    made = a_snapshot(driver, a_volume(driver, OLD))
    driver.lab.write(ld_name(made.volume), NEW)
    monkeypatch.setattr(objects.Snapshot, 'get_by_id',
                        lambda _context, _id: made)
    return made


@pytest.fixture
def cinder(driver):
    """The volume manager, as far as it concerns snapshots."""
    return types.SimpleNamespace(driver=driver)


def attach(cinder, snapshot, number=1):
    return manager.VolumeManager.initialize_connection_snapshot(
        cinder, ADMIN, snapshot.id, connector(cinder.driver, number))


def detach(cinder, snapshot, host):
    manager.VolumeManager.terminate_connection_snapshot(
        cinder, ADMIN, snapshot.id, host, force=True)
    manager.VolumeManager.remove_export_snapshot(
        cinder, ADMIN, snapshot.id)


def shown(driver, snapshot) -> list[str]:
    """Return where hosts see it, by itself or by its link volume."""
    name = snapshot_name(snapshot)
    lds = driver.lab.lds()
    return [key for label in (name.label, f'{name.label}_l')
            if label in lds
            for key in driver.lab.engine.array.store.ldsets_of(
                lds[label].ldn)]


def test_the_backup_service_reads_a_snapshot(cinder, driver, snapshot):
    before = driver.lab.state()[0]
    info = attach(cinder, snapshot)
    assert len(shown(driver, snapshot)) == 1
    assert info['data']['access_mode'] == 'ro'
    assert info['data']['volume_id'] == snapshot.id
    assert info['driver_volume_type'] == (
        driver.backend.access.volume_type)
    detach(cinder, snapshot, connector(driver))
    assert shown(driver, snapshot) == []
    assert driver.lab.state()[0] == before


def test_a_connection_that_failed_is_only_terminated(cinder, driver,
                                                     snapshot):
    """What the backup service does then; nothing removes an export."""
    before = driver.lab.state()[0]
    attach(cinder, snapshot)
    manager.VolumeManager.terminate_connection_snapshot(
        cinder, ADMIN, snapshot.id, connector(driver), force=True)
    assert driver.lab.state()[0] == before


def test_a_forced_detach_without_a_host(cinder, driver, snapshot):
    for number in (1, 2):
        attach(cinder, snapshot, number)
    detach(cinder, snapshot, None)
    assert shown(driver, snapshot) == []


def test_an_attach_that_fails_leaves_nothing(cinder, driver, snapshot):
    attach(cinder, snapshot)
    detach(cinder, snapshot, connector(driver))
    before = driver.lab.state()
    driver.lab.fault(Action.REFUSE, prefix='iSMcfg addldsetld')
    with pytest.raises(exception.VolumeBackendAPIException):
        attach(cinder, snapshot)
    assert driver.lab.state() == before
    driver.delete_snapshot(snapshot)


def test_a_detach_that_fails_is_told(cinder, driver, snapshot):
    attach(cinder, snapshot)
    driver.lab.fault(Action.REFUSE, prefix='iSMcfg delldsetld', times=5)
    with pytest.raises(exception.VolumeBackendAPIException):
        detach(cinder, snapshot, connector(driver))
    driver.lab.engine.faults.clear()
    detach(cinder, snapshot, connector(driver))
    assert shown(driver, snapshot) == []


@pytest.mark.parametrize('host', [{}, {'host': 'x'}, {'initiator': ';id'},
                                  {'wwpns': ['$(id)']}])
def test_a_connector_that_cannot_be_used(cinder, driver, snapshot, host):
    mark = driver.lab.mark()
    with pytest.raises(exception.InvalidInput):
        manager.VolumeManager.initialize_connection_snapshot(
            cinder, ADMIN, snapshot.id, host)
    assert driver.lab.sent(mark) == []


def test_a_volume_in_use_is_backed_up_from_a_snapshot(driver):
    assert driver.backup_use_temp_snapshot() is True


def test_the_manager_reverts_without_a_safety_snapshot(driver, snapshot):
    assert driver.snapshot_revert_use_temp_snapshot() is False
    before = driver.lab.state()[0]
    manager.VolumeManager._revert_to_snapshot(
        types.SimpleNamespace(driver=driver), ADMIN, snapshot.volume,
        snapshot)
    assert driver.lab.read(ld_name(snapshot.volume), len(OLD)) == OLD
    assert driver.lab.state()[0] == before


def test_a_revert_that_fails_is_not_done_by_a_copy(driver, snapshot):
    """Cinder's generic way is for drivers that cannot revert."""
    driver.initialize_connection(snapshot.volume, connector(driver))
    with pytest.raises(exception.VolumeIsBusy):
        manager.VolumeManager._revert_to_snapshot(
            types.SimpleNamespace(driver=driver), ADMIN, snapshot.volume,
            snapshot)
    assert driver.lab.read(ld_name(snapshot.volume), len(NEW)) == NEW
    assert sets_of(driver, ld_name(snapshot.volume))
