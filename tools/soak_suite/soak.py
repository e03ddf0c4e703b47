# SPDX-License-Identifier: Apache-2.0
"""One soak from beginning to end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
import random
import sys
import threading
import time

from harness.terminal import Screen
from soak_suite import report
from soak_suite.causes import RESTART, Causes
from soak_suite.cloud import Cloud
from soak_suite.judge import Judge
from soak_suite.things import Things, Windows
from soak_suite.weather import Weather
from soak_suite.worker import Diary, Result, Worker

_LONGEST_SECONDS_BETWEEN_RESTARTS = 45.0
_SECONDS_BETWEEN_LINES = 30.0


@dataclass(frozen=True)
class Plan:
    """What was asked for."""

    seconds: float
    workers: int
    seed: int
    faults: bool = True
    restarts: bool = True

    @property
    def restart_seconds(self) -> float:
        """Time between two restarts; two fit in the shortest run."""
        return min(_LONGEST_SECONDS_BETWEEN_RESTARTS, self.seconds / 3)


class Soak:
    """Workers, weather, restarts, and the judge at the end."""

    def __init__(self, plan: Plan, cloud: Cloud, state: Path,
                 screen: Screen) -> None:
        self._plan = plan
        self._cloud = cloud
        self._screen = screen
        self._state = state
        self._windows = Windows()
        self._things = Things()
        self._diary = Diary(Causes(self._windows, cloud.log_of))
        self._ended = threading.Event()
        self._interruptions: Counter[str] = Counter()
        self._began = time.monotonic()
        self._last_line = 0.0
        self._judge = Judge(cloud, self._things, state, self._say)
        rng = random.Random(plan.seed)
        self._weather = Weather(cloud.array, self._windows,
                                random.Random(rng.random()))
        self._workers = [
            Worker(number, cloud, self._things, self._diary,
                   random.Random(rng.random()), self._ended)
            for number in range(1, plan.workers + 1)]

    def run(self) -> bool:
        """Tell whether nothing was lost and nothing left behind."""
        plan = self._plan
        self._screen.line(
            f'{plan.workers} users for {plan.seconds / 60:g} min, seed '
            f'{plan.seed}', 'bold')
        for worker in self._workers:
            worker.start()
        if plan.faults:
            self._weather.start()
        try:
            self._work()
        finally:
            self._ended.set()
            if plan.faults:
                self._weather.end()
        self._say('faults are off; users finish what they do')
        for worker in self._workers:
            while worker.is_alive():
                worker.join(0.2)
                self._show()
        verdict = self._judge.judge()
        self._clear_line()
        self._diary.save(self._state / 'actions.jsonl')
        return report.close(self._screen, self._diary, verdict,
                            self._weather.counts, self._interruptions,
                            self._cloud)

    def _work(self) -> None:
        number = 0
        until = self._began + self._plan.seconds
        next_restart = self._began + self._plan.restart_seconds
        while time.monotonic() < until:
            time.sleep(0.2)
            self._show()
            if (self._plan.restarts and time.monotonic() >= next_restart
                    and next_restart < until - 5):
                self._restart(number)
                number += 1
                next_restart += self._plan.restart_seconds

    def _restart(self, number: int) -> None:
        with self._windows.open(RESTART):
            done = self._cloud.interrupt(number)
            self._interruptions[done] += 1
            self._cloud.resume()

    # -- progress ------------------------------------------------------

    def _show(self) -> None:
        """One line that is written over; now and then one in a file."""
        now = time.monotonic()
        live = sys.stdout.isatty()
        if not live and now - self._last_line < _SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        entries = list(self._diary.entries)
        counts = Counter(e.result for e in entries)
        text = (f'{now - self._began:5.0f} s  {self._things.count()} '
                f'volumes  ' + '  '.join(
                    f'{counts[r]} {r.value}' for r in Result)
                + f'  fault: {self._weather.now or "none"}')
        if live:
            sys.stdout.write('\r\033[K' + text[:150])
            sys.stdout.flush()
        else:
            self._screen.line(text)

    def _clear_line(self) -> None:
        if sys.stdout.isatty():
            sys.stdout.write('\r\033[K')

    def _say(self, text: str) -> None:
        self._clear_line()
        self._screen.line(f'{time.monotonic() - self._began:5.0f} s  {text}')
