# SPDX-License-Identifier: Apache-2.0
"""Logical disks as volumes: bind, name, expand, unbind."""

from __future__ import annotations

from collections.abc import Callable, Collection
import logging

from cinder_nec import errors, retry
from cinder_nec.backend import changes, placement
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.journal import Entry, Journal, Kind
from cinder_nec.backend.outcome import carry_out
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.model import (
    DEFAULT_PLATFORM,
    GIB,
    LdName,
    LogicalDisk,
    Pool,
    RplAttribute,
)
from cinder_nec.naming import (
    SUFFIX_MIGRATING,
    SUFFIX_PARKED,
    unbind_label,
)

LOG = logging.getLogger(__name__)

_BIND_TRIES = 16
_GONE = 'Logical Disk `%s` has unbound already.'
# A peer service names an LD right after it has bound it, or after its busy
# answers; an LD that is still without a name then was bound by us.
ADOPT_AFTER_SECONDS = 30.0
_REPLICATION = {RplAttribute.MV, RplAttribute.RV}
_SNAPSHOT = {RplAttribute.BV, RplAttribute.SV, RplAttribute.LV}


class Volumes:
    """Workflows that concern one LD and no copy of it.

    :param journal: where it is written down what has no name yet
    """

    def __init__(self, client: IsmClient, inventory: Inventory,
                 clock: retry.Clock, journal: Journal | None = None) -> None:
        self._client = client
        self._inventory = inventory
        self._clock = clock
        self.journal = journal or Journal()

    # -- finding -------------------------------------------------------

    def find(self, name: LdName) -> LogicalDisk | None:
        """Return an LD by name; reads the array before it says None.

        One whose migration was interrupted gets its name back.
        """
        ld = self._inventory.current().find_ld(name)
        if ld is None:
            ld = self._inventory.refresh().find_ld(name)
        return ld or self._restore(name)

    def get(self, name: LdName) -> LogicalDisk:
        """:raises errors.NotFound: the array has no LD of that name"""
        return self.find(name) or self._inventory.current().get_ld(name)

    def _restore(self, name: LdName) -> LogicalDisk | None:
        """Give an LD back the name that an ended migration took off it.

        A parked LD is the volume.  Without one, ``_m`` is: the vendor's
        drivers unbind the old LD before they rename the copy.  A copy that
        is not complete is paired, or the LD it is made of is there.
        """
        config = self._inventory.current()
        ld = config.find_ld(parked(name)) or config.find_ld(migrating(name))
        if ld is None or ld.attributes != {RplAttribute.IV}:
            return None
        LOG.warning('`%s` is what a migration that did not end has left of '
                    '`%s`; it gets its name back.', ld.name, name)

        def named() -> bool:
            return self._inventory.refresh().find_ld(name) is not None

        carry_out(lambda: self._client.nickname(ld.name, name),
                  happened=named)
        if self._inventory.current().find_ld(name) is None:
            self._inventory.record(changes.named(ld.ldn, name))
        return self._inventory.current().find_ld(name)

    # -- create --------------------------------------------------------

    def create(self, name: LdName, size_gib: int, pools: Collection[int],
               room_gib: int = 0) -> LogicalDisk:
        """Bind an LD of a size in one of ``pools`` and name it.

        ``room_gib`` is the size it will be expanded to later on: its pool
        must have that much room.

        Precondition: none.
        Re-entry: an LD of that name and size is returned as it is.
        Undo: an LD that cannot be named is unbound again.
        Crash leaves: the LD under its name, which the delete of the volume
        unbinds, or for a moment without a name; the journal has its number,
        and the next start unbinds it (:mod:`cinder_nec.backend.recovery`).

        :raises errors.NoCapacity: no room, or no LD number free
        :raises errors.InUse: an LD of that name has another size
        """
        known = self._inventory.current().find_ld(name)
        if known is not None:
            return _same_size(known, size_gib)
        room_gib = max(size_gib, room_gib)
        for _ in range(_BIND_TRIES):
            pool = self._choose_pool(pools, room_gib)
            ld = self._try_bind(pool, size_gib, name)
            if ld is not None:
                return _same_size(self.name_new(ld, name), size_gib)
        raise errors.NoCapacity(
            f'No LD number could be had in {_BIND_TRIES} tries.',
            'Another program binds logical disks at the same time; try '
            'again.')

    def _choose_pool(self, pools: Collection[int], size_gib: int) -> Pool:
        """Choose a pool; the array is read before none has room.

        A peer may have deleted volumes, or a pool may have been extended.
        """
        try:
            return placement.choose_pool(self._inventory.current(), pools,
                                         size_gib)
        except errors.NoCapacity:
            return placement.choose_pool(self._inventory.refresh(), pools,
                                         size_gib)

    def _try_bind(self, pool: Pool, size_gib: int,
                  name: LdName) -> LogicalDisk | None:
        """Bind with a reserved LDN; None: look again and choose anew.

        The journal keeps the number while it may be bound.
        """
        with self._inventory.free_ldn() as ldn:
            ld = LogicalDisk(ldn, unnamed(ldn), pool.number,
                             size_gib * GIB)
            entry = Entry(Kind.BIND, ldn, name, ld.pool, ld.capacity_bytes)
            self.journal.begin(entry)
            try:
                self._client.ldbind(pool.number, ldn, size_gib)
            except errors.OutcomeUnknown as error:
                if not self._is_bound_after_all(entry, ld, error):
                    return None
            except errors.NecError as error:
                self.journal.end(entry)
                if not self._may_bind_elsewhere(error, ld):
                    raise
                return None
            self._inventory.record(changes.bound(ld))
        return ld

    def _may_bind_elsewhere(self, error: errors.NecError,
                            ld: LogicalDisk) -> bool:
        """Tell whether a refused bind is worth another number or pool."""
        if not isinstance(error, errors.CommandFailed):
            return False
        pool = self._inventory.refresh().pools.get(ld.pool)
        return isinstance(error, errors.LdnInUse) or not (
            pool and pool.free_bytes >= ld.capacity_bytes)

    def _is_bound_after_all(self, entry: Entry, ld: LogicalDisk,
                            error: errors.OutcomeUnknown) -> bool:
        """Learn what became of a bind; the journal, too."""
        try:
            is_bound = self._bound_after_all(ld, error)
        except errors.NecError:
            self.journal.leave(entry)
            raise
        if not is_bound:
            # The array may carry it out yet; go_on() of
            # :mod:`cinder_nec.backend.recovery` looks again.
            self.journal.leave(entry)
        return is_bound

    def _bound_after_all(self, ld: LogicalDisk,
                         error: errors.OutcomeUnknown) -> bool:
        """Learn whether an LD was bound although no answer came."""
        LOG.warning('It is not known whether LD %d was bound; reading the '
                    'array again: %s', ld.ldn, error)
        return self.stays_nameless(
            ld, lambda found: found.capacity_bytes == ld.capacity_bytes)

    def stays_nameless(self, ld: LogicalDisk,
                       fits: Callable[[LogicalDisk], bool]) -> bool:
        """Tell whether an LD is there that no peer is about to name.

        Looks twice, since a peer would have named it in between.

        :param fits: whether what is there may be what was to be bound
        """
        def is_there() -> bool:
            found = self._inventory.refresh().logical_disks.get(ld.ldn)
            return (found is not None and found.is_nameless
                    and found.pool == ld.pool and fits(found))

        if not is_there():
            return False
        self._clock.sleep(ADOPT_AFTER_SECONDS)
        return is_there()

    def name_new(self, ld: LogicalDisk, name: LdName) -> LogicalDisk:
        """Name an LD that was just bound; return who has the name.

        An LD that cannot be named is unbound; a peer's may have the name.
        """
        try:
            carry_out(lambda: self._client.nickname_of_ldn(ld.ldn, name),
                      happened=lambda: self._is_named(ld.ldn, name))
        except errors.NecError as error:
            leftovers = self.unbind_nameless(ld)
            if leftovers:
                raise errors.RollbackFailed(error, leftovers) from error
            peers = self._inventory.current().find_ld(name)
            if peers is None:
                raise
            return peers
        self._inventory.record(changes.named(ld.ldn, name))
        self.journal.end_bind(ld.ldn)
        return self._inventory.current().get_ld(name)

    def _is_named(self, ldn: int, name: LdName) -> bool:
        found = self._inventory.refresh().find_ld(name)
        return found is not None and found.ldn == ldn

    def unbind_nameless(self, ld: LogicalDisk) -> list[str]:
        """Unbind an LD that has no name yet; return what is left of it.

        Only a named LD can be unbound, so it gets one that is its own.
        """
        name = unbinding(ld.ldn)
        leftover = (f'LD {ld.ldn} ({ld.ldn:04x}h) without a name: iSMcfg '
                    f'nickname -ldn {ld.ldn} -newname {name} -immediate, '
                    f'then iSMcfg ldunbind -ldname {name}')
        try:
            if ld.name != name:
                carry_out(
                    lambda: self._client.nickname_of_ldn(ld.ldn, name),
                    happened=lambda: self._is_named(ld.ldn, name))
                self._inventory.record(changes.named(ld.ldn, name))
            carry_out(lambda: self._client.ldunbind(name),
                      happened=lambda: self._inventory.refresh().find_ld(
                          name) is None)
        except errors.NecError as error:
            LOG.error('Could not unbind LD %d: %s', ld.ldn, error)
            self.journal.leave(Entry(Kind.BIND, ld.ldn, name))
            return [leftover]
        self._inventory.record(changes.unbound(name))
        self.journal.end_bind(ld.ldn)
        return []

    # -- extend --------------------------------------------------------

    def extend(self, name: LdName, size_gib: int, *,
               paired: bool = False) -> None:
        """Expand an LD to a new total size.

        Precondition: the LD has no snapshots, and it is unpaired, or with
        ``paired`` all its pairs are separated.
        Re-entry: an LD that has the size already is left alone.
        Undo: nothing to undo; an LD cannot shrink.
        Crash leaves: the old or the new size; Cinder's is the one to trust
        after a second try.

        :raises errors.NoCapacity: the pool has not enough room
        :raises errors.InUse: the LD has snapshots or is paired
        """
        check = _check_no_snapshots if paired else _check_expandable
        ld = self._checked(name, check)
        if ld.capacity_bytes >= size_gib * GIB:
            ld = self._inventory.refresh().get_ld(name)
            if ld.capacity_bytes >= size_gib * GIB:
                return
        self.check_room([ld], size_gib)

        def expanded() -> bool:
            found = self._inventory.refresh().get_ld(name)
            if found.capacity_bytes >= size_gib * GIB:
                return True
            check(found)
            self.check_room([found], size_gib)
            return False

        try:
            carry_out(lambda: self._client.ldexpand(ld.ldn, size_gib),
                      happened=expanded)
        except errors.CommandFailed:
            # Another service may have moved the volume to another LD.
            found = self._inventory.current().get_ld(name)
            if found.ldn == ld.ldn:
                raise
            ld = found
            carry_out(lambda: self._client.ldexpand(found.ldn, size_gib),
                      happened=expanded)
        self._inventory.record(changes.expanded(ld.ldn, size_gib))

    def _checked(self, name: LdName,
                 check: Callable[[LogicalDisk], None]) -> LogicalDisk:
        """Return an LD that passes a check; read again before it fails."""
        ld = self.get(name)
        try:
            check(ld)
        except errors.InUse:
            ld = self._inventory.refresh().get_ld(name)
            check(ld)
        return ld

    def check_room(self, lds: Collection[LogicalDisk],
                   size_gib: int) -> None:
        """See that the pools have room for LDs of a new size.

        :raises errors.NoCapacity: with the manual's text (appendix D)
        """
        increase: dict[int, int] = {}
        for ld in lds:
            more = max(0, size_gib * GIB - ld.capacity_bytes)
            increase[ld.pool] = increase.get(ld.pool, 0) + more
        for config in (self._inventory.current, self._inventory.refresh):
            pools = config().pools
            short = [number for number in increase if number not in pools
                     or pools[number].free_bytes < increase[number]]
            if not short:
                return
        pool = self._inventory.current().get_pool(short[0])
        raise errors.NoCapacity(
            f'Not enough pool capacity. pool_number={pool.number}, '
            f'size_increase={increase[pool.number] // GIB} GiB, '
            f'free={pool.free_bytes // GIB} GiB.',
            'Extend the pool or delete volumes in it.')

    # -- rename --------------------------------------------------------

    def rename(self, old_name: LdName, new_name: LdName) -> None:
        """Give an LD another name.

        Precondition: no LD has the new name.
        Re-entry: an LD that has the new name already is left alone.
        Undo: nothing to undo.
        Crash leaves: one of the two names.
        """
        ld = self.find(old_name)
        if ld is None:
            self.get(new_name)
            return

        def renamed() -> bool:
            found = self._inventory.refresh().find_ld(new_name)
            return found is not None and found.ldn == ld.ldn

        carry_out(lambda: self._client.nickname(old_name, new_name),
                  happened=renamed)
        self._inventory.record(changes.named(ld.ldn, new_name))

    def take_name(self, old_name: LdName, new_name: LdName) -> None:
        """Give an LD the name of the volume whose place it takes.

        As :meth:`rename`; but when Cinder is not told, the next start has
        to take it back, and the journal has what the name was.
        """
        ld = self.get(old_name)
        self.journal.begin(Entry(Kind.TAKE, ld.ldn, old_name))
        self.rename(old_name, new_name)

    # -- delete --------------------------------------------------------

    def unbind(self, name: LdName) -> bool:
        """Take an LD out of all LD Sets and unbind it.

        Returns False if it was gone already.

        Precondition: it is not paired and has no snapshots.
        Re-entry: an LD that is gone already is a success.
        Undo: nothing to undo.
        Crash leaves: the LD, perhaps in fewer LD Sets.

        :raises errors.InUse: it has snapshots, is one, or is paired
        """
        ld = self.find(name)
        if ld is None:
            LOG.error(_GONE, name)
            return False
        try:
            self._unbind(ld)
        except (errors.CommandFailed, errors.OutcomeUnknown,
                errors.InUse) as error:
            found = self._inventory.refresh().find_ld(name)
            if found is None:
                was_us = isinstance(error, errors.OutcomeUnknown)
                LOG.log(logging.INFO if was_us else logging.ERROR, _GONE,
                        name)
                return was_us
            LOG.info('Trying once more to unbind `%s`: %s', name, error)
            carry_out(lambda: self._unbind(found),
                      happened=lambda: self._inventory.refresh().find_ld(
                          name) is None)
        return True

    def _unbind(self, ld: LogicalDisk) -> None:
        check_unbindable(ld)
        self.unmap(ld)
        self._client.ldunbind(ld.name)
        self._inventory.record(changes.unbound(ld.name))

    def unmap(self, ld: LogicalDisk) -> None:
        """Take an LD out of every LD Set it is known to be in."""
        for ld_set in self._inventory.current().mapped_to(ld.ldn):
            try:
                self._client.delldsetld(ld_set.name, ld.name)
            except errors.NotMapped:
                LOG.debug('`%s` was not in %s.', ld.name, ld_set.name)
            self._inventory.reservations.release_lun(
                ld_set.name, ld_set.mappings[ld.ldn].lun)
            self._inventory.record(
                changes.unmapped(ld_set.name, ld.ldn))
            self.journal.end_map(ld.name, ld_set.name)


