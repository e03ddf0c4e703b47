# SPDX-License-Identifier: Apache-2.0
"""The lines of the manual's appendix D, each in the situation it is for.

The driver classes as Cinder calls them, on an array in this process.  D.1
are errors, D.2 warnings, D.3 information.  Where the manual's text carries
marks of its making (``<id>s``, ``ldbname``), the words are those of the
vendor's drivers.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import logging
import re
import types
from typing import Any
import uuid

import pytest

from tests.cinder.drivers import DRIVERS  # first: it registers objects
from tests.cinder.unsaved import UnsavedVolume

from cinder import context, exception, objects  # isort: skip

from cinder_nec import assembly, errors, naming  # isort: skip
from cinder_nec.backend import qos  # isort: skip
from cinder_nec.backend.snapshot_access import ReplicaAccess

from cinder_nec.backend.access.connector import (  # isort: skip
    AccessOptions, describe)
from cinder_nec.backend.io_control import IoControl  # isort: skip
from cinder_nec.model import LdName, Protocol  # isort: skip
from ismsim.faults import Action  # isort: skip
from tests.backend.arrays import (  # isort: skip
    BACKUP_POOL, POOL, Lab, make_engine, make_lab)
from tests.backend.moves import make_migration  # isort: skip

ISCSI, FC, DDR_ISCSI, DDR_FC = DRIVERS
DESTINATION = 2
HERE, THERE = 'node@gold#Gold', 'node@silver#Silver'
INITIATOR = 'iqn.1994-05.com.redhat:d1d8e8f23255'
WWPNS = ['10000090faa0786a', '10000090faa0786b']
CONNECTOR = {'host': 'compute1', 'ip': '192.0.2.1', 'initiator': INITIATOR,
             'wwpns': WWPNS, 'multipath': False,
             'auth_password': 'chap-secret', 'nqn': 'nqn.2014-08.org'}
SHOWN = ("{'host': compute1, 'ip': 192.0.2.1, 'initiator': "
         f"{INITIATOR}, 'wwpns': [{', '.join(WWPNS)}], 'multipath': False}}")
NAMES = {Protocol.ISCSI: f'Initiator Name = {INITIATOR}',
         Protocol.FC: f'Initiator WWPNs = [{", ".join(WWPNS)}]'}


@dataclasses.dataclass
class Site:
    """A driver, its array, a volume on it, and the log."""

    lab: Lab
    driver: Any
    volume: Any
    log: pytest.LogCaptureFixture

    def lines(self, level: int) -> list[str]:
        return [record.getMessage() for record in self.log.records
                if record.levelno == level
                and record.name.startswith('cinder_nec')]

    def make(self, size: int = 1) -> Any:
        """Return one more volume, with its LD."""
        volume = a_volume(size=size)
        self.driver.create_volume(volume)
        self.log.clear()
        return volume

    def snapshot(self) -> Any:
        snapshot = a_snapshot(self.volume)
        self.driver.create_snapshot(snapshot)
        self.log.clear()
        return snapshot

    def attach(self) -> None:
        self.driver.initialize_connection(self.volume, CONNECTOR)
        self.log.clear()

    def pair(self, rv: Any) -> None:
        """What only the operator of the array pairs."""
        self.lab.client.rc_pair(label(self.volume), label(rv))
        self.lab.inventory.refresh()

    @property
    def protocol(self) -> str:
        return str(self.driver.PROTOCOL.value)


def a_volume(**fields: Any) -> Any:
    return UnsavedVolume(
        context.get_admin_context(),
        **{'id': str(uuid.uuid4()), '_name_id': None, 'size': 1,
           'host': HERE, 'volume_type_id': None, 'migration_status': None,
           'volume_attachment': objects.VolumeAttachmentList(objects=[]),
           **fields})


def a_snapshot(volume: Any) -> Any:
    return types.SimpleNamespace(
        id=str(uuid.uuid4()), volume=volume, volume_id=volume.id,
        volume_size=volume.size, metadata={})


def name(volume: Any) -> LdName:
    return LdName('LX', naming.ld_name(volume.id))


def label(volume: Any) -> str:
    return name(volume).label


def site_of(driver_class: Any, tmp_path: Any, log: Any,
            options: AccessOptions | None = None,
            backup_pools: tuple[int, ...] = (BACKUP_POOL,),
            **changes: Any) -> Site:
    lab = make_lab(
        make_engine(tmp_path, changes=changes), options=options,
        backup_pools=backup_pools,
        replication=driver_class.METHOD is assembly.Method.REPLICATION)
    driver = object.__new__(driver_class)
    driver._driver_name, driver.host = driver_class.__name__, 'node@gold'
    driver._lookup = None
    is_iscsi = driver_class.PROTOCOL is Protocol.ISCSI
    driver._backend = assembly.Backend(
        config=types.SimpleNamespace(
            address='192.0.2.1', port=22, platform='LX',
            backup_platform='LX', pools=(POOL,), backend_name='Gold',
            report_pools=False),
        array=assembly.Array(lab.client, lab.inventory, None, None),
        volumes=lab.volumes, copying=lab.snapshots,
        access=lab.access if is_iscsi else lab.fc, stats=None,
        io_control=IoControl(lab.client, lab.inventory),
        migration=make_migration(lab), manage=None,
        snapshot_access=ReplicaAccess(lab.access),
        settler=lab.settler)
    site = Site(lab, driver, None, log)
    log.set_level(logging.INFO)
    site.volume = site.make()
    return site


@pytest.fixture(autouse=True)
def _no_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qos.volume_types, 'get_volume_type_qos_specs',
                        lambda type_id: {'qos_specs': None})


@pytest.fixture(params=DRIVERS, ids=lambda driver: driver.__name__)
def site(request: Any, tmp_path: Any, caplog: Any) -> Site:
    return site_of(request.param, tmp_path, caplog)


@pytest.fixture
def iscsi(tmp_path: Any, caplog: Any) -> Site:
    return site_of(ISCSI, tmp_path, caplog)


@pytest.fixture
def replicating(tmp_path: Any, caplog: Any) -> Site:
    return site_of(DDR_ISCSI, tmp_path, caplog)


# -- D.2 and D.3: operations ----------------------------------------------

Call = Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Operation:
    """An operation of a site: what is logged, and what makes it fail.

    :param prepare: returns the call and the detail of its lines
    :param refused: the command that the array refuses, by copy method
    """

    done: str
    task: str
    refused: str | tuple[str, str]
    prepare: Callable[[Site], tuple[Call, str]]


def creating(site: Site) -> tuple[Call, str]:
    new = a_volume()
    return (lambda: site.driver.create_volume(new),
            f'Volume ID = {new.id}, Size = 1GB')


def extending(site: Site) -> tuple[Call, str]:
    return (lambda: site.driver.extend_volume(site.volume, 2),
            f'Volume ID = {site.volume.id}, New Size = 2GB, Old Size = 1GB')


def cloning(site: Site) -> tuple[Call, str]:
    new = a_volume()
    return (lambda: site.driver.create_cloned_volume(new, site.volume),
            f'Volume ID = {new.id}, Source Volume ID = {site.volume.id}')


def migrating(site: Site) -> tuple[Call, str]:
    there = dataclasses.replace(site.driver.backend.location,
                                pools=(DESTINATION,))
    host = {'host': THERE, 'capabilities': {'location_info': str(there)}}
    return (lambda: site.driver.migrate_volume(
                context.get_admin_context(), site.volume, host),
            f'Volume ID = {site.volume.id}, Destination Host = {THERE}')


def deleting(site: Site) -> tuple[Call, str]:
    return (lambda: site.driver.delete_volume(site.volume),
            f'Volume ID = {site.volume.id}')


def snapshotting(site: Site) -> tuple[Call, str]:
    new = a_snapshot(site.volume)
    return lambda: site.driver.create_snapshot(new), of_snapshot(new)


def of_snapshot(snapshot: Any) -> str:
    return (f'Snapshot ID = {snapshot.id}, Snapshot Volume ID = '
            f'{snapshot.volume_id}')


def restoring(site: Site) -> tuple[Call, str]:
    snapshot, new = site.snapshot(), a_volume()
    return (lambda: site.driver.create_volume_from_snapshot(new, snapshot),
            f'Volume ID = {new.id}, {of_snapshot(snapshot)}')


def deleting_snapshot(site: Site) -> tuple[Call, str]:
    snapshot = site.snapshot()
    return (lambda: site.driver.delete_snapshot(snapshot),
            of_snapshot(snapshot))


OPERATIONS = {operation.task: operation for operation in (
    Operation('Created Volume', 'Create Volume', 'iSMcfg ldbind', creating),
    Operation('Extended Volume', 'Extend Volume', 'iSMcfg ldexpand',
              extending),
    Operation('Created Cloned Volume', 'Create Cloned Volume',
              'iSMrc_replicate', cloning),
    Operation('Migrated Volume', 'Migrate Volume', 'iSMcfg ldbind',
              migrating),
    Operation('Deleted Volume', 'Delete Volume', 'iSMcfg ldunbind',
              deleting),
    Operation('Created Snapshot', 'Create Snapshot',
              ('iSMsc_create', 'iSMrc_replicate'), snapshotting),
    Operation('Created Volume from Snapshot', 'Create Volume from Snapshot',
              'iSMrc_replicate', restoring),
    Operation('Deleted Snapshot', 'Delete Snapshot',
              ('iSMcfg generationdel', 'iSMcfg nickname'),
              deleting_snapshot))}


def refuse(site: Site, operation_refused: str | tuple[str, str]) -> str:
    """Make the array refuse a command; return which."""
    refused = operation_refused
    if not isinstance(refused, str):
        refused = refused[site.driver.METHOD is assembly.Method.REPLICATION]
    site.lab.fault(Action.REFUSE, prefix=refused, times=None,
                   message_id='iSM31999', text='not now')
    return refused


def check_refusal(site: Site, command: str) -> str:
    """Check the error line; return its text."""
    error, = site.lines(logging.ERROR)
    assert re.fullmatch(
        rf"'{re.escape(command)} .*' failed\. "
        r'status=1,out="[^"]*", err="[^"]*not now[^"]*"\.', error), error
    return error


@pytest.mark.parametrize('operation', OPERATIONS.values(), ids=OPERATIONS)
def test_success(site: Site, operation: Operation) -> None:
    call, detail = operation.prepare(site)
    call()
    assert site.lines(logging.INFO)[-1] == f'{operation.done} ({detail})'
    assert not site.lines(logging.WARNING)
    assert not site.lines(logging.ERROR)


@pytest.mark.parametrize('operation', OPERATIONS.values(), ids=OPERATIONS)
def test_failure(site: Site, operation: Operation) -> None:
    call, detail = operation.prepare(site)
    command = refuse(site, operation.refused)
    with pytest.raises(exception.CinderException):
        call()
    error = check_refusal(site, command)
    assert site.lines(logging.WARNING)[-1] == (
        f'Failed to {operation.task} ({detail}) ({error})')
    assert f'{operation.done} ({detail})' not in site.lines(logging.INFO)


# -- D.2 and D.3: access ----------------------------------------------------

def test_attach(site: Site) -> None:
    site.driver.create_export(None, site.volume, CONNECTOR)
    site.driver.initialize_connection(site.volume, CONNECTOR)
    assert site.lines(logging.INFO) == [
        f'Created {site.protocol} Export (Volume ID = {site.volume.id}, '
        f'{NAMES[site.driver.PROTOCOL]})',
        f'Initialized {site.protocol} Connection (Volume ID = '
        f'{site.volume.id}, Connector = {SHOWN})']
    assert 'chap-secret' not in site.log.text


def test_attach_fails(site: Site) -> None:
    command = refuse(site, 'iSMcfg addldsetld')
    with pytest.raises(exception.VolumeBackendAPIException):
        site.driver.initialize_connection(site.volume, CONNECTOR)
    error = check_refusal(site, command)
    assert site.lines(logging.WARNING) == [
        f'Failed to Create {site.protocol} Export (Volume ID = '
        f'{site.volume.id}, {NAMES[site.driver.PROTOCOL]}) ({error})',
        f'Failed to Initialize {site.protocol} Connection (Volume ID = '
        f'{site.volume.id}, Connector = {SHOWN}) ({error})']
    assert 'Created' not in ''.join(site.lines(logging.INFO))


@pytest.mark.parametrize(('connector', 'shown'), [
    (CONNECTOR, SHOWN), (None, 'all hosts')])
def test_detach(site: Site, connector: Any, shown: str) -> None:
    site.attach()
    site.driver.terminate_connection(site.volume, connector)
    assert site.lines(logging.INFO) == [
        f'Removed Export (Volume ID = {site.volume.id})',
        f'Terminated {site.protocol} Connection (Volume ID = '
        f'{site.volume.id}, Connector = {shown})']


def test_detach_fails(site: Site) -> None:
    site.attach()
    command = refuse(site, 'iSMcfg delldsetld')
    with pytest.raises(exception.VolumeBackendAPIException):
        site.driver.terminate_connection(site.volume, CONNECTOR)
    error = check_refusal(site, command)
    assert site.lines(logging.WARNING) == [
        f'Failed to Remove Export (Volume ID = {site.volume.id}) ({error})',
        f'Failed to Terminate {site.protocol} Connection (Volume ID = '
        f'{site.volume.id}, Connector = {SHOWN}) ({error})']


def test_what_stays_exported_is_not_called_removed(site: Site) -> None:
    site.attach()
    site.volume.volume_attachment = objects.VolumeAttachmentList(objects=[
        objects.VolumeAttachment(id=str(uuid.uuid4()),
                                 connector=CONNECTOR)
        for _ in range(2)])
    site.driver.terminate_connection(site.volume, CONNECTOR)
    assert 'Removed Export' not in site.log.text
    assert site.lines(logging.INFO)[-1].startswith('Terminated')


# -- connectors of hostile hosts ---------------------------------------------

INJECTION = 'x\n2026-11-21 00:00:00.000 1 ERROR cinder all is lost'
HOSTILE = {
    'host': {'host': INJECTION},
    'separators': {'host': '\r\x0b\x0c\x1b[2J\x85\u2028\u2029\u202e'},
    'length': {'host': 'h' * 100_000, 'ip': '1' * 100_000},
    'initiator': {'initiator': f'iqn.1994-05.com.redhat:{INJECTION}'},
    'wwpns': {'wwpns': [INJECTION] * 1000},
    'quotes': {'host': "a', 'initiator': 'iqn"},
    'kinds': {'host': {'a': INJECTION}, 'ip': 10 ** 5000,
              'multipath': [INJECTION, {'b': INJECTION}, [INJECTION]]},
    'keys': {INJECTION: INJECTION},
}


@pytest.mark.parametrize('part', HOSTILE.values(), ids=HOSTILE)
def test_connectors_cannot_write_lines(site: Site,
                                       part: dict[str, Any]) -> None:
    connector = {**CONNECTOR, **part}
    for call in (site.driver.initialize_connection,
                 site.driver.terminate_connection):
        try:
            call(site.volume, connector)
        except exception.InvalidConnectorException as error:
            assert len(str(error)) < 400
    messages = [record.getMessage() for record in site.log.records]
    assert any('Connector = ' in message for message in messages)
    for message in messages:
        assert message.isprintable(), message
        assert len(message) < 2000
        assert 'chap-secret' not in message


def test_a_callers_mistake_is_a_warning(site: Site) -> None:
    for connector in ({'host': 'h', 'initiator': 'no', 'wwpns': ['no']},
                      {'host': 'h'}, [1]):
        with pytest.raises(exception.InvalidConnectorException):
            site.driver.initialize_connection(site.volume, connector)
    assert not site.lines(logging.ERROR)
    assert len(site.lines(logging.WARNING)) == 6


def test_names_that_look_like_something_else_are_quoted() -> None:
    assert describe({'host': 'a, b'}) == "{'host': 'a, b'}"
    assert describe({'host': 'compute-1.site_2'}) == (
        "{'host': compute-1.site_2}")
    assert describe({'host': ''}) == "{'host': ''}"
    assert describe(None) == describe({}) or describe({}) == '{}'


# -- D.1: what is wrong ------------------------------------------------------

def fails(site: Site, call: Call, line: str,
          error: type[Exception] = exception.CinderException) -> None:
    """An operation fails with an error line of the manual."""
    site.log.clear()
    with pytest.raises(error):
        call()
    logged, = site.lines(logging.ERROR)
    assert logged.startswith(line), logged
    warning = site.lines(logging.WARNING)[-1]
    assert warning.startswith('Failed to ') and f'({logged})' in warning


def test_all_numbers_are_used(tmp_path: Any, caplog: Any) -> None:
    site = site_of(ISCSI, tmp_path, caplog, array={'product_id': 'M110'},
                   preload={'count': 1000, 'pool': POOL, 'capacity_gib': 1})
    with pytest.raises(exception.VolumeBackendAPIException):
        for _ in range(1024):
            site.driver.create_volume(a_volume())
    fails(site, lambda: site.driver.create_volume(a_volume()),
          'All Logical Disk numbers are used.')
    assert len(site.lab.engine.array.store.lds) == 1024


def test_has_been_copied(site: Site) -> None:
    site.pair(site.make())
    fails(site, lambda: site.driver.delete_volume(site.volume),
          f'Specified Logical Disk {name(site.volume)} has been copied.',
          exception.VolumeIsBusy)


def test_ld_set_could_not_be_found(site: Site, tmp_path: Any,
                                   caplog: Any) -> None:
    site = site_of(type(site.driver), tmp_path / 'other', caplog,
                   AccessOptions(automatic=False), ldsets=[])
    fails(site, lambda: site.driver.initialize_connection(
        site.volume, CONNECTOR), 'Logical Disk Set could not be found.')


@pytest.mark.parametrize('unit', ['LD Capacity', 'RPL Attribute',
                                  'Pool No.(h)', 'Purpose'])
def test_a_unit_that_is_not_found(iscsi: Site, unit: str) -> None:
    """Trap S5: with the place and the object, without the whole dump."""
    other = iscsi.make()
    iscsi.lab.operate('omit_units', names=[unit])
    iscsi.lab.inventory.refresh()
    lines = iscsi.lines(logging.ERROR)
    ldn = iscsi.lab.lds()[label(other)].ldn
    assert any(re.fullmatch(
        re.escape(f'UNIT[@name="{unit}"] not found. line=')
        + rf'[1-9][0-9]* out="LD {ldn:04x}h"', line) for line in lines)
    assert max(map(len, lines)) < 120
    iscsi.log.clear()
    # With one LD less above it, it moves up in the dump.
    iscsi.lab.client.ldunbind(name(iscsi.volume))
    iscsi.lab.inventory.refresh()
    assert not any(f'LD {ldn:04x}h' in line
                   for line in iscsi.lines(logging.ERROR)), 'said once'


def test_not_enough_pool_capacity(site: Site) -> None:
    site.lab.operate('pool_free', pool=POOL, free='1 GiB')
    fails(site, lambda: site.driver.extend_volume(site.volume, 3),
          f'Not enough pool capacity. pool_number={POOL}, size_increase=2')


@pytest.mark.parametrize('is_known', [True, False])
def test_a_deleted_ld_has_unbound_already(site: Site,
                                          is_known: bool) -> None:
    site.lab.client.ldunbind(name(site.volume))
    if is_known:
        site.lab.inventory.refresh()
    site.log.clear()
    site.driver.delete_volume(site.volume)
    assert site.lines(logging.ERROR) == [
        f'Logical Disk `{name(site.volume)}` has unbound already.',
        f'Logical Disk has unbound already (name={name(site.volume)}, '
        f'id={site.volume.id}).']
    assert site.lines(logging.INFO)[-1] == (
        f'Deleted Volume (Volume ID = {site.volume.id})')


def test_rpl_attribute_of_what_is_backed_up(site: Site) -> None:
    """The array does not tell what the volume is: nothing is made."""
    site.lab.operate('omit_units', names=['RPL Attribute'])
    site.lab.inventory.refresh()
    before = site.lab.state()
    line = 'RPL Attribute Error. RPL Attribute = ?.'
    for call in (
            lambda: site.driver.create_snapshot(a_snapshot(site.volume)),
            lambda: site.driver.create_cloned_volume(a_volume(),
                                                     site.volume)):
        fails(site, call, line)
    assert site.lab.state() == before


def test_rpl_attribute_of_what_is_expanded(iscsi: Site) -> None:
    iscsi.pair(iscsi.make())
    fails(iscsi, lambda: iscsi.driver.extend_volume(iscsi.volume, 2),
          'RPL Attribute Error. RPL Attribute = MV.')


def test_too_many_pairs_for_a_clone(site: Site) -> None:
    for _ in range(3):
        site.pair(site.make())
    fails(site, lambda: site.driver.create_cloned_volume(
        a_volume(), site.volume),
        'Cannot create clone volume. number of pairs reached 3. '
        f'ldname={name(site.volume)}', exception.SnapshotLimitReached)


def test_too_many_pairs_for_a_snapshot(replicating: Site) -> None:
    for _ in range(3):
        replicating.snapshot()
    fails(replicating, lambda: replicating.driver.create_snapshot(
        a_snapshot(replicating.volume)),
        'Cannot create snapshot. number of pairs reached 3. '
        f'ldname={name(replicating.volume)}',
        exception.SnapshotLimitReached)


def test_not_available(replicating: Site) -> None:
    snapshot = replicating.snapshot()
    replicating.lab.operate('pair_state', mv=label(replicating.volume),
                            rv=label(snapshot), state='fault')
    fails(replicating, lambda: replicating.driver
          .create_volume_from_snapshot(a_volume(), snapshot),
          f'Specified Logical Disk {name(snapshot)} is not available.')


def test_does_not_exist(site: Site) -> None:
    gone = a_volume()
    for call in (
            lambda: site.driver.extend_volume(gone, 2),
            lambda: site.driver.create_cloned_volume(a_volume(), gone),
            lambda: site.driver.create_snapshot(a_snapshot(gone)),
            lambda: site.driver.initialize_connection(gone, CONNECTOR)):
        fails(site, call, f'Logical Disk `{name(gone)}` does not exist.')


def test_backup_pools_is_not_set(site: Site, tmp_path: Any,
                                 caplog: Any) -> None:
    site = site_of(type(site.driver), tmp_path / 'other', caplog,
                   backup_pools=())
    fails(site, lambda: site.driver.create_snapshot(
        a_snapshot(site.volume)), 'backup_pools is not set.')


def test_snapshot_data_does_not_exist(iscsi: Site) -> None:
    snapshot = iscsi.snapshot()
    iscsi.lab.operate('snap_state', sv=label(snapshot), state='---')
    fails(iscsi, lambda: iscsi.driver.create_volume_from_snapshot(
        a_volume(), snapshot),
        'Cannot create volume from snapshot, because the snapshot data '
        f'does not exist. bvname={name(iscsi.volume)}, '
        f'svname={name(snapshot)}')


def test_cannot_delete_a_snapshot_that_is_not_found(site: Site) -> None:
    """To Cinder it is deleted."""
    gone = a_snapshot(site.volume)
    site.driver.delete_snapshot(gone)
    line, = site.lines(logging.ERROR)
    assert line.startswith(
        f'Cannot delete snapshot. Logical Disk={name(gone)}')


def test_an_error_is_logged_once(site: Site) -> None:
    """Where steps are within operations, each says that it failed."""
    error = errors.StateError('broken')
    site.driver.backend.access.attach = _raising(error)
    with pytest.raises(exception.VolumeBackendAPIException):
        site.driver.initialize_connection(site.volume, CONNECTOR)
    assert site.lines(logging.ERROR) == ['broken']
    assert len(site.lines(logging.WARNING)) == 2


def _raising(error: Exception) -> Callable[..., object]:
    def call(*_args: object, **_named: object) -> object:
        raise error
    return call
