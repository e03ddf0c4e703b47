# SPDX-License-Identifier: Apache-2.0
"""Refusals of the array, and the errors they become (ISMCLI.md D, H)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
import pytest

from cinder_nec import errors
from cinder_nec.ismcli import messages
from cinder_nec.ismcli.transport import CommandResult

COMMAND = 'iSMcfg ldunbind -ldname LX:x'


def failure(stdout: str = '', stderr: str = '',
            status: int = 1) -> errors.CommandFailed:
    return messages.failure(COMMAND, CommandResult(
        stdout.encode(), stderr.encode(), status))


@pytest.mark.parametrize(('message_id', 'error'), [
    ('iSM31005', errors.ArrayBusy), ('iSM31015', errors.ArrayBusy),
    ('iSM42408', errors.ArrayBusy), ('iSM42412', errors.ArrayBusy),
    ('iSM19411', errors.ArrayBusy),
    ('iSM31077', errors.LdnInUse),
    ('iSM31065', errors.NotMapped),
    ('iSM31091', errors.AlreadyMapped),
    # A genuine failure of delldsetld, one digit from "not mapped".
    ('iSM31064', errors.CommandFailed),
    ('iSM99999', errors.CommandFailed)])
@pytest.mark.parametrize('stream', ['stdout', 'stderr'])
def test_classes(message_id: str, error: type[errors.CommandFailed],
                 stream: str) -> None:
    text = f'{message_id}:[ addldsetld ]Specified LD is so.\nExitStatus:1\n'
    found = (failure(stdout=text) if stream == 'stdout'
             else failure(stderr=text))
    assert type(found) is error
    assert found.message_id == message_id
    assert found.command == COMMAND
    assert found.status == 1


def test_busy_ids_are_the_documented_five() -> None:
    assert messages.BUSY_IDS == {'iSM31005', 'iSM31015', 'iSM42408',
                                 'iSM42412', 'iSM19411'}


def test_an_answer_without_an_id() -> None:
    found = failure('command not found', status=127)
    assert type(found) is errors.CommandFailed
    assert found.message_id == ''
    assert 'command not found' in str(found)


@pytest.mark.parametrize(('stdout', 'stderr'), [
    ('iSM10316: a notice', 'iSM31077: in use'),
    ('iSM31077: in use', 'iSM10316: a notice'),
    ('iSM10316: a notice\niSM31077: in use', '')])
def test_a_known_id_goes_before_an_unknown_one(stdout: str,
                                               stderr: str) -> None:
    assert type(failure(stdout, stderr)) is errors.LdnInUse


@pytest.mark.parametrize('text', [
    'iSM3100', 'ism31005', 'SM31005', 'iSM 31005', 'iSM3l005'])
def test_what_is_no_id(text: str) -> None:
    assert type(failure(text)) is errors.CommandFailed


@pytest.mark.parametrize('text', ['iSM310059', 'xiSM31005', 'iSM31005a'])
def test_an_id_is_a_word_of_its_own(text: str) -> None:
    """Names come back in answers; a name is not a message."""
    assert type(failure(text)) is errors.CommandFailed


def test_the_streams_are_one_short_line() -> None:
    found = failure('iSM13000:\r\n' + 'x y\n' * 5000, 'z\n' * 5000)
    assert len(found.stdout) <= 300 and len(found.stderr) <= 300
    assert '\n' not in str(found) and '\r' not in str(found)


def test_wrong_utf_8_is_no_obstacle() -> None:
    found = messages.failure(COMMAND, CommandResult(
        b'\xff\xfe iSM31005 \x80', b'', 1))
    assert type(found) is errors.ArrayBusy


@given(st.binary(), st.binary(), st.integers(1, 255))
def test_any_answer(stdout: bytes, stderr: bytes, status: int) -> None:
    found = messages.failure(COMMAND, CommandResult(stdout, stderr, status))
    assert found.status == status
    assert len(str(found)) < 800


def test_streams_do_not_run_together() -> None:
    """The last line of one and the first of the other are two lines."""
    assert type(failure('iSM3100', '5')) is errors.CommandFailed
