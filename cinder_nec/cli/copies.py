# SPDX-License-Identifier: Apache-2.0
"""``cinder-nec copies``: what the arrays are copying."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from cinder_nec import retry
from cinder_nec.cli.base import PeopleLister
from cinder_nec.cli.cells import Rate, Share, Size
from cinder_nec.cli.copying import Copying, Looker, id_of
from cinder_nec.cli.drawing import drawn
from cinder_nec.cli.status import NotRun
from cinder_nec.cli.terminal import live_console, write

COLUMNS = ('Back end', 'From', 'To', 'State', 'Done', 'Left', 'Rate',
           'Time left', 'Kind', 'From ID', 'To ID')
# What people get; the rest is for programs.
_SHOWN = 8
_LEAST_SECONDS = 0.2

Rows = list[tuple[Any, ...]]


class Copies(PeopleLister):
    """Show the copies that run on the arrays, and how far they are.

    From the array's own remaining difference. Rate and time left need two
    looks: --watch has them from the second one on.
    """

    clock: retry.Clock = retry.SystemClock()
    rows: Rows = []

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--all', action='store_true',
            help='also the pairs that are at rest')
        parser.add_argument(
            '--watch', nargs='?', type=float, const=2.0, metavar='SECONDS',
            help='go on until no copy runs, with a new look each so many '
                 'seconds (default: 2); with the table only')
        return parser

    def take_action(self, parsed_args: argparse.Namespace
                    ) -> tuple[Sequence[str], Any]:
        if parsed_args.watch is not None and (
                parsed_args.formatter != 'table' or parsed_args.columns):
            raise NotRun('--watch goes with the table only')
        site = self.site(parsed_args)
        looker = Looker(self.clock)
        with self.arrays(parsed_args) as arrays:
            def look() -> Rows:
                return [_row(copy, looker) for _entry, copies in
                        self.of_each(site, arrays, looker.look)
                        for copy in copies
                        if copy.runs or parsed_args.all]

            self.rows = look()
            if parsed_args.watch is not None and self.rows:
                self._watch(look, max(_LEAST_SECONDS, parsed_args.watch))
        return COLUMNS, self.rows

    def for_people(self, parsed_args: argparse.Namespace) -> None:
        write(self.app.stdout, _table(self.rows))

    def _watch(self, look: Callable[[], Rows], seconds: float) -> None:
        """Show each look in place of the last one, until nothing runs."""
        if not self.app.stdout.isatty():
            while self.rows:
                write(self.app.stdout, _table(self.rows), '')
                self.clock.sleep(seconds)
                self.rows = look()
            return
        with Live(_table(self.rows), console=live_console(self.app.stdout),
                  auto_refresh=False, transient=True,
                  redirect_stdout=False, redirect_stderr=False) as live:
            while self.rows:
                self.clock.sleep(seconds)
                self.rows = look()
                live.update(_table(self.rows), refresh=True)


def _row(copy: Copying, looker: Looker) -> tuple[Any, ...]:
    progress = looker.progress(copy)
    rate = progress.bytes_per_second if progress else None
    share = left = None
    if progress is not None:
        share, left = progress.percent / 100, copy.left_bytes
    return (copy.backend, copy.source, copy.target, copy.state,
            Share(share), Size(left),
            Rate(None if rate is None else round(rate)),
            '' if not rate or left is None else _clock(left / rate),
            copy.kind, id_of(copy.source), id_of(copy.target))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02d}:{rest:02d}'


def _table(rows: Rows) -> RenderableType:
    if not rows:
        return Text('No copy runs.')
    return drawn(COLUMNS[:_SHOWN], [row[:_SHOWN] for row in rows])
