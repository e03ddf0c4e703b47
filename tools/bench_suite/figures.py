# SPDX-License-Identifier: Apache-2.0
"""What a row of the table comes to: figures, bars, held or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from .tally import Tally


@dataclass(frozen=True)
class Bar:
    """Something that must be reached, and what was measured.

    :param held: None if it could not be measured in this run
    """

    text: str
    measured: str
    held: bool | None

    @property
    def word(self) -> str:
        return {True: 'held', False: 'NOT HELD', None: 'not measured'}[
            self.held]


def at_most(what: str, value: float | None, bound: float,
            unit: str = '') -> Bar:
    """A bar for a number that must not be larger."""
    text = f'{what}: at most {bound:g}{unit}'
    if value is None:
        return Bar(text, '-', None)
    return Bar(text, f'{value:.3g}{unit}', value <= bound)


def at_least(what: str, value: float | None, bound: float,
             unit: str = '') -> Bar:
    """A bar for a number that must not be smaller."""
    text = f'{what}: at least {bound:g}{unit}'
    if value is None:
        return Bar(text, '-', None)
    return Bar(text, f'{value:.3g}{unit}', value >= bound)


def none(what: str, number: int) -> Bar:
    """A bar for what must not happen."""
    return Bar(f'no {what}', str(number), number == 0)


@dataclass
class Figure:
    """One run with one driver.

    :param elapsed: from the first call to the last answer
    :param limit: seconds of the changes that the work cannot do without
    :param errors: of operations that failed
    :param unfinished: operations that had no answer when time was over
    """

    driver: str
    operations: int
    elapsed: float
    limit: float
    tally: Tally
    cpu_seconds: float = 0.0
    simulator_cpu_seconds: float = 0.0
    overhead_seconds: float = 0.0
    errors: list[str] = field(default_factory=list)
    unfinished: int = 0
    longest: float = 0.0

    @property
    def times_limit(self) -> float | None:
        return self.elapsed / self.limit if self.limit else None

    @property
    def simulator_share(self) -> float:
        """Part of the time in which the simulator itself computed."""
        return (self.simulator_cpu_seconds / self.elapsed
                if self.elapsed else 0.0)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), 'times_limit': self.times_limit}


@dataclass
class Outcome:
    """One row of the table.

    :param values: what else was measured, for the JSON
    :param problem: why the row could not be run at all
    """

    key: str
    title: str
    threads: str
    ours: Figure | None = None
    in_tree: Figure | None = None
    bars: list[Bar] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    problem: str = ''

    @property
    def ratio(self) -> float | None:
        """How many times faster than in-tree, for the same work.

        Compared by the work's limit, so that a shortened run of the
        in-tree driver counts for what it did.
        """
        if self.ours is None or self.in_tree is None:
            return None
        if self.in_tree.errors or self.in_tree.unfinished:
            return None
        ours, theirs = self.ours.times_limit, self.in_tree.times_limit
        return theirs / ours if ours and theirs else None

    @property
    def held(self) -> bool:
        return not self.problem and all(
            bar.held is not False for bar in self.bars)

    def as_dict(self) -> dict[str, Any]:
        return {
            'key': self.key, 'title': self.title, 'threads': self.threads,
            'ours': self.ours and self.ours.as_dict(),
            'in_tree': self.in_tree and self.in_tree.as_dict(),
            'ratio': self.ratio,
            'bars': [asdict(bar) for bar in self.bars],
            'values': self.values, 'problem': self.problem,
            'held': self.held}


def failures(figure: Figure) -> list[Bar]:
    """The bars that hold for every row: nothing fails or hangs."""
    bars = []
    if figure.errors:
        bars.append(Bar('no operation fails',
                        f'{len(figure.errors)}: {figure.errors[0]}', False))
    if figure.unfinished:
        bars.append(Bar('every operation ends in time',
                        f'{figure.unfinished} did not', False))
    if figure.tally.unknown:
        bars.append(Bar('no command is unknown to the array',
                        str(figure.tally.unknown), False))
    return bars


def first(values: Iterable[float]) -> float | None:
    return next(iter(values), None)
