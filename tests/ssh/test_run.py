# SPDX-License-Identifier: Apache-2.0
"""One command: its answer, or what is known of it when there is none."""

from __future__ import annotations

import logging
import types
from typing import Any

import paramiko
import pytest

from cinder_nec import errors
from cinder_nec.ismcli import ssh, ssh_connect
from cinder_nec.retry import Deadline
from tests.ssh import support


def unknown(transport, command: str) -> str:
    """Return the message of the OutcomeUnknown that a command ends in."""
    with pytest.raises(errors.OutcomeUnknown) as caught:
        transport.run(command, 20)
    assert f'`{command}` was sent' in str(caught.value)
    return str(caught.value)


def wait_for_end_of_streams(server, transport, done) -> None:
    """Wait until nothing but the status is missing."""
    session = support.pool_of(transport)._sessions[0].transport
    server.wait_until(lambda: done.done() or any(
        channel.eof_received for channel in session._channels.values()))


# -- whole answers ----------------------------------------------------------

@pytest.mark.parametrize('status', [0, 1, 255, 2 ** 32 - 1])
def test_answer(connect, status):
    result = connect().run(f'status {status}', 20)
    assert (result.stdout, result.stderr, result.status) == (
        b'out', b'err', status)


def test_empty_answer(connect):
    result = connect().run('echo', 20)
    assert (result.stdout, result.stderr, result.status) == (b'', b'', 0)


def test_command_reaches_the_array_as_it_is(connect, server):
    command = "echo 'a b' \u00e4 \\ \"$x\" " + 'x' * 60000
    assert connect().run(command, 20).stdout.decode() == command[5:]
    assert server.commands == [command]


def test_command_that_cannot_be_encoded_is_not_sent(connect, server):
    with pytest.raises(errors.InvalidInput):
        connect().run('echo \ud800', 20)
    assert server.accepted == 0


@pytest.mark.parametrize('sizes', [
    (19_000_000, 0), (0, 9_000_000), (9_000_000, 9_000_000), (1, 6_000_000)])
