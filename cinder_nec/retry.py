# SPDX-License-Identifier: Apache-2.0
"""Time, deadlines and retries as bounded, testable values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses
import random
import time
from typing import Protocol

from cinder_nec import errors


class Clock(Protocol):
    """Where the time comes from; tests inject their own."""

    def now(self) -> float:
        """Return seconds on a clock that never goes back."""

    def sleep(self, seconds: float) -> None:
        """Let other threads run for so many seconds."""


class SystemClock:
    """The machine's clock, cooperative under eventlet when patched."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclasses.dataclass(frozen=True)
class Deadline:
    """A point in time after which waiting ends."""

    clock: Clock
    at: float

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> Deadline:
        return cls(clock, clock.now() + seconds)

    def remaining_seconds(self) -> float:
        """Return the seconds left, 0 when it has passed."""
        return max(0.0, self.at - self.clock.now())

    def passed(self) -> bool:
        return self.clock.now() >= self.at


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to try again.

    Delays start at ``first_seconds`` and grow by ``factor`` up to
    ``longest_seconds``; each is shortened by a random part of up to
    ``jitter`` (0 to 1) so that two services do not collide for ever.  No
    new try starts ``within_seconds`` after the first one.
    """

    first_seconds: float = 0.5
    factor: float = 1.6
    longest_seconds: float = 10.0
    within_seconds: float = 300.0
    jitter: float = 0.5

    def delays(self, clock: Clock,
               rng: Callable[[], float] = random.random) -> Iterator[float]:
        """Yield the seconds to sleep before each next try."""
        deadline = Deadline.after(clock, self.within_seconds)
        delay = self.first_seconds
        while not deadline.passed():
            wanted = delay * (1.0 - self.jitter * rng())
            yield min(wanted, deadline.remaining_seconds())
            delay = min(delay * self.factor, self.longest_seconds)


def poll(question: Callable[[], bool], *, clock: Clock, what: str,
         within_seconds: float, first_seconds: float = 0.5,
         factor: float = 1.4, longest_seconds: float = 30.0) -> None:
    """Ask ``question`` until it answers True, less and less often.

    :param what: what is waited for, for the message of the error
    :raises errors.DeadlineExceeded: after ``within_seconds``
    """
    deadline = Deadline.after(clock, within_seconds)
    delay = first_seconds
    while not question():
        if deadline.passed():
            raise errors.DeadlineExceeded(
                f'{what} did not finish within {within_seconds:.0f} s.',
                'Look at the state of the pair or snapshot on the array.')
        clock.sleep(min(delay, deadline.remaining_seconds()))
        delay = min(delay * factor, longest_seconds)
