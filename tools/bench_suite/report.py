# SPDX-License-Identifier: Apache-2.0
"""The table for people and the document for machines.

The table is made of the document, so that a kept one can be shown again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses
from importlib import metadata
import os
import platform
import subprocess
from typing import Any

from harness.terminal import Screen
from harness.venvs import ROOT

from .figures import Outcome
from .settings import Settings

Document = dict[str, Any]

_BUSY_MACHINE = 0.5
_BUSY_SIMULATOR = 0.5
_SLOW_SIMULATOR = 0.05


def machine() -> dict[str, Any]:
    """Where it is measured, and what else runs there."""
    return {'revision': _revision(), 'python': platform.python_version(),
            'cinder': metadata.version('cinder'),
            'cores': os.cpu_count(), 'load': os.getloadavg()[0]}


def _revision() -> str:
    """What is measured, with a + if it is not what was committed."""
    done = subprocess.run(
        ['git', 'describe', '--always', '--dirty=+', '--exclude=*'],
        cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or 'unknown'


def document(outcomes: Sequence[Outcome], settings: Settings,
             where: dict[str, Any], seconds: float) -> Document:
    """Everything, as JSON takes it."""
    return {'machine': where, 'settings': dataclasses.asdict(settings),
            'seconds': seconds, 'held': all(o.held for o in outcomes),
            'rows': [outcome.as_dict() for outcome in outcomes]}


def joined(kept: Sequence[Document]) -> Document:
    """Runs of single rows as one; a row that was run again counts anew.

    :raises ValueError: they were not measured on the same array
    """
    arrays = [(d['settings']['latency'], d['settings']['copy_rate'])
              for d in kept]
    if any(array != arrays[0] for array in arrays):
        raise ValueError('the runs were made on arrays of different speed')
    rows = {(row['key'], row['threads']): row
            for found in kept for row in found['rows']}
    revisions = dict.fromkeys(d['machine']['revision'] for d in kept)
    last = kept[-1]
    return {**last, 'rows': list(rows.values()),
            'seconds': sum(d['seconds'] for d in kept),
            'held': all(row['held'] for row in rows.values()),
            'machine': {**last['machine'],
                        'load': max(d['machine']['load'] for d in kept),
                        'revision': ', '.join(revisions)}}


def show(found: Document, screen: Screen) -> None:
    """Print the table, and below each row its bars."""
    rows = found['rows']
    heads = ('this driver', 'in-tree', 'ratio', 'limit', 'x limit', '')
    table = [cells(row) for row in rows]
    widths = [max([len(head), *(len(c[i]) for c in table)])
              for i, head in enumerate(heads)]
    titles = [f'{row["title"]} ({row["threads"]})' for row in rows]
    width = max(map(len, titles), default=0)
    screen.line()
    screen.line(' ' * width + '  ' + '  '.join(
        h.rjust(w) for h, w in zip(heads, widths, strict=True)), 'bold')
    for row, title, values in zip(rows, titles, table, strict=True):
        line = '  '.join(v.rjust(w) for v, w
                         in zip(values, widths, strict=True))
        screen.line(f'{title:<{width}}  {line}',
                    *(() if row['held'] else ('red',)))
        for bar in row['bars']:
            _show_bar(bar, screen)
        if row['problem']:
            screen.line(f'could not be run: {row["problem"]}', 'red',
                        indent=4)
    screen.line()
    for note in notes(found):
        screen.line(note, 'yellow')
    bad = sum(not row['held'] for row in rows)
    screen.line(f'{len(rows) - bad} of {len(rows)} rows held, '
                f'{found["seconds"]:.0f} s', 'red' if bad else 'green')


def _show_bar(bar: dict[str, Any], screen: Screen) -> None:
    word = {True: 'held', False: 'NOT HELD', None: 'not measured'}[
        bar['held']]
    text = f'{bar["text"]}: {bar["measured"]}  {word}'
    screen.line(text, *(('red',) if bar['held'] is False else ('dim',)),
                indent=4)


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """What a row says under the heads of the table, after its title."""
    ours, theirs = row['ours'], row['in_tree']
    limit = times = ''
    if ours and row['key'] != 'dump':
        limit = f'{ours["limit"]:.1f} s'
        times = f'{ours["times_limit"]:.2f}' if ours['times_limit'] else ''
    ratio = '' if row['ratio'] is None else f'{row["ratio"]:.1f}'
    if row['key'] == 'dump' and ours and theirs:
        ratio = f'{theirs["elapsed"] / ours["elapsed"]:.1f}'
    return (_seconds(row, ours), _seconds(row, theirs, ours), ratio, limit,
            times, 'held' if row['held'] else 'NOT HELD')


def _seconds(row: dict[str, Any], figure: dict[str, Any] | None,
             whole: dict[str, Any] | None = None) -> str:
    if figure is None:
        return ''
    more = '> ' if figure['unfinished'] else ''
    text = f'{more}{figure["elapsed"]:.2f} s'
    if row['key'] == 'dump':
        text += ' CPU'
    if figure['errors']:
        text += f', {len(figure["errors"])} failed'
    if whole and figure['operations'] < whole['operations']:
        text += f' for {figure["operations"]} of {whole["operations"]}'
    return text


def notes(found: Document) -> Iterator[str]:
    """What a reader has to know before believing the table."""
    where = found['machine']
    yield (f'Revision {where["revision"]}, Cinder {where["cinder"]}, '
           f'Python {where["python"]}, {where["cores"]} cores; the array: '
           + ', '.join(
               f'{k} {v:g} s' for k, v
               in found['settings']['latency'].items())
           + f', copy {found["settings"]["copy_rate"]}/s')
    if where['load'] > _BUSY_MACHINE:
        yield (f'The machine was not idle when it began (load '
               f'{where["load"]:.1f}): times are those of a busy machine.')
    for row in found['rows']:
        for figure in (row['ours'], row['in_tree']):
            if figure and row['key'] != 'dump':
                yield from _doubts(row, figure)


def _doubts(row: dict[str, Any],
            figure: dict[str, Any]) -> Iterator[str]:
    """Tell where the simulated array itself was what took the time."""
    share = (figure['simulator_cpu_seconds'] / figure['elapsed']
             if figure['elapsed'] else 0.0)
    name = f'{row["title"]} ({row["threads"]}, {figure["driver"]})'
    if share > _BUSY_SIMULATOR:
        yield (f'{name}: the simulator computed for {share:.0%} of the '
               'time; it may be the bottleneck.')
    late = figure['overhead_seconds']
    spent = figure['tally']['change_seconds'] - late
    if spent > 0 and late > _SLOW_SIMULATOR * spent:
        yield (f'{name}: the simulator took {late:.1f} s longer for the '
               f'changes than the {spent:.1f} s it should.')
