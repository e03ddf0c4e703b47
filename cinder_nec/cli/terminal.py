# SPDX-License-Identifier: Apache-2.0
"""Showing things to people: consoles and bars."""

from __future__ import annotations

import io
from typing import TextIO

from rich.console import Console, RenderableType

GIB = 1 << 30
_UNITS = ('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')
_BAR_WIDTH = 12
_PLAIN_WIDTH = 100


def write(stream: TextIO, *renderables: RenderableType) -> None:
    """Write what rich makes of things, without blanks at the ends.

    Colours only on a terminal, of whose width it is; 100 columns elsewhere.
    """
    is_terminal = stream.isatty()
    text = io.StringIO()
    out = Console(file=text, force_terminal=is_terminal, highlight=False,
                  markup=False, emoji=False,
                  width=None if is_terminal else _PLAIN_WIDTH)
    for one in renderables:
        out.print(one)
    for line in text.getvalue().splitlines():
        stream.write(line.rstrip() + '\n')


def live_console(stream: TextIO) -> Console:
    """Return a console for what changes in place; a terminal only."""
    return Console(file=stream, highlight=False, markup=False, emoji=False)


def can_draw(stream: TextIO) -> bool:
    """Tell whether a stream takes characters other than ASCII."""
    encoding = getattr(stream, 'encoding', None) or 'ascii'
    try:
        '█░'.encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def bar(share: float, stream: TextIO, width: int = _BAR_WIDTH) -> str:
    """Return a bar of a share (0 to 1) with its percentage."""
    share = min(1.0, max(0.0, share))
    full, empty = '█░' if can_draw(stream) else '#.'
    filled = round(share * width)
    return f'{full * filled}{empty * (width - filled)} {share:4.0%}'


def size(count: int | None) -> str:
    """Return bytes for people: ``512 MiB``, ``1.5 TiB``; '' for None."""
    if count is None:
        return ''
    value, unit = float(count), _UNITS[0]
    for unit in _UNITS:
        if abs(value) < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f'{value:.0f} {unit}' if value == round(value) else (
        f'{value:.1f} {unit}')
