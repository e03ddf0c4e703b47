# SPDX-License-Identifier: Apache-2.0
"""``cinder-nec list``: volumes and snapshots, and their logical disks."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
import os
from typing import Any

from cinder_nec import naming
from cinder_nec.assembly import Array, Method
from cinder_nec.cli import cloud
from cinder_nec.cli.base import SiteLister
from cinder_nec.cli.cells import Names, Size
from cinder_nec.cli.cloud import Known
from cinder_nec.cli.relations import Relations, relations_on
from cinder_nec.cli.site import Entry
from cinder_nec.cli.status import Exit, NotRun
from cinder_nec.model import ArrayConfig, LogicalDisk, RplAttribute

COLUMNS = ('Back end', 'Type', 'ID', 'Name', 'Status', 'LD name', 'LDN',
           'Pool', 'Size', 'Belongs to', 'Mapped to')
_HELPERS = {
    naming.SUFFIX_LINK: 'link volume of a snapshot',
    naming.SUFFIX_DIFFERENCES: 'replica of a deleted snapshot',
    naming.SUFFIX_MIGRATING: 'copy of a migration',
    naming.SUFFIX_PARKED: 'parked by a migration',
}
MISSING, NOT_IN_CINDER = 'no LD on the array', 'not in Cinder'

Row = tuple[Any, ...]


class List(SiteLister):
    """List volumes and snapshots with their logical disks.

    With credentials of an administrator (OS_* or --os-cloud) Cinder's
    names and statuses stand beside them, and what only one side has is
    marked. From the array alone otherwise: the names of logical disks are
    the IDs.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        cloud.add_options(parser)
        parser.add_argument(
            '--array-only', action='store_true',
            help='do not ask Cinder, whatever the environment says')
        parser.add_argument(
            '--quick', action='store_true',
            help='leave out what belongs to what, which takes one question '
                 'for each volume that has copies or snapshots')
        return parser

    def take_action(self, parsed_args: argparse.Namespace
                    ) -> tuple[Sequence[str], Any]:
        site = self.site(parsed_args)
        known = self._known(parsed_args)

        def read(_entry: Entry, array: Array
                 ) -> tuple[ArrayConfig, Relations]:
            config = array.inventory.current()
            if parsed_args.quick:
                return config, Relations({}, {})
            return config, relations_on(array, config)

        with self.arrays(parsed_args) as arrays:
            found = self.of_each(site, arrays, read)
        for entry, (_config, relations) in found:
            for problem in relations.problems:
                self.complain(f'{entry.group}: {problem}')
                self.at_least(Exit.WARNING)
        return COLUMNS, [row for entry, (config, relations) in found
                         for row in rows(entry, config, relations, known)]

    def _known(self, parsed_args: argparse.Namespace
               ) -> list[Known] | None:
        """Ask Cinder; None if it is not to be asked or does not answer."""
        if parsed_args.array_only or not cloud.is_given(parsed_args,
                                                        os.environ):
            return None
        try:
            with cloud.asked(parsed_args) as storage:
                return cloud.read_known(storage)
        except NotRun as error:
            self.complain(f'{error} What follows is from the array alone.')
            self.at_least(Exit.ERROR)
            return None


def rows(entry: Entry, config: ArrayConfig, relations: Relations,
         known: Sequence[Known] | None) -> Iterator[Row]:
    """Yield a row for each volume, snapshot and helper of a back end.

    :param known: what Cinder has, None if it was not asked
    """
    lds = {ld.name.label: ld for ld in config.logical_disks.values()
           if naming.find_uuid(ld.name.label)}
    shown = set()
    for one in known or ():
        if one.backend == entry.group:
            shown.add(one.label)
            yield _row(entry, config, relations, one.kind, one.cinder_id,
                       one.name, one.status, lds.get(one.label), one.label)
    elsewhere = {one.label for one in known or ()}
    for label, ld in sorted(lds.items()):
        if (label in shown or label in elsewhere
                or not _is_ours(entry, ld, _origin(label, relations, lds))):
            continue
        kind = _kind(entry, ld)
        helper = kind in _HELPERS.values()
        yield _row(entry, config, relations, kind,
                   naming.find_uuid(label) or '', '',
                   '' if known is None or helper else NOT_IN_CINDER, ld,
                   label)


def _origin(label: str, relations: Relations,
            lds: Mapping[str, LogicalDisk]) -> LogicalDisk | None:
    """Return the BV or MV of an LD, None if it has none."""
    generation = relations.generations.get(label)
    pair = relations.pairs.get(label)
    source = generation.bv if generation else pair.mv if pair else ''
    return lds.get(source)


def _is_ours(entry: Entry, ld: LogicalDisk,
             origin: LogicalDisk | None) -> bool:
    """Tell whether an LD is a back end's.

    Back ends may share the pool for snapshots: there it counts where the
    volume is.
    """
    assert entry.config is not None
    pools = entry.config.pools
    if not pools or ld.pool in pools:
        return True
    return ld.pool in entry.config.backup_pools and (
        origin is None or origin.pool in pools)


def _kind(entry: Entry, ld: LogicalDisk) -> str:
    """Return what an LD is, as far as the array alone tells."""
    suffix = naming.split_suffix(ld.name.label)[1]
    if suffix:
        return _HELPERS[suffix]
    assert entry.config is not None and entry.driver is not None
    if ld.has(RplAttribute.SV):
        return 'snapshot'
    in_backup_pool = (ld.pool in entry.config.backup_pools
                      and ld.pool not in entry.config.pools)
    if entry.driver.method is Method.REPLICATION and in_backup_pool:
        return 'snapshot'
    return 'volume'


def _row(entry: Entry, config: ArrayConfig, relations: Relations,
         kind: str, cinder_id: str, name: str, status: str,
         ld: LogicalDisk | None, label: str) -> Row:
    if ld is None:
        status = f'{status}, {MISSING}' if status else MISSING
        return (entry.group, kind, cinder_id, name, status, label, None,
                None, Size(None), '', Names([]))
    mapped = sorted(str(s.name) for s in config.mapped_to(ld.ldn))
    return (entry.group, kind, cinder_id, name, status, str(ld.name),
            f'{ld.ldn:04x}h', ld.pool, Size(ld.capacity_bytes),
            '; '.join(_belongs(label, relations)), Names(mapped))


def _belongs(label: str, relations: Relations) -> Iterable[str]:
    generation = relations.generations.get(label)
    if generation is not None:
        yield (f'generation {generation.generation} of {generation.bv} '
               f'({generation.state.value})')
    pair = relations.pairs.get(label)
    if pair is not None:
        yield f'RV of {pair.mv} ({pair.state.value})'
    count = relations.pair_counts.get(label, 0)
    if count:
        yield f'MV of {count}'
    count = relations.generation_counts.get(label, 0)
    if count:
        yield f'BV of {count}'
