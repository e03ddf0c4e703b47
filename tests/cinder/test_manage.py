# SPDX-License-Identifier: Apache-2.0
"""Manage as the manager calls it: Cinder's errors, pages, QoS."""

from __future__ import annotations

import types
import uuid

import pytest

from tests.cinder.drivers import DRIVERS  # first: it registers objects

from cinder import exception, objects  # isort: skip
from cinder.api.views import manageable_snapshots  # isort: skip
from cinder_nec import naming  # isort: skip
from cinder_nec.backend import qos  # isort: skip
from cinder_nec.model import LdName  # isort: skip
from ismsim.faults import Action  # isort: skip
from tests.backend.arrays import make_engine, make_lab  # isort: skip
from tests.backend.test_manage import (  # isort: skip
    THEIR_SNAPSHOT,
    THEIRS,
    add,
    add_snapshot,
)
from tests.cinder.assembled import (  # isort: skip
    Record,
    a_snapshot,
    a_volume,
    driver_on,
    ld_name,
    snapshot_name,
)

REFERENCE = {'source-name': str(THEIRS)}


@pytest.fixture
def driver(tmp_path):
    return driver_on(DRIVERS[0], make_lab(make_engine(tmp_path)))


@pytest.fixture(autouse=True)
def database(monkeypatch):
    """What Cinder has; nothing at first."""
    known = types.SimpleNamespace(volumes=set(), snapshots=set(),
                                  moved={}, limits={})
    monkeypatch.setattr(objects.Volume, 'exists',
                        lambda _context, i: i in known.volumes)
    monkeypatch.setattr(objects.Snapshot, 'exists',
                        lambda _context, i: i in known.snapshots)
    monkeypatch.setattr(
        objects.VolumeList, 'get_all',
        lambda _context, filters, limit: [
            Record(id=i) for name_id, i in known.moved.items()
            if name_id == filters['_name_id']])
    monkeypatch.setattr(qos.volume_types, 'get_volume_type_qos_specs',
                        lambda type_id: {'qos_specs':
                                         known.limits.get(type_id)})
    return known


def new_volume(**fields):
    """What Cinder has made before it asks the driver."""
    return Record(**{'id': str(uuid.uuid4()), 'name_id': str(uuid.uuid4()),
                     'volume_type_id': None, **fields})


def new_snapshot(volume):
    return Record(id=str(uuid.uuid4()), volume=volume, volume_id=volume.id)


def test_manage(driver):
    add(driver.lab)
    volume = new_volume()
    assert driver.manage_existing_get_size(volume, REFERENCE) == 2
    assert driver.manage_existing(volume, REFERENCE) is None
    assert ld_name(volume).label in driver.lab.lds()
    driver.unmanage(volume)
    assert ld_name(volume).label in driver.lab.lds()


@pytest.mark.parametrize('call', ['manage_existing_get_size',
                                  'manage_existing'])
@pytest.mark.parametrize('reference, prepare, error', [
    (None, add, exception.ManageExistingInvalidReference),
    ({'source-name': 'x;reboot'}, add,
     exception.ManageExistingInvalidReference),
    (REFERENCE, lambda lab: None,
     exception.ManageExistingInvalidReference),
    (REFERENCE, lambda lab: add(lab, pool=2),
     exception.ManageExistingVolumeTypeMismatch),
    ({'source-name': 'oracle_data'}, add,
     exception.ManageExistingInvalidReference),
])
def test_refusals(driver, call, reference, prepare, error):
    prepare(driver.lab)
    before = driver.lab.state()
    with pytest.raises(error) as caught:
        getattr(driver, call)(new_volume(), reference)
    assert driver.lab.state() == before
    assert len(str(caught.value)) < 1000


def owner(database, kind: str, cinder_id: str) -> str:
    """Put an owner of the LD of that name into the database."""
    if kind == 'moved':
        database.moved[cinder_id] = 'the volume'
        return 'the volume'
    getattr(database, kind).add(cinder_id)
    return cinder_id


@pytest.mark.parametrize('kind', ['volumes', 'snapshots', 'moved'])
def test_what_another_back_end_has(driver, database, kind):
    """It has the same pools, and Cinder lists only its own to each."""
    cinder_id = str(uuid.uuid4())
    name = LdName('LX', naming.ld_name(cinder_id))
    add(driver.lab, name)
    volume, reference = new_volume(), {'source-id': cinder_id}
    assert driver.manage_existing_get_size(volume, reference) == 2
    who = owner(database, kind, cinder_id)
    for call in (driver.manage_existing_get_size, driver.manage_existing):
        with pytest.raises(exception.ManageExistingAlreadyManaged,
                           match=who):
            call(volume, reference)
    assert name.label in driver.lab.lds()
    [entry] = [e for e in volumes(driver)
               if e['reference']['source-name'] == str(name)]
    assert (entry['safe_to_manage'], entry['cinder_id']) == (False, who)


def volumes(driver, known=(), marker=None, limit=100, offset=0):
    return driver.get_manageable_volumes(
        known, marker, limit, offset, ['reference'], ['asc'])


def snapshots(driver, known=(), limit=100):
    return driver.get_manageable_snapshots(
        known, None, limit, 0, ['reference'], ['asc'])


