# SPDX-License-Identifier: Apache-2.0
"""QoS, retype and migration as the manager calls them."""

from __future__ import annotations

import itertools
import types
import uuid

import pytest

from tests.cinder.drivers import DRIVERS  # first: it registers objects
from tests.cinder.unsaved import UnsavedVolume

from cinder import context, exception, objects  # isort: skip
from cinder.volume import manager  # isort: skip

from cinder_nec import assembly, naming  # isort: skip
from cinder_nec.backend import qos  # isort: skip
from cinder_nec.backend.io_control import IoControl  # isort: skip
from cinder_nec.model import LdName  # isort: skip
from tests.backend.arrays import (  # isort: skip
    POOL, host, make_engine, make_lab)
from tests.backend.moves import make_migration  # isort: skip

DESTINATION = 2
HERE, THERE = 'node@gold#Gold', 'node@silver#Silver'
OLD_TYPE, NEW_TYPE = str(uuid.uuid4()), str(uuid.uuid4())
DATA = b'the user\'s'


@pytest.fixture
def lab(tmp_path):
    return make_lab(make_engine(tmp_path))


def driver_on(lab, pools=(POOL,), address='192.0.2.1'):
    driver = object.__new__(DRIVERS[0])
    driver._driver_name, driver.host = 'driver', 'node@gold'
    driver._backend = assembly.Backend(
        config=types.SimpleNamespace(
            address=address, port=22, platform='LX', backup_platform='LX',
            pools=pools, backend_name='Gold', report_pools=False),
        array=assembly.Array(lab.client, lab.inventory, None, None),
        volumes=lab.volumes, copying=lab.snapshots, access=lab.access,
        stats=None, io_control=IoControl(lab.client, lab.inventory),
        migration=make_migration(lab), manage=None,
        snapshot_access=None, settler=None)
    return driver


@pytest.fixture
def driver(lab):
    return driver_on(lab)


@pytest.fixture(autouse=True)
def types_of_the_cloud(monkeypatch):
    """QoS specs by volume type; none of its own at first."""
    known = {}
    monkeypatch.setattr(
        qos.volume_types, 'get_volume_type_qos_specs',
        lambda type_id: {'qos_specs': known.get(type_id)})
    return known


def specs(consumer='back-end', **keys):
    return {'id': 'id', 'name': 'QoS', 'consumer': consumer, 'specs': keys}


def a_volume(lab=None, *, attachments=(), **fields):
    """A volume as the manager has it, with its LD if there is a lab."""
    volume = UnsavedVolume(
        context.get_admin_context(),
        **{'id': str(uuid.uuid4()), '_name_id': None, 'size': 1,
           'host': HERE, 'volume_type_id': OLD_TYPE,
           'migration_status': None, 'provider_location': None,
           'status': 'available', 'display_description': None,
           'volume_attachment': objects.VolumeAttachmentList(
               objects=list(attachments)), **fields})
    if lab is not None:
        lab.volumes.create(ld_name(volume), volume.size, [POOL])
        lab.write(ld_name(volume), DATA)
    return volume


def ld_name(volume) -> LdName:
    return LdName('LX', naming.ld_name(volume.name_id))


def pool_of(lab, volume) -> int:
    return lab.lds()[ld_name(volume).label].pool


def limit(lab, volume):
    found = lab.lds()[ld_name(volume).label].limit
    return found.upper, found.lower, found.report


def destination(driver=None, host=THERE, **capabilities):
    if driver is not None:
        capabilities['location_info'] = str(driver.backend.location)
    return {'host': host, 'cluster_name': None,
            'capabilities': capabilities}


# -- create -----------------------------------------------------------------

def test_create_with_limits(lab, driver, types_of_the_cloud):
    types_of_the_cloud[OLD_TYPE] = specs(upperlimit='3000',
                                         lowerlimit='200')
    volume = a_volume()
    driver.create_volume(volume)
    assert limit(lab, volume) == (3000, 200, False)


def make_source(lab):
    source = a_volume(lab)
    snapshot = types.SimpleNamespace(
        id=str(uuid.uuid4()), volume=source, volume_id=source.id,
        volume_size=1)
    lab.snapshots.create_snapshot(
        ld_name(source), LdName('LX', naming.ld_name(snapshot.id)))
    return source, snapshot


CREATES = {
    'create': lambda driver, volume, _source, _snapshot:
        driver.create_volume(volume),
    'from snapshot': lambda driver, volume, _source, snapshot:
        driver.create_volume_from_snapshot(volume, snapshot),
    'clone': lambda driver, volume, source, _snapshot:
        driver.create_cloned_volume(volume, source),
}


