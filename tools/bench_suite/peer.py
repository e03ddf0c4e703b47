# SPDX-License-Identifier: Apache-2.0
"""The parent's side of a driver in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
import signal
import socket
import subprocess
import sys
from types import TracebackType
from typing import Any

from allinone import patches

_END_SECONDS = 5.0
_START_SECONDS = 120.0


class PeerError(Exception):
    """The driver could not be started, or its process ended."""


class Peer:
    """Starts ``bench_suite.worker`` and talks to it; a context manager.

    :param conf: the ``cinder.conf`` for it
    :param driver: dotted path of the driver class
    """

    def __init__(self, conf: Path, driver: str, native: bool) -> None:
        self._conf = conf
        self._driver = driver
        self._log = conf.with_suffix('.log')
        ours, theirs = socket.socketpair()
        env = {**os.environ, 'PYTHONWARNINGS': 'ignore',
               patches.NATIVE_THREADS: '1' if native else '0'}
        with theirs, self._log.open('ab') as log:
            self._process = subprocess.Popen(
                [sys.executable, '-m', 'bench_suite.worker',
                 str(theirs.fileno())],
                pass_fds=[theirs.fileno()], env=env, stdout=log,
                stderr=log, stdin=subprocess.DEVNULL)
        self._socket = ours
        self._stream = ours.makefile('rwb')

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 trace: TracebackType | None) -> None:
        # A request that was not read to its end must not raise here.
        with contextlib.suppress(OSError):
            self._stream.close()
        self._socket.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    @property
    def pid(self) -> int:
        """The driver's process."""
        return self._process.pid

    def fileno(self) -> int:
        """For select: readable when an answer has come."""
        return self._socket.fileno()

    def start(self, *, check: bool = True) -> None:
        """Make the driver ready; with ``check`` it has read the array."""
        self._socket.settimeout(_START_SECONDS)
        self.ask('start', conf=str(self._conf), driver=self._driver,
                 check=check)
        self._socket.settimeout(None)

    def ask(self, request: str, **fields: Any) -> Any:
        """Send a request and wait for its answer."""
        self.send(request, **fields)
        return self.answer()

    def send(self, request: str, **fields: Any) -> None:
        """Send a request; :meth:`answer` waits for what it comes to."""
        line = json.dumps({'do': request, **fields}).encode() + b'\n'
        self._stream.write(line)
        self._stream.flush()

    def answer(self) -> Any:
        """:raises PeerError: it failed, or the process has ended"""
        try:
            line = self._stream.readline()
        except TimeoutError:
            raise PeerError(f'no answer: {self._words()}') from None
        if not line:
            raise PeerError(f'the process ended: {self._words()}')
        answer = json.loads(line)
        if 'error' in answer:
            raise PeerError(answer['error'])
        return answer['result']

    def _words(self) -> str:
        lines = self._log.read_text(errors='replace').splitlines()
        return ' / '.join(lines[-5:])
