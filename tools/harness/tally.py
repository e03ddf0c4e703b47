# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin that leaves the result of a run in a file.

tools/test runs pytest more than once, on different Cinder releases, and
closes with one summary of all runs. ``CINDER_NEC_TALLY`` names the file.

The summary also says how many faults and kills were tried and survived.
Tests count them with a :class:`Tries`; the numbers travel with their
reports, so xdist's workers need no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import json
import os
from pathlib import Path
from typing import Any, TypeVar

COUNTED = ('failed', 'passed', 'skipped', 'xfailed', 'xpassed', 'error')
# Set by tools/test --all.
ALL = 'CINDER_NEC_ALL'
_TRIES = 'cinder_nec tries'
_IMPOSSIBLE = 'cinder_nec impossible'

Case = TypeVar('Case')


def wants_all() -> bool:
    """Tell whether all of what is slow is to run, and not a sample."""
    return bool(os.environ.get(ALL))


def chosen(cases: Sequence[Case], every: int) -> list[Case]:
    """Return all cases with ``--all``, or else every so many-th."""
    return list(cases if wants_all() else cases[::every])


class Tries:
    """What one test tried, and what of it was survived.

    Count a try before it is made and its survival after all that is
    asserted of it: what fails in between is tried and not survived.
    """

    def __init__(self, properties: list[tuple[str, object]]) -> None:
        self._properties = properties

    def tried(self, what: str, number: int = 1) -> None:
        """``what`` is a plural for the summary: 'faults', 'kills'."""
        self._properties.append((_TRIES, [what, number, 0]))

    def survived(self, what: str, number: int = 1) -> None:
        self._properties.append((_TRIES, [what, 0, number]))

    def impossible(self, what: str, reason: str, number: int = 1) -> None:
        """Count what cannot be tried; the summary gives the reason."""
        self._properties.append((_IMPOSSIBLE, [f'{what}: {reason}', number]))


def impossible_of(reports: Iterable[Any]) -> dict[str, int]:
    """Sum what the tests of these reports could not try, by reason."""
    found: dict[str, int] = {}
    for report in reports:
        if getattr(report, 'when', '') == 'call':
            for name, value in report.user_properties:
                if name == _IMPOSSIBLE:
                    reason, number = value
                    found[reason] = found.get(reason, 0) + number
    return found


def impossible_in_words(found: Mapping[str, int]) -> list[str]:
    """One line for each reason: ``not possible 5 times: ...``."""
    return [f'not possible {number} times: {reason}'
            for reason, number in sorted(found.items())]


def tries_of(reports: Iterable[Any]) -> dict[str, list[int]]:
    """Sum what the tests of these reports tried and survived."""
    found: dict[str, list[int]] = {}
    for report in reports:
        # A test has three reports; each carries all that came before it.
        if getattr(report, 'when', '') == 'call':
            for name, value in report.user_properties:
                if name == _TRIES:
                    what, tried, survived = value
                    add_tries(found, {what: [tried, survived]})
    return found


def add_tries(total: dict[str, list[int]],
              more: Mapping[str, Sequence[int]]) -> None:
    """Add up what several runs tried and survived."""
    for what, (tried, survived) in more.items():
        numbers = total.setdefault(what, [0, 0])
        numbers[0] += tried
        numbers[1] += survived


def tries_in_words(tries: Mapping[str, Sequence[int]]) -> str:
    """One line: ``faults: 5 tried, 5 survived; kills: ...``, or ''."""
    line = '; '.join(f'{what}: {tried} tried, {survived} survived'
                     for what, (tried, survived) in sorted(tries.items()))
    if line and not wants_all():
        line += ' (a sample; all of them with tools/test --all)'
    return line


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write the counts, and the ids of what did not pass."""
    stats = terminalreporter.stats
    tries = tries_of(report for key in ('passed', 'failed')
                     for report in stats.get(key, []))
    if tries:
        terminalreporter.write_line(tries_in_words(tries))
    impossible = impossible_of(report for key in ('passed', 'failed')
                               for report in stats.get(key, []))
    for line in impossible_in_words(impossible):
        terminalreporter.write_line(line)
    target = os.environ.get('CINDER_NEC_TALLY')
    if not target:
        return
    bad = [report.nodeid for key in ('failed', 'error')
           for report in stats.get(key, [])]
    result = {
        'counts': {key: len(stats.get(key, [])) for key in COUNTED},
        'bad': bad,
        'tries': tries,
        'impossible': impossible,
    }
    Path(target).write_text(json.dumps(result))
