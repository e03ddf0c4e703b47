# SPDX-License-Identifier: Apache-2.0
"""The control socket (requests: README.md, "Control")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
import json
import logging
import os
from pathlib import Path
import socketserver
import threading
from typing import Any

from ismsim import loader
from ismsim.array import Timing
from ismsim.clock import ManualClock
from ismsim.copying import settle
from ismsim.datapath.export import Exporter
from ismsim.engine import Engine
from ismsim.faults import fault_from
from ismsim.journal import Journal
from ismsim.operate import OPERATIONS
from ismsim.server import SshServer

LOG = logging.getLogger(__name__)
Values = dict[str, Any]


class _Handler(socketserver.StreamRequestHandler):
    """One client of the control socket."""

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, ControlServer)
        for line in self.rfile:
            self.wfile.write(server.answer(line))


class ControlServer(socketserver.ThreadingUnixStreamServer):
    """Listens on a Unix socket and serves one engine."""

    daemon_threads = True

    def __init__(self, path: Path, engine: Engine,
                 ssh: SshServer | None = None,
                 data_path: Exporter | None = None) -> None:
        path.unlink(missing_ok=True)
        previous = os.umask(0o177)
        try:
            super().__init__(str(path), _Handler)
        finally:
            os.umask(previous)
        self._path = path
        self._engine = engine
        self._ssh = ssh
        self._data_path = data_path
        self._own: dict[str, Callable[[Values], Any]] = {
            'info': self._info, 'journal': self._journal,
            'mark': self._mark, 'fault_add': self._fault_add,
            'fault_clear': self._fault_clear,
            'fault_list': self._fault_list, 'timing': self._timing,
            'advance': self._advance, 'execute': self._execute,
            'ssh_refuse': self._ssh_refuse, 'ssh_drop': self._ssh_drop,
            'ssh_limit': self._ssh_limit}

    def start(self) -> None:
        """Begin to take requests."""
        threading.Thread(target=self.serve_forever, daemon=True,
                         kwargs={'poll_interval': 0.1},
                         name='control').start()

    def stop(self) -> None:
        """Stop, and remove the socket."""
        self.shutdown()
        self.server_close()
        self._path.unlink(missing_ok=True)

    def answer(self, line: bytes) -> bytes:
        """The answer to one request."""
        try:
            values = json.loads(line)
            result = self._dispatch(values.pop('op'), values)
            answer: Values = {'ok': True, 'result': result}
        except Exception as error:
            LOG.info('control: %r', error)
            answer = {'ok': False,
                      'error': f'{type(error).__name__}: {error}'}
        return json.dumps(answer).encode() + b'\n'

    def _dispatch(self, name: str, values: Values) -> Any:
        if name in self._own:
            return self._own[name](values)
        if name not in OPERATIONS:
            known = sorted([*self._own, *OPERATIONS])
            raise ValueError(f'no request {name}; known: '
                             f'{", ".join(known)}')
        array = self._engine.array
        with array.lock:
            settle(array)
            result = OPERATIONS[name](array, values)
            self._engine.save()
        return result

    # -- requests that are not about the array's state -------------------

    def _need_ssh(self) -> SshServer:
        if self._ssh is None:
            raise ValueError('there is no SSH server')
        return self._ssh

    def _info(self, values: Values) -> Values:
        array = self._engine.array
        ssh = self._ssh
        return {'now': array.clock.now(),
                'manual_clock': isinstance(array.clock, ManualClock),
                'timing': _finite(asdict(array.timing)),
                'lds': len(array.store.lds),
                'port': ssh.port if ssh else None,
                'host_key': [ssh.host_key.get_name(),
                             ssh.host_key.get_base64()] if ssh else None,
                'sessions': ssh.session_count if ssh else 0,
                'data_path': (self._data_path.describe()
                              if self._data_path else None),
                'pid': os.getpid()}

    def _journal(self, values: Values) -> list[Values]:
        return [entry.as_dict() for entry in self._engine.journal.since(
            int(values.get('since', 0)))]

    def _mark(self, values: Values) -> int:
        return len(self._engine.journal.since())

    def _fault_add(self, values: Values) -> int:
        return self._engine.faults.add(fault_from(values['fault']))

    def _fault_clear(self, values: Values) -> int:
        return self._engine.faults.clear(values.get('id'))

    def _fault_list(self, values: Values) -> list[Values]:
        return self._engine.faults.list()

    def _timing(self, values: Values) -> Values:
        set_timing(self._engine.array.timing, values.get('set') or {})
        return _finite(asdict(self._engine.array.timing))

    def _advance(self, values: Values) -> float:
        clock = self._engine.array.clock
        if not isinstance(clock, ManualClock):
            raise ValueError('the clock is not manual (--manual-clock)')
        return clock.advance(float(values['seconds']))

    def _execute(self, values: Values) -> Values:
        engine = Engine(self._engine.array, Journal(),
                        saver=self._engine.saver)
        outcome = engine.execute(values['command'])
        reply = outcome.reply
        return {'stdout': reply.stdout.decode(),
                'stderr': reply.stderr.decode(), 'status': reply.status,
                'message_id': reply.message_id}

    def _ssh_refuse(self, values: Values) -> None:
        self._need_ssh().gate.closed_until = (
            self._engine.array.clock.now() + float(values['seconds']))

    def _ssh_drop(self, values: Values) -> int:
        return self._need_ssh().drop_all()

    def _ssh_limit(self, values: Values) -> None:
        gate = self._need_ssh().gate
        gate.sessions = int(values.get('sessions', 0))
        gate.channels = int(values.get('channels', 0))


def _finite(values: Values) -> Values:
    """JSON knows no infinity."""
    return {name: None if value == float('inf') else value
            for name, value in values.items()}


def set_timing(timing: Timing, values: Values) -> None:
    """Change latencies and the copy rate; raises ValueError."""
    known = {field.name for field in fields(Timing)}
    for name, value in values.items():
        if name not in known:
            raise ValueError(f'latency {name} is not one of '
                             f'{", ".join(sorted(known))}')
        if name == 'copy_rate':
            number = parse_rate(value)
        else:
            number = float(value)
            if number < 0:
                raise ValueError(f'latency {name} is negative')
        setattr(timing, name, number)


def parse_rate(value: Any) -> float:
    """Bytes per second of `1GiB`, a number, or `inf`."""
    if value is None or value in ('inf', float('inf')):
        return float('inf')
    rate = float(loader.parse_size(value))
    if rate <= 0:
        raise ValueError('the copy rate must be positive')
    return rate
