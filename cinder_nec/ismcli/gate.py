# SPDX-License-Identifier: Apache-2.0
"""The in-process queue for configuration changes.

An array runs one change at a time and answers a second one with a busy
message (DESIGN.md section 5).  All back ends of one process that share an
array share one gate, so that the process never makes itself busy answers.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import enum
import heapq
import itertools
import threading

from cinder_nec import retry
from cinder_nec.ismcli.meter import Level, QueueFigures

# After so long without a gap the array is left alone for a moment that is
# longer than a service with a busy answer waits before it asks again:
# whoever else shares the array gets its turn.
WITHOUT_GAP_SECONDS = 4.0
PAUSE_SECONDS = 0.2


class Priority(enum.IntEnum):
    """Who goes first: a guest waits for an attach, nobody for a copy."""

    ATTACH = 0
    PROVISION = 1


@dataclasses.dataclass(order=True)
class Ticket:
    """A place in the queue; kept over the tries of one command.

    :param first_busy_at: when the array was first found busy
    """

    priority: Priority
    number: int
    turn: threading.Event = dataclasses.field(
        default_factory=threading.Event, compare=False)
    first_busy_at: float | None = dataclasses.field(
        default=None, compare=False)


class ChangeGate:
    """Lets one change through at a time, in order of arrival.

    Attach and detach go before provisioning, but after
    ``overtakes`` of them in a row one waiting provisioning change goes.

    :param clock: by which the array is left alone for a moment
    """

    def __init__(self, overtakes: int = 8,
                 clock: retry.Clock | None = None) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Ticket] = []
        self._busy = False
        self._numbers = itertools.count()
        self._overtakes = overtakes
        self._overtaken = 0
        self._clock = clock or retry.SystemClock()
        self._since: float | None = None
        self._level = Level(self._clock.now())
        self._turns = 0
        self._waited_seconds = 0.0

    def ticket(self, priority: Priority) -> Ticket:
        """Return a new place at the end of the queue of ``priority``."""
        with self._lock:
            return Ticket(priority, next(self._numbers))

    @contextlib.contextmanager
    def turn(self, ticket: Ticket) -> Iterator[None]:
        """Wait for the turn of ``ticket`` and hold the gate."""
        asked_at = self._clock.now()
        self._enter(ticket)
        try:
            self._count_turn(asked_at)
            yield
        finally:
            try:
                self._leave_to_others()
            finally:
                self._leave()

    def is_overtaken(self, ticket: Ticket) -> bool:
        """Tell whether somebody waits who goes before ``ticket``."""
        with self._lock:
            return any(t.priority < ticket.priority for t in self._waiting)

    def _leave_to_others(self) -> None:
        """Let other services have the array, if we would go on and on."""
        now = self._clock.now()
        with self._lock:
            if not self._waiting:
                self._since = None
                return
            if self._since is None:
                self._since = now
            if now - self._since < WITHOUT_GAP_SECONDS:
                return
            self._since = None
        self._clock.sleep(PAUSE_SECONDS)

    @property
    def queue_length(self) -> int:
        """How many changes wait."""
        with self._lock:
            return len(self._waiting)

    def figures(self) -> QueueFigures:
        """Return how long the queue is and was."""
        with self._lock:
            now = self._clock.now()
            return QueueFigures(
                self._level.value, self._level.mean(now),
                self._level.longest(now), self._turns, self._waited_seconds)

    def _count_turn(self, asked_at: float) -> None:
        with self._lock:
            self._turns += 1
            self._waited_seconds += self._clock.now() - asked_at

    def _count_level(self) -> None:
        """Take note of who waits or is at work; the lock is held."""
        self._level.set(self._clock.now(),
                        self._busy + len(self._waiting))

    def _enter(self, ticket: Ticket) -> None:
        with self._lock:
            if not self._busy:
                self._busy = True
                self._count_level()
                return
            ticket.turn.clear()
            heapq.heappush(self._waiting, ticket)
            self._count_level()
        try:
            ticket.turn.wait()
        except BaseException:  # a killed green thread must not hold the gate
            with self._lock:
                given = ticket not in self._waiting
                if not given:
                    self._waiting.remove(ticket)
                    heapq.heapify(self._waiting)
                    self._count_level()
            if given:
                self._leave()
            raise

    def _leave(self) -> None:
        with self._lock:
            if not self._waiting:
                self._busy = False
                self._overtaken = 0
                self._count_level()
                return
            following = self._next()
            self._count_level()
        following.turn.set()

    def _next(self) -> Ticket:
        slow = [t for t in self._waiting if t.priority is Priority.PROVISION]
        first = self._waiting[0]
        if first.priority is Priority.PROVISION or not slow:
            self._overtaken = 0
            return heapq.heappop(self._waiting)
        if self._overtaken >= self._overtakes:
            self._overtaken = 0
            oldest = min(slow)
            self._waiting.remove(oldest)
            heapq.heapify(self._waiting)
            return oldest
        self._overtaken += 1
        return heapq.heappop(self._waiting)
