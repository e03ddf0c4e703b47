# SPDX-License-Identifier: Apache-2.0
"""How far a copy is, from the array's own remaining difference."""

from __future__ import annotations

from cinder_nec import retry

# A line for each tenth, and one now and then of a copy that hardly moves.
_STEP_PERCENT = 10
_STEP_SECONDS = 600.0
_MIB = 1 << 20


class Progress:
    """Percent, rate and time left of one copy.

    :param total_bytes: what is copied in all
    """

    def __init__(self, clock: retry.Clock, total_bytes: int) -> None:
        self._clock = clock
        self._total_bytes = max(1, total_bytes)
        self._started_at: float | None = None
        self._first_left_bytes = 0
        self._left_bytes = self._total_bytes
        self._told_percent = 0
        self._told_at = clock.now()

    def move(self, left_bytes: int) -> bool:
        """Take what is left to copy; tell whether that is worth a line."""
        now = self._clock.now()
        if self._started_at is None:
            self._started_at, self._first_left_bytes = now, left_bytes
        self._left_bytes = left_bytes
        if (self.percent - self._told_percent < _STEP_PERCENT
                and now - self._told_at < _STEP_SECONDS):
            return False
        self._told_percent = self.percent // _STEP_PERCENT * _STEP_PERCENT
        self._told_at = now
        return True

    @property
    def percent(self) -> int:
        done = self._total_bytes - self._left_bytes
        return max(0, min(100, done * 100 // self._total_bytes))

    @property
    def bytes_per_second(self) -> float | None:
        """The rate since the copy was first seen, None if not known."""
        if self._started_at is None:
            return None
        seconds = self._clock.now() - self._started_at
        copied = self._first_left_bytes - self._left_bytes
        return copied / seconds if seconds > 0 and copied > 0 else None

    def __str__(self) -> str:
        rate = self.bytes_per_second
        if rate is None:
            return f'{self.percent} %'
        minutes, seconds = divmod(round(self._left_bytes / rate), 60)
        hours, minutes = divmod(minutes, 60)
        return (f'{self.percent} %, {rate / _MIB:.0f} MiB/s, '
                f'{hours}:{minutes:02d}:{seconds:02d} left')
