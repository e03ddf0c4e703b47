# SPDX-License-Identifier: Apache-2.0
"""Numbers that are promised but not yet used: LDNs and LUNs.

A reservation lives in memory between the choice of a number and the answer
of the array.  It only keeps the threads of one process apart; other
services are met by trying (DESIGN.md section 5).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
import contextlib
import random
import threading

from cinder_nec import errors, retry
from cinder_nec.model import ArrayConfig, LdSet, LdSetName

LUN_QUARANTINE_SECONDS = 60.0
MAX_LUN = 1023


class Reservations:
    """Free LD numbers and LUNs of one array.

    LD numbers are handed out in turn from a random start on: two services
    seldom try the same one, and a number that was just freed, which is
    part of the disk's WWN, is not shown to a host again at once.

    :param lun_quarantine_seconds: how long a released LUN is not reused,
        so that a host which has not cleaned up yet finds no other volume
        there
    """

    def __init__(self, clock: retry.Clock, *,
                 start: int | None = None,
                 lun_quarantine_seconds: float = LUN_QUARANTINE_SECONDS
                 ) -> None:
        self._clock = clock
        self._start = random.randrange(1 << 16) if start is None else start
        self._quarantine = lun_quarantine_seconds
        self._lock = threading.Lock()
        self._free: deque[int] = deque()
        self._known: set[int] = set()
        self._used: ArrayConfig | None = None
        self._promised_ldns: set[int] = set()
        self._promised_luns: set[tuple[LdSetName, int]] = set()
        self._released_luns: dict[tuple[LdSetName, int], float] = {}

    def follow(self, config: ArrayConfig) -> None:
        """Take over what is used from a newer configuration."""
        with self._lock:
            before = self._used
            self._used = config
            if before is None:
                self._refill(config)
                return
            self._note_released_luns(before, config)
            freed = (before.logical_disks.keys()
                     - config.logical_disks.keys())
            for ldn in freed - self._known:
                self._free.append(ldn)
                self._known.add(ldn)

    def _note_released_luns(self, before: ArrayConfig,
                            config: ArrayConfig) -> None:
        """Rest the LUNs that are free now, whoever released them."""
        if before.ld_sets is config.ld_sets:
            return
        now = self._clock.now()
        for name, old in before.ld_sets.items():
            new = config.ld_sets.get(name)
            if new is old:
                continue
            for lun in old.luns() - (new.luns() if new else frozenset()):
                self._released_luns[(name, lun)] = now

    def _refill(self, config: ArrayConfig) -> None:
        free = list(config.free_ldns())
        if free:
            turn = self._start % len(free)
            free = free[turn:] + free[:turn]
        self._free = deque(free)
        self._known = set(free)

    @contextlib.contextmanager
    def ldn(self) -> Iterator[int]:
        """Promise a free LD number for the time of the block.

        :raises errors.NoCapacity: none is free
        """
        number = self._take_ldn()
        try:
            yield number
        finally:
            with self._lock:
                self._promised_ldns.discard(number)
                used = self._used
                if (used is not None and number not in used.logical_disks
                        and number not in self._known):
                    self._free.append(number)
                    self._known.add(number)

    def _take_ldn(self) -> int:
        with self._lock:
            used = self._used.logical_disks if self._used else {}
            # Also where numbers beyond the model's are in use.
            is_full = self._used is not None and (
                len(used) + len(self._promised_ldns)
                >= self._used.max_ld_count)
            while self._free and not is_full:
                number = self._free.popleft()
                self._known.discard(number)
                if number not in used and number not in self._promised_ldns:
                    self._promised_ldns.add(number)
                    return number
        raise errors.NoCapacity(
            'All Logical Disk numbers are used.',
            'Delete logical disks that are not needed any more.')

    @contextlib.contextmanager
    def lun(self, ld_set: LdSet) -> Iterator[int]:
        """Promise the lowest LUN of an LD Set that may be used now.

        :raises errors.NoCapacity: none is free
        """
        number = self._take_lun(ld_set)
        try:
            yield number
        finally:
            with self._lock:
                self._promised_luns.discard((ld_set.name, number))

    def _take_lun(self, ld_set: LdSet) -> int:
        used = ld_set.luns()
        now = self._clock.now()
        with self._lock:
            self._released_luns = {
                key: at for key, at in self._released_luns.items()
                if now - at < self._quarantine}
            for number in range(MAX_LUN + 1):
                key = (ld_set.name, number)
                if (number in used or key in self._promised_luns
                        or key in self._released_luns):
                    continue
                self._promised_luns.add(key)
                return number
        raise errors.NoCapacity(
            f'LD Set `{ld_set.name}` has no free LUN.',
            'Detach volumes, or wait until the LUNs of volumes that were '
            'just detached may be used again.')

    def release_lun(self, ld_set: LdSetName, lun: int) -> None:
        """Take note that a host may still have this LUN in its tables."""
        with self._lock:
            self._released_luns[(ld_set, lun)] = self._clock.now()
