# SPDX-License-Identifier: Apache-2.0
"""What was asked of the array, in order; tests count with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
import json
from pathlib import Path
import threading
from typing import Any, TextIO

from ismsim.grammar import Kind


@dataclass(frozen=True)
class Entry:
    """One command; `end` and `status` are None while it runs."""

    seq: int
    start: float
    connection: int
    command: str
    kind: Kind
    end: float | None = None
    status: int | None = None
    message_id: str = ''
    fault: str = ''
    hostile: bool = False
    note: str = ''

    def as_dict(self) -> dict[str, Any]:
        """The entry as JSON has it."""
        return {**asdict(self), 'kind': self.kind.value}


class Journal:
    """The entries, in memory and as JSON lines."""

    def __init__(self, path: Path | None = None) -> None:
        self._entries: list[Entry] = []
        self._lock = threading.Lock()
        self._file: TextIO | None = None
        if path is not None:
            self._file = path.open('a', encoding='utf-8')

    def begin(self, start: float, connection: int, command: str,
              kind: Kind, hostile: bool = False, note: str = '') -> Entry:
        """Note that a command has arrived."""
        with self._lock:
            entry = Entry(len(self._entries) + 1, start, connection,
                          command, kind, hostile=hostile, note=note)
            self._entries.append(entry)
            return entry

    def end(self, entry: Entry, end: float, status: int | None,
            message_id: str, fault: str) -> None:
        """Note how it ended; status None: it got no answer."""
        done = replace(entry, end=end, status=status,
                       message_id=message_id, fault=fault)
        with self._lock:
            self._entries[entry.seq - 1] = done
            if self._file is not None:
                self._file.write(json.dumps(done.as_dict()) + '\n')
                self._file.flush()

    def since(self, seq: int = 0) -> list[Entry]:
        """The entries after a number, unfinished ones included."""
        with self._lock:
            return self._entries[max(0, seq):]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
