# SPDX-License-Identifier: Apache-2.0
"""``cinder-nec check``: the manual's appendix F as a program."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from cinder_nec import errors
from cinder_nec.assembly import Array
from cinder_nec.cli.base import PeopleLister
from cinder_nec.cli.catalog import Level
from cinder_nec.cli.check_access import check_access
from cinder_nec.cli.check_commands import check_commands, check_query
from cinder_nec.cli.check_connection import check_connection
from cinder_nec.cli.check_figures import check_figures
from cinder_nec.cli.check_host import check_host
from cinder_nec.cli.check_options import check_key_file, check_options
from cinder_nec.cli.check_sharing import check_sharing
from cinder_nec.cli.check_storage import check_limits, check_storage
from cinder_nec.cli.check_view import show_findings
from cinder_nec.cli.findings import Finding, Report, worst
from cinder_nec.cli.reading import Arrays, each
from cinder_nec.cli.site import Entry, Site
from cinder_nec.cli.status import Exit

COLUMNS = ('Back end', 'Level', 'Check', 'Finding', 'Meaning', 'What to do')


class Check(PeopleLister):
    """Check the back ends of cinder.conf and the arrays behind them.

    Nothing is changed on an array. Exit status: 0 all is well, 1 there are
    warnings, 2 there are errors, 3 the check could not be made.
    """

    findings: Sequence[Finding] = ()

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--problems', action='store_true',
            help='leave out what is well')
        return parser

    def take_action(self, parsed_args: argparse.Namespace
                    ) -> tuple[Sequence[str], Any]:
        with self.arrays(parsed_args) as arrays:
            self.findings = check_site(self.site(parsed_args), arrays,
                                       parsed_args.timeout)
        self.at_least(Exit(int(worst(self.findings))))
        return COLUMNS, [
            _row(finding) for finding in self.findings
            if finding.level is not Level.OK or not parsed_args.problems]

    def for_people(self, parsed_args: argparse.Namespace) -> None:
        show_findings(self.findings, self.app.stdout, parsed_args.problems)


def check_site(site: Site, arrays: Arrays,
               timeout_seconds: float) -> list[Finding]:
    """Return all findings, back end by back end."""
    reports = each(site.entries, lambda entry: check_entry(
        entry, arrays, timeout_seconds))
    check_sharing(site.entries, reports)
    return [finding for report in reports for finding in report.findings]


def check_entry(entry: Entry, arrays: Arrays,
                timeout_seconds: float) -> Report:
    """Return the findings on one back end."""
    report = Report(entry.group)
    check_options(entry, report)
    check_key_file(entry, report)
    check_figures(entry, report)
    if entry.config is None or entry.driver is None:
        return report
    try:
        array = check_connection(entry.config, arrays, report,
                                 timeout_seconds)
        if array is not None:
            _check_array(entry, array, report)
    except errors.NecError as error:
        # The way to the array may end at any point.
        report.failed('ssh', error)
    return report


def _check_array(entry: Entry, array: Array, report: Report) -> None:
    config = check_query(array, report)
    if config is None:
        return
    check_commands(entry, array, config, report)
    check_storage(entry, array, config, report)
    check_access(entry, array, config, report)
    check_limits(entry, config, report)
    check_host(entry, array, report)


def _row(finding: Finding) -> tuple[str, ...]:
    return (finding.backend, finding.level.word, finding.check.id,
            finding.text, finding.meaning, finding.what_to_do)
