# SPDX-License-Identifier: Apache-2.0
"""What the driver of the Cinder tree made lives on with this driver.

One simulated array and one Cinder: its own driver makes volumes and
snapshots in every state, the service is stopped, only the class in
cinder.conf is changed, the service is started, and everything goes on to
the end of its life.  The tree has two classes, both with the snapshot
method; see quick_peer.py for what is done to their pauses.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
from pathlib import Path
import sqlite3
from typing import Any

import pytest

from allinone import wait_for
from allinone.process import TOOLS
from harness import drivers, names
from harness.array import Array
from harness.drivers import Driver
from harness.stage import Stage
from tests.system.cloud import GIB, PATIENCE, Cloud
from tests.system.conftest import QUIET

pytest.importorskip('cinder.volume.drivers.nec')

PEER = 'tests.system.quick_peer.'
GOLD, SILVER = 'storage1', 'storage2'
POOLS = {GOLD: 0, SILVER: 2}
END = GIB - 6


@dataclasses.dataclass
class Legacy:
    """What the driver of the tree has made; ids by what it is."""

    volumes: dict[str, str] = dataclasses.field(default_factory=dict)
    snapshots: dict[str, str] = dataclasses.field(default_factory=dict)
    attachments: dict[str, dict[str, Any]] = dataclasses.field(
        default_factory=dict)
    connections: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Site:
    """A site that has changed its driver."""

    stage: Stage
    cloud: Cloud
    legacy: Legacy

    @property
    def array(self) -> Array:
        return self.stage.array

    def hosts_of(self, volume: str) -> list[set[str]]:
        """Who sees a volume, LD Set by LD Set."""
        return sorted((ld_set.hosts for ld_set in
                       self.array.sets_of(volume)), key=sorted)


@pytest.fixture(scope='module', params=['MStorageISCSIDriver',
                                        'MStorageFCDriver'])
def site(request: pytest.FixtureRequest,
         tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    state: Path = tmp_path_factory.mktemp('site')
    ours = drivers.find(request.param)
    root = Path(__file__).resolve().parents[2]
    peer = dataclasses.replace(ours, path=PEER + ours.name)
    with Stage(state, peer, default=QUIET,
               options={'nec_diskarray_name': '2000000991000316',
                        'nec_ismview_dir': str(state / 'ismview')},
               backends={group: {'nec_pools': str(pool)}
                         for group, pool in POOLS.items()},
               env={'PYTHONPATH': f'{TOOLS}:{root}'}) as stage:
        before = stage.array.contents()
        cloud = Cloud(stage)
        legacy = make(cloud)
        interrupt(cloud, legacy)
        rename_in_database(stage, cloud, legacy)
        switch(stage, ours)
        with contextlib.ExitStack() as at_end:
            at_end.callback(check_nothing_left, stage, before)
            at_end.callback(cloud.clean_up)
            yield Site(stage, cloud, legacy)


def check_nothing_left(stage: Stage, before: Any) -> None:
    assert stage.array.contents() == before
    assert not stage.array.control.state()['pairs']


def switch(stage: Stage, driver: Driver) -> None:
    """Change the class in cinder.conf, and that alone."""
    conf = stage.cinder.layout.conf
    old = conf.read_text()
    for options in stage.cinder.backends.values():
        assert options['volume_driver'] == PEER + driver.name
        options['volume_driver'] = driver.path  # type: ignore[index]
    stage.cinder.start()
    assert conf.read_text() == old.replace(PEER + driver.name, driver.path)
    assert all(stage.cinder.up.values()), stage.cinder.tail()


# -- what the driver of the tree makes ---------------------------------------

def make(cloud: Cloud) -> Legacy:
    """Make everything; each volume has its own name as its content."""
    legacy = Legacy()
    volumes = legacy.volumes
    for backend in POOLS:
        cloud.stage.cinder.ensure_type(backend, backend)

    def volume(name: str, size: int = 1, **arguments: Any) -> str:
        volumes[name] = cloud.create(
            size, **{'volume_type': GOLD, **arguments})
        if not {'snapshot_id', 'source_volid'} & arguments.keys():
            write(cloud, volumes[name], name)
        return volumes[name]

    volume('plain')
    volume('extended')
    cloud.extend(volumes['extended'], 3)
    for name in ('attached', 'multipath'):
        legacy.attachments[name] = cloud.attach(
            volume(name), multipath=name == 'multipath')
        legacy.connections[name] = legacy.attachments[name][
            'connection_info']
    make_snapshots(cloud, legacy, volume('source'))
    volume('from snapshot', snapshot_id=legacy.snapshots['first'])
    volume('larger from snapshot', 2,
           snapshot_id=legacy.snapshots['first'])
    volume('clone', source_volid=volumes['source'])
    volume('larger clone', 2, source_volid=volumes['source'])
    # A type would tie it to one back end.
    migrate(cloud, volume('migrated', volume_type=None))
    manage(cloud, legacy)
    volume('renamed')
    volume('stand-in')
    return legacy


def write(cloud: Cloud, volume: str, text: str) -> None:
    """At the start and at the end of the first GiB."""
    cloud.write(volume, text[:6].ljust(6, '_'))
    cloud.write(volume, text[:6].ljust(6, '_'), END)


def content(cloud: Cloud, volume: str) -> str:
    text = cloud.read(volume, 6)
    assert cloud.read(volume, 6, END) == text
    return text.rstrip('_')


def make_snapshots(cloud: Cloud, legacy: Legacy, source: str) -> None:
    """Of three moments; the volume is in use at the third one."""
    for name in ('first', 'second'):
        write(cloud, source, name)
        legacy.snapshots[name] = cloud.snapshot(source)
    write(cloud, source, 'third')
    legacy.attachments['source'] = cloud.attach(source)
    legacy.snapshots['third'] = cloud.snapshot(source, force=True)
    write(cloud, source, 'now')


def migrate(cloud: Cloud, volume: str) -> None:
    """To the other pool, by the array."""
    def status() -> str:
        return str(getattr(cloud.volume(volume),
                           'os-vol-mig-status-attr:migstat'))

    pool = cloud.array.ld(volume).pool
    there = SILVER if pool == POOLS[GOLD] else GOLD
    cloud.client.volumes.migrate_volume(
        volume, f'demo@{there}#{there}', False, False)
    wait_for('migration ended',
             lambda: status() in ('success', 'error'), PATIENCE)
    assert status() == 'success'
    assert cloud.array.ld(volume).pool == POOLS[there]


def manage(cloud: Cloud, legacy: Legacy) -> None:
    """An LD of the operator's becomes a volume."""
    cloud.array.run('iSMcfg ldbind -poolnumber 0 -ldn 3000 -capacity 2 '
                    '-immediate')
    cloud.array.run('iSMcfg nickname -ldn 3000 -newname LX:theirs '
                    '-immediate')
    cloud.array.control.write('theirs', b'manage', 0)
    cloud.array.control.write('theirs', b'manage', END)
    found = cloud.client.volumes.manage(
        f'demo@{GOLD}#{GOLD}', {'source-name': 'LX:theirs'},
        volume_type=GOLD)
    cloud.wait_volume(found.id, 'available')
    cloud._volumes.append(found.id)
    legacy.volumes['managed'] = found.id


