# SPDX-License-Identifier: Apache-2.0
"""QoS, retype and migration: two back ends of one Cinder on one array."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

from cinderclient import exceptions
import pytest

from allinone import wait_for
from harness import drivers
from harness.array import Array
from harness.drivers import Driver
from harness.stage import Stage
from tests.system.cloud import GIB, PATIENCE, Cloud
from tests.system.conftest import QUIET, user_of

GOLD, SILVER = 'Gold', 'Silver'
# Back ends of manual 7.3.4; the types are of its 7.2.
POOLS = {'storage1': 0, 'storage2': 2, 'storage3': 3}
NAMES = {'storage1': GOLD, 'storage2': SILVER, 'storage3': GOLD}
END = GIB - 6


@pytest.fixture(scope='module', params=drivers.READY)
def pair(request: pytest.FixtureRequest,
         tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Back ends with pools of their own, as in manual 7.3.4."""
    driver: Driver = drivers.find(request.param)
    backends = {
        group: {'volume_backend_name': NAMES[group],
                'nec_pools': str(POOLS[group])} for group in POOLS}
    with Stage(tmp_path_factory.mktemp('pair'), driver, backends=backends,
               default=QUIET) as stage:
        yield stage


@pytest.fixture
def cloud(pair: Stage) -> Iterator[Cloud]:
    with user_of(pair) as user:
        yield user


@pytest.fixture
def array(pair: Stage) -> Array:
    return pair.array


class Operator:
    """Types and QoS specs, gone at the end."""

    def __init__(self, cloud: Cloud) -> None:
        self.client = cloud.client
        self._made: list[Any] = []

    def type(self, name: str, backend: str, consumer: str | None = None,
             **keys: str) -> str:
        made = self.client.volume_types.create(name)
        made.set_keys({'volume_backend_name': backend})
        self._made.append(made)
        if consumer:
            specs = self.client.qos_specs.create(
                f'QoS{name}', {'consumer': consumer, **keys})
            self.client.qos_specs.associate(specs, made.id)
            self._made.insert(0, specs)
        return str(made.id)

    def clean_up(self) -> None:
        for made in reversed(self._made):
            if hasattr(made, 'consumer'):
                self.client.qos_specs.disassociate_all(made)
                self.client.qos_specs.delete(made)
            else:
                self.client.volume_types.delete(made)


@pytest.fixture
def operator(cloud: Cloud) -> Iterator[Operator]:
    operator = Operator(cloud)
    yield operator
    cloud.clean_up()
    operator.clean_up()


def limit(array: Array, volume: Any) -> tuple[int, int, bool]:
    raw = array.control.ld(array.ld(volume).name)
    return tuple(raw['limit'][key]  # type: ignore[return-value]
                 for key in ('upper', 'lower', 'report'))


def host_of(cloud: Cloud, volume: str) -> str:
    return str(getattr(cloud.volume(volume), 'os-vol-host-attr:host'))


def group_of(cloud: Cloud, volume: str) -> str:
    return host_of(cloud, volume).partition('@')[2].partition('#')[0]


def other_gold(cloud: Cloud, volume: str) -> str:
    """The scheduler chose one of the two of that name."""
    return {'storage1': 'storage3',
            'storage3': 'storage1'}[group_of(cloud, volume)]


def backend_host(cloud: Cloud, group: str) -> str:
    [host] = [s.host for s in cloud.client.services.list(
        binary='cinder-volume') if s.host.endswith(f'@{group}')]
    return f'{host}#{NAMES[group]}'


def migrate(cloud: Cloud, volume: str, group: str) -> str:
    """Migrate and wait; return how it ended."""
    cloud.client.volumes.migrate_volume(
        volume, backend_host(cloud, group), False, False)

    def status() -> str:
        return str(getattr(cloud.volume(volume),
                           'os-vol-mig-status-attr:migstat'))

    wait_for('migration ended', lambda: status() in (
        'success', 'error', 'None'), PATIENCE)
    return status()


def retype(cloud: Cloud, volume: str, new_type: str,
           policy: str = 'never') -> None:
    cloud.client.volumes.retype(volume, new_type, policy)
    wait_for('retype ended', lambda: cloud.volume_status(volume)
             in ('available', 'in-use'), PATIENCE)


# -- QoS --------------------------------------------------------------------

def test_create_with_limits(cloud: Cloud, array: Array,
                            operator: Operator):
    gold = operator.type('Gold', GOLD, 'back-end', upperlimit='3000',
                         lowerlimit='200')
    volume = cloud.create(volume_type=gold)
    assert limit(array, volume) == (3000, 200, False)
    snapshot = cloud.snapshot(volume)
    for arguments in ({'snapshot_id': snapshot}, {'source_volid': volume}):
        copy = cloud.create(2, volume_type=gold, **arguments)
        assert limit(array, copy) == (3000, 200, False)


@pytest.mark.parametrize('value', ['10.5', '9', '1000001'])
def test_bad_limits(cloud: Cloud, array: Array, operator: Operator,
                    value: str):
    gold = operator.type('Bad', GOLD, 'back-end', upperlimit=value)
    mark = array.mark()
    cloud.create(volume_type=gold, status='error')
    assert not [c for c in array.journal(mark) if c.is_change]
    assert f"upperlimit = '{value}' cannot be used" in (
        cloud.stage.cinder.log())


def test_front_end_limits(cloud: Cloud, array: Array, operator: Operator):
    front = operator.type('Front', GOLD, 'front-end', upperlimit='3000')
    assert limit(array, cloud.create(volume_type=front)) == (0, 0, False)


# -- retype -----------------------------------------------------------------

