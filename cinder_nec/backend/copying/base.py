# SPDX-License-Identifier: Apache-2.0
"""What a copy method does, and what both methods share."""

from __future__ import annotations

import abc
from collections.abc import Callable, Collection, Iterator
import contextlib
import logging

from cinder_nec import errors, retry
from cinder_nec.backend.claims import Claims
from cinder_nec.backend.copying.pairs import MAX_PAIRS, PairCopy
from cinder_nec.backend.copying.replicas import Replicas
from cinder_nec.backend.copying.settler import Settler
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.undo import Undo
from cinder_nec.backend.volumes import Volumes
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.ismcli.commands import CopyRange, RvUse, VolumeAccess
from cinder_nec.model import LdName, LogicalDisk, RplAttribute

LOG = logging.getLogger(__name__)

# How long an operation waits for a copy that settles before it is refused;
# a volume whose delete is refused becomes available again in Cinder.
SETTLE_WITHIN_SECONDS = 600.0
DELETE_WITHIN_SECONDS = 60.0
_PAIRED = {RplAttribute.MV, RplAttribute.RV}
_NO_SOURCE = {RplAttribute.NOT_USABLE, RplAttribute.UNRECOGNIZED}


class CopyMethod(abc.ABC):
    """Snapshots, volumes from snapshots, clones, and deleting all of them.

    :param backup_pools: where snapshots are kept (``nec_backup_pools``)
    :param waits: ``nec_clone_wait_for_copy``: a copy is handed out when all
        of it is copied, not when it can be read
    """

    def __init__(self, client: IsmClient, inventory: Inventory,
                 volumes: Volumes, pairs: PairCopy,
                 backup_pools: Collection[int], *, claims: Claims,
                 settler: Settler, waits: bool = False) -> None:
        self._client = client
        self._inventory = inventory
        self._volumes = volumes
        self._pairs = pairs
        self._backup_pools = tuple(backup_pools)
        self._claims = claims
        self._settler = settler
        self._waits = waits
        self._replicas = Replicas(inventory, volumes, pairs, claims,
                                  self._backup_pools, settler.is_target)

    @abc.abstractmethod
    def create_snapshot(self, source: LdName, snapshot: LdName) -> None:
        """Freeze the content of ``source`` as ``snapshot``."""

    @abc.abstractmethod
    def delete_snapshot(self, source: LdName, snapshot: LdName, *,
                        force: bool = False) -> None:
        """Remove a snapshot; one that is gone already is a success.

        :param force: keep nothing of it for the next snapshot
        """

    @abc.abstractmethod
    def volume_from_snapshot(self, source: LdName, snapshot: LdName,
                             snapshot_gib: int, volume: LdName,
                             volume_gib: int,
                             pools: Collection[int]) -> None:
        """Make a volume with the content of a snapshot of ``source``."""

    def revert(self, source: LdName, snapshot: LdName) -> None:
        """Give ``source`` the content of a snapshot of it back."""
        raise errors.StateError(
            f'`{source}` cannot be reverted to a snapshot by this method.')

    def tidy(self) -> int:
        """Remove what crashes left and nobody refers to; never fails.

        Returns how many LDs that were.
        """
        return 0

    # -- copies --------------------------------------------------------

    def clone(self, source: LdName, source_gib: int, volume: LdName,
              volume_gib: int, pools: Collection[int]) -> None:
        """Make a volume with the content ``source`` has now.

        It is ready when its content can be read, and settles then; one
        that is larger than its source has to be copied first.

        Precondition: the source has fewer than three pairs.  An RV that
        only keeps differences gives way, and copies that settle are
        waited for.
        Re-entry: an LD of the new name and the source's size is used.
        Undo: the pair is taken apart and the new LD unbound.
        Crash leaves: the new LD under its name, perhaps paired; deleting
        the volume removes both, and a new service lets it settle.

        :raises errors.PairLimit: the source has three pairs
        """
        self._settler.settle_target(source, SETTLE_WITHIN_SECONDS)
        self._get_usable(source)
        try:
            self._replicas.ensure_place(source, 'clone volume')
        except errors.PairLimit:
            self._settler.meet_peers(source)
            if not self._settler.involving(source):
                raise
        with Undo() as undo:
            self._bind_target(undo, volume, source_gib, volume_gib, pools)
            self._copy(undo, source, volume, RvUse.IMMEDIATE,
                       'clone volume', settles=volume_gib == source_gib)
            if volume_gib > source_gib:
                self._volumes.extend(volume, volume_gib)

    def _get_usable(self, source: LdName) -> LogicalDisk:
        """Return an LD that can be copied; read again before it fails.

        :raises errors.StateError: its RPL attribute forbids it
        """
        ld = self._volumes.get(source)
        if ld.attributes & _NO_SOURCE:
            ld = self._inventory.refresh().get_ld(source)
        if ld.attributes & _NO_SOURCE:
            found = ', '.join(sorted(a.value for a in ld.attributes))
            raise errors.StateError(
                f'RPL Attribute Error. RPL Attribute = {found}. Logical '
                f'Disk `{source}` cannot be copied.', 'Change its RPL Type '
                'to IV with the iSM client and try again.')
        return ld

    def _bind_target(self, undo: Undo, volume: LdName, size_gib: int,
                     volume_gib: int, pools: Collection[int]) -> None:
        self._volumes.create(volume, size_gib, pools, volume_gib)
        undo.push(f'{volume}: iSMcfg ldunbind -ldname {volume}',
                  lambda: self._volumes.unbind(volume))

    def _copy(self, undo: Undo, source: LdName, volume: LdName,
              use: RvUse, what: str, *, settles: bool = False,
              then: Callable[[], object] = lambda: None) -> None:
        """Copy all of ``source`` to a new LD; both are unpaired then.

        :param settles: the caller need not wait for the end
        :param then: what is to be done at the end
        """
        self._push_dissolve(undo, source, volume)
        with (self._replicas.being_copied(volume),
              self._pair_in_turn(source, volume, what)):
            self._pairs.copy(source, volume, CopyRange.FULL, use,
                             VolumeAccess.READ_WRITE)
            if settles and not self._waits:
                self._settler.hand_over(source, volume, then)
                return
            self._pairs.wait(source, volume)
            self._pairs.unpair(source, volume)
        then()

    @contextlib.contextmanager
    def _pair_in_turn(self, source: LdName, volume: LdName,
                      what: str) -> Iterator[None]:
        """Pair two LDs when there is a place; first come, first served.

        The claim is held while copies of this one source end: who comes
        later would only be refused.  For the time of the block the pair
        counts as one that somebody looks after.
        """
        with contextlib.ExitStack() as place:
            with self._claims.of(('pairing', source)):
                self._pair_when_possible(source, volume, what)
                place.enter_context(self._settler.place(source))
            yield

    def _pair_when_possible(self, source: LdName, volume: LdName,
                            what: str) -> None:
        deadline = self._pairs.deadline()
        while True:
            self._settler.wait_for_place(source, MAX_PAIRS, deadline)
            try:
                self._pair(source, volume, what)
                return
            except errors.PairLimit:
                if not self._make_place(source, what, deadline):
                    raise

    def _pair(self, source: LdName, volume: LdName, what: str) -> None:
        self._pairs.pair(source, volume, what)

    def _make_place(self, source: LdName, what: str,
                    deadline: retry.Deadline) -> bool:
        try:
            self._replicas.ensure_place(source, what, refused=True)
        except errors.PairLimit:
            return self._settler.wait_for_less(source, deadline)
        return not deadline.passed()

    def _push_dissolve(self, undo: Undo, mv: LdName, rv: LdName) -> None:
        undo.push(f'the pair of {mv} and {rv}: iSMrc_pair -unpair '
                  f'-mv {mv.label} -mvflg ld -rv {rv.label} -rvflg ld '
                  '-force all', lambda: self._pairs.dissolve(mv, rv))

    # -- volumes that may be copied ------------------------------------

    def extend_volume(self, name: LdName, size_gib: int) -> None:
        """Expand a volume; see :meth:`Volumes.extend`."""
        self._prepare_extend(name)
        self._volumes.extend(name, size_gib)

    def _prepare_extend(self, name: LdName) -> None:
        """Wait for its copies, and know its LDN.

        ``ldexpand`` takes the LDN.  A peer that has moved the volume has
        left the old one to whoever binds next.
        """
        self._settler.settle(name, SETTLE_WITHIN_SECONDS)
        if self._settler.has_peers:
            self._inventory.refresh()

    def delete_volume(self, name: LdName) -> bool:
        """Unbind a volume's LD; a half-made copy is taken apart first.

        RVs that keep differences of deleted snapshots go with it.
        Returns False if the LD was gone already.

        Precondition: none.
        Re-entry: an LD that is gone already is a success.
        Undo: nothing to undo.
        Crash leaves: the LD, perhaps unpaired or unmapped, and fewer RVs
        of deleted snapshots.

        :raises errors.InUse: it has snapshots, or a copy of it is running
        """
        self._settler.settle(name, DELETE_WITHIN_SECONDS)
        ld = self._volumes.find(name)
        if ld is None:
            LOG.error('Logical Disk `%s` has unbound already.', name)
            return False
        self._unpair_all(ld)
        try:
            return self._volumes.unbind(name)
        except errors.InUse:
            found = self._inventory.current().find_ld(name)
            if found is None or not found.attributes & _PAIRED:
                raise
            self._unpair_all(found)
            return self._volumes.unbind(name)

    def _unpair_all(self, ld: LogicalDisk) -> None:
        if ld.has(RplAttribute.RV):
            pair = self._pairs.pair_of_rv(ld.name.label)
            if pair is not None:
                self._pairs.dissolve(LdName(ld.name.platform, pair.mv),
                                     ld.name)
        if ld.has(RplAttribute.MV):
            self._replicas.release(ld.name)
