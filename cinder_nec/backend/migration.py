# SPDX-License-Identifier: Apache-2.0
"""Moving an LD to another pool of its array (manual 7.3.4).

The copy is made beside the LD, as ``<name>_m``.  Then the names change
hands, the old LD's first::

    1  name, name_m          copied; the pair is taken apart
    2  name_o, name_m        the old LD is parked: no attach finds it
    3  name_o, name          the copy has taken over
    4  name                  the old LD is unbound

Both LDs hold the data from 1 to 3, and in each state the volume is found:
:meth:`cinder_nec.backend.volumes.Volumes.find` gives a parked LD its name
back when the name is free.  Whoever names an LD first wins on the array,
so a migration that is overtaken in state 2 fails and goes back to 1.
"""

from __future__ import annotations

from collections.abc import Collection
import logging

from cinder_nec import errors, retry
from cinder_nec.backend import changes
from cinder_nec.backend.copying.pairs import COPYING, PairCopy
from cinder_nec.backend.copying.settler import Settler
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.io_control import IoControl, IoLimits
from cinder_nec.backend.journal import Entry, Kind
from cinder_nec.backend.outcome import carry_out
from cinder_nec.backend.undo import Undo
from cinder_nec.backend.volumes import Volumes, migrating, parked
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.ismcli.commands import RvUse, VolumeAccess
from cinder_nec.model import (
    GIB,
    ArrayConfig,
    LdName,
    LogicalDisk,
    PairState,
    Purpose,
    RplAttribute,
)

LOG = logging.getLogger(__name__)

_PAIRED = {RplAttribute.MV, RplAttribute.RV}


