# SPDX-License-Identifier: Apache-2.0
"""A service is killed at each command of each operation.

``kill -9``: before a command has been carried out, and after it was but
before its answer came.  Then the service is started again, and the array
holds what Cinder's database explains and nothing else, no data is lost,
and a second try succeeds.

Without ``tools/test --all``, each operation is killed at one place in each
class, another one in the next class.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import multiprocessing
from pathlib import Path
import time
from typing import Any

import pytest

from harness import drivers, venvs
from harness.array import Array
from harness.tally import Tries, wants_all
from tests.kill.cases import CASES, Case
from tests.kill.world import Db, age_journal, write_conf

PATIENCE_SECONDS = 120.0
GUIDE = venvs.ROOT / 'doc' / 'source' / 'admin' / 'crashes.rst'


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a service is killed: at its so many-th command."""

    nth: int
    command: str
    is_applied: bool
    # Only changes are counted.
    is_change: bool = False

    def __str__(self) -> str:
        word = 'after' if self.is_applied else 'before'
        return f'{word} command {self.nth}, `{self.command}`'


class Service:
    """A service in a process of its own."""

    def __init__(self, lab: Lab, db: Db, *, comes_up: bool = True) -> None:
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
        return [Place(nth, command.text, is_applied)
                for nth, command in enumerate(commands, 1)
                for is_applied in (False, True)
                if command.is_change or not is_applied]

    def kill_at(self, case: Case, place: Place,
                *in_start: Place) -> bool:
        """Kill the service there and start another; False: not reached.

        :param in_start: where the ones that start then are killed
        """
        service = self.service()
        db, names = service.start('perform', case=case.name)
        self._arm(place)
        service.go()
        if not self._killed(service, 'done'):
            return False
        reached = True
        for place in in_start:
            self._arm(place)
            service = Service(self, db, comes_up=False)
            reached = self._killed(service, 'up')
            if not reached:
                service.kill()
                self._service = None
                age_journal(self.directory)
        self._service = Service(self, db)
        self._service.order('recover', case=case.name, names=names)
        return reached

    def _arm(self, place: Place) -> None:
        self.array.control.add_fault(
            'hang_after' if place.is_applied else 'hang_before',
            nth=place.nth, kind='CHANGE' if place.is_change else '')

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


@pytest.fixture(scope='module')
def lab(request: pytest.FixtureRequest,
        tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    driver = drivers.find(request.param)
    made = Lab(tmp_path_factory.mktemp(driver.name), driver)
    yield made
    made.stop()


def sample(places: list[Place], driver: drivers.Driver,
           case: Case) -> list[Place]:
    """All of them, or one: not the same in each class and operation."""
    if wants_all():
        return places
    turn = list(drivers.CLASSES).index(driver.name)
    return [places[(turn * 5 + CASES.index(case) * 3) % len(places)]]


@pytest.mark.timeout(900)
@pytest.mark.parametrize('lab, case', [
    pytest.param(name, case, id=f'{name}-{case.name}')
    for name in drivers.READY for case in CASES
    if drivers.find(name).method in case.methods], indirect=['lab'])
def test_killed_at_any_command(lab: Lab, case: Case, tries: Tries):
    failures = []
    killed = 0
    for place in sample(lab.places(case), lab.driver, case):
        try:
            if not lab.kill_at(case, place):
                continue
            tries.survived('kills')
        except AssertionError as error:
            failures.append(f'{place}: {error}')
            lab.renew()
        tries.tried('kills')
        killed += 1
    assert killed, 'the operation sends fewer commands than before'
    assert not failures, '\n'.join(failures)


# Operations that leave something for the next start to change.
UNDONE = ('create', 'clone', 'attach', 'export snapshot', 'migrate')
IN_START = tuple(Place(nth, f'change {nth} of the start', is_applied,
                       is_change=True)
                 for nth in (1, 2, 3) for is_applied in (False, True))


@pytest.mark.timeout(900)
@pytest.mark.parametrize('lab, case', [
    pytest.param(name, case, id=f'{name}-{case.name}')
    for name in drivers.READY for case in CASES
    if case.name in UNDONE and drivers.find(name).method in case.methods
    and (name in drivers.PAIR or wants_all())], indirect=['lab'])
def test_the_start_is_killed_as_well(lab: Lab, case: Case, tries: Tries):
    """What was to be tidied up is there at the start after that."""
    failures = []
    places = [place for place in lab.places(case) if place.is_applied]
    pairs = [(place, start) for place in places for start in IN_START]
    if not wants_all():
        pairs = pairs[1:2]
    for place, start in pairs:
        try:
            if not lab.kill_at(case, place, start):
                continue
            tries.survived('kills')
        except AssertionError as error:
            failures.append(f'{place}, {start}: {error}')
            lab.renew()
        tries.tried('kills')
    assert not failures, '\n'.join(failures)


def test_the_guide_has_each_operation():
    """The page for operators says what to do after each of these."""
    page = ' '.join(GUIDE.read_text().split())
    for case in CASES:
        assert case.name in page, case.name
