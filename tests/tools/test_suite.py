# SPDX-License-Identifier: Apache-2.0
"""What tools/test makes of its command line and of its results."""

from __future__ import annotations

from harness import suite
from harness.suite import Result


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