class Migration:
    """Moves LDs between the pools of one array.

    :param within_seconds: how long one copy may take
    """

    def __init__(self, client: IsmClient, inventory: Inventory,
                 volumes: Volumes, pairs: PairCopy, io_control: IoControl,
                 clock: retry.Clock, within_seconds: float,
                 settler: Settler | None = None) -> None:
        self._client = client
        self._inventory = inventory
        self._volumes = volumes
        self._pairs = pairs
        self._io_control = io_control
        self._clock = clock
        self._within_seconds = within_seconds
        self._settler = settler
        # Volumes that have moved; what they were before is there still.
        self._left: set[LdName] = set()
        # Volumes whose copy has settled and could not be unbound.
        self._copies: dict[LdName, LogicalDisk] = {}

    def is_in(self, name: LdName, pools: Collection[int]) -> bool:
        """Tell whether an LD is in one of some pools; none means all."""
        return not pools or self._volumes.get(name).pool in pools

    def can_copy(self, name: LdName) -> bool:
        """Tell whether the array can make an LD of the same size.

        It binds whole GiB only; an LD that others made may have any size.
        """
        return self._volumes.get(name).capacity_bytes % GIB == 0

    def move(self, name: LdName, pools: Collection[int],
             limits: IoLimits) -> None:
        """Move an LD to one of ``pools``, with new I/O limits.

        Precondition: the LD is mapped nowhere, not paired, and has no
        snapshots.
        Re-entry: what an earlier try has left is removed; an LD that is in
        one of the pools stays where it is.
        Undo: the old LD gets its name back, the copy is removed.
        Crash leaves: one of the states above.  The next start goes back to
        the volume alone (:meth:`resume`), in a cluster that of the service
        that has the migration in its journal; so do the volume's next
        migration and its delete, and any use gives it its name back.

        :raises errors.InUse: mapped, paired, with snapshots, or written to
            meanwhile
        :raises errors.NoCapacity: the pools have no room
        :raises errors.DeadlineExceeded: the copy takes too long
        """
        self.clear(name)
        if self.is_in(name, pools):
            return
        source = self._get_movable(name)
        target = migrating(name)
        with Undo() as undo:
            made = self._volumes.create(target, source.capacity_gib, pools)
            entry = Entry(Kind.MOVE, made.ldn, name)
            self._volumes.journal.begin(entry)
            undo.push(f'{target}: iSMcfg ldunbind -ldname {target}',
                      lambda: self._give_up(entry))
            self._io_control.set(target, limits)
            self._copy(name, target, undo)
            copy = self._park(source, target, undo)
            self._take_over(copy, name)
        if self._remove_parked(name):
            self._volumes.journal.end(entry)

    def _give_up(self, entry: Entry) -> None:
        with self._volumes.journal.taking_back(entry):
            self._unbind(migrating(entry.name))

    # -- before --------------------------------------------------------

    def clear(self, name: LdName) -> None:
        """Remove what an interrupted migration of a volume has left.

        Precondition: no migration of the volume is running.
        Re-entry: what is gone already is passed by.
        Undo: nothing to undo.
        Crash leaves: what was not removed yet.

        :raises errors.NecError: it cannot be removed; the volume is whole
        """
        self._copies.pop(name, None)
        if self._settler is not None:
            # A copy that an earlier run has left is on its way out.
            self._settler.settle_target(migrating(name),
                                        self._within_seconds)
        known = self._inventory.current()
        if not any(known.find_ld(left) for left in (migrating(name),
                                                    parked(name))):
            return
        # The volume first: it may have to take its name from one of them.
        if self._volumes.find(name) is None:
            return
        config = self._inventory.current()
        if config.find_ld(migrating(name)) is not None:
            self._pairs.dissolve(name, migrating(name))
            self._unbind(migrating(name))
        if config.find_ld(parked(name)) is not None:
            self._unbind(parked(name))

    def resume(self, name: LdName) -> list[str]:
        """Go back to the volume alone, without waiting for a copy.

        At the start of the service.  A copy that runs is handed to the
        settler, which removes it when it has come to rest.

        Precondition: no migration of the volume is running.
        Re-entry: what is gone already is passed by.
        Undo: nothing to undo; the LD that is the volume is never touched.
        Crash leaves: what was not removed yet.

        :returns: what must stay, and why, with the commands for it
        :raises errors.NecError: the array refuses it
        """
        names = (migrating(name), parked(name))
        # As of before Cinder was asked: what is there since then is of
        # somebody who is at work.
        known = self._inventory.current()
        before = {known.ldn_by_name.get(one) for one in names} - {None}
        if not before:
            return []
        config = self._inventory.refresh()
        left = [ld for ld in map(config.find_ld, names)
                if ld is not None and ld.ldn in before]
        if not left:
            return []
        volume = self._volumes.find(name)
        if volume is None:
            return [_for_operator(
                f'`{ld.name}`: `{name}` does not exist, so it may be the '
                'volume', f'iSMcfg nickname -ldname {ld.name} -newname '
                f'{name}') for ld in left]
        return [text for ld in left if ld.ldn != volume.ldn
                for text in self._remove_left(volume, ld)]

    def _remove_left(self, volume: LogicalDisk,
                     ld: LogicalDisk) -> list[str]:
        """Remove what is not the volume, as far as that is certain."""
        config = self._inventory.current()
        unbind = f'iSMcfg ldunbind -ldname {ld.name}'
        sets = [f'iSMcfg delldsetld -ldset {s.name} -ldname {ld.name}'
                for s in config.mapped_to(ld.ldn)]
        if sets:
            return [_for_operator(f'`{ld.name}` is in an LD Set', *sets,
                                  unbind)]
        if ld.capacity_bytes > volume.capacity_bytes:
            return [_for_operator(
                f'`{ld.name}` is larger than `{volume.name}`', unbind)]
        if ld.has(RplAttribute.RV):
            return self._end_copy(volume.name, ld, unbind)
        if ld.attributes != {RplAttribute.IV}:
            return [_for_operator(
                f'`{ld.name}` is paired or has snapshots, which have to be '
                'removed first', unbind)]
        LOG.info('`%s` is left of a migration that was broken off; it is '
                 'removed.', ld.name)
        self._unbind(ld.name)
        return []

    def _end_copy(self, name: LdName, ld: LogicalDisk,
                  unbind: str) -> list[str]:
        pair = self._pairs.pair_of_rv(ld.name.label)
        if pair is not None and pair.mv != name.label:
            return [_for_operator(
                f'`{ld.name}` is paired with `{pair.mv}` instead of '
                f'`{name}`', f'iSMrc_pair -unpair -mv {pair.mv} -mvflg ld '
                f'-rv {ld.name.label} -rvflg ld -force all', unbind)]
        LOG.info('Ending the migration of `%s`, which was broken off.', name)
        if pair is not None and pair.state in COPYING:
            self._pairs.stop_following(name, ld.name,
                                       VolumeAccess.READ_WRITE)
        elif pair is None or pair.state is not PairState.SEPARATING:
            self._pairs.dissolve(name, ld.name)
            self._unbind(ld.name)
            return []
        if self._settler is not None:
            self._settler.hand_over(name, ld.name,
                                    lambda: self._unbind_copy(name, ld))
        return []

    def _unbind_copy(self, name: LdName, ld: LogicalDisk) -> None:
        """Unbind a copy that has settled, if it is still the same LD."""
        found = self._inventory.current().find_ld(ld.name)
        if found is None or found.ldn != ld.ldn:
            return
        try:
            self._unbind(ld.name)
        except errors.NecError as error:
            self._copies[name] = ld
            LOG.warning('`%s`, left of a migration that was broken off, '
                        'cannot be unbound; this is tried again later: %s',
                        ld.name, error)

    @property
    def left(self) -> tuple[LdName, ...]:
        """Return the volumes of which an LD too many is there."""
        return (*self._left, *self._copies)

    def tidy(self, name: LdName) -> None:
        """Remove what a volume has left behind, if it has not gone yet.

        Precondition: the volume has moved, or its migration was broken
        off and a new one has not begun.
        Re-entry: what is gone already is passed by.
        Undo: nothing to undo.
        Crash leaves: the LD, which the next start removes.

        :raises errors.NecError: it cannot be removed
        """
        config = self._inventory.refresh()
        copy = self._copies.get(name)
        if copy is not None:
            found = config.find_ld(copy.name)
            if found is not None and found.ldn == copy.ldn:
                self._remove_left(config.get_ld(name), found)
            self._copies.pop(name, None)
        if name not in self._left:
            return
        old = config.find_ld(parked(name))
        if old is not None and config.find_ld(name) is not None:
            self._remove_left(config.get_ld(name), old)
        self._left.discard(name)

    def _get_movable(self, name: LdName) -> LogicalDisk:
        self._volumes.get(name)
        config = self._inventory.refresh()
        ld = config.get_ld(name)
        _check_movable(config, ld)
        return ld

    # -- the copy ------------------------------------------------------

    def _copy(self, name: LdName, target: LdName, undo: Undo) -> None:
        deadline = retry.Deadline.after(self._clock, self._within_seconds)
        undo.push(
            f'the pair of {name} and {target}: iSMrc_pair -unpair '
            f'-mv {name.label} -mvflg ld -rv {target.label} -rvflg ld '
            '-force all',
            lambda: self._take_apart(name, target, deadline))
        self._pairs.start(name, target, RvUse.COMPLETE)
        self._pairs.wait(name, target)
        self._check_equal(name, target)
        self._pairs.unpair(name, target)

    def _check_equal(self, name: LdName, target: LdName) -> None:
        """See that nobody wrote to the volume since the separation.

        Cinder lets a volume be attached while it is migrated.
        """
        pair = self._pairs.pair_of(name.label, target.label)
        if pair is None or pair.state is not PairState.SEPARATED:
            # What differs is not known then, or is not told.
            raise errors.UnexpectedState(
                f'The pair of `{name}` and its copy `{target}` broke.',
                wanted=PairState.SEPARATED.value,
                actual='not paired' if pair is None else pair.state.value,
                hint='Look at the array, and migrate the volume again.')
        if pair.separate_diff_bytes:
            raise errors.InUse(
                f'Logical Disk `{name}` was written to while it was '
                f'copied ({pair.separate_diff_bytes // 1024} KB differ).',
                'Detach the volume and migrate it again.')

    def _take_apart(self, name: LdName, target: LdName,
                    deadline: retry.Deadline) -> None:
        """Undo the pair, but do not wait as long again for a slow copy."""
        pair = self._pairs.pair_of(name.label, target.label)
        if (pair is not None and pair.state is PairState.SEPARATING
                and deadline.passed()):
            raise errors.DeadlineExceeded(
                f'The copy of `{name}` to `{target}` is still running.')
        self._pairs.dissolve(name, target)

    # -- the names -----------------------------------------------------

    def _park(self, source: LogicalDisk, target: LdName,
              undo: Undo) -> LogicalDisk:
        """Take the name off the old LD, and look once more at both.

        From here on nobody attaches, expands or snapshots the old LD by
        its name; what came before shows in the dump.  Return the copy.
        """
        name = source.name
        undo.push(
            f'{parked(name)}, which is the volume: iSMcfg nickname -ldname '
            f'{parked(name)} -newname {name}',
            lambda: self._unpark(source))
        self._volumes.rename(name, parked(name))
        config = self._inventory.refresh()
        old, copy = config.get_ld(parked(name)), config.get_ld(target)
        _check_movable(config, old)
        if (old.ldn, old.capacity_bytes) != (source.ldn,
                                             copy.capacity_bytes):
            raise errors.InUse(
                f'Logical Disk `{name}` was changed while it was moved.',
                'Migrate the volume again.')
        return copy

    def _unpark(self, source: LogicalDisk) -> None:
        found = self._inventory.refresh().find_ld(source.name)
        if found is None:
            self._volumes.rename(parked(source.name), source.name)
        elif found.ldn != source.ldn:
            # The answer was lost, the name was not: the copy has it.
            LOG.warning('`%s` has moved to pool %d although its migration '
                        'failed; `%s` is what it was before.', source.name,
                        found.pool, parked(source.name))

    def _take_over(self, copy: LogicalDisk, name: LdName) -> None:
        def taken_over() -> bool:
            found = self._inventory.refresh().find_ld(name)
            return found is not None and found.ldn == copy.ldn

        carry_out(lambda: self._client.nickname(copy.name, name),
                  happened=taken_over)
        self._inventory.record(changes.named(copy.ldn, name))

    # -- after ---------------------------------------------------------

    def _remove_parked(self, name: LdName) -> bool:
        """The volume has moved, so this is a matter of tidiness.

        Returns whether it is done.
        """
        try:
            self._unbind(parked(name))
            return True
        except errors.NecError as error:
            self._left.add(name)
            LOG.error('`%s` has moved, but the logical disk it was before '
                      'is left on the array as `%s`; this is tried again '
                      'later, and the volume\'s next migration or its '
                      'delete removes it: %s', name, parked(name), error)
            return False

    def _unbind(self, name: LdName) -> None:
        """Unbind an LD that no host uses; the array refuses others.

        It is never unmapped: a host that sees it is a reason to stop.
        """
        def unbound() -> bool:
            return self._inventory.refresh().find_ld(name) is None

        try:
            carry_out(lambda: self._client.ldunbind(name), unbound)
        except errors.CommandFailed as error:
            LOG.info('Trying once more to unbind `%s`: %s', name, error)
            carry_out(lambda: self._client.ldunbind(name), unbound)
        self._inventory.record(changes.unbound(name))


def _for_operator(what: str, *commands: str) -> str:
    return (f'{what}. When it is certain that nobody uses it: '
            f'{", then ".join(commands)}')


def _check_movable(config: ArrayConfig, ld: LogicalDisk) -> None:
    """:raises errors.InUse: the LD must stay (manual 7.3.4, notes)"""
    what = f'Logical Disk `{ld.name}` cannot be migrated'
    if ld.attributes & _PAIRED:
        raise errors.InUse(
            f'{what}: it is paired.',
            'Wait for running copies to end; with the data replication '
            'method, a replication volume may keep its differences '
            '(manual 7.3.4, note 2).')
    if ld.attributes != {RplAttribute.IV}:
        raise errors.InUse(
            f'{what}: it has snapshots or is one.',
            'Delete its snapshots first (manual 7.3.4, note 1).')
    if ld.purpose is not Purpose.ORDINARY:
        raise errors.InUse(f'{what}: its purpose is {ld.purpose.value}.')
    ld_sets = ', '.join(str(s.name) for s in config.mapped_to(ld.ldn))
    if ld_sets:
        raise errors.InUse(f'{what}: it is in LD Set {ld_sets}.',
                           'Detach the volume first.')
