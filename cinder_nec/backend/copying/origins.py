# SPDX-License-Identifier: Apache-2.0
"""Which volume a snapshot on the array is of, for taking it over.

The dump does not tell: it takes a query.  A list is answered with as few
as there can be, and with none for snapshots that Cinder knows already.
"""

from __future__ import annotations

import abc
from collections.abc import Collection
import dataclasses

from cinder_nec import errors
from cinder_nec.backend.copying.pairs import PairCopy
from cinder_nec.backend.inventory import Inventory
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.model import (
    LdName,
    LogicalDisk,
    PairState,
    PairStatus,
    RplAttribute,
    SnapState,
    SnapStatus,
)

_FIXED = {PairState.SEPARATED, PairState.SEPARATING}


@dataclasses.dataclass(frozen=True)
class Origin:
    """The source of a snapshot.

    :param label: name of the source LD, without its platform; '' if the
        array does not tell it
    :param in_the_way: why the snapshot cannot be taken over, or ''
    """

    label: str
    in_the_way: str = ''


class Origins(abc.ABC):
    """Snapshots of one copy method, as the array knows them."""

    snapshot: RplAttribute
    source: RplAttribute

    @abc.abstractmethod
    def find(self, names: Collection[LdName]) -> dict[LdName, Origin]:
        """Return the origins of snapshots; of some there may be none."""

    def check(self, snapshot: LdName, source: LdName) -> None:
        """See that ``snapshot`` is a sound snapshot of ``source``.

        :raises errors.InvalidInput: it is of another volume, or of none
        :raises errors.InUse: something else uses it
        """
        origin = self.find([snapshot]).get(snapshot)
        if origin is not None and not origin.label:
            raise errors.InUse(f'Snapshot `{snapshot}`: '
                               f'{origin.in_the_way}')
        if origin is None or origin.label != source.label:
            actual = 'none' if origin is None else repr(origin.label)
            raise errors.InvalidInput(
                f'Snapshot source is unmatched. `{snapshot}` is a snapshot '
                f'of {actual}, not of `{source}`.',
                'Name the volume that it was taken of.')
        if origin.in_the_way:
            raise errors.InUse(f'Snapshot `{snapshot}`: '
                               f'{origin.in_the_way}.')

    @abc.abstractmethod
    def check_source(self, ld: LogicalDisk) -> None:
        """See that a volume's copies are none but sound snapshots.

        :raises errors.InUse: they are not
        """


class GenerationOrigins(Origins):
    """Of the snapshot method: the BV of an SV."""

    snapshot = RplAttribute.SV
    source = RplAttribute.BV

    def __init__(self, client: IsmClient, inventory: Inventory) -> None:
        self._client = client
        self._inventory = inventory

    def find(self, names: Collection[LdName]) -> dict[LdName, Origin]:
        """Ask by SV, or by BV if there are fewer of them."""
        wanted = {name.label: name for name in names}
        found: dict[LdName, Origin] = {}
        bvs = [ld.name.label for ld
               in self._inventory.current().logical_disks.values()
               if ld.has(RplAttribute.BV)]
        if len(bvs) < len(wanted):
            for bv in bvs:
                for status in self._of_bv(bv):
                    if status.sv in wanted:
                        name = wanted.pop(status.sv)
                        found[name] = self._origin(status)
        refused: dict[LdName, errors.CommandFailed] = {}
        for label, name in wanted.items():
            try:
                status = self._client.sc_query_by_sv(label)
            except errors.CommandFailed as error:
                refused[name] = error
            else:
                found[name] = self._origin(status)
        return found | self._not_told(refused)

    def _not_told(self, refused: dict[LdName, errors.CommandFailed]
                  ) -> dict[LdName, Origin]:
        """The array refuses to show what is gone; was it that?"""
        if not refused:
            return {}
        config = self._inventory.refresh()
        there = {ld.name for ld in config.logical_disks.values()
                 if ld.has(RplAttribute.SV)}
        return {name: Origin('', 'the array does not tell what it is of: '
                             f'{error}')
                for name, error in refused.items() if name in there}

    def _of_bv(self, bv: str) -> tuple[SnapStatus, ...]:
        try:
            return self._client.sc_query_of_bv(bv)
        except errors.CommandFailed:
            return ()

    @staticmethod
    def _origin(status: SnapStatus) -> Origin:
        reason = ''
        if status.linked:
            reason = 'it is linked to a link volume'
        elif status.state is SnapState.NO_DATA:
            reason = 'it has no data'
        elif status.state is not SnapState.ACTIVE:
            reason = f'its state is {status.state.value}'
        return Origin(status.bv, reason)

    def check_source(self, ld: LogicalDisk) -> None:
        """A BV is never anything but the source of snapshots."""


class ReplicaOrigins(Origins):
    """Of the data replication method: the MV of an RV."""

    snapshot = RplAttribute.RV
    source = RplAttribute.MV

    def __init__(self, pairs: PairCopy, inventory: Inventory,
                 backup_pools: Collection[int]) -> None:
        self._pairs = pairs
        self._inventory = inventory
        self._backup_pools = frozenset(backup_pools)

    def find(self, names: Collection[LdName]) -> dict[LdName, Origin]:
        """Ask for each RV: an MV has three at most."""
        found = {}
        for name in names:
            pair = self._pairs.pair_of_rv(name.label)
            if pair is not None:
                found[name] = self._origin(pair)
        return found

    @staticmethod
    def _origin(pair: PairStatus) -> Origin:
        if pair.state in _FIXED:
            return Origin(pair.mv)
        return Origin(pair.mv, f'the state of its pair with `{pair.mv}` is '
                      f'{pair.state.value}')

    def check_source(self, ld: LogicalDisk) -> None:
        """Its RVs are snapshots: in this array and in backup pools."""
        if not ld.has(RplAttribute.MV):
            return
        snapshots = {
            rv.name.label for rv
            in self._inventory.current().logical_disks.values()
            if rv.has(RplAttribute.RV) and rv.pool in self._backup_pools}
        for pair in self._pairs.pairs_of_mv(ld.name.label):
            if pair.rv not in snapshots or pair.state not in _FIXED:
                raise errors.InUse(
                    f'Logical Disk `{ld.name}` is paired with `{pair.rv}` '
                    f'({pair.state.value}), which is no snapshot in '
                    'nec_backup_pools.', 'Take the pair apart first.')