def interrupt(cloud: Cloud, legacy: Legacy) -> None:
    """The service dies in the middle of a clone (trap K5)."""
    legacy.volumes['interrupted'] = source = cloud.create(volume_type=GOLD)
    write(cloud, source, 'interrupted')
    control = cloud.array.control
    control.set_timing(copy_rate='25 MiB/s')
    clone = cloud.client.volumes.create(1, source_volid=source)
    cloud._volumes.append(clone.id)
    legacy.volumes['half clone'] = clone.id
    wait_for('copy running', lambda: [
        pair for pair in control.state()['pairs']
        if pair['state'] == 'sep/exec'], PATIENCE)
    cloud.stage.cinder.kill()
    # It goes on as slowly; others will not.
    control.set_timing(copy_rate='inf')


def rename_in_database(stage: Stage, cloud: Cloud, legacy: Legacy) -> None:
    """Leave what a migration by Cinder's own copy leaves behind.

    The volume has a name_id: its data is in the LD that was made for the
    volume it was copied to, which is no volume any more (trap W1).
    """
    volume, other = legacy.volumes['renamed'], legacy.volumes['stand-in']
    content = stage.array.read(volume, 0, 6)
    for offset in (0, END):
        stage.array.write(other, offset, content)
    with contextlib.closing(
            sqlite3.connect(stage.cinder.layout.database)) as database:
        database.execute('UPDATE volumes SET _name_id = ? WHERE id = ?',
                         (other, volume))
        database.execute('UPDATE volumes SET deleted = 1, '
                         "status = 'deleted' WHERE id = ?", (other,))
        database.commit()
    stage.array.run(
        f'iSMcfg ldunbind -ldname LX:{names.label(volume)}')
    cloud._volumes.remove(other)


