# SPDX-License-Identifier: Apache-2.0
"""The RVs of an MV, and those that outlived their snapshot.

An RV that keeps differences is named ``<snapshot>_d``: its snapshot was
deleted, its pair stays, and the next snapshot of the volume copies only
what has changed (manual chapter 10).  It takes one of the three places for
pairs, and gives way to whatever needs the place.

An operator may have RVs of a volume too.  They are never touched, however
they are named: one is the driver's only if its name decodes to a UUID of
Cinder's and it is where snapshots are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
import contextlib
import dataclasses
import logging
import threading

from cinder_nec import errors, naming
from cinder_nec.backend import changes
from cinder_nec.backend.claims import Claims
from cinder_nec.backend.copying.pairs import (
    AT_REST,
    MAX_PAIRS,
    PairCopy,
    pair_limit,
)
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.volumes import Volumes
from cinder_nec.model import (
    ArrayConfig,
    LdName,
    LogicalDisk,
    PairState,
    PairStatus,
    RplAttribute,
)

LOG = logging.getLogger(__name__)

_PLACE_TRIES = 4
# Which one is best for a differential copy: one that has to be waited for
# comes last.
_REUSABLE = (PairState.SEPARATED, PairState.SYNCHRONIZED,
             PairState.REPLICATING, PairState.SEPARATING)
# Which one gives way first: its differences are lost anyway.
_GIVES_WAY = (PairState.FAULT, PairState.CANCELLED, PairState.SEPARATED,
              PairState.SYNCHRONIZED, PairState.REPLICATING,
              PairState.SEPARATING)


@dataclasses.dataclass(frozen=True)
class Replica:
    """An RV of an MV; ``ld`` is None if it is in another array (RDR).

    :param keeps_differences: its snapshot is deleted, only its differences
        are of use
    """

    pair: PairStatus
    ld: LogicalDisk | None
    keeps_differences: bool = False

    @property
    def is_foreign(self) -> bool:
        """Tell whether no snapshot and no copy of this driver's is like it."""
        return self.ld is not None and not self.keeps_differences and (
            naming.find_uuid(self.ld.name.label) is None
            or _has_suffix(self.ld))

    def __str__(self) -> str:
        name = self.pair.rv if self.ld is None else self.ld.name
        return f'`{name}` ({self.pair.state.value})'


def _has_suffix(ld: LogicalDisk) -> bool:
    return ld.name.label.endswith(naming.SUFFIX_DIFFERENCES)


def kept_name(snapshot: LdName) -> LdName:
    """Return what the RV of a deleted snapshot is called."""
    return LdName(snapshot.platform,
                  snapshot.label + naming.SUFFIX_DIFFERENCES)


