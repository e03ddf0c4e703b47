# SPDX-License-Identifier: Apache-2.0
"""Users at work, and what is noted of each thing they did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
import enum
import json
from pathlib import Path
import random
import threading
import time

from soak_suite.actions import NOTHING, Actions
from soak_suite.api import Api, Failed, Interrupted, Refused
from soak_suite.causes import Causes
from soak_suite.cloud import Cloud
from soak_suite.mending import Mender
from soak_suite.things import Things

# So many volumes, and no action makes more.
MAX_VOLUMES = 60
_WEIGHTS = {
    'create': 6, 'write': 2, 'clone': 4, 'extend': 3, 'delete': 5,
    'snapshot': 6, 'from_snapshot': 3, 'revert': 2, 'delete_snapshot': 4,
    'attach': 6, 'detach': 6, 'retype': 2, 'move': 2, 'mend': 4,
}
_GROWING = ('create', 'clone', 'from_snapshot')
ACTIONS = tuple(_WEIGHTS)


class Result(enum.Enum):
    """What an action came to."""

    DONE = 'done'
    REFUSED = 'refused by Cinder'
    EXPLAINED = 'failed by a fault'
    UNEXPLAINED = 'UNEXPLAINED'


@dataclass(frozen=True)
class Entry:
    """One action.

    :param faults: what can be the reason for its failure
    :param told: what tells of it
    """

    action: str
    result: Result
    seconds: float
    text: str = ''
    faults: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


class Diary:
    """All that was done; threads share it."""

    def __init__(self, causes: Causes) -> None:
        self._lock = threading.Lock()
        self._causes = causes
        self.entries: list[Entry] = []

    def note(self, action: str, work: Callable[[], str]) -> None:
        """Do something, and note what came of it."""
        began = time.monotonic()
        try:
            text = work()
        except Exception as error:
            self.add(self._failed(action, began, error))
            return
        if text != NOTHING:
            self.add(Entry(action, Result.DONE, time.monotonic() - began,
                           text))

    def _failed(self, action: str, began: float, error: Exception) -> Entry:
        ended = time.monotonic()
        told, faults = [repr(error)], []
        if isinstance(error, (Failed, Interrupted, Refused)):
            told = self._causes.evidence(error, ended - began)
            faults = self._causes.of(error, began, ended, told)
        result = (Result.UNEXPLAINED if not faults
                  else Result.REFUSED if isinstance(error, Refused)
                  else Result.EXPLAINED)
        # Wrong data has no reason, nor has a bug.
        return Entry(action, result, ended - began,
                     f'{type(error).__name__}: {error}', tuple(faults),
                     tuple(told))

    def add(self, entry: Entry) -> None:
        with self._lock:
            self.entries.append(entry)

    def save(self, path: Path) -> None:
        """Write a line for each action, to look at afterwards."""
        with self._lock, path.open('w') as file:
            for entry in self.entries:
                file.write(json.dumps({
                    **asdict(entry), 'result': entry.result.value}) + '\n')

    def unexplained(self) -> list[Entry]:
        with self._lock:
            return [e for e in self.entries
                    if e.result is Result.UNEXPLAINED]

    def count(self, action: str, result: Result) -> int:
        with self._lock:
            return sum(e.action == action and e.result is result
                       for e in self.entries)


class Worker(threading.Thread):
    """One user, who does one thing after another."""

    def __init__(self, number: int, cloud: Cloud, things: Things,
                 diary: Diary, rng: random.Random,
                 ended: threading.Event) -> None:
        super().__init__(name=f'worker {number}', daemon=True)
        self._number = number
        self._cloud = cloud
        self._things = things
        self._diary = diary
        self._rng = rng
        self._ended = ended

    def run(self) -> None:
        api = Api(self._cloud)
        actions = Actions(self._cloud, api, self._things, self._rng,
                          self._number)
        mender = Mender(self._cloud, api, self._things, self._rng)
        while not self._ended.is_set():
            self._cloud.up.wait()
            names = [n for n in ACTIONS if n not in _GROWING
                     or self._things.count() < MAX_VOLUMES]
            name, = self._rng.choices(
                names, [_WEIGHTS[n] for n in names])
            work = mender.mend if name == 'mend' else getattr(actions, name)
            self._diary.note(name, work)
            time.sleep(self._rng.uniform(0.0, 0.1))
