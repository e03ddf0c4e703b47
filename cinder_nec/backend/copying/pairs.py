# SPDX-License-Identifier: Apache-2.0
"""Copying one LD to another by a replication pair (ISMCLI.md B.3, B.5)."""

from __future__ import annotations

from collections.abc import Callable
import logging

from cinder_nec import errors, retry
from cinder_nec.backend import changes
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.outcome import carry_out
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.ismcli.commands import CopyRange, PairRole, RvUse, VolumeAccess
from cinder_nec.model import LdName, PairState, PairStatus, RplAttribute

LOG = logging.getLogger(__name__)

MAX_PAIRS = 3
_COPYING = {PairState.REPLICATING, PairState.SYNCHRONIZED}
_IN_PROGRESS = _COPYING | {PairState.SEPARATING}
_AT_REST = {PairState.SEPARATED, PairState.CANCELLED, PairState.FAULT}


class PairCopy:
    """Full copies: pair, replicate, separate, wait, unpair.

    :param within_seconds: how long one copy may take
    """

    def __init__(self, client: IsmClient, inventory: Inventory,
                 clock: retry.Clock, within_seconds: float) -> None:
        self._client = client
        self._inventory = inventory
        self._clock = clock
        self._within_seconds = within_seconds

    def pair_of(self, mv: str, rv: str) -> PairStatus | None:
        """Return the pair of two LDs, None if they are not paired."""
        try:
            pairs = self._client.rc_query(rv, PairRole.RV)
        except errors.CommandFailed as error:
            LOG.debug('%s is no RV: %s', rv, error)
            return None
        return next((p for p in pairs if p.mv == mv and p.rv == rv), None)

    def pairs_of_mv(self, mv: str) -> tuple[PairStatus, ...]:
        """Return the pairs in which an LD is the source."""
        try:
            return self._client.rc_query(mv, PairRole.MV)
        except errors.CommandFailed as error:
            LOG.debug('%s is no MV: %s', mv, error)
            return ()

    def start(self, mv: LdName, rv: LdName, use: RvUse) -> None:
        """Pair two LDs of one size, copy all, and freeze the content.

        The RV gets the content that the MV has when the separation starts.

        Precondition: the RV is unpaired and mapped nowhere.
        Re-entry: steps that were taken already are left out.
        Undo: the caller's, by :meth:`dissolve`.
        Crash leaves: the pair; the delete of the RV's volume dissolves it.

        :raises errors.PairLimit: the MV has three pairs
        """
        self._pair(mv, rv)
        self._step(mv, rv, _IN_PROGRESS, lambda: self._client.rc_replicate(
            mv.label, rv.label, CopyRange.FULL))
        self._step(mv, rv, {PairState.SEPARATING, PairState.SEPARATED},
                   lambda: self._client.rc_separate(
                       mv.label, rv.label, VolumeAccess.READ_WRITE, use))

    def _pair(self, mv: LdName, rv: LdName) -> None:
        try:
            carry_out(
                lambda: self._client.rc_pair(mv.label, rv.label),
                happened=lambda: self.pair_of(mv.label,
                                              rv.label) is not None)
        except errors.CommandFailed as error:
            if len(self.pairs_of_mv(mv.label)) >= MAX_PAIRS:
                raise errors.PairLimit(
                    'Cannot create clone volume. number of pairs reached '
                    f'{MAX_PAIRS}. ldname={mv}.',
                    'Wait for running copies of this volume to end, or '
                    'delete snapshots of it.') from error
            raise

    def _step(self, mv: LdName, rv: LdName, after: set[PairState],
              change: Callable[[], None]) -> None:
        def happened() -> bool:
            pair = self.pair_of(mv.label, rv.label)
            return pair is not None and pair.state in after

        carry_out(change, happened)

    def wait(self, mv: LdName, rv: LdName) -> None:
        """Wait until the RV is separated from the MV.

        :raises errors.UnexpectedState: the copy failed
        :raises errors.DeadlineExceeded: it takes too long
        """
        def separated() -> bool:
            pair = self.pair_of(mv.label, rv.label)
            state = PairState.UNRECOGNIZED if pair is None else pair.state
            if state in _IN_PROGRESS:
                return False
            if state is PairState.SEPARATED:
                return True
            raise errors.UnexpectedState(
                f'Copying `{mv}` to `{rv}` failed.',
                wanted=PairState.SEPARATED.value,
                actual='not paired' if pair is None else state.value,
                hint='Look at the state of the pair on the array.')

        retry.poll(separated, clock=self._clock,
                   what=f'Copying `{mv}` to `{rv}`',
                   within_seconds=self._within_seconds)

    def unpair(self, mv: LdName, rv: LdName, *,
               force: bool = False) -> None:
        """Take a separated pair apart."""
        carry_out(
            lambda: self._client.rc_unpair(mv.label, rv.label, force=force),
            happened=lambda: self.pair_of(mv.label, rv.label) is None)
        self._forget_pair(rv)

    def dissolve(self, mv: LdName, rv: LdName) -> None:
        """Take a pair apart in whatever state it is.

        A copy that runs is separated and waited for first: the array
        unpairs only what is at rest (ISMCLI.md B.5).

        :raises errors.UnexpectedState: the state is not known
        """
        pair = self.pair_of(mv.label, rv.label)
        if pair is None:
            return
        if pair.state in _COPYING:
            self._step(mv, rv, {PairState.SEPARATING, PairState.SEPARATED},
                       lambda: self._client.rc_separate(
                           mv.label, rv.label, VolumeAccess.READ_WRITE,
                           RvUse.COMPLETE))
            self.wait(mv, rv)
        elif pair.state is PairState.SEPARATING:
            self.wait(mv, rv)
        elif pair.state not in _AT_REST:
            raise errors.UnexpectedState(
                f'The pair of `{mv}` and `{rv}` cannot be taken apart.',
                wanted=PairState.SEPARATED.value, actual=pair.state.value,
                hint='Look at the state of the pair on the array.')
        self.unpair(mv, rv, force=True)

    def _forget_pair(self, rv: LdName) -> None:
        ld = self._inventory.current().find_ld(rv)
        if ld is not None:
            self._inventory.record(
                changes.attributes(ld.ldn, RplAttribute.IV))
