# SPDX-License-Identifier: Apache-2.0
"""What a check has found on one back end."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

from cinder_nec import errors
from cinder_nec.cli.catalog import BY_ID, Check, Level


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of ``cinder-nec check``.

    :param text: what was seen, on which object
    :param remedy: what to do, where it is more than the table's
    """

    backend: str
    check: Check
    level: Level
    text: str
    remedy: str = ''

    @property
    def what_to_do(self) -> str:
        """What to do; '' where all is well."""
        if self.level is Level.OK:
            return ''
        return self.remedy or self.check.remedy

    @property
    def meaning(self) -> str:
        """What it means; '' where all is well."""
        return '' if self.level is Level.OK else self.check.meaning


class Report:
    """The findings on one back end, in the order they were made."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self._findings: list[Finding] = []

    def add(self, check: str, level: Level, text: str,
            remedy: str = '') -> None:
        """Note a finding; ``check`` is an id of the table."""
        self._findings.append(
            Finding(self.backend, BY_ID[check], level, text, remedy))

    def ok(self, check: str, text: str) -> None:
        self.add(check, Level.OK, text)

    def warning(self, check: str, text: str, remedy: str = '') -> None:
        self.add(check, Level.WARNING, text, remedy)

    def error(self, check: str, text: str, remedy: str = '') -> None:
        self.add(check, Level.ERROR, text, remedy)

    def failed(self, check: str, error: errors.NecError) -> None:
        """Note what an error of the driver says, in its words."""
        self.error(check, error.message, error.hint)

    def has(self, check: str) -> bool:
        """Tell whether there is a finding of this check already."""
        return any(f.check.id == check for f in self._findings)

    @property
    def findings(self) -> Sequence[Finding]:
        return tuple(self._findings)


def worst(findings: Sequence[Finding]) -> Level:
    """Return the worst level of some findings."""
    return max((finding.level for finding in findings), default=Level.OK)