def test_retype_sets_and_takes_off_limits(cloud: Cloud, array: Array,
                                          operator: Operator):
    slow = operator.type('Slow', GOLD, 'back-end', upperlimit='100',
                         upperreport='on')
    plain = operator.type('Plain', GOLD)
    volume = cloud.create(volume_type=plain)
    ldn = array.ld(volume).ldn
    retype(cloud, volume, slow)
    assert cloud.volume(volume).volume_type == 'Slow'
    assert limit(array, volume) == (100, 0, True)
    cloud.attach(volume)
    retype(cloud, volume, plain)
    assert cloud.volume(volume).volume_type == 'Plain'
    assert limit(array, volume) == (0, 0, False)
    assert array.ld(volume).ldn == ldn


def test_retype_that_fails_leaves_the_volume(cloud: Cloud, array: Array,
                                             operator: Operator):
    """Trap D1, through the manager that swallows the error."""
    plain = operator.type('Plain', GOLD)
    upside_down = operator.type('UpsideDown', GOLD, 'back-end',
                                upperlimit='10', lowerlimit='20')
    volume = cloud.create(volume_type=plain)
    cloud.write(volume, 'kept')
    retype(cloud, volume, upside_down)
    assert cloud.volume(volume).volume_type == 'Plain'
    assert cloud.read(volume, 4) == 'kept'


def test_retype_to_another_back_end(cloud: Cloud, array: Array,
                                    operator: Operator):
    gold = operator.type('Gold', GOLD)
    silver = operator.type('Silver', SILVER)
    volume = cloud.create(volume_type=gold)
    cloud.write(volume, 'kept', END)
    mark = array.mark()
    retype(cloud, volume, silver, 'on-demand')
    wait_for('new type', lambda: cloud.volume(volume).volume_type
             == 'Silver', PATIENCE)
    assert array.ld(volume).pool == POOLS['storage2']
    assert any('iSMrc_replicate' in c.text for c in array.journal(mark))
    assert cloud.read(volume, 4, END) == 'kept'


# -- migration --------------------------------------------------------------

@pytest.fixture
def volume(cloud: Cloud, operator: Operator) -> str:
    """A volume that two back ends may have."""
    made = cloud.create(volume_type=operator.type('Gold', GOLD))
    cloud.write(made, 'start')
    cloud.write(made, 'end', END)
    return made


def assert_data(cloud: Cloud, volume: str) -> None:
    assert cloud.read(volume, 5) == 'start'
    assert cloud.read(volume, 3, END) == 'end'


def test_migrate(cloud: Cloud, array: Array, volume: str):
    there, mark = other_gold(cloud, volume), array.mark()
    assert migrate(cloud, volume, there) == 'success'
    assert host_of(cloud, volume) == backend_host(cloud, there)
    ld = array.ld(volume)
    assert (ld.pool, ld.capacity) == (POOLS[there], GIB)
    assert any('iSMrc_replicate' in c.text for c in array.journal(mark))
    assert_data(cloud, volume)
    # The destination knows it, to the end of its life.
    attachment = cloud.attach(volume)
    assert array.sets_of(volume)
    cloud.detach(attachment)
    cloud.extend(volume, 2)
    cloud.delete_snapshot(cloud.snapshot(volume))
    assert_data(cloud, volume)
    cloud.delete(volume)


def test_migrate_there_and_back(cloud: Cloud, array: Array, volume: str):
    first = group_of(cloud, volume)
    assert migrate(cloud, volume, other_gold(cloud, volume)) == 'success'
    assert migrate(cloud, volume, first) == 'success'
    assert array.ld(volume).pool == POOLS[first]
    assert_data(cloud, volume)


def test_migrate_with_the_client_of_the_manual(cloud: Cloud, array: Array,
                                               volume: str):
    there = other_gold(cloud, volume)
    done = subprocess.run(
        [str(Path(sys.executable).with_name('cinder')), 'migrate', volume,
         backend_host(cloud, there)],
        env={**os.environ, **cloud.stage.cinder.env()},
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    wait_for('migrated', lambda: group_of(cloud, volume) == there, PATIENCE)
    assert array.ld(volume).pool == POOLS[there]


def test_migrate_of_a_volume_with_snapshots(cloud: Cloud, array: Array,
                                            volume: str):
    """Manual 7.3.4, note 1: the API says no."""
    cloud.snapshot(volume)
    mark = array.mark()
    with pytest.raises(exceptions.BadRequest, match='snapshots'):
        migrate(cloud, volume, other_gold(cloud, volume))
    assert not array.journal(mark)


def test_migrate_of_a_volume_whose_rv_keeps_differences(
        cloud: Cloud, array: Array, volume: str):
    """Manual 7.3.4, note 2."""
    if cloud.driver.method != drivers.REPLICATION:
        pytest.skip('a deleted snapshot leaves nothing')
    here = group_of(cloud, volume)
    cloud.delete_snapshot(cloud.snapshot(volume))
    before = array.contents()
    assert migrate(cloud, volume, other_gold(cloud, volume)) == 'error'
    assert array.contents() == before
    assert group_of(cloud, volume) == here
    assert 'Failed to Migrate Volume' in cloud.stage.cinder.log()


def test_migrate_that_fails(cloud: Cloud, array: Array, volume: str):
    here, there = group_of(cloud, volume), other_gold(cloud, volume)
    before = array.contents()
    array.control.add_fault('refuse', prefix='iSMrc_replicate', times=None)
    try:
        assert migrate(cloud, volume, there) == 'error'
    finally:
        array.control.clear_faults()
    assert array.contents() == before
    assert group_of(cloud, volume) == here
    assert_data(cloud, volume)
    assert migrate(cloud, volume, there) == 'success'
    assert_data(cloud, volume)
