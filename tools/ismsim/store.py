# SPDX-License-Identifier: Apache-2.0
"""All records of the array, with the indexes that commands need.

Every write goes through put() and drop(), which keep the indexes and
remember what changed, so that saving costs what changed and no more.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

from ismsim.entities import (
    Generation,
    HostPort,
    LdKind,
    LdSet,
    Link,
    LogicalDisk,
    Pair,
    Pool,
    Record,
    RemotePair,
    Settings,
    Sra,
)

# The LD kinds whose capacity is taken from the pool. An SV lives in the
# SRA, an LV shows an SV, and a CV has no capacity (ISMCLI.md A.3, B.6).
_FROM_POOL = {LdKind.ORDINARY, LdKind.SYV, LdKind.SDV, LdKind.RSV}

TABLES: dict[type[Any], str] = {
    LogicalDisk: 'lds', Pool: 'pools', HostPort: 'ports', LdSet: 'ldsets',
    Pair: 'pairs', RemotePair: 'remote_pairs', Generation: 'generations',
    Link: 'links', Sra: 'sras', Settings: 'settings'}


class Store:
    """The tables and their indexes."""

    def __init__(self) -> None:
        self.lds: dict[int, LogicalDisk] = {}
        self.pools: dict[int, Pool] = {}
        self.ports: dict[str, HostPort] = {}
        self.ldsets: dict[str, LdSet] = {}
        self.pairs: dict[str, Pair] = {}
        self.remote_pairs: dict[str, RemotePair] = {}
        self.generations: dict[int, Generation] = {}
        self.links: dict[int, Link] = {}
        self.sras: dict[int, Sra] = {}
        self.settings: dict[str, Settings] = {'array': Settings()}
        self.version = 0
        self.dirty: dict[tuple[str, Any], None] = {}
        self._by_name: dict[str, int] = {}
        self._allocated: dict[int, int] = defaultdict(int)
        self._ld_count: dict[int, int] = defaultdict(int)
        self._mapped: dict[int, set[str]] = defaultdict(set)
        self._as_mv: dict[int, set[str]] = defaultdict(set)
        self._as_rv: dict[int, str] = {}
        self._svs: dict[int, set[int]] = defaultdict(set)
        self._lvs: dict[int, set[int]] = defaultdict(set)
        self._linked: dict[int, int] = {}

    # -- writing ---------------------------------------------------------

    def table(self, name: str) -> dict[Any, Any]:
        """A table by its name."""
        result: dict[Any, Any] = getattr(self, name)
        return result

    def put(self, record: Record) -> None:
        """Add a record, or replace the one with the same key."""
        name = TABLES[type(record)]
        table = self.table(name)
        old = table.get(record.key)
        if isinstance(record, LdSet):
            self._index_maps(old, record)
        else:
            if old is not None:
                self._unindex(old)
            self._index(record)
        table[record.key] = record
        self._touch(name, record.key)

    def drop(self, record: Record) -> None:
        """Remove a record."""
        name = TABLES[type(record)]
        old = self.table(name).pop(record.key)
        self._unindex(old)
        self._touch(name, record.key)

    def next_sequence(self) -> int:
        """A number that grows: the order in which things were made."""
        number = self.array.sequence + 1
        self.put(replace(self.array, sequence=number))
        return number

    def _touch(self, table: str, key: Any) -> None:
        self.version += 1
        self.dirty[(table, key)] = None

    def _index(self, record: Record) -> None:
        if isinstance(record, LogicalDisk):
            self._by_name[record.name] = record.ldn
            self._ld_count[record.pool] += 1
            if record.kind in _FROM_POOL:
                self._allocated[record.pool] += record.capacity
        elif isinstance(record, Pair):
            self._as_mv[record.mv].add(record.key)
            self._as_rv[record.rv] = record.key
        elif isinstance(record, Generation):
            self._svs[record.bv].add(record.sv)
        elif isinstance(record, Link):
            self._lvs[record.bv].add(record.lv)
            if record.sv is not None:
                self._linked[record.sv] = record.lv

    def _unindex(self, record: Record) -> None:
        if isinstance(record, LogicalDisk):
            self._by_name.pop(record.name, None)
            self._ld_count[record.pool] -= 1
            if record.kind in _FROM_POOL:
                self._allocated[record.pool] -= record.capacity
        elif isinstance(record, LdSet):
            self._index_maps(record, replace(record, maps={}))
        elif isinstance(record, Pair):
            self._as_mv[record.mv].discard(record.key)
            self._as_rv.pop(record.rv, None)
        elif isinstance(record, Generation):
            self._svs[record.bv].discard(record.sv)
        elif isinstance(record, Link):
            self._lvs[record.bv].discard(record.lv)
            if record.sv is not None:
                self._linked.pop(record.sv, None)

    def _index_maps(self, old: LdSet | None, new: LdSet) -> None:
        # Only what differs: a set may hold a thousand LDs.
        before = {mapping.ldn for mapping in old.maps.values()} if (
            old) else set()
        after = {mapping.ldn for mapping in new.maps.values()}
        for ldn in before - after:
            self._mapped[ldn].discard(new.key)
        for ldn in after - before:
            self._mapped[ldn].add(new.key)

    # -- reading ---------------------------------------------------------

    @property
    def array(self) -> Settings:
        """The one Settings record."""
        return self.settings['array']

    def find_ld(self, name: str) -> LogicalDisk | None:
        """An LD by its bare name."""
        ldn = self._by_name.get(name)
        return None if ldn is None else self.lds[ldn]

    def is_mv(self, ldn: int) -> bool:
        """Whether an LD is the MV of a pair."""
        return bool(self._as_mv.get(ldn))

    def is_rv(self, ldn: int) -> bool:
        """Whether an LD is the RV of a pair."""
        return ldn in self._as_rv

    def is_bv(self, ldn: int) -> bool:
        """Whether an LD has generations."""
        return bool(self._svs.get(ldn))

    def ldsets_of(self, ldn: int) -> list[str]:
        """The LD Sets that an LD is in."""
        return sorted(self._mapped.get(ldn, ()))

    def pairs_of_mv(self, ldn: int) -> list[Pair]:
        """The pairs in which an LD is the MV."""
        return [self.pairs[key] for key in sorted(self._as_mv.get(ldn, ()))]

    def pair_of_rv(self, ldn: int) -> Pair | None:
        """The pair in which an LD is the RV."""
        key = self._as_rv.get(ldn)
        return None if key is None else self.pairs[key]

    def generations_of(self, bv: int) -> list[Generation]:
        """The generations of a BV, in the order in which they were added."""
        found = [self.generations[sv] for sv in self._svs.get(bv, ())]
        return sorted(found, key=lambda generation: generation.added)

    def links_of(self, bv: int) -> list[Link]:
        """The LVs of a BV."""
        return [self.links[lv] for lv in sorted(self._lvs.get(bv, ()))]

    def link_to(self, sv: int) -> Link | None:
        """The LV that shows an SV."""
        lv = self._linked.get(sv)
        return None if lv is None else self.links[lv]

    def allocated(self, pool: int) -> int:
        """Bytes of a pool that its LDs take."""
        return self._allocated[pool]

    def ld_count(self, pool: int) -> int:
        """How many LDs a pool has."""
        return self._ld_count[pool]

    def free_ldn(self, limit: int) -> int | None:
        """The lowest free LDN."""
        for ldn in range(limit):
            if ldn not in self.lds:
                return ldn
        return None
