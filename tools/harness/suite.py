# SPDX-License-Identifier: Apache-2.0
"""tools/test: ruff, mypy, then pytest on the newest and oldest Cinder."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile
import time

from harness import bootstrap, drivers, venvs
from harness.tally import (
    ALL,
    COUNTED,
    add_tries,
    impossible_in_words,
    tries_in_words,
)
from harness.venvs import ROOT, Venv

# Leaves out what starts a simulated array or a Cinder.
FAST = ('-m', 'not service')
# Tests of one file stay together: they share what they start.
# In the order of tests/conftest.py: what takes long begins first.
PARALLEL = ('-q', '-n', '2', '--dist', 'loadgroup', '--no-loadscope-reorder')
TYPED = ('cinder_nec', 'tools/allinone', 'tools/bench_suite',
         'tools/fuzz_suite', 'tools/harness', 'tools/ismsim',
         'tools/package_suite', 'tools/pages', 'tools/simhost',
         'tools/soak_suite')
# pytest: 5 is "no tests collected", which is no failure of a selection.
_NOTHING_COLLECTED = 5


@dataclass
class Result:
    """What one check or one pytest run came to."""

    title: str
    status: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)
    tries: dict[str, list[int]] = field(default_factory=dict)
    impossible: dict[str, int] = field(default_factory=dict)


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Split the command line into our options and pytest's."""
    known = '|'.join(map(str, venvs.CINDER_PYTHON))
    parser = argparse.ArgumentParser(
        prog='tools/test', formatter_class=argparse.RawTextHelpFormatter,
        usage=f'tools/test [--fast | --all] [--cinder {known}] '
        '[pytest arguments]',
        description='Run ruff, mypy and all tests: everything on Cinder '
        f'{venvs.newest()}, then\nthe system tests and a chosen set on '
        f'Cinder {venvs.OLDEST}. Builds its own virtual\nenvironments '
        'inside the checkout and reuses them.',
        epilog='With pytest arguments (a path, -k, -x, ...) only that one '
        'pytest run is made,\nwithout ruff, mypy and the second Cinder.')
    parser.add_argument(
        '--fast', action='store_true',
        help='only what needs no service: ruff, mypy, unit tests')
    parser.add_argument(
        '--all', action='store_true',
        help='every fault and every kill, where else a sample runs')
    parser.add_argument(
        '--cinder', type=int, choices=sorted(venvs.CINDER_PYTHON),
        metavar='N', help=f'run on this Cinder release only ({known})')
    return parser.parse_known_args(argv)


def main(argv: Sequence[str]) -> int:
    """Entry point; the exit status is 0 only if all of it passed."""
    options, extra = parse(argv)
    if options.all:
        os.environ[ALL] = '1'
    started = time.monotonic()
    try:
        venv = bootstrap.ensure(options.cinder)
        if extra:
            fast = FAST if options.fast else ()
            return run_pytest(venv, [*fast, *extra]).status
        results = run_checks(venv)
        results += run_suite(options, venv)
    except bootstrap.BootstrapError as exc:
        print(f'tools/test: {exc}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(closing(results, time.monotonic() - started), flush=True)
    return int(any(r.status for r in results))


def run_checks(venv: Venv) -> list[Result]:
    """ruff and mypy, with their words only when they have something."""
    typed = [name for name in TYPED if (ROOT / name).is_dir()]
    return [
        run_check('ruff', [str(venv.path / 'bin' / 'ruff'), 'check', '.']),
        run_check('mypy', [str(venv.python), '-m', 'mypy', *typed]),
    ]


def run_check(title: str, command: list[str]) -> Result:
    """Run one checker and report in one line."""
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    word = 'FAILED' if done.returncode else 'ok'
    print(f'{title}: {word} ({time.monotonic() - started:.1f} s)',
          flush=True)
    if not done.returncode:
        return Result(title)
    print(done.stdout, flush=True)
    return Result(title, 1, {'failed': 1}, [f'{title}: see above'])


def run_suite(options: argparse.Namespace, venv: Venv) -> list[Result]:
    """The pytest runs that the options ask for."""
    if options.fast:
        return [run_pytest(venv, [*PARALLEL, *FAST])]
    if options.cinder:
        return [run_pytest(venv, PARALLEL)]
    results = [run_pytest(venv, PARALLEL)]
    if venvs.OLDEST != venv.release:
        oldest = bootstrap.ensure(venvs.OLDEST)
        results.append(
            run_pytest(oldest, [*PARALLEL, '-m', 'system or oldest'],
                       {drivers.CHOICE: ','.join(drivers.PAIR)}))
    return results


def run_pytest(venv: Venv, arguments: Sequence[str],
               more: Mapping[str, str] | None = None) -> Result:
    """Run pytest in one environment and collect its tally."""
    title = f'Cinder {venv.release}'
    scratch = Path(tempfile.mkdtemp(prefix='cinder-nec-test-'))
    tally = scratch / 'tally.json'
    # A debugger needs the terminal; a CI has none to give.
    stdin = None if sys.stdin and sys.stdin.isatty() else subprocess.DEVNULL
    command = [str(venv.python), '-m', 'pytest', '-p', 'harness.tally',
               *arguments]
    env = {**os.environ, 'CINDER_NEC_TALLY': str(tally),
           'PYTHONPATH': str(ROOT / 'tools'), **(more or {})}
    print(f'pytest on {title}, Python '
          f'{sys.version_info.major}.{sys.version_info.minor}', flush=True)
    try:
        status = subprocess.run(command, cwd=ROOT, env=env,
                                stdin=stdin).returncode
        if status == _NOTHING_COLLECTED:
            status = 0
        if not tally.exists():
            return Result(title, status or 1, {'error': 1},
                          [f'{title}: pytest ended with status {status}'])
        found = json.loads(tally.read_text())
        return Result(title, status, found['counts'], found['bad'],
                      found['tries'], found['impossible'])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def closing(results: list[Result], seconds: float) -> str:
    """One pytest-style summary of all that was run."""
    lines = []
    total = dict.fromkeys(COUNTED, 0)
    tries: dict[str, list[int]] = {}
    impossible: dict[str, int] = {}
    for result in results:
        for key, number in result.counts.items():
            total[key] += number
        add_tries(tries, result.tries)
        for reason, number in result.impossible.items():
            impossible[reason] = impossible.get(reason, 0) + number
        lines += [f'FAILED [{result.title}] {name}' for name in result.bad]
        if result.counts.get('passed'):
            lines.append(f'{result.title}: {in_words(result.counts)}')
    if tries:
        lines.append(tries_in_words(tries))
    lines += impossible_in_words(impossible)
    text = f' {in_words(total)} in {seconds:.2f}s '
    if any(r.status for r in results) and not total['failed']:
        text = f' 1 failed,{text}'
    return '\n'.join(['', *lines, text.center(79, '=')])


def in_words(counts: dict[str, int]) -> str:
    """Counts as pytest writes them."""
    parts = [f'{counts[key]} {key}' for key in COUNTED if counts.get(key)]
    return ', '.join(parts) or 'no tests ran'
