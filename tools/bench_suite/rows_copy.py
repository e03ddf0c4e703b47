# SPDX-License-Identifier: Apache-2.0
"""Clones: of a large volume, and many of one source."""

from __future__ import annotations

from . import tally
from .bench import Bench, Run, Work, figure_of, operation
from .figures import Bar, Outcome, at_most, failures
from .lab import Layout, Volume

# Bind, name, pair, replicate, separate: then its data can be read.
CHANGES_UNTIL_READABLE = 5
# The image cache rolls over to a new source on this one.
_ROLLS_OVER = 'SnapshotLimitReached'
_SMALL_GIB = 1
# Of one source, at a time.
_PAIRS = 3
_TOLERANCE = 1.1


def _clone_of(bench: Bench, size_gib: int) -> Work:
    source = Volume(f'source-{size_gib}', size_gib)
    clone = Volume(f'clone-{size_gib}', size_gib)
    return Work(
        title=f'clone of {size_gib:,} GiB',
        layout=Layout(bench.settings.first_lds, (source,)),
        operations=(operation('create_cloned_volume', clone.fields,
                              source.fields),),
        changes=(CHANGES_UNTIL_READABLE,), workers=1,
        within_seconds=bench.settings.patience)


def clone(bench: Bench, native: bool, threads: str) -> list[Outcome]:
    """A clone can be read long before it is copied."""
    large = _clone_of(bench, bench.settings.large_gib)
    small = bench.ours(_clone_of(bench, _SMALL_GIB), native)
    ours = bench.ours(large, native)
    # In-tree it takes as long as the copy; that can be computed, and a
    # figure that was not measured has no place here.
    theirs = bench.in_tree(large, native)
    outcome = Outcome('clone', large.title, threads, ours.figure,
                      figure_of(theirs))
    waiting = _waiting(ours)
    outcome.bars = [
        *failures(ours.figure),
        at_most('round trips', ours.figure.tally.commands, 10),
        at_most('waiting', waiting, 1.0, ' s'),
        at_most(f'x time of {_SMALL_GIB} GiB',
                ours.figure.elapsed / small.figure.elapsed, _TOLERANCE)]
    outcome.values = {'waiting_seconds': waiting,
                      'small_seconds': small.figure.elapsed}
    return [outcome]


def _waiting(run: Run) -> float:
    """Time in which no command of the clone was running."""
    start = run.results[0]['start']
    end = start + run.figure.elapsed
    return run.figure.elapsed - tally.covered(run.entries, start, end)


def clones(bench: Bench, native: bool, threads: str) -> list[Outcome]:
    """An image cache: many volumes of one source at a time."""
    number = max(4, bench.settings.parallel // 4)
    source = Volume('image')
    work = Work(
        title=f'{number} concurrent clones of one source',
        layout=Layout(bench.settings.first_lds, (source,)),
        operations=tuple(operation(
            'create_cloned_volume', Volume(f'of-image-{i}').fields,
            source.fields) for i in range(number)),
        # Beyond three pairs one has to be taken apart for each new one.
        changes=tuple(CHANGES_UNTIL_READABLE + (i >= _PAIRS)
                      for i in range(number)), workers=number)
    ours, theirs = bench.ours(work, native), bench.in_tree(work, native)
    figure = ours.figure
    rolled = [e for e in figure.errors if _ROLLS_OVER in e]
    failed = [e for e in figure.errors if _ROLLS_OVER not in e]
    figure.errors[:] = failed
    outcome = Outcome('clones', work.title, threads, figure,
                      figure_of(theirs))
    made = number - len(rolled) - len(failed) - figure.unfinished
    outcome.bars = [
        *failures(figure),
        Bar('all succeed or roll over',
            f'{made} made, {len(rolled)} roll over, {len(failed)} failed',
            made + len(rolled) == number)]
    outcome.values = {'made': made, 'rolled_over': len(rolled)}
    return [outcome]
