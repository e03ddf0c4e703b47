# SPDX-License-Identifier: Apache-2.0
"""What the users of a soak believe they have, and who works on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from dataclasses import dataclass, field
import random
import threading
import time

CONTENT_BYTES = 16

@dataclass(eq=False)
class Snapshot:
    """A snapshot, and what its volume held when it was taken.

    :param stretched: an extend of its volume failed, and may have reached
        what the array keeps of the snapshot
    :param second: when it was made; MariaDB keeps no fractions, and Cinder
        takes any of one second for the latest
    """

    id: str
    size: int
    content: bytes | None
    stretched: bool = False
    second: str = ''


@dataclass(eq=False)
class Volume:
    """A volume.

    :param content: its first bytes; None if nobody knows
    :param snapshots: the oldest first
    :param shared: several hosts may have it at once
    :param attachments: their ids, and the numbers of their hosts
    :param spoiled: why it is only good for being deleted, or ''
    """

    id: str
    backend: str
    size: int
    content: bytes | None = None
    limited: bool = False
    shared: bool = False
    snapshots: list[Snapshot] = field(default_factory=list)
    attachments: dict[str, int] = field(default_factory=dict)
    spoiled: str = ''
    gone: bool = False
    users: int = 0
    exclusive: bool = False
    promised: int = 0

    @property
    def points(self) -> int:
        """Snapshots that are there, or may be soon."""
        return len(self.snapshots) + self.promised


@dataclass(frozen=True)
class Window:
    """A time in which something was broken on purpose."""

    what: str
    began: float
    ended: float


class Windows:
    """The times in which something was broken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, tuple[str, float]] = {}
        self._closed: list[Window] = []
        self._next = 0

    @contextlib.contextmanager
    def open(self, what: str) -> Iterator[None]:
        """Something is broken during the block."""
        with self._lock:
            self._next += 1
            key = self._next
            self._open[key] = (what, time.monotonic())
        try:
            yield
        finally:
            with self._lock:
                what, began = self._open.pop(key)
                self._closed.append(Window(what, began, time.monotonic()))

    def during(self, began: float, ended: float) -> list[str]:
        """What was broken at some time between two moments."""
        with self._lock:
            open_now = [Window(what, since, float('inf'))
                        for what, since in self._open.values()]
            return [w.what for w in (*self._closed, *open_now)
                    if w.began <= ended and w.ended >= began]

    def all(self) -> list[Window]:
        with self._lock:
            return list(self._closed)


class Things:
    """The volumes, lent to workers: to one alone, or to several."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._volumes: list[Volume] = []

    def add(self, volume: Volume) -> Volume:
        with self._lock:
            self._volumes.append(volume)
        return volume

    def all(self) -> list[Volume]:
        """Those that are not known to be deleted."""
        with self._lock:
            return [v for v in self._volumes if not v.gone]

    def count(self) -> int:
        return len(self.all())

    @contextlib.contextmanager
    def lend(self, wanted: Callable[[Volume], bool], rng: random.Random,
             *, alone: bool, for_snapshot: bool = False
             ) -> Iterator[Volume | None]:
        """Lend a volume that fits, None if there is none.

        :param for_snapshot: it will have one snapshot more
        """
        chosen = None
        with self._lock:
            fitting = [v for v in self._volumes if not v.gone
                       and not v.exclusive and not (alone and v.users)
                       and wanted(v)]
            if fitting:
                chosen = rng.choice(fitting)
                chosen.users += 1
                chosen.exclusive = alone
                chosen.promised += for_snapshot
        try:
            yield chosen
        finally:
            if chosen is not None:
                with self._lock:
                    chosen.users -= 1
                    chosen.promised -= for_snapshot
                    if alone:
                        chosen.exclusive = False
