# SPDX-License-Identifier: Apache-2.0
"""How ``cinder-nec check`` looks on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
import itertools
from typing import TextIO

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cinder_nec.cli.catalog import Level
from cinder_nec.cli.findings import Finding
from cinder_nec.cli.terminal import write

_STYLES = {Level.OK: 'green', Level.WARNING: 'yellow', Level.ERROR: 'red'}
_INDENT = 2


def show_findings(findings: Sequence[Finding], stream: TextIO,
                  problems_only: bool) -> None:
    """Write findings by back end and chapter, and what they come to."""
    for backend, group in itertools.groupby(findings,
                                            key=lambda f: f.backend):
        ours = list(group)
        write(stream, Text(backend, style='bold'))
        # In the order of the chapters, and within one in that of the work.
        ours.sort(key=lambda f: f.check.position)
        for chapter, some in itertools.groupby(
                ours, key=lambda f: f.check.chapter):
            shown = [f for f in some
                     if f.level is not Level.OK or not problems_only]
            if shown:
                write(stream, Padding(chapter.value, (0, 0, 0, _INDENT)),
                      Padding(_table(shown), (0, 0, 0, 2 * _INDENT)))
        write(stream, _count(ours))


def _table(findings: Sequence[Finding]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for finding in findings:
        text = Text(finding.text)
        if finding.level is not Level.OK:
            text.append(f'\n{finding.meaning}', style='dim')
            text.append(f'\nTo do: {finding.what_to_do}')
        table.add_row(Text(finding.level.word,
                           style=_STYLES[finding.level]),
                      finding.check.id, text)
    return table


def _count(findings: Sequence[Finding]) -> Padding:
    counts = Counter(finding.level for finding in findings)
    parts = [f'{counts[Level.OK]} ok',
             *(f'{counts[level]} {level.word}s' if counts[level] != 1
               else f'1 {level.word}'
               for level in (Level.WARNING, Level.ERROR))]
    worst = max(counts, default=Level.OK)
    return Padding(Text(', '.join(parts), style=_STYLES[worst]),
                   (0, 0, 1, _INDENT))
