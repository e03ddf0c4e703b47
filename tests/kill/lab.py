# SPDX-License-Identifier: Apache-2.0
"""A simulated array, and services on it that are killed."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import multiprocessing
from pathlib import Path
import shutil
import time
from typing import Any

from harness import drivers
from harness.array import Array, Command
from tests.kill.cases import Case
from tests.kill.world import Db, age_journal, write_conf

PATIENCE_SECONDS = 120.0
# What the driver asks while it waits; another time, it may ask once less.
POLLS = ('iSMrc_query ', 'iSMsc_query ')
# What the log says of what a human has to decide.
UNDECIDED = 'This driver cannot decide'


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a service is killed: at its so many-th command of a kind."""

    nth: int
    kind: str
    command: str
    is_applied: bool

    @property
    def is_poll(self) -> bool:
        return self.command.startswith(POLLS)

    def __str__(self) -> str:
        word = 'after' if self.is_applied else 'before'
        return f'{word} {self.kind} {self.nth}, `{self.command}`'


class NotReachedError(Exception):
    """Nobody was killed: the command did not come."""


class Service:
    """A service in a process of its own."""

    def __init__(self, lab: Lab, db: Db, *,
                 comes_up: bool = True) -> None:
        self._pipe, theirs = lab.context.Pipe()
        settings = {'conf': str(lab.conf), 'driver': lab.driver.path,
                    'control': str(lab.array.process.control_path),
                    'before': lab.before, 'db': db}
        self._process = lab.context.Process(
            target=_run, args=(theirs, settings), daemon=True)
        self._process.start()
        theirs.close()
        if comes_up:
            self._expect('up')

    def order(self, order: str, **values: Any) -> None:
        self._pipe.send((order, values))
        self._expect('done')

    def start(self, order: str, **values: Any) -> Any:
        """Start an operation; return what Cinder has then."""
        self._pipe.send((order, values))
        return self._expect('begins')

    def go(self) -> None:
        self._pipe.send('go')

    def has_ended(self, word: str = 'done') -> bool:
        """Tell whether the operation has, without waiting."""
        if not self._pipe.poll():
            return False
        self._expect(word)
        return True

    def wait(self) -> None:
        self._expect('done')

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _expect(self, word: str) -> Any:
        if not self._pipe.poll(PATIENCE_SECONDS):
            raise AssertionError(f'the service does not say {word!r}')
        try:
            said, value = self._pipe.recv()
        except EOFError:
            raise AssertionError('the service has gone') from None
        assert said == word, value
        return value


def _run(pipe: Any, settings: dict[str, Any]) -> None:
    from tests.kill import worker
    worker.main(pipe, settings)


