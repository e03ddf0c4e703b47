# SPDX-License-Identifier: Apache-2.0
"""``cinder-nec check``: the manual's appendix F as a program."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from cinder_nec.cli.base import SiteLister
from cinder_nec.cli.catalog import Level
from cinder_nec.cli.check_options import check_key_file, check_options
from cinder_nec.cli.findings import Finding, Report, worst
from cinder_nec.cli.site import Entry, Site
from cinder_nec.cli.status import Exit

COLUMNS = ('Back end', 'Level', 'Check', 'Finding', 'Meaning', 'What to do')


class Check(SiteLister):
    """Check the back ends of cinder.conf and the arrays behind them.

    Nothing is changed on an array. Exit status: 0 all is well, 1 there are
    warnings, 2 there are errors, 3 the check could not be made.
    """

    def take_action(self, parsed_args: argparse.Namespace
                    ) -> tuple[Sequence[str], Any]:
        findings = check_site(self.site(parsed_args))
        self.at_least(Exit(int(worst(findings))))
        return COLUMNS, [_row(finding) for finding in findings]


def check_site(site: Site) -> list[Finding]:
    """Return all findings, back end by back end."""
    return [finding for entry in site.entries
            for finding in check_entry(entry)]


def check_entry(entry: Entry) -> Sequence[Finding]:
    """Return the findings on one back end."""
    report = Report(entry.group)
    check_options(entry, report)
    check_key_file(entry, report)
    return report.findings


def _row(finding: Finding) -> tuple[str, ...]:
    return (finding.backend, _word(finding.level), finding.check.id,
            finding.text, finding.meaning, finding.what_to_do)


def _word(level: Level) -> str:
    return level.name.lower()
