# SPDX-License-Identifier: Apache-2.0
"""Wait for something with a deadline, polling in short steps."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import TypeVar

T = TypeVar('T')


class WaitTimeout(AssertionError):
    """What was waited for did not come in time."""


def wait_for(what: str, probe: Callable[[], T], timeout: float = 30.0,
             poll: float = 0.05) -> T:
    """Return the first true answer of *probe*.

    *what* completes the sentence "... did not happen"; *probe* may raise
    to end the wait early.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise WaitTimeout(
                f'{what}: not within {timeout:g} s; last answer {answer!r}')
        time.sleep(poll)
