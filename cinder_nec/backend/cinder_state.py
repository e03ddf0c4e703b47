# SPDX-License-Identifier: Apache-2.0
"""What Cinder has, as values: the audit's other side.

Made from Cinder's objects in the service, or from its API outside of it.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TypeVar


class Phase(enum.Enum):
    """What an object goes through, as far as the array is concerned."""

    #: It is, and stays as it is.
    STEADY = 'steady'
    #: Its LD may not be there yet.
    CREATING = 'creating'
    #: Its LD is there; size, mappings and helpers may change.
    CHANGING = 'changing'
    #: Its LD may be gone already.
    DELETING = 'deleting'
    #: It could not be created, or deleted: its LD may be there or not.
    BROKEN = 'broken'
    #: It is there, and its last change failed.
    HALF_CHANGED = 'half changed'

    @property
    def in_flight(self) -> bool:
        """Tell whether an operation on it is under way."""
        return self in (Phase.CREATING, Phase.CHANGING, Phase.DELETING)

    @property
    def needs_ld(self) -> bool:
        """Tell whether the array must have its LD."""
        return self in (Phase.STEADY, Phase.CHANGING, Phase.HALF_CHANGED)


# Statuses of volumes and snapshots (cinder.objects.fields).
_PHASES = {
    Phase.STEADY: ('available', 'in-use', 'reserved', 'awaiting-transfer',
                   'maintenance', 'error_backing-up', 'error_restoring'),
    Phase.CREATING: ('creating', 'managing', 'downloading'),
    Phase.DELETING: ('deleting', 'unmanaging', 'deleted'),
    Phase.BROKEN: ('error', 'error_deleting', 'error_managing',
                   'error_managing_deleting'),
    Phase.HALF_CHANGED: ('error_extending',),
}
_ATTACHMENT_PHASES = {
    'attached': Phase.STEADY, 'reserved': Phase.CREATING,
    'attaching': Phase.CHANGING, 'detaching': Phase.CHANGING,
    'detached': Phase.DELETING, 'deleted': Phase.DELETING,
    'error_attaching': Phase.BROKEN, 'error_detaching': Phase.BROKEN,
}
_PHASE_OF = {status: phase for phase, statuses in _PHASES.items()
             for status in statuses}
_MIGRATING = ('starting', 'migrating', 'completing')
_TARGET = 'target:'


def phase_of(status: str, migration_status: str | None = None) -> Phase:
    """Return what the statuses of a volume or snapshot mean.

    A status that is not known counts as a change under way: what is there
    is not called wrong because of it.
    """
    if migration_status in _MIGRATING:
        return Phase.CHANGING
    if (migration_status or '').startswith(_TARGET):
        return Phase.CREATING
    return _PHASE_OF.get(status, Phase.CHANGING)


def attachment_phase_of(status: str) -> Phase:
    """Return what the status of an attachment means."""
    return _ATTACHMENT_PHASES.get(status, Phase.CHANGING)


@dataclasses.dataclass(frozen=True)
class CinderVolume:
    """A volume.

    :param name_id: what its LD is named after; not its id after some
        migrations
    :param is_here: it is on one of the audited back ends
    """

    cinder_id: str
    size_gib: int
    phase: Phase = Phase.STEADY
    name_id: str = ''
    is_here: bool = True

    def __post_init__(self) -> None:
        if not self.name_id:
            object.__setattr__(self, 'name_id', self.cinder_id)


@dataclasses.dataclass(frozen=True)
class CinderSnapshot:
    """A snapshot; ``size_gib`` is its volume's when it was taken."""

    cinder_id: str
    volume_id: str
    size_gib: int
    phase: Phase = Phase.STEADY
    is_here: bool = True


@dataclasses.dataclass(frozen=True)
class CinderAttachment:
    """An attachment of a volume to a host.

    :param hosts: initiator names and WWPNs, lower case; empty if unknown
    :param targets: target names that the host was told; empty if unknown
    """

    cinder_id: str
    volume_id: str
    phase: Phase = Phase.STEADY
    hosts: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class CinderState:
    """All that Cinder has, of other back ends too.

    Without the others, their LDs would be taken for nobody's.
    """

    volumes: tuple[CinderVolume, ...] = ()
    snapshots: tuple[CinderSnapshot, ...] = ()
    attachments: tuple[CinderAttachment, ...] = ()

    def until(self, later: CinderState) -> CinderState:
        """Return what was so all the time until ``later``.

        What came, went or changed meanwhile counts as in flight: the array
        was read in between, and may show it before or after.
        """
        return CinderState(_steady(self.volumes, later.volumes),
                           _steady(self.snapshots, later.snapshots),
                           _steady(self.attachments, later.attachments))


_Any = TypeVar('_Any', CinderVolume, CinderSnapshot, CinderAttachment)


def _steady(before: tuple[_Any, ...],
            after: tuple[_Any, ...]) -> tuple[_Any, ...]:
    first = {one.cinder_id: one for one in before}
    last = {one.cinder_id for one in after}
    found: list[_Any] = []
    for one in after:
        was = first.get(one.cinder_id)
        if was is None:
            one = dataclasses.replace(one, phase=Phase.CREATING)
        elif was != one:
            one = dataclasses.replace(one, phase=_between(was, one))
        found.append(one)
    found += [dataclasses.replace(one, phase=Phase.DELETING)
              for one in before if one.cinder_id not in last]
    return tuple(found)


def _between(was: _Any, now: _Any) -> Phase:
    """Return the phase of what changed meanwhile, the laxest of them."""
    for phase in (Phase.DELETING, Phase.CREATING):
        if phase in (was.phase, now.phase):
            return phase
    return Phase.CHANGING
