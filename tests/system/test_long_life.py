# SPDX-License-Identifier: Apache-2.0
"""A service that works for a long time holds no more than at its start.

The driver runs in a process of its own, over real SSH.
"""

from __future__ import annotations

from pathlib import Path
import re
import time

from bench_suite.bench import operation
from bench_suite.lab import Host, Lab, Layout, Volume
from bench_suite.settings import Settings
import pytest

from allinone import process
from harness import drivers

WORKERS = 16
WAIT_SECONDS = 20.0
AT_ONCE = {'dump': 0.0, 'dump_per_ld': 0.0, 'change': 0.0, 'query': 0.0}
HOST = Host(1)


def life(number: int, prefix: str) -> list[list[dict]]:
    """Batches in which so many volumes live and die; 4 operations each."""
    volumes = [Volume(f'{prefix}-{n}') for n in range(number)]
    return [
        [operation('create_volume', v.fields) for v in volumes],
        [operation('initialize_connection', v.fields, HOST.connector)
         for v in volumes],
        [operation('terminate_connection', v.fields, HOST.connector)
         for v in volumes],
        [operation('delete_volume', v.fields) for v in volumes]]


def work(peer, batches) -> int:
    done = 0
    for batch in batches:
        results = peer.ask('run', operations=batch,
                           workers=WORKERS)['results']
        assert [r['error'] for r in results] == [None] * len(batch)
        done += len(results)
    return done


def held_by(pid: int) -> dict[str, int]:
    """Return what a process holds."""
    names = []
    for entry in Path(f'/proc/{pid}/fd').iterdir():
        try:
            names.append(str(entry.readlink()))
        except FileNotFoundError:
            continue
    threads = re.search(r'^Threads:\s*(\d+)',
                        Path(f'/proc/{pid}/status').read_text(), re.M)
    return {'sockets': sum(name.startswith('socket:') for name in names),
            'descriptors': len(names), 'threads': int(threads.group(1))}


def more_than(before: dict[str, int], pid: int) -> dict[str, int]:
    """Return what a process keeps holding that it did not before.

    A thread or a socket that was told to end needs a moment to do so.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        more = {what: number - before[what]
                for what, number in held_by(pid).items()
                if number > before[what]}
        if not more or time.monotonic() > deadline:
            return more
        time.sleep(0.05)


@pytest.mark.parametrize('native', [False, True],
                         ids=['eventlet', 'native'])
def test_a_thousand_operations_leave_what_they_found(native):
    """Sockets, descriptors and threads; the array has nothing of them."""
    if native and process.release() < 29:
        pytest.skip('native threads need Cinder 29')
    layout = Layout(0, hosts=(HOST,))
    with Lab(Settings(latency=AT_ONCE), layout, drivers.FC) as lab:
        peer = lab.peer(drivers.OURS + 'MStorageFCDriver', native)
        peer.start()
        work(peer, life(WORKERS * 2, 'warm'))
        before = held_by(peer.pid)
        lds = {ld['name'] for ld in lab.sim.control.state()['lds']}
        assert work(peer, life(250, 'life')) == 1000
        assert more_than(before, peer.pid) == {}
        assert {ld['name']
                for ld in lab.sim.control.state()['lds']} == lds
