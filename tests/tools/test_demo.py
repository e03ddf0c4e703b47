# SPDX-License-Identifier: Apache-2.0
"""tools/demo holds, also with Cinder's own driver, and cleans up."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import signal
import subprocess
import sys

import pytest

from allinone import process, wait_for
from harness import drivers

pytestmark = [pytest.mark.service, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
# Both protocols, both copy methods, and Cinder's own driver.
WALKED = ['MStorageISCSIDriver', 'MStorageDDRFCDriver',
          drivers.IN_TREE + 'MStorageISCSIDriver']


def demo(state: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the demo in the running environment."""
    return subprocess.Popen(
        [sys.executable, '-m', 'harness.demo', '--state', str(state),
         *arguments],
        env={**os.environ, 'PYTHONPATH': str(ROOT / 'tools')},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)


def processes_of(state: Path) -> list[str]:
    """Command lines of processes that have the directory in them."""
    found = []
    for entry in Path('/proc').iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / 'cmdline').read_bytes().replace(b'\0', b' ')
        except OSError:
            continue
        if str(state).encode() in line and int(entry.name) != os.getpid():
            found.append(line.decode(errors='replace'))
    return found


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state directory that no process uses afterwards."""
    yield tmp_path / 'demo'
    wait_for('no process left', lambda: not processes_of(tmp_path), 20)


@pytest.mark.parametrize('driver', WALKED)
def test_every_step_holds(state: Path, driver: str):
    with demo(state, '--driver', driver) as running:
        output, _ = running.communicate(timeout=170)
    assert running.returncode == 0, output
    assert 'all 10 steps held' in output
    assert not processes_of(state)


@pytest.mark.skipif(process.release() < 29,
                    reason='native threads need Cinder 29')
def test_native_threads(state: Path):
    with demo(state, '--native-threads') as running:
        output, _ = running.communicate(timeout=170)
    assert running.returncode == 0, output
    assert 'native threads' in output


@pytest.mark.parametrize('number', [
    signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_when_it_is_stopped(state: Path, number: int):
    with demo(state, '--keep', '--no-walk') as running:
        assert running.stdout
        for line in running.stdout:
            if 'export CINDER_ENDPOINT' in line:
                break
        assert len(processes_of(state)) >= 3
        running.send_signal(number)
        running.communicate(timeout=30)
    if number != signal.SIGKILL:
        assert not processes_of(state)


def test_a_driver_that_does_not_come_up(state: Path):
    """Said, with the reason, and status 1."""
    with demo(state, '--driver', 'cinder_nec.absent.MStorageISCSIDriver'
              ) as running:
        output, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert 'the driver did not come up' in output
    assert 'cinder_nec.absent' in output


def test_an_unknown_driver_is_refused(state: Path):
    with demo(state, '--driver', 'LVM') as running:
        output, _ = running.communicate(timeout=60)
    assert running.returncode == 2
    assert "'LVM' is no driver class" in output
