# SPDX-License-Identifier: Apache-2.0
"""Reverting a volume to an RV: a copy the other way round.

The array has a command that restores an MV from its RV, but its form is
not documented (ISMCLI.md A.5).  A pair of the other direction does the
same with commands that are: the volume is unpaired from all of its RVs,
becomes the RV of the snapshot for the time of the copy, and gets its RVs
back.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
import logging

from cinder_nec import errors
from cinder_nec.backend.copying.pairs import PairCopy
from cinder_nec.backend.copying.replicas import (
    Replica,
    Replicas,
    not_ours,
)
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.journal import Entry, Journal, Kind
from cinder_nec.backend.undo import Undo
from cinder_nec.ismcli.commands import RvUse
from cinder_nec.model import LdName, LogicalDisk, PairState, RplAttribute

LOG = logging.getLogger(__name__)


class Reversal:
    """Copies an RV to its MV.

    :param pair_again: pairs an MV and an RV; it never fails
    """

    def __init__(self, inventory: Inventory, pairs: PairCopy,
                 replicas: Replicas, journal: Journal,
                 pair_again: Callable[[LdName, LdName], None]) -> None:
        self._inventory = inventory
        self._pairs = pairs
        self._replicas = replicas
        self._journal = journal
        self._pair_again = pair_again

    def run(self, source: LdName, snapshot: LdName) -> None:
        """Give a volume the content of a snapshot back.

        RVs of deleted snapshots go: after this copy there is no record of
        what differs from them.

        Precondition: no host sees the volume, no copy of it is running,
        and the content of all its snapshots is sure.
        Re-entry: what an earlier try has left is taken apart first.
        Undo: the volume and its RVs are paired again.
        Crash leaves: the snapshots whole but perhaps unpaired, and the
        volume paired with the snapshot, perhaps with a part of its
        content; the next start of the service that has the revert in its
        journal takes the pair apart, and a second try makes it whole.

        :raises errors.NotFound: the volume or the snapshot is gone
        :raises errors.InUse: the volume is in use, or was expanded
        :raises errors.UnexpectedState: the content of a snapshot is not
            sure
        """
        config = self._inventory.refresh()
        mv, rv = config.get_ld(source), config.get_ld(snapshot)
        self._check(mv, rv)
        if rv.has(RplAttribute.MV):
            self._pairs.dissolve(snapshot, source)
        kept, others = self._replicas_of(source)
        for replica in kept:
            self._replicas.remove(source, replica)
        entry = Entry(Kind.REVERT, mv.ldn, source)
        with Undo() as undo:
            for replica in others:
                undo.push(f'{replica} without its pair with {source}',
                          functools.partial(self._pair_again, source, replica))
                self._pairs.unpair(source, replica)
            self._journal.begin(entry)
            undo.push(
                f'the pair of {snapshot} and {source}: iSMrc_pair -unpair '
                f'-mv {snapshot.label} -mvflg ld -rv {source.label} '
                '-rvflg ld -force all',
                lambda: self._take_back(entry, snapshot))
            self._pairs.start(snapshot, source, RvUse.IMMEDIATE,
                              what='the copy back')
            self._pairs.wait(snapshot, source)
            self._pairs.unpair(snapshot, source)
        self._journal.end(entry)
        self._replicas.note(snapshot, paired=False)
        for replica in others:
            self._pair_again(source, replica)
        self._replicas.look_whether_mv(source)

    def _take_back(self, entry: Entry, snapshot: LdName) -> None:
        with self._journal.taking_back(entry):
            self._pairs.dissolve(snapshot, entry.name)

    def _check(self, mv: LogicalDisk, rv: LogicalDisk) -> None:
        sets = self._inventory.current().mapped_to(mv.ldn)
        if sets:
            raise errors.InUse(
                f'Logical Disk `{mv.name}` cannot be reverted while it is '
                f'in LD Set {", ".join(str(s.name) for s in sets)}.',
                'Detach the volume from all hosts.')
        if mv.capacity_bytes != rv.capacity_bytes:
            raise errors.InUse(
                f'`{mv.name}` has {mv.capacity_gib} GiB and its snapshot '
                f'`{rv.name}` {rv.capacity_gib} GiB: it cannot be '
                'reverted.', 'Create a volume from the snapshot instead.')
        for ld, other in ((mv, rv), (rv, mv)):
            pair = (self._pairs.pair_of_rv(ld.name.label)
                    if ld.has(RplAttribute.RV) else None)
            if pair is not None and pair.mv != other.name.label:
                raise errors.InUse(
                    f'Logical Disk `{ld.name}` is paired with '
                    f'`{pair.mv}`; `{mv.name}` cannot be reverted.',
                    'Is the snapshot one of this volume? If so, wait for '
                    'the copy to end.')

    def _replicas_of(self, source: LdName
                     ) -> tuple[list[LdName], list[LdName]]:
        """Return the RVs of deleted snapshots, and those of snapshots.

        :raises errors.InUse: there is one that is neither
        """
        kept, others = [], []
        for replica in self._replicas.of(source):
            ld = replica.ld
            if replica.is_foreign:
                raise errors.InUse(
                    f'Logical Disk `{source}` cannot be reverted.',
                    not_ours(source, replica))
            if ld is None or (not replica.keeps_differences
                              and self._replicas.is_copy_target(ld)):
                raise errors.InUse(
                    f'Logical Disk `{source}` cannot be reverted while it '
                    f'is paired with {replica}.',
                    'Wait for the copy to end, or take that pair apart on '
                    'the array.')
            if replica.keeps_differences:
                kept.append(ld.name)
            else:
                self._bring_to_rest(source, ld, replica)
                others.append(ld.name)
        return kept, others

    def _bring_to_rest(self, source: LdName, ld: LogicalDisk,
                       replica: Replica) -> None:
        """See that a snapshot is whole.

        One that is not would be shown as whole after it is paired again.
        """
        state: PairState | None = replica.pair.state
        if state is PairState.SEPARATING:
            state = self._pairs.bring_to_rest(source, ld.name)
        if state is not PairState.SEPARATED:
            raise errors.UnexpectedState(
                f'Logical Disk `{source}` cannot be reverted: the copy to '
                f'its snapshot `{ld.name}` was broken off.',
                wanted=PairState.SEPARATED.value,
                actual='not paired' if state is None else state.value,
                hint='Delete that snapshot first.')
