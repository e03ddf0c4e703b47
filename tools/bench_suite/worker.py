# SPDX-License-Identifier: Apache-2.0
"""One driver in a process of its own, ordered about through a socket.

``python -m bench_suite.worker FD``: each line that comes in is a request
in JSON, each line that goes out is its answer.  There is no Cinder around
the driver: it gets a real configuration from a real ``cinder.conf`` and
objects with the attributes that drivers read.
"""

from __future__ import annotations

from collections import deque
import importlib
import json
import os
from pathlib import Path
import socket
import sys
import threading
import time
import traceback
import types
from typing import Any

from allinone import lifetime, patches

GROUP = 'bench'


class Resource(types.SimpleNamespace):
    """As much of a volume or snapshot as drivers look at."""

    def get(self, name: str, default: Any = None) -> Any:
        return getattr(self, name, default)


def volume(fields: dict[str, Any]) -> Resource:
    """A volume object."""
    defaults = {
        'size': 1, 'status': 'available', 'attach_status': 'detached',
        'volume_attachment': [], 'volume_type_id': None,
        'volume_type': None, 'provider_location': None, 'metadata': {},
        'multiattach': False, 'migration_status': None, '_name_id': None,
        'snapshot_id': None, 'source_volid': None, 'host': f'bench@{GROUP}'}
    return Resource(**{**defaults, 'name_id': fields['id'],
                       'name': f'volume-{fields["id"]}', **fields})


def snapshot(fields: dict[str, Any]) -> Resource:
    """A snapshot object."""
    of = volume(fields['volume'])
    defaults = {'volume_id': of.id, 'volume_size': of.size,
                'size': of.size, 'name': f'snapshot-{fields["id"]}',
                'metadata': {}}
    return Resource(**{**defaults, **fields, 'volume': of})


def argument(value: Any) -> Any:
    """An argument as the driver gets it."""
    if isinstance(value, dict) and 'volume' in value and len(value) == 1:
        return volume(value['volume'])
    if isinstance(value, dict) and 'snapshot' in value:
        return snapshot(value['snapshot'])
    return value


def make_driver(conf_file: str, path: str) -> Any:
    """The driver, as the volume manager makes it, before do_setup."""
    from cinder import objects
    objects.register_all()
    from cinder import coordination
    from cinder.volume import configuration
    from cinder.volume import driver as base
    from oslo_config import cfg
    from oslo_log import log

    log.register_options(cfg.CONF)
    cfg.CONF(['--config-file', conf_file], project='cinder')
    log.setup(cfg.CONF, 'cinder')
    coordination.COORDINATOR.start()
    settings = configuration.Configuration(
        base.volume_opts, config_group=GROUP)
    module, _, name = path.rpartition('.')
    driver_class = getattr(importlib.import_module(module), name)
    settings.append_config_values(driver_class.get_driver_options())
    return driver_class(configuration=settings, host=f'bench@{GROUP}',
                        cluster_name=None, active_backend_id=None)


class Crew:
    """Threads that take operations off one list until it is empty.

    Under eventlet ``threading`` is patched, so they are green ones, as in
    a cinder-volume.
    """

    def __init__(self, driver: Any, operations: list[dict[str, Any]]
                 ) -> None:
        self._driver = driver
        self._todo = deque(enumerate(operations))
        self.results: list[dict[str, Any]] = [
            {'method': o['method'], 'start': None, 'end': None,
             'error': None, 'value': None} for o in operations]

    def run(self, workers: int, within_seconds: float | None) -> bool:
        """Run all; False if the time was over before."""
        threads = [threading.Thread(target=self._work, daemon=True)
                   for _ in range(workers)]
        for thread in threads:
            thread.start()
        until = None if within_seconds is None else (
            time.monotonic() + within_seconds)
        for thread in threads:
            thread.join(None if until is None
                        else max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _work(self) -> None:
        while True:
            try:
                index, operation = self._todo.popleft()
            except IndexError:
                return
            time.sleep(operation.get('after_seconds', 0.0))
            self._one(self.results[index], operation)

    def _one(self, result: dict[str, Any],
             operation: dict[str, Any]) -> None:
        method = getattr(self._driver, operation['method'])
        arguments = [argument(value) for value in operation['args']]
        result['start'] = time.time()
        try:
            value = method(*arguments)
            result['value'] = json.loads(json.dumps(value, default=str))
        except Exception as error:
            result['error'] = f'{type(error).__name__}: {error}'[:300]
        result['end'] = time.time()


class Stats(threading.Thread):
    """Asks for the stats again and again, as the service does."""

    def __init__(self, driver: Any, every_seconds: float) -> None:
        super().__init__(daemon=True)
        self._driver = driver
        self._every_seconds = every_seconds
        self._ended = threading.Event()
        self.calls = 0

    def run(self) -> None:
        while not self._ended.wait(self._every_seconds):
            self._driver.get_volume_stats(True)
            self.calls += 1

    def end(self) -> None:
        self._ended.set()


class Worker:
    """Answers the requests of the bench."""

    def __init__(self) -> None:
        self._driver: Any = None

    def start(self, conf: str, driver: str, check: bool) -> dict[str, Any]:
        """Make the driver; with ``check`` as far as a service goes."""
        self._driver = make_driver(conf, driver)
        self._driver.do_setup(None)
        if check:
            self._driver.check_for_setup_error()
        return {'pid': os.getpid(), 'native': patches.native_threads()}

    def run(self, operations: list[dict[str, Any]], workers: int,
            within_seconds: float | None = None,
            stats_every: float | None = None) -> dict[str, Any]:
        """Run operations; every one is told of, the unfinished ones too."""
        stats = None
        if stats_every is not None:
            stats = Stats(self._driver, stats_every)
            stats.start()
        crew = Crew(self._driver, operations)
        cpu = time.process_time()
        finished = crew.run(workers, within_seconds)
        cpu = time.process_time() - cpu
        if stats is not None:
            stats.end()
        return {'results': crew.results, 'cpu_seconds': cpu,
                'finished': finished,
                'stats_calls': stats.calls if stats else 0}

    def stats(self) -> dict[str, Any]:
        """What a stats period costs is for the journal to tell."""
        found = self._driver.get_volume_stats(True)
        return {'free_capacity_gb': found.get('free_capacity_gb')}

    def dump(self, times: int) -> list[dict[str, float]]:
        """Read the whole configuration, measured from the inside."""
        from . import probes
        return [probes.measure(probes.reader(self._driver))
                for _ in range(times)]

    def find_ldn(self, times: int) -> dict[str, float]:
        """How long it takes to find a free LD number."""
        from . import probes
        return probes.find_ldn(self._driver, times)


def serve(connection: socket.socket) -> None:
    """Answer until the other side closes."""
    worker = Worker()
    with connection, connection.makefile('rwb') as stream:
        for line in stream:
            request = json.loads(line)
            try:
                method = getattr(worker, request.pop('do'))
                answer = {'result': method(**request)}
            except Exception as error:
                traceback.print_exc()
                answer = {'error': f'{type(error).__name__}: {error}'}
            stream.write(json.dumps(answer).encode() + b'\n')
            stream.flush()


def main() -> None:
    """Patch first: whatever is imported before keeps native threads."""
    lifetime.die_with_parent(os.getppid())
    patches.patch_threads()
    # The driver under test is the one of this checkout.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    serve(socket.socket(fileno=int(sys.argv[1])))
    # Threads of an operation that hangs must not keep the process.
    os._exit(0)


if __name__ == '__main__':
    main()
