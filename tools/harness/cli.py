# SPDX-License-Identifier: Apache-2.0
"""Run the real ``cinder`` command line and read its tables."""

from __future__ import annotations

from collections.abc import Mapping
import os
from pathlib import Path
import shlex
import subprocess
import sys


class CliError(Exception):
    """The command ended with an error; the text is what it said."""


class CinderCli:
    """The ``cinder`` client of this environment, for one endpoint."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.program = str(Path(sys.executable).with_name('cinder'))
        self.env = {key: value for key, value in os.environ.items()
                    if not key.startswith('OS_')}
        self.env.update(env, PYTHONWARNINGS='ignore', COLUMNS='120')

    def run(self, *arguments: str) -> str:
        """Output of one command."""
        done = subprocess.run([self.program, *arguments], env=self.env,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=120)
        # Some failures, such as a refused migration, exit with 0.
        said = done.stderr.strip()
        if done.returncode or said.startswith('ERROR'):
            raise CliError(f'{spelled(arguments)}: '
                           f'{said or done.stdout.strip()}')
        return done.stdout


def spelled(arguments: tuple[str, ...]) -> str:
    """The command as a user would type it."""
    return 'cinder ' + shlex.join(arguments)


def properties(output: str) -> dict[str, str]:
    """Read the Property/Value tables of an output into one dict."""
    found = {}
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        if line.startswith('|') and len(cells) == 2:
            found[cells[0]] = cells[1]
    return found


def rows(output: str) -> list[list[str]]:
    """Read a list table, without its heading."""
    lines = [line for line in output.splitlines() if line.startswith('|')]
    return [[cell.strip() for cell in line.strip('|').split('|')]
            for line in lines[1:]]
