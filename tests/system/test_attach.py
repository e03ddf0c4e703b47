# SPDX-License-Identifier: Apache-2.0
"""Attach and detach: what the host is told, what the array then allows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness import drivers
from harness.array import Array
from tests.system.cloud import PATIENCE, Cloud


def sets_of_host(cloud: Cloud, host: str) -> list[Any]:
    """LD Sets that let a host in."""
    return [found for found in cloud.array.ld_sets()
            if cloud.initiators(host) & found.hosts]


def assert_reachable(cloud: Cloud, attachment: dict[str, Any], volume: str,
                     host: str) -> None:
    """The connection info leads this host to this volume's disk."""
    info = attachment['connection_info']
    [ld_set] = sets_of_host(cloud, host)
    ldn = cloud.array.ld(volume).ldn
    if cloud.driver.protocol == drivers.FC:
        assert info['driver_volume_type'] == 'fibre_channel'
        assert ld_set.luns[info['target_lun']] == ldn
        assert info['target_wwn']
        return
    assert info['driver_volume_type'] == 'iscsi'
    targets = info.get('target_iqns', [info['target_iqn']])
    luns = info.get('target_luns', [info['target_lun']])
    portals = info.get('target_portals', [info['target_portal']])
    assert len(targets) == len(luns) == len(portals)
    for target, lun in zip(targets, luns, strict=True):
        assert ld_set.ldn_at(target, lun) == ldn
    assert set(portals) <= set(ld_set.portals)


@pytest.mark.parametrize('multipath', [False, True],
                         ids=['one_path', 'multipath'])
def test_attach_and_detach(cloud: Cloud, array: Array, multipath: bool):
    volume = cloud.create()
    attachment = cloud.attach(volume, multipath=multipath)
    assert_reachable(cloud, attachment, volume, 'host1')
    assert cloud.volume_status(volume) == 'in-use'
    cloud.detach(attachment)
    assert not array.sets_of(volume)
    assert cloud.volume_status(volume) == 'available'


def test_two_volumes_on_one_host(cloud: Cloud, array: Array):
    volumes = [cloud.create(), cloud.create()]
    attachments = [cloud.attach(volume) for volume in volumes]
    for volume, attachment in zip(volumes, attachments, strict=True):
        assert_reachable(cloud, attachment, volume, 'host1')
    cloud.detach(attachments[0])
    assert not array.sets_of(volumes[0])
    assert_reachable(cloud, attachments[1], volumes[1], 'host1')


@pytest.mark.parametrize('order', [(0, 1), (1, 0)], ids=['fifo', 'lifo'])
def test_one_volume_on_two_hosts(cloud: Cloud, array: Array,
                                 order: tuple[int, int]):
    """As live migration does, and multi-attach."""
    kind = cloud.stage.cinder.ensure_type(
        'shared', multiattach='<is> True')
    volume = cloud.create(volume_type=kind.name)
    hosts = ['host1', 'host2']
    attachments = [cloud.attach(volume, host) for host in hosts]
    for host, attachment in zip(hosts, attachments, strict=True):
        assert_reachable(cloud, attachment, volume, host)
    first, second = order
    cloud.detach(attachments[first])
    assert [found.hosts & cloud.initiators(hosts[second])
            for found in array.sets_of(volume)] == [
                cloud.initiators(hosts[second])]
    cloud.detach(attachments[second])
    assert not array.sets_of(volume)


def test_two_attachments_on_one_host(cloud: Cloud, array: Array):
    """Two servers on one compute node share the mapping."""
    kind = cloud.stage.cinder.ensure_type(
        'shared', multiattach='<is> True')
    volume = cloud.create(volume_type=kind.name)
    attachments = [cloud.attach(volume), cloud.attach(volume)]
    assert len(array.sets_of(volume)) == 1
    cloud.detach(attachments[0])
    assert_reachable(cloud, attachments[1], volume, 'host1')
    cloud.detach(attachments[1])
    assert not array.sets_of(volume)


def test_attachments_on_one_host_come_and_go_at_once(
        cloud: Cloud, array: Array):
    """The API removes a record after the driver has ended it."""
    kind = cloud.stage.cinder.ensure_type(
        'shared', multiattach='<is> True')
    volume = cloud.create(volume_type=kind.name)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            first = cloud.attach(volume)
            second = pool.submit(cloud.attach, volume)
            pool.submit(cloud.detach, first).result(PATIENCE)
            last = second.result(PATIENCE)
            assert_reachable(cloud, last, volume, 'host1')
            both = [last, cloud.attach(volume)]
            list(pool.map(cloud.detach, both))
            assert not array.sets_of(volume)


def test_attach_again_gives_the_same_answer(cloud: Cloud):
    """Nova repeats the call on resume, reboot and after a time-out."""
    volume = cloud.create()
    attachment = cloud.attach(volume)
    again = cloud.client.volumes.initialize_connection(
        volume, cloud.connector())
    info = attachment['connection_info']
    for key, value in again['data'].items():
        assert info.get(key) == value


def test_detach_and_attach_again(cloud: Cloud):
    volume = cloud.create()
    for _ in range(2):
        attachment = cloud.attach(volume)
        assert_reachable(cloud, attachment, volume, 'host1')
        cloud.detach(attachment)


@pytest.mark.oldest
def test_forced_detach_unmaps_everywhere(cloud: Cloud, array: Array):
    """No connector: the host is gone, and nobody knows which it was."""
    volume = cloud.create()
    attachment = cloud.attach(volume)
    cloud.client.volumes._action(
        'os-force_detach', volume,
        {'attachment_id': attachment['id'], 'connector': None})
    cloud.forget(attachment)
    assert not array.sets_of(volume)
    assert cloud.volume_status(volume) == 'available'
