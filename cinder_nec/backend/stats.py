# SPDX-License-Identifier: Apache-2.0
"""What a back end has to offer (manual chapter 11)."""

from __future__ import annotations

from collections.abc import Collection
import dataclasses

from cinder_nec.backend import placement
from cinder_nec.backend.inventory import Inventory
from cinder_nec.model import GIB, ArrayConfig, Pool

# A dump that an operation has just brought serves the stats as well.
FRESH_SECONDS = 20.0


@dataclasses.dataclass(frozen=True)
class PoolStats:
    """Figures of one pool; sizes in GiB.

    :param ld_count: LDs in it, of Cinder and others
    """

    number: int
    total_gib: float
    free_gib: float
    provisioned_gib: float
    ld_count: int
    is_thin: bool


class Stats:
    """Reads the figures that the scheduler needs.

    :param actual_capacity: ``nec_actual_free_capacity``: of thin pools the
        physical size counts instead of the virtual one
    :param max_ld_count: ``nec_backend_max_ld_count``, None if not set: with
        so many LDs in the pools nothing is free any more
    """

    def __init__(self, inventory: Inventory, pools: Collection[int], *,
                 actual_capacity: bool,
                 max_ld_count: int | None) -> None:
        self._inventory = inventory
        self._pools = tuple(pools)
        self._actual_capacity = actual_capacity
        self._max_ld_count = max_ld_count

    def read(self) -> tuple[PoolStats, ...]:
        """Return the figures of each pool of the back end, now.

        :raises errors.NecError: the array cannot be read
        """
        age_seconds = self._inventory.age_seconds()
        if age_seconds is None or age_seconds > FRESH_SECONDS:
            config = self._inventory.refresh()
        else:
            config = self._inventory.current()
        pools = placement.usable_pools(config, self._pools)
        counts = config.ld_counts()
        is_full = self._is_full(
            config, sum(counts[pool.number] for pool in pools))
        provisioned = self._provisioned_bytes(config)
        return tuple(PoolStats(
            pool.number, _gib(self._total_bytes(pool)),
            0.0 if is_full else _gib(self._free_bytes(pool)),
            _gib(provisioned.get(pool.number, 0)), counts[pool.number],
            self._actual_capacity and pool.is_thin) for pool in pools)

    def read_roomiest(self) -> PoolStats:
        """Return the pool with the largest free capacity (11.4).

        ``ld_count`` is that of all pools of the back end.

        :raises errors.NecError: the array cannot be read
        """
        pools = self.read()
        if not pools:
            return PoolStats(-1, 0.0, 0.0, 0.0, 0, False)
        roomiest = max(pools, key=lambda p: (p.free_gib, -p.number))
        return dataclasses.replace(
            roomiest, ld_count=sum(p.ld_count for p in pools))

    def _is_full(self, config: ArrayConfig, ld_count: int) -> bool:
        limit = config.max_ld_count
        if self._max_ld_count is not None:
            limit = min(limit, self._max_ld_count)
        return (ld_count >= limit
                or len(config.logical_disks) >= config.max_ld_count)

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


def _gib(size_bytes: int) -> float:
    return round(size_bytes / GIB, 2)
