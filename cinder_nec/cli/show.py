# SPDX-License-Identifier: Apache-2.0
"""``cinder-nec show``: pools, limits, LD Sets and ports of the arrays."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from rich.padding import Padding
from rich.text import Text

from cinder_nec.cli.base import PeopleLister, SiteLister
from cinder_nec.cli.drawing import drawn
from cinder_nec.cli.sheets import BY_NAME, SHEETS, Sheet
from cinder_nec.cli.site import Entry
from cinder_nec.cli.terminal import write
from cinder_nec.model import ArrayConfig

_BACKEND = 'Back end'
_LONG = (_BACKEND, 'Table', 'Object', 'Attribute', 'Value')


class _Reading(SiteLister):
    """Reads one configuration for each array."""

    def configs(self, parsed_args: argparse.Namespace
                ) -> list[tuple[Entry, ArrayConfig]]:
        with self.arrays(parsed_args) as arrays:
            return self.of_each(
                self.site(parsed_args), arrays,
                lambda entry, array: array.inventory.current())


class _ShowSheet(_Reading):
    """One table of all back ends."""

    sheet: Sheet

    def take_action(self, parsed_args: argparse.Namespace
                    ) -> tuple[Sequence[str], Any]:
        return (_BACKEND, *self.sheet.columns), [
            (entry.group, *row)
            for entry, config in self.configs(parsed_args)
            for row in self.sheet.rows(entry, config)]


class ShowPools(_ShowSheet):
    """Show the pools: what for, how many logical disks, how full."""

    sheet = BY_NAME['pools']


class ShowLimits(_ShowSheet):
    """Show the limits of the model and how close they are."""

    sheet = BY_NAME['limits']


class ShowLdSets(_ShowSheet):
    """Show the LD Sets: which hosts, how many logical disks."""

    sheet = BY_NAME['ld-sets']


class ShowPorts(_ShowSheet):
    """Show the host ports and their links."""

    sheet = BY_NAME['ports']


class Show(PeopleLister, _Reading):
    """Show pools, limits, LD Sets and ports.

    For programs, each value is a row; `show pools` and its siblings have
    one table each.
    """

    found: Sequence[tuple[Entry, ArrayConfig]] = ()

    def take_action(self, parsed_args: argparse.Namespace
                    ) -> tuple[Sequence[str], Any]:
        self.found = self.configs(parsed_args)
        return _LONG, [
            (entry.group, sheet.name, row[0], column, value)
            for entry, config in self.found for sheet in SHEETS
            for row in sheet.rows(entry, config)
            for column, value in zip(sheet.columns[1:], row[1:],
                                     strict=True)]

    def for_people(self, parsed_args: argparse.Namespace) -> None:
        for entry, config in self.found:
            write(self.app.stdout, Text(_title(entry, config),
                                        style='bold'))
            for sheet in SHEETS:
                rows = list(sheet.rows(entry, config))
                if rows:
                    write(self.app.stdout,
                          Padding(drawn(sheet.columns, rows, sheet.title),
                                  (0, 0, 1, 2)))


def _title(entry: Entry, config: ArrayConfig) -> str:
    assert entry.config is not None and entry.driver is not None
    return (f'{entry.group}: {config.product_id}, {config.version}, at '
            f'{entry.config.address} port {entry.config.port} '
            f'({entry.driver.name})')
