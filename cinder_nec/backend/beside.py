# SPDX-License-Identifier: Apache-2.0
"""Work that goes on beside its caller."""

from __future__ import annotations

from collections.abc import Callable
import threading

# Runs a piece of work and does not wait for it; tests give their own.
Starter = Callable[[Callable[[], None]], None]


def in_thread(name: str) -> Starter:
    """Return a starter of threads; none of them keeps a process alive.

    :param name: of the threads, as logs and debuggers show it
    """
    def start(work: Callable[[], None]) -> None:
        threading.Thread(target=work, name=name, daemon=True).start()
    return start
