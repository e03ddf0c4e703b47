# SPDX-License-Identifier: Apache-2.0
"""Every command of every operation of every class fails in every way.

Afterwards the operation has succeeded, or has failed with an exception of
Cinder that names the cause; the array holds what Cinder believes it holds
and nothing else; what held data holds it still; and when the fault is
over, a second try succeeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
import itertools
import re
import shutil
import zlib

import pytest

from harness.tally import chosen, wants_all
from tests.cinder.drivers import DRIVERS  # first: it registers objects

from cinder import exception  # isort: skip

from cinder_nec import errors  # isort: skip
from tests.faults.kinds import KINDS, Kind, holds_snapshots  # isort: skip
from tests.faults.rig import Rig  # isort: skip
from tests.faults.scenarios import (  # isort: skip
    SCENARIOS, Scenario, scenarios_of)
from tests.faults.state import State  # isort: skip

# Without --all, one of so many runs; it has no factor in common with the
# number of kinds, so that each kind meets each command somewhere.
EVERY = 7
CASES = [pytest.param(cls, each, id=f'{cls.__name__}: {each.name}')
         for cls in DRIVERS for each in scenarios_of(cls)]


@pytest.fixture(autouse=True)
def _cloud(the_cloud):
    """Volume types and zones."""


class Trial:
    """The runs of one scenario on one driver class."""

    def __init__(self, cls: type, scenario: Scenario, directory) -> None:
        self.cls, self.scenario = cls, scenario
        self._directory = directory
        self._numbers = itertools.count()

    def ready(self) -> Rig:
        """Return a rig on which the operation can be done."""
        place = self._directory / str(next(self._numbers))
        rig = Rig(self.cls, place, dict(self.scenario.options))
        rig.place = place
        self.scenario.prepare(rig)
        if self.scenario.cold:
            rig.start_service()
        rig.mark()
        return rig

    def clean(self) -> None:
        """Do it without a fault; learn what is wanted and what is sent."""
        if self.scenario.quiet:
            rig = self.ready()
            rig.rest()
            self.before_at_rest = rig.state()
            shutil.rmtree(rig.place)
        rig = self.ready()
        self.before = rig.state()
        self.cases: list[tuple[int, Kind]] = []
        self.skipped: Counter[str] = Counter()
        self.commands: list[str] = []

        def watch(text: str) -> None:
            self.commands.append(text)
            for kind in KINDS:
                reason = kind.missing(rig)
                if reason:
                    self.skipped[f'{kind.name}: {reason}'] += 1
                else:
                    self.cases.append((len(self.commands), kind))
        rig.transport.watch = watch
        told = self.scenario.run(rig)
        assert self.commands, 'the operation sends nothing'
        self.check_told(rig, told)
        if not rig.is_settling:
            rig.transport.watch = lambda _text: None
        self.beside = len(self.commands)
        self.rest(rig)
        rig.transport.watch = lambda _text: None
        self.check_holds(rig)
        if self.scenario.starts:
            check('the crash has left something',
                  rig.state().as_good_as(rig.safe))
        self.wanted = rig.state()
        shutil.rmtree(rig.place)

    def fail(self, nth: int, kind: Kind) -> None:
        """Let one command fail, and look at all that the text says."""
        rig = self.ready()
        check('it was not the same before',
              rig.state().differences(self.before))

        def strike(rig: Rig, text: str) -> None:
            self.may_lose = kind.lost and holds_snapshots(rig)
            kind.strike(rig, text)
        rig.transport.arm(nth, strike)
        told = failure = None
        try:
            told = self.scenario.run(rig)
        except exception.CinderException as error:
            failure = error
        if failure is None:
            self.check_told(rig, told)
        if nth > self.beside:
            rig.rest(troubled=True)
        assert rig.transport.struck, 'the fault did not happen'
        kind.heal(rig)
        if nth > self.beside:
            self.check_settled(rig, kind)
        elif self.scenario.starts:
            self.check_next_start(rig, failure, kind)
        elif failure is None:
            self.rest(rig)
            self.check_success(rig, kind)
        else:
            self.check_cause(failure, kind)
            self.check_failure(rig, failure, kind)
            self.check_again(rig, kind)
        shutil.rmtree(rig.place)

    @staticmethod
    def rest(rig: Rig) -> None:
        try:
            rig.rest()
        except errors.NecError as error:
            raise Broken('it does not come to rest', [str(error)]) from error

    def check_settled(self, rig: Rig, kind: Kind) -> None:
        """What goes on beside gets over a fault by itself.

        But a copy that stopped is not looked after any more: the next
        start takes apart the pair that the operator has seen to.
        """
        self.rest(rig)
        if kind.damages:
            rig.start_next()
            self.rest(rig)
        found = rig.state()
        if kind.damages or kind.lasts:
            # A snapshot without its pair is as good.
            found = found.with_pairs_of(self.wanted)
        check('what goes on beside has not come to its end',
              self.comparable(found, kind).differences(
                  self.comparable(self.wanted, kind)))

    def check_next_start(self, rig: Rig, failure: Exception | None,
                         kind: Kind) -> None:
        """What one start does not get done, the next one does."""
        if failure is not None:
            self.check_cause(failure, kind)
        self.rest(rig)
        rig.start_next()
        self.rest(rig)
        check('the next start has left something',
              self.comparable(rig.state(), kind).differences(
                  self.comparable(self.wanted, kind)))

    def check_told(self, rig: Rig, told: object) -> None:
        check('Cinder is told what is not so',
              self.scenario.answer(rig, told))

    def check_holds(self, rig: Rig) -> None:
        content = rig.state().content
        for name, data in self.scenario.holds.items():
            label = rig.name(getattr(rig, name)).label
            check(f'the {name} does not hold what it should',
                  [] if content.get(label) == data
                  else [repr(content.get(label))])

    def check_cause(self, failure: Exception, kind: Kind) -> None:
        if not any(word in str(failure) for word in kind.causes):
            raise Broken('the cause is not named', [str(failure)])

    def check_success(self, rig: Rig, kind: Kind) -> None:
        found = rig.state()
        if self.scenario.quiet and not self.differences(
                found, self.before_at_rest, kind):
            return
        check('it is not what is wanted',
              self.differences(found, self.wanted, kind))

    def check_failure(self, rig: Rig, failure: Exception,
                      kind: Kind) -> None:
        """Nothing is half made, or it is named with its commands."""
        undone = failure.__cause__
        if isinstance(undone, errors.RollbackFailed):
            check('one fault, and the undoing failed',
                  [] if kind.lasts else undone.leftovers)
            check('no command for the operator', [
                each for each in undone.leftovers
                if not re.search(r'iSM[a-z_]+ -?[a-z]+', each)])
            return
        self.rest(rig)
        if self.scenario.partial:
            check('it is more than half done',
                  self.more_than_half_done(rig, kind))
        else:
            check('it was not undone',
                  self.differences(rig.state(), self.before, kind))

    def more_than_half_done(self, rig: Rig, kind: Kind) -> list[str]:
        found = rig.state()
        if kind.lasts:
            found = found.with_pairs_of(self.before)
        if self.scenario.overwrites:
            found = found.with_content_of(self.before,
                                          rig.name(rig.volume).label)
        return self.comparable(found, kind).half_way(
            self.comparable(self.before, kind),
            self.comparable(self.wanted, kind))

    def check_again(self, rig: Rig, kind: Kind) -> None:
        rig.tried = True
        try:
            self.scenario.again(rig)
            told = (self.scenario.second or self.scenario.run)(rig)
        except exception.CinderException as error:
            if not self.may_lose:
                raise Broken('a second try fails', [str(error)]) from error
            self.check_cause(error, kind)
            self.check_failure(rig, error, kind)
            return
        self.check_told(rig, told)
        self.rest(rig)
        check('a second try makes something else',
              self.differences(rig.state(), self.wanted, kind))

    def comparable(self, state: State, kind: Kind) -> State:
        """Leave out of a state what may be otherwise."""
        state = state.without_hosts(self.before, self.wanted)
        return state.without_losses() if kind.damages else state

    def differences(self, found: State, other: State,
                    kind: Kind) -> list[str]:
        found, other = (self.comparable(state, kind)
                        for state in (found, other))
        if kind.lasts:
            found = found.with_pairs_of(other)
        return found.differences(other)


class Broken(Exception):
    """What a run has shown to be wrong."""

    def __init__(self, what: str, details: Sequence[str]) -> None:
        super().__init__('\n    '.join([f'{what}:', *details]))


def check(what: str, problems: Sequence[str]) -> None:
    if problems:
        raise Broken(what, problems)


@pytest.mark.parametrize('cls', DRIVERS, ids=lambda cls: cls.__name__)
def test_what_a_class_has_not_is_counted(cls, tries):
    for each in SCENARIOS:
        if not each.only.of(cls):
            tries.impossible('operations of a class', each.only.why)
    assert scenarios_of(cls)


@pytest.mark.parametrize('cls, scenario', CASES)
def test_every_command_fails_in_every_way(cls, scenario, tmp_path, tries):
    trial = Trial(cls, scenario, tmp_path)
    try:
        trial.clean()
    except Broken as error:
        pytest.fail(f'without a fault: {error}', pytrace=False)
    offset = zlib.crc32(f'{cls.__name__} {scenario.name}'.encode()) % EVERY
    cases = (trial.cases if wants_all()
             else chosen(trial.cases[offset:], EVERY))
    broken = []
    for nth, kind in cases:
        tries.tried('faults')
        try:
            trial.fail(nth, kind)
        except Broken as error:
            broken.append(f'{kind.name} at {nth}, '
                          f'`{trial.commands[nth - 1]}`: {error}')
        else:
            tries.survived('faults')
    print(f'{cls.__name__}, {scenario.name}: {len(cases)} of '
          f'{len(trial.cases)} runs, {len(trial.commands)} commands')
    for reason, number in trial.skipped.items():
        tries.impossible('faults', reason, number)
    if broken:
        pytest.fail('\n'.join(broken), pytrace=False)
