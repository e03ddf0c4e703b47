# SPDX-License-Identifier: Apache-2.0
"""What a run leaves behind is found: harness.traces."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
from pathlib import Path
import subprocess
import tempfile

import pytest

from harness import traces
from tests.data import needs

BACKING = 1 << 20


@contextlib.contextmanager
def process(place: Path) -> Iterator[str]:
    child = subprocess.Popen(['sleep', '600'])
    yield f'process {child.pid} (sleep 600)'
    child.kill()
    child.wait()


@contextlib.contextmanager
def file(place: Path) -> Iterator[str]:
    descriptor, name = tempfile.mkstemp()
    os.close(descriptor)
    yield f'file {name}'


@contextlib.contextmanager
def loop_device(place: Path) -> Iterator[str]:
    needs.host()
    path = place / 'backing'
    path.write_bytes(bytes(BACKING))
    done = subprocess.run(['losetup', '--find', '--show', str(path)],
                          check=True, capture_output=True, text=True)
    node = done.stdout.strip()
    path.unlink()
    yield f'loop device {Path(node).name}'
    subprocess.run(['losetup', '--detach', node], check=True)


@contextlib.contextmanager
def mount(place: Path) -> Iterator[str]:
    """In a namespace of its own, which one process keeps."""
    needs.host()
    with subprocess.Popen(
            ['unshare', '--mount', 'sh', '-c', 'mkdir $TMPDIR/m && mount -t '
             'tmpfs none $TMPDIR/m && unset TMPDIR && echo && exec sleep '
             '600'], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield f'mount of process {child.pid}: {place}/m'
        child.kill()


@pytest.mark.parametrize('thing', [process, file, loop_device, mount])
def test_what_is_left_is_named(thing, tmp_path: Path):
    before = os.environ.get('TMPDIR')
    with contextlib.ExitStack() as after:
        with pytest.raises(traces.LeftBehind) as raised:
            with traces.watched(patience=0.1) as place:
                name = after.enter_context(thing(place))
        assert name in str(raised.value)
    assert os.environ.get('TMPDIR') == before
    assert traces.found(tmp_path) == []


def test_nothing_is_left():
    with traces.watched() as place:
        with tempfile.NamedTemporaryFile() as one:
            assert Path(one.name).parent == place
        subprocess.run(['true'], check=True)
    assert not place.exists()


def test_a_failure_comes_first():
    with pytest.raises(ZeroDivisionError), traces.watched():
        tempfile.mkdtemp()
        1 / 0  # noqa: B018
