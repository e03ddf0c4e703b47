# SPDX-License-Identifier: Apache-2.0
"""End with the parent: no test or demo may leave a process behind."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int | None = None,
                    signum: int = signal.SIGTERM) -> None:
    """Have the kernel send *signum* when the parent process ends.

    *parent* is the expected parent: if that one ended before this call,
    this process ends at once.
    """
    if sys.platform == 'linux':
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0):
            raise OSError(ctypes.get_errno(), 'prctl(PR_SET_PDEATHSIG)')
    if parent is not None and os.getppid() != parent:
        sys.exit('the parent process ended first')
