# SPDX-License-Identifier: Apache-2.0
"""What a back end has to offer (manual chapter 11)."""

from __future__ import annotations

from collections.abc import Collection
import dataclasses

from cinder_nec.backend import placement
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.load import Load
from cinder_nec.model import GIB, ArrayConfig, Pool


@dataclasses.dataclass(frozen=True)
class PoolStats:
    """Figures of one pool; sizes in GiB.

    :param ld_count: LDs in it, of Cinder and others
    :param lds_counted: LDs that count against ``ld_limit``; the same for
        all pools of a back end
    :param ld_limit: with so many nothing can be made any more; the limit
        of the back end or of the array, whichever is nearer
    """

    number: int
    total_gib: float
    free_gib: float
    provisioned_gib: float
    ld_count: int
    is_thin: bool
    lds_counted: int = 0
    ld_limit: int = 0


class Stats:
    """Reads the figures that the scheduler needs.

    :param actual_capacity: ``nec_actual_free_capacity``: of thin pools the
        physical size counts instead of the virtual one
    :param max_ld_count: ``nec_backend_max_ld_count``, None if not set: with
        so many LDs in the pools nothing is free any more
    :param load: how busy the array is
    :param fresh_seconds: how old a dump may be that serves the stats
    """

    def __init__(self, inventory: Inventory, pools: Collection[int], *,
                 actual_capacity: bool,
                 max_ld_count: int | None, load: Load,
                 fresh_seconds: float) -> None:
        self.load = load
        self._inventory = inventory
        self._pools = tuple(pools)
        self._actual_capacity = actual_capacity
        self._max_ld_count = max_ld_count
        self._fresh_seconds = fresh_seconds

    def read(self) -> tuple[PoolStats, ...]:
        """Return the figures of each pool of the back end, now.

        :raises errors.NecError: the array cannot be read
        """
        age_seconds = self._inventory.age_seconds()
        if age_seconds is None or age_seconds > self._fresh_seconds:
            config = self._inventory.refresh()
        else:
            config = self._inventory.current()
        pools = placement.usable_pools(config, self._pools)
        counts = config.ld_counts()
        counted, limit = self._lds(
            config, sum(counts[pool.number] for pool in pools))
        is_full = counted >= limit
        provisioned = self._provisioned_bytes(config)
        return tuple(PoolStats(
            pool.number, _gib(self._total_bytes(pool)),
            0.0 if is_full else _gib(self._free_bytes(pool)),
            _gib(provisioned.get(pool.number, 0)), counts[pool.number],
            self._actual_capacity and pool.is_thin, counted, limit)
            for pool in pools)

    def _lds(self, config: ArrayConfig, in_pools: int) -> tuple[int, int]:
        """Return the count and the limit that leave the least room."""
        both = [(len(config.logical_disks), config.max_ld_count)]
        if self._max_ld_count is not None:
            both.append((in_pools, self._max_ld_count))
        return min(both, key=lambda each: each[1] - each[0])

    @staticmethod
    def _provisioned_bytes(config: ArrayConfig) -> dict[int, int]:
        provisioned: dict[int, int] = {}
        for ld in config.logical_disks.values():
            provisioned[ld.pool] = (provisioned.get(ld.pool, 0)
                                    + ld.capacity_bytes)
        return provisioned

    def _total_bytes(self, pool: Pool) -> int:
        if self._actual_capacity and pool.actual_bytes is not None:
            return pool.actual_bytes
        return pool.capacity_bytes

    def _free_bytes(self, pool: Pool) -> int:
        free = pool.free_bytes
        if (self._actual_capacity and pool.actual_bytes is not None
                and 0 <= pool.used_bytes <= pool.actual_bytes):
            free = pool.actual_bytes - pool.used_bytes
        return min(max(free, 0), self._total_bytes(pool))


def roomiest(pools: Collection[PoolStats]) -> PoolStats:
    """Return the pool with the largest free capacity (manual 11.4).

    ``ld_count`` is that of all pools of the back end.
    """
    if not pools:
        return PoolStats(-1, 0.0, 0.0, 0.0, 0, False)
    found = max(pools, key=lambda p: (p.free_gib, -p.number))
    return dataclasses.replace(
        found, ld_count=sum(p.ld_count for p in pools))


def _gib(size_bytes: int) -> float:
    return round(size_bytes / GIB, 2)
