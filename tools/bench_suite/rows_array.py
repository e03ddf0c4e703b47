# SPDX-License-Identifier: Apache-2.0
"""Reading a full array, finding a number, and doing nothing."""

from __future__ import annotations

import time
from typing import Any

from harness import drivers

from . import tally
from .bench import Bench, driver_path, operation
from .figures import Figure, Outcome, at_most
from .lab import Host, Lab, Layout, Volume

_DUMPS = 3
_FINDS = 2000
_MIB = 1 << 20


def dump(bench: Bench, native: bool, threads: str) -> list[Outcome]:
    """Receive, parse and index a dump of a full array."""
    lds = bench.settings.dump_lds
    title = f'dump of {lds:,} LDs: receive, parse, index'
    bench.tell(f'{title}: this driver')
    ours = _dumps(bench, native, lds, False, _DUMPS)
    theirs = None
    if bench.settings.in_tree and not native:
        bench.tell(f'{title}: in-tree driver')
        theirs = _dumps(bench, native, lds, True, 1)
    outcome = Outcome('dump', title, threads, _figure(ours, False),
                      _figure(theirs, True) if theirs else None)
    outcome.values = {'ours': ours, 'in_tree': theirs}
    outcome.bars = [
        at_most('CPU', min(d['cpu_seconds'] for d in ours), 0.6, ' s'),
        at_most('memory growth', max(d['growth_bytes'] for d in ours)
                / _MIB, 60, ' MiB'),
        at_most('longest hold of other threads',
                1000 * max(d['longest_hold_seconds'] for d in ours),
                50, ' ms')]
    return [outcome]


def _dumps(bench: Bench, native: bool, lds: int, in_tree: bool,
           times: int) -> list[dict[str, float]]:
    """The first of them is the first of the process: all memory is new."""
    with Lab(bench.settings, Layout(lds), drivers.ISCSI) as lab:
        peer = lab.peer(driver_path(drivers.ISCSI, in_tree), native)
        peer.start(check=False)
        found: list[dict[str, float]] = peer.ask('dump', times=times)
        return found


def _figure(dumps: list[dict[str, float]], in_tree: bool) -> Figure:
    """CPU seconds stand where other rows have elapsed ones."""
    best = min(dumps, key=lambda d: d['cpu_seconds'])
    return Figure(driver_path(drivers.ISCSI, in_tree), 1,
                  best['cpu_seconds'], best['cpu_seconds'],
                  tally.Tally(), best['cpu_seconds'])


def find_ldn(bench: Bench, native: bool, threads: str) -> list[Outcome]:
    """A free number is found as quickly on a full array."""
    lds = bench.settings.dump_lds
    title = f'find a free LDN among {lds:,}'
    bench.tell(title)
    empty = _find(bench, native, 1, False)
    full = _find(bench, native, lds - 1, False)
    theirs = (_find(bench, native, lds - 1, True)
              if bench.settings.in_tree and not native else None)
    outcome = Outcome('find-ldn', title, threads)
    outcome.values = {'empty_seconds': empty, 'full_seconds': full,
                      'in_tree_full_seconds': theirs}
    # Microseconds, which differ from run to run: constant means that
    # 8,190 used numbers do not show.
    outcome.bars = [at_most('x time on an empty array', full / empty, 2.0),
                    at_most('time', 1e6 * full, 100, ' us')]
    return [outcome]


def _find(bench: Bench, native: bool, lds: int, in_tree: bool) -> float:
    with Lab(bench.settings, Layout(lds), drivers.ISCSI) as lab:
        peer = lab.peer(driver_path(drivers.ISCSI, in_tree), native)
        peer.start(check=False)
        times = 10 if in_tree else _FINDS
        return float(peer.ask('find_ldn', times=times)['seconds'])


def idle(bench: Bench, native: bool, threads: str) -> list[Outcome]:
    """What a back end sends that nobody uses, and what its stats cost."""
    seconds = bench.settings.idle_seconds
    bench.tell(f'idle back end for {seconds:g} s, then stats')
    volume, host = Volume('idle'), Host(1)
    layout = Layout(bench.settings.first_lds, (volume,), (host,))
    with Lab(bench.settings, layout, drivers.ISCSI) as lab:
        peer = lab.peer(driver_path(drivers.ISCSI, False), native)
        peer.start()
        control = lab.sim.control
        mark = control.mark()
        time.sleep(seconds)
        silent = tally.count(control.journal(mark))
        mark = control.mark()
        peer.ask('stats')
        period = tally.count(control.journal(mark))
        attach = operation('initialize_connection', volume.fields,
                           host.connector)
        peer.ask('run', operations=[attach], workers=1)
        mark = control.mark()
        peer.ask('stats')
        fresh = tally.count(control.journal(mark))
    return [_idle(seconds, silent, threads), _stats(period, fresh, threads)]


def _idle(seconds: float, silent: tally.Tally, threads: str) -> Outcome:
    outcome = Outcome('idle', f'idle back end, {seconds:g} s', threads)
    outcome.bars = [at_most('commands', silent.commands, 0)]
    outcome.values = silent.as_dict()
    return outcome


def _stats(period: tally.Tally, fresh: tally.Tally,
           threads: str) -> Outcome:
    outcome = Outcome('stats', 'stats period on an idle back end', threads)
    values: dict[str, Any] = {'period': period.as_dict(),
                              'after_a_dump': fresh.as_dict()}
    outcome.values = values
    outcome.bars = [
        at_most('dumps', period.dumps, 1),
        at_most('commands', period.commands, 1),
        at_most('commands right after an attach has read the array',
                fresh.commands, 0)]
    return outcome
