# SPDX-License-Identifier: Apache-2.0
"""What carries a command line to the array and its answer back."""

from __future__ import annotations

import dataclasses
from typing import Protocol


@dataclasses.dataclass(frozen=True)
class CommandResult:
    """The complete answer to one command line."""

    stdout: bytes
    stderr: bytes
    status: int

    def text(self) -> str:
        """Return both streams as text; wrong UTF-8 is replaced."""
        return (self.stdout + b'\n' + self.stderr).decode(
            'utf-8', errors='replace')


class Transport(Protocol):
    """A way to run command lines on the array; safe for many threads."""

    def run(self, command_line: str,
            timeout_seconds: float) -> CommandResult:
        """Run one command line and return its whole answer.

        A refused command is an answer as well (status other than 0).

        :raises errors.ConnectFailed: the command was not sent
        :raises errors.OutcomeUnknown: it was sent; no complete answer came
            within ``timeout_seconds``, or the connection was lost
        """

    def close(self) -> None:
        """End all sessions; later commands open new ones."""
