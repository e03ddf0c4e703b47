# SPDX-License-Identifier: Apache-2.0
"""The snapshot method: BV, generations of SVs (ISMCLI.md A.6, B.6)."""

from __future__ import annotations

from collections.abc import Collection
import logging

from cinder_nec import errors, retry
from cinder_nec.backend import changes
from cinder_nec.backend.claims import Claims
from cinder_nec.backend.copying.base import (
    SETTLE_WITHIN_SECONDS,
    CopyMethod,
)
from cinder_nec.backend.copying.links import Links
from cinder_nec.backend.copying.pairs import PairCopy
from cinder_nec.backend.copying.settler import Settler
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.outcome import carry_out
from cinder_nec.backend.undo import Undo
from cinder_nec.backend.volumes import Volumes
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.ismcli.commands import RvUse
from cinder_nec.model import LdName, RplAttribute, SnapState, SnapStatus

LOG = logging.getLogger(__name__)

DELETE_WITHIN_SECONDS = 24 * 3600.0
# As many generations without data may stand before one.
_GENERATION_TRIES = 16
_LOST = {SnapState.NO_DATA, SnapState.FAULT}


class SnapshotMethod(CopyMethod):
    """Snapshots as generations of the base volume, in one backup pool."""

    def __init__(self, client: IsmClient, inventory: Inventory,
                 volumes: Volumes, pairs: PairCopy,
                 backup_pools: Collection[int], *, claims: Claims,
                 settler: Settler, clock: retry.Clock,
                 waits: bool = False) -> None:
        super().__init__(client, inventory, volumes, pairs, backup_pools,
                         claims=claims, settler=settler, waits=waits)
        self._clock = clock
        self._links = Links(client, inventory)

    # -- create --------------------------------------------------------

    def create_snapshot(self, source: LdName, snapshot: LdName) -> None:
        """Add a generation to the BV and take the snapshot in it.

        Precondition: ``nec_backup_pools`` names a pool with an SRA.
        Re-entry: a generation of that name is used as it is.
        Undo: the generation is removed again.
        Crash leaves: a generation, perhaps without data; deleting the
        snapshot removes it.

        :raises errors.ConfigError: ``nec_backup_pools`` is not set
        :raises errors.NotFound: the source does not exist
        """
        if not self._backup_pools:
            raise errors.ConfigError(
                'nec_backup_pools', 'backup_pools is not set.',
                'Set nec_backup_pools to the number of a pool that has a '
                'snapshot reserve area.', missing=True)
        self._settler.settle_target(source, SETTLE_WITHIN_SECONDS)
        bv = self._get_usable(source)
        with self._claims.of(source), Undo() as undo:
            carry_out(
                lambda: self._client.generationadd(
                    source, self._backup_pools[0], snapshot.label),
                happened=lambda: self._exists(snapshot))
            self._inventory.record(
                changes.attributes(bv.ldn, RplAttribute.BV))
            undo.push(
                f'the generation {snapshot.label} of {source}: iSMcfg '
                f'generationdel -bvname {source} -count 1',
                lambda: self._remove(source, snapshot))
            carry_out(
                lambda: self._client.sc_create(source.label,
                                               snapshot.label),
                happened=lambda: self._is_active(source, snapshot))

    def _exists(self, snapshot: LdName) -> bool:
        config = self._inventory.refresh()
        return config.find_ld(snapshot) is not None

    def _is_active(self, source: LdName, snapshot: LdName) -> bool:
        status = self._client.sc_query(source.label, snapshot.label)
        return status.state is SnapState.ACTIVE

    # -- delete --------------------------------------------------------

    def delete_snapshot(self, source: LdName, snapshot: LdName, *,
                        force: bool = False) -> None:
        """Delete a snapshot's data, then its generation.

        Precondition: no host uses it; an LV that is left of a backup is
        removed.
        Re-entry: data or a generation that is gone already is passed by.
        Undo: nothing to undo.
        Crash leaves: a generation without data; a second try removes it.

        :raises errors.InUse: it is linked or being restored
        :raises errors.UnexpectedState: its state is not known
        """
        with self._claims.of(source):
            self._remove(source, snapshot)

    def _remove(self, source: LdName, snapshot: LdName) -> None:
        status = self._find(source, snapshot)
        if status is None:
            LOG.error('Cannot delete snapshot. Logical Disk=%s. It is gone '
                      'already.', snapshot)
            return
        self._delete_data(source, snapshot, status)
        self._delete_generation(source, snapshot)
        self._forget(source, snapshot)

    def _delete_generation(self, source: LdName, snapshot: LdName) -> None:
        """Delete a generation that has no data any more.

        The array chooses among those without data, and a snapshot that
        could not be taken may have left another one.  It is as useless, so
        it goes as well.
        """
        for _ in range(_GENERATION_TRIES):
            carry_out(lambda: self._client.generationdel(source),
                      happened=lambda: not self._exists(snapshot))
            if self._is_gone(source, snapshot):
                return
            LOG.warning('The array removed another generation of `%s` '
                        'without data than `%s`.', source, snapshot)
        raise errors.UnexpectedState(
            f'The array removes other generations of `{source}` than '
            f'`{snapshot}`.', wanted='no generation of that name',
            actual='still there',
            hint='Compare the snapshots of this volume with the array.')

    def _find(self, source: LdName,
              snapshot: LdName) -> SnapStatus | None:
        try:
            return self._client.sc_query(source.label, snapshot.label)
        except errors.CommandFailed:
            if self._exists(snapshot):
                raise
            return None

    def _delete_data(self, source: LdName, snapshot: LdName,
                     status: SnapStatus) -> None:
        if status.state is SnapState.RESTORING:
            raise errors.InUse(
                f'Snapshot `{snapshot}` of `{source}` is in use.',
                'Wait for the restore that uses it.')
        if status.linked or self._links.is_known(source, snapshot):
            # Cinder deletes no snapshot that a backup uses.
            self._links.clear(source, snapshot, self._volumes.unmap)
        if status.state is SnapState.ACTIVE:
            carry_out(
                lambda: self._client.sc_delete(source.label,
                                               snapshot.label),
                happened=lambda: not self._is_active(source, snapshot))
        elif status.state in _LOST:
            LOG.warning('Snapshot `%s` of `%s` has lost its data before '
                        'it was deleted.', snapshot, source)
        retry.poll(lambda: self._data_is_gone(source, snapshot),
                   clock=self._clock, what=f'Deleting `{snapshot}`',
                   within_seconds=DELETE_WITHIN_SECONDS)

    def _data_is_gone(self, source: LdName, snapshot: LdName) -> bool:
        state = self._client.sc_query(source.label, snapshot.label).state
        if state in _LOST:
            return True
        if state is SnapState.DELETING:
            return False
        raise errors.UnexpectedState(
            f'Cannot delete snapshot. Logical Disk={snapshot}.',
            wanted=SnapState.DELETING.value, actual=state.value,
            hint='Look at the state of the snapshot on the array.')

    def _is_gone(self, source: LdName, snapshot: LdName) -> bool:
        try:
            self._client.sc_query(source.label, snapshot.label)
        except errors.CommandFailed:
            return True
        return False

    def _forget(self, source: LdName, snapshot: LdName) -> None:
        """Take the source for unused again.

        Whether it has more generations is not known without a dump; if it
        has, the array refuses what it must not be used for.
        """
        config = self._inventory.current()
        if config.find_ld(snapshot) is not None:
            self._inventory.record(changes.unbound(snapshot))
        bv = config.find_ld(source)
        if bv is not None:
            self._inventory.record(
                changes.attributes(bv.ldn, RplAttribute.IV))

    # -- use -----------------------------------------------------------

    def volume_from_snapshot(self, source: LdName, snapshot: LdName,
                             snapshot_gib: int, volume: LdName,
                             volume_gib: int,
                             pools: Collection[int]) -> None:
        """Copy a snapshot to a new LD.

        Precondition: the snapshot has its data.
        Re-entry: an LD of the new name and the snapshot's size is used.
        Undo: the pair is taken apart and the new LD unbound.
        Crash leaves: the new LD under its name, perhaps paired with the
        SV; deleting the volume removes both.

        :raises errors.UnexpectedState: the snapshot has no data
        """
        status = self._find(source, snapshot)
        state = SnapState.NO_DATA if status is None else status.state
        if state is not SnapState.ACTIVE:
            raise errors.UnexpectedState(
                'Cannot create volume from snapshot, because the snapshot '
                f'data does not exist. bvname={source}, '
                f'svname={snapshot}.', wanted=SnapState.ACTIVE.value,
                actual=state.value,
                hint='Was the snapshot reserve area exhausted?')
        with Undo() as undo:
            self._bind_target(undo, volume, snapshot_gib, volume_gib, pools)
            self._copy(undo, snapshot, volume, RvUse.COMPLETE,
                       'volume from snapshot')
            if volume_gib > snapshot_gib:
                self._volumes.extend(volume, volume_gib)

    def revert(self, source: LdName, snapshot: LdName) -> None:
        """Give a volume the content of a snapshot back.

        Other generations keep their data.

        Precondition: no host sees the volume, and no LV is linked to the
        snapshot.  A mapped BV is refused by the array.
        Re-entry: a restore that runs already is waited for.
        Undo: nothing to undo; a second try restores again.
        Crash leaves: the restore, which goes on by itself.

        :raises errors.NotFound: the snapshot is gone
        :raises errors.InUse: the volume or the snapshot is in use
        :raises errors.UnexpectedState: the snapshot has no data
        """
        self._settler.settle(source, SETTLE_WITHIN_SECONDS)
        status = self._find(source, snapshot)
        if status is None:
            raise errors.NotFound(
                f'Logical Disk `{snapshot}` has unbound already.',
                'It may have been deleted by other than OpenStack.')
        if status.linked:
            self._links.clear(source, snapshot)
        if status.state is SnapState.ACTIVE:
            self._restore(source, snapshot)
        elif status.state is not SnapState.RESTORING:
            raise self._not_reverted(source, snapshot, status.state)
        retry.poll(lambda: self._is_restored(source, snapshot),
                   clock=self._clock,
                   what=f'Reverting `{source}` to `{snapshot}`',
                   within_seconds=self._pairs.within_seconds)

    def _restore(self, source: LdName, snapshot: LdName) -> None:
        def started() -> bool:
            return self._client.sc_query(
                source.label, snapshot.label).state is SnapState.RESTORING

        try:
            carry_out(lambda: self._client.sc_restore(source.label,
                                                      snapshot.label),
                      happened=started)
        except errors.CommandFailed as error:
            config = self._inventory.refresh()
            sets = config.mapped_to(config.get_ld(source).ldn)
            if not sets:
                raise
            raise errors.InUse(
                f'`{source}` cannot be reverted to `{snapshot}`: it is in '
                f'LD Set {", ".join(str(s.name) for s in sets)}. {error}',
                'Detach the volume from all hosts.') from error

    def _is_restored(self, source: LdName, snapshot: LdName) -> bool:
        state = self._client.sc_query(source.label, snapshot.label).state
        if state is SnapState.RESTORING:
            return False
        if state is SnapState.ACTIVE:
            return True
        raise self._not_reverted(source, snapshot, state)

    @staticmethod
    def _not_reverted(source: LdName, snapshot: LdName,
                      state: SnapState) -> errors.UnexpectedState:
        return errors.UnexpectedState(
            f'`{source}` cannot be reverted to `{snapshot}`.',
            wanted=SnapState.ACTIVE.value, actual=state.value,
            hint='Look at the state of the snapshot on the array; has the '
            'snapshot reserve area run full?')
