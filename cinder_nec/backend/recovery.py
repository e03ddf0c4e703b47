# SPDX-License-Identifier: Apache-2.0
"""What a service does at its start about what its last run has left.

Copies go on or are taken apart, and what was made half is removed.  Only
two things prove that something may be touched: the Cinder name of a volume
or snapshot that Cinder's database says is this service's, and an entry of
this service's journal.  All else belongs to somebody: to a peer that is at
work right now, to another Cinder, or to the operator.  What this service
might have left and cannot prove is listed once, with the commands.

Nothing here waits for a copy, and no failure keeps the service from
starting: the next start, or the volume's own delete, tries again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
import dataclasses
import functools
import logging

from cinder_nec import errors, retry
from cinder_nec.backend.access.attachments import Users
from cinder_nec.backend.access.base import AccessProtocol
from cinder_nec.backend.access.control_volume import ControlVolumes
from cinder_nec.backend.copying.base import CopyMethod
from cinder_nec.backend.copying.links import Links, link_name
from cinder_nec.backend.copying.settler import Settler
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.journal import Entry, Kind
from cinder_nec.backend.migration import Migration
from cinder_nec.backend.recovery_mappings import LeftMappings, UsersOf
from cinder_nec.backend.recovery_nameless import NamelessLds
from cinder_nec.backend.volumes import (
    ADOPT_AFTER_SECONDS,
    Volumes,
    migrating,
    parked,
)
from cinder_nec.model import LdName, RplAttribute

LOG = logging.getLogger(__name__)

_UNKNOWN = Users(may_be_more=True)


@dataclasses.dataclass(frozen=True)
class Owned:
    """A volume of this service, and what Cinder says of it.

    :param unfinished: an operation on it has died with the last run
    :param becomes: the volume whose place it takes at the end of a
        migration through a host
    """

    name: LdName
    unfinished: bool = False
    becomes: LdName | None = None


@dataclasses.dataclass(frozen=True)
class OwnedSnapshot:
    """A snapshot of this service, and its volume."""

    name: LdName
    source: LdName


class Recovery:
    """Tidies up after the last run of one service.

    :param links: with the snapshot method
    :param controls: with the snapshot method
    :param pools: where this back end binds LDs; none stands for all
    """

    def __init__(self, inventory: Inventory, volumes: Volumes,
                 copying: CopyMethod, settler: Settler,
                 migration: Migration, access: AccessProtocol,
                 clock: retry.Clock, *, links: Links | None = None,
                 controls: ControlVolumes | None = None,
                 pools: Collection[int] = ()) -> None:
        self._inventory = inventory
        self._volumes = volumes
        self._copying = copying
        self._settler = settler
        self._migration = migration
        self._links = links
        self._told: set[str] = set()
        self._nameless = NamelessLds(
            inventory, volumes, clock, self._each, self._tell,
            controls=controls, pools=pools)
        self._mappings = LeftMappings(
            inventory, volumes.journal, access, self._each,
            ADOPT_AFTER_SECONDS)

    # -- without Cinder's objects --------------------------------------

    def start(self) -> None:
        """Take a first look at what the last run has left without a name.

        A peer names an LD right after it has bound it.  So one that this
        service was about to bind, and that is without a name at two looks
        with some time between, is this service's: :meth:`go_on` takes the
        second look.  Others without a name are only told of.

        Precondition: the array was read.
        Re-entry: the time begins anew.
        Undo: nothing to undo, nothing is changed.
        Crash leaves: what was there.
        """
        self._nameless.start()

    def go_on(self, users_of: UsersOf = lambda _: _UNKNOWN) -> None:
        """Remove what this service has left and nobody else can be using.

        What its last run was binding or mapping, and what an operation
        could not take back because the array was away.  While the service
        runs, with its stats: the array was read just now.  Without such
        things this costs no command.

        Precondition: none.
        Re-entry: what is gone already is passed by.
        Undo: nothing to undo; an LD without a name was never handed out.
        Crash leaves: the LD, perhaps named ``unbind_<number>``, or the
        mapping; the journal keeps it.

        :param users_of: reads who has a volume attached
        """
        self._nameless.go_on()
        for name in self._migration.left:
            self._each(f'the migration of `{name}`', functools.partial(
                self._migration.tidy, name))
        self._end_moves()
        self._each('copies back', self._end_reverts)
        self._each('mappings', lambda: self._mappings.go_on(users_of))
        self._nameless.tell_of_strangers()

    # -- with them -----------------------------------------------------

    def run(self, volumes: Collection[Owned],
            snapshots: Collection[OwnedSnapshot],
            users: Mapping[LdName, Users] | None = None) -> None:
        """Go on with, or take back, what concerns these objects.

        Precondition: no operation on them is running.
        Re-entry: what is in order is left alone.
        Undo: nothing to undo; each step is one that an operation takes
        as well.
        Crash leaves: what was not reached; the next start goes on.

        :param users: who has volumes attached, of those as well that
            another service of this cluster may be at work on
        """
        owned = {volume.name: volume for volume in volumes}
        for volume in volumes:
            self._each(f'the migration of `{volume.name}`',
                       functools.partial(self._resume, volume.name))
        self._end_moves()
        self._each('names of migrated volumes',
                   functools.partial(self._end_takes, owned))
        self._each('mappings', functools.partial(
            self._mappings.start,
            users or {},
            {name for s in snapshots
             for name in (s.name, link_name(s.source, s.name))}))
        for snapshot in snapshots:
            self._each(f'the link volume of `{snapshot.name}`',
                       functools.partial(self._end_link, snapshot))
        self._each('copies back', self._end_reverts)
        self._each('copies', lambda: self._settler.adopt(
            owned, [v.name for v in volumes if v.unfinished]))
        self._each('kept differences', self._copying.tidy)

    def _resume(self, name: LdName) -> None:
        self._tell(self._migration.resume(name))

    def _end_moves(self) -> None:
        for left in self._volumes.journal.left(Kind.MOVE):
            self._each(f'the migration of `{left.entry.name}`',
                       functools.partial(self._resume_own, left.entry))

    def _resume_own(self, entry: Entry) -> None:
        """Go back from a migration that this service has begun.

        Whoever of a cluster the volume is with now: the LD that was to take
        its place proves that nobody has begun another one since.
        """
        config = self._inventory.current()
        if any(ld is not None and ld.ldn == entry.ldn for ld in map(
                config.find_ld, (entry.name, migrating(entry.name)))):
            self._resume(entry.name)
            config = self._inventory.current()
        if not any(map(config.find_ld, (migrating(entry.name),
                                        parked(entry.name)))):
            self._volumes.journal.end(entry)

    def _end_reverts(self) -> None:
        """End copies back to volumes that this service has begun.

        Whoever of a cluster the volume is with now; a peer that was asked
        to revert it since has taken the pair of this one apart.
        """
        config = self._inventory.current()
        for left in self._volumes.journal.left(Kind.REVERT):
            name = left.entry.name
            ld = config.find_ld(name)
            if (ld is None or ld.ldn != left.entry.ldn
                    or not ld.has(RplAttribute.RV)):
                self._volumes.journal.end(left.entry)
            elif not self._settler.is_target(name):
                self._settler.adopt([name], [name])

    def _end_takes(self, owned: dict[LdName, Owned]) -> None:
        """Give back the names of LDs whose migration did not end.

        Cinder knows such an LD by its own name still.
        """
        config = self._inventory.current()
        for left in self._volumes.journal.left(Kind.TAKE):
            volume = owned.get(left.entry.name)
            ld = config.logical_disks.get(left.entry.ldn)
            if ld is None or ld.name == left.entry.name:
                self._volumes.journal.end(left.entry)
            elif (volume is not None and volume.becomes == ld.name
                  and config.find_ld(volume.name) is None):
                LOG.info('`%s` gets its name `%s` back: its migration has '
                         'not ended.', ld.name, volume.name)
                self._volumes.rename(ld.name, volume.name)
                self._volumes.journal.end(left.entry)

    def _end_link(self, snapshot: OwnedSnapshot) -> None:
        """Remove an LV that no host sees."""
        if self._links is None or not self._links.is_known(
                snapshot.source, snapshot.name):
            return
        config = self._inventory.current()
        lv = config.get_ld(link_name(snapshot.source, snapshot.name))
        if not config.mapped_to(lv.ldn):
            LOG.info('`%s` shows its snapshot to nobody; it is removed.',
                     lv.name)
            self._links.remove(snapshot.source, snapshot.name)

    # -- telling -------------------------------------------------------

    def _tell(self, things: Iterable[str]) -> None:
        for thing in things:
            if thing not in self._told:
                self._told.add(thing)
                LOG.warning('This driver cannot decide about something on '
                            'the array: %s', thing)

    @staticmethod
    def _each(what: str, step: Callable[[], object]) -> None:
        """Take one step; its failure must not keep others from it."""
        try:
            step()
        except errors.NecError as error:
            LOG.warning('What is left of a broken off operation, %s: the '
                        'next start, or a delete, goes on with it. %s',
                        what, error)
