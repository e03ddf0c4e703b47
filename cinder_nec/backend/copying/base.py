# SPDX-License-Identifier: Apache-2.0
"""What a copy method does, and what both methods share."""

from __future__ import annotations

import abc
from collections.abc import Collection
import logging

from cinder_nec import errors
from cinder_nec.backend.claims import Claims
from cinder_nec.backend.copying.pairs import PairCopy
from cinder_nec.backend.copying.replicas import Replicas
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.undo import Undo
from cinder_nec.backend.volumes import Volumes
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.ismcli.commands import RvUse
from cinder_nec.model import LdName, LogicalDisk, RplAttribute

LOG = logging.getLogger(__name__)

_PAIRED = {RplAttribute.MV, RplAttribute.RV}


class CopyMethod(abc.ABC):
    """Snapshots, volumes from snapshots, clones, and deleting all of them.

    :param backup_pools: where snapshots are kept (``nec_backup_pools``)
    """

    def __init__(self, client: IsmClient, inventory: Inventory,
                 volumes: Volumes, pairs: PairCopy,
                 backup_pools: Collection[int], *, claims: Claims) -> None:
        self._client = client
        self._inventory = inventory
        self._volumes = volumes
        self._pairs = pairs
        self._backup_pools = tuple(backup_pools)
        self._claims = claims
        self._replicas = Replicas(inventory, volumes, pairs, claims,
                                  self._backup_pools)

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

    # -- copies --------------------------------------------------------

    def clone(self, source: LdName, source_gib: int, volume: LdName,
              volume_gib: int, pools: Collection[int]) -> None:
        """Make a volume with the content ``source`` has now.

        Precondition: the source has fewer than three pairs.  An RV that
        only keeps differences gives way.
        Re-entry: an LD of the new name and the source's size is used.
        Undo: the pair is taken apart and the new LD unbound.
        Crash leaves: the new LD under its name, perhaps paired; deleting
        the volume removes both.

        :raises errors.PairLimit: the source has three pairs
        """
        self._volumes.get(source)
        self._replicas.ensure_place(source, 'clone volume')
        self._copy_to_new(source, source_gib, volume, volume_gib, pools,
                          RvUse.IMMEDIATE)

    def _copy_to_new(self, source: LdName, source_gib: int, volume: LdName,
                     volume_gib: int, pools: Collection[int],
                     use: RvUse) -> None:
        with Undo() as undo:
            self._bind_target(undo, volume, source_gib, volume_gib, pools)
            self._copy(undo, source, volume, use, 'clone volume')
            if volume_gib > source_gib:
                self._volumes.extend(volume, volume_gib)

    def _bind_target(self, undo: Undo, volume: LdName, size_gib: int,
                     volume_gib: int, pools: Collection[int]) -> None:
        self._volumes.create(volume, size_gib, pools, volume_gib)
        undo.push(f'{volume}: iSMcfg ldunbind -ldname {volume}',
                  lambda: self._volumes.unbind(volume))

    def _copy(self, undo: Undo, source: LdName, volume: LdName,
              use: RvUse, what: str) -> None:
        """Copy all of ``source`` to a new LD; both are unpaired then."""
        self._push_dissolve(undo, source, volume)
        with self._replicas.being_copied(volume):
            try:
                self._pairs.start(source, volume, use, what=what)
            except errors.PairLimit:
                self._replicas.ensure_place(source, what, refused=True)
                self._pairs.start(source, volume, use, what=what)
            self._pairs.wait(source, volume)
            self._pairs.unpair(source, volume)

    def _push_dissolve(self, undo: Undo, mv: LdName, rv: LdName) -> None:
        undo.push(f'the pair of {mv} and {rv}: iSMrc_pair -unpair '
                  f'-mv {mv.label} -mvflg ld -rv {rv.label} -rvflg ld '
                  '-force all', lambda: self._pairs.dissolve(mv, rv))

    # -- volumes that may be copied ------------------------------------

    def extend_volume(self, name: LdName, size_gib: int) -> None:
        """Expand a volume; see :meth:`Volumes.extend`."""
        self._volumes.extend(name, size_gib)

    def delete_volume(self, name: LdName) -> None:
        """Unbind a volume's LD; a half-made copy is taken apart first.

        RVs that keep differences of deleted snapshots go with it.

        Precondition: none.
        Re-entry: an LD that is gone already is a success.
        Undo: nothing to undo.
        Crash leaves: the LD, perhaps unpaired or unmapped, and fewer RVs
        of deleted snapshots.

        :raises errors.InUse: it has snapshots, or a copy of it is running
        """
        ld = self._volumes.find(name)
        if ld is None:
            LOG.info('Logical Disk `%s` has unbound already.', name)
            return
        self._unpair_all(ld)
        try:
            self._volumes.unbind(name)
        except errors.InUse:
            found = self._inventory.current().find_ld(name)
            if found is None or not found.attributes & _PAIRED:
                raise
            self._unpair_all(found)
            self._volumes.unbind(name)

    def _unpair_all(self, ld: LogicalDisk) -> None:
        if ld.has(RplAttribute.RV):
            pair = self._pairs.pair_of_rv(ld.name.label)
            if pair is not None:
                self._pairs.dissolve(LdName(ld.name.platform, pair.mv),
                                     ld.name)
        if ld.has(RplAttribute.MV):
            self._replicas.release(ld.name)
