# SPDX-License-Identifier: Apache-2.0
"""``cinder-nec audit``: where arrays and Cinder do not agree."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import os
from typing import Any

from rich.padding import Padding
from rich.text import Text

from cinder_nec import errors, retry
from cinder_nec.assembly import Array
from cinder_nec.backend.findings import Finding, Standing
from cinder_nec.cli import cloud
from cinder_nec.cli.auditing import Part, can_be_mended, mend, parts_of
from cinder_nec.cli.base import PeopleLister
from cinder_nec.cli.cells import Names
from cinder_nec.cli.cloud import Cloud
from cinder_nec.cli.site import Site
from cinder_nec.cli.status import Exit, NotRun
from cinder_nec.cli.terminal import write

COLUMNS = ('Back ends', 'Standing', 'Kind', 'Object', 'Meaning', 'Commands',
           'Can be mended')
_SHOWN = {Standing.DIFFERENCE, Standing.UNSURE}
_STYLES = {Standing.DIFFERENCE: 'red', Standing.UNSURE: 'yellow'}
# What was found longer ago is looked at again before it is mended.
_FRESH_SECONDS = 10.0
_QUESTION = 'Run these commands? [y]es, [N]o, [a]ll, [q]uit: '

Found = list[tuple[Part, Finding]]


class Audit(PeopleLister):
    """Show where arrays and Cinder do not agree, and what would mend it.

    Needs an administrator's credentials (OS_* or --os-cloud). Nothing is
    changed without --mend. Exit status: 0 they agree, 1 they do not, 2 an
    array could not be read or mended, 3 Cinder could not be asked.
    """

    found: Found = []

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        cloud.add_options(parser)
        parser.add_argument(
            '--all', action='store_true',
            help='also what an operation under way explains, and what does '
                 'no harm')
        parser.add_argument(
            '--mend', action='store_true',
            help='run the commands of the differences for which it is '
                 'proven that no data is lost, each after a question')
        parser.add_argument(
            '--yes', action='store_true',
            help='with --mend: do not ask')
        return parser

    def take_action(self, parsed_args: argparse.Namespace
                    ) -> tuple[Sequence[str], Any]:
        if parsed_args.mend and parsed_args.formatter != 'table':
            raise NotRun('--mend goes with the table only')
        if parsed_args.mend and not (parsed_args.yes
                                     or self.app.stdin.isatty()):
            raise NotRun('--mend asks before each change; without a '
                         'terminal it needs --yes')
        if not cloud.is_given(parsed_args, os.environ):
            raise NotRun(
                'Cinder has to be asked too: set OS_* as for the openstack '
                'command, or name a cloud with --os-cloud. `cinder-nec '
                'list` shows what the array alone tells.')
        site = self.site(parsed_args)
        self._audit(site, Cloud(parsed_args), parsed_args)
        if any(f.is_difference for _part, f in self.found):
            self.at_least(Exit.WARNING)
        shown = [_row(part, finding) for part, finding in self.found
                 if parsed_args.all or finding.standing in _SHOWN]
        return COLUMNS, shown

    def for_people(self, parsed_args: argparse.Namespace) -> None:
        shown = [(part, finding) for part, finding in self.found
                 if parsed_args.all or finding.standing in _SHOWN]
        for part, finding in shown:
            write(self.app.stdout, _heading(part, finding),
                  Padding(_text(finding), (0, 0, 1, 2)))
        if not shown:
            write(self.app.stdout, Text('Arrays and Cinder agree.')
                  if self.status is Exit.OK else Text('Nothing was found.'))

    # -- auditing ------------------------------------------------------

    def _audit(self, site: Site, cinder: Cloud,
               parsed_args: argparse.Namespace) -> None:
        for entry in site.entries:
            if entry.config is None:
                self.complain(f'{entry.group}: {entry.error}')
                self.at_least(Exit.ERROR)
        self.found = []
        with self.arrays(parsed_args, changes=parsed_args.mend) as arrays:
            for part in parts_of(site.entries):
                try:
                    array = arrays.of(part.config)
                    self.found += [(part, finding) for finding in
                                   self._of_part(part, array, cinder,
                                                 parsed_args)]
                except errors.NecError as error:
                    self.complain(f'{part.name}: {error}')
                    self.at_least(Exit.ERROR)

    def _of_part(self, part: Part, array: Array, cinder: Cloud,
                 parsed_args: argparse.Namespace) -> list[Finding]:
        findings = part.audit(array, cinder)
        if parsed_args.mend and any(map(can_be_mended, findings)):
            mending = _Mending(self, part, array, cinder, parsed_args.yes)
            mending.mend(findings)
            return part.audit(array, cinder)
        return findings


class _Mending:
    """Goes through the findings of one array and asks."""

    def __init__(self, command: Audit, part: Part, array: Array,
                 cinder: Cloud, all_of_them: bool) -> None:
        self._command = command
        self._part = part
        self._array = array
        self._cinder = cinder
        self._all = all_of_them
        self._clock = retry.SystemClock()

    def mend(self, findings: Sequence[Finding]) -> None:
        """Mend what may be mended and is wanted, one by one.

        A finding is looked for once more before its commands are run,
        unless it was just seen: people take their time to answer.
        """
        seen_at = self._clock.now()
        for finding in filter(can_be_mended, findings):
            answer = self._wanted(finding)
            if answer == 'q':
                return
            if answer == 'n':
                continue
            if (not self._all or self._clock.now() - seen_at
                    > _FRESH_SECONDS):
                still = self._part.audit(self._array, self._cinder)
                seen_at = self._clock.now()
                if finding not in still:
                    self._say(f'{finding.subject} has changed meanwhile; '
                              'it is left alone.')
                    continue
            self._run(finding)

    def _wanted(self, finding: Finding) -> str:
        write(self._command.app.stdout, _heading(self._part, finding),
              Padding(_text(finding), (0, 0, 0, 2)))
        if self._all:
            return 'y'
        self._command.app.stdout.write(_QUESTION)
        self._command.app.stdout.flush()
        line = self._command.app.stdin.readline()
        answer = line.strip().lower()[:1] if line else 'q'
        self._all = answer == 'a'
        return {'y': 'y', 'a': 'y', 'q': 'q'}.get(answer, 'n')

    def _run(self, finding: Finding) -> None:
        try:
            mend(finding, self._array)
        except errors.NecError as error:
            self._command.complain(f'{finding.subject}: {error}')
            self._command.at_least(Exit.ERROR)
        else:
            self._say(f'{finding.subject} is mended.')

    def _say(self, text: str) -> None:
        write(self._command.app.stdout, Padding(text, (0, 0, 1, 2)))


def _row(part: Part, finding: Finding) -> tuple[Any, ...]:
    return (part.name, finding.standing.value, finding.kind.value,
            finding.subject, finding.meaning,
            Names([step.text for step in finding.steps]),
            can_be_mended(finding))


def _heading(part: Part, finding: Finding) -> Text:
    text = Text(finding.standing.value,
                style=_STYLES.get(finding.standing, 'dim'))
    text.append(f'  {part.name}: {finding.kind.value}: ', style='none')
    return text.append(finding.subject, style='bold')


def _text(finding: Finding) -> Text:
    text = Text(finding.meaning)
    for step in finding.steps:
        text.append(f'\n{step.place.value}> {step.text}')
    if can_be_mended(finding):
        text.append('\n`cinder-nec audit --mend` can do this.',
                    style='dim')
    elif finding.steps and not finding.is_safe:
        text.append('\nNot proven safe: decide for yourself.', style='dim')
    return text
