# SPDX-License-Identifier: Apache-2.0
"""Faults of commands: which ones they hit, and what they do.

Faults of the array's state (an abnormal pair, a lost snapshot, a full
pool) are operator actions, see operate.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import Enum
import re
import threading
from typing import Any

from ismsim.grammar import Kind


class Action(str, Enum):
    """What happens to a command that is hit."""

    BUSY = 'busy'
    REFUSE = 'refuse'
    DROP_BEFORE = 'drop_before'
    DROP_AFTER = 'drop_after'
    HANG_BEFORE = 'hang_before'
    HANG_AFTER = 'hang_after'
    TRUNCATE = 'truncate'
    GARBLE = 'garble'
    DELAY = 'delay'


@dataclass
class Fault:
    """A fault and where it is.

    It counts the commands that match `prefix`, `regex` and `kind` (what
    is not given matches all), lets `nth - 1` of them pass, and then hits
    `times` of them (None: all, until it is cleared).
    """

    action: Action
    prefix: str = ''
    regex: str = ''
    kind: str = ''
    nth: int = 1
    times: int | None = 1
    message_id: str = ''
    text: str = ''
    stream: str = 'stderr'
    status: int = 1
    seconds: float = 0.0
    keep: float = 0.5
    id: int = 0
    seen: int = 0
    hits: int = 0
    # Set when the fault is taken away: lets go what hangs because of it.
    released: threading.Event = field(default_factory=threading.Event)

    def matches(self, command: str, kind: Kind) -> bool:
        """Whether the fault counts a command."""
        return (command.startswith(self.prefix)
                and (not self.regex
                     or re.search(self.regex, command) is not None)
                and (not self.kind or self.kind == kind.value))

    @property
    def spent(self) -> bool:
        """Whether it will hit nothing more."""
        return self.times is not None and self.hits >= self.times

    def as_dict(self) -> dict[str, Any]:
        """The fault as JSON has it."""
        values = {**vars(self), 'action': self.action.value}
        del values['released']
        return values


def fault_from(values: dict[str, Any]) -> Fault:
    """Make a fault of JSON values; raises ValueError with a clear text."""
    known = {one.name for one in fields(Fault)}
    known -= {'id', 'seen', 'hits', 'released'}
    unknown = sorted(set(values) - known)
    if unknown or 'action' not in values:
        raise ValueError(f'fault: unknown or missing field: '
                         f'{", ".join(unknown) or "action"}; '
                         f'known: {", ".join(sorted(known))}')
    if values.get('regex'):
        re.compile(values['regex'])
    return Fault(**{**values, 'action': Action(values['action'])})


class Faults:
    """The faults that are set."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._next = 1

    def add(self, fault: Fault) -> int:
        """Set a fault; returns its id."""
        with self._lock:
            fault.id = self._next
            self._next += 1
            self._faults.append(fault)
            return fault.id

    def clear(self, ident: int | None = None) -> int:
        """Take one fault or all away; returns how many it were."""
        with self._lock:
            gone = [fault for fault in self._faults
                    if ident is None or fault.id == ident]
            for fault in gone:
                self._faults.remove(fault)
                fault.released.set()
            return len(gone)

    def list(self) -> list[dict[str, Any]]:
        """All faults that are set, spent ones included."""
        with self._lock:
            return [fault.as_dict() for fault in self._faults]

    def take(self, command: str, kind: Kind) -> Fault | None:
        """The fault that hits a command, if one does."""
        chosen = None
        with self._lock:
            for fault in self._faults:
                if fault.spent or not fault.matches(command, kind):
                    continue
                fault.seen += 1
                if fault.seen >= fault.nth and chosen is None:
                    fault.hits += 1
                    chosen = fault
        return chosen


def truncate(data: bytes, keep: float) -> bytes:
    """The first part of an answer."""
    return data[:int(len(data) * keep)]


def garble(data: bytes) -> bytes:
    """An answer with wrong bytes in it, the same ones every time."""
    result = bytearray(data or b'\xff\xfe')
    step = max(1, len(result) // 40)
    for position in range(step // 2, len(result), step):
        result[position] ^= 0xa5
    return bytes(result)
