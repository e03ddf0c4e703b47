# SPDX-License-Identifier: Apache-2.0
"""Running one piece of work with one driver, and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import select
import time
from typing import Any

from harness import drivers

from . import tally
from .figures import Figure
from .lab import Lab, Layout
from .peer import Peer
from .settings import Settings

Operation = dict[str, Any]
Tell = Callable[[str], None]

_LOOK_SECONDS = 2.0
# Far more than a driver needs that works at all.
_TIMES_LIMIT = 60.0
_GRACE_SECONDS = 120.0


def operation(method: str, *args: Any, after_seconds: float = 0.0
              ) -> Operation:
    """A call of a driver's method, as the worker takes it."""
    return {'method': method, 'args': list(args),
            'after_seconds': after_seconds}


@dataclass(frozen=True)
class Work:
    """Work for a driver on a fresh array; ``title`` tells it apart.

    :param changes: of the array, for each operation, that the work cannot
        do without (README.md, "The array's own limit")
    :param workers: operations at a time
    """

    title: str
    layout: Layout
    operations: tuple[Operation, ...]
    changes: tuple[int, ...]
    workers: int
    protocol: str = drivers.ISCSI
    stats_every: float | None = None
    within_seconds: float | None = None

    def first(self, number: int | None) -> Work:
        """Only the first operations."""
        if number is None or number >= len(self.operations):
            return self
        return Work(self.title, self.layout, self.operations[:number],
                    self.changes[:number], min(self.workers, number),
                    self.protocol, self.stats_every, self.within_seconds)


@dataclass(frozen=True)
class Run:
    """What happened: the figure, and all that it was made of."""

    figure: Figure
    entries: list[tally.Entry]
    results: list[dict[str, Any]]
    state: dict[str, Any]


def figure_of(run: Run | None) -> Figure | None:
    """The figure of a run that there may not have been."""
    return None if run is None else run.figure


def driver_path(protocol: str, in_tree: bool) -> str:
    """The class by the snapshot method for a protocol."""
    name = {drivers.ISCSI: 'MStorageISCSIDriver',
            drivers.FC: 'MStorageFCDriver'}[protocol]
    return (drivers.IN_TREE if in_tree else drivers.OURS) + name


class Bench:
    """Runs work; remembers what was run, for rows that share it."""

    def __init__(self, settings: Settings, tell: Tell) -> None:
        self.settings = settings
        self.tell = tell
        self._runs: dict[tuple[object, ...], Run] = {}

    def ours(self, work: Work, native: bool, processes: int = 1) -> Run:
        """Run work with this project's driver."""
        return self._remembered(work, native, False, processes)

    def in_tree(self, work: Work, native: bool = False) -> Run | None:
        """Run work with Cinder's own driver; None if not wanted.

        It is asked for no more than ``in_tree_operations``.
        """
        if not self.settings.in_tree:
            return None
        return self._remembered(
            work.first(self.settings.in_tree_operations), native, True, 1)

    def _remembered(self, work: Work, native: bool, in_tree: bool,
                    processes: int) -> Run:
        key = (work.title, work.protocol, len(work.operations), native,
               in_tree, processes)
        if key not in self._runs:
            self._runs[key] = self._run(work, native, in_tree, processes)
        return self._runs[key]

    def _run(self, work: Work, native: bool, in_tree: bool,
             processes: int) -> Run:
        who = 'in-tree driver' if in_tree else 'this driver'
        with Lab(self.settings, work.layout, work.protocol) as lab:
            self.tell(f'{work.title}: {who}, '
                      f'{len(work.operations)} operations')
            path = driver_path(work.protocol, in_tree)
            peers = [lab.peer(path, native) for _ in range(processes)]
            for peer in peers:
                peer.start()
            limit = sum(work.changes) * self.settings.change_seconds
            within = work.within_seconds or (
                limit * _TIMES_LIMIT + _GRACE_SECONDS)
            mark, simulator_cpu = lab.sim.control.mark(), lab.simulator_cpu()
            for index, peer in enumerate(peers):
                peer.send('run', operations=work.operations[index::processes],
                          workers=max(1, work.workers // processes),
                          within_seconds=within,
                          stats_every=work.stats_every)
            self._wait(peers, lab, mark)
            answers = [peer.answer() for peer in peers]
            simulator_cpu = lab.simulator_cpu() - simulator_cpu
            entries = lab.sim.control.journal(mark)
            state = lab.sim.control.state()
        return self._told(work, path, limit, answers, entries, state,
                          simulator_cpu)

    def _wait(self, peers: Sequence[Peer], lab: Lab, mark: int) -> None:
        """Say now and then how far it is."""
        started = time.monotonic()
        for peer in peers:
            while not select.select([peer], [], [], _LOOK_SECONDS)[0]:
                commands = lab.sim.control.mark() - mark
                self.tell(f'\r{time.monotonic() - started:6.0f} s, '
                          f'{commands} commands')

    def _told(self, work: Work, path: str, limit: float,
              answers: Sequence[dict[str, Any]],
              entries: list[tally.Entry], state: dict[str, Any],
              simulator_cpu: float) -> Run:
        results = [dict(result, process=number)
                   for number, answer in enumerate(answers)
                   for result in answer['results']]
        ended = [r for r in results if r['end'] is not None]
        begin = min((r['start'] for r in results if r['start']),
                    default=0.0)
        end = max((r['end'] for r in ended), default=begin)
        if len(ended) < len(results):
            end = max(end, time.time())
        during = tally.during(entries, begin, None)
        counts = tally.count(during)
        figure = Figure(
            driver=path, operations=len(results), elapsed=end - begin,
            limit=limit, tally=counts,
            cpu_seconds=sum(a['cpu_seconds'] for a in answers),
            simulator_cpu_seconds=simulator_cpu,
            overhead_seconds=counts.change_seconds
            - counts.changes * self.settings.change_seconds,
            errors=[f'{r["method"]}: {r["error"]}'
                    for r in ended if r['error']],
            unfinished=len(results) - len(ended),
            longest=max((r['end'] - r['start'] for r in ended),
                        default=0.0))
        self.tell(f'{figure.elapsed:.1f} s, {counts.changes} changes, '
                  f'{counts.dumps} dumps, {counts.reads} queries'
                  + (f', {counts.busy} busy answers' if counts.busy else '')
                  + (f', {len(figure.errors)} FAILED: {figure.errors[0]}'
                     if figure.errors else ''))
        return Run(figure, during, results, state)