class Lab:
    """A simulated array, and services that come and go on it."""

    def __init__(self, directory: Path, driver: drivers.Driver) -> None:
        self.driver = driver
        self._root = directory
        self._count = 0
        self.context = multiprocessing.get_context('forkserver')
        self.context.set_forkserver_preload(['tests.kill.worker'])
        self._service: Service | None = None
        self._running = contextlib.ExitStack()
        self.renew()

    def renew(self) -> None:
        """Take a new array; the other one may be in disorder."""
        self.stop()
        self._count += 1
        self.directory = self._root / str(self._count)
        self.directory.mkdir(mode=0o700)
        self.array = self._running.enter_context(
            Array(self.directory / 'array'))
        self.conf = write_conf(self.directory, self.array.port,
                               self.array.known_hosts_line())
        self.before = self.array.control.state()
        self._log_was_read = 0

    def told(self) -> list[str]:
        """Return what services have asked the operator for since then.

        But for what was on the array from the beginning.
        """
        with (self.directory / 'service.log').open() as log:
            log.seek(self._log_was_read)
            lines = [line for line in log.readlines() if UNDECIDED in line]
            self._log_was_read = log.tell()
        return [line for line in lines if not any(
            f' LD {ld["ldn"]} (' in line for ld in self.before['lds'])]

    def stop(self) -> None:
        """End the service and the array."""
        if self._service is not None:
            self._service.kill()
            self._service = None
        self._running.close()

    def service(self) -> Service:
        """Return the one that runs; start one on an empty array."""
        if self._service is None:
            self._service = Service(self, Db())
        return self._service

    def places(self, case: Case) -> list[Place]:
        """Run an operation undisturbed; return where it can be killed."""
        service = self.service()
        _db, names = service.start('perform', case=case.name)
        mark = self.array.mark()
        service.go()
        try:
            service.wait()
            commands = self.array.journal(mark)
            service.order('finish')
        except AssertionError:
            self.renew()
            raise
        return _places(commands)

    def kill_at(self, case: Case, place: Place,
                in_start: Place | None = None) -> int:
        """Kill the service there and start another.

        :param in_start: where the one that starts then is killed
        :returns: how many changes the last start has sent
        :raises NotReachedError: one of the places was not reached; the
            operation, or what was left of it, was cleared away
        """
        service = self.service()
        db, names = service.start('perform', case=case.name)
        self._arm(place)
        service.go()
        if not self._killed(service, 'done'):
            service.order('finish')
            raise NotReachedError(str(place))
        if in_start is not None:
            self._arm(in_start)
            service = Service(self, db, comes_up=False)
            if not self._killed(service, 'up'):
                self._service = service
                service.order('recover', case=case.name, names=names)
                raise NotReachedError(f'{place}, {in_start}')
        mark = self.array.mark()
        self._service = Service(self, db)
        changes = sum(c.is_change for c in self.array.journal(mark))
        self._service.order('recover', case=case.name, names=names)
        return changes

    def lose_journal(self, case: Case, place: Place
                     ) -> tuple[list[str], list[str]]:
        """Kill a service that could write nothing down; start two.

        What they tell the operator is done then.

        :returns: what each of the two has told
        """
        db, names = self.service().start('perform', case=case.name)
        self.told()
        self._arm(place)
        service = self.service()
        service.go()
        assert self._killed(service, 'done'), place
        for journal in self.directory.rglob('nec-journal'):
            shutil.rmtree(journal)
        texts = []
        for _ in range(2):
            if self._service is not None:
                self._service.kill()
            self._service = Service(self, db)
            texts.append(self._wait_until_told())
        for command in texts[0][0].partition('nobody uses it: ')[2].split(
                ', then '):
            self.array.run(command.strip())
        self._service.order('recover', case=case.name, names=names)
        return texts[0], texts[1] + self.told()

    def _wait_until_told(self) -> list[str]:
        until = time.monotonic() + PATIENCE_SECONDS
        while not (told := self.told()):
            assert time.monotonic() < until, 'nothing is told'
            time.sleep(0.02)
        return told

    def _arm(self, place: Place) -> None:
        self.array.control.add_fault(
            'hang_after' if place.is_applied else 'hang_before',
            nth=place.nth, kind=place.kind)

    def _killed(self, service: Service, word: str) -> bool:
        """Kill a service when it is there; False if it ends before."""
        control = self.array.control
        until = time.monotonic() + PATIENCE_SECONDS
        while not control.faults()[0]['hits']:
            if service.has_ended(word):
                control.clear_faults()
                return False
            assert time.monotonic() < until, 'the command does not come'
            time.sleep(0.002)
        service.kill()
        self._service = None
        control.clear_faults()
        age_journal(self.directory)
        return True


def _places(commands: list[Command]) -> list[Place]:
    """A read leaves the same, whether it was answered or not."""
    seen: collections.Counter[str] = collections.Counter()
    found = []
    for command in commands:
        seen[command.kind] += 1
        found += [Place(seen[command.kind], command.kind, command.text,
                        is_applied)
                  for is_applied in (False, True)
                  if command.is_change or not is_applied]
    return found
