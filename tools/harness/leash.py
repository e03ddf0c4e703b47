# SPDX-License-Identifier: Apache-2.0
"""Run a Python program that ends when the process that started it does."""

from __future__ import annotations

import os
from pathlib import Path
import sys

from allinone import lifetime

TOOLS = Path(__file__).resolve().parents[1]


def command(program: str) -> list[str]:
    """First words of a command line that runs *program* on a leash."""
    code = (f'import sys; sys.path.insert(0, {str(TOOLS)!r}); '
            'from harness import leash; leash.main()')
    return [sys.executable, '-c', code, str(os.getpid()), program]


def main() -> None:
    """Tie this process to its parent and become the program."""
    lifetime.die_with_parent(int(sys.argv[1]))
    # Ctrl-C in a terminal is for the parent, which then stops us.
    os.setsid()
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
