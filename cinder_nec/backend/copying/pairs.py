# SPDX-License-Identifier: Apache-2.0
"""Copying one LD to another by a replication pair (ISMCLI.md B.3, B.5)."""

from __future__ import annotations

from collections.abc import Callable, Collection
import logging

from cinder_nec import errors, retry
from cinder_nec.backend import changes
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.outcome import carry_out
from cinder_nec.ismcli import commands
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.ismcli.commands import CopyRange, PairRole, RvUse, VolumeAccess
from cinder_nec.model import LdName, PairState, PairStatus, RplAttribute

LOG = logging.getLogger(__name__)

MAX_PAIRS = 3
COPYING = frozenset({PairState.REPLICATING, PairState.SYNCHRONIZED})
AT_REST = frozenset({PairState.SEPARATED, PairState.CANCELLED,
                     PairState.FAULT})
_IN_PROGRESS = COPYING | {PairState.SEPARATING}
_LOOK = 'Look at the state of the pair on the array.'


def pair_limit(what: str, mv: LdName) -> errors.PairLimit:
    """Return the error for an MV that has no place for one more RV.

    :param what: what cannot be created
    """
    return errors.PairLimit(
        f'Cannot create {what}. number of pairs reached {MAX_PAIRS}. '
        f'ldname={mv}.', 'Wait for running copies of this volume to end, '
        'or delete snapshots of it.')


def copy_again(mv: str, rv: str) -> tuple[commands.Command, ...]:
    """Return what a human runs to mend a copy that was broken off.

    The RV gets what the MV holds by then.  The last command is accepted
    when the RV is separated.
    """
    return (commands.rc_replicate(mv, rv, CopyRange.FULL),
            commands.rc_separate(mv, rv, VolumeAccess.READ_WRITE,
                                 RvUse.COMPLETE),
            commands.rc_unpair(mv, rv, force=False))


