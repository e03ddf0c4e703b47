# SPDX-License-Identifier: Apache-2.0
"""What the driver reads from Cinder's objects at its start."""

from __future__ import annotations

from typing import Any
import uuid

from cinder import exception, objects
import pytest

from cinder_nec.backend.access.attachments import Users
from cinder_nec.model import LdName
from cinder_nec.naming import ld_name
from tests.cinder.assembled import Record
from tests.cinder.drivers import DRIVERS

HOST = {'initiator': 'iqn.1994-05.com.redhat:host1', 'host': 'host1',
        'wwpns': ['10000090faa00100']}


class Recovery:
    """Keeps what it is called with."""

    def __init__(self) -> None:
        self.volumes: list[Any] = []
        self.snapshots: list[Any] = []
        self.users: dict[LdName, Users] = {}

    def run(self, volumes: list[Any], snapshots: list[Any],
            users: dict[LdName, Users]) -> None:
        self.volumes, self.snapshots = volumes, snapshots
        self.users = users


def a_driver(cluster: str | None = None) -> Any:
    driver: Any = object.__new__(DRIVERS[0])
    driver._driver_name, driver.host = 'driver', 'node@gold'
    driver.cluster_name = cluster
    platform = Record(platform='LX', backup_platform='LX')
    driver._backend = Record(config=platform, recovery=Recovery())
    return driver


def started(volume: Any, cluster: str | None = None) -> Recovery:
    """Start a service; return what its recovery was told."""
    driver = a_driver(cluster)
    recovery: Recovery = driver._backend.recovery
    # Its volume is not read from the database once more.
    snapshot = Record(id=str(uuid.uuid4()), volume=None,
                      volume_id=volume.id)
    assert driver.update_provider_info([volume], [snapshot]) == (None, None)
    assert len(recovery.snapshots) == (0 if cluster else 1)
    return recovery


def start(volume: Any, cluster: str | None = None) -> Any:
    """Start a service; return what it makes of a volume, if anything."""
    recovery = started(volume, cluster)
    return recovery.volumes[0] if recovery.volumes else None


def users_at_start(volume: Any, cluster: str | None = None) -> Users:
    [users] = started(volume, cluster).users.values()
    return users


def users_of(volume: Any, monkeypatch: pytest.MonkeyPatch) -> Users:
    """Return who uses a volume of the database while a service runs."""
    monkeypatch.setattr(objects.VolumeList, 'get_all',
                        lambda _context, filters, limit: [])
    monkeypatch.setattr(objects.Volume, 'get_by_id',
                        lambda _context, _id: volume)
    return a_driver()._users_of(LdName('LX', ld_name(volume.name_id)))


def a_volume(status: str = 'available', *attachments: Any,
             **fields: Any) -> Any:
    identifier = str(uuid.uuid4())
    return Record(**{'id': identifier, 'name_id': identifier,
                     'status': status, 'host': 'node@gold#Gold',
                     'migration_status': None,
                     'volume_attachment': list(attachments), **fields})


def attachment(status: str = 'attached', connector: Any = HOST) -> Any:
    return Record(id='a', attach_status=status, connector=connector)


@pytest.mark.parametrize('status', [
    'available', 'in-use', 'reserved', 'creating', 'deleting', 'uploading',
    'error', 'extending', 'retyping'])
def test_attachments_tell_who_uses_a_volume(status):
    users = users_at_start(a_volume(status, attachment()))
    assert [c.host for c in users.hosts] == ['host1']
    assert not users.may_be_more
    assert users_at_start(a_volume(status)) == Users()


UNCERTAIN = pytest.mark.parametrize('volume', [
    # Used without an attachment, by other services.
    a_volume('backing-up'), a_volume('restoring-backup'),
    a_volume('maintenance'), a_volume('attaching'),
    a_volume('retyping', migration_status='migrating'),
    a_volume('detaching'), a_volume('a status of the future'),
    a_volume(migration_status='migrating'),
    a_volume(migration_status='target:5'),
    # Attached the old way.
    a_volume('in-use', attachment(connector=None)),
    a_volume('in-use', attachment(connector={'wwpns': ['nonsense']})),
    a_volume('in-use', attachment(connector={'host': 'without ports'})),
], ids=lambda v: f'{v.status}-{v.migration_status}')


@UNCERTAIN
def test_where_it_is_not_certain_nobody_is_cut_off(volume):
    if str(volume.migration_status).startswith('target:'):
        volume.migration_status = f'target:{uuid.uuid4()}'
    assert users_at_start(volume).may_be_more


