# SPDX-License-Identifier: Apache-2.0
"""The closing table of a soak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
import statistics

from harness.terminal import Screen
from soak_suite.cloud import Cloud
from soak_suite.judge import Verdict
from soak_suite.worker import ACTIONS, Diary, Result

_LOG_LINES = 6


def close(screen: Screen, diary: Diary, verdict: Verdict,
          faults: Mapping[str, int], interruptions: Mapping[str, int],
          cloud: Cloud) -> bool:
    """Print what was done and what is wrong; True if nothing is."""
    screen.line()
    rows = []
    for action in ACTIONS:
        done = [e.seconds for e in diary.entries
                if e.action == action and e.result is Result.DONE]
        rows.append((action, *(str(diary.count(action, r)) for r in Result),
                     f'{statistics.median(done):.2f}' if done else ''))
    totals = Counter(e.result for e in diary.entries)
    rows.append(('all', *(str(totals[r]) for r in Result), ''))
    screen.table(('action', *(r.value for r in Result), 'median s'), rows)
    screen.line()
    screen.line('faults: ' + (', '.join(
        f'{name} {count}' for name, count in sorted(faults.items()))
        or 'none'))
    screen.line('Cinder: ' + (', '.join(
        f'{what} {count} times' for what, count in interruptions.items())
        or 'kept running'))
    screen.line(f'at the end: {verdict.volumes} volumes, '
                f'{verdict.snapshots} snapshots; {verdict.broken} of them '
                'in an error status, by faults')
    screen.line(f'data: {verdict.read} volumes and snapshots hold what '
                'was written to them')
    for wrong in verdict.wrong:
        screen.line(wrong, 'red')
    for finding in verdict.findings:
        style = 'red' if finding in verdict.differences else 'dim'
        screen.line(f'{finding.standing.value}: {finding}', style)
        _show_log(screen, cloud, finding.cinder_id)
    for left in verdict.left:
        screen.line(left, 'red')
    unexplained = diary.unexplained()
    for entry in unexplained:
        screen.line(f'{entry.action}: {entry.text}', 'red')
        for line in entry.told[-_LOG_LINES:]:
            screen.line(line[:300], 'dim', indent=3)
    held = verdict.held and not unexplained
    screen.line(f'{len(verdict.differences)} differences, '
                f'{len(verdict.wrong)} with other data, '
                f'{len(unexplained)} unexplained errors, '
                f'{len(verdict.left)} things that could not be deleted',
                'green' if held else 'red')
    return held


def _show_log(screen: Screen, cloud: Cloud, cinder_id: str | None) -> None:
    if cinder_id:
        for line in cloud.log_of(cinder_id)[-_LOG_LINES:]:
            screen.line(line[:300], 'dim', indent=3)
