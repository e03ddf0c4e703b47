# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin that leaves the result of a run in a file.

tools/test runs pytest more than once, on different Cinder releases, and
closes with one summary of all runs. ``CINDER_NEC_TALLY`` names the file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

COUNTED = ('failed', 'passed', 'skipped', 'xfailed', 'xpassed', 'error')


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write the counts, and the ids of what did not pass."""
    target = os.environ.get('CINDER_NEC_TALLY')
    if not target:
        return
    stats = terminalreporter.stats
    bad = [report.nodeid for key in ('failed', 'error')
           for report in stats.get(key, [])]
    result = {
        'counts': {key: len(stats.get(key, [])) for key in COUNTED},
        'bad': bad,
    }
    Path(target).write_text(json.dumps(result))
