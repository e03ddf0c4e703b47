# SPDX-License-Identifier: Apache-2.0
"""The client of the control socket, for tests and tools.

One JSON object per line: `{"op": NAME, ...}` is answered by
`{"ok": true, "result": ...}` or `{"ok": false, "error": TEXT}`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
import json
from pathlib import Path
import socket
import threading
from typing import Any


class ControlError(Exception):
    """The simulated array refused a request of the control socket."""


class ControlClient:
    """Talks to one simulated array. Threads may share it."""

    def __init__(self, path: str | Path, timeout: float = 30.0) -> None:
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._socket.connect(str(path))
        self._file = self._socket.makefile('rwb')

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()

    def call(self, op: str, **values: Any) -> Any:
        """Any request by its name (README.md lists them)."""
        line = json.dumps({'op': op, **values}).encode() + b'\n'
        with self._lock:
            self._file.write(line)
            self._file.flush()
            answer = self._file.readline()
        if not answer:
            raise ControlError('the simulated array has gone')
        decoded = json.loads(answer)
        if not decoded['ok']:
            raise ControlError(decoded['error'])
        return decoded['result']

    # -- looking ---------------------------------------------------------

    def info(self) -> dict[str, Any]:
        """Port, host key, sessions, time, timing."""
        result: dict[str, Any] = self.call('info')
        return result

    def state(self) -> dict[str, Any]:
        """The entire state."""
        result: dict[str, Any] = self.call('state')
        return result

    def ld(self, name: str | int) -> dict[str, Any] | None:
        """One LD by name (with or without OS type) or number."""
        result: dict[str, Any] | None = self.call('ld', ld=name)
        return result

    def ldset(self, name: str) -> dict[str, Any] | None:
        """One LD Set by its name with OS type."""
        result: dict[str, Any] | None = self.call('ldset', ldset=name)
        return result

    def journal(self, since: int = 0,
                kinds: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """The commands after a number, unfinished ones included."""
        entries: list[dict[str, Any]] = self.call('journal', since=since)
        if kinds is not None:
            wanted = set(kinds)
            entries = [entry for entry in entries
                       if entry['kind'] in wanted]
        return entries

    def mark(self) -> int:
        """The number of the last command so far, for journal(since)."""
        result: int = self.call('mark')
        return result

    # -- faults ----------------------------------------------------------

    def add_fault(self, action: str, **values: Any) -> int:
        """Set a fault (fields: README.md); returns its id."""
        result: int = self.call('fault_add',
                                fault={'action': action, **values})
        return result

    def clear_faults(self, ident: int | None = None) -> int:
        """Take one or all away, and let commands that hang go."""
        result: int = self.call('fault_clear', id=ident)
        return result

    def faults(self) -> list[dict[str, Any]]:
        """The faults that are set, with `seen` and `hits`."""
        result: list[dict[str, Any]] = self.call('fault_list')
        return result

    def refuse_ssh(self, seconds: float) -> None:
        """Close new connections at once for so long (0 ends it)."""
        self.call('ssh_refuse', seconds=seconds)

    def drop_connections(self) -> int:
        """End every SSH connection."""
        result: int = self.call('ssh_drop')
        return result

    def limit_ssh(self, sessions: int = 0, channels: int = 0) -> None:
        """Limit connections, and channels per connection (0: no limit)."""
        self.call('ssh_limit', sessions=sessions, channels=channels)

    # -- time ------------------------------------------------------------

    def set_timing(self, **values: float | str) -> dict[str, Any]:
        """Set dump, dump_per_ld, change, query, sc_create, sc_delete,
        copy_rate; returns all."""
        result: dict[str, Any] = self.call('timing', set=values)
        return result

    def advance(self, seconds: float) -> float:
        """Move a manual clock on; returns the time."""
        result: float = self.call('advance', seconds=seconds)
        return result

    # -- bytes -----------------------------------------------------------

    def path(self, name: str | int) -> Path:
        """The backing file of an LD."""
        return Path(self.call('ld_path', ld=name))

    def read(self, name: str | int, length: int,
             offset: int = 0) -> bytes:
        """Bytes of an LD."""
        return base64.b64decode(self.call(
            'ld_read', ld=name, length=length, offset=offset))

    def write(self, name: str | int, data: bytes, offset: int = 0) -> None:
        """Write bytes to an LD, as a host does."""
        self.call('ld_write', ld=name, offset=offset,
                  data=base64.b64encode(data).decode())

    def execute(self, command: str) -> dict[str, Any]:
        """Run a command as an operator: no SSH, no journal, no fault."""
        result: dict[str, Any] = self.call('execute', command=command)
        return result