class PairCopy:
    """Pairs: pair, replicate, separate, wait, unpair.

    :param within_seconds: how long one copy may take
    """

    def __init__(self, client: IsmClient, inventory: Inventory,
                 clock: retry.Clock, within_seconds: float) -> None:
        self._client = client
        self._inventory = inventory
        self._clock = clock
        self.within_seconds = within_seconds

    def deadline(self) -> retry.Deadline:
        """Return when a copy that starts now has to be done."""
        return retry.Deadline.after(self._clock, self.within_seconds)

    # -- looking -------------------------------------------------------

    def pair_of_rv(self, rv: str) -> PairStatus | None:
        """Return the pair in which an LD is the target, None if none.

        :raises errors.CommandFailed: it is paired, but was not shown
        """
        try:
            return self._client.rc_query(rv, PairRole.RV)[0]
        except errors.CommandFailed as error:
            self._check_unpaired(rv, RplAttribute.RV, error)
            return None

    def pair_of(self, mv: str, rv: str) -> PairStatus | None:
        """Return the pair of two LDs, None if they are not paired."""
        pair = self.pair_of_rv(rv)
        return pair if pair is not None and pair.mv == mv else None

    def pairs_of_mv(self, mv: str) -> tuple[PairStatus, ...]:
        """Return the pairs in which an LD is the source.

        :raises errors.CommandFailed: it is paired, but was not shown
        """
        try:
            return self._client.rc_query(mv, PairRole.MV)
        except errors.CommandFailed as error:
            self._check_unpaired(mv, RplAttribute.MV, error)
            return ()

    def _check_unpaired(self, label: str, role: RplAttribute,
                        refusal: errors.CommandFailed) -> None:
        """The array refuses to show what is not paired; was it that?

        What is known may be old; where it agrees it is believed.
        """
        for read in (self._inventory.current, self._inventory.refresh):
            if not any(ld.name.label == label and ld.has(role)
                       for ld in read().logical_disks.values()):
                LOG.debug('%s is no %s: %s', label, role.value, refusal)
                return
        raise refusal

    def _state(self, mv: LdName, rv: LdName) -> PairState | None:
        pair = self.pair_of(mv.label, rv.label)
        return None if pair is None else pair.state

    # -- copying -------------------------------------------------------

    def start(self, mv: LdName, rv: LdName, use: RvUse, *,
              access: VolumeAccess = VolumeAccess.READ_WRITE,
              what: str = 'clone volume') -> None:
        """Pair two LDs of one size, copy all, and freeze the content.

        The RV gets the content that the MV has when the separation starts.

        Precondition: the RV is unpaired and mapped nowhere.
        Re-entry: steps that were taken already are left out.
        Undo: the caller's, by :meth:`dissolve`.
        Crash leaves: the pair; the delete of the RV's volume dissolves it.

        :param access: what hosts may do with the RV
        :param what: what is being created, for the error's text
        :raises errors.PairLimit: the MV has three pairs
        """
        self.pair(mv, rv, what)
        self.copy(mv, rv, CopyRange.FULL, use, access)

    def pair(self, mv: LdName, rv: LdName,
             what: str = 'clone volume') -> None:
        """Pair two LDs; nothing is copied yet.

        :raises errors.PairLimit: the MV has three pairs
        """
        try:
            carry_out(
                lambda: self._client.rc_pair(mv.label, rv.label),
                happened=lambda: self._state(mv, rv) is not None)
        except errors.CommandFailed as error:
            if len(self.pairs_of_mv(mv.label)) >= MAX_PAIRS:
                raise pair_limit(what, mv) from error
            self._check_sizes(mv, rv, error)
            raise
        self._note(rv, RplAttribute.RV)

    def _check_sizes(self, mv: LdName, rv: LdName,
                     refusal: errors.CommandFailed) -> None:
        """Explain what a volume that was managed can lead to."""
        config = self._inventory.current()
        sizes = [0 if ld is None else ld.capacity_bytes
                 for ld in map(config.find_ld, (mv, rv))]
        if sizes[0] != sizes[1]:
            raise errors.StateError(
                f'`{mv}` has {sizes[0]} bytes and `{rv}` {sizes[1]}: they '
                f'cannot be paired. {refusal}',
                'Logical disks are bound in whole GiB only. A volume of '
                'another size gets whole when it is extended.'
            ) from refusal

    def copy(self, mv: LdName, rv: LdName, copy_range: CopyRange,
             use: RvUse, access: VolumeAccess) -> None:
        """Give the RV of a pair at rest the content the MV has now."""
        self._step(mv, rv, COPYING, lambda: self._client.rc_replicate(
            mv.label, rv.label, copy_range))
        self._separate(mv, rv, use, access)

    def _separate(self, mv: LdName, rv: LdName, use: RvUse,
                  access: VolumeAccess) -> None:
        self._step(mv, rv, {PairState.SEPARATING, PairState.SEPARATED},
                   lambda: self._client.rc_separate(
                       mv.label, rv.label, access, use))

    def _step(self, mv: LdName, rv: LdName,
              after: Collection[PairState],
              change: Callable[[], None]) -> None:
        carry_out(change, happened=lambda: self._state(mv, rv) in after)

    # -- coming to rest ------------------------------------------------

    def wait(self, mv: LdName, rv: LdName) -> None:
        """Wait until the RV is separated from the MV.

        :raises errors.UnexpectedState: the copy failed
        :raises errors.DeadlineExceeded: it takes too long
        """
        def separated() -> bool:
            state = self._state(mv, rv)
            if state in _IN_PROGRESS:
                return False
            if state is PairState.SEPARATED:
                return True
            raise errors.UnexpectedState(
                f'Copying `{mv}` to `{rv}` failed.',
                wanted=PairState.SEPARATED.value,
                actual='not paired' if state is None else state.value,
                hint=_LOOK)

        self._poll(separated, mv, rv)

    def stop_following(self, mv: LdName, rv: LdName,
                       access: VolumeAccess) -> None:
        """Separate an RV that follows its MV; what is left goes on."""
        if self._state(mv, rv) in COPYING:
            self._separate(mv, rv, RvUse.IMMEDIATE, access)

    def bring_to_rest(self, mv: LdName, rv: LdName) -> PairState | None:
        """End what runs in a pair; return its state then.

        A copy that runs is separated and waited for: the array unpairs and
        expands only what is at rest (ISMCLI.md B.5).

        :returns: separated, cancel, fault, or None if it is not paired
        :raises errors.UnexpectedState: the state is none of them
        :raises errors.DeadlineExceeded: it takes too long
        """
        state = self._state(mv, rv)
        if state in COPYING:
            self._separate(mv, rv, RvUse.COMPLETE, VolumeAccess.READ_WRITE)
            state = PairState.SEPARATING
        if state is PairState.SEPARATING:
            self._poll(lambda: self._state(mv, rv) not in _IN_PROGRESS,
                       mv, rv)
            state = self._state(mv, rv)
        if state is None or state in AT_REST:
            return state
        raise errors.UnexpectedState(
            f'The pair of `{mv}` and `{rv}` is busy or unknown.',
            wanted=PairState.SEPARATED.value, actual=state.value,
            hint=_LOOK)

    def _poll(self, question: Callable[[], bool], mv: LdName,
              rv: LdName) -> None:
        retry.poll(question, clock=self._clock,
                   what=f'Copying `{mv}` to `{rv}`',
                   within_seconds=self.within_seconds)

    # -- unpairing -----------------------------------------------------

    def unpair(self, mv: LdName, rv: LdName, *,
               force: bool = False) -> None:
        """Take a separated pair apart."""
        carry_out(
            lambda: self._client.rc_unpair(mv.label, rv.label, force=force),
            happened=lambda: self._state(mv, rv) is None)
        self._note(rv, RplAttribute.IV)

    def dissolve(self, mv: LdName, rv: LdName) -> None:
        """Take a pair apart in whatever state it is.

        :raises errors.UnexpectedState: the state is not known
        :raises errors.DeadlineExceeded: its copy takes too long
        """
        if self.bring_to_rest(mv, rv) is not None:
            self.unpair(mv, rv, force=True)

    def _note(self, name: LdName, attribute: RplAttribute) -> None:
        ld = self._inventory.current().find_ld(name)
        if ld is not None:
            self._inventory.record(changes.attributes(ld.ldn, attribute))
