# SPDX-License-Identifier: Apache-2.0
"""Which fault can be the reason for an error.

That one was there at the same time is not enough: the error, or what
Cinder logged about its object or request meanwhile, has a word of that
fault.  What a restart has cut off has no words: where the driver has told
why it failed, a restart explains nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
import re
import time

from soak_suite.api import Failed, Hangs, NotPlaced
from soak_suite.things import Windows
from soak_suite.weather import FAULTS

RESTART = 'restart'
# What the scheduler knows is as old as that: the stats are read every 15
# seconds, and sent with the next periodic task.
STATS_SECONDS = 30.0
# A driver whose start meets a fault starts again, up to three times.
STARTING_SECONDS = 60.0
# What Cinder says while it does.
_NOT_STARTED = ('driver not ready', 'DriverNotInitialized')
# What the driver says when an operation has failed; a reason follows.
_TOLD = 'cinder_nec.translate'
# What the scheduler says of a snapshot, of an extended volume, and of a retype
# that the pool, which it takes for full, has no place for.
_NO_PLACE = ('Cannot place snapshot', 'Cannot place volume',
             'No valid backend was found')
# By them the scheduler finds no place, and no driver is asked.
_SEEN_IN_STATS = ('pool full',)
_KEY = re.compile('(?:req-)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}')
_TIME = re.compile(r'[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}')

LogOf = Callable[[str], list[str]]


class Causes:
    """Finds the reasons for errors.

    :param log_of: what Cinder logged as errors about an object or request
    """

    def __init__(self, windows: Windows, log_of: LogOf) -> None:
        self._windows = windows
        self._log_of = log_of

    def evidence(self, error: Exception, seconds: float) -> list[str]:
        """Return what tells of an error.

        :param seconds: what was logged earlier is not about it
        """
        # The log counts in whole seconds here.
        since = time.strftime('%Y-%m-%d %H:%M:%S',
                              time.localtime(time.time() - seconds - 1))
        told = [str(error)]
        for key in dict.fromkeys(_KEY.findall(str(error))):
            told += [line for line in self._log_of(key)
                     if (_time_of(line) or since) >= since]
        return told

    def of(self, error: Exception, began: float, ended: float,
           told: Iterable[str]) -> list[str]:
        """Return the faults that can be the reason for an error.

        :param began: of the action that failed, in monotonic seconds
        :param told: what tells of the error
        """
        open_then = self._windows.during(began, ended)
        restarts = [RESTART] if RESTART in open_then else []
        # No fault lasts as long as users wait, and none makes the API
        # refuse anything or go away.
        if not isinstance(error, Failed) or isinstance(error, Hangs):
            return restarts
        text = '\n'.join(told)
        found = [name for name in open_then if name in FAULTS
                 and any(word in text for word in FAULTS[name].causes)]
        if _TOLD not in text:
            # What was cut off, or forgotten, could not tell.
            found += restarts
        if any(word in text for word in _NOT_STARTED):
            found += self._earlier(began - STARTING_SECONDS, ended, RESTART)
        has_no_place = isinstance(error, NotPlaced) or any(
            word in text for word in _NO_PLACE)
        if has_no_place and _TOLD not in text:
            found += self._earlier(began - STATS_SECONDS, ended, RESTART,
                                   *_SEEN_IN_STATS)
        return list(dict.fromkeys(found))

    def _earlier(self, began: float, ended: float, *names: str
                 ) -> list[str]:
        return [name for name in self._windows.during(began, ended)
                if name in names]


def _time_of(line: str) -> str:
    found = _TIME.search(line)
    return found.group() if found else ''
