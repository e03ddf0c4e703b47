# SPDX-License-Identifier: Apache-2.0
"""Build a virtual environment inside the checkout, once.

Repeat runs find a stamp file that says what the environment was built
from, and need neither time nor network. Standard library only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import fcntl
import hashlib
import json
import os
from pathlib import Path
import re
import subprocess
import sys
import time

from harness import venvs
from harness.venvs import Venv

# pip says these about index locations that this machine does not have;
# they mean nothing to whoever runs the tools.
_NOISE = re.compile(
    r"^WARNING: Location 'file:|^Looking in (indexes|links):"
    r'|^\[notice\]|^WARNING: Running pip as the .root. user')

Say = Callable[[str], None]


class BootstrapError(Exception):
    """The environment could not be built; the text says what to do."""


def say(text: str) -> None:
    """One line of progress; on stderr, so that stdout stays the tool's."""
    print(text, file=sys.stderr, flush=True)


def fingerprint(venv: Venv, root: Path) -> dict[str, str]:
    """What an environment depends on; equal means still good."""
    marks = {
        'cinder': str(venv.release),
        'python': '.'.join(map(str, sys.version_info[:2])),
        # The scripts inside carry absolute paths.
        'path': str(venv.path),
    }
    for name in venvs.STAMPED_FILES:
        path = root / name
        data = path.read_bytes() if path.exists() else b''
        marks[name] = hashlib.sha256(data).hexdigest()
    return marks


def is_current(venv: Venv, root: Path) -> bool:
    """True if the environment was built from what is there now."""
    try:
        built_from = json.loads(venv.stamp.read_text())
    except (OSError, ValueError):
        return False
    return (built_from == fingerprint(venv, root)
            and os.access(venv.python, os.X_OK))


@contextlib.contextmanager
def exclusive(name: str, root: Path, tell: Say = say) -> Iterator[None]:
    """Let one process at a time build the environment *name*."""
    directory = root / '.cache'
    directory.mkdir(exist_ok=True)
    with open(directory / f'{name}.lock', 'w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f'another run is building {name}: waiting for it')
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure(release: int | None = None, root: Path = venvs.ROOT,
           tell: Say = say) -> Venv:
    """Return the environment of a Cinder release, built if need be."""
    venv = venvs.venv_for(release, root)
    if is_current(venv, root):
        return venv
    with exclusive(venv.path.name, root, tell):
        if not is_current(venv, root):
            build(venv, root, tell)
    return venv


def build(venv: Venv, root: Path, tell: Say = say) -> None:
    """Create or update one environment and stamp it."""
    started = time.monotonic()
    verb = 'updating' if venv.python.exists() else 'building'
    tell(f'{verb} {venv.path.name} with Cinder {venv.release} from PyPI '
         '(about a minute, once) ...')
    marks = fingerprint(venv, root)
    _create(venv, marks)
    pip = [str(venv.python), '-m', 'pip', '--disable-pip-version-check',
           'install', '--no-input', '--quiet']
    _run([*pip, *venv.requirements], venv, root)
    _run([*pip, '--no-deps', '-e', '.'], venv, root)
    venv.stamp.write_text(json.dumps(marks, indent=1) + '\n')
    tell(f'{venv.path.name} is ready after '
         f'{time.monotonic() - started:.0f} s')


def _create(venv: Venv, marks: dict[str, str]) -> None:
    """Lay the empty environment, over what is there if that still works."""
    try:
        old = json.loads(venv.stamp.read_text())
    except (OSError, ValueError):
        old = {}
    venv.stamp.unlink(missing_ok=True)
    stale = any(old.get(key, marks[key]) != marks[key]
                for key in ('cinder', 'python', 'path'))
    if _works(venv) and not stale:
        return
    done = subprocess.run(
        [sys.executable, '-m', 'venv', '--clear', str(venv.path)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise BootstrapError(
            f'"{sys.executable} -m venv" failed:\n'
            f'{(done.stdout + done.stderr).strip()}\n'
            'On Debian and Ubuntu: apt-get install python3-venv')


def _works(venv: Venv) -> bool:
    """True if the environment's Python is this version and has pip."""
    probe = 'import sys, pip; print(*sys.version_info[:2])'
    try:
        done = subprocess.run([str(venv.python), '-c', probe],
                              capture_output=True, text=True, timeout=60)
    except OSError:
        return False
    return done.stdout.split() == [str(n) for n in sys.version_info[:2]]


def _run(command: list[str], venv: Venv, root: Path) -> None:
    """Run pip; its words go to a log, and to the user only if it fails."""
    done = subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors='replace')
    lines = [line for line in done.stdout.splitlines()
             if not _NOISE.match(line)]
    with open(venv.log, 'a') as log:
        log.write('\n'.join(['$ ' + ' '.join(command), *lines, '']))
    if done.returncode:
        tail = '\n'.join(lines[-30:])
        raise BootstrapError(
            f'pip could not install what {venv.path.name} needs:\n{tail}\n'
            f'(the whole log: {venv.log}). Is PyPI, or the index that '
            'pip is configured for, reachable?')
