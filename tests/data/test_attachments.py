# SPDX-License-Identifier: Apache-2.0
"""Several attachments of a volume: what Nova asks for, with data flowing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from pathlib import Path
import subprocess
import sys

import pytest

from allinone import wait_for
from harness.attached import Attached
from tests.data.cloud import User

pytestmark = pytest.mark.xdist_group('data-cloud')
BLOCKS = 64
# Writes a number to one block after another, until a file is gone.
WRITER = f"""
import os, sys
device, go, progress = sys.argv[1:]
disk = os.open(device, os.O_WRONLY)
number = 0
while os.path.exists(go):
    number += 1
    os.pwrite(disk, b'%-4096d' % number, number % {BLOCKS} * 4096)
    os.fsync(disk)
    with open(progress + '.new', 'w') as file:
        file.write(str(number))
    os.rename(progress + '.new', progress)
os.close(disk)
"""


@pytest.fixture
def shared(user: User) -> str:
    """A volume that may be attached more than once."""
    return user.create(volume_type=user.kind('-shared',
                                             multiattach='<is> True'))


@contextlib.contextmanager
def writing(disk: Attached, place: Path) -> Iterator[Callable[[], int]]:
    """A server that writes all the time; gives its last number.

    It must not see one error.
    """
    go, progress = place / 'go', place / 'progress'
    go.touch()
    with subprocess.Popen(disk.host.wrapped(
            [sys.executable, '-c', WRITER, disk.path, str(go),
             str(progress)]), stderr=subprocess.PIPE) as server:
        def last() -> int:
            assert server.poll() is None, server.stderr
            return int(progress.read_text()) if progress.exists() else 0
        try:
            wait_for('a write', last, 20)
            yield last
        finally:
            go.unlink()
            _output, errors = server.communicate(timeout=60)
    assert server.returncode == 0, errors.decode()


def test_live_migration(user: User, shared: str, tmp_path: Path):
    """The second host first, then away from the first one, which writes
    until the server runs on the second."""
    with contextlib.ExitStack() as target:
        with user.on_host(shared, 0) as source:
            with writing(source, tmp_path) as last:
                moved = target.enter_context(user.on_host(shared, 1))
                then = last()
                wait_for('more writes', lambda: last() > then + BLOCKS, 30)
            number = int((tmp_path / 'progress').read_text())
            assert moved.read(number % BLOCKS * 4096) == str(number)
        # The first host is gone.
        moved.write('on the second host', 0)
        assert moved.read(0) == 'on the second host'
        assert moved.read(number % BLOCKS * 4096 or 4096) in (
            str(number), str(number - BLOCKS + 1))
        assert user.read(shared, 18) == 'on the second host'
        assert [one.hosts & hosts_of(user, 0) for one in
                user.array.sets_of(shared)] == [set()]


def hosts_of(user: User, node: int) -> set[str]:
    """How the array knows a node."""
    host = user.nodes[node]
    return {host.initiator, *host.wwpns}


def test_two_servers_on_one_host(user: User, shared: str, tmp_path: Path):
    """The first keeps the disk when the second gives it up."""
    with user.on_host(shared) as disk:
        with writing(disk, tmp_path) as last:
            again = user.client.attachments.create(
                shared, disk.connector(), None, 'rw')
            user.client.attachments.complete(again['id'])
            assert again['connection_info']['attachment_id'] != (
                disk.attachment)
            user.client.attachments.delete(again['id'])
            then = last()
            wait_for('more writes', lambda: last() > then + 2, 30)
        number = int((tmp_path / 'progress').read_text())
        assert user.read(shared, 20, number % BLOCKS * 4096
                         ).strip() == str(number)
    assert user.array.sets_of(shared) == []


def test_forced_detach(user: User, shared: str, tmp_path: Path):
    """The host that loses its attachment loses the disk at once, though
    it is logged in; the others keep it."""
    with (user.new_node('lost') as host,
          user.on_host(shared) as kept,
          user.on_host(shared, host) as lost):
        lost.write('shared', BLOCKS * 4096)
        with writing(kept, tmp_path) as last:
            lost.take_away()
            for access in (lambda: lost.write('stale', BLOCKS * 4096),
                           lambda: lost.read(BLOCKS * 4096)):
                with pytest.raises(OSError, match='rror'):
                    access()
            then = last()
            wait_for('more writes', lambda: last() > then + 2, 30)
        assert kept.read(BLOCKS * 4096) == 'shared'
