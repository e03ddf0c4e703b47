# SPDX-License-Identifier: Apache-2.0
"""Who has an LD attached while Cinder writes it down."""

from __future__ import annotations

import pytest

from cinder_nec.backend.access import attachments
from cinder_nec.backend.access.attachments import Attachments
from cinder_nec.model import LdName, Protocol
from tests.backend.arrays import fc_host, host

NAME = LdName('LX', 'V' * 21)
A, B = host(1), host(2)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def known(clock):
    return Attachments(Protocol.ISCSI, clock)


def test_the_records_count(known):
    assert known.others(NAME, {}, A) == []
    assert known.others(NAME, {'1': A}, A) == []
    assert known.others(NAME, {'1': A, '2': B}, A) == [B]
    assert known.others(NAME, {'1': A, '2': A}, A) == [A]
    assert known.others(NAME, {'1': A, '2': None}, A) == []


def test_fc_hosts_are_one_by_any_of_their_ports(known, clock):
    of_fc = Attachments(Protocol.FC, clock)
    less = fc_host(1, ports=(1,))
    assert of_fc.others(NAME, {'1': fc_host(1)}, less) == []
    of_fc.answered(NAME, {'1': fc_host(2), '2': None}, fc_host(1))
    assert of_fc.others(NAME, {'1': fc_host(2), '2': less}, less) == [
        fc_host(2)]


@pytest.mark.parametrize('second', [A, B])
def test_an_answer_counts_until_it_is_written_down(known, second):
    before, after = {'1': A, '2': None}, {'1': A, '2': second}
    known.answered(NAME, before, second)
    assert known.others(NAME, before, A) == [second]
    assert known.others(NAME, after, A) == [second]
    # One host, one attachment: not two.
    assert known.others(NAME, {'2': second}, second) == []


def test_an_attachment_that_is_given_up_counts_no_more(known):
    known.answered(NAME, {'1': A, '2': None}, B)
    assert known.others(NAME, {'1': A}, A) == []
    # Another one that is reserved later is not it.
    assert known.others(NAME, {'1': A, '3': None}, A) == []


def test_one_record_stands_for_one_answer(known):
    nothing = {'1': A, '2': None, '3': None}
    known.answered(NAME, nothing, B)
    known.answered(NAME, nothing, B)
    half = {'1': A, '2': None, '3': B}
    assert known.others(NAME, half, A) == [B, B]
    assert known.others(NAME, {'1': A, '3': B}, A) == [B]


def test_a_use_that_cinder_does_not_record_is_over_with_its_detach(known):
    """Copies of images attach without an attachment."""
    records = {'1': None}
    known.answered(NAME, records, A)
    assert known.others(NAME, records, B) == [A]
    known.ended(NAME, records, A)
    assert known.others(NAME, records, B) == []


def test_of_two_detaches_at_once_the_last_finds_nobody(known):
    records = {'1': A, '2': B}
    assert known.others(NAME, records, A) == [B]
    known.ended(NAME, records, A)
    assert known.others(NAME, records, B) == []


def test_two_of_one_host_end_one_by_one(known):
    records = {'1': A, '2': A, '3': B}
    assert known.others(NAME, records, A) == [A, B]
    known.ended(NAME, records, A)
    assert known.others(NAME, records, A) == [B]
    known.ended(NAME, records, A)
    assert known.others(NAME, records, B) == []


@pytest.mark.parametrize('left', ['1', '2'])
def test_of_two_of_one_host_either_record_may_go(known, left):
    known.ended(NAME, {'1': A, '2': A, '3': B}, A)
    assert known.others(NAME, {left: A, '3': B}, B) == [A]
    # The other one ends, and its record is there still.
    known.ended(NAME, {left: A, '3': B}, A)
    assert known.others(NAME, {left: A, '3': B}, B) == []


def test_a_new_attachment_of_a_host_that_ended_one_counts(known):
    known.ended(NAME, {'1': A, '2': B}, A)
    assert known.others(NAME, {'1': A, '2': B, '3': A}, B) == [A]


def test_a_record_that_stays_was_not_the_one_that_ended(known, clock):
    records = {'1': A, '2': B}
    known.ended(NAME, records, A)
    clock.now += attachments._RECORD_GOES_WITHIN_SECONDS
    assert known.others(NAME, records, B) == [A]


def test_nothing_is_kept_of_what_is_over(known, clock):
    for number in range(2 * attachments._MAX_LDS):
        name = LdName('LX', f'V{number}')
        known.answered(name, {'1': None}, A)
        known.ended(name, {'1': A}, A)
    assert len(known._lds) == attachments._MAX_LDS
    for name in list(known._lds):
        assert known.others(name, {}, A) == []
    assert not known._lds
