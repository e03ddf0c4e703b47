# SPDX-License-Identifier: Apache-2.0
"""Counting commands and waiting: means, maxima, and many threads."""

from __future__ import annotations

import threading

import pytest

from cinder_nec import errors
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.ismcli.gate import ChangeGate, Priority
from cinder_nec.ismcli.meter import (
    PERIOD_SECONDS,
    CommandMeter,
    Kind,
    Level,
    Longest,
    Result,
)
from cinder_nec.ismcli.transport import CommandResult
from cinder_nec.model import LdName
from tests.helpers import FakeClock, fixture_bytes

NAME = LdName('LX', 'a')


class Transport:
    """Answers after so many seconds with what it is told."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.answer: CommandResult | Exception = CommandResult(b'', b'', 0)
        self.seconds = 0.5

    def run(self, command_line, timeout_seconds):
        self.clock.advance(self.seconds)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self):
        pass


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def transport(clock):
    return Transport(clock)


@pytest.fixture
def client(clock, transport):
    return IsmClient(transport, ChangeGate(clock=clock), clock=clock)


def test_each_command_counts_as_what_it_is(client, transport):
    client.ldunbind(NAME)
    transport.seconds = 1.5
    client.urgent().ldunbind(NAME)
    transport.answer = CommandResult(
        fixture_bytes('iscsi_normal.xml'), b'', 0)
    client.query_all()
    found = client.meter.read()
    changes = found.timings[Kind.CHANGE]
    assert (changes.count, changes.total_seconds) == (2, 2.0)
    assert changes.mean_seconds == pytest.approx(0.6)
    assert changes.longest_seconds == 1.5
    assert found.timings[Kind.DUMP].count == 1
    assert found.timings[Kind.QUERY].count == 0
    assert sum(found.results.values()) == 3


@pytest.mark.parametrize('answer, result', [
    (CommandResult(b'', b'iSM19999: no', 1), Result.REFUSED),
    (errors.OutcomeUnknown('gone'), Result.LOST),
    (errors.ConnectFailed('no', permanent=True), Result.UNREACHABLE)])
def test_what_fails_is_counted_and_not_timed(client, transport, answer,
                                             result):
    transport.answer = answer
    with pytest.raises(errors.NecError):
        client.ldunbind(NAME)
    found = client.meter.read()
    assert found.results[Kind.CHANGE, result] == 1
    assert found.timings[Kind.CHANGE].count == 0


def test_a_busy_array_is_counted_by_its_answers(client, transport):
    transport.answer = CommandResult(b'', b'iSM31005: busy', 1)
    with pytest.raises(errors.ArrayBusy):
        client.ldunbind(NAME)
    assert client.meter.read().results[Kind.CHANGE, Result.BUSY] > 1


def test_the_mean_follows_the_latest_answers(clock):
    meter = CommandMeter(clock)
    for _ in range(100):
        meter.succeeded(Kind.CHANGE, 1.0)
    for _ in range(50):
        meter.succeeded(Kind.CHANGE, 3.0)
    mean = meter.read().timings[Kind.CHANGE].mean_seconds
    assert mean == pytest.approx(3.0, abs=0.05)


def test_the_longest_is_forgotten_after_two_periods(clock):
    longest = Longest()
    longest.add(clock.now(), 5.0)
    clock.advance(PERIOD_SECONDS + 1)
    longest.add(clock.now(), 1.0)
    assert longest.read(clock.now()) == 5.0
    clock.advance(PERIOD_SECONDS + 1)
    assert longest.read(clock.now()) == 1.0
    clock.advance(10 * PERIOD_SECONDS)
    assert longest.read(clock.now()) == 0.0


def test_reading_does_not_take_from_another_reader(clock):
    meter = CommandMeter(clock)
    meter.succeeded(Kind.QUERY, 1.0)
    assert meter.read() == meter.read()


def test_the_mean_of_a_level_is_by_time_not_by_number(clock):
    level = Level(clock.now())
    level.set(clock.now(), 8)
    clock.advance(0.001)
    level.set(clock.now(), 0)
    assert level.mean(clock.now()) < 0.01
    level.set(clock.now(), 4)
    clock.advance(10 * PERIOD_SECONDS)
    assert level.mean(clock.now()) == pytest.approx(4.0, abs=0.01)
    assert level.longest(clock.now()) == 4
    level.set(clock.now(), 0)
    clock.advance(10 * PERIOD_SECONDS)
    assert level.mean(clock.now()) == pytest.approx(0.0, abs=0.01)
    assert level.longest(clock.now()) == 0


def test_the_gate_counts_who_waits_and_how_long(clock):
    gate = ChangeGate(clock=clock)

    def pass_through():
        with gate.turn(gate.ticket(Priority.ATTACH)):
            pass

    with gate.turn(gate.ticket(Priority.PROVISION)):
        other = threading.Thread(target=pass_through)
        other.start()
        while gate.queue_length == 0:
            threading.Event().wait(0.001)
        clock.advance(7.0)
        found = gate.figures()
        assert (found.length, found.longest, found.turns) == (2, 2, 1)
        assert 0 < found.mean_length < 2
    other.join(30)
    found = gate.figures()
    assert (found.length, found.turns) == (0, 2)
    assert found.waited_seconds == pytest.approx(7.0)


def test_an_idle_gate_is_empty(clock):
    gate = ChangeGate(clock=clock)
    with gate.turn(gate.ticket(Priority.PROVISION)):
        pass
    assert gate.figures().length == 0


def test_no_count_is_lost_between_threads(clock):
    meter = CommandMeter(clock)

    def count():
        for _ in range(2000):
            meter.succeeded(Kind.CHANGE, 1.0)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    found = meter.read().timings[Kind.CHANGE]
    assert (found.count, found.total_seconds) == (16000, 16000.0)
