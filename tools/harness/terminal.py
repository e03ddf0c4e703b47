# SPDX-License-Identifier: Apache-2.0
"""Words for a terminal: colours where there is one, plain text elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import os
import sys
import textwrap

_CODES = {'bold': '1', 'dim': '2', 'red': '31', 'green': '32',
          'yellow': '33', 'cyan': '36'}


class Screen:
    """Prints to stdout; knows whether a person is looking."""

    def __init__(self) -> None:
        self.colours = sys.stdout.isatty() and 'NO_COLOR' not in os.environ

    def paint(self, text: str, *styles: str) -> str:
        """Wrap text in colour codes, if there are colours."""
        if not self.colours:
            return text
        codes = ';'.join(_CODES[style] for style in styles)
        return f'\033[{codes}m{text}\033[0m'

    def line(self, text: str = '', *styles: str, indent: int = 0) -> None:
        """Print one line."""
        painted = self.paint(text, *styles) if styles else text
        print(' ' * indent + painted, flush=True)

    def lines(self, text: str, *styles: str, indent: int = 0) -> None:
        """Print every line of a text."""
        for line in text.rstrip().splitlines():
            self.line(line, *styles, indent=indent)

    def labelled(self, label: str, items: Iterable[str], width: int = 7,
                 indent: int = 3, style: str = 'cyan') -> None:
        """Print a label and, beside it, one item a line."""
        head = f'{label:<{width}}'
        for item in items:
            first, *rest = textwrap.wrap(
                item, 110, subsequent_indent='  ') or ['']
            self.line(self.paint(head, style) + first, indent=indent)
            for more in rest:
                self.line(' ' * width + more, indent=indent)
            head = ' ' * width

    def table(self, head: Sequence[str],
              rows: Sequence[Sequence[str]]) -> None:
        """Print columns, right-aligned where they hold numbers."""
        widths = [max(len(row[i]) for row in [head, *rows])
                  for i in range(len(head))]
        self.line('  '.join(text.ljust(width) for text, width
                            in zip(head, widths, strict=True)), 'bold')
        for row in rows:
            cells = []
            for text, width in zip(row, widths, strict=True):
                number = text.replace('.', '').isdigit()
                cells.append(text.rjust(width) if number
                             else text.ljust(width))
            self.line('  '.join(cells))
