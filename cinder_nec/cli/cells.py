# SPDX-License-Identifier: Apache-2.0
"""Values that people and programs want to see differently."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from cliff.columns import FormattableColumn

from cinder_nec.cli.terminal import bar, size

# Older releases of cliff have no type to fill in.
if TYPE_CHECKING:
    _Column = FormattableColumn[Any]
else:
    _Column = FormattableColumn


class Size(_Column):
    """Bytes: ``1.5 TiB`` for people, a number for programs."""

    def human_readable(self) -> str:
        return size(self._value)


class Rate(_Column):
    """Bytes per second: ``20 MiB/s`` for people."""

    def human_readable(self) -> str:
        return '' if self._value is None else f'{size(self._value)}/s'


class Share(_Column):
    """A share of 1: a bar for people, percent for programs."""

    def human_readable(self) -> str:
        return '' if self._value is None else bar(self._value, sys.stdout)

    def machine_readable(self) -> Any:
        return None if self._value is None else round(100 * self._value, 1)


class Names(_Column):
    """Some names: one a line for people, with commas for programs."""

    def human_readable(self) -> str:
        return '\n'.join(self._value)

    def machine_readable(self) -> Any:
        return ','.join(self._value)


def human(value: object) -> str:
    """Return a cell as people see it."""
    if isinstance(value, FormattableColumn):
        return str(value.human_readable())
    return '' if value is None else str(value)
