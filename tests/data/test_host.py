# SPDX-License-Identifier: Apache-2.0
"""Unmodified os-brick on simulated hosts, at a simulated array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import os
from pathlib import Path
import subprocess
import time
from typing import Any

import pytest
from simhost.disk import DiskError
from simhost.process import SimHost

from allinone import wait_for
from ismsim.process import SimProcess
from tests.data import needs
from tests.data.conftest import DATA_PATH
from tests.data.test_data_path import hide, make_ld, make_set, run, show

GIB = 1 << 30
WWPNS = ('10000090faa0786a', '10000090faa0786b')
# The FC ports of the default configuration that are up.
PORTS = ('2100000991020012', '2200000991020012', '2900000991020012')

Hosts = Callable[..., SimHost]


@pytest.fixture
def array(watched: None) -> Iterator[SimProcess]:
    """An array with a data path, where hosts can be simulated."""
    needs.host()
    with SimProcess(extra=DATA_PATH) as running:
        yield running


@pytest.fixture
def hosts(array: SimProcess, tmp_path: Path) -> Iterator[Hosts]:
    """Start hosts; afterwards they are gone without a trace."""
    with contextlib.ExitStack() as stack:
        def start(name: str, **arguments: Any) -> SimHost:
            return stack.enter_context(
                SimHost(tmp_path / name, name, **arguments))
        yield start
    assert_no_trace(tmp_path)


def assert_no_trace(place: Path) -> None:
    mounts = Path('/proc/self/mountinfo').read_text()
    assert str(place) not in mounts
    assert 'simhost' not in mounts
    for entry in Path('/proc').iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / 'cmdline').read_bytes().split(b'\0')
                assert str(place).encode() not in words, words


def portal(array: SimProcess, number: int = 11) -> str:
    return (f'127.0.0.{number}:'
            f'{array.control.info()["data_path"]["port"]}')


def iscsi(array: SimProcess, target: str, lun: int = 0,
          paths: tuple[int, ...] = (11,)) -> dict[str, Any]:
    """What the driver would answer."""
    portals = [portal(array, number) for number in paths]
    data = {'target_discovered': False, 'target_portal': portals[0],
            'target_iqn': target, 'target_lun': lun}
    if len(paths) > 1:
        data.update(target_portals=portals,
                    target_iqns=[target] * len(paths),
                    target_luns=[lun] * len(paths))
    return {'driver_volume_type': 'iscsi', 'data': data}


def put(host: SimHost, path: str, text: str, offset: int = 0) -> None:
    """Write a block that holds a text, and have it on the array."""
    host.run('sh', '-c', f'printf %-4096s "{text}" | dd of={path} bs=4096 '
             f'seek={offset // 4096} conv=fsync,notrunc status=none')


def get(host: SimHost, path: str, offset: int = 0) -> str:
    """The text of a block, as the disk has it now."""
    host.run('blockdev', '--flushbufs', path)
    return host.run('dd', f'if={path}', 'bs=4096', 'count=1', 'status=none',
                    f'skip={offset // 4096}').strip()


def test_connect_write_extend_disconnect(array: SimProcess, hosts: Hosts):
    host = hosts('h1')
    make_ld(array, 'v1', 101)
    make_set(array, 's1', host.initiator)
    info = iscsi(array, show(array, 's1', 'v1'))
    assert host.brick('get_connector', multipath=False)[
        'initiator'] == host.initiator
    device = host.brick('connect', info=info, multipath=False)
    put(host, device['path'], 'kept')
    assert array.control.read('v1', 4) == b'kept'
    run(array, 'iSMcfg ldexpand -ldn 101 -capacity 2 -unit gb')
    assert host.brick('extend', info=info, multipath=False) == 2 * GIB
    assert get(host, device['path']) == 'kept'
    put(host, device['path'], 'new part', 2 * GIB - 4096)
    assert array.control.read('v1', 8, 2 * GIB - 4096) == b'new part'
    host.brick('disconnect', info=info, multipath=False, device=device)
    assert host.describe() == {'sessions': [], 'disks': {}, 'maps': {}}
    assert host.initiator not in [
        name for _target, name
        in array.control.info()['data_path']['sessions']]


def test_multipath(array: SimProcess, hosts: Hosts):
    host = hosts('h1')
    make_ld(array, 'v2', 102)
    make_set(array, 's2', host.initiator)
    info = iscsi(array, show(array, 's2', 'v2'), paths=(11, 13))
    device = host.brick('connect', info=info, multipath=True)
    assert device['path'].startswith('/dev/dm-')
    seen = host.describe()
    assert sorted(where for where, _target in seen['sessions']) == [
        portal(array, 11), portal(array, 13)]
    assert [len(paths) for paths in seen['maps'].values()] == [2]
    put(host, device['path'], 'through the map')
    assert array.control.read('v2', 11) == b'through the'
    run(array, 'iSMcfg ldexpand -ldn 102 -capacity 2 -unit gb')
    assert host.brick('extend', info=info, multipath=True) == 2 * GIB
    host.brick('disconnect', info=info, multipath=True, device=device)
    assert host.describe() == {'sessions': [], 'disks': {}, 'maps': {}}


@pytest.mark.parametrize('multipath', [False, True],
                         ids=['one_path', 'multipath'])
def test_fibre_channel(array: SimProcess, hosts: Hosts, multipath: bool):
    """Two HBAs, the array's ports; the frames travel as iSCSI."""
    ldn = 110 + multipath
    host = hosts('h1', multipath=multipath, wwpns=WWPNS, fabric=[
        {'portal': portal(array), 'wwpns': PORTS}])
    assert sorted(host.brick('get_connector', multipath=multipath)[
        'wwpns']) == sorted(WWPNS)
    name = f'fc{ldn}'
    make_ld(array, name, ldn)
    run(array, f'iSMcfg addldset -ldset LX:{name} -type fc')
    for wwpn in WWPNS:
        text = '-'.join(wwpn[at:at + 4] for at in (0, 4, 8, 12)).upper()
        run(array, f'iSMcfg addldsetpath -ldset LX:{name} -path {text}')
    run(array, f'iSMcfg addldsetld -ldset LX:{name} -ldname LX:{name} '
        '-lun 1')
    info = {'driver_volume_type': 'fibre_channel', 'data': {
        'target_wwn': [wwpn.upper() for wwpn in PORTS[:2]],
        'target_lun': 1,
        'initiator_target_map': {wwpn: list(PORTS[:2])
                                 for wwpn in WWPNS}}}
    device = host.brick('connect', info=info, multipath=multipath)
    paths = [len(one) for one in host.describe()['maps'].values()]
    assert paths == ([4] if multipath else [])
    put(host, device['path'], 'by fc')
    assert array.control.read(name, 5) == b'by fc'
    run(array, f'iSMcfg ldexpand -ldn {ldn} -capacity 2 -unit gb')
    assert host.brick('extend', info=info, multipath=multipath) == 2 * GIB
    host.brick('disconnect', info=info, multipath=multipath, device=device)
    assert host.describe()['disks'] == {}


