# SPDX-License-Identifier: Apache-2.0
"""What is on an array, without what the array chooses by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import dataclasses
import re
from typing import Any

from ismsim.array import Array
from ismsim.entities import LdKind

# Its name tells its number.
_CONTROL = re.compile('__ControlVolume_[0-9a-f]+h')
_BYTES = 64


@dataclasses.dataclass(frozen=True)
class State:
    """LDs, pools, pairs, links, LD Sets, limits and bytes, by name.

    An LD without a name of its own counts by its number: two of them are
    two leftovers.
    """

    lds: Mapping[str, int]
    pools: Mapping[str, int]
    pairs: frozenset[tuple[str, str, str]]
    generations: frozenset[tuple[str, str, str]]
    links: Mapping[str, str]
    ld_sets: Mapping[str, tuple[str, ...]]
    mapped: frozenset[tuple[str, str]]
    limits: Mapping[str, Any]
    content: Mapping[str, bytes]

    @classmethod
    def of(cls, array: Array) -> State:
        store = array.store
        names = {ld.ldn: _CONTROL.sub('control volume', ld.name)
                 if ld.platform else f'nameless {ld.ldn}'
                 for ld in store.lds.values()}
        return cls(
            lds={names[ld.ldn]: ld.capacity for ld in store.lds.values()},
            pools={names[ld.ldn]: ld.pool for ld in store.lds.values()},
            pairs=frozenset((names[p.mv], names[p.rv], p.state.value)
                            for p in store.pairs.values()),
            generations=frozenset(
                (names[g.bv], names[g.sv], g.state.value)
                for g in store.generations.values()),
            links={names[link.lv]: '' if link.sv is None
                   else names[link.sv] for link in store.links.values()},
            ld_sets={s.key: tuple(sorted((*s.initiators, *s.paths)))
                     for s in store.ldsets.values()},
            mapped=frozenset((s.key, names[m.ldn])
                             for s in store.ldsets.values()
                             for m in s.maps.values()),
            limits={names[ld.ldn]: ld.limit for ld in store.lds.values()},
            content={names[ld.ldn]: array.backing.read(
                ld.ldn, 0, min(_BYTES, ld.capacity),
                ld.capacity).rstrip(b'\0')
                for ld in store.lds.values() if ld.kind is not LdKind.LV})

    def without_hosts(self, known: State, after: State) -> State:
        """Leave out what a failed attach may leave of a host.

        That is a new LD Set without LDs, and a name of the host in an LD
        Set of its own: no command is known that removes either, and the
        host's next attach uses them.
        """
        in_use = {ld_set for ld_set, _ld in self.mapped}

        def names(key: str, value: tuple[str, ...]) -> tuple[str, ...]:
            before = known.ld_sets.get(key, value)
            return before if set(before) <= set(value) <= set(
                after.ld_sets.get(key, ())) else value
        return dataclasses.replace(self, ld_sets={
            key: names(key, value) for key, value in self.ld_sets.items()
            if key in in_use or key in known.ld_sets})

    def with_pairs_of(self, other: State) -> State:
        """Return the state with the pairs of another one that it lacks.

        A snapshot without its pair is as good; the next one is copied in
        full.  A pair too many stays one.
        """
        own = {pair[:2] for pair in self.pairs}
        return dataclasses.replace(self, pairs=self.pairs | {
            pair for pair in other.pairs if pair[:2] not in own})

    def with_content_of(self, other: State, name: str) -> State:
        """Return the state with what an LD holds in another one."""
        return dataclasses.replace(self, content={
            **self.content, name: other.content[name]})

    def without_losses(self) -> State:
        """Leave out what a fault of the array's state may take away.

        A generation that has lost its data may go instead of another one
        that has: the array does not let anybody choose.  An RV of a
        deleted snapshot is of no use without its differences.
        """
        svs = {sv for _bv, sv, _state in self.generations}
        svs |= {name for name in self.lds if name.endswith('_d')}
        rvs = {rv for _mv, rv, _state in self.pairs}

        def without(values: Mapping[str, Any],
                    gone: set[str]) -> dict[str, Any]:
            return {name: value for name, value in values.items()
                    if name not in gone}
        return dataclasses.replace(
            self, lds=without(self.lds, svs),
            pools=without(self.pools, svs),
            limits=without(self.limits, svs),
            pairs=frozenset((mv, rv, '') for mv, rv, _ in self.pairs
                            if rv not in svs and not rv.endswith('_d')),
            generations=frozenset(),
            content=without(self.content, svs | rvs))

    def differences(self, other: State) -> list[str]:
        """Return in words what differs, nothing if all is equal."""
        return [f'{field}: {key!r}: {here!r}, not {there!r}'
                for field, key, here, there in self._compare(other)
                if here != there]

    def as_good_as(self, safe: State) -> list[str]:
        """Return what differs from a state, wherever LDs are.

        A migration that was broken off may have been ended.
        """
        return dataclasses.replace(
            self.without_hosts(safe, self), pools={}).differences(
                dataclasses.replace(safe, pools={}))

    def half_way(self, before: State, after: State) -> list[str]:
        """Return what is not of a way from one state to another.

        What is to go may be in any state; nothing may be there that is
        in neither, nor be missing that is in both.
        """
        ends = {(field, key): (first, last) for field, key, first, last
                in before._compare(after)}
        found = []
        for field, key, here, first in self._compare(before):
            _first, last = ends.get((field, key), (None, None))
            if here not in (first, last) and (last is not None
                                              or first is None):
                found.append(f'{field}: {key!r}: {here!r}, neither '
                             f'{first!r} nor {last!r}')
        return found

    def _compare(self, other: State) -> Iterator[tuple[str, Any, Any, Any]]:
        for field in dataclasses.fields(self):
            one, two = (_items(getattr(s, field.name))
                        for s in (self, other))
            for key in sorted({*one, *two}, key=repr):
                yield field.name, key, one.get(key), two.get(key)


def _items(value: Any) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    return {one[:2]: one[2:] for one in value}
