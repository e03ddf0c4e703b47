# SPDX-License-Identifier: Apache-2.0
"""Copies that go on after their volume was handed out.

A clone can be read and written as soon as the array has accepted the
separation (``-rvuse immediate``, ISMCLI.md B.3), long before all of it is
copied.  It is returned then, and *settles* here: when its pair has come to
rest, the pair is taken apart.  The pairs on the array are the journal: what
a stopped service leaves is taken up by :meth:`Settler.adopt`.

No thread runs while there is nothing to settle.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
import contextlib
import dataclasses
import logging
import threading

from cinder_nec import errors, naming, retry
from cinder_nec.backend.beside import Starter
from cinder_nec.backend.copying.pairs import COPYING, PairCopy, copy_again
from cinder_nec.backend.copying.progress import Progress
from cinder_nec.backend.inventory import Inventory
from cinder_nec.ismcli.commands import VolumeAccess
from cinder_nec.model import LdName, PairState, PairStatus, RplAttribute

LOG = logging.getLogger(__name__)

_FIRST_SECONDS = 0.5
_FACTOR = 1.4
_LONGEST_SECONDS = 30.0
_GOES_ON = COPYING | {PairState.SEPARATING}
_SETTLES = {PairState.SEPARATING, PairState.SEPARATED}

Then = Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Copy:
    """A copy that settles.

    :param then: what is to be done when the pair is taken apart
    """

    mv: LdName
    rv: LdName
    then: Then | None = dataclasses.field(default=None, compare=False)

    def __str__(self) -> str:
        return f'the copy of `{self.mv}` to `{self.rv}`'


class Settler:
    """Watches the copies of one array and takes apart what has settled.

    :param start: runs the work beside the caller
    :param of_peers: in a cluster, tells an RV that is a copy from one that
        is a snapshot; None where no other service copies these volumes
    """

    def __init__(self, inventory: Inventory, pairs: PairCopy,
                 clock: retry.Clock, start: Starter,
                 of_peers: Callable[[LdName], bool] | None = None
                 ) -> None:
        self._inventory = inventory
        self._pairs = pairs
        self._clock = clock
        self._start = start
        self._of_peers = of_peers
        self._lock = threading.Lock()
        self._stepping = threading.Lock()
        self._wake = threading.Event()
        self._copies: dict[LdName, Copy] = {}
        self._watched: dict[LdName, int] = {}
        self._progress: dict[LdName, Progress] = {}
        self._trouble: dict[LdName, errors.NecError] = {}
        self._running = False

    # -- what settles --------------------------------------------------

    def hand_over(self, mv: LdName, rv: LdName,
                  then: Then | None = None) -> None:
        """Let a copy settle whose separation the array has accepted.

        :param then: called once when the pair was taken apart
        """
        with self._lock:
            self._copies[rv] = Copy(mv, rv, then)
            idle = not self._running
            self._running = True
        self._wake.set()
        if idle:
            self._start(self._work)

    def adopt(self, volumes: Collection[LdName],
              unfinished: Collection[LdName] = ()) -> None:
        """Take up the copies to volumes that an earlier service left.

        Nothing is waited for here.

        :param volumes: names of volumes; an RV of another name is a
            snapshot, which keeps its pair
        :param unfinished: those of them that an operation worked on which
            has died; a copy that still follows its source is separated
        :raises errors.NecError: the array cannot be read
        """
        config = self._inventory.current()
        for ld in config.logical_disks.values():
            if ld.name not in volumes or not ld.has(RplAttribute.RV):
                continue
            try:
                self._adopt(ld.name, ld.name in unfinished)
            except errors.NecError as error:
                LOG.warning('The copy to `%s` is not looked after: %s',
                            ld.name, error)

    def _adopt(self, rv: LdName, is_unfinished: bool) -> None:
        pair = self._pairs.pair_of_rv(rv.label)
        if pair is None or naming.find_uuid(pair.mv) is None:
            return
        mv = LdName(rv.platform, pair.mv)
        if pair.state in COPYING and is_unfinished:
            LOG.info('Ending the copy of `%s` to `%s`, which was broken '
                     'off.', mv, rv)
            self._pairs.stop_following(mv, rv, VolumeAccess.READ_WRITE)
        elif pair.state not in _SETTLES:
            # Nothing of this driver's making, or for its delete.
            return
        else:
            LOG.info('Going on with the copy of `%s` to `%s`.', mv, rv)
        self.hand_over(mv, rv)

    @property
    def has_peers(self) -> bool:
        """Tell whether other services work on the same volumes."""
        return self._of_peers is not None

    def meet_peers(self, name: LdName, then: Then | None = None) -> None:
        """Take up the copies of an LD that another service handed out.

        Both look after them then; who comes second finds them gone.  Costs
        two reads in a cluster, nothing elsewhere.

        :param then: called for each when it was taken apart
        :raises errors.NecError: the array cannot be asked
        """
        if self._of_peers is None:
            return
        own = self._pairs.pair_of_rv(name.label)
        for pair in (*([own] if own else []),
                     *self._pairs.pairs_of_mv(name.label)):
            rv = LdName(name.platform, pair.rv)
            if (not self.is_target(rv) and self._of_peers(rv)
                    and pair.state in _GOES_ON | _SETTLES):
                LOG.info('Another service copies `%s` to `%s`.', pair.mv,
                         rv)
                self.hand_over(LdName(name.platform, pair.mv), rv, then)

    def involving(self, name: LdName) -> tuple[Copy, ...]:
        """Return the copies that have an LD at either end."""
        with self._lock:
            return tuple(copy for copy in self._copies.values()
                         if name in (copy.mv, copy.rv))

    def is_target(self, name: LdName) -> bool:
        """Tell whether an LD is being copied to."""
        return name in self._copies

    def __len__(self) -> int:
        return len(self._copies)

    def running(self) -> tuple[LdName, ...]:
        """Return one LD of each copy that is known to run.

        That is its target, or its source if somebody waits for the copy.
        """
        with self._lock:
            return (*self._copies, *(
                mv for mv, times in self._watched.items()
                for _ in range(times)))

    @contextlib.contextmanager
    def place(self, mv: LdName) -> Iterator[None]:
        """Count one of an LD's pairs that somebody else looks after."""
        with self._lock:
            self._watched[mv] = self._watched.get(mv, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._watched[mv] -= 1
                if not self._watched[mv]:
                    del self._watched[mv]

    # -- waiting -------------------------------------------------------

    def settle(self, name: LdName, within_seconds: float) -> None:
        """Wait until no copy runs that has an LD at either end.

        :raises errors.InUse: one still runs after ``within_seconds``
        """
        self.meet_peers(name)
        deadline = retry.Deadline.after(self._clock, within_seconds)
        self._wait(lambda: not self.involving(name), name, deadline)
        running = self.involving(name)
        if running:
            raise errors.InUse(
                f'Specified Logical Disk {name} has been copied. '
                f'{running[0]} still runs{self._shown(running[0])}.',
                'Try again when the copy has ended.'
                + self._told(running[0]))

    def settle_target(self, name: LdName, within_seconds: float) -> None:
        """Wait until an LD is not being copied to: it can be copied then.

        :raises errors.InUse: it still is after ``within_seconds``
        """
        self.meet_peers(name)
        if self.is_target(name):
            self.settle(name, within_seconds)

    def wait_for_place(self, mv: LdName, places: int,
                       deadline: retry.Deadline) -> None:
        """Wait until fewer than so many copies of an LD run."""
        self._wait(lambda: self._count(mv) < places, mv, deadline)

    def wait_for_less(self, mv: LdName, deadline: retry.Deadline) -> bool:
        """Wait until one copy of an LD has ended; False if none does."""
        if not self._count(mv):
            self.meet_peers(mv)
        before = self._count(mv)
        if before:
            self._wait(lambda: self._count(mv) < before, mv, deadline)
        return self._count(mv) < before

    def _count(self, mv: LdName) -> int:
        with self._lock:
            return self._watched.get(mv, 0) + sum(
                copy.mv == mv for copy in self._copies.values())

    def _wait(self, done: Callable[[], bool], name: LdName,
              deadline: retry.Deadline) -> None:
        delay = _FIRST_SECONDS
        while not done():
            self._step(self.involving(name))
            if done() or deadline.passed():
                return
            self._clock.sleep(min(delay, deadline.remaining_seconds()))
            delay = min(delay * _FACTOR, _LONGEST_SECONDS)

    def _shown(self, copy: Copy) -> str:
        progress = self._progress.get(copy.rv)
        return '' if progress is None else f' ({progress})'

    def _told(self, copy: Copy) -> str:
        """Return why a copy may have ended and its pair is there."""
        trouble = self._trouble.get(copy.mv)
        return '' if trouble is None else (
            f' It could not be looked after: {trouble}')

    # -- settling ------------------------------------------------------

    def _work(self) -> None:
        delay = _FIRST_SECONDS
        while True:
            with self._lock:
                copies = tuple(self._copies.values())
                if not copies:
                    self._running = False
                    return
            try:
                self._step(copies)
            except Exception:  # a bug must not end all settling
                LOG.exception('The settler of copies goes on after this.')
            if self._wake.wait(delay):
                self._wake.clear()
                delay = _FIRST_SECONDS
            else:
                delay = min(delay * _FACTOR, _LONGEST_SECONDS)

    def _step(self, copies: Collection[Copy]) -> None:
        """Look at some copies; one query serves all of one source.

        Where somebody else is looking already, that will do.
        """
        if not self._stepping.acquire(blocking=False):
            return
        try:
            for mv in dict.fromkeys(copy.mv for copy in copies):
                self._step_mv(mv)
        finally:
            self._stepping.release()

    def _step_mv(self, mv: LdName) -> None:
        copies = [c for c in self.involving(mv) if c.mv == mv]
        if not copies:
            return
        try:
            found = {p.rv: p for p in self._pairs.pairs_of_mv(mv.label)}
            for copy in copies:
                # Gone is believed only of the copy itself: the source may
                # not be known for an MV, and a refusal reads like none.
                self._look(copy, found.get(copy.rv.label)
                           or self._pairs.pair_of(mv.label, copy.rv.label))
            self._trouble.pop(mv, None)
        except errors.NecError as error:
            self._trouble[mv] = error
            LOG.warning('The copies of `%s` are looked at again later: %s',
                        mv, error)

    def _look(self, copy: Copy, pair: PairStatus | None) -> None:
        state = None if pair is None else pair.state
        if pair is not None and state in _GOES_ON:
            self._report(copy, pair)
            return
        if state is PairState.SEPARATED:
            self._pairs.unpair(copy.mv, copy.rv)
        elif state is not None:
            LOG.error(
                'Copying `%s` to `%s` has stopped in state %s: the copy is '
                'not whole. Delete the volume of `%s` (openstack volume '
                'delete %s), or, if nobody has written to it, let it have '
                'what `%s` holds now, by these commands on the array, the '
                'last one when it is separated: %s', copy.mv, copy.rv,
                state.value, copy.rv, naming.find_uuid(copy.rv.label),
                copy.mv, '; '.join(c.text for c in copy_again(
                    copy.mv.label, copy.rv.label)))
        self._drop(copy)
        if state in (None, PairState.SEPARATED):
            LOG.info('Copied `%s` to `%s`.', copy.mv, copy.rv)
            if copy.then is not None:
                copy.then()

    def _drop(self, copy: Copy) -> None:
        with self._lock:
            if self._copies.get(copy.rv) is copy:
                del self._copies[copy.rv]
            self._progress.pop(copy.rv, None)

    def _report(self, copy: Copy, pair: PairStatus) -> None:
        ld = self._inventory.current().find_ld(copy.rv)
        if ld is None or pair.copy_diff_bytes is None:
            return
        progress = self._progress.setdefault(
            copy.rv, Progress(self._clock, ld.capacity_bytes))
        if progress.move(pair.copy_diff_bytes):
            LOG.info('Copying `%s` to `%s`: %s.', copy.mv, copy.rv,
                     progress)


def copies_in(inventory: Inventory,
              snapshot_pools: Collection[int]) -> Callable[[LdName], bool]:
    """Return what tells an RV that becomes a volume from others.

    :param snapshot_pools: where RVs are snapshots
    """
    pools = frozenset(snapshot_pools)

    def is_copy(name: LdName) -> bool:
        if (naming.find_uuid(name.label) is None
                or naming.split_suffix(name.label)[1]):
            return False
        ld = (inventory.current().find_ld(name)
              or inventory.refresh().find_ld(name))
        return ld is not None and ld.pool not in pools
    return is_copy
