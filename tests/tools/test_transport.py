# SPDX-License-Identifier: Apache-2.0
"""The in-process message transport of the one-process Cinder."""

from __future__ import annotations

import datetime
import threading
import time

import pytest

from allinone import transport
from allinone.waiting import WaitTimeout, wait_for


def test_messages_lose_what_a_broker_would_lose():
    assert transport.through_json(
        {'at': datetime.datetime(2026, 1, 2), 'pools': ('a', 'b')}
    ) == {'at': '2026-01-02T00:00:00.000000', 'pools': ['a', 'b']}


def test_a_ring_between_look_and_wait_is_not_missed():
    bell = transport.Bell()
    seen = bell.count()
    bell.ring()
    began = time.monotonic()
    bell.wait_past(seen, 10)
    assert time.monotonic() - began < 5


def test_a_ring_wakes_everyone():
    bell = transport.Bell()
    seen = bell.count()
    threads = [threading.Thread(target=bell.wait_past, args=(seen, 30))
               for _ in range(3)]
    for thread in threads:
        thread.start()
    bell.ring()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)


def test_wait_for_returns_the_answer():
    answers = iter([None, 0, 'here'])
    assert wait_for('answer', lambda: next(answers), poll=0.001) == 'here'


def test_wait_for_says_what_it_waited_for():
    with pytest.raises(WaitTimeout, match=r'volume available: not within'):
        wait_for('volume available', lambda: 'x' == 'y', 0.01, 0.001)
