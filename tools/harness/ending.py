# SPDX-License-Identifier: Apache-2.0
"""How a tool ends that has started servers: signals, status, its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import shutil
import signal
import tempfile
from types import FrameType

from harness.terminal import Screen

INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def clean_up_on_signals() -> None:
    """Make SIGTERM and a closed terminal end this process as Ctrl-C does.

    That is by KeyboardInterrupt, so that all that was started is stopped.
    """
    for number in _SIGNALS:
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # A second Ctrl-C must not end the cleaning up.
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def run_in_directory(work: Callable[[Path], int], screen: Screen, *,
                     given: Path | None, prefix: str) -> int:
    """Run a tool's work in its directory; return the exit status.

    A new directory is removed afterwards if the work ended well or by a
    signal; otherwise, and if it is the user's, it stays, and is named.

    :param work: takes the directory and returns the exit status
    :param given: the directory the user wants; None for a new one
    :param prefix: of the name of a new one
    """
    directory = given or Path(tempfile.mkdtemp(prefix=prefix))
    status = 1
    try:
        clean_up_on_signals()
        status = work(directory)
    except KeyboardInterrupt:
        screen.line('\ninterrupted', 'yellow')
        status = INTERRUPTED
    finally:
        if given is None and status in (0, INTERRUPTED):
            shutil.rmtree(directory, ignore_errors=True)
        else:
            screen.line(f'configuration and logs: {directory}')
    return status
