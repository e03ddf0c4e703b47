# SPDX-License-Identifier: Apache-2.0
"""What a run has left behind: processes, loop devices, mounts, files.

Many runs share a machine. What is started inside ``watched()`` gets a
directory for its temporary files that nobody else has, by TMPDIR, which
processes hand on to their children: that tells a run's own traces from
those of its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
from pathlib import Path
import shutil
import tempfile

from allinone import WaitTimeout, wait_for

# The kernel takes a loop device away, and reaps who was killed, a moment
# later.
PATIENCE = 20.0


class LeftBehind(Exception):
    """A run did not clean up; the text names what is left."""


@contextlib.contextmanager
def watched(patience: float = PATIENCE) -> Iterator[Path]:
    """Nothing of what is started inside may be there afterwards.

    :param patience: seconds for what is on its way out
    :raises LeftBehind: with a line for each thing that is left
    """
    # Sockets, whose names have to be short, are made below it.
    place = Path(tempfile.mkdtemp(prefix='nec-', dir='/tmp'))
    before = os.environ.get('TMPDIR')
    _use(str(place))
    try:
        yield place
    except BaseException:
        # That is the news; leftovers may well come from it.
        _use(before)
        shutil.rmtree(place, ignore_errors=True)
        raise
    _use(before)
    try:
        with contextlib.suppress(WaitTimeout):
            wait_for('no trace', lambda: not found(place), patience)
        left = found(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if left:
        raise LeftBehind('left behind: ' + '; '.join(left))


@contextlib.contextmanager
def using(directory: str | None) -> Iterator[None]:
    """Start something with the TMPDIR of a run that goes on elsewhere."""
    before = os.environ.get('TMPDIR')
    _use(directory)
    try:
        yield
    finally:
        _use(before)


def _use(directory: str | None) -> None:
    if directory is None:
        os.environ.pop('TMPDIR', None)
    else:
        os.environ['TMPDIR'] = directory
    # Python has it looked up once only.
    tempfile.tempdir = None


def found(place: Path) -> list[str]:
    """All that is there of what ran with this directory."""
    return [*_processes(place), *_loop_devices(place), *_mounts(place),
            *(f'file {path}' for path in sorted(place.iterdir()))]


def _processes(place: Path) -> Iterator[str]:
    mark = f'TMPDIR={place}'.encode()
    for pid in _pids():
        with contextlib.suppress(OSError):
            words = Path(f'/proc/{pid}/environ').read_bytes().split(b'\0')
            if mark in words and pid != os.getpid():
                line = Path(f'/proc/{pid}/cmdline').read_bytes()
                text = line.replace(b'\0', b' ').decode(errors='replace')
                yield f'process {pid} ({text.strip()[:120]})'


def _loop_devices(place: Path) -> Iterator[str]:
    for path in sorted(Path('/sys/block').glob(
            'loop*/loop/backing_file')):
        with contextlib.suppress(OSError):
            file = path.read_text().strip()
            if file.startswith(f'{place}/'):
                yield f'loop device {path.parts[3]} of {file}'


def _mounts(place: Path) -> Iterator[str]:
    """In every mount namespace that a process lives in."""
    seen = set()
    for pid in _pids():
        with contextlib.suppress(OSError):
            namespace = os.readlink(f'/proc/{pid}/ns/mnt')
            if namespace in seen:
                continue
            seen.add(namespace)
            for line in Path(f'/proc/{pid}/mountinfo').read_text(
                    ).splitlines():
                if f'{place}/' in line:
                    yield f'mount of process {pid}: {line.split()[4]}'


def _pids() -> list[int]:
    return [int(name) for name in os.listdir('/proc') if name.isdigit()]
