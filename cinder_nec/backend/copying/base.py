# SPDX-License-Identifier: Apache-2.0
"""What a copy method does, and what both methods share."""

from __future__ import annotations

import abc
from collections.abc import Collection
import logging

from cinder_nec import errors
from cinder_nec.backend.copying.pairs import PairCopy
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.undo import Undo
from cinder_nec.backend.volumes import Volumes
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.ismcli.commands import PairRole, RvUse
from cinder_nec.model import LdName, LogicalDisk, RplAttribute

LOG = logging.getLogger(__name__)


class CopyMethod(abc.ABC):
    """Snapshots, volumes from snapshots, clones, and deleting all of them.

    :param backup_pools: where snapshots are kept (``nec_backup_pools``)
    """

    def __init__(self, client: IsmClient, inventory: Inventory,
                 volumes: Volumes, pairs: PairCopy,
                 backup_pools: Collection[int]) -> None:
        self._client = client
        self._inventory = inventory
        self._volumes = volumes
        self._pairs = pairs
        self._backup_pools = tuple(backup_pools)

    @abc.abstractmethod
    def create_snapshot(self, source: LdName, snapshot: LdName) -> None:
        """Freeze the content of ``source`` as ``snapshot``."""

    @abc.abstractmethod
    def delete_snapshot(self, source: LdName, snapshot: LdName) -> None:
        """Remove a snapshot; one that is gone already is a success."""

    @abc.abstractmethod
    def volume_from_snapshot(self, source: LdName, snapshot: LdName,
                             snapshot_gib: int, volume: LdName,
                             volume_gib: int,
                             pools: Collection[int]) -> None:
        """Make a volume with the content of a snapshot of ``source``."""

    def clone(self, source: LdName, source_gib: int, volume: LdName,
              volume_gib: int, pools: Collection[int]) -> None:
        """Make a volume with the content ``source`` has now.

        Precondition: the source has fewer than three pairs.
        Re-entry: an LD of the new name and the source's size is used.
        Undo: the pair is taken apart and the new LD unbound.
        Crash leaves: the new LD under its name, perhaps paired; deleting
        the volume removes both.
        """
        self._copy_to_new(source, source_gib, volume, volume_gib, pools,
                          RvUse.IMMEDIATE)

    def _copy_to_new(self, source: LdName, source_gib: int, volume: LdName,
                     volume_gib: int, pools: Collection[int],
                     use: RvUse) -> None:
        with Undo() as undo:
            self._volumes.create(volume, source_gib, pools, volume_gib)
            undo.push(f'{volume}: iSMcfg ldunbind -ldname {volume}',
                      lambda: self._volumes.unbind(volume))
            undo.push(
                f'the pair of {source} and {volume}: iSMrc_pair -unpair '
                f'-mv {source.label} -mvflg ld -rv {volume.label} '
                '-rvflg ld -force all',
                lambda: self._pairs.dissolve(source, volume))
            self._pairs.start(source, volume, use)
            self._pairs.wait(source, volume)
            self._pairs.unpair(source, volume)
            if volume_gib > source_gib:
                self._volumes.extend(volume, volume_gib)

    def delete_volume(self, name: LdName) -> None:
        """Unbind a volume's LD; a half-made copy is taken apart first.

        Precondition: none.
        Re-entry: an LD that is gone already is a success.
        Undo: nothing to undo.
        Crash leaves: the LD, perhaps unpaired or unmapped.

        :raises errors.InUse: it has snapshots, or a copy of it is running
        """
        ld = self._volumes.find(name)
        if ld is None:
            LOG.info('Logical Disk `%s` has unbound already.', name)
            return
        if ld.has(RplAttribute.RV):
            self._dissolve_pair_of_rv(ld)
        try:
            self._volumes.unbind(name)
        except errors.InUse:
            found = self._inventory.current().find_ld(name)
            if found is None or not found.has(RplAttribute.RV):
                raise
            self._dissolve_pair_of_rv(found)
            self._volumes.unbind(name)

    def _dissolve_pair_of_rv(self, ld: LogicalDisk) -> None:
        try:
            pairs = self._client.rc_query(ld.name.label, PairRole.RV)
        except errors.CommandFailed as error:
            LOG.debug('%s is not paired any more: %s', ld.name, error)
            return
        for pair in pairs:
            self._pairs.dissolve(LdName(ld.name.platform, pair.mv),
                                 ld.name)
