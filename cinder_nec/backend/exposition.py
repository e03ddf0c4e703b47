# SPDX-License-Identifier: Apache-2.0
"""The figures of a back end as a file for Prometheus.

The text format is that of
https://prometheus.io/docs/instrumenting/exposition_formats/ ; node_exporter
reads such files (its textfile collector) and wants each to be whole at any
time and readable by its own user.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
import contextlib
import logging
import os
import tempfile

from cinder_nec.backend.load import LoadFigures
from cinder_nec.backend.stats import PoolStats
from cinder_nec.model import GIB

LOG = logging.getLogger(__name__)

# Figures and names that `cinder get-pools` shows as well; read by another
# user.  The directory is the operator's means to show it to fewer.
_MODE = 0o644
_PREFIX = 'cinder_nec'

Sample = tuple[str, dict[str, str], float]


class MetricsFile:
    """Writes the file of one back end.

    :param path: of the file; None if none is wanted
    :param service: ``host`` of the service, the label of all figures
    """

    def __init__(self, path: str | None, service: str) -> None:
        self._path = path
        self._service = service
        self._failure = ''

    def write(self, pools: Collection[PoolStats] | None,
              load: LoadFigures) -> None:
        """Replace the file; a failure is logged once and passed by.

        :param pools: None if the array could not be read
        """
        if self._path is None:
            return
        try:
            _replace(self._path, render(self._service, pools, load))
        except OSError as error:
            self._report(f'{error.strerror or error}')
        except Exception as error:  # stats are worth more than figures
            self._report(repr(error))
        else:
            self._report('')

    def _report(self, failure: str) -> None:
        if failure and failure != self._failure:
            LOG.warning(
                '%s: the figures cannot be written to %s: %s. Make the '
                'directory and let the user of cinder-volume write to it, '
                'or remove nec_metrics_dir from cinder.conf.',
                self._service, self._path, failure)
        elif self._failure and not failure:
            LOG.info('%s: the figures are written to %s again.',
                     self._service, self._path)
        self._failure = failure


def render(service: str, pools: Collection[PoolStats] | None,
           load: LoadFigures) -> str:
    """Return the figures in the text format.

    :param pools: None if the array could not be read
    """
    lines: list[str] = []
    for name, kind, text, samples in _families(pools, load):
        lines += [f'# HELP {_PREFIX}_{name} {text}',
                  f'# TYPE {_PREFIX}_{name} {kind}']
        lines += [_line(f'{_PREFIX}_{name}{suffix}',
                        {'backend': service, **labels}, value)
                  for suffix, labels, value in samples]
    return '\n'.join(lines) + '\n'


def _families(pools: Collection[PoolStats] | None, load: LoadFigures
              ) -> Iterator[tuple[str, str, str, list[Sample]]]:
    """Yield name, type, help and samples of each metric."""
    yield ('up', 'gauge', 'Whether the array could be read.',
           [('', {}, pools is not None)])
    yield from _of_pools(pools or (), load)
    yield ('copies_running', 'gauge', 'Copies of this back end that run.',
           [('', {}, load.copies)])
    yield from _of_commands(load)
    yield from _of_queue(load)


def _of_pools(pools: Collection[PoolStats], load: LoadFigures
              ) -> Iterator[tuple[str, str, str, list[Sample]]]:
    def each(of: Mapping[int, float]) -> list[Sample]:
        return [('', {'pool': str(number)}, value)
                for number, value in of.items()]

    for name, text, values in (
            ('pool_size_bytes', 'Capacity of the pool.',
             {p.number: p.total_gib * GIB for p in pools}),
            ('pool_free_bytes', 'Free capacity as the scheduler sees it: 0 '
             'if there may be no more logical disks.',
             {p.number: p.free_gib * GIB for p in pools}),
            ('pool_provisioned_bytes', 'Sizes of all logical disks in the '
             'pool.', {p.number: p.provisioned_gib * GIB for p in pools}),
            ('pool_lds', 'Logical disks in the pool.',
             {p.number: p.ld_count for p in pools}),
            ('pool_copies_running', 'Copies that run in the pool.',
             {p.number: load.copies_in.get(p.number, 0) for p in pools})):
        yield name, 'gauge', text, each(values)
    nearest = [(p.lds_counted, p.ld_limit) for p in pools][:1]
    yield ('lds', 'gauge', 'Logical disks that count against the limit.',
           [('', {}, counted) for counted, _ in nearest])
    yield ('ld_limit', 'gauge', 'How many of them there may be.',
           [('', {}, limit) for _, limit in nearest])


def _of_commands(load: LoadFigures
                 ) -> Iterator[tuple[str, str, str, list[Sample]]]:
    timings = load.commands.timings
    yield ('commands_total', 'counter', 'Commands sent to the array.',
           [('', {'kind': kind.value, 'result': result.value}, number)
            for (kind, result), number in load.commands.results.items()])
    yield ('command_seconds', 'summary', 'Time of the successful ones.',
           [sample for kind, timing in timings.items() for sample in (
               ('_sum', {'kind': kind.value}, timing.total_seconds),
               ('_count', {'kind': kind.value}, timing.count))])
    yield ('command_seconds_mean', 'gauge', 'Mean of about the last ten.',
           [('', {'kind': kind.value}, timing.mean_seconds)
            for kind, timing in timings.items()])
    yield ('command_seconds_longest', 'gauge',
           'The longest of the last minute or two.',
           [('', {'kind': kind.value}, timing.longest_seconds)
            for kind, timing in timings.items()])


def _of_queue(load: LoadFigures
              ) -> Iterator[tuple[str, str, str, list[Sample]]]:
    queue = load.queue
    for name, text, value in (
            ('queue_length', 'Changes that wait or are carried out.',
             queue.length),
            ('queue_length_mean', 'Mean of the last minute.',
             queue.mean_length),
            ('queue_length_longest', 'The most of the last minute or two.',
             queue.longest)):
        yield name, 'gauge', text, [('', {}, value)]
    yield ('queue_wait_seconds', 'summary', 'Time that changes waited for '
           'their turn.', [('_sum', {}, queue.waited_seconds),
                           ('_count', {}, queue.turns)])


def _line(name: str, labels: dict[str, str], value: float) -> str:
    shown = ','.join(f'{key}="{_escape(text)}"'
                     for key, text in labels.items())
    return f'{name}{{{shown}}} {float(value)!r}'


def _escape(text: str) -> str:
    return text.replace('\\', r'\\').replace('"', r'\"').replace('\n', r'\n')


def _replace(path: str, text: str) -> None:
    """Put a whole file in the place of another in one step."""
    directory, name = os.path.split(path)
    # Without .prom at the end it is not read before it is whole.
    handle, draft = tempfile.mkstemp(prefix=f'.{name}.', dir=directory)
    try:
        with os.fdopen(handle, 'w', encoding='utf-8',
                       errors='backslashreplace') as file:
            file.write(text)
            os.fchmod(file.fileno(), _MODE)
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
