# SPDX-License-Identifier: Apache-2.0
"""Time as a dependency, so that a test never waits for it."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class SwitchedOff(Exception):
    """The array was switched off while a command was on its way."""


class Clock(Protocol):
    """What the array needs to know about time."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def sleep(self, seconds: float) -> None:
        """Return once that much time has passed; raises SwitchedOff."""

    def close(self) -> None:
        """Wake every sleeper: the array is being switched off."""


class SystemClock:
    """The real clock.

    Wall time, not monotonic time: the end of a running copy has to mean
    the same after the process was restarted from its saved state.
    """

    def __init__(self) -> None:
        self._closed = threading.Event()

    def now(self) -> float:
        """See Clock."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """See Clock."""
        if seconds > 0:
            self._closed.wait(seconds)
        if self._closed.is_set():
            raise SwitchedOff

    def close(self) -> None:
        """See Clock."""
        self._closed.set()


class ManualClock:
    """A clock that stands still until it is advanced."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._closed = False
        self._sleepers = 0
        self._changed = threading.Condition()

    def now(self) -> float:
        """See Clock."""
        with self._changed:
            return self._now

    def sleep(self, seconds: float) -> None:
        """See Clock: blocks until advance() has gone far enough."""
        if seconds <= 0:
            return
        with self._changed:
            until = self._now + seconds
            self._sleepers += 1
            self._changed.notify_all()
            while self._now < until and not self._closed:
                self._changed.wait()
            self._sleepers -= 1
            self._changed.notify_all()
            if self._closed:
                raise SwitchedOff

    def advance(self, seconds: float) -> float:
        """Move time on, wake whoever is due, return the new time."""
        if seconds < 0:
            raise ValueError('time does not run backwards')
        with self._changed:
            self._now += seconds
            self._changed.notify_all()
            return self._now

    def wait_for_sleepers(self, count: int, timeout: float = 10.0) -> bool:
        """Wait in real time until at least that many callers sleep."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._sleepers >= count, timeout)

    def close(self) -> None:
        """See Clock."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
