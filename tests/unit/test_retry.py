# SPDX-License-Identifier: Apache-2.0
"""Deadlines, delays and polling, on a clock of their own."""

from __future__ import annotations

import itertools
import time

from hypothesis import given
from hypothesis import strategies as st
import pytest

from cinder_nec import errors
from cinder_nec.retry import Deadline, RetryPolicy, SystemClock, poll
from tests.helpers import FakeClock


def test_a_deadline_passes_once() -> None:
    clock = FakeClock()
    deadline = Deadline.after(clock, 10)
    assert deadline.remaining_seconds() == 10
    clock.advance(9)
    assert not deadline.passed()
    assert deadline.remaining_seconds() == 1
    clock.advance(1)
    assert deadline.passed()
    clock.advance(100)
    assert deadline.passed()
    assert deadline.remaining_seconds() == 0


def test_delays_grow_up_to_the_longest() -> None:
    clock = FakeClock()
    policy = RetryPolicy(1.0, 2.0, 5.0, 100.0, jitter=0.0)
    delays = policy.delays(clock)
    assert list(itertools.islice(delays, 5)) == [1, 2, 4, 5, 5]


def test_no_try_starts_after_the_end() -> None:
    clock = FakeClock()
    policy = RetryPolicy(1.0, 2.0, 8.0, 12.0, jitter=0.0)
    started = clock.now()
    for delay in policy.delays(clock):
        clock.sleep(delay)
    assert clock.slept == [1, 2, 4, 5]
    assert clock.now() - started == 12


def test_time_that_tries_take_counts() -> None:
    """L4: a busy array kept a lock for 295 s; the bound is on time."""
    clock = FakeClock()
    tries = 0
    for delay in RetryPolicy(1.0, 1.0, 1.0, 10.0, 0.0).delays(clock):
        clock.sleep(delay)
        clock.advance(4)
        tries += 1
    assert tries == 2


def test_no_retry_without_time() -> None:
    assert list(RetryPolicy(within_seconds=0).delays(FakeClock())) == []


def test_each_use_of_a_policy_starts_anew() -> None:
    clock = FakeClock()
    policy = RetryPolicy(1.0, 2.0, 8.0, 50.0, 0.0)
    list(itertools.islice(policy.delays(clock), 3))
    clock.advance(1000)
    assert next(policy.delays(clock)) == 1


@given(st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_jitter_only_shortens(jitter: float, chance: float) -> None:
    clock = FakeClock()
    policy = RetryPolicy(2.0, 2.0, 8.0, 30.0, jitter)
    plain = [2, 4, 8, 8, 8]
    delays = itertools.islice(
        policy.delays(clock, rng=lambda: chance), len(plain))
    for delay, longest in zip(delays, plain, strict=True):
        assert longest * (1 - jitter) <= delay <= longest


def test_two_services_do_not_stay_in_step() -> None:
    clock = FakeClock()
    policy = RetryPolicy()
    one, other = (list(itertools.islice(policy.delays(clock), 20))
                  for _ in range(2))
    assert one != other


@given(st.floats(0.01, 100), st.floats(1, 4), st.floats(0.01, 100),
       st.floats(0, 200), st.floats(0, 0.9))
def test_retries_end(first: float, factor: float, longest: float,
                     within: float, jitter: float) -> None:
    clock = FakeClock()
    started = clock.now()
    policy = RetryPolicy(first, factor, longest, within, jitter)
    for delay in policy.delays(clock):
        assert delay >= 0
        # What a caller does between its tries takes time as well.
        clock.sleep(delay)
        clock.advance(0.5)
    assert clock.now() - started <= within + 1


def test_poll_asks_less_and_less() -> None:
    clock = FakeClock()
    answers = iter([False, False, False, False, True])
    poll(lambda: next(answers), clock=clock, what='the copy',
         within_seconds=1000, first_seconds=1, factor=2, longest_seconds=3)
    assert clock.slept == [1, 2, 3, 3]


def test_poll_does_not_wait_for_what_is_done() -> None:
    clock = FakeClock()
    poll(lambda: True, clock=clock, what='the copy', within_seconds=0)
    assert clock.slept == []


def test_poll_asks_once_more_at_the_end() -> None:
    clock = FakeClock()
    asked = []

    def never() -> bool:
        asked.append(clock.now())
        return False

    with pytest.raises(errors.DeadlineExceeded) as caught:
        poll(never, clock=clock, what='The copy of x', within_seconds=10,
             first_seconds=4, factor=1)
    assert [at - 1000 for at in asked] == [0, 4, 8, 10]
    assert 'The copy of x did not finish within 10 s' in str(caught.value)


def test_poll_lets_errors_through() -> None:
    def fail() -> bool:
        raise errors.ParseError('what', 'where')

    with pytest.raises(errors.ParseError):
        poll(fail, clock=FakeClock(), what='x', within_seconds=10)


def test_the_machine_s_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It follows a patched time module (eventlet)."""
    clock = SystemClock()
    monkeypatch.setattr(time, 'monotonic', lambda: 12.5)
    slept: list[float] = []
    monkeypatch.setattr(time, 'sleep', slept.append)
    assert clock.now() == 12.5
    clock.sleep(3)
    assert slept == [3]
