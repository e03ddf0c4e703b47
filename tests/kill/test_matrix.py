# SPDX-License-Identifier: Apache-2.0
"""A service is killed at each command of each operation.

``kill -9``: before a command has been carried out, and after it was but
before its answer came.  Then the service is started again, and the array
holds what Cinder's database explains and nothing else, no data is lost,
and a second try succeeds.

Without ``tools/test --all``, each operation is killed at one place on each of
two classes, which have both methods and both protocols.
"""

from __future__ import annotations

from collections.abc import Iterator
import re
import warnings

import pytest

from harness import drivers, venvs
from harness.tally import Tries, wants_all
from tests.kill.cases import (
    BOTH,
    BY_NAME,
    CASES,
    REPLICATION,
    SNAPSHOT,
    Case,
)
from tests.kill.lab import Lab, NotReachedError, Place

GUIDE = venvs.ROOT / 'doc' / 'source' / 'admin' / 'crashes.rst'
FIRST = ('CHANGE', 1)
# Unless CINDER_NEC_DRIVERS asks for others only.
IN_SAMPLE = set(drivers.PAIR).intersection(drivers.READY)


@pytest.fixture(scope='module')
def lab(request: pytest.FixtureRequest,
        tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    driver = drivers.find(request.param)
    made = Lab(tmp_path_factory.mktemp(driver.name), driver)
    yield made
    made.stop()


# Operations that leave something for the next start to change, with which
# copy methods.  A kill that shows another one fails.
WORK = {
    **dict.fromkeys((
        'create', 'create with limits', 'delete',
        'delete of a mapped volume', 'clone', 'clone that takes long',
        'larger clone', 'volume from snapshot',
        'larger volume from snapshot', 'attach', 'attach to a known host',
        'second attach', 'export snapshot', 'migrate',
        'migrate that takes long', 'retype to another pool',
        'take the old name'), BOTH),
    **dict.fromkeys(('hide snapshot', 'delete a snapshot that is shown'),
                    SNAPSHOT),
    **dict.fromkeys(('snapshot', 'revert', 'delete with kept differences'),
                    REPLICATION),
}


def has_work(lab: Lab, case: Case) -> bool:
    return lab.driver.method in WORK.get(case.name, ())


def one_of_pair(case: Case) -> str:
    """The class that a sample of one takes."""
    fit = [name for name in drivers.PAIR
           if drivers.find(name).method in WORK.get(case.name,
                                                    case.methods)]
    return fit[CASES.index(case) % len(fit)]


def turned(places: list[Place], driver: drivers.Driver,
           case: Case) -> list[Place]:
    """Begin elsewhere in each class and operation."""
    turn = list(drivers.CLASSES).index(driver.name)
    first = (turn * 5 + CASES.index(case) * 3) % len(places)
    return [*places[first:], *places[:first]]


@pytest.mark.timeout(900)
@pytest.mark.parametrize('lab, case', [
    pytest.param(name, case, id=f'{name}-{case.name}')
    for name in drivers.READY for case in CASES
    if wants_all() or name in drivers.PAIR or not IN_SAMPLE
    if drivers.find(name).method in case.methods
    and (wants_all() or not case.is_variant or name == one_of_pair(case))
    ], indirect=['lab'])
def test_killed_at_any_command(lab: Lab, case: Case, tries: Tries):
    failures = []
    killed = 0
    places = turned(lab.places(case), lab.driver, case)
    # Queries that did not come: the copy had ended by then.
    missed = 0
    for place in places:
        if killed and not wants_all():
            break
        try:
            changes = lab.kill_at(case, place)
            assert not changes or has_work(lab, case), (
                f'the start after it sends {changes} changes: to WORK')
            tries.survived('kills')
        except NotReachedError as error:
            missed += 1
            if not place.is_poll:
                failures.append(f'not reached: {error}')
            continue
        except AssertionError as error:
            failures.append(f'{place}: {error}')
            lab.renew()
        tries.tried('kills')
        killed += 1
    assert not failures, '\n'.join(failures)
    assert killed, 'nobody was killed'
    if missed:
        polls = sum(place.is_poll for place in places)
        assert missed <= max(1, polls // 2), f'{missed} of {polls} queries'
        warnings.warn(f'{case.name}: {missed} of {polls} queries did not '
                      'come, and nobody could be killed at them', stacklevel=1)
    assert not lab.told(), 'a start should decide about all of this'


def in_start(changes: int) -> list[Place]:
    """Where a start that sends so many changes can be killed."""
    return [Place(nth, 'CHANGE', 'of the start', is_applied)
            for nth in range(1, changes + 1)
            for is_applied in (False, True)]


@pytest.mark.timeout(900)
@pytest.mark.parametrize('lab, case', [
    pytest.param(name, case, id=f'{name}-{case.name}')
    for name in drivers.READY for case in CASES
    if drivers.find(name).method in WORK.get(case.name, ())
    and (name in drivers.PAIR if wants_all()
         else not case.copies and name == one_of_pair(case))
    ], indirect=['lab'])
def test_the_start_is_killed_as_well(lab: Lab, case: Case, tries: Tries):
    """What was to be tidied up is there at the start after that.

    Each place of the operation is tried once with a start that nobody
    kills, which tells how many places the start has.  The later the
    operation is killed, the more there is to tidy up, as a rule.
    """
    failures = []
    killed = 0
    turn = CASES.index(case)
    for place in reversed(lab.places(case)):
        # Before one change is after the one before it.
        if (not place.is_applied and (place.kind, place.nth) != FIRST
                or killed and not wants_all()):
            continue
        starts = []
        try:
            tries.tried('kills')
            starts = in_start(lab.kill_at(case, place))
            tries.survived('kills')
            if starts and not wants_all():
                starts = [starts[turn % len(starts)]]
            for start in starts:
                tries.tried('kills')
                lab.kill_at(case, place, start)
                tries.survived('kills')
                killed += 1
        except (AssertionError, NotReachedError) as error:
            failures.append(f'{place}, {starts}: {error!r}')
            lab.renew()
    assert not failures, '\n'.join(failures)
    assert killed, 'no start has anything to change'
    assert not lab.told(), 'a start should decide about all of this'


@pytest.mark.parametrize('lab', drivers.READY[:1], indirect=True)
def test_what_no_start_can_decide_is_in_the_log(lab: Lab, tries: Tries):
    """Once, with commands that do it.

    Without a journal, an LD without a name may be anybody's.
    """
    case = BY_NAME['create']
    bound = next(place for place in lab.places(case) if place.is_applied)
    tries.tried('kills')
    first, second = lab.lose_journal(case, bound)
    assert len(first) == len(second) == 1, (first, second)
    assert 'has no name. When it is certain that nobody' in first[0]
    tries.survived('kills')


def test_the_guide_has_each_operation():
    """The page for operators says what to do after each of these.

    And of no other one, but for those that are put together of these.
    """
    tables = first_cells(GUIDE.read_text())
    rows = [name for cells in tables['Operation'] for name in cells]
    assert sorted(rows) == sorted(case.name for case in CASES)
    assert not set(rows) & {
        name for cells in tables['Also'] for name in cells}


def first_cells(page: str) -> dict[str, list[list[str]]]:
    """Return what the rows of the page's tables are about.

    By the head of the first column; what is in brackets explains.
    """
    found: dict[str, list[list[str]]] = {}
    for table in page.split('.. list-table::')[1:]:
        cells = [re.sub(r'\s+', ' ', re.sub(r'\([^)]*\)', '', cell)).strip()
                 for cell in re.findall(r'^   \* - (.*?)^     - ', table,
                                        re.DOTALL | re.MULTILINE)]
        found.setdefault(cells[0], []).extend(
            [name.strip() for name in cell.split(',')]
            for cell in cells[1:])
    return found


def test_a_row_that_is_missing_is_missed():
    page = GUIDE.read_text()
    for row in ('extend', 'clone', 'manage', 'attach'):
        without = re.sub(rf'^   \* - {row}[,\n].*?(?=^   \* - )', '', page,
                         count=1, flags=re.DOTALL | re.MULTILINE)
        assert without != page
        assert [row] not in [cells[:1] for cells
                             in first_cells(without)['Operation']]
