# SPDX-License-Identifier: Apache-2.0
"""Start a simulated host, run programs on it, stop it."""

from __future__ import annotations

from collections.abc import Sequence
import json
import os
from pathlib import Path
import shutil
import socket
import subprocess
import sys
import tempfile
from typing import Any

from simhost.disk import DiskError

PROGRAM = Path(__file__).resolve().parent
STOP_SECONDS = 30.0


class SimHost:
    """Context manager: a host with an initiator name and HBAs.

    *fabric* says which FC arrays its HBAs see: for each a `portal` that
    carries the array's data path and the `wwpns` of its ports.
    """

    def __init__(self, state: Path, name: str = 'simhost', *,
                 multipath: bool = True, wwpns: Sequence[str] = (),
                 fabric: Sequence[dict[str, Any]] = ()) -> None:
        self.state = state
        self.name = name
        self.initiator = f'iqn.1994-05.com.redhat:{name}'
        self.wwpns = list(wwpns)
        self._settings: dict[str, Any] = {
            'initiator': self.initiator, 'multipath': multipath,
            'wwpns': self.wwpns, 'fabric': list(fabric)}
        self._short: Path | None = None
        self._agent: subprocess.Popen[bytes] | None = None
        self._brick: subprocess.Popen[str] | None = None

    def __enter__(self) -> SimHost:
        self.start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The agent's process id."""
        return None if self._agent is None else self._agent.pid

    def start(self) -> None:
        """Start it, and wait until programs can run on it."""
        self.state.mkdir(parents=True)
        # Sockets have short names.
        self._short = Path(tempfile.mkdtemp(prefix='simhost-'))
        self._settings.update(socket=str(self._short / 'agent'),
                              scratch=str(self._short / 'disks'))
        (self.state / 'settings.json').write_text(
            json.dumps(self._settings))
        log = self.state / 'agent.log'
        with log.open('ab') as stream:
            self._agent = subprocess.Popen(
                [sys.executable, str(PROGRAM), 'agent', str(self.state),
                 str(os.getpid())], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=stream,
                start_new_session=True)
        assert self._agent.stdout is not None
        if self._agent.stdout.readline() != b'ready\n':
            text = log.read_text(errors='replace')
            self.stop()
            raise RuntimeError(f'the simulated host did not start: {text}')

    def stop(self) -> None:
        """Take its disks away and end it."""
        brick, self._brick = self._brick, None
        if brick is not None:
            assert brick.stdin is not None and brick.stdout is not None
            brick.stdin.close()
            brick.wait(STOP_SECONDS)
            brick.stdout.close()
        agent, self._agent = self._agent, None
        if agent is not None:
            agent.terminate()
            try:
                agent.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                agent.kill()
                agent.wait()
            assert agent.stdout is not None
            agent.stdout.close()
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)

    def kill(self) -> None:
        """End it as a power failure would."""
        if self._agent is not None:
            self._agent.kill()
            self._agent.wait()

    # -- use -------------------------------------------------------------

    def wrapped(self, command: Sequence[str]) -> list[str]:
        """A command line that runs a command on the host."""
        return [sys.executable, str(PROGRAM), 'enter', str(self.state),
                *command]

    def run(self, *command: str) -> str:
        """Run a program on the host; its output."""
        done = subprocess.run(self.wrapped(command), text=True,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120)
        if done.returncode:
            raise OSError(f'{" ".join(command)}: {done.stdout}')
        return done.stdout

    def describe(self) -> dict[str, Any]:
        """Its sessions, disks and multipath maps."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self._settings['socket'])
            connection.sendall(b'["describe", [], ""]\n')
            answer = json.loads(connection.makefile().readline())
        result: dict[str, Any] = json.loads(answer[1])
        return result

    def commands(self) -> list[list[Any]]:
        """What the stand-ins were asked and answered."""
        path = self.state / 'commands.jsonl'
        return [json.loads(line) for line in path.read_text().splitlines()
                ] if path.exists() else []

    # -- os-brick --------------------------------------------------------

    def brick(self, operation: str, **arguments: Any) -> Any:
        """Have the unmodified os-brick do something on the host."""
        if self._brick is None:
            with (self.state / 'brick.log').open('ab') as log:
                self._brick = subprocess.Popen(
                    self.wrapped([sys.executable,
                                  str(PROGRAM / 'brick.py'),
                                  str(self.state)]),
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=log, text=True)
        assert self._brick.stdin is not None
        assert self._brick.stdout is not None
        self._brick.stdin.write(json.dumps([operation, arguments]) + '\n')
        self._brick.stdin.flush()
        line = self._brick.stdout.readline()
        if not line:
            raise DiskError((self.state / 'brick.log').read_text()[-2000:])
        answer = json.loads(line)
        if 'error' in answer:
            raise DiskError(answer['error'])
        return answer['result']