class Replicas:
    """Looks at the RVs of an MV and removes those that keep differences.

    :param backup_pools: where snapshots, hence such RVs, are
    :param settles: tells whether an RV is a copy that still settles
    """

    def __init__(self, inventory: Inventory, volumes: Volumes,
                 pairs: PairCopy, claims: Claims,
                 backup_pools: Collection[int],
                 settles: Callable[[LdName], bool] = lambda _: False
                 ) -> None:
        self._inventory = inventory
        self._volumes = volumes
        self._pairs = pairs
        self._claims = claims
        self._settles = settles
        self._backup_pools = frozenset(backup_pools)
        self._lock = threading.Lock()
        self._being_copied: set[LdName] = set()

    # -- looking -------------------------------------------------------

    def of(self, mv: LdName) -> tuple[Replica, ...]:
        """Return the RVs of an MV, in the states of now."""
        pairs = self._pairs.pairs_of_mv(mv.label)
        config = self._inventory.current()
        if any(_find_rv(config, pair.rv) is None for pair in pairs):
            config = self._inventory.refresh()
        found: dict[str, LogicalDisk | None] = {}
        replicas = []
        for pair in pairs:
            # Of two with one name, only one can be in this array.
            ld = (None if pair.rv in found
                  else _find_rv(config, pair.rv))
            found[pair.rv] = ld
            replicas.append(Replica(pair, ld, ld is not None
                                    and self._is_kept(ld)))
        return tuple(replicas)

    def known_mv(self, name: LdName) -> bool:
        """Tell, without asking the array, whether an LD has RVs."""
        ld = self._inventory.current().find_ld(name)
        return ld is not None and ld.has(RplAttribute.MV)

    def note(self, mv: LdName, *, paired: bool) -> None:
        """Take note of whether an LD has RVs now."""
        ld = self._inventory.current().find_ld(mv)
        if ld is not None:
            rest = ld.attributes - {RplAttribute.MV, RplAttribute.IV}
            own = {RplAttribute.MV} if paired else (
                set() if rest else {RplAttribute.IV})
            self._inventory.record(changes.attributes(
                ld.ldn, *(rest | own)))

    def look_whether_mv(self, mv: LdName) -> None:
        """Take note of it after a pair was taken apart; never fails."""
        self.note(mv, paired=False)
        try:
            self.note(mv, paired=bool(self._pairs.pairs_of_mv(mv.label)))
        except errors.NecError as error:
            LOG.debug('Whether `%s` has RVs is not known: %s', mv, error)

    # -- a place for one more pair -------------------------------------

    def ensure_place(self, mv: LdName, what: str, *,
                     refused: bool = False) -> None:
        """See that one more RV fits under an MV.

        Precondition: none.
        Re-entry: an MV with fewer than three pairs is left alone.
        Undo: nothing to undo; differences only make copies shorter.
        Crash leaves: an unpaired LD ``<snapshot>_d``, which the next
        delete of a volume removes (:meth:`sweep`).

        :param what: what is being created, for the error's text
        :param refused: the array refused a pair just now, whatever the
            inventory says
        :raises errors.PairLimit: no RV may give way
        """
        if not refused and not self.known_mv(mv):
            return
        for _ in range(_PLACE_TRIES):
            with self._claims.of(('kept', mv)):
                replicas = self.of(mv)
                if len(replicas) < MAX_PAIRS:
                    return
                name, state = _first_to_give_way(mv, replicas, what)
                if state in AT_REST:
                    LOG.info('`%s` gives way: `%s` has %d pairs. The next '
                             'snapshot is copied in full.', name, mv,
                             MAX_PAIRS)
                    self.remove(mv, name)
                    return
            self._pairs.bring_to_rest(mv, name)
        raise pair_limit(what, mv)

    @contextlib.contextmanager
    def being_copied(self, name: LdName) -> Iterator[None]:
        """A copy to ``name`` runs that will end in taking it apart."""
        with self._lock:
            self._being_copied.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._being_copied.discard(name)

    def is_copy_target(self, ld: LogicalDisk) -> bool:
        """Tell whether an RV becomes a volume and is no snapshot."""
        with self._lock:
            return (ld.name in self._being_copied
                    or self._settles(ld.name)
                    or ld.pool not in self._backup_pools)

    # -- removing ------------------------------------------------------

    def remove(self, mv: LdName, rv: LdName) -> None:
        """Take an RV's pair apart and unbind it."""
        self._pairs.dissolve(mv, rv)
        self._volumes.unbind(rv)

    def release(self, mv: LdName) -> None:
        """Remove the RVs of an MV that is to be deleted.

        Only those that keep differences are; of others nothing is touched.

        Precondition: none.
        Re-entry: those that are gone already are passed by.
        Undo: nothing to undo.
        Crash leaves: fewer RVs, perhaps one unpaired (:meth:`sweep`).

        :raises errors.InUse: it has snapshots, copies of it are running,
            or it has an RV in another array
        """
        replicas = self.of(mv)
        in_use = [r for r in replicas if not r.keeps_differences]
        if in_use:
            raise errors.InUse(
                f'Specified Logical Disk {mv} has been copied.',
                _reason(mv, in_use))
        for replica in replicas:
            assert replica.ld is not None
            self.remove(mv, replica.ld.name)
        self.note(mv, paired=False)

    def end_copies(self, snapshot: LdName) -> None:
        """Take apart what a broken off copy from a snapshot has left."""
        for replica in self.of(snapshot):
            if replica.ld is None:
                raise errors.InUse(
                    f'Snapshot `{snapshot}` has been copied.',
                    _reason(snapshot, [replica]))
            self._pairs.dissolve(snapshot, replica.ld.name)
        self.note(snapshot, paired=False)

    def sweep(self) -> int:
        """Unbind unpaired RVs of deleted snapshots that crashes left.

        Nothing else refers to them: Cinder has forgotten the snapshot,
        and no pair names the volume.  Never fails; returns how many.
        """
        removed = 0
        config = self._inventory.current()
        for ld in config.logical_disks.values():
            if (self._is_orphan(ld) and not config.mapped_to(ld.ldn)):
                LOG.warning('Removing `%s`: its snapshot is deleted and it '
                            'has lost its pair.', ld.name)
                try:
                    removed += self._volumes.unbind(ld.name)
                except errors.NecError as error:
                    LOG.warning('`%s` stays: %s', ld.name, error)
        return removed

    def _is_orphan(self, ld: LogicalDisk) -> bool:
        return ld.attributes == {RplAttribute.IV} and self._is_kept(ld)

    def _is_kept(self, ld: LogicalDisk) -> bool:
        """Tell whether an LD is what this driver makes of a snapshot."""
        return (_has_suffix(ld) and ld.pool in self._backup_pools
                and naming.find_uuid(ld.name.label) is not None)


