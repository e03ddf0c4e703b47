# SPDX-License-Identifier: Apache-2.0
"""The table as reStructuredText, for the documentation."""

from __future__ import annotations

from collections.abc import Iterator

from . import report
from .report import Document

_HEADS = ('Work', 'This driver', 'In-tree', 'Ratio', 'Limit', 'x limit',
          'Bars')
_WIDTHS = '24 10 16 6 8 8 28'


def table(found: Document) -> str:
    """The rows with their bars, and what a reader has to know.

    Made of a document that ``--json`` kept, so that the page shows what
    was measured and nothing else.
    """
    return '\n'.join([*_lines(found), ''])


def _lines(found: Document) -> Iterator[str]:
    yield '.. Written by tools/bench --rst: do not edit.'
    yield ''
    yield '.. list-table::'
    yield '   :header-rows: 1'
    yield f'   :widths: {_WIDTHS}'
    yield ''
    yield from _row(_HEADS)
    for row in found['rows']:
        title = f'{row["title"]} ({row["threads"]})'
        *cells, _word = report.cells(row)
        yield from _row((title, *cells, _bars(row)))
    yield ''
    bad = sum(not row['held'] for row in found['rows'])
    yield (f'{len(found["rows"]) - bad} of {len(found["rows"])} rows held '
           f'their bars; the run took {found["seconds"]:.0f} s.')
    for note in report.notes(found):
        yield ''
        yield f'* {note}'


def _row(cells: tuple[str, ...]) -> Iterator[str]:
    for index, cell in enumerate(cells):
        bullet = '   * - ' if not index else '     - '
        yield f'{bullet}{cell}'.rstrip()


def _bars(row: dict[str, object]) -> str:
    if row['problem']:
        return f'could not be run: {row["problem"]}'
    bars = row['bars']
    assert isinstance(bars, list)
    return '; '.join(
        bar['text'] + ': ' + (
            f'**{bar["measured"]}, not held**' if bar['held'] is False
            else 'not measured' if bar['held'] is None
            else str(bar['measured'])) for bar in bars)
