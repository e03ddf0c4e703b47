# SPDX-License-Identifier: Apache-2.0
"""What tests of several folders share."""

from __future__ import annotations

import pathlib
import threading

FIXTURES = pathlib.Path(__file__).parent / 'fixtures'


class FakeClock:
    """A :class:`cinder_nec.retry.Clock` whose time passes by sleeping.

    ``slept`` holds the lengths of all sleeps, in seconds, in their order.
    """

    def __init__(self, start: float = 1000.0) -> None:
        self.slept: list[float] = []
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> float:
        with self._lock:
            return self._now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        with self._lock:
            self.slept.append(seconds)
            self._now += seconds

    def advance(self, seconds: float) -> None:
        """Let time pass without anybody sleeping."""
        with self._lock:
            self._now += seconds


def fixture_bytes(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def fixture_text(name: str) -> str:
    return fixture_bytes(name).decode('utf-8')
