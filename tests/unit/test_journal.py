# SPDX-License-Identifier: Apache-2.0
"""The journal of what a service has begun on the array."""

from __future__ import annotations

import logging
import os
from pathlib import Path
import stat
import time

import pytest

from cinder_nec.backend.journal import Entry, Journal, Kind
from cinder_nec.model import LdName, LdSetName

NAME = LdName('LX', 'V' * 21)
BIND = Entry(Kind.BIND, 5, NAME, 1, 1 << 30)
CONTROL = Entry(Kind.CONTROL, 6, LdName('LX', '__ControlVolume_6h'), 1)
MAP = Entry(Kind.MAP, 7, NAME, ld_set=LdSetName('LX', 'host/1'))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / 'state' / 'nec-journal' / 'node@nec1'


def of_the_next_run(directory: Path, *kinds: Kind) -> list[Entry]:
    return [left.entry for left in Journal(directory).left(*kinds or Kind)]


def test_the_next_run_reads_what_was_not_ended(directory):
    journal = Journal(directory)
    for entry in (BIND, CONTROL, MAP):
        assert journal.begin(entry)
    assert of_the_next_run(directory) == [BIND, CONTROL, MAP]
    assert of_the_next_run(directory, Kind.MAP) == [MAP]


def test_what_is_at_work_is_not_left(directory):
    journal = Journal(directory)
    journal.begin(BIND)
    assert journal.left(*Kind) == ()
    journal.leave(BIND)
    [left] = journal.left(*Kind)
    assert left.entry == BIND


def test_entries_end_by_their_key(directory):
    journal = Journal(directory)
    for entry in (BIND, CONTROL, MAP):
        journal.begin(entry)
    journal.end_bind(5)
    journal.end_control(6)
    journal.end_map(NAME, LdSetName('LX', 'host/1'))
    journal.end_bind(5)  # It is gone already.
    assert of_the_next_run(directory) == []


def test_an_entry_that_is_there_is_not_new(directory):
    journal = Journal(directory)
    assert journal.begin(MAP)
    assert not journal.begin(MAP)
    assert journal.begin(Entry(Kind.MAP, 7, NAME,
                               ld_set=LdSetName('LX', 'host2')))


def test_only_its_owner_may_read_it(directory):
    Journal(directory).begin(BIND)
    [path] = directory.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_the_age_is_the_time_since_it_began(directory):
    Journal(directory).begin(BIND)
    [path] = directory.iterdir()
    past = time.time() - 100
    os.utime(path, (past, past))
    [left] = Journal(directory).left(Kind.BIND)
    assert 100 <= left.age_seconds < 200


@pytest.mark.parametrize('text', [
    '', '{', '[]', '{"kind": "bind"}', '{"kind": "new", "ldn": 5}',
    # Of another number than its name says.
    '{"kind": "bind", "ldn": 4, "name": ["LX", "V"], "pool": 1, '
    '"capacity_bytes": 1}', '\xff'])
def test_what_was_half_written_is_passed_by(directory, text):
    journal = Journal(directory)
    journal.begin(CONTROL)
    (directory / BIND.key).write_text(text, 'latin-1')
    assert of_the_next_run(directory) == [CONTROL]


def test_what_cannot_be_written_is_told_once(tmp_path, caplog):
    (tmp_path / 'file').write_text('')
    journal = Journal(tmp_path / 'file' / 'journal')
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert journal.begin(BIND)
            journal.end(BIND)
            assert journal.left(*Kind) == ()
    assert len(caplog.records) == 1


def test_no_directory_keeps_nothing():
    journal = Journal()
    assert journal.begin(BIND)
    journal.leave(BIND)
    assert journal.left(*Kind) == ()
    journal.end(BIND)