@pytest.mark.parametrize('create', CREATES.values(), ids=CREATES)
def test_new_volumes_have_their_own_limits(lab, driver, create,
                                           types_of_the_cloud):
    source, snapshot = make_source(lab)
    types_of_the_cloud[NEW_TYPE] = specs(upperlimit='3000')
    volume = a_volume(volume_type_id=NEW_TYPE, size=2)
    create(driver, volume, source, snapshot)
    assert limit(lab, volume) == (3000, 0, False)
    assert limit(lab, source) == (0, 0, False)


@pytest.mark.parametrize('value', ['10.5', ' 10', '\u0661\u0660', '9'])
@pytest.mark.parametrize('create', CREATES.values(), ids=CREATES)
def test_bad_limits_stop_a_create_before_it_begins(
        lab, driver, create, value, types_of_the_cloud):
    """Traps K2 and K3."""
    source, snapshot = make_source(lab)
    types_of_the_cloud[NEW_TYPE] = specs(lowerlimit=value)
    mark = lab.mark()
    with pytest.raises(exception.InvalidInput, match='lowerlimit'):
        create(driver, a_volume(volume_type_id=NEW_TYPE), source, snapshot)
    assert not lab.sent(mark)


@pytest.mark.parametrize('create', CREATES.values(), ids=CREATES)
def test_limits_that_the_array_refuses_leave_nothing(
        lab, driver, create, types_of_the_cloud):
    source, snapshot = make_source(lab)
    types_of_the_cloud[NEW_TYPE] = specs(upperlimit='10', lowerlimit='20')
    before = lab.state()
    with pytest.raises(exception.VolumeBackendAPIException,
                       match='setlimit'):
        create(driver, a_volume(volume_type_id=NEW_TYPE), source, snapshot)
    assert lab.state() == before
    assert lab.read(ld_name(source), len(DATA)) == DATA


# -- retype -----------------------------------------------------------------

def retype(driver, volume, diff=None, host=None):
    return driver.retype(context.get_admin_context(), volume,
                         objects.VolumeType(id=NEW_TYPE), diff or {},
                         host or destination(host=HERE))


def test_retype_sets_limits(lab, driver, types_of_the_cloud):
    types_of_the_cloud[NEW_TYPE] = specs(upperlimit='3000',
                                         upperreport='on')
    volume = a_volume(lab)
    assert retype(driver, volume) is True
    assert limit(lab, volume) == (3000, 0, True)


def test_retype_of_an_attached_volume(lab, driver, types_of_the_cloud):
    types_of_the_cloud[NEW_TYPE] = specs(upperlimit='3000')
    volume = a_volume(lab)
    lab.access.attach(ld_name(volume), host())
    volume.volume_attachment = objects.VolumeAttachmentList(
        objects=[objects.VolumeAttachment()])
    assert retype(driver, volume) is True
    assert limit(lab, volume) == (3000, 0, False)


def test_retype_takes_limits_off(lab, driver, types_of_the_cloud):
    types_of_the_cloud[OLD_TYPE] = specs(
        upperlimit='3000', lowerlimit='edited since', upperreport='on')
    volume = a_volume(lab)
    lab.client.setlimit(ld_name(volume), 3000, 200, True)
    assert retype(driver, volume) is True
    assert limit(lab, volume) == (0, 0, False)


def test_retype_keeps_what_no_type_states(lab, driver, types_of_the_cloud):
    """Initial values of the array (manual 7.3.5 *1) stay."""
    types_of_the_cloud[OLD_TYPE] = specs(upperlimit='3000')
    types_of_the_cloud[NEW_TYPE] = specs(upperlimit='4000')
    volume = a_volume(lab)
    lab.client.setlimit(ld_name(volume), 3000, 70, True)
    assert retype(driver, volume) is True
    assert limit(lab, volume) == (4000, 70, True)


@pytest.mark.parametrize('diff', [
    {'qos_specs': {}, 'extra_specs': {}, 'encryption': {}},
    {'qos_specs': None, 'extra_specs': None, 'encryption': None}, {},
    {'qos_specs': {'consumer': (None, None)}},
    {'extra_specs': {'volume_backend_name': ('Gold', 'Gold'),
                     'thin': ('<is> True', '<is> True')}},
    {'encryption': {'cipher': ('aes', 'aes')}}])
def test_retype_without_a_difference_that_matters(lab, driver, diff):
    """Traps W2 and W3: no error, and above all no copy."""
    volume = a_volume(lab)
    mark = lab.mark()
    assert retype(driver, volume, diff) is True
    assert not lab.sent(mark)


def test_retype_does_not_encrypt(lab, driver):
    volume = a_volume(lab)
    assert retype(driver, volume,
                  {'encryption': {'cipher': (None, 'aes')}}) is False


