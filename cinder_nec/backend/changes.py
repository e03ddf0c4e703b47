# SPDX-License-Identifier: Apache-2.0
"""Own changes of the array, as functions on its known configuration.

Each gives the same result when it is applied twice (see
:meth:`cinder_nec.backend.inventory.Inventory.record`).
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

from cinder_nec.backend.inventory import Change
from cinder_nec.model import (
    GIB,
    ArrayConfig,
    LdMapping,
    LdName,
    LdSet,
    LdSetName,
    LogicalDisk,
    RplAttribute,
    Wwpn,
)


def bound(ld: LogicalDisk) -> Change:
    """An LD was bound, and takes room in its pool."""
    def change(config: ArrayConfig) -> ArrayConfig:
        if ld.ldn in config.logical_disks:
            return config
        return _take_room(config.with_ld(ld), ld.pool, _room(ld))
    return change


def named(ldn: int, name: LdName) -> Change:
    """An LD got a name, whatever it was called before."""
    def change(config: ArrayConfig) -> ArrayConfig:
        ld = config.logical_disks.get(ldn)
        if ld is None:
            return config
        return config.with_ld(dataclasses.replace(ld, name=name))
    return change


def unbound(name: LdName) -> Change:
    """The LD of that name is gone, from all LD Sets as well."""
    def change(config: ArrayConfig) -> ArrayConfig:
        ld = config.find_ld(name)
        if ld is None:
            return config
        for ld_set in config.mapped_to(ld.ldn):
            config = config.with_ld_set(_without(ld_set, ld.ldn))
        config = _take_room(config, ld.pool, -_room(ld))
        return config.without_ld(ld.ldn)
    return change


def expanded(ldn: int, capacity_gib: int) -> Change:
    """An LD has a new capacity."""
    def change(config: ArrayConfig) -> ArrayConfig:
        ld = config.logical_disks.get(ldn)
        if ld is None:
            return config
        capacity_bytes = capacity_gib * GIB
        config = _take_room(config, ld.pool,
                            capacity_bytes - ld.capacity_bytes)
        return config.with_ld(
            dataclasses.replace(ld, capacity_bytes=capacity_bytes))
    return change


def attributes(ldn: int, *values: RplAttribute) -> Change:
    """An LD has these replication attributes now."""
    def change(config: ArrayConfig) -> ArrayConfig:
        ld = config.logical_disks.get(ldn)
        if ld is None:
            return config
        return config.with_ld(
            dataclasses.replace(ld, attributes=frozenset(values)))
    return change


def ld_set_added(ld_set: LdSet) -> Change:
    """An LD Set was created; one that is known already stays as it is."""
    def change(config: ArrayConfig) -> ArrayConfig:
        if ld_set.name in config.ld_sets:
            return config
        return config.with_ld_set(ld_set)
    return change


def initiator_admitted(name: LdSetName, initiator: str) -> Change:
    """An LD Set lists one more iSCSI initiator."""
    return _of_ld_set(name, lambda ld_set: dataclasses.replace(
        ld_set, initiators=ld_set.initiators | {initiator}))


def path_admitted(name: LdSetName, wwpn: Wwpn) -> Change:
    """An LD Set lists one more WWPN."""
    return _of_ld_set(name, lambda ld_set: dataclasses.replace(
        ld_set, paths=ld_set.paths | {wwpn}))


def mapped(name: LdSetName, mapping: LdMapping) -> Change:
    """An LD is in an LD Set."""
    return _of_ld_set(name, lambda ld_set: dataclasses.replace(
        ld_set, mappings={**ld_set.mappings, mapping.ldn: mapping}))


def unmapped(name: LdSetName, ldn: int) -> Change:
    """An LD is not in an LD Set any more."""
    return _of_ld_set(name, lambda ld_set: _without(ld_set, ldn))


def _of_ld_set(name: LdSetName, edit: Callable[[LdSet], LdSet]) -> Change:
    """Return the change of one LD Set; none if it is not known."""
    def change(config: ArrayConfig) -> ArrayConfig:
        ld_set = config.ld_sets.get(name)
        return config if ld_set is None else config.with_ld_set(edit(ld_set))
    return change


def _without(ld_set: LdSet, ldn: int) -> LdSet:
    mappings = {key: mapping for key, mapping in ld_set.mappings.items()
                if key != ldn}
    return dataclasses.replace(ld_set, mappings=mappings)


def _room(ld: LogicalDisk) -> int:
    """Return the bytes of its pool that an LD takes.

    An SV takes some of the snapshot reserve area, an LV shows an SV, and
    a control volume is next to nothing.
    """
    if ld.attributes & {RplAttribute.SV, RplAttribute.LV,
                        RplAttribute.NOT_USABLE}:
        return 0
    return ld.capacity_bytes


def _take_room(config: ArrayConfig, number: int,
               size_bytes: int) -> ArrayConfig:
    pool = config.pools.get(number)
    if pool is None:
        return config
    return config.with_pool(dataclasses.replace(
        pool, used_bytes=pool.used_bytes + size_bytes,
        free_bytes=pool.free_bytes - size_bytes))
