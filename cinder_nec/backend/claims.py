# SPDX-License-Identifier: Apache-2.0
"""Steps of one process that must not interleave on one object.

DESIGN.md allows no lock across a wait, because the array or a volume type
must not wait for a single volume.  A claim is narrower: it covers one base
volume or one host, and only where the array's commands are positional
(``generationdel -count 1`` does not say which generation) or where two
threads would create the same LD Set.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
import contextlib
import threading


class Claims:
    """Exclusive use of objects by key; nothing is kept for idle ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Hashable, tuple[threading.Lock, int]] = {}

    @contextlib.contextmanager
    def of(self, key: Hashable) -> Iterator[None]:
        """Wait for the object and hold it for the time of the block."""
        with self._lock:
            mutex, users = self._held.get(key, (threading.Lock(), 0))
            self._held[key] = (mutex, users + 1)
        try:
            with mutex:
                yield
        finally:
            with self._lock:
                mutex, users = self._held[key]
                if users == 1:
                    del self._held[key]
                else:
                    self._held[key] = (mutex, users - 1)

    def __len__(self) -> int:
        return len(self._held)
