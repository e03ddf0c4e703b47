# SPDX-License-Identifier: Apache-2.0
"""Breaking things: faults of the simulated array, on and off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
import dataclasses
import random
import threading
from typing import Any

from harness.array import Array
from soak_suite.things import Windows

# Verbs that leave something half done when they fail.
_CHANGES = ('ldbind', 'nickname', 'ldunbind', 'ldexpand', 'addldset',
            'delldset', 'generation', 'iSMrc_pair', 'iSMrc_replicate',
            'iSMrc_separate', 'iSMsc_')
# No message of the array has this number.
REFUSAL = 'iSM99999'

Fault = Callable[['Weather'], Callable[[], object]]


class Weather(threading.Thread):
    """Switches one fault after another on and off until it is ended."""

    def __init__(self, array: Array, windows: Windows,
                 rng: random.Random) -> None:
        super().__init__(name='weather', daemon=True)
        self.array = array
        self.rng = rng
        self.counts: Counter[str] = Counter()
        self.now = ''
        self._windows = windows
        self._ended = threading.Event()

    def run(self) -> None:
        names = list(FAULTS)
        while not self._ended.wait(self.rng.uniform(1.0, 3.0)):
            name = self.rng.choice(names)
            with self._windows.open(name):
                self.now = name
                self.counts[name] += 1
                undo = FAULTS[name].strike(self)
                self._ended.wait(self.rng.uniform(0.5, 4.0))
                undo()
            self.now = ''

    def end(self) -> None:
        """Come to rest, with no fault left."""
        self._ended.set()
        self.join()

    def command(self, action: str, **fields: Any) -> Callable[[], object]:
        """Set a fault of commands; returns what takes it away."""
        control = self.array.control
        ident = control.add_fault(action, **fields)
        return lambda: control.clear_faults(ident)

    def some(self, most: int) -> int:
        return self.rng.randint(1, most)

    @property
    def verb(self) -> str:
        """One kind of change, as a regular expression."""
        return self.rng.choice(_CHANGES)


def _busy(weather: Weather) -> Callable[[], object]:
    return weather.command('busy', kind='CHANGE', times=weather.some(40))


def _busy_verb(weather: Weather) -> Callable[[], object]:
    return weather.command('busy', regex=weather.verb, times=None)


def _refused(weather: Weather) -> Callable[[], object]:
    return weather.command('refuse', regex=weather.verb,
                           times=weather.some(3), message_id=REFUSAL,
                           text='refused by the soak')


def _dropped_before(weather: Weather) -> Callable[[], object]:
    return weather.command('drop_before', times=weather.some(3))


def _dropped_after(weather: Weather) -> Callable[[], object]:
    return weather.command('drop_after', kind='CHANGE',
                           times=weather.some(3))


def _hung_before(weather: Weather) -> Callable[[], object]:
    return weather.command('hang_before', times=weather.some(2))


def _hung_after(weather: Weather) -> Callable[[], object]:
    return weather.command('hang_after', kind='CHANGE',
                           times=weather.some(2))


def _truncated(weather: Weather) -> Callable[[], object]:
    return weather.command('truncate', times=weather.some(3),
                           keep=weather.rng.uniform(0.0, 0.99))


def _garbled(weather: Weather) -> Callable[[], object]:
    return weather.command('garble', times=weather.some(3))


def _slow(weather: Weather) -> Callable[[], object]:
    return weather.command('delay', times=weather.some(5),
                           seconds=weather.rng.uniform(0.5, 2.0))


def _no_ssh(weather: Weather) -> Callable[[], object]:
    control = weather.array.control
    control.refuse_ssh(60.0)
    control.drop_connections()
    return lambda: control.refuse_ssh(0)


def _disconnected(weather: Weather) -> Callable[[], object]:
    weather.array.control.drop_connections()
    return lambda: None


def _few_sessions(weather: Weather) -> Callable[[], object]:
    control = weather.array.control
    control.limit_ssh(1, 1)
    return lambda: control.limit_ssh(0, 0)


def _pool_full(weather: Weather) -> Callable[[], object]:
    control = weather.array.control
    pools = {p['number']: p for p in control.state()['pools']}
    number = weather.rng.choice(sorted(pools))
    control.call('pool_free', pool=number, free='0')

    def undo() -> None:
        control.call('pool_free', pool=number, free='5 TiB')
    return undo


def _sra_full(weather: Weather) -> Callable[[], object]:
    control = weather.array.control
    pools = [sra['pool'] for sra in control.state()['sras']]
    for pool in pools:
        control.call('sra_exhausted', pool=pool, keep=True)

    def undo() -> None:
        for pool in pools:
            control.call('sra_exhausted', pool=pool, on=False)
    return undo


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of fault.

    :param causes: one of these words is in what Cinder logs of an
        operation that fails because of it
    """

    strike: Fault
    causes: tuple[str, ...]


_BUSY = ('iSM31005', 'iSM31015', 'iSM42408', 'iSM42412', 'iSM19411')
_LOST = ('connection was lost', 'closed the connection',
         'Connection with', 'No command can be sent')
_NO_ANSWER = ('no complete answer came in time', 'before it could be sent')
_NO_SESSION = ('No command can be sent', 'All SSH sessions',
               'before it could be sent', 'Connection with')
_NOT_UNDERSTOOD = ('was not understood',)

FAULTS = {
    'busy for a while': Kind(_busy, _BUSY),
    'one command busy': Kind(_busy_verb, _BUSY),
    'refused': Kind(_refused, (REFUSAL,)),
    'dropped before': Kind(_dropped_before, _LOST),
    'dropped after': Kind(_dropped_after, _LOST),
    'no answer, not done': Kind(_hung_before, _NO_ANSWER),
    'no answer, but done': Kind(_hung_after, _NO_ANSWER),
    'truncated': Kind(_truncated, _NOT_UNDERSTOOD),
    'garbled': Kind(_garbled, _NOT_UNDERSTOOD),
    # It is a reason for nothing.
    'slow': Kind(_slow, ()),
    'SSH refused': Kind(_no_ssh, _LOST),
    'disconnected': Kind(_disconnected, _LOST),
    'one SSH session': Kind(_few_sessions, _NO_SESSION),
    'pool full': Kind(_pool_full, (
        'No available pools', 'Not enough pool capacity', 'iSM31906')),
    'SRA full': Kind(_sra_full, ('iSM19903', 'reserve area')),
}
