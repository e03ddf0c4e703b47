# SPDX-License-Identifier: Apache-2.0
"""The tables of ``cinder-nec show``: what an array has, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import dataclasses
from typing import Any

from cinder_nec.backend.placement import usable_pools
from cinder_nec.cli.cells import Names, Share, Size
from cinder_nec.cli.site import Entry
from cinder_nec.model import ArrayConfig, LdSet, Protocol
from cinder_nec.models import (
    MAX_INITIATORS_PER_LD_SET,
    MAX_WWPNS_PER_LD_SET,
)

Row = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Sheet:
    """One table; its first column names the object of a row.

    :param rows: of one back end
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: Callable[[Entry, ArrayConfig], Iterator[Row]]


def _pools(entry: Entry, config: ArrayConfig) -> Iterator[Row]:
    assert entry.config is not None
    counts = config.ld_counts()
    volumes = {p.number for p in usable_pools(config, entry.config.pools)}
    for number, pool in sorted(config.pools.items()):
        uses = [word for word, numbers in (
            ('volumes', volumes),
            ('snapshots', entry.config.backup_pools)) if number in numbers]
        used = 1 - pool.free_bytes / max(1, pool.capacity_bytes)
        yield (f'{number} ({number:x}h)', ', '.join(uses) or 'not used',
               counts[number], Size(pool.capacity_bytes),
               Size(pool.free_bytes), Share(min(1.0, max(0.0, used))),
               Size(pool.actual_bytes))


def _limits(entry: Entry, config: ArrayConfig) -> Iterator[Row]:
    assert entry.config is not None
    limits = config.limits

    def row(what: str, count: int, limit: int) -> Row:
        return what, count, limit, Share(count / max(1, limit))

    yield row('logical disks of the array', len(config.logical_disks),
              limits.lds)
    if entry.config.max_ld_count is not None:
        pools = usable_pools(config, entry.config.pools)
        counts = config.ld_counts()
        yield row('nec_backend_max_ld_count',
                  sum(counts[p.number] for p in pools),
                  entry.config.max_ld_count)
    for ld_set in _own_sets(entry, config):
        yield row(f'logical disks in {ld_set.name}', len(ld_set.mappings),
                  limits.lds_per_ld_set)
        if ld_set.protocol is Protocol.FC:
            yield row(f'WWPNs in {ld_set.name}', len(ld_set.paths),
                      MAX_WWPNS_PER_LD_SET)
        else:
            yield row(f'initiators in {ld_set.name}',
                      len(ld_set.initiators), MAX_INITIATORS_PER_LD_SET)


def _own_sets(entry: Entry, config: ArrayConfig) -> list[LdSet]:
    return [s for _name, s in sorted(config.ld_sets.items())
            if entry.driver and s.protocol is entry.driver.protocol]


def _ld_sets(entry: Entry, config: ArrayConfig) -> Iterator[Row]:
    for name, ld_set in sorted(config.ld_sets.items()):
        hosts = [*sorted(ld_set.initiators),
                 *map(str, sorted(ld_set.paths)),
                 *sorted(ld_set.port_paths)]
        mode = ld_set.target_mode.value if ld_set.target_mode else ''
        yield (str(name), ld_set.protocol.value, mode, Names(hosts),
               len(ld_set.mappings), Names(list(map(str, ld_set.portals))))


def _ports(entry: Entry, config: ArrayConfig) -> Iterator[Row]:
    for port in sorted(config.host_ports,
                       key=lambda p: (p.director, p.number)):
        yield (f'{port.director:02x}-{port.number:02x}',
               port.protocol.value, port.ip or str(port.wwpn or ''),
               port.link.name.lower().replace('unrecognized', 'not shown'))


SHEETS: Sequence[Sheet] = (
    Sheet('pools', 'Pools',
          ('Pool', 'For', 'LDs', 'Capacity', 'Free', 'Used',
           'Actual capacity'), _pools),
    Sheet('limits', 'Limits', ('What', 'Count', 'Limit', 'Used'), _limits),
    Sheet('ld-sets', 'LD Sets',
          ('LD Set', 'Protocol', 'Mode', 'Hosts', 'LDs', 'Portals'),
          _ld_sets),
    Sheet('ports', 'Host ports', ('Port', 'Protocol', 'Address', 'Link'),
          _ports),
)
BY_NAME = {sheet.name: sheet for sheet in SHEETS}
