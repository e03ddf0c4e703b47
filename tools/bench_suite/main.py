# SPDX-License-Identifier: Apache-2.0
"""tools/bench: the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
import dataclasses
import json
from pathlib import Path
import sys
import time
from typing import Any

from harness import ending
from harness.terminal import Screen

from . import (
    plot,
    report,
    rows_access,
    rows_array,
    rows_copy,
    rows_create,
    rst,
)
from .bench import Bench
from .figures import Outcome
from .peer import PeerError
from .settings import LATENCY, QUICK_LATENCY, Settings, parse_latency

Row = Callable[[Bench, bool, str], list[Outcome]]

ROWS: dict[str, tuple[Row, str]] = {
    'creates': (rows_create.creates, 'concurrent creates'),
    'attach-fc': (rows_access.attach_fc, 'concurrent attaches, FC'),
    'attach-iscsi': (rows_access.attach_iscsi,
                     'concurrent attaches, iSCSI multi-target'),
    'mixed': (rows_access.mixed, 'mixed operations while stats run'),
    'attach-first': (rows_access.attach_first,
                     'an attach while creates wait'),
    'clone': (rows_copy.clone, 'clone of a 1 TiB volume'),
    'clones': (rows_copy.clones, 'concurrent clones of one source'),
    'dump': (rows_array.dump, 'CPU, memory, held threads of a dump'),
    'find-ldn': (rows_array.find_ldn, 'finding a free LD number'),
    'idle': (rows_array.idle, 'idle back end, and its stats period'),
    'two-processes': (rows_create.pair, 'two services on one array'),
}
QUICK: dict[str, Any] = {'lds': (100, 400), 'parallel': 8, 'dump_lds': 1000,
         'patience': 6.0, 'idle_seconds': 2.0}


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    latency = ','.join(f'{k}={v:g}' for k, v in LATENCY.items())
    width = max(map(len, ROWS))
    parser = argparse.ArgumentParser(
        prog='tools/bench', formatter_class=argparse.RawTextHelpFormatter,
        description='Do the same work on the same simulated array with '
        'this driver and with the\nin-tree driver of the installed Cinder, '
        'and print what it took, beside what the\narray itself needs for '
        'it. Every run has a fresh array and a fresh process.',
        epilog='rows:\n' + '\n'.join(
            f'  {name:<{width}}  {about}'
            for name, (_row, about) in ROWS.items())
        + '\n\nExit status: 0 if every bar that was measured is held, 1 if '
        'not, 130 if\ninterrupted. All rows take about an hour; the '
        'in-tree driver has most of it.')
    add = parser.add_argument
    add('--only', action='append', choices=sorted(ROWS), metavar='ROW',
        help='only this row (may be repeated)')
    add('--quick', action='store_true',
        help='two minutes instead of an hour: 8 operations, few LDs, a '
        'quick array.\nShows that all works; its times mean little')
    add('--lds', metavar='N[,N]', type=_numbers,
        help='LDs that are there already (default 1000,8000); rows other '
        'than\n"creates" take the first')
    add('--parallel', metavar='N', type=_positive,
        help='operations at a time where the table has 64')
    add('--latency', metavar='KIND=SECONDS,...', type=_latency, default={},
        help=f'how slow the array is (default\n{latency})')
    add('--copy-rate', metavar='SIZE', default='1GiB',
        help='bytes per second of a copy (default %(default)s)')
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument('--native-threads', action='store_true',
                      help='without eventlet '
                      '(OS_CINDER_DISABLE_EVENTLET_PATCHING=1)')
    mode.add_argument('--both', action='store_true',
                      help='each row with eventlet and with native threads')
    add('--no-in-tree', action='store_true',
        help='leave the in-tree driver out')
    add('--in-tree-operations', metavar='N', type=_positive,
        help='let the in-tree driver do no more than N operations of a row '
        'and\ncompare by the limit of those')
    add('--patience', metavar='SECONDS', type=float,
        help='how long a clone is waited for (default 120)')
    add('--idle', metavar='SECONDS', type=float, dest='idle_seconds',
        help='how long an idle back end is watched (default 61)')
    add('--json', metavar='FILE', type=Path, help='keep all figures')
    add('--plot', metavar='FILE.svg', type=Path,
        help='draw them (fetches matplotlib into .cache/ once)')
    add('--rst', metavar='FILE', type=Path,
        help='the table for the documentation')
    add('--from', metavar='FILE', type=Path, action='append', dest='kept',
        help='measure nothing: show what --json kept (may be repeated; '
        'later runs\nof a row replace earlier ones)')
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError('give 1 or more')
    return number


def _numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(int(item) for item in text.split(','))
    if any(not 0 <= number <= 8100 for number in numbers):
        raise argparse.ArgumentTypeError('give numbers from 0 to 8100: the '
                                         'array has room for 8192 LDs')
    return numbers


def _latency(text: str) -> dict[str, float]:
    try:
        return parse_latency(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings that a command line asks for."""
    latency = QUICK_LATENCY if options.quick else LATENCY
    settings = Settings(
        latency={**latency, **options.latency},
        copy_rate=options.copy_rate, in_tree=not options.no_in_tree,
        in_tree_operations=options.in_tree_operations)
    if options.quick:
        settings = dataclasses.replace(settings, **QUICK)
    given = {name: getattr(options, name)
             for name in ('lds', 'parallel', 'patience', 'idle_seconds')
             if getattr(options, name) is not None}
    return dataclasses.replace(settings, **given)


