# SPDX-License-Identifier: Apache-2.0
"""The data replication method: MV and RVs (manual chapter 10).

A snapshot is an RV in one of the backup pools that stays paired with the
volume, its MV.  Its content is fixed, and can be read, as soon as the
array has accepted the separation; the copy goes on for a while
(``sep/exec``), and what needs a pair at rest waits for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
import logging

from cinder_nec import errors
from cinder_nec.backend.claims import Claims
from cinder_nec.backend.copying.base import (
    DELETE_WITHIN_SECONDS,
    SETTLE_WITHIN_SECONDS,
    CopyMethod,
)
from cinder_nec.backend.copying.pairs import COPYING, PairCopy
from cinder_nec.backend.copying.replicas import (
    Replica,
    find_reusable,
    kept_name,
    not_ours,
    tracks_differences,
)
from cinder_nec.backend.copying.revert import Reversal
from cinder_nec.backend.copying.settler import Settler
from cinder_nec.backend.copying.unpaired import Unpaired
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.undo import Undo
from cinder_nec.backend.volumes import Volumes
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.ismcli.commands import CopyRange, RvUse, VolumeAccess
from cinder_nec.model import (
    GIB,
    LdName,
    LogicalDisk,
    PairState,
    PairStatus,
    RplAttribute,
)

LOG = logging.getLogger(__name__)

# How often a peer may pair a snapshot again that is being copied here.
_PART_TRIES = 2
_LOST = {PairState.FAULT, PairState.CANCELLED}
_LOOK = 'Look at the state of the pair on the array.'


class ReplicationMethod(CopyMethod):
    """Snapshots as RVs of the volume, three at most."""

    def __init__(self, client: IsmClient, inventory: Inventory,
                 volumes: Volumes, pairs: PairCopy,
                 backup_pools: Collection[int], *, claims: Claims,
                 settler: Settler, waits: bool = False) -> None:
        super().__init__(client, inventory, volumes, pairs, backup_pools,
                         claims=claims, settler=settler, waits=waits)
        self._unpaired = Unpaired(pairs, self._replicas, settler)

    # -- create --------------------------------------------------------

    def create_snapshot(self, source: LdName, snapshot: LdName) -> None:
        """Make an RV with the content that the volume has now.

        One that keeps differences of a deleted snapshot is taken if there
        is one, and only the differences are copied (manual 10.1).

        Precondition: ``nec_backup_pools`` names a pool with room.
        Re-entry: an RV of that name is copied to once more.
        Undo: a new RV is removed; one that kept differences gets its name
        back.
        Crash leaves: an LD of the snapshot's name, perhaps paired;
        deleting the snapshot deals with it.

        :raises errors.ConfigError: ``nec_backup_pools`` is not set
        :raises errors.NotFound: the source does not exist
        :raises errors.PairLimit: the source has three pairs
        """
        if not self._backup_pools:
            raise errors.ConfigError(
                'nec_backup_pools', 'backup_pools is not set.',
                'Set nec_backup_pools to the numbers of the pools for '
                'snapshots.', missing=True)
        self._settler.settle_target(source, SETTLE_WITHIN_SECONDS)
        mv = self._get_source(source)
        try:
            self._take(mv, snapshot)
        except errors.PairLimit:
            if mv.has(RplAttribute.MV):
                raise
            # The inventory knew of no pair: look at what there is.
            self._take(self._inventory.refresh().get_ld(source), snapshot)
        except (errors.CommandFailed, errors.StateError):
            # An RV has to be as large, and a peer may have expanded it.
            now = self._inventory.refresh().get_ld(source)
            if now.capacity_bytes == mv.capacity_bytes:
                raise
            self._take(now, snapshot)

    def _get_source(self, source: LdName) -> LogicalDisk:
        mv = self._get_usable(source)
        if mv.has(RplAttribute.RV):
            mv = self._inventory.refresh().get_ld(source)
        if mv.has(RplAttribute.RV):
            raise errors.InUse(
                f'Specified Logical Disk {source} has been copied.',
                'It is the target of a copy; wait for it to end.')
        if mv.capacity_bytes % GIB:
            raise errors.InvalidInput(
                f'Logical Disk `{source}` has {mv.capacity_bytes} bytes. '
                'The array makes RVs of whole GiB only; extend the volume '
                'first.')
        return mv

    def _take(self, mv: LogicalDisk, snapshot: LdName) -> None:
        known = self._inventory.current().find_ld(snapshot)
        if known is not None and known.has(RplAttribute.RV):
            self._pairs.bring_to_rest(mv.name, snapshot)
        elif mv.has(RplAttribute.MV):
            if known is None and self._reuse(mv, snapshot):
                return
            self._replicas.ensure_place(mv.name, 'snapshot')
        with Undo() as undo:
            self._volumes.create(snapshot, mv.capacity_gib,
                                 self._backup_pools)
            undo.push(f'{snapshot}: iSMcfg ldunbind -ldname {snapshot}',
                      lambda: self._volumes.unbind(snapshot))
            self._push_dissolve(undo, mv.name, snapshot)
            self._pairs.start(mv.name, snapshot, RvUse.IMMEDIATE,
                              access=VolumeAccess.READ_ONLY,
                              what='snapshot')
        self._replicas.note(mv.name, paired=True)

    def _reuse(self, mv: LogicalDisk, snapshot: LdName) -> bool:
        """Take an RV that keeps differences; False if there is none."""
        with Undo() as undo:
            with self._claims.of(('kept', mv.name)):
                found = find_reusable(mv, self._replicas.of(mv.name))
                if found is None:
                    return False
                old_name, pair = found
                undo.push(f'{snapshot}: iSMcfg nickname -ldname {snapshot} '
                          f'-newname {old_name}',
                          lambda: self._give_back(snapshot, old_name))
                self._volumes.rename(old_name, snapshot)
            copy_range = self._range(mv, snapshot, pair)
            undo.push(f'the pair of {mv.name} and {snapshot}: '
                      f'iSMrc_separate -mv {mv.name.label} -mvflg ld '
                      f'-rv {snapshot.label} -rvflg ld -rvacc ro '
                      '-rvuse complete -nowait',
                      lambda: self._pairs.stop_following(
                          mv.name, snapshot, VolumeAccess.READ_ONLY))
            self._pairs.copy(mv.name, snapshot, copy_range,
                             RvUse.IMMEDIATE, VolumeAccess.READ_ONLY)
        return True

    def _give_back(self, snapshot: LdName, old_name: LdName) -> None:
        if self._volumes.find(snapshot) is not None:
            self._volumes.rename(snapshot, old_name)

    def _range(self, mv: LogicalDisk, snapshot: LdName,
               pair: PairStatus) -> CopyRange:
        """Tell what has to be copied; an earlier copy has to end first."""
        if pair.state is PairState.SEPARATING:
            state = self._pairs.bring_to_rest(mv.name, snapshot)
            found = self._pairs.pair_of(mv.name.label, snapshot.label)
            if state is not PairState.SEPARATED or found is None:
                raise errors.UnexpectedState(
                    f'Copying `{mv.name}` to `{snapshot}` failed.',
                    wanted=PairState.SEPARATED.value,
                    actual='not paired' if state is None else state.value,
                    hint='Create the snapshot again.')
            pair = found
        if tracks_differences(pair, mv.capacity_bytes):
            return CopyRange.DIFFERENCE
        return CopyRange.FULL

    # -- delete --------------------------------------------------------

    def delete_snapshot(self, source: LdName, snapshot: LdName, *,
                        force: bool = False) -> None:
        """Keep a snapshot's RV for its differences, or remove it.

        It is kept, as ``<name>_d``, while its pair can tell what differs
        and ``force`` does not forbid it (manual 10.2).

        Precondition: none.
        Re-entry: a snapshot that is gone already is a success.
        Undo: nothing to undo.
        Crash leaves: the RV under either name, perhaps unpaired; a second
        try goes on from there.

        :raises errors.UnexpectedState: the pair's state is not known
        """
        self._settler.settle(snapshot, DELETE_WITHIN_SECONDS)
        self._unpaired.forget(snapshot)
        ld = self._volumes.find(snapshot)
        if ld is None:
            kept = kept_name(snapshot)
            ld = self._inventory.current().find_ld(kept) if force else None
        if ld is None:
            LOG.error('Cannot delete snapshot. Logical Disk=%s. It is gone '
                      'already.', snapshot)
            return
        try:
            self._delete(source, ld, force)
        except errors.InUse:
            found = self._inventory.current().find_ld(ld.name)
            if found is None or found.attributes == ld.attributes:
                raise
            self._delete(source, found, force)

    def _delete(self, source: LdName, ld: LogicalDisk, force: bool) -> None:
        if ld.has(RplAttribute.MV):
            self._replicas.end_copies(ld.name)
        pair = (self._pairs.pair_of_rv(ld.name.label)
                if ld.has(RplAttribute.RV) else None)
        if pair is None:
            self._volumes.unbind(ld.name)
            return
        mv = LdName(source.platform, pair.mv)
        if not force and self._keep(mv, ld, pair):
            return
        self._replicas.remove(mv, ld.name)
        self._replicas.look_whether_mv(mv)

    def _keep(self, mv: LdName, ld: LogicalDisk, pair: PairStatus) -> bool:
        """Rename an RV, unless its differences are of no use."""
        if pair.state in _LOST:
            LOG.warning('The pair of `%s` and `%s` is in state %s: its '
                        'differences are lost, it is removed.', mv, ld.name,
                        pair.state.value)
            return False
        kept = kept_name(ld.name)
        if (self._inventory.current().find_ld(kept) is not None
                and self._inventory.refresh().find_ld(kept) is not None):
            LOG.warning('`%s` exists already; `%s` is removed.', kept,
                        ld.name)
            return False
        if pair.state in COPYING:
            self._pairs.stop_following(mv, ld.name, VolumeAccess.READ_ONLY)
        elif pair.state not in (PairState.SEPARATED, PairState.SEPARATING):
            raise errors.UnexpectedState(
                f'Cannot delete snapshot. Logical Disk={ld.name}.',
                wanted=PairState.SEPARATED.value, actual=pair.state.value,
                hint=_LOOK)
        self._volumes.unmap(ld)
        self._volumes.rename(ld.name, kept)
        return True

    def delete_volume(self, name: LdName) -> bool:
        """Unbind a volume with the RVs that keep its differences."""
        was_there = super().delete_volume(name)
        self._replicas.sweep()
        return was_there

    def tidy(self) -> int:
        """Remove RVs of deleted snapshots that have lost their pair."""
        return self._replicas.sweep()

    # -- use -----------------------------------------------------------

    def volume_from_snapshot(self, source: LdName, snapshot: LdName,
                             snapshot_gib: int, volume: LdName,
                             volume_gib: int,
                             pools: Collection[int]) -> None:
        """Copy a snapshot to a new LD (manual 10.3).

        The RV cannot be the source of a copy while it is paired itself:
        it is unpaired, copied, and paired again by the last one that copies
        it.  The record of what differs from the volume is lost by that.

        Precondition: the snapshot's copy was not broken off.
        Re-entry: an LD of the new name and the snapshot's size is used.
        Undo: the new LD is removed, and the RV paired again.
        Crash leaves: the snapshot, perhaps unpaired, which does no harm,
        and the new LD, perhaps paired with it; deleting either of them
        takes that pair apart.

        :raises errors.UnexpectedState: the snapshot has no sure content
        """
        self._settler.settle_target(snapshot, SETTLE_WITHIN_SECONDS)
        with self._unpaired.use(snapshot):
            rv = self._volumes.get(snapshot)
            try:
                self._clone_snapshot(source, rv, volume, volume_gib, pools)
            except (errors.CommandFailed, errors.StateError):
                # A peer may have expanded it together with its volume.
                now = self._inventory.refresh().get_ld(snapshot)
                if now.capacity_bytes == rv.capacity_bytes:
                    raise
                self._clone_snapshot(source, now, volume, volume_gib, pools)

    def _clone_snapshot(self, source: LdName, rv: LogicalDisk,
                        volume: LdName, volume_gib: int,
                        pools: Collection[int]) -> None:
        snapshot = rv.name
        size_gib = rv.capacity_gib
        if size_gib > volume_gib:
            # The RV was expanded together with its volume.
            LOG.warning('`%s` has %d GiB, so `%s` gets as much instead of '
                        '%d GiB.', snapshot, size_gib, volume, volume_gib)
        with Undo() as undo:
            mv = self._resting_mv(source, rv)
            self._bind_target(undo, volume, size_gib,
                              max(size_gib, volume_gib), pools)
            if mv is not None:
                self._unpaired.part(mv, snapshot)
            self._copy(undo, snapshot, volume, RvUse.IMMEDIATE,
                       'volume from snapshot',
                       settles=volume_gib <= size_gib,
                       then=lambda: self._unpaired.pair_when_free(
                           snapshot))
            if volume_gib > size_gib:
                self._volumes.extend(volume, volume_gib)

    def _resting_mv(self, source: LdName,
                    rv: LogicalDisk) -> LdName | None:
        """Return the MV of a snapshot, its copy ended; None if unpaired."""
        if not rv.has(RplAttribute.RV):
            return None
        pair = self._pairs.pair_of_rv(rv.name.label)
        if pair is None:
            return None
        mv = LdName(source.platform, pair.mv)
        state: PairState | None = pair.state
        if state is PairState.SEPARATING:
            state = self._pairs.bring_to_rest(mv, rv.name)
        if state is None:
            return None
        if state is not PairState.SEPARATED:
            raise errors.UnexpectedState(
                f'Specified Logical Disk {rv.name} is not available. Its '
                'copy was broken off.', wanted=PairState.SEPARATED.value,
                actual=state.value, hint='If its content is known to be '
                f'whole, take its pair with `{mv}` apart on the array and '
                'try again.')
        return mv

    def _pair(self, source: LdName, volume: LdName, what: str) -> None:
        for _ in range(_PART_TRIES):
            try:
                super()._pair(source, volume, what)
                return
            except errors.CommandFailed:
                if not (self._unpaired.in_use(source)
                        and self._unpaired.part_again(source,
                                                      volume.platform)):
                    raise
        super()._pair(source, volume, what)

    def revert(self, source: LdName, snapshot: LdName) -> None:
        """Copy a snapshot to its volume; see :class:`Reversal`."""
        for name in (source, snapshot):
            self._settler.settle(name, SETTLE_WITHIN_SECONDS)
        self._unpaired.pair_when_free(snapshot)
        Reversal(self._inventory, self._pairs, self._replicas,
                 self._volumes.journal, self._unpaired.pair_again).run(
                     source, snapshot)

    # -- extend --------------------------------------------------------

    def extend_volume(self, name: LdName, size_gib: int) -> None:
        """Expand a volume, and all its RVs with it (manual 7.3.3).

        Precondition: all its pairs are separated; copies that are about
        to end are waited for.
        Re-entry: what has the new size already is left alone.
        Undo: nothing to undo; an LD cannot shrink.
        Crash leaves: some of them expanded; a second try expands the rest.

        :raises errors.InUse: the model cannot do it, or a pair is not of
            snapshots
        :raises errors.NoCapacity: a pool has not enough room for its part
        """
        self._prepare_extend(name)
        ld = self._volumes.get(name)
        if not ld.has(RplAttribute.MV):
            try:
                self._volumes.extend(name, size_gib)
                return
            except errors.InUse:
                ld = self._inventory.current().get_ld(name)
                if not ld.has(RplAttribute.MV):
                    raise
        self._extend_paired(ld, size_gib)

    def _extend_paired(self, mv: LogicalDisk, size_gib: int) -> None:
        replicas = self._replicas.of(mv.name)
        if not replicas:
            self._replicas.note(mv.name, paired=False)
            self._volumes.extend(mv.name, size_gib)
            return
        config = self._inventory.current()
        if not config.limits.expands_paired:
            raise errors.InUse(
                f'Logical Disk `{mv.name}` is paired, and a disk array '
                f'{config.product_id} cannot expand paired logical disks '
                '(manual 7.3.3).', 'Delete its snapshots with the metadata '
                'force-delete=True first.')
        useless = [r for r in replicas if r.keeps_differences
                   and r.pair.state in _LOST]
        rvs = self._expandable(
            mv.name, [r for r in replicas if r not in useless])
        self._volumes.check_room([mv, *rvs], size_gib)
        for replica in useless:
            if replica.ld is not None:
                self._replicas.remove(mv.name, replica.ld.name)
        for rv in rvs:
            self._bring_to_rest(mv.name, rv.name)
        for ld in (mv, *rvs):
            self._volumes.extend(ld.name, size_gib, paired=True)

    def _expandable(self, mv: LdName,
                    replicas: Iterable[Replica]) -> list[LogicalDisk]:
        rvs = []
        for replica in replicas:
            if replica.ld is None:
                raise errors.InUse(
                    f'Logical Disk `{mv}` cannot be expanded: its RV '
                    f'{replica} is in another disk array.',
                    'Take that pair apart on the array first.')
            if replica.is_foreign:
                raise errors.InUse(
                    f'Logical Disk `{mv}` cannot be expanded.',
                    not_ours(mv, replica))
            if (replica.pair.state in COPYING
                    or self._replicas.is_copy_target(replica.ld)):
                raise errors.InUse(
                    f'Specified Logical Disk {mv} has been copied.',
                    f'It is being copied to {replica}; wait for the copy '
                    'to end.')
            if replica.pair.state not in (PairState.SEPARATED,
                                          PairState.SEPARATING):
                raise errors.UnexpectedState(
                    f'Logical Disk `{mv}` cannot be expanded: see its RV '
                    f'{replica}.', wanted=PairState.SEPARATED.value,
                    actual=replica.pair.state.value, hint=_LOOK)
            rvs.append(replica.ld)
        return rvs

    def _bring_to_rest(self, mv: LdName, rv: LdName) -> None:
        state = self._pairs.bring_to_rest(mv, rv)
        if state is not PairState.SEPARATED:
            raise errors.UnexpectedState(
                f'Logical Disk `{mv}` cannot be expanded: the copy to '
                f'`{rv}` ended otherwise than it should.',
                wanted=PairState.SEPARATED.value,
                actual='not paired' if state is None else state.value,
                hint='Try again.')
