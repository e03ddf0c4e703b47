# SPDX-License-Identifier: Apache-2.0
"""Checks of pools, reserve areas, running copies, and limits."""

from __future__ import annotations

from collections.abc import Iterable

from cinder_nec import errors
from cinder_nec.assembly import Array, Method
from cinder_nec.backend.copying.pairs import COPYING
from cinder_nec.backend.placement import usable_pools
from cinder_nec.cli.catalog import Level
from cinder_nec.cli.findings import Report
from cinder_nec.cli.relations import pairs_on
from cinder_nec.cli.site import Entry
from cinder_nec.config import BackendConfig
from cinder_nec.model import (
    GIB,
    ArrayConfig,
    LdSet,
    PairState,
    Pool,
    Protocol,
    Purpose,
    TargetMode,
)
from cinder_nec.models import (
    MAX_INITIATORS_PER_LD_SET,
    MAX_WWPNS_PER_LD_SET,
)

NEARLY = 0.9
# Names of the array's own volumes: `Pool0000_SYV0FFF`, `backup_SDV0001`.
_SYSTEM_VOLUME = '_SYV'
_MOVING = COPYING | {PairState.SEPARATING, PairState.RESTORING,
                     PairState.RESTORED}


def check_storage(entry: Entry, array: Array, config: ArrayConfig,
                  report: Report) -> None:
    """Look at pools, reserve areas and pairs."""
    assert entry.config is not None and entry.driver is not None
    is_snapshot = entry.driver.method is Method.SNAPSHOT
    _check_pools(config, entry.config, report)
    _check_backup_pools(config, entry.config, is_snapshot, report)
    _check_reserve(config, entry.config, is_snapshot, report)
    _check_copies(array, config, report)


def check_limits(entry: Entry, config: ArrayConfig, report: Report) -> None:
    """Compare what there is with what the model can hold."""
    assert entry.config is not None and entry.driver is not None
    limits = config.limits
    _near('limit-lds', f'logical disks on the array ({config.product_id})',
          len(config.logical_disks), limits.lds, report)
    _check_own_limit(config, entry.config, report)
    sets = [s for s in config.ld_sets.values()
            if s.protocol is entry.driver.protocol]
    _check_ld_sets(sets, limits.lds_per_ld_set, report)
    if entry.driver.protocol is Protocol.ISCSI and limits.sessions:
        # A host has a session with each target, through each portal.
        used = sum(len(s.mappings) * max(1, len(s.portals))
                   * max(1, len(s.initiators)) for s in sets
                   if s.target_mode is TargetMode.MULTI_TARGET)
        _near('limit-sessions', 'iSCSI sessions if all hosts used all '
              'portals', used, limits.sessions, report, Level.WARNING)


# -- pools ------------------------------------------------------------------

def numbers(pools: Iterable[int]) -> str:
    """Return pool numbers as the options and as NEC's tools have them."""
    return ', '.join(f'{n} ({n:x}h)' for n in sorted(pools)) or 'none'


def _check_pools(config: ArrayConfig, options: BackendConfig,
                 report: Report) -> None:
    missing = set(options.pools) - config.pools.keys()
    if missing or not config.pools:
        report.error('pools', f'nec_pools names {numbers(missing)}; the '
                     f'array has {numbers(config.pools)}.')
    else:
        report.ok('pools', f'{numbers(options.pools)} exist.'
                  if options.pools else 'nec_pools is not set: all pools '
                  f'are used, {numbers(config.pools)}.')
    chosen = {*(p.number for p in usable_pools(config, options.pools)),
              *options.backup_pools}
    full = [pool for pool in usable_pools(config, chosen) if chosen
            and _share_used(pool) >= NEARLY]
    for pool in full:
        report.warning('pool-room', f'Pool {pool.number} has '
                       f'{pool.free_bytes // GIB} GiB of '
                       f'{pool.capacity_bytes // GIB} GiB free.')
    if not full:
        report.ok('pool-room', 'Each pool has more than a tenth free.')


def _share_used(pool: Pool) -> float:
    """By the free capacity: what is used may wrap (ISMCLI.md A.2)."""
    return 1.0 - pool.free_bytes / max(1, pool.capacity_bytes)