class Progress:
    """What is being done, on stderr: stdout is for the table."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._open = False

    def __call__(self, text: str) -> None:
        """Show a line; one that begins with CR replaces the last such."""
        passing = text.startswith('\r')
        if passing and not self._is_terminal:
            return
        end = '' if passing else '\n'
        clear = '\r\033[K' if self._open else ''
        print(clear + '  ' + text.lstrip('\r'), end=end, file=sys.stderr,
              flush=True)
        self._open = passing


def measure(names: Sequence[str], bench: Bench,
            modes: Sequence[bool]) -> Iterator[Outcome]:
    """Run rows, each in each mode; a row that cannot run says why."""
    for number, name in enumerate(names, 1):
        row, about = ROWS[name]
        for native in modes:
            threads = 'native' if native else 'eventlet'
            bench.tell(f'[{number}/{len(names)}] {about} ({threads})')
            try:
                yield from row(bench, native, threads)
            except PeerError as error:
                yield Outcome(name, about, threads, problem=str(error))


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = parse(sys.argv[1:] if argv is None else argv)
    ending.clean_up_on_signals()
    if options.kept:
        return show_kept(options)
    settings = settings_of(options)
    names = [name for name in ROWS
             if not options.only or name in options.only]
    modes = [False, True] if options.both else [options.native_threads]
    began = time.monotonic()
    machine = report.machine()
    outcomes: list[Outcome] = []
    interrupted = False
    try:
        if options.plot is not None:
            plot.need_library(lambda text: print(text, file=sys.stderr))
        # One by one: an interrupted run keeps what it has.
        for outcome in measure(names, Bench(settings, Progress()), modes):
            outcomes.append(outcome)
    except KeyboardInterrupt:
        print('\ninterrupted: these rows were run', file=sys.stderr)
        interrupted = True
    except plot.NoLibrary as error:
        print(f'tools/bench: {error}', file=sys.stderr)
        return 2
    document = report.document(outcomes, settings, machine,
                               time.monotonic() - began)
    publish(document, options)
    if interrupted:
        return ending.INTERRUPTED
    return 0 if document['held'] else 1


def show_kept(options: argparse.Namespace) -> int:
    """Show runs that were kept, as if they had just ended."""
    try:
        document = report.joined([json.loads(path.read_text())
                                  for path in options.kept])
        if options.plot is not None:
            plot.need_library(lambda text: print(text, file=sys.stderr))
    except (OSError, ValueError, plot.NoLibrary) as error:
        print(f'tools/bench: {error}', file=sys.stderr)
        return 2
    publish(document, options)
    return 0 if document['held'] else 1


def publish(document: report.Document, options: argparse.Namespace) -> None:
    """The table, and the files that were asked for."""
    report.show(document, Screen())
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=1) + '\n')
    if options.plot is not None:
        plot.draw(document, options.plot)
    if options.rst is not None:
        options.rst.write_text(rst.table(document))


if __name__ == '__main__':
    sys.exit(main())
