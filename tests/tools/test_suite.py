# SPDX-License-Identifier: Apache-2.0
"""What tools/test makes of its command line and of its results."""

from __future__ import annotations

import configparser
from types import SimpleNamespace

import pytest

from harness import suite, tally
from harness.suite import Result
from harness.tally import Tries
from harness.venvs import ROOT


def test_options_and_pytest_arguments_are_told_apart():
    options, extra = suite.parse(['--fast', '-k', 'naming', 'tests/unit'])
    assert options.fast
    assert options.cinder is None
    assert extra == ['-k', 'naming', 'tests/unit']


def test_closing_line_is_pytests():
    text = suite.closing(
        [Result('ruff'), Result('mypy'),
         Result('Cinder 29', counts={'passed': 300, 'skipped': 2}),
         Result('Cinder 27', counts={'passed': 40})], 512.3)
    last = text.splitlines()[-1]
    assert last.strip('= ') == '340 passed, 2 skipped in 512.30s'
    assert 'Cinder 27: 40 passed' in text


def test_closing_lists_what_failed_in_either_run():
    text = suite.closing(
        [Result('mypy', 1, {'failed': 1}, ['mypy: see above']),
         Result('Cinder 29', counts={'passed': 3}),
         Result('Cinder 27', 1, {'passed': 1, 'failed': 1}, ['t.py::a'])],
        1.0)
    assert 'FAILED [Cinder 27] t.py::a' in text
    assert text.splitlines()[-1].strip('= ') == (
        '2 failed, 4 passed in 1.00s')


def test_a_failed_run_without_failed_tests_is_no_success():
    text = suite.closing(
        [Result('Cinder 29', 3, {'passed': 3})], 1.0)
    assert '1 failed, 3 passed' in text.splitlines()[-1]


def report(when: str, count) -> SimpleNamespace:
    properties: list[tuple[str, object]] = [('other', 1)]
    count(Tries(properties))
    return SimpleNamespace(when=when, user_properties=properties)


def test_tries_are_summed_once_for_each_test():
    def one(tries):
        tries.tried('faults', 3)
        tries.survived('faults', 2)
        tries.tried('kills')

    # setup and teardown of the same test carry the same numbers.
    found = tally.tries_of([report('call', one), report('teardown', one),
                            report('call', one)])
    assert found == {'faults': [6, 4], 'kills': [2, 0]}


def test_closing_says_what_could_not_be_tried():
    found = tally.impossible_of([report('call', lambda tries: [
        tries.impossible('faults', 'no pair is there', 2),
        tries.impossible('faults', 'no pair is there')])])
    text = suite.closing(
        [Result('Cinder 29', counts={'passed': 1}, impossible=found),
         Result('Cinder 27', counts={'passed': 1}, impossible=found)], 1.0)
    assert 'not possible 6 times: faults: no pair is there' in (
        text.splitlines())


def test_closing_says_what_was_tried_in_all_runs(monkeypatch):
    monkeypatch.setenv(tally.ALL, '1')
    text = suite.closing(
        [Result('Cinder 29', counts={'passed': 3},
                tries={'faults': [5, 5], 'kills': [2, 1]}),
         Result('Cinder 27', counts={'passed': 1},
                tries={'faults': [1, 1]})], 1.0)
    assert ('faults: 6 tried, 6 survived; kills: 2 tried, 1 survived'
            in text.splitlines())


@pytest.mark.parametrize('value, cases', [
    (None, [1, 3, 5]), ('1', [1, 2, 3, 4, 5])])
def test_a_sample_runs_unless_all_is_asked_for(value, cases, monkeypatch):
    monkeypatch.delenv(tally.ALL, raising=False)
    if value:
        monkeypatch.setenv(tally.ALL, value)
    assert tally.chosen([1, 2, 3, 4, 5], 2) == cases


def test_tox_checks_the_types_of_the_same_packages():
    """And every package of tools/ is among them."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / 'tox.ini')
    commands = tox['testenv:pep8']['commands'].replace('\\\n', ' ')
    line, = (line for line in commands.splitlines()
             if line.split()[:1] == ['mypy'])
    assert line.split()[1:] == list(suite.TYPED)
    assert {path.parent.name for path in ROOT.glob('tools/*/__init__.py')
            } == {name.removeprefix('tools/') for name in suite.TYPED
                  if name.startswith('tools/')}
