# SPDX-License-Identifier: Apache-2.0
"""Fibre Channel zones, through Cinder's own zone manager."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cinderclient import exceptions
import pytest

from allinone import wait_for
from harness import drivers
from harness.array import Array
from harness.drivers import Driver
from harness.stage import Stage
from tests.system import fabric
from tests.system.cloud import Cloud
from tests.system.conftest import user_of

ROOT = Path(__file__).parents[2]
HOSTS = ('host1', 'host2')
# Ports of the default array; 01-01 (2a...) has no link.
TARGETS = {'SAN_A': ['2100000991020012', '2900000991020012'],
           'SAN_B': ['2200000991020012', '2a00000991020012']}


def initiator(host: str, port: int) -> str:
    return f'10000090faa0{int(host[4:]):02x}{port:02x}'


def logged_in() -> dict[str, list[str]]:
    """Each host has one port in either fabric."""
    return {name: [*targets, *(initiator(host, port) for host in HOSTS)]
            for port, (name, targets) in enumerate(TARGETS.items())}


def zones_of(host: str) -> set[tuple[str, str, str]]:
    """What a host needs: its ports, and the array's that are up."""
    return {('SAN_A', initiator(host, 0), TARGETS['SAN_A'][0]),
            ('SAN_A', initiator(host, 0), TARGETS['SAN_A'][1]),
            ('SAN_B', initiator(host, 1), TARGETS['SAN_B'][0])}


@pytest.fixture(scope='module', params=[
    name for name in drivers.READY if drivers.find(name).protocol
    == drivers.FC])
def zoned(request: pytest.FixtureRequest,
          tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A Cinder that manages the zones of two fabrics."""
    driver: Driver = drivers.find(request.param)
    state = tmp_path_factory.mktemp('zoned')
    switches = fabric.Fabrics(state / 'fabrics')
    switches.start(logged_in())
    with Stage(state, driver,
               default={'zoning_mode': 'fabric', 'periodic_interval': 3600},
               sections={'fc-zone-manager': {
                   'zone_driver': 'tests.system.fabric.ZoneDriver',
                   'fc_san_lookup_service': 'tests.system.fabric.Lookup'}},
               env={fabric.VARIABLE: str(switches.directory),
                    'PYTHONPATH': f'{ROOT}:{ROOT / "tools"}'}) as stage:
        yield stage


@pytest.fixture
def cloud(zoned: Stage) -> Iterator[Cloud]:
    with user_of(zoned) as user:
        yield user


@pytest.fixture
def array(zoned: Stage) -> Array:
    return zoned.array


@pytest.fixture
def switches(zoned: Stage) -> Iterator[fabric.Fabrics]:
    found = fabric.Fabrics(zoned.state / 'fabrics')
    assert found.zones() == set()
    yield found


def test_zones_go_with_the_last_lun_of_the_host(
        cloud: Cloud, switches: fabric.Fabrics):
    attachments = [cloud.attach(cloud.create()) for _ in range(2)]
    assert attachments[0]['connection_info']['initiator_target_map'] == {
        initiator('host1', 0): TARGETS['SAN_A'],
        initiator('host1', 1): TARGETS['SAN_B'][:1]}
    assert switches.zones() == zones_of('host1')
    cloud.detach(attachments[0])
    assert switches.zones() == zones_of('host1')
    cloud.detach(attachments[1])
    assert switches.zones() == set()


def test_each_host_has_its_own_zones(cloud: Cloud,
                                     switches: fabric.Fabrics):
    attachments = {host: cloud.attach(cloud.create(), host)
                   for host in HOSTS}
    assert switches.zones() == zones_of('host1') | zones_of('host2')
    cloud.detach(attachments['host1'])
    assert switches.zones() == zones_of('host2')
    cloud.detach(attachments['host2'])


def test_two_attachments_on_one_host(cloud: Cloud,
                                     switches: fabric.Fabrics):
    kind = cloud.stage.cinder.ensure_type(
        'shared', multiattach='<is> True')
    volume = cloud.create(volume_type=kind.name)
    attachments = [cloud.attach(volume) for _ in range(2)]
    cloud.detach(attachments[0])
    assert switches.zones() == zones_of('host1')
    cloud.detach(attachments[1])
    assert switches.zones() == set()


def test_a_port_that_lost_its_link_is_unzoned_too(
        cloud: Cloud, array: Array, switches: fabric.Fabrics):
    attachment = cloud.attach(cloud.create())
    array.control.call('port_link', port='01-00', up=False)
    try:
        cloud.detach(attachment)
        assert switches.zones() == set()
    finally:
        array.control.call('port_link', port='01-00', up=True)
        # A last detach reads the array: the driver learns that it is up.
        cloud.detach(cloud.attach(cloud.create()))


def test_forced_detach(cloud: Cloud, array: Array,
                       switches: fabric.Fabrics):
    """host1 has another volume, host2 has not."""
    kind = cloud.stage.cinder.ensure_type(
        'shared', multiattach='<is> True')
    volume = cloud.create(volume_type=kind.name)
    stays = cloud.attach(cloud.create(), 'host1')
    gone = [cloud.attach(volume, host) for host in HOSTS]
    cloud.client.volumes._action(
        'os-force_detach', volume,
        {'attachment_id': gone[0]['id'], 'connector': None})
    assert not array.sets_of(volume)
    assert switches.zones() == zones_of('host1')
    for attachment in gone[1:]:
        cloud.detach(attachment)
    cloud.forget(gone[0])
    cloud.detach(stays)
    assert switches.zones() == set()


def test_an_attach_without_zones_leaves_no_mapping(
        cloud: Cloud, array: Array, switches: fabric.Fabrics):
    volume = cloud.create()
    switches.broken(True)
    try:
        with pytest.raises(exceptions.ClientException):
            cloud.client.attachments.create(volume, cloud.connector(), None)
        assert not array.sets_of(volume)
    finally:
        switches.broken(False)
    for left in cloud.client.attachments.list():
        cloud.client.attachments.delete(left.id)
    wait_for('volume available', lambda: cloud.volume_status(volume)
             == 'available', 20)
    cloud.detach(cloud.attach(volume))


def test_a_detach_is_repeated_until_the_zones_are_gone(
        cloud: Cloud, array: Array, switches: fabric.Fabrics):
    attachment = cloud.attach(cloud.create())
    switches.broken(True)
    try:
        with pytest.raises(exceptions.ClientException):
            cloud.client.attachments.delete(attachment['id'])
    finally:
        switches.broken(False)
    assert switches.zones() == zones_of('host1')
    cloud.detach(attachment)
    assert switches.zones() == set()


def test_attach_and_detach_at_once(cloud: Cloud, switches: fabric.Fabrics):
    """The zones of a host that has a LUN are never missed."""
    volumes = [cloud.create() for _ in range(2)]
    going = cloud.attach(volumes[0])
    for turn in range(4):
        with ThreadPoolExecutor(2) as pool:
            coming = pool.submit(cloud.attach, volumes[(turn + 1) % 2])
            pool.submit(cloud.detach, going).result(60)
            going = coming.result(60)
        assert switches.zones() == zones_of('host1')
    cloud.detach(going)
    assert switches.zones() == set()
