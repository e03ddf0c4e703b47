# SPDX-License-Identifier: Apache-2.0
"""Tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from cinder_nec.cli.cells import Rate, Share, Size, human


def drawn(columns: Sequence[str], rows: Sequence[Sequence[Any]],
          title: str | None = None) -> Table:
    """Return a table without lines and without empty columns."""
    table = Table(title=title, title_justify='left', title_style='none',
                  header_style='dim', box=None, pad_edge=False)
    shown = [[human(value) for value in row] for row in rows]
    kept = [at for at in range(len(columns))
            if not rows or any(row[at] for row in shown)]
    for at in kept:
        values = [row[at] for row in rows]
        is_number = bool(values) and all(
            isinstance(value, (int, Size, Rate)) for value in values)
        table.add_column(
            columns[at], justify='right' if is_number else 'left',
            overflow='fold', no_wrap=is_number or any(
                isinstance(value, Share) for value in values))
    for row in shown:
        table.add_row(*(row[at] for at in kept))
    return table
