# SPDX-License-Identifier: Apache-2.0
"""What only Fibre Channel hosts see, through the real Cinder."""

from __future__ import annotations

from typing import Any

from cinderclient import exceptions
import pytest

from harness import drivers
from harness.array import Array
from harness.drivers import Driver
from tests.system.cloud import Cloud

# FC ports of the default array that are up, the even pools' first.
UP = ['2100000991020012', '2200000991020012', '2900000991020012']


@pytest.fixture(params=[
    name for name in drivers.READY
    if drivers.find(name).protocol == drivers.FC])
def driver(request: pytest.FixtureRequest) -> Driver:
    return drivers.find(request.param)


def attach(cloud: Cloud, volume: str, **changes: Any) -> dict[str, Any]:
    """Attach with a connector that is not the host's usual one."""
    attachment: dict[str, Any] = cloud.client.attachments.create(
        volume, {**cloud.connector('host30'), **changes}, None)
    cloud._attachments.append(attachment['id'])
    return attachment


def paths_of(array: Array, wwpn: str) -> set[str]:
    [found] = [s for s in array.ld_sets() if wwpn in s.wwpns]
    return set(found.wwpns)


def test_the_host_is_told_the_ports_that_are_up(cloud: Cloud):
    info = cloud.attach(cloud.create())['connection_info']
    assert info['target_wwn'] == UP
    assert info['initiator_target_map'] == dict.fromkeys(
        cloud.initiators(), UP)
    assert 'addressing_mode' not in info


def test_a_new_hba_is_registered_while_its_host_sees_nothing(
        cloud: Cloud, array: Array):
    """A connector gives no WWPN access to what another one sees."""
    old, new = '10000090fbb00000', '10000090fbb00001'
    first = attach(cloud, cloud.create(), wwpns=[old])
    assert paths_of(array, old) == {old}
    info = attach(cloud, cloud.create(), wwpns=[new, old])
    assert paths_of(array, old) == {old}
    assert info['connection_info']['initiator_target_map'].keys() == {old}
    for attachment in (first, info):
        cloud.detach(attachment)
    info = attach(cloud, cloud.create(), wwpns=[new, old])
    assert paths_of(array, old) == {old, new}
    assert info['connection_info']['initiator_target_map'].keys() == {
        old, new}


def test_a_lun_is_not_used_again_at_once(cloud: Cloud):
    wwpns = {'wwpns': ['10000090fbb00010']}
    first = attach(cloud, cloud.create(), **wwpns)
    cloud.detach(first)
    second = attach(cloud, cloud.create(), **wwpns)
    assert [a['connection_info']['target_lun']
            for a in (first, second)] == [0, 1]


def test_a_lun_above_255(cloud: Cloud, array: Array):
    wwpn = '10000090fbb00020'
    cloud.detach(attach(cloud, cloud.create(), wwpns=[wwpn]))
    [ld_set] = [s.name for s in array.ld_sets() if wwpn in s.wwpns]
    volume = cloud.create()
    array.run(f'iSMcfg addldsetld -ldset {ld_set} -ldname '
              f'{array.ld(volume).full_name} -lun 300')
    info = attach(cloud, volume, wwpns=[wwpn])['connection_info']
    assert info['target_lun'] == 300
    assert info['addressing_mode'] == 'SAM2'


@pytest.mark.parametrize('wwpns', [
    None, [], ['10000090faa00000; reboot'], ['$(reboot)'], 'x', [7],
    ['10000090faa00000'] * 65])
def test_hostile_and_useless_connectors(cloud: Cloud, array: Array,
                                        wwpns: Any):
    volume = cloud.create()
    connector = {**cloud.connector(), 'wwpns': wwpns}
    mark = array.mark()
    with pytest.raises(exceptions.BadRequest, match='wwpns|WWPN'):
        cloud.client.volumes.initialize_connection(volume, connector)
    with pytest.raises(exceptions.ClientException):
        cloud.client.attachments.create(volume, connector, None)
    assert not array.journal(mark)
    for left in cloud.client.attachments.list():
        cloud.client.attachments.delete(left.id)