def unnamed(ldn: int) -> LdName:
    """Return what an LD without a name of its own is called here."""
    return LdName('', f'ldn {ldn:04x}h')


def unbinding(ldn: int) -> LdName:
    """Return the name that an LD without one gets to be unbound."""
    return LdName(DEFAULT_PLATFORM, unbind_label(ldn))


def migrating(name: LdName) -> LdName:
    """Return the name of the copy while a volume is being migrated."""
    return LdName(name.platform, name.label + SUFFIX_MIGRATING)


def parked(name: LdName) -> LdName:
    """Return the name of the old LD while the copy takes its name."""
    return LdName(name.platform, name.label + SUFFIX_PARKED)


def check_unbindable(ld: LogicalDisk) -> None:
    """:raises errors.InUse: the LD is part of a copy"""
    if ld.attributes & _REPLICATION:
        raise errors.InUse(
            f'Specified Logical Disk {ld.name} has been copied.',
            'It is still paired; wait for the copy to end.')
    if ld.attributes & _SNAPSHOT:
        raise errors.InUse(
            f'Logical Disk `{ld.name}` has snapshots or is one '
            f'({_attributes(ld)}).', 'Delete its snapshots first.')


def _check_no_snapshots(ld: LogicalDisk) -> None:
    if ld.attributes & _SNAPSHOT:
        raise errors.InUse(
            f'Logical Disk `{ld.name}` has snapshots and cannot be '
            'expanded (manual 7.3.3).', 'Delete its snapshots first.')


def _check_expandable(ld: LogicalDisk) -> None:
    _check_no_snapshots(ld)
    if ld.attributes != {RplAttribute.IV}:
        raise errors.InUse(
            f'RPL Attribute Error. RPL Attribute = {_attributes(ld)}. '
            f'Logical Disk `{ld.name}` cannot be expanded.',
            'Wait until running copies have ended.')


def _same_size(ld: LogicalDisk, size_gib: int) -> LogicalDisk:
    if ld.capacity_bytes == size_gib * GIB:
        return ld
    raise errors.InUse(
        f'Logical Disk `{ld.name}` exists with {ld.capacity_gib} GiB '
        f'instead of {size_gib} GiB.',
        'Delete the volume in Cinder and create it again.')


def _attributes(ld: LogicalDisk) -> str:
    return ', '.join(sorted(a.value for a in ld.attributes))