def test_retype_with_consumer_front_end(lab, driver, types_of_the_cloud):
    types_of_the_cloud[OLD_TYPE] = specs(upperlimit='3000')
    types_of_the_cloud[NEW_TYPE] = specs('front-end', upperlimit='20')
    volume = a_volume(lab)
    lab.client.setlimit(ld_name(volume), 3000, None, None)
    assert retype(driver, volume) is True
    assert limit(lab, volume) == (0, 0, False)


@pytest.mark.parametrize('keys, error', [
    ({'upperlimit': '9'}, exception.InvalidInput),
    ({'upperlimit': '10', 'lowerlimit': '20'},
     exception.VolumeBackendAPIException)])
def test_retype_never_endangers_the_volume(lab, driver, keys, error,
                                           types_of_the_cloud):
    """Trap D1."""
    types_of_the_cloud[NEW_TYPE] = specs(**keys)
    volume = a_volume(lab)
    before = lab.state()
    with pytest.raises(error):
        retype(driver, volume)
    assert lab.state() == before
    assert lab.read(ld_name(volume), len(DATA)) == DATA


def test_retype_moves_where_the_pools_demand_it(lab, driver,
                                                types_of_the_cloud):
    types_of_the_cloud[NEW_TYPE] = specs(upperlimit='3000')
    volume = a_volume(lab)
    other = driver_on(lab, (DESTINATION,))
    assert retype(driver, volume, host=destination(other)) is True
    assert pool_of(lab, volume) == DESTINATION
    assert limit(lab, volume) == (3000, 0, False)
    assert lab.read(ld_name(volume), len(DATA)) == DATA


def test_retype_in_place_where_they_do_not(lab, driver, types_of_the_cloud):
    types_of_the_cloud[NEW_TYPE] = specs(upperlimit='3000')
    volume = a_volume(lab)
    ldn = lab.volumes.get(ld_name(volume)).ldn
    other = driver_on(lab, (POOL, DESTINATION))
    assert retype(driver, volume, host=destination(other)) is True
    assert lab.volumes.get(ld_name(volume)).ldn == ldn
    assert limit(lab, volume) == (3000, 0, False)


def test_retype_leaves_to_cinder_what_the_array_cannot(lab, driver):
    volume = a_volume(lab, attachments=[objects.VolumeAttachment()])
    before = lab.state()
    other = driver_on(lab, (DESTINATION,))
    assert retype(driver, volume, host=destination(other)) is False
    far = driver_on(lab, (DESTINATION,), '192.0.2.2')
    assert retype(driver, volume, host=destination(far)) is False
    assert lab.state() == before


# -- migration --------------------------------------------------------------

def migrate(driver, volume, host):
    return driver.migrate_volume(context.get_admin_context(), volume, host)


def test_migrate(lab, driver, types_of_the_cloud):
    types_of_the_cloud[OLD_TYPE] = specs(upperlimit='3000')
    volume = a_volume(lab)
    other = driver_on(lab, (DESTINATION,))
    assert migrate(driver, volume, destination(other)) == (True, None)
    assert pool_of(lab, volume) == DESTINATION
    assert limit(lab, volume) == (3000, 0, False)
    assert lab.read(ld_name(volume), len(DATA)) == DATA


def test_migrate_where_only_the_host_changes(lab, driver):
    volume = a_volume(lab)
    mark = lab.mark()
    for pools in ((), (POOL,), (DESTINATION, POOL)):
        other = driver_on(lab, pools)
        assert migrate(driver, volume, destination(other)) == (True, None)
    assert not lab.sent(mark)


@pytest.mark.parametrize('capabilities', [
    {}, {'location_info': None}, {'location_info': 'LVM:host:vg:default:0'},
    {'location_info': 'MStorageISCSIDriver:192.0.2.1:2'}, None])
def test_migrate_to_what_is_no_back_end_of_ours(lab, driver, capabilities):
    volume = a_volume(lab)
    before = lab.state()
    assert migrate(driver, volume, {
        'host': THERE, 'capabilities': capabilities}) == (False, None)
    assert lab.state() == before


def test_migrate_to_another_array(lab, driver):
    volume = a_volume(lab)
    far = driver_on(lab, (DESTINATION,), '2001:db8::1')
    assert migrate(driver, volume, destination(far)) == (False, None)


def test_migrate_of_an_attached_volume(lab, driver):
    """Nova has to take part in that."""
    volume = a_volume(lab, attachments=[objects.VolumeAttachment()])
    other = driver_on(lab, (DESTINATION,))
    assert migrate(driver, volume, destination(other)) == (False, None)
    assert pool_of(lab, volume) == POOL


