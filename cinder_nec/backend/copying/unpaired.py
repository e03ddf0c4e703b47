# SPDX-License-Identifier: Apache-2.0
"""Snapshots without their pair, while volumes are made from them.

An RV cannot be the source of a copy while it is paired itself, so a
snapshot loses its pair with the volume for the time of the copy.  Several
volumes may be made from one snapshot at a time: the first one takes the
pair apart, and the last one that leaves pairs again.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import logging

from cinder_nec import errors
from cinder_nec.backend.claims import Claims
from cinder_nec.backend.copying.pairs import MAX_PAIRS, PairCopy
from cinder_nec.backend.copying.replicas import Replicas
from cinder_nec.backend.copying.settler import Settler
from cinder_nec.model import LdName, PairState

LOG = logging.getLogger(__name__)

_PAIR_TRIES = 2


class Unpaired:
    """Takes the pairs of snapshots apart, and pairs them again.

    A snapshot is in use while an operation makes a volume from it, until
    that is undone if it fails, and while a copy from it settles.  Only the
    uses of this process are counted: a peer may pair a snapshot again that
    is about to be copied here (:meth:`part_again`).
    """

    def __init__(self, pairs: PairCopy, replicas: Replicas,
                 settler: Settler) -> None:
        self._pairs = pairs
        self._replicas = replicas
        self._settler = settler
        # Held for a command or two, and never while something is waited
        # for; what a peer does the array's refusals tell.
        self._claims = Claims()
        self._users: dict[LdName, int] = {}
        self._mvs: dict[LdName, LdName] = {}

    @contextlib.contextmanager
    def use(self, snapshot: LdName) -> Iterator[None]:
        """Keep a snapshot from being paired again for the time of a block.

        The last one to leave pairs it again, unless a copy still settles.
        """
        with self._claims.of(snapshot):
            self._users[snapshot] = self._users.get(snapshot, 0) + 1
        try:
            yield
        finally:
            with self._claims.of(snapshot):
                self._users[snapshot] -= 1
                if not self._users[snapshot]:
                    del self._users[snapshot]
            self.pair_when_free(snapshot)

    def in_use(self, snapshot: LdName) -> bool:
        """Tell whether a volume is being made from a snapshot here."""
        return snapshot in self._users

    def part(self, mv: LdName, snapshot: LdName) -> None:
        """Take the pair of a snapshot in use apart, if nobody has yet."""
        with self._claims.of(snapshot):
            if snapshot not in self._mvs:
                # Before the command, whose answer may get lost.
                self._mvs[snapshot] = mv
                self._pairs.unpair(mv, snapshot)

    def part_again(self, snapshot: LdName, platform: str) -> bool:
        """Take a pair apart that a peer has made again meanwhile.

        Returns False if there is none, or one that is not at rest.
        """
        with self._claims.of(snapshot):
            pair = self._pairs.pair_of_rv(snapshot.label)
            if pair is None or pair.state is not PairState.SEPARATED:
                return False
            mv = LdName(platform, pair.mv)
            self._mvs[snapshot] = mv
            self._pairs.unpair(mv, snapshot)
            return True

    def forget(self, snapshot: LdName) -> None:
        """A snapshot that is to be deleted is not paired again."""
        with self._claims.of(snapshot):
            self._mvs.pop(snapshot, None)

    def pair_when_free(self, snapshot: LdName) -> None:
        """Pair a snapshot again that nothing uses any more; never fails."""
        with self._claims.of(snapshot):
            if snapshot not in self._mvs or self._is_used(snapshot):
                return
            self.pair_again(self._mvs.pop(snapshot), snapshot)

    def _is_used(self, snapshot: LdName) -> bool:
        if self.in_use(snapshot) or self._settler.involving(snapshot):
            return True
        try:
            # A peer that copies it now does not know of the pair.
            self._settler.meet_peers(
                snapshot, lambda: self.pair_when_free(snapshot))
        except errors.NecError as error:
            LOG.debug('Who copies `%s` is not known: %s', snapshot, error)
        return bool(self._settler.involving(snapshot))

    def pair_again(self, mv: LdName, snapshot: LdName) -> None:
        """Pair a snapshot with its volume; without it, it does its work.

        Never fails: the next snapshot is then copied in full.
        """
        for _ in range(_PAIR_TRIES):
            try:
                self._pairs.pair(mv, snapshot, 'pair')
            except errors.PairLimit as error:
                failure: errors.NecError = error
                break
            except errors.NecError as error:
                failure = error
            else:
                self._replicas.note(mv, paired=True)
                return
        LOG.warning(
            'Re-pairing the volumes failed (MV = %s, RV = %s): %s The '
            'snapshot stays usable and can be deleted; it is no base for a '
            'differential copy any more.', mv, snapshot, failure)
        if isinstance(failure, errors.PairLimit):
            LOG.warning('Snapshots of %s that were created meanwhile have '
                        'taken all %d pairs.', mv, MAX_PAIRS)
