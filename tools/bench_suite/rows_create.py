# SPDX-License-Identifier: Apache-2.0
"""Creates: many at once, on a large array, by two services."""

from __future__ import annotations

from .bench import Bench, Run, Work, figure_of, operation
from .figures import Bar, Outcome, at_least, at_most, failures, none
from .lab import SYSTEM_LDS, Layout, Volume

CHANGES_OF_A_CREATE = 2
# From here on the array counts as a large one.
_LARGE = 4000
_MIN_SHARE = 0.25
# Two runs of the same work differ by about so much.
_TOLERANCE = 1.05


def work(bench: Bench, lds: int) -> Work:
    """So many creates at a time as the options say."""
    number = bench.settings.parallel
    volumes = [Volume(f'create-{i}') for i in range(number)]
    return Work(
        title=f'{number} concurrent creates, {lds:,} LDs there',
        layout=Layout(lds),
        operations=tuple(operation('create_volume', v.fields)
                         for v in volumes),
        changes=(CHANGES_OF_A_CREATE,) * number, workers=number)


def creates(bench: Bench, native: bool, threads: str) -> list[Outcome]:
    """One row for each number of LDs."""
    return [_creates(bench, native, threads, lds)
            for lds in bench.settings.lds]


def _creates(bench: Bench, native: bool, threads: str,
             lds: int) -> Outcome:
    todo = work(bench, lds)
    ours, theirs = bench.ours(todo, native), bench.in_tree(todo, native)
    outcome = Outcome(f'creates-{lds}', todo.title, threads, ours.figure,
                      figure_of(theirs))
    large = lds >= _LARGE
    outcome.bars = [
        *failures(ours.figure),
        at_most('x limit', ours.figure.times_limit, 1.15),
        at_least('x faster than in-tree', outcome.ratio,
                 5.0 if large else 2.2),
        at_most('dumps', ours.figure.tally.dumps, 0)]
    if large:
        empty = bench.ours(work(bench, 0), native).figure
        cost = ours.figure.elapsed / empty.elapsed
        outcome.bars.append(at_most('x cost of one create at 0 LDs',
                                    cost, 1.1))
        outcome.values['elapsed_at_0_lds'] = empty.elapsed
        outcome.values['cpu_per_create'] = {
            str(n): f.cpu_seconds / f.operations
            for n, f in ((0, empty), (lds, ours.figure))}
    return outcome


def pair(bench: Bench, native: bool, threads: str) -> list[Outcome]:
    """Two cinder-volume processes on one array."""
    lds = bench.settings.first_lds
    todo = work(bench, lds)
    alone = bench.ours(todo, native)
    ours = bench.ours(todo, native, processes=2)
    outcome = Outcome('two-processes',
                      f'{todo.title}, by two services', threads,
                      ours.figure)
    outcome.bars = [
        *failures(ours.figure),
        at_most('x time of one service',
                ours.figure.elapsed / alone.figure.elapsed, _TOLERANCE),
        at_least('share of the slower one while both work',
                 _share(ours), _MIN_SHARE),
        *_once(todo, ours)]
    outcome.values = {'alone_seconds': alone.figure.elapsed,
                      'busy_answers': ours.figure.tally.busy,
                      'longest_create': ours.figure.longest}
    return [outcome]


def _share(run: Run) -> float | None:
    """How much the slower process had done when the quicker was ready."""
    ends = [sorted(float(r['end']) for r in run.results
                   if r['process'] == number and r['end'])
            for number in (0, 1)]
    if not all(ends):
        return None
    quick, slow = sorted(ends, key=lambda e: e[-1])
    done = sum(end <= quick[-1] for end in slow)
    return done / (done + len(quick))


def _once(todo: Work, run: Run) -> list[Bar]:
    """Nothing is made twice, nothing is left over."""
    lds = [ld for ld in run.state['lds'] if ld['kind'] == 'ordinary']
    wanted = max(0, todo.layout.lds - SYSTEM_LDS) + len(todo.operations)
    nameless = [ld for ld in lds if not ld['platform'].strip()]
    return [Bar('each volume once', f'{len(lds)} LDs of {wanted}',
                len(lds) == wanted),
            none('LD without a name', len(nameless))]