def find_reusable(mv: LogicalDisk,
                  replicas: Collection[Replica]
                  ) -> tuple[LdName, PairStatus] | None:
    """Return the best RV with differences for the next snapshot."""
    candidates = [
        (r.ld.name, r.pair) for r in replicas
        if r.ld is not None and r.keeps_differences
        and r.pair.state in _REUSABLE
        and r.ld.capacity_bytes == mv.capacity_bytes]
    return min(candidates, default=None, key=lambda c: (
        _REUSABLE.index(c[1].state),
        _differing_bytes(c[1], mv.capacity_bytes)))


def tracks_differences(pair: PairStatus, capacity_bytes: int) -> bool:
    """Tell whether a differential copy is enough.

    A pair that was made anew has no record of what differs, and shows all
    as different (manual 10.3.1, note 2).
    """
    return _differing_bytes(pair, capacity_bytes) < capacity_bytes


def _differing_bytes(pair: PairStatus, capacity_bytes: int) -> int:
    known = pair.separate_diff_bytes
    return capacity_bytes if known is None else known


def not_ours(mv: LdName, replica: Replica) -> str:
    """Return what to do about a foreign RV."""
    return (f'It is paired with {replica}, which is not of this driver\'s '
            'making: its name is none of Cinder\'s, or it is in no pool of '
            'nec_backup_pools. If that pair is not needed, take it apart: '
            f'iSMrc_pair -unpair -mv {mv.label} -mvflg ld '
            f'-rv {replica.pair.rv} -rvflg ld')


def _find_rv(config: ArrayConfig, label: str) -> LogicalDisk | None:
    for ld in config.logical_disks.values():
        if ld.name.label == label and ld.has(RplAttribute.RV):
            return ld
    return None


def _first_to_give_way(mv: LdName, replicas: Collection[Replica],
                       what: str) -> tuple[LdName, PairState]:
    """:raises errors.PairLimit: none of them may"""
    kept = [(r.ld.name, r.pair) for r in replicas
            if r.ld is not None and r.keeps_differences
            and r.pair.state in _GIVES_WAY]
    if not kept:
        raise pair_limit(what, mv)
    name, pair = min(kept, key=lambda k: (
        _GIVES_WAY.index(k[1].state), -(k[1].separate_diff_bytes or 0)))
    return name, pair.state


def _reason(mv: LdName, replicas: Collection[Replica]) -> str:
    """Return what a user can do about RVs that are in the way."""
    remote = [str(r) for r in replicas if r.ld is None]
    if remote:
        return (f'It is paired with {", ".join(remote)} in another disk '
                'array; take that pair apart on the array.')
    foreign = [r for r in replicas if r.is_foreign]
    if foreign:
        return not_ours(mv, foreign[0])
    shown = ', '.join(str(r) for r in replicas)
    if any(r.pair.state not in AT_REST for r in replicas):
        return (f'It is paired with {shown}; wait for the copy to end, or '
                'delete its snapshots.')
    return f'It is paired with {shown}; delete its snapshots first.'
