# SPDX-License-Identifier: Apache-2.0
"""After a migration Cinder's id and the LD's name differ (``name_id``).

Every operation must find the LD by ``name_id``; one that uses ``id`` finds
nothing, or worse, another LD.  Both exist here.
"""

from __future__ import annotations

import types
import uuid

import pytest

from cinder_nec import assembly, naming
from cinder_nec.backend.io_control import IoControl, IoLimits
from cinder_nec.backend.migration import Migration
from cinder_nec.backend.recovery import Recovery
from cinder_nec.backend.snapshot_access import ReplicaAccess
from cinder_nec.model import LdName, Protocol
from tests.backend.arrays import POOL, fc_host, host, make_engine, make_lab
from tests.cinder.drivers import DRIVERS

DATA, DECOY = b'the volume', b'another LD'


@pytest.fixture(params=DRIVERS, ids=lambda d: d.__name__)
def driver(request, tmp_path, monkeypatch):
    cls = request.param
    monkeypatch.setattr('cinder_nec.backend.qos.limits_of',
                        lambda type_id: IoLimits())
    lab = make_lab(make_engine(tmp_path),
                   replication=cls.METHOD is assembly.Method.REPLICATION)
    made = object.__new__(cls)
    made._driver_name, made.lab, made._lookup = cls.__name__, lab, None
    made.host, made.cluster_name = 'node@gold', None
    io_control = IoControl(lab.client, lab.inventory)
    access = lab.fc if cls.PROTOCOL is Protocol.FC else lab.access
    migration = Migration(lab.client, lab.inventory, lab.volumes,
                          lab.snapshots._pairs, io_control, lab.time, 3600.0)
    made._backend = assembly.Backend(
        config=types.SimpleNamespace(
            address='192.0.2.1', port=22, platform='LX',
            backup_platform='LX', pools=(POOL,), backend_name='Gold',
            report_pools=False),
        array=assembly.Array(lab.client, lab.inventory, None, None),
        volumes=lab.volumes, copying=lab.snapshots,
        access=access, stats=None, io_control=io_control,
        migration=migration, manage=None,
        snapshot_access=ReplicaAccess(access), settler=lab.settler,
        recovery=Recovery(lab.inventory, lab.volumes, lab.snapshots,
                          lab.settler, migration, access, lab.time))
    return made


def a_volume(driver, *, decoy=True, **fields):
    """A volume whose LD has the name of ``name_id``, beside one of ``id``."""
    volume = types.SimpleNamespace(
        id=str(uuid.uuid4()), name_id=str(uuid.uuid4()), size=1,
        host='node@gold#Gold', volume_type_id=None, migration_status=None,
        volume_attachment=[], status='available', **fields)
    for name, data in ((volume.name_id, DATA), (volume.id, DECOY)):
        if data is DECOY and not decoy:
            continue
        ld = LdName('LX', naming.ld_name(name))
        driver.lab.volumes.create(ld, 1, [POOL])
        driver.lab.write(ld, data)
    return volume


def a_snapshot(volume):
    return types.SimpleNamespace(
        id=str(uuid.uuid4()), volume=volume, volume_id=volume.id,
        volume_size=1, metadata={})


def ld_of(driver, uuid_):
    return driver.lab.lds().get(naming.ld_name(uuid_))


def read(driver, uuid_):
    return driver.lab.read(LdName('LX', naming.ld_name(uuid_)), len(DATA))


def connector(driver):
    made = (fc_host() if driver.PROTOCOL is Protocol.FC else host())
    return {'initiator': str(made.initiator or ''), 'host': made.host,
            'wwpns': [str(w) for w in made.wwpns]}


def mapped(driver, uuid_):
    return driver.lab.engine.array.store.ldsets_of(ld_of(driver, uuid_).ldn)


def test_create_and_delete(driver):
    volume = a_volume(driver)
    driver.delete_volume(volume)
    assert ld_of(driver, volume.name_id) is None
    assert read(driver, volume.id) == DECOY
    driver.create_volume(volume)
    assert ld_of(driver, volume.name_id) is not None


def test_extend(driver):
    volume = a_volume(driver)
    driver.extend_volume(volume, 3)
    assert ld_of(driver, volume.name_id).capacity == 3 << 30
    assert ld_of(driver, volume.id).capacity == 1 << 30


def test_clone(driver):
    source = a_volume(driver)
    target = types.SimpleNamespace(**{
        **vars(source), 'id': str(uuid.uuid4()),
        'name_id': str(uuid.uuid4())})
    driver.create_cloned_volume(target, source)
    assert read(driver, target.name_id) == DATA
    assert ld_of(driver, target.id) is None


def test_snapshot_and_a_volume_from_it(driver):
    source = a_volume(driver)
    snapshot = a_snapshot(source)
    driver.create_snapshot(snapshot)
    assert read(driver, snapshot.id) == DATA
    target = types.SimpleNamespace(**{
        **vars(source), 'id': str(uuid.uuid4()),
        'name_id': str(uuid.uuid4())})
    driver.create_volume_from_snapshot(target, snapshot)
    assert read(driver, target.name_id) == DATA
    driver.delete_snapshot(snapshot)
    assert ld_of(driver, snapshot.id) is None


def test_attach_and_detach(driver):
    volume = a_volume(driver)
    info = driver.initialize_connection(volume, connector(driver))
    assert info['data']['volume_id'] == volume.id
    assert mapped(driver, volume.name_id) and not mapped(driver, volume.id)
    driver.terminate_connection(volume, connector(driver), force=False)
    assert not mapped(driver, volume.name_id)


def test_forced_detach(driver):
    volume = a_volume(driver)
    driver.initialize_connection(volume, connector(driver))
    driver.terminate_connection(volume, None, force=True)
    assert not mapped(driver, volume.name_id)


def test_revert(driver):
    volume = a_volume(driver)
    snapshot = a_snapshot(volume)
    driver.create_snapshot(snapshot)
    driver.lab.write(LdName('LX', naming.ld_name(volume.name_id)), DECOY)
    driver.revert_to_snapshot(None, volume, snapshot)
    assert read(driver, volume.name_id) == DATA


def test_copies_that_were_left(driver):
    volume = a_volume(driver)
    driver.lab.snapshots._waits = False
    target = types.SimpleNamespace(**{
        **vars(volume), 'id': str(uuid.uuid4()),
        'name_id': str(uuid.uuid4())})
    driver.create_cloned_volume(target, volume)
    driver.lab.settler._copies.clear()
    assert driver.update_provider_info([volume, target], []) == (None, None)
    assert len(driver.lab.settler) == 1
