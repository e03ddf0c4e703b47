# SPDX-License-Identifier: Apache-2.0
"""What is known of the array now: the last dump plus own changes.

A dump costs seconds, so no operation reads one to find what it could know
(DESIGN.md section 5).  The inventory is refreshed by the stats period, by
a refused command that shows it is out of date, and after an unknown
outcome.  The array stays the arbiter: what is read here may be old, and
every workflow is right when it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import logging
import re
import threading

from cinder_nec import errors, retry
from cinder_nec.backend.reservations import Reservations
from cinder_nec.model import ArrayConfig

LOG = logging.getLogger(__name__)

_LINE = re.compile(r'\. line=[0-9]+$')

Change = Callable[[ArrayConfig], ArrayConfig]


class _Dump:
    """A dump in flight: who waits for it and what became of it."""

    def __init__(self, started: int) -> None:
        self.started = started
        self.done = threading.Event()
        self.error: BaseException | None = None


class Inventory:
    """The known configuration of one array, shared by its back ends.

    :param fetch: reads and parses a whole configuration; it is given the
        one that is known, to keep what has not changed
    """

    def __init__(self, fetch: Callable[[ArrayConfig | None], ArrayConfig],
                 clock: retry.Clock,
                 reservations: Reservations | None = None) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._config: ArrayConfig | None = None
        self._journal: list[tuple[int, Change]] = []
        self._moment = 0
        self._in_flight: _Dump | None = None
        self._dump_started = -1
        self._dumped_at: float | None = None
        self._reported: frozenset[str] = frozenset()
        self.reservations = reservations or Reservations(clock)

    def current(self) -> ArrayConfig:
        """Return what is known; reads a dump only if there was none."""
        config = self._config
        return self.refresh(0) if config is None else config

    @property
    def known(self) -> ArrayConfig | None:
        """What is known without asking the array, None if nothing is."""
        return self._config

    def mark(self) -> int:
        """Return a moment; a dump that starts later is newer than it."""
        with self._lock:
            self._moment += 1
            return self._moment

    def record(self, change: Change) -> int:
        """Take note of an own change that the array has carried out.

        ``change`` must give the same result when applied twice: a dump
        that was running meanwhile may show it already.  Returns the
        moment of the change, for :meth:`refresh`.
        """
        with self._lock:
            self._moment += 1
            moment = self._moment
            if self._in_flight is not None:
                self._journal.append((moment, change))
            if self._config is not None:
                self._config = change(self._config)
                self.reservations.follow(self._config)
        return moment

    def refresh(self, after: int | None = None) -> ArrayConfig:
        """Return a configuration that was read after a moment.

        Askers whose moment lies before the start of a dump in flight share
        it.  Without ``after`` the moment is now.

        :raises errors.NecError: the array could not be read
        """
        if after is None:
            after = self.mark()
        while True:
            mine = False
            with self._lock:
                if self._config is not None and self._dump_started >= after:
                    return self._config
                dump = self._in_flight
                if dump is None:
                    self._moment += 1
                    dump = self._in_flight = _Dump(self._moment)
                    self._journal = []
                    mine = True
            if mine:
                return self._read(dump)
            dump.done.wait()
            if dump.started >= after and dump.error is not None:
                raise dump.error

    def age_seconds(self) -> float | None:
        """Return the age of the last dump, None if there was none."""
        if self._dumped_at is None:
            return None
        return self._clock.now() - self._dumped_at

    def _read(self, dump: _Dump) -> ArrayConfig:
        started_at = self._clock.now()
        try:
            config = self._fetch(self._config)
            with self._lock:
                for _moment, change in self._journal:
                    config = change(config)
                self._config = config
                self._dump_started = dump.started
                self._dumped_at = started_at
                self.reservations.follow(config)
        except BaseException as error:
            dump.error = error
            raise
        finally:
            with self._lock:
                self._in_flight = None
                self._journal = []
            dump.done.set()
        self._report(config)
        return config

    @contextlib.contextmanager
    def free_ldn(self) -> Iterator[int]:
        """Promise a free LD number for the time of the block.

        The array is read before it is believed that there is none.

        :raises errors.NoCapacity: there is none
        """
        with contextlib.ExitStack() as promise:
            try:
                number = promise.enter_context(self.reservations.ldn())
            except errors.NoCapacity:
                self.refresh()
                number = promise.enter_context(self.reservations.ldn())
            yield number

    def _report(self, config: ArrayConfig) -> None:
        """Log what was not understood, each thing once.

        Where in the dump it is does not make it another thing.
        """
        found = {_LINE.sub('', text): text for text in config.unrecognized}
        for key in sorted(found.keys() - self._reported):
            what, _, unit = found[key].partition('UNIT[')
            if unit:
                # As the manual has it (appendix D.1), without the XML.
                LOG.error('UNIT[%s out="%s"', unit,
                          what.rstrip(' :'))
            else:
                LOG.warning('The configuration of the array has something '
                            'that is not understood: %s', what)
        self._reported = frozenset(found)
