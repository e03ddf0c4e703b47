# SPDX-License-Identifier: Apache-2.0
"""A tgtd of one's own (Debian package tgt), and what it is told.

TGT_IPC_SOCKET gives each daemon a management socket of its own, so that
several run side by side. tgtd ignores SIGTERM while it has targets; it
keeps nothing but open files, so it is ended by SIGKILL, and the kernel
does that as well when this process ends in any other way.
"""

from __future__ import annotations

from collections.abc import Sequence
import ctypes
import os
from pathlib import Path
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

START_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1


class TgtError(Exception):
    """tgt is not there, or refused something."""


def missing() -> str:
    """What keeps this machine from a data path; empty if nothing does."""
    for program in ('tgtd', 'tgtadm'):
        if find_program(program) is None:
            return f'{program} (Debian package tgt) is not installed'
    return ''


def find_program(name: str) -> str | None:
    """A program, also where only root has a look."""
    path = os.environ.get('PATH', os.defpath)
    return shutil.which(name, path=f'{path}:/usr/sbin:/sbin')


def spelled(address: str, port: int) -> str:
    """A portal as tgt takes it."""
    return f'[{address}]:{port}' if ':' in address else f'{address}:{port}'


def can_listen(address: str, port: int) -> bool:
    """Whether an address is this machine's and the port is free on it."""
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def free_port(addresses: Sequence[str], tries: int = 50) -> int:
    """A port that is free on every address."""
    for _ in range(tries):
        with socket.socket() as probe:
            probe.bind((addresses[0], 0))
            port = int(probe.getsockname()[1])
        if all(can_listen(address, port) for address in addresses):
            return port
    raise TgtError('found no port that is free on all portals')


class Tgtd:
    """The daemon; every method is one tgtadm call."""

    def __init__(self, directory: Path | None = None) -> None:
        reason = missing()
        if reason:
            raise TgtError(reason)
        self._daemon = find_program('tgtd') or 'tgtd'
        self._adm = find_program('tgtadm') or 'tgtadm'
        # A socket's path has a short limit.
        self._directory = Path(tempfile.mkdtemp(prefix='tgt-',
                                                dir=directory))
        self._env = {**os.environ,
                     'TGT_IPC_SOCKET': str(self._directory / 's')}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return None if self._process is None else self._process.pid

    def start(self, portals: Sequence[str]) -> None:
        """Start it, and wait until it takes orders."""
        libc = ctypes.CDLL(None)

        def die_with_parent() -> None:
            libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)

        log = self._directory / 'log'
        with log.open('wb') as stream:
            self._process = subprocess.Popen(
                # The default is 16 threads for each LUN.
                [self._daemon, '-D', '-t', '2', '--iscsi',
                 ','.join(f'portal={portal}' for portal in portals)],
                env=self._env, stdin=subprocess.DEVNULL, stdout=stream,
                stderr=stream, preexec_fn=die_with_parent)
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            if self._run('sys', 'show').returncode == 0:
                return
            time.sleep(0.02)
        text = log.read_text(errors='replace')
        self.stop()
        raise TgtError(f'tgtd did not start: {text[-500:]}')

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        shutil.rmtree(self._directory, ignore_errors=True)

    def call(self, mode: str, op: str, *options: str) -> str:
        """Run tgtadm; raises TgtError with its words."""
        done = self._run(mode, op, *options)
        if done.returncode:
            raise TgtError(f'tgtadm {mode} {op} {" ".join(options)}: '
                           f'{done.stderr.strip()}')
        return done.stdout

    def _run(self, mode: str, op: str,
             *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._adm, '--lld', 'iscsi', '--mode', mode, '--op', op,
             *options], env=self._env, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False)

    def close_sessions(self, tid: int, initiator: str) -> None:
        """End the sessions of one initiator at a target."""
        shown = self.call('conn', 'show', '--tid', str(tid))
        session = ''
        connections = []
        for line in shown.splitlines():
            label, _separator, value = line.strip().partition(': ')
            if label == 'Session':
                session = value
            elif label == 'Connection':
                connections.append((session, value))
            elif label == 'Initiator' and value != initiator:
                connections.pop()
        for sid, cid in connections:
            self.call('conn', 'delete', '--tid', str(tid), '--sid', sid,
                      '--cid', cid)

    def sessions(self) -> list[tuple[str, str]]:
        """(target, initiator) of every session."""
        found = []
        target = ''
        for line in self.call('target', 'show').splitlines():
            head = re.fullmatch(r'Target \d+: (\S+)', line)
            if head:
                target = head[1]
            match = re.fullmatch(r'\s+Initiator: (\S+) alias: .*', line)
            if match:
                found.append((target, match[1]))
        return found