@UNCERTAIN
def test_nor_while_the_service_runs(volume, monkeypatch):
    assert users_of(volume, monkeypatch).may_be_more


@pytest.mark.parametrize('status', ['creating', 'uploading', 'reverting',
                                    'retyping', 'extending', 'deleting'])
def test_what_is_worked_on_now_may_be_in_use(status, monkeypatch):
    assert users_of(a_volume(status), monkeypatch).may_be_more


@pytest.mark.parametrize('status', ['available', 'in-use', 'reserved',
                                    'error'])
def test_who_uses_a_volume_at_rest(status, monkeypatch):
    users = users_of(a_volume(status, attachment()), monkeypatch)
    assert [c.host for c in users.hosts] == ['host1']
    assert not users.may_be_more
    assert users_of(a_volume(status), monkeypatch) == Users()


def test_an_attach_may_be_going_on(monkeypatch):
    """Its record is there before the array is asked."""
    users = users_of(a_volume('in-use', attachment(),
                              attachment('reserved', None)), monkeypatch)
    assert users.may_be_more


def test_a_volume_that_has_moved_is_found_by_its_name(monkeypatch):
    volume = a_volume('in-use', attachment(), id=str(uuid.uuid4()))
    asked = []
    monkeypatch.setattr(
        objects.VolumeList, 'get_all', lambda _context, filters, limit: (
            asked.append(filters), [volume])[1])
    users = a_driver()._users_of(LdName('LX', ld_name(volume.name_id)))
    assert asked == [{'_name_id': volume.name_id}]
    assert len(users.hosts) == 1


@pytest.mark.parametrize('error', [
    exception.VolumeNotFound(volume_id='x'), OSError('the database')])
def test_what_the_database_does_not_tell_is_not_certain(error, monkeypatch):
    """And does not keep the stats from being reported."""
    def fail(*_arguments: object) -> None:
        raise error
    monkeypatch.setattr(objects.VolumeList, 'get_all',
                        lambda _context, filters, limit: [])
    monkeypatch.setattr(objects.Volume, 'get_by_id', fail)
    name = LdName('LX', ld_name(str(uuid.uuid4())))
    assert a_driver()._users_of(name) == Users(may_be_more=True)


def test_the_volume_whose_name_has_changed_is_another_one(monkeypatch):
    volume = a_volume(name_id=str(uuid.uuid4()))
    monkeypatch.setattr(objects.VolumeList, 'get_all',
                        lambda _context, filters, limit: [])
    monkeypatch.setattr(objects.Volume, 'get_by_id',
                        lambda _context, _id: volume)
    name = LdName('LX', ld_name(volume.id))
    assert a_driver()._users_of(name).may_be_more


def test_an_attach_that_has_died_has_no_host():
    """A host is told only after the array was."""
    volume = a_volume('in-use', attachment(),
                      attachment('reserved', None))
    users = users_at_start(volume)
    assert [c.host for c in users.hosts] == ['host1']
    assert not users.may_be_more


@pytest.mark.parametrize('status, is_unfinished', [
    ('creating', True), ('downloading', True), ('reverting', True),
    ('deleting', True), ('error', True), ('available', False),
    ('retyping', True), ('in-use', False)])
def test_unfinished(status, is_unfinished):
    assert start(a_volume(status)).unfinished is is_unfinished


def test_the_name_that_a_migrated_volume_is_to_take():
    other = '7f3c1f6a-0b1e-4c3e-9a43-8c1e3b8f2d11'
    found = start(a_volume(migration_status=f'target:{other}'))
    assert found.becomes == LdName('LX', '3s5V6TCh2yHn7hpaFneTLN')
    assert start(a_volume()).becomes is None


@pytest.mark.parametrize('volume, is_looked_at', [
    (a_volume('creating'), True),
    (a_volume('available'), True),
    # Of a peer, which may be working on it right now.
    (a_volume('creating', host='other@gold#Gold'), False),
    (a_volume('available', host='other@gold#Gold'), False),
    # Which of the two is, cannot be told.
    (a_volume('retyping'), False),
    (a_volume('reverting'), False),
    (a_volume('deleting'), False),
    (a_volume(migration_status='migrating'), False),
])
def test_services_of_a_cluster_leave_each_others_work_alone(
        volume, is_looked_at):
    found = start(volume, 'cluster@gold')
    assert (found is not None) is is_looked_at
    # A peer may be attaching it.
    assert users_at_start(volume, 'cluster@gold').may_be_more
