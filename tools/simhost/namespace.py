# SPDX-License-Identifier: Apache-2.0
"""The mounts of a simulated host, which nobody else sees."""

from __future__ import annotations

from collections.abc import Mapping
import os
from pathlib import Path
import stat
import sys

from simhost import kernel

_OVERLAID = ('/sys', '/dev', '/etc')
STAND_INS = ('blockdev', 'iscsiadm', 'tee', 'lsscsi', 'lsblk', 'multipath',
             'multipathd')

_SCRIPT = """\
#!{python} -IS
import json, os, socket, sys
name = os.path.basename(sys.argv[0])
words = sys.argv[1:]
if name == 'tee' and not any(w.startswith('/sys/') for w in words):
    os.execv('/usr/bin/tee', ['tee', *words])
stdin = sys.stdin.read() if name == 'tee' else ''
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({socket!r})
    request = json.dumps([name, words, stdin]).encode()
    connection.sendall(request + b'\\n')
    answer = json.loads(connection.makefile().readline())
if name == 'blockdev':
    os.execv('/usr/sbin/blockdev', ['blockdev', *words])
sys.stdout.write(answer[1])
sys.stderr.write(answer[2])
sys.exit(answer[0])
"""


def build(state: Path, socket: Path, initiator: str) -> None:
    """Mounts, stand-ins and configuration files, in this process."""
    kernel.unshare_mounts()
    udev = '/usr/lib/udev' if os.path.isdir('/usr/lib/udev') else '/usr/lib'
    for place in (*_OVERLAID, udev):
        upper = state / 'upper' / place.strip('/').replace('/', '-')
        work = state / 'work' / place.strip('/').replace('/', '-')
        upper.mkdir(parents=True)
        work.mkdir(parents=True)
        kernel.mount('overlay', 'simhost', place,
                     f'lowerdir={place},upperdir={upper},workdir={work}')
    script = _SCRIPT.format(python=sys.executable, socket=str(socket))
    programs = state / 'bin'
    programs.mkdir()
    for name in STAND_INS:
        _program(programs / name, script)
    os.makedirs('/usr/lib/udev', exist_ok=True)
    _program(Path('/usr/lib/udev/scsi_id'), script)
    os.makedirs('/etc/iscsi', exist_ok=True)
    Path('/etc/iscsi/initiatorname.iscsi').write_text(
        f'InitiatorName={initiator}\n')
    for place in ('/dev/disk/by-path', '/dev/disk/by-id', '/dev/mapper'):
        os.makedirs(place, exist_ok=True)


def _program(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def environment(state: Path, base: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process on the host: stand-ins come first."""
    path = base.get('PATH', os.defpath)
    return {**base, 'PATH': f'{state / "bin"}:/usr/sbin:/sbin:{path}'}


def enter(state: Path, command: list[str]) -> None:
    """Become a command that runs on the host."""
    here = os.getcwd()
    kernel.enter_mounts_of(int((state / 'pid').read_text()))
    os.chdir(here)
    os.execvpe(command[0], command, environment(state, os.environ))
