# SPDX-License-Identifier: Apache-2.0
"""The array itself: records, bytes, time, and the checks commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import re
import threading
from typing import Any

from ismsim import models
from ismsim.backing import Backing
from ismsim.clock import Clock
from ismsim.entities import LdKind, LdSet, LogicalDisk, Pool, Settings
from ismsim.messages import Id, Refusal
from ismsim.store import Store

# ASSUMED (ISMCLI.md C: "not found; seen in use: letters, digits, _ and /").
_LD_NAME = re.compile(r'[A-Za-z0-9_/]+')
# ASSUMED; `-` because the in-tree driver cuts set names out of IQNs and
# takes away only `:` and `.` (ISMCLI.md C).
_LDSET_NAME = re.compile(r'[A-Za-z0-9_-]+')


@dataclass
class Rules:
    """Where no source decides: every field may be set in the YAML."""

    # ASSUMED: addldset without -multitarget makes a Normal mode set, as
    # `-multitarget on` would have nothing to switch on otherwise.
    default_multitarget: bool = False
    # ASSUMED: how many targets a new multi-target set shows (the sample
    # of manual 2.1 has 16); further ones are added as needed.
    initial_targets: int = 16
    # ASSUMED from the in-tree driver's test for manageable volumes, which
    # expects that a BV may have a Purpose other than `---`.
    bv_purpose: str = '(invalid attribute)'
    # ASSUMED: which generation without data generationdel takes away.
    generationdel: str = 'oldest'
    # Bytes of the SRA that one snapshot takes.
    sra_per_snapshot: int = 0
    # False: a second change waits for its turn instead of a busy answer.
    busy: bool = True


@dataclass
class Timing:
    """What takes how long, in seconds; `copy_rate` in bytes per second."""

    dump: float = 0.0
    dump_per_ld: float = 0.0
    change: float = 0.0
    query: float = 0.0
    sc_create: float | None = None
    sc_delete: float = 0.0
    copy_rate: float = float('inf')

    def of(self, name: str) -> float:
        """The latency of a kind of command."""
        if name == 'sc_create' and self.sc_create is None:
            return self.change
        return float(getattr(self, name))


class Array:
    """Everything that a command can see. Use it under its lock."""

    def __init__(self, store: Store, backing: Backing, clock: Clock,
                 rules: Rules | None = None, timing: Timing | None = None,
                 limits: dict[str, Any] | None = None) -> None:
        self.lock = threading.RLock()
        self.store = store
        self.backing = backing
        self.clock = clock
        self.rules = rules or Rules()
        self.timing = timing or Timing()
        self.limit_overrides = dict(limits or {})
        self.dump_units_per_ld = 0
        # TCP port of the portals; a data path may have another one.
        self.iscsi_port = 3260
        self.omitted_units: set[str] = set()
        self.observers: list[Callable[[set[tuple[str, Any]]], None]] = []

    @property
    def settings(self) -> Settings:
        """The array-wide record."""
        return self.store.array

    @property
    def limits(self) -> models.ProductLimits:
        """The limits of this model."""
        settings = self.settings
        return models.limits_for(settings.product_id, settings.ism_version,
                                 settings.firmware, self.limit_overrides)

    # -- looking things up, or refusing ----------------------------------

    def need_licence(self, name: str) -> None:
        """Refuse without the licence (ISMCLI.md F, A.4)."""
        if name not in self.settings.licences:
            raise Refusal(Id.NO_LICENCE, name)

    def get_pool(self, number: str) -> Pool:
        """A pool by its decimal number."""
        pool = self.store.pools.get(int(number))
        if pool is None:
            raise Refusal(Id.NO_POOL, number)
        return pool

    def get_ld(self, full_name: str) -> LogicalDisk:
        """An LD by a name with OS type (ISMCLI.md A.1: iSMcfg, iSMioc)."""
        platform, separator, name = full_name.partition(':')
        ld = self.store.find_ld(name)
        # ASSUMED: an LD without an OS type cannot be addressed by name.
        if not separator or ld is None or ld.platform != platform or (
                not platform):
            raise Refusal(Id.NO_LD, full_name)
        return ld

    def get_bare_ld(self, name: str) -> LogicalDisk:
        """An LD by its bare name (ISMCLI.md A.1: iSMrc_*, iSMsc_*)."""
        ld = self.store.find_ld(name)
        if ld is None:
            raise Refusal(Id.NO_LD, name)
        return ld

    def get_ld_by_number(self, ldn: str) -> LogicalDisk:
        """An LD by its decimal number."""
        ld = self.store.lds.get(int(ldn))
        if ld is None:
            raise Refusal(Id.NO_LD, ldn)
        return ld

    def get_ldset(self, name: str) -> LdSet:
        """An LD Set by its name with OS type."""
        ldset = self.store.ldsets.get(name)
        if ldset is None:
            raise Refusal(Id.NO_LDSET, name)
        return ldset

    def new_ld_name(self, full_name: str) -> tuple[str, str]:
        """Check a new name of an LD; returns OS type and bare name."""
        platform, _separator, name = full_name.partition(':')
        if platform not in models.OS_TYPES:
            raise Refusal(Id.BAD_NAME, full_name)
        self.check_bare_name(name)
        return platform, name

    def check_bare_name(self, name: str) -> None:
        """Refuse a bad or used bare name.

        ASSUMED: names are unique without their OS type, because iSMrc_*
        and iSMsc_* take them without it.
        """
        if (len(name) > models.LD_NAME_LENGTH
                or not _LD_NAME.fullmatch(name)):
            raise Refusal(Id.BAD_NAME, name)
        if self.store.find_ld(name) is not None:
            raise Refusal(Id.NAME_USED, name)

    def new_ldset_name(self, full_name: str) -> tuple[str, str]:
        """Check the name of a new LD Set."""
        platform, _separator, name = full_name.partition(':')
        if (platform not in models.OS_TYPES
                or len(name) > models.LDSET_NAME_LENGTH
                or not _LDSET_NAME.fullmatch(name)):
            raise Refusal(Id.BAD_NAME, full_name)
        if full_name in self.store.ldsets:
            raise Refusal(Id.LDSET_USED, full_name)
        return platform, name

    # -- numbers ---------------------------------------------------------

    def used(self, pool: Pool) -> int:
        """Used capacity of a pool; of a thin one what its files take."""
        if pool.actual is None:
            return self.store.allocated(pool.number) + pool.used_offset
        real = sum(self.backing.used(ld.ldn)
                   for ld in self.store.lds.values()
                   if ld.pool == pool.number and ld.kind is not LdKind.LV)
        return real + pool.used_offset

    def free(self, pool: Pool) -> int:
        """Capacity that new LDs can get from a pool."""
        if pool.actual is None:
            return pool.capacity - self.used(pool)
        return pool.capacity - self.store.allocated(pool.number)

    def need_room(self, pool: Pool, size: int) -> None:
        """Refuse what does not fit (ISMCLI.md F, manual appendix D)."""
        if size > self.free(pool):
            raise Refusal(Id.POOL_FULL, f'{pool.number:04x}')

    def need_ldn(self, ldn: str) -> int:
        """Check the number of a new LD (ISMCLI.md C, D.2)."""
        number = int(ldn)
        if number >= self.limits.lds:
            raise Refusal(Id.LDN_RANGE, ldn)
        if number in self.store.lds:
            raise Refusal(Id.LDN_USED, ldn)
        return number

    def need_ld_slot(self, pool: Pool) -> None:
        """Refuse an LD above the limits of ISMCLI.md C."""
        if len(self.store.lds) >= self.limits.lds:
            raise Refusal(Id.LD_LIMIT)
        if self.store.ld_count(pool.number) >= self.limits.lds_per_pool:
            raise Refusal(Id.POOL_LDS, f'{pool.number:04x}')

    def factory_name(self, ldn: int) -> str:
        """The name of an LD that nobody named (ISMCLI.md C, sample)."""
        return f'{self.settings.wwn}{ldn:04X}'

    def rpl_attribute(self, ld: LogicalDisk) -> str:
        """`RPL Attribute` of the dump (ISMCLI.md A.2, B.1)."""
        if ld.kind in (LdKind.CV, LdKind.SYV, LdKind.RSV):
            return '---'
        parts = []
        if self.store.is_mv(ld.ldn):
            parts.append('MV')
        if self.store.is_rv(ld.ldn):
            parts.append('RV')
        if ld.kind is LdKind.SV:
            parts.append('SV')
        if self.store.is_bv(ld.ldn):
            parts.append('BV')
        # ASSUMED: how several attributes are joined (ISMCLI.md B.1: "BV is
        # matched by substring, so combined values may occur").
        # SDV and LV show IV in the in-tree driver's sample dump.
        return '/'.join(parts) or 'IV'

    def purpose(self, ld: LogicalDisk) -> str:
        """`Purpose` of the dump (ISMCLI.md A.2)."""
        if ld.kind is LdKind.RSV:
            return 'RPL'
        if ld.kind in (LdKind.SYV, LdKind.SDV, LdKind.SV):
            return '(invalid attribute)'
        if self.store.is_bv(ld.ldn):
            return self.rules.bv_purpose
        return '---'
