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

from collections.abc import Callable, Collection, Iterable
import dataclasses
import functools
import logging
import threading

from cinder_nec import errors, retry
from cinder_nec.backend.access.base import AccessProtocol
from cinder_nec.backend.access.connector import Connector
from cinder_nec.backend.access.control_volume import ControlVolumes
from cinder_nec.backend.copying.base import CopyMethod
from cinder_nec.backend.copying.links import Links, link_name
from cinder_nec.backend.copying.settler import Settler
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.journal import Entry, Kind
from cinder_nec.backend.migration import Migration
from cinder_nec.backend.volumes import (
    ADOPT_AFTER_SECONDS,
    Volumes,
    migrating,
    parked,
    unbinding,
)
from cinder_nec.model import (
    ArrayConfig,
    LdName,
    LogicalDisk,
    Purpose,
    RplAttribute,
)

LOG = logging.getLogger(__name__)

_MOST_LISTED = 20
_UNUSED = ({RplAttribute.IV}, {RplAttribute.NOT_USABLE})


@dataclasses.dataclass(frozen=True)
class Owned:
    """A volume of this service, and what Cinder says of it.

    :param unfinished: an operation on it has died with the last run
    :param hosts: who has it attached; None if that is not known, and then
        nobody is to be cut off
    :param becomes: the volume whose place it takes at the end of a
        migration through a host
    """

    name: LdName
    unfinished: bool = False
    hosts: tuple[Connector, ...] | None = None
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
        self._access = access
        self._clock = clock
        self._links = links
        self._controls = controls
        self._pools = frozenset(pools)
        self._told: set[str] = set()
        self._ending = threading.Lock()
        # When the LD of an entry was first seen to be used by nobody.
        self._seen: dict[str, float] = {}
        # LDs without a name that nothing proves to be this service's.
        self._strangers: frozenset[int] = frozenset()
        self._started_at = 0.0

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
        config = self._inventory.current()
        left = self._volumes.journal.left(Kind.BIND, Kind.CONTROL)
        for one in left:
            if self._find_unused(config, one.entry) is not None:
                self._seen.setdefault(one.entry.key, self._clock.now())
        known = {one.entry.ldn for one in left}
        self._strangers = frozenset(
            ld.ldn for ld in self._nameless(config)) - known
        self._started_at = self._clock.now()

    def go_on(self) -> None:
        """Remove what this service has left and nobody else can be using.

        What its last run was binding, and what an operation could not take
        back because the array was away.  While the service runs, with its
        stats: the array was read just now.  Without such things this costs
        no command.

        Precondition: none.
        Re-entry: what is gone already is passed by.
        Undo: nothing to undo; an LD without a name was never handed out.
        Crash leaves: the LD, perhaps named ``unbind_<number>``; the journal
        keeps its number.
        """
        for left in self._volumes.journal.left(Kind.BIND, Kind.CONTROL):
            if left.age_seconds >= ADOPT_AFTER_SECONDS:
                self._each('LD %d' % left.entry.ldn, functools.partial(
                    self._end_entry, left.entry))
        for name in self._migration.left:
            self._each(f'the migration of `{name}`', functools.partial(
                self._migration.tidy, name))
        self._end_moves()
        now = self._clock.now()
        if self._strangers and now - self._started_at >= ADOPT_AFTER_SECONDS:
            strangers, self._strangers = self._strangers, frozenset()
            self._tell_of_nameless([
                ld for ld in self._nameless(self._inventory.current())
                if ld.ldn in strangers])

    def _end_entry(self, entry: Entry) -> None:
        """Unbind what an entry of the journal proves to be ours.

        One at a time: stats may come together.
        """
        with self._ending:
            if not self._is_left(entry):
                return
            config = self._inventory.refresh()
            # A thread of this process may have taken the number meanwhile.
            if self._is_left(entry):
                self._end(config, entry)

    def _is_left(self, entry: Entry) -> bool:
        return any(left.entry == entry for left
                   in self._volumes.journal.left(entry.kind))

    def _end(self, config: ArrayConfig, entry: Entry) -> None:
        ld = self._find_unused(config, entry)
        if ld is None:
            self._seen.pop(entry.key, None)
            if not _is_in_use(config, entry):
                # It was named, refused, or unbound.
                self._volumes.journal.end(entry)
            return
        now = self._clock.now()
        if now - self._seen.setdefault(entry.key, now) < ADOPT_AFTER_SECONDS:
            return
        del self._seen[entry.key]
        if ld.name == entry.name:
            LOG.info('`%s` is not needed any more.', ld.name)
            self._volumes.unbind(ld.name)
            self._volumes.journal.end(entry)
            return
        LOG.info('LD %d was being bound for `%s` and got no name; it is '
                 'unbound.', entry.ldn, entry.name)
        # What cannot be unbound keeps its entry, which alone is the proof.
        self._tell(self._volumes.unbind_nameless(ld))

    def _find_unused(self, config: ArrayConfig,
                     entry: Entry) -> LogicalDisk | None:
        """Return the LD of an entry if nobody has named it.

        Or a control volume that nothing needs.  Else what is in an LD Set
        or part of a copy is somebody's.
        """
        ld = config.logical_disks.get(entry.ldn)
        if ld is None or ld.pool != entry.pool:
            return None
        if entry.kind is Kind.CONTROL:
            if not ld.has(RplAttribute.NOT_USABLE):
                return None
            if ld.name == entry.name:
                is_idle = (self._controls is not None
                           and self._controls.is_idle(ld))
                return ld if is_idle else None
        elif (ld.attributes != {RplAttribute.IV}
                or ld.capacity_bytes != entry.capacity_bytes):
            return None
        has_no_name = ld.is_nameless or ld.name == unbinding(ld.ldn)
        return ld if has_no_name and not config.mapped_to(ld.ldn) else None

    # -- with them -----------------------------------------------------

    def run(self, volumes: Collection[Owned],
            snapshots: Collection[OwnedSnapshot]) -> None:
        """Go on with, or take back, what concerns these objects.

        Precondition: no operation on them is running.
        Re-entry: what is in order is left alone.
        Undo: nothing to undo; each step is one that an operation takes
        as well.
        Crash leaves: what was not reached; the next start goes on.
        """
        owned = {volume.name: volume for volume in volumes}
        for volume in volumes:
            self._each(f'the migration of `{volume.name}`',
                       functools.partial(self._resume, volume.name))
        self._end_moves()
        self._each('names of migrated volumes',
                   functools.partial(self._end_takes, owned))
        self._each('mappings', functools.partial(
            self._end_maps, owned, {s.name: s for s in snapshots}))
        for snapshot in snapshots:
            self._each(f'the link volume of `{snapshot.name}`',
                       functools.partial(self._end_link, snapshot))
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

    def _end_maps(self, owned: dict[LdName, Owned],
                  snapshots: dict[LdName, OwnedSnapshot]) -> None:
        """Take out of LD Sets what no attachment of Cinder's knows."""
        links = {link_name(s.source, s.name) for s in snapshots.values()}
        config = self._inventory.current()
        for left in self._volumes.journal.left(Kind.MAP):
            name = left.entry.name
            volume = owned.get(name)
            if not _is_mapped(config, left.entry):
                self._volumes.journal.end(left.entry)
                continue
            if volume is not None:
                users = volume.hosts
            elif name in snapshots or name in links:
                # It stays in the journal only until the attach answers.
                users = ()
            else:
                continue
            if users is not None:
                self._each(f'the mapping of `{name}`', functools.partial(
                    self._end_map, left.entry, users))

    def _end_map(self, entry: Entry,
                 users: tuple[Connector, ...]) -> None:
        assert entry.ld_set is not None
        ld = self._inventory.current().get_ld(entry.name)
        if self._access.take_back(ld, entry.ld_set, users):
            LOG.info('`%s` is not in LD Set `%s` any more: no attachment of '
                     'it is known to Cinder.', entry.name, entry.ld_set)

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

    def _nameless(self, config: ArrayConfig) -> list[LogicalDisk]:
        # What is bound and in no copy; a control volume cannot be in one.
        return [ld for ld in config.logical_disks.values()
                if ld.is_nameless and ld.attributes in _UNUSED
                # The array's own, as an SDV is, have no OS type either.
                and ld.purpose is Purpose.ORDINARY
                and (not self._pools or ld.pool in self._pools)
                and not config.mapped_to(ld.ldn)]

    def _tell_of_nameless(self, lds: Collection[LogicalDisk]) -> None:
        """An LD without a name may be anybody's."""
        shown = list(lds)[:_MOST_LISTED]
        self._tell(
            f'LD {ld.ldn} ({ld.ldn:04x}h, {ld.capacity_gib} GiB, pool '
            f'{ld.pool}{_kind(ld)}) has no name. When it is certain that '
            f'nobody uses it: iSMcfg nickname -ldn {ld.ldn} -newname '
            f'{unbinding(ld.ldn)} -immediate, then iSMcfg ldunbind -ldname '
            f'{unbinding(ld.ldn)}' for ld in shown)
        more = [ld.ldn for ld in lds][_MOST_LISTED:]
        if more:
            self._tell([
                f'{len(more)} more LDs have no name: {_numbers(more)}. '
                '`cinder-nec audit` lists them with the commands'])

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


def _is_mapped(config: ArrayConfig, entry: Entry) -> bool:
    ld = config.find_ld(entry.name)
    return ld is not None and any(
        s.name == entry.ld_set for s in config.mapped_to(ld.ldn))


def _kind(ld: LogicalDisk) -> str:
    return (', perhaps a control volume'
            if ld.has(RplAttribute.NOT_USABLE) else '')


def _numbers(ldns: Iterable[int]) -> str:
    """Return numbers in short: ``3, 7-9``."""
    runs: list[list[int]] = []
    for ldn in sorted(ldns):
        if runs and ldn == runs[-1][-1] + 1:
            runs[-1][1:] = [ldn]
        else:
            runs.append([ldn])
    return ', '.join('-'.join(map(str, run)) for run in runs)


def _is_in_use(config: ArrayConfig, entry: Entry) -> bool:
    """Tell whether an entry stays: a control volume is there for long."""
    ld = config.logical_disks.get(entry.ldn)
    return (entry.kind is Kind.CONTROL and ld is not None
            and ld.name == entry.name)