# -- and how it goes on ------------------------------------------------------

def test_plain(site: Site) -> None:
    cloud, volume = site.cloud, site.legacy.volumes['plain']
    cloud.detach(cloud.attach(volume))
    assert site.hosts_of(volume) == []
    cloud.extend(volume, 2)
    assert site.array.ld(volume).capacity == 2 * GIB
    snapshot = cloud.snapshot(volume)
    write(cloud, volume, 'new')
    copy = cloud.create(2, snapshot_id=snapshot)
    assert content(cloud, copy) == 'plain'
    assert content(cloud, volume) == 'new'
    cloud.delete_snapshot(snapshot)
    cloud.delete(volume)
    assert site.array.find_ld(volume) is None


def test_extended(site: Site) -> None:
    cloud, volume = site.cloud, site.legacy.volumes['extended']
    assert site.array.ld(volume).capacity == 3 * GIB
    cloud.extend(volume, 4)
    assert site.array.ld(volume).capacity == 4 * GIB
    assert content(cloud, volume) == 'extend'
    cloud.delete(volume)


@pytest.mark.parametrize('name', ['attached', 'multipath'])
def test_attached(site: Site, name: str) -> None:
    """Attached all the time; the server is told the same once more."""
    cloud, volume = site.cloud, site.legacy.volumes[name]
    host = cloud.initiators()
    assert site.hosts_of(volume) == [host]
    attachment = site.legacy.attachments[name]
    again = cloud.client.attachments.update(
        attachment['id'], cloud.connector(multipath=name == 'multipath'))
    cloud.client.attachments.complete(attachment['id'])
    told = again.connection_info
    before = site.legacy.connections[name]
    for key in ('target_iqn', 'target_lun'):
        assert told.get(key) == before.get(key)
    if 'target_wwn' in before:
        assert set(told['target_wwn']) <= set(before['target_wwn'])
    # A clone of a volume in use, and a second volume for the same host.
    assert content(cloud, cloud.create(source_volid=volume)) == name[:6]
    other = cloud.attach(cloud.create())
    assert site.hosts_of(volume) == [host]
    cloud.detach(attachment)
    assert site.hosts_of(volume) == []
    cloud.detach(other)
    assert cloud.volume_status(volume) == 'available'
    cloud.detach(cloud.attach(volume, 'host2'))
    cloud.delete(volume)


def test_attached_to_the_hosts_ld_set(site: Site) -> None:
    """The LD Set that the tree's driver made for a host is used on."""
    cloud = site.cloud
    ld_sets = {each.name for each in site.array.ld_sets()}
    new = cloud.create()
    cloud.attach(new, 'host1')
    assert site.hosts_of(new) == [cloud.initiators('host1')]
    assert {each.name for each in site.array.ld_sets()} == ld_sets


@pytest.mark.parametrize('name', ['first', 'second', 'third'])
def test_volumes_from_old_snapshots(site: Site, name: str) -> None:
    cloud, snapshot = site.cloud, site.legacy.snapshots[name]
    for size in (1, 2):
        volume = cloud.create(size, snapshot_id=snapshot)
        assert content(cloud, volume) == name
        assert site.array.ld(volume).capacity == size * GIB
        cloud.delete(volume)


def test_snapshotted(site: Site) -> None:
    """Old snapshots and new ones of one volume, in and out of use."""
    cloud, legacy = site.cloud, site.legacy
    source = legacy.volumes['source']
    assert content(cloud, source) == 'now'
    fourth = cloud.snapshot(source, force=True)
    cloud.detach(legacy.attachments['source'])
    assert site.hosts_of(source) == []
    assert len(site.array.points_in_time(source)) == 4
    cloud.delete_snapshot(legacy.snapshots['second'])
    assert len(site.array.points_in_time(source)) == 3
    write(cloud, source, 'later')
    cloud.client.volumes.revert_to_snapshot(
        cloud.volume(source), fourth)
    cloud.wait_volume(source, 'available')
    assert content(cloud, source) == 'now'
    cloud.delete_snapshot(fourth)
    cloud.client.volumes.revert_to_snapshot(
        cloud.volume(source), legacy.snapshots['third'])
    cloud.wait_volume(source, 'available')
    assert content(cloud, source) == 'third'
    copy = cloud.create(snapshot_id=legacy.snapshots['first'])
    assert content(cloud, copy) == 'first'
    for name in ('first', 'third'):
        cloud.delete_snapshot(legacy.snapshots[name])
    assert site.array.points_in_time(source) == []
    cloud.extend(source, 2)
    cloud.delete(source)
    assert content(cloud, copy) == 'first'