def test_a_host_that_is_not_in_the_ld_set(array: SimProcess, hosts: Hosts):
    host, stranger = hosts('h1'), hosts('h2')
    make_ld(array, 'v3', 103)
    make_set(array, 's3', host.initiator)
    info = iscsi(array, show(array, 's3', 'v3'))
    with pytest.raises(DiskError, match='VolumeDeviceNotFound'):
        stranger.brick('connect', info=info, multipath=False)
    assert stranger.describe()['sessions'] == []


def test_live_migration_with_data_flowing(array: SimProcess, hosts: Hosts):
    """Second host first, then away from the first one, which still writes
    when the second one is there already."""
    source, target = hosts('h1'), hosts('h2')
    make_ld(array, 'v4', 104)
    infos = {}
    for host, name in ((source, 's4'), (target, 't4')):
        make_set(array, name, host.initiator)
    infos[source] = iscsi(array, show(array, 's4', 'v4'))
    first = source.brick('connect', info=infos[source], multipath=False)
    put(source, first['path'], 'before')
    infos[target] = iscsi(array, show(array, 't4', 'v4'))
    second = target.brick('connect', info=infos[target], multipath=False)
    assert get(target, second['path']) == 'before'
    put(source, first['path'], 'during')
    assert get(target, second['path']) == 'during'
    source.brick('disconnect', info=infos[source], multipath=False,
                 device=first)
    hide(array, 's4', 'v4')
    put(target, second['path'], 'after')
    assert array.control.read('v4', 5) == b'after'


def test_forced_detach_ends_the_access_of_that_host_only(
        array: SimProcess, hosts: Hosts):
    lost, kept = hosts('h1'), hosts('h2')
    make_ld(array, 'v5', 105)
    devices = {}
    infos = {}
    for host, name in ((lost, 's5'), (kept, 't5')):
        make_set(array, name, host.initiator)
        infos[host] = iscsi(array, show(array, name, 'v5'))
        devices[host] = host.brick('connect', info=infos[host],
                                   multipath=False)
    put(lost, devices[lost]['path'], 'both')
    hide(array, 's5', 'v5')
    with pytest.raises(OSError, match='rror'):
        put(lost, devices[lost]['path'], 'stale')
    with pytest.raises(OSError, match='rror'):
        get(lost, devices[lost]['path'])
    assert array.control.read('v5', 4) == b'both'
    put(kept, devices[kept]['path'], 'still')
    assert array.control.read('v5', 5) == b'still'
    lost.brick('disconnect', info=infos[lost], multipath=False,
               device=devices[lost], force=True)
    assert lost.describe()['disks'] == {}


def test_a_second_connect_finds_the_same_disk(array: SimProcess,
                                              hosts: Hosts):
    """Nova connects again on reboot."""
    host = hosts('h1')
    make_ld(array, 'v6', 106)
    make_set(array, 's6', host.initiator)
    info = iscsi(array, show(array, 's6', 'v6'))
    first = host.brick('connect', info=info, multipath=False)
    second = host.brick('connect', info=info, multipath=False)
    assert first == second
    assert len(host.describe()['disks']) == 1


def test_a_host_that_is_killed_leaves_nothing(array: SimProcess,
                                              hosts: Hosts):
    host = hosts('h1')
    make_ld(array, 'v7', 107)
    make_set(array, 's7', host.initiator)
    target = show(array, 's7', 'v7')
    device = host.brick('connect', info=iscsi(array, target),
                        multipath=False)
    minor = host.describe()['disks'][os.path.basename(
        device['path'])]['minor']
    loop = Path(f'/sys/block/loop{minor}/loop')
    assert loop.exists()
    host.kill()
    until = time.monotonic() + 20
    while loop.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not loop.exists()
    wait_for('no session', lambda: [target, host.initiator] not in
             array.control.info()['data_path']['sessions'], 20)
    alive = subprocess.run(['pgrep', '-f', f'target={target}'],
                           stdout=subprocess.DEVNULL)
    assert alive.returncode == 1