def test_volumes_of_cinder_in_the_list(driver):
    volume = a_volume(driver)
    [entry] = [e for e in volumes(driver, [volume])
               if e['cinder_id'] == volume.id]
    assert entry['reason_not_safe'] == 'already managed'
    assert entry['reference'] == {'source-name': str(ld_name(volume))}


def test_only_what_is_on_the_page_is_asked_for(driver):
    add(driver.lab)
    add(driver.lab, LdName('LX', 'data02'))
    for number in range(4):
        add_snapshot(driver.lab, THEIRS, LdName('LX', f'night{number}'))
    mark = driver.lab.mark()
    page = snapshots(driver, limit=1)
    assert driver.lab.sent(mark) == ['dump', 'sc_query']
    assert [e['reference']['source-name'] for e in page] == ['LX:night0']
    assert page[0]['source_reference'] == {'source-name': str(THEIRS)}


def test_snapshots_of_cinder_need_no_question(driver):
    known = [a_snapshot(driver, a_volume(driver)) for _ in range(3)]
    mark = driver.lab.mark()
    found = snapshots(driver, known)
    assert driver.lab.sent(mark) == ['dump']
    assert {e['cinder_id'] for e in found} == {s.id for s in known}
    assert {e['source_reference']['source-name'] for e in found} == {
        str(ld_name(s.volume)) for s in known}


def test_a_snapshot_that_cannot_be_taken_says_why(driver):
    add(driver.lab)
    add_snapshot(driver.lab)
    driver.lab.operate('snap_state', sv=THEIR_SNAPSHOT.label, state='---')
    [entry] = snapshots(driver)
    assert entry['safe_to_manage'] is False
    assert entry['reason_not_safe'] == 'it has no data'


def test_cinders_api_shows_a_snapshot_whose_source_is_not_known(driver):
    """It answered HTTP 500 for the whole list."""
    add(driver.lab)
    add_snapshot(driver.lab)
    driver.lab.fault(Action.REFUSE, regex='iSMsc_query', times=None)
    found = snapshots(driver)
    view = manageable_snapshots.ViewBuilder()
    for shown in (view.summary(None, found[0]), view.detail(None, found[0])):
        assert shown['source_reference'] == {}
        assert shown['safe_to_manage'] is False


def test_a_snapshot_that_another_back_end_has(driver, database):
    cinder_id = str(uuid.uuid4())
    add(driver.lab)
    add_snapshot(driver.lab, THEIRS,
                 LdName('LX', naming.ld_name(cinder_id)))
    database.snapshots.add(cinder_id)
    [entry] = snapshots(driver)
    assert entry['safe_to_manage'] is False
    assert entry['cinder_id'] == cinder_id


def test_manage_a_snapshot(driver):
    add(driver.lab)
    add_snapshot(driver.lab)
    volume = new_volume()
    driver.manage_existing(volume, REFERENCE)
    snapshot = new_snapshot(volume)
    reference = {'source-name': THEIR_SNAPSHOT.label}
    assert driver.manage_existing_snapshot_get_size(
        snapshot=snapshot, existing_ref=reference) == 2
    driver.manage_existing_snapshot(snapshot, reference)
    assert snapshot_name(snapshot).label in driver.lab.lds()
    driver.unmanage_snapshot(snapshot)
    assert snapshot_name(snapshot).label in driver.lab.lds()


def test_a_snapshot_of_another_volume(driver):
    add(driver.lab)
    add_snapshot(driver.lab)
    before = driver.lab.state()
    snapshot = new_snapshot(new_volume())
    reference = {'source-name': THEIR_SNAPSHOT.label}
    for call in (driver.manage_existing_snapshot_get_size,
                 driver.manage_existing_snapshot):
        with pytest.raises(exception.ManageExistingInvalidReference,
                           match='source is unmatched'):
            call(snapshot, reference)
    assert driver.lab.state() == before


def test_the_limits_of_the_type_are_set(driver, database):
    add(driver.lab)
    database.limits['gold'] = {'id': 'id', 'consumer': 'back-end',
                               'specs': {'upperlimit': '500'}}
    volume = new_volume(volume_type_id='gold')
    driver.manage_existing(volume, REFERENCE)
    assert driver.lab.lds()[ld_name(volume).label].limit.upper == 500


def test_limits_that_cannot_be_set_leave_nothing(driver, database):
    add(driver.lab)
    database.limits['gold'] = {'id': 'id', 'consumer': 'back-end',
                               'specs': {'upperlimit': '500'}}
    before = driver.lab.state()
    driver.lab.fault(Action.REFUSE, prefix='iSMioc setlimit')
    with pytest.raises(exception.VolumeBackendAPIException):
        driver.manage_existing(new_volume(volume_type_id='gold'), REFERENCE)
    assert driver.lab.state() == before


def test_bad_limits_are_refused_first(driver, database):
    add(driver.lab)
    database.limits['gold'] = {'id': 'id', 'consumer': 'back-end',
                               'specs': {'upperlimit': '5'}}
    mark = driver.lab.mark()
    with pytest.raises(exception.CinderException, match='upperlimit'):
        driver.manage_existing(new_volume(volume_type_id='gold'), REFERENCE)
    assert driver.lab.sent(mark) == []