@pytest.mark.parametrize(('name', 'expected', 'size'), [
    ('from snapshot', 'first', 1), ('larger from snapshot', 'first', 2),
    ('clone', 'now', 1), ('larger clone', 'now', 2)])
def test_copies(site: Site, name: str, expected: str, size: int) -> None:
    cloud, volume = site.cloud, site.legacy.volumes[name]
    assert content(cloud, volume) == expected
    assert site.array.ld(volume).capacity == size * GIB
    snapshot = cloud.snapshot(volume)
    write(cloud, volume, 'own')
    copies = [cloud.create(size, snapshot_id=snapshot),
              cloud.create(size, source_volid=volume)]
    assert [content(cloud, copy) for copy in copies] == [expected, 'own']
    cloud.delete_snapshot(snapshot)
    cloud.extend(volume, size + 1)
    cloud.delete(volume)


def test_migrated(site: Site) -> None:
    """And home again."""
    cloud, volume = site.cloud, site.legacy.volumes['migrated']
    assert content(cloud, volume) == 'migrat'
    cloud.detach(cloud.attach(volume))
    migrate(cloud, volume)
    assert content(cloud, volume) == 'migrat'
    cloud.delete(volume)


def test_name_id(site: Site) -> None:
    cloud, volume = site.cloud, site.legacy.volumes['renamed']
    ld = site.legacy.volumes['stand-in']
    attachment = cloud.attach(volume)
    assert site.hosts_of(ld) == [cloud.initiators()]
    snapshot = cloud.snapshot(volume, force=True)
    write_to_ld(site, ld, 'newer_')
    cloud.detach(attachment)
    assert site.hosts_of(ld) == []
    assert content(cloud, cloud.create(snapshot_id=snapshot)) == 'rename'
    assert content(cloud, cloud.create(source_volid=volume)) == 'newer'
    cloud.delete_snapshot(snapshot)
    cloud.extend(volume, 2)
    assert site.array.ld(ld).capacity == 2 * GIB
    cloud.delete(volume)
    assert site.array.find_ld(ld) is None


def write_to_ld(site: Site, ld: str, text: str) -> None:
    for offset in (0, END):
        site.array.write(ld, offset, text.encode())


def test_managed(site: Site) -> None:
    """Given back to the operator under its name, taken once more."""
    cloud, volume = site.cloud, site.legacy.volumes['managed']
    assert content(cloud, volume) == 'manage'
    cloud.client.volumes.unmanage(volume)
    wait_for('volume unmanaged',
             lambda: cloud.volume_status(volume) == 'gone', PATIENCE)
    cloud._volumes.remove(volume)
    assert site.array.ld(volume).capacity == 2 * GIB
    again = cloud.client.volumes.manage(
        f'demo@{GOLD}#{GOLD}', {'source-id': volume}, volume_type=GOLD)
    cloud.wait_volume(again.id, 'available')
    cloud._volumes.append(again.id)
    assert content(cloud, again.id) == 'manage'
    cloud.delete(again.id)


def test_interrupted(site: Site) -> None:
    """The pair that nobody looked after is taken apart in the end."""
    cloud, volumes = site.cloud, site.legacy.volumes
    source, clone = volumes['interrupted'], volumes['half clone']
    assert cloud.volume_status(clone) == 'error'
    wait_for('copy settled', lambda: not site.array.control.state()['pairs'],
             PATIENCE)
    cloud.delete(clone)
    assert site.array.find_ld(clone) is None
    assert content(cloud, source) == 'interr'
    assert content(cloud, cloud.create(source_volid=source)) == 'interr'
    cloud.extend(source, 2)
    cloud.delete(source)