def _check_backup_pools(config: ArrayConfig, options: BackendConfig,
                        is_snapshot: bool, report: Report) -> None:
    missing = set(options.backup_pools) - config.pools.keys()
    if missing:
        report.error('backup-pools', 'nec_backup_pools names '
                     f'{numbers(missing)}; the array has '
                     f'{numbers(config.pools)}.')
    elif not options.backup_pools:
        report.warning('backup-pools', 'nec_backup_pools is not set: no '
                       'snapshots can be made.')
    elif is_snapshot and len(options.backup_pools) > 1:
        report.error('backup-pools', 'The snapshot method takes one pool, '
                     f'nec_backup_pools names {len(options.backup_pools)}.')
    elif set(options.backup_pools) & set(options.pools):
        both = set(options.backup_pools) & set(options.pools)
        report.warning('backup-pools', f'{numbers(both)} is for volumes '
                       'and for snapshots.', 'Use separate pools (manual '
                       'chapter 6).')
    else:
        report.ok('backup-pools', f'{numbers(options.backup_pools)} '
                  'exist.')


def _check_reserve(config: ArrayConfig, options: BackendConfig,
                   is_snapshot: bool, report: Report) -> None:
    lds = config.logical_disks.values()
    if not any(ld.purpose is Purpose.RPL for ld in lds):
        report.warning('reserve', 'No replication reserved volume (RSV) '
                       'was seen in any pool: clones cannot be made'
                       + ('.' if is_snapshot else ', nor snapshots.'))
    lacking = [n for n in options.backup_pools if is_snapshot and not any(
        ld.pool == n and ld.purpose is Purpose.INVALID_ATTRIBUTE
        and _SYSTEM_VOLUME not in ld.name.label for ld in lds)]
    if lacking:
        report.warning('reserve', 'No snapshot reserve area (SRA) was seen '
                       f'in pool {numbers(lacking)}.')
    if not report.has('reserve'):
        report.ok('reserve', 'An RSV was seen' + (
            ', and an SRA in the pool for snapshots.'
            if is_snapshot and options.backup_pools else '.'))


def _check_copies(array: Array, config: ArrayConfig,
                  report: Report) -> None:
    try:
        found = pairs_on(array, config)
    except errors.NecError as error:
        report.warning('stopped-copies', f'Pairs cannot be seen: {error}')
        return
    states = [pair.state for pair in found.pairs.values()]
    for pair in found.pairs.values():
        if (pair.state not in _MOVING
                and pair.state is not PairState.SEPARATED):
            report.warning('stopped-copies', f'{pair.mv} to {pair.rv} is '
                           f'in state {pair.state.value}.')
    for problem in found.problems:
        report.warning('stopped-copies', problem)
    if not report.has('stopped-copies'):
        running = sum(state in _MOVING for state in states)
        report.ok('stopped-copies', f'{len(states)} pairs, {running} of '
                  'them copying.')


# -- limits -----------------------------------------------------------------

def _near(check: str, what: str, count: int, limit: int, report: Report,
          worst: Level = Level.ERROR) -> None:
    text = f'{count} of {limit} {what}.'
    if count >= limit:
        report.add(check, worst, text)
    elif count >= NEARLY * limit:
        report.warning(check, text)
    else:
        report.ok(check, text)


def _check_own_limit(config: ArrayConfig, options: BackendConfig,
                     report: Report) -> None:
    if options.max_ld_count is None:
        return
    counts = config.ld_counts()
    pools = usable_pools(config, options.pools)
    _near('limit-backend', 'logical disks in its pools '
          '(nec_backend_max_ld_count)',
          sum(counts[pool.number] for pool in pools), options.max_ld_count,
          report)


def _check_ld_sets(sets: list[LdSet], limit: int, report: Report) -> None:
    fullest = max(sets, default=None, key=lambda s: len(s.mappings))
    if fullest is None:
        return
    for ld_set in sets:
        if ld_set is fullest or len(ld_set.mappings) >= NEARLY * limit:
            _near('limit-ld-set', f'logical disks in LD Set {ld_set.name}',
                  len(ld_set.mappings), limit, report)
        for names, most, what in (
                (ld_set.initiators, MAX_INITIATORS_PER_LD_SET,
                 'initiators'),
                (ld_set.paths, MAX_WWPNS_PER_LD_SET, 'WWPNs')):
            if len(names) >= most:
                _near('limit-hosts', f'{what} in LD Set {ld_set.name}',
                      len(names), most, report, Level.WARNING)
    if not report.has('limit-hosts'):
        report.ok('limit-hosts', 'No LD Set lists as many hosts as it '
                  'can.')
