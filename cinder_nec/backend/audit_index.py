# SPDX-License-Identifier: Apache-2.0
"""Both sides of an audit, and what its parts look up in them."""

from __future__ import annotations

from collections.abc import Collection
import dataclasses
import functools
import re

from cinder_nec import naming
from cinder_nec.backend.cinder_state import (
    CinderAttachment,
    CinderSnapshot,
    CinderState,
    CinderVolume,
)
from cinder_nec.backend.findings import Place, Standing, Step
from cinder_nec.ismcli import commands
from cinder_nec.ismcli.commands import Command
from cinder_nec.model import (
    DEFAULT_PLATFORM,
    ArrayConfig,
    LdName,
    LdSet,
    LogicalDisk,
    PairStatus,
    RplAttribute,
    SnapStatus,
)

_MOVABLE = (frozenset({RplAttribute.IV}),
            frozenset({RplAttribute.NOT_USABLE}))


@dataclasses.dataclass(frozen=True)
class ArrayState:
    """What the array has; None where it was not asked.

    :param pairs: of LDs with Cinder names
    :param generations: of the same
    :param not_read: LDs whose pairs or generations the array did not
        show, and why
    """

    config: ArrayConfig
    pairs: tuple[PairStatus, ...] | None = None
    generations: tuple[SnapStatus, ...] | None = None
    not_read: tuple[tuple[LdName, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class AuditScope:
    """Which part of the array is looked at.

    :param pools: of all audited back ends, ``nec_pools`` and
        ``nec_backup_pools``; empty for all of the array
    :param control_volume_format: ``nec_cv_ldname_format``
    """

    pools: frozenset[int] = frozenset()
    platform: str = DEFAULT_PLATFORM
    control_volume_format: str = 'LX:__ControlVolume_%xh'

    @classmethod
    def of(cls, pools: Collection[int], backup_pools: Collection[int],
           platform: str = DEFAULT_PLATFORM,
           control_volume_format: str = 'LX:__ControlVolume_%xh'
           ) -> AuditScope:
        """Return the scope of one back end; no ``pools`` means all."""
        both = frozenset(pools) | frozenset(backup_pools)
        return cls(both if pools else frozenset(), platform,
                   control_volume_format)

    def has(self, ld: LogicalDisk) -> bool:
        return not self.pools or ld.pool in self.pools

    def is_control_volume(self, name: LdName) -> bool:
        before, _, after = self.control_volume_format.partition('%x')
        return re.fullmatch(
            re.escape(before) + '[0-9a-f]{1,4}' + re.escape(after),
            str(name)) is not None


class Index:
    """What there is, by the keys that the audit asks by.

    An id here is what an LD is named after: a volume's ``name_id`` or a
    snapshot's id.
    """

    def __init__(self, array: ArrayState, cinder: CinderState,
                 scope: AuditScope) -> None:
        self.array = array
        self.cinder = cinder
        self.scope = scope
        self.disks = tuple(ld for ld in array.config.logical_disks.values()
                           if scope.has(ld))
        self.volumes: dict[str, CinderVolume] = {
            v.name_id: v for v in cinder.volumes}
        self.snapshots: dict[str, CinderSnapshot] = {
            s.cinder_id: s for s in cinder.snapshots}
        self._by_label = {ld.name.label: ld for ld in
                          array.config.logical_disks.values()}
        self._attachments: dict[str, list[CinderAttachment]] = {}
        for attachment in cinder.attachments:
            self._attachments.setdefault(attachment.volume_id, []).append(
                attachment)
        self._sets: dict[int, list[LdSet]] = {}
        for ld_set in array.config.ld_sets.values():
            for ldn in ld_set.mappings:
                self._sets.setdefault(ldn, []).append(ld_set)

    # -- finding -------------------------------------------------------

    def find(self, label: str) -> LogicalDisk | None:
        """Return an LD by its name without the OS type."""
        return self._by_label.get(label)

    def volume_ld(self, volume: CinderVolume) -> LogicalDisk | None:
        return self.find(naming.ld_name(volume.name_id))

    def has_lost_its_name(self, name_id: str) -> bool:
        """Tell whether a volume's LD is found under a migration's name."""
        label = naming.ld_name(name_id)
        return any(label + suffix in self._by_label for suffix in (
            naming.SUFFIX_PARKED, naming.SUFFIX_MIGRATING))

    def is_known(self, found: str) -> bool:
        """Tell whether Cinder has a volume or snapshot of an LD."""
        return found in self.volumes or found in self.snapshots

    def attachments_of(self, volume: CinderVolume
                       ) -> tuple[CinderAttachment, ...]:
        return tuple(self._attachments.get(volume.cinder_id, ()))

    def sets_of(self, ld: LogicalDisk) -> tuple[LdSet, ...]:
        """Return the LD Sets that an LD is in."""
        return tuple(self._sets.get(ld.ldn, ()))

    def bv_of(self, sv: str) -> LdName | None:
        """Return the BV of an SV, None if it was not asked for."""
        for generation in self.array.generations or ():
            if generation.sv == sv:
                ld = self.find(generation.bv)
                return None if ld is None else ld.name
        return None

    # -- what is under way ---------------------------------------------

    @functools.cached_property
    def anything_moves(self) -> bool:
        """Tell whether any operation is under way."""
        phases = {v.phase for v in self.cinder.volumes}
        phases |= {s.phase for s in self.cinder.snapshots}
        phases |= {a.phase for a in self.cinder.attachments}
        return any(phase.in_flight for phase in phases)

    @functools.cached_property
    def _moving(self) -> frozenset[str]:
        """Ids whose LDs may just be changed.

        A volume moves with its snapshots and attachments, a snapshot with
        its volume: a backup of a volume uses a snapshot of it.
        """
        moving = {v.cinder_id for v in self.cinder.volumes
                  if v.phase.in_flight}
        moving |= {a.volume_id for a in self.cinder.attachments
                   if a.phase.in_flight}
        moving |= {s.volume_id for s in self.cinder.snapshots
                   if s.phase.in_flight}
        names = {v.name_id for v in self.cinder.volumes
                 if v.cinder_id in moving}
        return frozenset(moving | names | {
            s.cinder_id for s in self.cinder.snapshots
            if s.phase.in_flight or s.volume_id in moving})

    def is_moving(self, found: str) -> bool:
        """Tell whether an operation on a volume or snapshot is under way."""
        return found in self._moving

    def standing_of(self, found: str) -> Standing:
        return self.standing_if(self.is_moving(found))

    def standing_if(self, moves: bool) -> Standing:
        return Standing.IN_FLIGHT if moves else Standing.DIFFERENCE

    # -- what would mend it --------------------------------------------

    def on_array(self, command: Command) -> Step:
        return Step(Place.ARRAY, command.text)

    def is_idle(self, ld: LogicalDisk) -> bool:
        """Tell whether nothing on the array uses an LD."""
        return (ld.attributes in _MOVABLE
                and not self.sets_of(ld))

    def unmapping(self, ld: LogicalDisk) -> tuple[Step, ...]:
        return tuple(self.on_array(commands.delldsetld(s.name, ld.name))
                     for s in self.sets_of(ld))

    def unpairing(self, ld: LogicalDisk) -> tuple[Step, ...]:
        return tuple(self.on_array(commands.rc_unpair(p.mv, p.rv,
                                                      force=True))
                     for p in self.array.pairs or ()
                     if ld.name.label in (p.mv, p.rv))

    def unbinding(self, ld: LogicalDisk) -> tuple[Step, ...]:
        """Return what removes an LD with its mappings and pairs."""
        return (*self.unmapping(ld), *self.unpairing(ld),
                self.on_array(commands.ldunbind(ld.name)))