def test_long_answer_on_either_stream(connect, sizes):
    """Longer than the window, which both streams share."""
    result = connect().run('big {} {}'.format(*sizes), 60)
    assert (len(result.stdout), len(result.stderr)) == sizes
    piece = b'0123456789abcdef'
    assert result.stdout == (piece * (sizes[0] // 16 + 1))[:sizes[0]]


def test_all_of_stderr_before_anything_on_stdout(connect):
    size = 3 * ssh_connect._WINDOW_BYTES
    result = connect().run(f'stderr_first {size}', 60)
    assert (len(result.stderr), result.stdout) == (size, b'out')


def test_status_that_comes_after_the_streams(connect, server, threads):
    """Neither the data nor the status is missed (D8), nor is it spun (C2)."""
    transport = connect()
    done = threads.start(transport.run, 'late_status', 20)
    server.wait_until(lambda: server.running == 1)
    wait_for_end_of_streams(server, transport, done)
    server.gate.set()
    result = done.result(20)
    assert (result.stdout, result.status) == (b'early', 7)


def test_waiting_for_the_status_costs_nothing(connect, server, threads,
                                              monkeypatch):
    """C2: the old driver went round thousands of times in that time."""
    waits = []
    original = ssh_connect.wait

    def counted(event, deadline):
        waits.append(event)
        return original(event, deadline)

    monkeypatch.setattr(ssh_connect, 'wait', counted)
    transport = connect()
    done = threads.start(transport.run, 'late_status', 20)
    server.wait_until(lambda: server.running == 1)
    wait_for_end_of_streams(server, transport, done)
    server.gate.set()
    done.result(20)
    assert len(waits) < 10


def test_reading_one_stream_does_not_hide_the_other(settings, clock):
    """Both give one sign; stdout gets data while stderr is being read."""
    channel: Any = paramiko.Channel(1)
    channel.transport = types.SimpleNamespace(_send_user_message=None)
    recv, recv_stderr = channel.recv, channel.recv_stderr

    def read_stderr(size: int) -> bytes:
        channel.in_buffer.feed(b'out')
        return recv_stderr(size)  # takes the sign back

    def read_stdout(size: int) -> bytes:
        data = recv(size)
        channel._handle_eof(None)
        return data

    channel.recv, channel.recv_stderr = read_stdout, read_stderr
    channel.in_stderr_buffer.feed(b'err')
    exchange = ssh._Exchange(settings, channel, 'x',
                             Deadline.after(clock, 5))
    assert exchange._read() == (b'out', b'err')


def test_channel_closed_without_the_end_of_the_streams(connect):
    result = connect().run('no_eof', 20)
    assert (result.stdout, result.status) == (b'whole', 0)


def test_answers_do_not_use_descriptors(connect, monkeypatch):
    """C3: a pipe per channel, and select() fails above 1,023."""
    def refuse(_channel):
        raise AssertionError('a pipe')

    monkeypatch.setattr(paramiko.Channel, 'fileno', refuse)
    assert connect().run('big 100000 100000', 20).status == 0


def test_time_and_status_are_logged_but_no_answer(connect, caplog):
    caplog.set_level(logging.DEBUG)
    connect().run('status 3', 20)
    told = [record.getMessage() for record in caplog.records
            if record.name == 'cinder_nec.ismcli.ssh']
    assert len(told) == 1
    assert told[0].startswith('`status 3` took 0.')
    assert told[0].endswith('s, status 3, 6 bytes')


# -- no answer, or half of one ----------------------------------------------

@pytest.mark.parametrize('command', ['drop', 'status_then_drop', 'garble'])
def test_connection_lost_in_the_answer(connect, server, command):
    transport = connect()
    message = unknown(transport, command)
    assert 'connection was lost' in message
    assert transport.run('echo again', 20).stdout == b'again'


def test_answer_without_status(connect):
    assert 'without exit status' in unknown(connect(), 'no_status')


def test_command_that_is_not_accepted(connect, server):
    server.refuse_exec = True
    assert 'not accepted' in unknown(connect(), 'echo x')


@pytest.mark.parametrize('command', ['wait', 'late_status'])
def test_no_answer_before_the_deadline(connect, server, clock, threads,
                                       command):
    """C1: the old driver waited for ever."""
    transport = connect()
    done = threads.start(transport.run, command, 300)
    server.wait_until(lambda: server.running == 1)
    if command == 'late_status':
        wait_for_end_of_streams(server, transport, done)
    clock.advance(301)
    error = support.error_of(done)
    assert isinstance(error, errors.OutcomeUnknown)
    assert 'in time' in str(error)
    assert transport.run('echo next', 20).stdout == b'next'
    assert server.accepted == 2  # the first connection is not trusted


def test_server_that_does_not_react_at_all(connect, server, clock, threads):
    """Its process hangs after the command was sent."""
    transport = connect()
    transport.run('echo x', 20)
    server.hold_exec = True
    done = threads.start(transport.run, 'echo y', 300)
    server.wait_until(lambda: 'echo y' in server.commands)
    clock.advance(301)
    assert isinstance(support.error_of(done), errors.OutcomeUnknown)


def test_other_commands_on_the_connection_go_on(connect, server, clock,
                                                threads):
    """One that times out says nothing about the others."""
    transport = connect(max_sessions=1)
    late = threads.start(transport.run, 'wait late', 100)
    slow = threads.start(transport.run, 'wait slow', 1000)
    server.wait_until(lambda: server.running == 2)
    clock.advance(101)
    assert isinstance(support.error_of(late), errors.OutcomeUnknown)
    server.wait_until(lambda: server.channels['wait late'].closed)
    assert not server.channels['wait slow'].closed
    server.gate.set()
    assert slow.result(20).stdout == b'slow'


def test_no_time_left_to_send(connect, server):
    with pytest.raises(errors.ConnectFailed) as caught:
        connect().run('echo x', 0)
    assert not caught.value.permanent
    assert server.commands == []


def test_time_is_over_when_the_channel_is_there(connect, server, clock,
                                               threads):
    """Nothing was sent yet, and nothing is any more."""
    server.hold_channels = True
    done = threads.start(connect().run, 'echo x', 100)
    server.wait_until(lambda: server.held_channels == 1)
    clock.advance(101)
    server.gate.set()
    assert isinstance(support.error_of(done), errors.ConnectFailed)
    assert server.commands == []


def test_answer_that_is_too_long(connect):
    transport = connect(max_answer_bytes=1_000_000)
    assert transport.run('big 1000000 0', 20).status == 0
    assert 'longer than 1000000 bytes' in unknown(transport,
                                                  'big 500001 500000')
    assert transport.run('echo next', 20).stdout == b'next'


def test_a_thousand_commands_leave_nothing(connect, server):
    transport = connect()
    transport.run('echo x', 20)
    session = support.pool_of(transport)._sessions[0].transport
    for _ in range(1000):
        transport.run('echo x', 20)
    assert server.accepted == 1
    assert len(session.channel_events) == 0


# -- the socket -------------------------------------------------------------

class EndlessSocket:
    """A peer that always has data."""

    def recv(self, size: int) -> bytes:
        return b'x' * size


class BusyClock:
    """Each look at it takes a while, as reading does."""

    def __init__(self) -> None:
        self._now = 0.0
        self.sleeps: list[float] = []

    def now(self) -> float:
        self._now += 0.001
        return self._now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(self._now)


def test_reading_lets_others_run():
    """A green thread whose socket always has data would never yield."""
    clock = BusyClock()
    reader = ssh_connect._CooperativeSocket(EndlessSocket(), clock)
    for _ in range(200):
        assert len(reader.recv(1 << 18)) == 1 << 18
    gaps = [after - before for before, after in zip(
        clock.sleeps, clock.sleeps[1:], strict=False)]
    assert max(gaps) < 0.02


def test_reading_in_pieces_loses_nothing():
    class Pieces:
        pieces = [b'abc', b'defgh', b'']

        def recv(self, size: int) -> bytes:
            assert size <= 1 << 20  # whatever length a packet claims
            return self.pieces.pop(0)

    reader = ssh_connect._CooperativeSocket(Pieces(), support.Clock())
    assert [reader.recv(size) for size in (2, 2, 2, 2, 1 << 32, 2)] == [
        b'ab', b'c', b'de', b'fg', b'h', b'']