def test_migrate_of_a_paired_volume(lab, driver):
    """Manual 7.3.4, note 2: refused, not left to Cinder's copy."""
    volume, rv = a_volume(lab), a_volume(lab)
    lab.client.rc_pair(ld_name(volume).label, ld_name(rv).label)
    other = driver_on(lab, (DESTINATION,))
    with pytest.raises(exception.VolumeIsBusy, match='paired'):
        migrate(driver, volume, destination(other))
    assert pool_of(lab, volume) == POOL


def test_migrate_of_a_volume_that_is_gone(lab, driver):
    other = driver_on(lab, (DESTINATION,))
    with pytest.raises(exception.VolumeBackendAPIException):
        migrate(driver, a_volume(), destination(other))


def test_migrate_uses_the_name_id(lab, driver):
    """Trap W1."""
    volume = a_volume(lab, _name_id=str(uuid.uuid4()))
    other = driver_on(lab, (DESTINATION,))
    assert migrate(driver, volume, destination(other)) == (True, None)
    assert pool_of(lab, volume) == DESTINATION


def test_extend_after_another_service_has_moved_it(tmp_path):
    """The LDN that was known is somebody else's by now."""
    lab = make_lab(make_engine(tmp_path))
    volume = a_volume(lab, migration_status='success')
    ldn = lab.volumes.get(ld_name(volume)).ldn
    service = driver_on(make_lab(lab.engine), (DESTINATION,))
    service.backend.array.inventory.refresh()
    make_migration(lab).move(ld_name(volume), [DESTINATION], qos.parse({}))
    stranger = a_volume()
    lab.client.ldbind(POOL, ldn, 1)
    lab.client.nickname_of_ldn(ldn, ld_name(stranger))
    service.extend_volume(volume, 3)
    sizes = {name: ld.capacity >> 30 for name, ld in lab.lds().items()}
    assert sizes[ld_name(volume).label] == 3
    assert sizes[ld_name(stranger).label] == 1


def test_delete_after_a_migration_that_did_not_end(lab, driver):
    volume = a_volume(lab)
    lab.volumes.create(LdName('LX', ld_name(volume).label + '_m'), 1,
                       [DESTINATION])
    before = len(lab.lds())
    driver.delete_volume(volume)
    assert len(lab.lds()) == before - 2


# -- Cinder's own copy ------------------------------------------------------

def finish(driver, volume, new_volume):
    """What the manager does when its own copy is complete.

    Returns the volume that it deletes then, which stands for the source.
    """
    this = types.SimpleNamespace(driver=driver)
    manager.VolumeManager.update_migrated_volume(
        this, context.get_admin_context(), volume, new_volume, 'available')
    return volume.finish_volume_migration(new_volume)


@pytest.fixture
def saved(monkeypatch):
    monkeypatch.setattr(objects.Volume, 'save', lambda self: None)


@pytest.mark.parametrize('times', [1, 2, 3])
def test_volume_that_was_copied_on_one_array(lab, driver, saved, times):
    """Volume and source stay apart, however often it is copied."""
    volume = a_volume(lab)
    for number in range(times):
        new_volume = a_volume(lab, host=THERE)
        content = b'copy %d' % number
        lab.write(ld_name(new_volume), content)
        source = finish(driver, volume, new_volume)
        assert lab.read(ld_name(volume), len(content)) == content
        assert ld_name(source) != ld_name(volume)
        driver.delete_volume(source)
        assert lab.read(ld_name(volume), len(content)) == content
    uuids = [naming.find_uuid(name) for name in lab.lds()]
    assert [u for u in uuids if u] == [volume.name_id]


def test_volume_that_came_from_another_array(lab, driver, saved):
    """It gets its own name, and Cinder needs no name_id."""
    volume = a_volume()
    new_volume = a_volume(lab)
    source = finish(driver, volume, new_volume)
    assert volume.name_id == volume.id
    assert source.name_id == volume.id
    assert ld_name(volume).label in lab.lds()


def test_volume_whose_new_name_cannot_be_set(lab, driver, saved):
    volume, new_volume = a_volume(), a_volume(lab)
    run, count = lab.client._transport.run, itertools.count()

    def refusing(line, timeout_seconds):
        if 'nickname' in line:
            next(count)
            line = 'iSMcfg nickname -ldname LX:gone -newname LX:gone2'
        return run(line, timeout_seconds)

    lab.client._transport.run = refusing
    finish(driver, volume, new_volume)
    assert next(count)
    assert volume.name_id == new_volume.id
    assert lab.read(ld_name(volume), len(DATA)) == DATA
