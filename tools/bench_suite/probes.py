# SPDX-License-Identifier: Apache-2.0
"""CPU, memory and held threads, measured inside the driver's process.

The only place that knows the insides of the two drivers.
"""

from __future__ import annotations

from collections.abc import Callable
import gc
import threading
import time
from typing import Any

_LOOK_SECONDS = 0.001
_PEAK_RESET = '5'
_KIB = 1 << 10


def is_in_tree(driver: Any) -> bool:
    return type(driver).__module__.startswith('cinder.volume.drivers.')


def reader(driver: Any) -> Callable[[], Any]:
    """What reads, parses and indexes the whole configuration."""
    if is_in_tree(driver):
        return lambda: driver.configs(driver._cli.view_all(None))
    refresh: Callable[[], Any] = driver.backend.array.inventory.refresh
    return refresh


def find_ldn(driver: Any, times: int) -> dict[str, float]:
    """Mean seconds to find one free LD number, with the array known."""
    if is_in_tree(driver):
        _pools, _lds, _sets, used, _ports, limit = reader(driver)()

        def find() -> None:
            driver._select_ldnumber(used, limit)
    else:
        reader(driver)()
        reservations = driver.backend.array.inventory.reservations

        def find() -> None:
            with reservations.ldn():
                pass
    find()
    started = time.process_time()
    for _ in range(times):
        find()
    return {'seconds': (time.process_time() - started) / times}


class Watcher:
    """A thread that wants to run every millisecond, and notes when not.

    What counts is the CPU that this process used meanwhile: time that
    other programs took from it is no fault of the driver.
    """

    def __init__(self) -> None:
        self.longest_cpu = 0.0
        self.longest_wall = 0.0
        self.looks = 0
        self._ended = False
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self._ended = True
        self._thread.join()

    def _watch(self) -> None:
        wall, cpu = time.monotonic(), time.process_time()
        while not self._ended:
            time.sleep(_LOOK_SECONDS)
            wall_now, cpu_now = time.monotonic(), time.process_time()
            gap = wall_now - wall - _LOOK_SECONDS
            self.longest_wall = max(self.longest_wall, gap)
            self.longest_cpu = max(self.longest_cpu,
                                   min(gap, cpu_now - cpu))
            self.looks += 1
            wall, cpu = wall_now, cpu_now


def measure(action: Callable[[], Any]) -> dict[str, float]:
    """What an action costs this process.

    The watcher costs CPU of its own, so CPU is measured in a second run
    without it.
    """
    gc.collect()
    before = _status('VmRSS')
    _reset_peak()
    with Watcher() as watcher:
        started = time.monotonic()
        action()
        elapsed = time.monotonic() - started
    growth = _status('VmHWM') - before
    cpu = time.process_time()
    action()
    cpu = time.process_time() - cpu
    return {'elapsed_seconds': elapsed, 'cpu_seconds': cpu,
            'growth_bytes': growth,
            'longest_hold_seconds': watcher.longest_cpu,
            'longest_wall_hold_seconds': watcher.longest_wall,
            'looks': watcher.looks}


def _reset_peak() -> None:
    """Have VmHWM start from what is used now (proc(5), clear_refs)."""
    with open('/proc/self/clear_refs', 'w') as file:
        file.write(_PEAK_RESET)


def _status(field: str) -> int:
    with open('/proc/self/status') as file:
        for line in file:
            if line.startswith(f'{field}:'):
                return int(line.split()[1]) * _KIB
    raise LookupError(field)
