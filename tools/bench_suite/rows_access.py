# SPDX-License-Identifier: Apache-2.0
"""Attaches, and everything at once."""

from __future__ import annotations

import dataclasses
import random
import time

from harness import drivers

from . import tally
from .bench import Bench, Operation, Run, Work, figure_of, operation
from .figures import Figure, Outcome, at_most, failures, none
from .lab import Host, Layout, Volume
from .rows_create import CHANGES_OF_A_CREATE

_HOSTS = tuple(Host(number) for number in range(1, 9))
_SEED = 2026
# The service asks about once a minute; here it shall come in the way.
_STATS_SECONDS = 2.0
# The attach comes when the queue is long and a change is under way.
_ATTACH_AFTER_CHANGES = 3.4


def _attach(volume: Volume, host: Host, **when: float) -> Operation:
    return operation('initialize_connection', volume.fields,
                     host.connector, **when)


def _attaches(bench: Bench, protocol: str) -> Work:
    number = bench.settings.parallel
    volumes = tuple(Volume(f'attach-{i}') for i in range(number))
    kind = ('FC' if protocol == drivers.FC else 'iSCSI multi-target')
    return Work(
        title=f'{number} concurrent attaches to {len(_HOSTS)} known hosts, '
              f'{kind}',
        layout=Layout(bench.settings.first_lds, volumes, _HOSTS),
        operations=tuple(_attach(v, _HOSTS[i % len(_HOSTS)])
                         for i, v in enumerate(volumes)),
        changes=(1,) * number, workers=number, protocol=protocol)


def attach_fc(bench: Bench, native: bool, threads: str) -> list[Outcome]:
    """Attaches over Fibre Channel."""
    outcome = _measured('attach-fc', bench, native, threads,
                        _attaches(bench, drivers.FC))
    assert outcome.ours is not None
    outcome.bars += [at_most('x limit', outcome.ours.times_limit, 1.15),
                     at_most('dumps', outcome.ours.tally.dumps, 0)]
    return [outcome]


def attach_iscsi(bench: Bench, native: bool,
                 threads: str) -> list[Outcome]:
    """Attaches over iSCSI: the array says which target it gave."""
    work = _attaches(bench, drivers.ISCSI)
    outcome = _measured('attach-iscsi', bench, native, threads, work)
    assert outcome.ours is not None
    dumps = 2 * bench.settings.dump_seconds(work.layout.lds)
    bound = round(1.15 * outcome.ours.limit + dumps, 2)
    outcome.bars.append(at_most(
        'seconds, 1.15 x limit and two dumps', outcome.ours.elapsed, bound))
    return [outcome]


def _measured(key: str, bench: Bench, native: bool, threads: str,
              work: Work) -> Outcome:
    theirs = bench.in_tree(work, native)
    ours = bench.ours(work, native)
    return Outcome(key, work.title, threads, ours.figure,
                   figure_of(theirs), failures(ours.figure))


def mixed(bench: Bench, native: bool, threads: str) -> list[Outcome]:
    """All that a cloud does, in a random but fixed order."""
    work = _mixed(bench)
    # Its reads beside the lock use a pool made for eventlet.
    theirs = None if native else bench.in_tree(work)
    ours = bench.ours(work, native)
    outcome = Outcome('mixed', work.title, threads, ours.figure,
                      figure_of(theirs))
    outcome.bars = [
        *failures(ours.figure),
        at_most('x limit', ours.figure.times_limit, 1.25),
        none('busy answer by the own process', ours.figure.tally.busy)]
    return [outcome]


def _mixed(bench: Bench) -> Work:
    number = bench.settings.parallel
    kinds = ['create', 'attach', 'detach', 'delete', 'snapshot']
    volumes, attached, todo = [], [], []
    for index in range(number):
        kind = kinds[index % len(kinds)]
        volume, host = Volume(f'mixed-{index}'), _HOSTS[index % len(_HOSTS)]
        if kind != 'create':
            volumes.append(volume)
        if kind == 'detach':
            attached.append((volume, host))
        todo.append(_mixed_operation(kind, volume, host))
    random.Random(_SEED).shuffle(todo)
    workers = max(2, number // 4)
    return Work(
        title=f'{number} mixed operations by {workers} workers, with stats',
        layout=Layout(bench.settings.first_lds, tuple(volumes), _HOSTS,
                      tuple(attached)),
        operations=tuple(o for o, _changes in todo),
        changes=tuple(changes for _operation, changes in todo),
        workers=workers, stats_every=_STATS_SECONDS)


def _mixed_operation(kind: str, volume: Volume,
                     host: Host) -> tuple[Operation, int]:
    """A call, and the changes that it cannot do without."""
    if kind == 'create':
        return (operation('create_volume', volume.fields),
                CHANGES_OF_A_CREATE)
    if kind == 'attach':
        return _attach(volume, host), 1
    if kind == 'detach':
        return operation('terminate_connection', volume.fields,
                         host.connector), 1
    if kind == 'delete':
        return operation('delete_volume', volume.fields), 1
    return operation('create_snapshot', volume.snapshot()), 2


def attach_first(bench: Bench, native: bool,
                 threads: str) -> list[Outcome]:
    """An attach does not wait for the creates in the queue."""
    number = max(2, bench.settings.parallel // 2)
    volume, host = Volume('urgent'), _HOSTS[0]
    wait = _ATTACH_AFTER_CHANGES * bench.settings.change_seconds
    creates = tuple(operation('create_volume', Volume(f'slow-{i}').fields)
                    for i in range(number))
    work = Work(
        title=f'attach while {number} creates wait',
        layout=Layout(bench.settings.first_lds, (volume,), _HOSTS),
        operations=(_attach(volume, host, after_seconds=wait), *creates),
        changes=(1, *(CHANGES_OF_A_CREATE,) * number), workers=number + 1)
    ours = bench.ours(work, native)
    # A shortened run of the in-tree driver would have another queue.
    theirs = (bench.in_tree(work, native)
              if bench.settings.in_tree_operations is None else None)
    changes = tally.changes_until(
        ours.entries, ours.results[0]['start'],
        f'addldsetld -ldset LX:bench01 -ldname LX:{volume.label}')
    outcome = Outcome('attach-first', work.title, threads,
                      _of_one(ours, bench),
                      _of_one(theirs, bench) if theirs else None)
    outcome.bars = [*failures(ours.figure),
                    at_most('changes until it is answered', changes, 2)]
    return [outcome]


def _of_one(run: Run, bench: Bench) -> Figure:
    """The figure of the attach alone: what its user waits for."""
    attach = run.results[0]
    seconds = (attach['end'] or time.time()) - attach['start']
    return dataclasses.replace(
        run.figure, operations=1, elapsed=seconds, longest=seconds,
        limit=bench.settings.change_seconds)
