# SPDX-License-Identifier: Apache-2.0
"""Steps that must not interleave on one object.

DESIGN.md allows no lock across a wait, because the array or a volume type
must not wait for a single volume.  A claim is narrower: it covers one base
volume, one host, or one LD in one LD Set, and only where the array's commands
are positional (``generationdel -count 1`` does not say which generation),
where two threads would create the same LD Set, or where an attach would find
a mapping that a detach is about to end.

The services of a cluster work on the same volumes, so there a claim is
also a lock of Cinder's coordination back end.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
import contextlib
import hashlib
import threading

Lock = Callable[[str], contextlib.AbstractContextManager[object]]


class Claims:
    """Exclusive use of objects by key; nothing is kept for idle ones.

    :param beyond: a lock by its name that also holds for other processes;
        None where no other service works on the same volumes
    """

    def __init__(self, beyond: Lock | None = None) -> None:
        self._beyond = beyond
        self._lock = threading.Lock()
        self._held: dict[Hashable, tuple[threading.Lock, int]] = {}

    @contextlib.contextmanager
    def of(self, key: Hashable) -> Iterator[None]:
        """Wait for the object and hold it for the time of the block."""
        with self._lock:
            mutex, users = self._held.get(key, (threading.Lock(), 0))
            self._held[key] = (mutex, users + 1)
        try:
            with mutex, self._lock_beyond(key):
                yield
        finally:
            with self._lock:
                mutex, users = self._held[key]
                if users == 1:
                    del self._held[key]
                else:
                    self._held[key] = (mutex, users - 1)

    def _lock_beyond(self, key: Hashable
                     ) -> contextlib.AbstractContextManager[object]:
        if self._beyond is None:
            return contextlib.nullcontext()
        parts = key if isinstance(key, tuple) else (key,)
        text = ' '.join(map(str, parts))
        # Names of LDs may have characters that a lock's name cannot.
        return self._beyond(hashlib.sha256(text.encode()).hexdigest()[:32])

    def __len__(self) -> int:
        return len(self._held)
