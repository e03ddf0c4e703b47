# SPDX-License-Identifier: Apache-2.0
"""tools/sim as a process of a test or a tool."""

from __future__ import annotations

import os
from pathlib import Path
import selectors
import shutil
import signal
import subprocess
import tempfile
import time

from ismsim.control import ControlClient

SIM = Path(__file__).resolve().parents[1] / 'sim'


class SimProcess:
    """Starts tools/sim, and stops it again.

    A context manager. `extra` are further command line options,
    `launcher` comes before the command. With
    `directory` everything (state, journal, control socket, log) is kept
    there and a second SimProcess can go on from it; without it all is
    temporary.
    """

    def __init__(self, *, config: str | Path = 'default',
                 user: str = 'sysadmin', password: str | None = 'sys123',
                 port: int = 0, model: str | None = None,
                 latency: str = '', copy_rate: str = '',
                 directory: str | Path | None = None,
                 authorized_keys: str | Path | None = None,
                 extra: tuple[str, ...] = (),
                 launcher: tuple[str, ...] = (),
                 timeout: float = 30.0) -> None:
        self.user = user
        self.password = password
        self.host = '127.0.0.1'
        self.port = port
        self._timeout = timeout
        self._temporary = directory is None
        self.directory = Path(directory or tempfile.mkdtemp(prefix='sim-'))
        self.directory.mkdir(parents=True, exist_ok=True)
        # A socket's path has a short limit; pytest's directories do not.
        self._socket_dir = Path(tempfile.mkdtemp(prefix='simc-'))
        self.control_path = self._socket_dir / 'control'
        self.journal_path = self.directory / 'journal.jsonl'
        self.log_path = self.directory / 'sim.log'
        self._command = [
            *launcher, str(SIM), '--config', str(config), '--user', user,
            '--state', str(self.directory / 'state'),
            '--control', str(self.control_path),
            '--journal', str(self.journal_path)]
        for option, value in (
                ('--password', password), ('--model', model),
                ('--latency', latency), ('--copy-rate', copy_rate),
                ('--authorized-keys', authorized_keys)):
            if value:
                self._command += [option, str(value)]
        self._command += extra
        self._process: subprocess.Popen[bytes] | None = None
        self._control: ControlClient | None = None

    def __enter__(self) -> SimProcess:
        self.start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self.stop()

    @property
    def control(self) -> ControlClient:
        """The client of its control socket."""
        if self._control is None:
            self._control = ControlClient(self.control_path)
        return self._control

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return None if self._process is None else self._process.pid

    @property
    def known_hosts_line(self) -> str:
        """The line that a known_hosts file needs."""
        return (f'[{self.host}]:{self.port} '
                f'{self.host_key_type} {self.host_key_base64}')

    @property
    def host_key_type(self) -> str:
        """The type of the host key."""
        return str(self.control.info()['host_key'][0])

    @property
    def host_key_base64(self) -> str:
        """The public host key."""
        return str(self.control.info()['host_key'][1])

    def start(self) -> SimProcess:
        """Start it, and wait until it listens."""
        command = [*self._command, '--port', str(self.port)]
        for directory in (self.directory, self._socket_dir):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.log_path.open('ab') as log:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log,
                stdin=subprocess.DEVNULL)
        line = self._first_line()
        if not line.startswith('listening on '):
            reason = self.log_path.read_text()[-2000:]
            self.stop()
            raise RuntimeError(f'{command[0]} did not start: {reason}')
        self.port = int(line.rpartition(':')[2])
        return self

    def _first_line(self) -> str:
        assert self._process is not None and self._process.stdout
        stream = self._process.stdout
        until = time.monotonic() + self._timeout
        data = b''
        # Not select(), which takes no descriptor above 1023.
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while not data.endswith(b'\n'):
                left = until - time.monotonic()
                if left <= 0 or not selector.select(left):
                    break
                piece = os.read(stream.fileno(), 200)
                if not piece:
                    break
                data += piece
        return data.decode().strip()

    def stop(self) -> int | None:
        """End it by SIGTERM, and remove what was temporary."""
        status = self._end(signal.SIGTERM)
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self._socket_dir, ignore_errors=True)
        return status

    def kill(self) -> None:
        """End it at once; start() goes on from the saved state."""
        self._end(signal.SIGKILL)

    def restart(self) -> SimProcess:
        """End it by SIGTERM and start it again on the same port."""
        self._end(signal.SIGTERM)
        return self.start()

    def _end(self, number: signal.Signals) -> int | None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is None:
            return None
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(number)
        try:
            status = process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        if process.stdout is not None:
            process.stdout.close()
        return status
