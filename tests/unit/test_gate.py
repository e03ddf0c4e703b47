# SPDX-License-Identifier: Apache-2.0
"""One change at a time, attach first, nobody for ever last."""

from __future__ import annotations

import threading

import pytest

from cinder_nec.ismcli.client import BUSY_POLL_SECONDS
from cinder_nec.ismcli.gate import PAUSE_SECONDS, ChangeGate, Priority
from tests.helpers import FakeClock

ATTACH, PROVISION = Priority.ATTACH, Priority.PROVISION


class Crowd:
    """Threads that queue at a gate that is held, one after another."""

    def __init__(self, gate: ChangeGate, work=lambda: None) -> None:
        self.gate = gate
        self.work = work
        self.order: list[str] = []
        self.inside = 0
        self.most_inside = 0
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def queue(self, name: str, priority: Priority) -> None:
        before = self.gate.queue_length
        thread = threading.Thread(target=self._pass, args=(name, priority))
        thread.start()
        self._threads.append(thread)
        while self.gate.queue_length == before:
            threading.Event().wait(0.001)

    def _pass(self, name: str, priority: Priority) -> None:
        with self.gate.turn(self.gate.ticket(priority)):
            with self._lock:
                self.inside += 1
                self.most_inside = max(self.most_inside, self.inside)
                self.order.append(name)
            self.work()
            with self._lock:
                self.inside -= 1

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


def held(gate: ChangeGate):
    return gate.turn(gate.ticket(PROVISION))


def test_first_come_first_served():
    gate = ChangeGate()
    crowd = Crowd(gate)
    with held(gate):
        for name in 'abcd':
            crowd.queue(name, PROVISION)
    crowd.join()
    assert crowd.order == ['a', 'b', 'c', 'd']
    assert crowd.most_inside == 1
    assert gate.queue_length == 0


def test_attach_goes_before_provisioning():
    gate = ChangeGate()
    crowd = Crowd(gate)
    with held(gate):
        crowd.queue('create 1', PROVISION)
        crowd.queue('create 2', PROVISION)
        crowd.queue('attach', ATTACH)
    crowd.join()
    assert crowd.order == ['attach', 'create 1', 'create 2']


def test_provisioning_is_not_starved_by_attaches():
    gate = ChangeGate(overtakes=2)
    crowd = Crowd(gate)
    with held(gate):
        crowd.queue('create 1', PROVISION)
        crowd.queue('create 2', PROVISION)
        for name in ('a1', 'a2', 'a3', 'a4', 'a5'):
            crowd.queue(name, ATTACH)
    crowd.join()
    assert crowd.order == ['a1', 'a2', 'create 1', 'a3', 'a4', 'create 2',
                           'a5']


def test_a_ticket_keeps_its_place_over_tries():
    gate = ChangeGate()
    early = gate.ticket(PROVISION)
    crowd = Crowd(gate)
    with held(gate):
        crowd.queue('late', PROVISION)
        thread = threading.Thread(target=_enter, args=(gate, early, crowd))
        thread.start()
        while gate.queue_length < 2:
            threading.Event().wait(0.001)
    thread.join(30)
    crowd.join()
    assert crowd.order == ['early', 'late']


def _enter(gate, ticket, crowd):
    with gate.turn(ticket):
        crowd.order.append('early')


def test_an_error_inside_lets_the_next_one_in():
    gate = ChangeGate()
    with pytest.raises(ValueError), held(gate):
        raise ValueError
    with held(gate):
        pass


def changes_of(seconds, clock, gate, count):
    """So many changes, each of which takes so long, wait at once."""
    crowd = Crowd(gate, lambda: clock.advance(seconds))
    with held(gate):
        for number in range(count):
            crowd.queue(str(number), PROVISION)
    crowd.join()
    return clock.slept


@pytest.mark.parametrize('seconds, count', [(0.5, 17), (0.05, 161)])
def test_the_array_is_left_alone_now_and_then(seconds, count):
    clock = FakeClock()
    slept = changes_of(seconds, clock, ChangeGate(clock=clock), count)
    assert slept == [PAUSE_SECONDS]
    assert 2 * BUSY_POLL_SECONDS < PAUSE_SECONDS


def test_changes_that_come_one_by_one_need_no_pause():
    clock = FakeClock()
    gate = ChangeGate(clock=clock)
    for _ in range(40):
        with held(gate):
            clock.advance(1.0)
    assert not clock.slept


def test_who_is_overtaken():
    gate = ChangeGate()
    crowd = Crowd(gate)
    mine = gate.ticket(PROVISION)
    with gate.turn(mine):
        crowd.queue('later', PROVISION)
        assert not gate.is_overtaken(mine)
        crowd.queue('attach', ATTACH)
        assert gate.is_overtaken(mine)
    crowd.join()


class Killed(BaseException):
    """What ends a green thread while it waits."""


@pytest.mark.parametrize('given', [False, True],
                         ids=['still waiting', 'turn just given'])
def test_one_who_is_killed_while_waiting_leaves_the_queue(given):
    gate = ChangeGate()
    ticket = gate.ticket(PROVISION)
    holder = held(gate)
    holder.__enter__()

    class DyingEvent(threading.Event):
        def wait(self, timeout=None):
            if given:
                holder.__exit__(None, None, None)
            raise Killed

    ticket.turn = DyingEvent()
    with pytest.raises(Killed), gate.turn(ticket):
        pass
    if not given:
        holder.__exit__(None, None, None)
    with held(gate):  # would hang if the dead one held its turn
        assert gate.queue_length == 0
