# SPDX-License-Identifier: Apache-2.0
"""What an array's commands cost, counted as they pass.

Counting takes a lock for the time of a few additions and nothing else, so
it is safe for native and green threads and costs nothing beside a command.
Several readers do not disturb each other: nothing is reset by reading.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import enum
import math
import threading

from cinder_nec import errors, retry

# What "lately" is: the stats period of Cinder.
PERIOD_SECONDS = 60.0
# Weight of the newest of the answers that make up the mean.
_NEWEST = 0.1


class Kind(enum.Enum):
    """Commands of very different cost."""

    CHANGE = 'change'
    QUERY = 'query'
    DUMP = 'dump'


class Result(enum.Enum):
    """What became of a command."""

    OK = 'ok'
    BUSY = 'busy'
    REFUSED = 'refused'
    UNREACHABLE = 'unreachable'
    LOST = 'lost'


@dataclasses.dataclass(frozen=True)
class Timing:
    """How long the successful commands of one kind took.

    :param count: since the service was started
    :param total_seconds: of all of them
    :param mean_seconds: of about the last ten, 0 if there were none
    :param longest_seconds: of the last minute or two
    """

    count: int = 0
    total_seconds: float = 0.0
    mean_seconds: float = 0.0
    longest_seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class CommandFigures:
    """What was counted of an array's commands.

    :param results: how often each kind ended in each way; ways that did
        not happen are there with 0
    """

    timings: Mapping[Kind, Timing]
    results: Mapping[tuple[Kind, Result], int]


@dataclasses.dataclass(frozen=True)
class QueueFigures:
    """Who waited for the array.

    :param length: changes that wait or are carried out now
    :param mean_length: of the last minute, older ones count less
    :param longest: of the last minute or two
    :param turns: changes that got their turn since the start
    :param waited_seconds: for which all of them waited
    """

    length: int
    mean_length: float
    longest: int
    turns: int
    waited_seconds: float


def result_of(error: errors.NecError) -> Result:
    """Return how a command ended that failed with ``error``."""
    if isinstance(error, errors.ArrayBusy):
        return Result.BUSY
    if isinstance(error, errors.ConnectFailed):
        return Result.UNREACHABLE
    if isinstance(error, errors.OutcomeUnknown):
        return Result.LOST
    return Result.REFUSED


class Longest:
    """The largest value of the last one to two periods; not locked."""

    def __init__(self) -> None:
        self._since = -math.inf
        self._now = self._before = 0.0

    def add(self, now: float, value: float) -> None:
        self._move(now)
        self._now = max(self._now, value)

    def read(self, now: float) -> float:
        self._move(now)
        return max(self._now, self._before)

    def _move(self, now: float) -> None:
        passed = now - self._since
        if passed < PERIOD_SECONDS:
            return
        self._before = self._now if passed < 2 * PERIOD_SECONDS else 0.0
        self._now, self._since = 0.0, now


class Level:
    """A number that goes up and down, and its mean lately; not locked."""

    def __init__(self, now: float) -> None:
        self._value, self._mean, self._at = 0, 0.0, now
        self._longest = Longest()

    def set(self, now: float, value: int) -> None:
        self._mean = self.mean(now)
        self._at, self._value = now, value
        self._longest.add(now, value)

    def mean(self, now: float) -> float:
        """Return the mean; what was a period ago counts a third."""
        kept = math.exp(-max(0.0, now - self._at) / PERIOD_SECONDS)
        return self._value + (self._mean - self._value) * kept

    def longest(self, now: float) -> int:
        return int(max(self._longest.read(now), self._value))

    @property
    def value(self) -> int:
        return self._value


@dataclasses.dataclass
class _Answers:
    count: int = 0
    total_seconds: float = 0.0
    mean_seconds: float = 0.0
    longest: Longest = dataclasses.field(default_factory=Longest)


class CommandMeter:
    """Counts the commands of one array; safe for many threads."""

    def __init__(self, clock: retry.Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._answers = {kind: _Answers() for kind in Kind}
        self._results = {(kind, result): 0
                         for kind in Kind for result in Result}

    def succeeded(self, kind: Kind, seconds: float) -> None:
        """Count a command that was carried out, and how long it took."""
        now = self._clock.now()
        with self._lock:
            self._results[kind, Result.OK] += 1
            answers = self._answers[kind]
            weight = _NEWEST if answers.count else 1.0
            answers.count += 1
            answers.total_seconds += seconds
            answers.mean_seconds += weight * (seconds
                                              - answers.mean_seconds)
            answers.longest.add(now, seconds)

    def failed(self, kind: Kind, error: errors.NecError) -> None:
        """Count a command that was not, as far as is known."""
        with self._lock:
            self._results[kind, result_of(error)] += 1

    def read(self) -> CommandFigures:
        now = self._clock.now()
        with self._lock:
            return CommandFigures(
                {kind: Timing(a.count, a.total_seconds, a.mean_seconds,
                              a.longest.read(now))
                 for kind, a in self._answers.items()},
                dict(self._results))
