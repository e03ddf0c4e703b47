# SPDX-License-Identifier: Apache-2.0
"""What the journal of the simulated array shows of a run.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Entry = dict[str, Any]

# tools/ismsim/README.md, "Rules that a test may rely on".
BUSY_IDS = frozenset({'iSM31005', 'iSM31015', 'iSM42412', 'iSM42408',
                      'iSM19411'})


@dataclass(frozen=True)
class Tally:
    """How many commands, and how long the array was at work for them.

    :param changes: that the array carried out
    :param change_seconds: how long all of them took
    :param dump_seconds: the longest dump
    """

    commands: int = 0
    dumps: int = 0
    changes: int = 0
    reads: int = 0
    refused: int = 0
    busy: int = 0
    unknown: int = 0
    change_seconds: float = 0.0
    dump_seconds: float = 0.0

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def is_busy(entry: Entry) -> bool:
    return entry['message_id'] in BUSY_IDS and entry['status'] != 0


def seconds(entry: Entry) -> float:
    return float((entry['end'] or entry['start']) - entry['start'])


def count(entries: Sequence[Entry]) -> Tally:
    """Count the commands of a run."""
    changes = [e for e in entries
               if e['kind'] == 'CHANGE' and e['status'] == 0]
    dumps = [e for e in entries if e['kind'] == 'DUMP']
    busy = [e for e in entries if is_busy(e)]
    return Tally(
        commands=len(entries), dumps=len(dumps), changes=len(changes),
        reads=sum(e['kind'] == 'READ' for e in entries),
        refused=sum(e['status'] not in (0, None) and not is_busy(e)
                    for e in entries),
        busy=len(busy), unknown=sum(e['kind'] == 'UNKNOWN'
                                    for e in entries),
        change_seconds=sum(map(seconds, changes)),
        dump_seconds=max(map(seconds, dumps), default=0.0))


def during(entries: Iterable[Entry], start: float,
           end: float | None) -> list[Entry]:
    """The commands that arrived in a time."""
    return [e for e in entries if e['start'] >= start
            and (end is None or e['start'] <= end)]


def covered(entries: Iterable[Entry], start: float, end: float) -> float:
    """How much of a time at least one of the commands was running."""
    total, reached = 0.0, start
    for entry in sorted(entries, key=lambda e: float(e['start'])):
        upto = min(end, entry['end'] or end)
        if upto > reached:
            total += upto - max(reached, entry['start'])
            reached = upto
    return total


def changes_until(entries: Iterable[Entry], start: float,
                  text: str) -> int | None:
    """Changes that ended from a moment up to one with a text, with it."""
    ended = sorted(
        (e for e in entries if e['kind'] == 'CHANGE' and e['status'] == 0
         and e['end'] is not None and e['end'] >= start),
        key=lambda e: float(e['end']))
    for number, entry in enumerate(ended, 1):
        if text in entry['command']:
            return number
    return None
