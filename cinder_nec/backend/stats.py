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
class BackendStats:
    """Figures of the pool with the largest free capacity."""

    total_gib: float
    free_gib: float
    provisioned_gib: float
    total_volumes: int
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

    def read(self) -> BackendStats:
        """Return the figures of now.

        :raises errors.NecError: the array cannot be read
        """
        age_seconds = self._inventory.age_seconds()
        if age_seconds is None or age_seconds > FRESH_SECONDS:
            config = self._inventory.refresh()
        else:
            config = self._inventory.current()
        return self._of(config)

    def _of(self, config: ArrayConfig) -> BackendStats:
        pools = placement.usable_pools(config, self._pools)
        if not pools:
            return BackendStats(0.0, 0.0, 0.0, 0, False)
        roomiest = max(pools, key=lambda p: (self._free_bytes(p),
                                             -p.number))
        counts = config.ld_counts()
        volumes = sum(counts[pool.number] for pool in pools)
        limit = config.max_ld_count
        if self._max_ld_count is not None:
            limit = min(limit, self._max_ld_count)
        free_bytes = self._free_bytes(roomiest)
        if (volumes >= limit
                or len(config.logical_disks) >= config.max_ld_count):
            free_bytes = 0
        provisioned = sum(ld.capacity_bytes
                          for ld in config.logical_disks.values()
                          if ld.pool == roomiest.number)
        return BackendStats(
            _gib(self._total_bytes(roomiest)), _gib(free_bytes),
            _gib(provisioned), volumes,
            self._actual_capacity and roomiest.is_thin)

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
