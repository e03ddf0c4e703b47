# SPDX-License-Identifier: Apache-2.0
"""Run a Python program that ends when the given process ends.

``python -m harness.leash PID PROGRAM [ARGUMENTS]``
"""

from __future__ import annotations

import os
import sys

from allinone import lifetime


def main() -> None:
    """Tie this process to its parent and become the program."""
    lifetime.die_with_parent(int(sys.argv[1]))
    # Ctrl-C in a terminal is for the parent, which then stops us.
    os.setsid()
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])


main()
