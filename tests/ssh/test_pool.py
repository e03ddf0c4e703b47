# SPDX-License-Identifier: Apache-2.0
"""Many commands at once, and connections that come and go."""

from __future__ import annotations

import gc
import os
import socket
import stat
import sys
import threading
import time

import pytest

from cinder_nec import errors
from cinder_nec.ismcli import ssh_pool
from cinder_nec.ismcli.ssh import HostKeyPolicy
from cinder_nec.retry import Deadline
from tests.ssh import support

WAITERS = 8


def under_eventlet() -> bool:
    return 'eventlet' in sys.modules and (
        sys.modules['eventlet'].patcher.is_monkey_patched('thread'))


def start(threads, transport, commands, timeout=60.0):
    return [threads.start(transport.run, command, timeout)
            for command in commands]


# -- many at once -----------------------------------------------------------

def test_many_commands_at_once(connect, server, threads):
    transport = connect()
    futures = start(threads, transport, [f'echo {n}' for n in range(64)])
    assert [result.stdout for result in support.results(futures)] == [
        str(n).encode() for n in range(64)]
    assert server.accepted <= 4
    assert server.most_channels <= 4


def test_no_more_connections_than_needed(connect, server, threads):
    transport = connect()
    futures = start(threads, transport, ['wait'] * 4)
    server.wait_until(lambda: server.running == 4)
    assert server.accepted == 1
    futures += start(threads, transport, ['wait'])
    server.wait_until(lambda: server.running == 5)
    assert server.accepted == 2
    server.gate.set()
    support.results(futures)


def test_a_second_connection_is_left_alone_when_one_is_enough(
        connect, server, threads):
    """So that it can end when it is idle."""
    transport = connect()
    futures = start(threads, transport, [f'wait {n}' for n in range(5)])
    server.wait_until(lambda: server.running == 5)
    server.gate.set()
    support.results(futures)
    server.gate.clear()
    server.channels.clear()
    futures = start(threads, transport, [f'wait {n}' for n in range(4)])
    server.wait_until(lambda: server.running == 4)
    assert len({channel.get_transport()
                for channel in server.channels.values()}) == 1
    server.gate.set()
    support.results(futures)


def test_never_more_than_the_settings_allow(connect, server, threads):
    """L11: a burst at the start built several pools."""
    transport = connect(max_sessions=3, channels_per_session=2)
    futures = start(threads, transport, ['wait'] * 64)
    server.wait_until(lambda: server.running == 6)
    pool = support.pool_of(transport)
    server.wait_until(lambda: len(pool._queue) == 58)
    server.gate.set()
    support.results(futures)
    assert server.accepted == 3
    assert server.most_channels == 2


def test_first_come_first_served(connect, server, threads):
    transport = connect(max_sessions=1, channels_per_session=1)
    futures = start(threads, transport, ['wait'])
    server.wait_until(lambda: server.running == 1)
    pool = support.pool_of(transport)
    for number in range(WAITERS):
        futures += start(threads, transport, [f'echo {number}'])
        server.wait_until(lambda n=number: len(pool._queue) == n + 1)
    server.gate.set()
    support.results(futures)
    assert server.commands == ['wait'] + [
        f'echo {number}' for number in range(WAITERS)]


def test_no_place_before_the_deadline(connect, server, clock, threads):
    transport = connect(max_sessions=1, channels_per_session=1)
    long = threads.start(transport.run, 'wait', 1000)
    server.wait_until(lambda: server.running == 1)
    short = threads.start(transport.run, 'echo short', 100)
    pool = support.pool_of(transport)
    server.wait_until(lambda: len(pool._queue) == 1)
    clock.advance(101)
    error = support.error_of(short)
    assert isinstance(error, errors.ConnectFailed)
    assert not error.permanent
    assert 'in use' in str(error)
    server.gate.set()
    assert long.result(20).status == 0
    assert server.commands == ['wait']
    assert not pool._queue


def test_a_wrong_password_is_tried_once_by_many(connect, server, threads):
    """Else the array would lock the user out."""
    server.hold_logins = True
    transport = connect(password='another')
    futures = start(threads, transport, ['echo x'] * 64)
    pool = support.pool_of(transport)
    server.wait_until(lambda: bool(server.logins))
    server.wait_until(lambda: len(pool._queue) == 63)
    server.gate.set()
    for future in futures:
        error = support.error_of(future)
        assert isinstance(error, errors.ConnectFailed)
        assert error.permanent
        assert 'nec_ismcli_password' in str(error)
    assert len(server.logins) == 1


# -- an array that takes less -----------------------------------------------

def test_fewer_sessions_than_asked_for(connect, server, clock, threads):
    server.max_connections = 2
    transport = connect(channels_per_session=1)
    futures = start(threads, transport, ['wait'] * WAITERS, 1e6)
    server.wait_until(
        lambda: server.running == 2 and server.refused_connections == 1)
    server.gate.set()
    assert all(result.status == 0 for result in support.results(futures))
    assert server.most_connections == 2
    assert support.pool_of(transport).session_limit.known == 2

    # There is room again after a while.
    server.max_connections = 4
    server.gate.clear()
    clock.advance(100)
    futures = start(threads, transport, ['wait'] * WAITERS, 1e6)
    server.wait_until(lambda: server.running == 4)
    server.gate.set()
    support.results(futures)
    assert server.refused_connections == 1


def test_login_refused_to_one_session_too_many(connect, server, threads):
    """Some refuse the login instead; the known password is not wrong."""
    transport = connect(channels_per_session=1)
    futures = start(threads, transport, ['wait'])
    server.wait_until(lambda: server.running == 1)
    server.password = 'no more'
    futures += start(threads, transport, ['echo x'])
    server.wait_until(lambda: ('password', 'sysadmin', False)
                      in server.logins)
    server.gate.set()
    assert all(result.status == 0 for result in support.results(futures))


def test_fewer_commands_per_session_than_asked_for(connect, server, clock,
                                                   threads):
    server.max_channels = 2
    transport = connect(max_sessions=1)
    futures = start(threads, transport, ['wait'] * WAITERS, 1e6)
    pool = support.pool_of(transport)
    server.wait_until(lambda: server.running == 2 and bool(
        server.refused_channels) and len(pool._queue) == WAITERS - 2)
    assert pool.channel_limit.known == 2
    server.gate.set()
    assert all(result.status == 0 for result in support.results(futures))
    assert server.most_channels == 2
    assert server.accepted == 1

    server.max_channels = 4
    server.gate.clear()
    clock.advance(1000)
    futures = start(threads, transport, ['wait'] * WAITERS, 1e6)
    server.wait_until(lambda: server.running == 4)
    server.gate.set()
    support.results(futures)


def test_array_that_takes_no_command(connect, server):
    server.max_channels = 0
    transport = connect()
    with pytest.raises(errors.ConnectFailed) as caught:
        transport.run('echo x', 20)
    assert not caught.value.permanent
    assert 'refuses' in str(caught.value)
    assert server.commands == []
    server.wait_until(lambda: not server.alive())


def test_second_session_without_commands(connect, server, threads):
    """The array counts commands over all sessions."""
    transport = connect(channels_per_session=1)
    futures = start(threads, transport, ['wait'])
    server.wait_until(lambda: server.running == 1)
    server.max_channels = 0
    futures += start(threads, transport, ['echo x'])
    server.wait_until(lambda: bool(server.refused_channels))
    server.max_channels = 1
    server.gate.set()
    assert all(result.status == 0 for result in support.results(futures))
    assert support.pool_of(transport).session_limit.known == 1


# -- connections that die ---------------------------------------------------

def test_dead_connection_is_replaced(connect, server):
    transport = connect()
    transport.run('echo x', 20)
    server.drop_all()
    assert transport.run('echo y', 20).stdout == b'y'
    assert server.accepted == 2
    assert len(support.pool_of(transport)._sessions) == 1


@pytest.mark.parametrize('noticed', [True, False])
def test_restarted_array(connect, server, threads, noticed):
    transport = connect(channels_per_session=1)
    futures = start(threads, transport, ['wait'] * 4)
    server.wait_until(lambda: server.running == 4)
    server.gate.set()
    support.results(futures)
    sessions = list(support.pool_of(transport)._sessions)
    server.drop_all()
    if noticed:
        server.wait_until(lambda: not any(
            session.transport.is_active() for session in sessions))
    futures = start(threads, transport, [f'echo {n}' for n in range(16)])
    assert all(result.status == 0 for result in support.results(futures))


def test_connection_that_no_longer_answers(connect, server):
    """Nothing was sent: the command goes over another one."""
    transport = connect(channel_timeout_seconds=0.1)
    transport.run('echo x', 20)
    server.stuck = list(server.transports)
    assert transport.run('echo y', 20).stdout == b'y'
    assert server.accepted == 2


def test_a_broken_connection_affects_its_own_commands_only(
        connect, server, threads):
    transport = connect(channels_per_session=1)
    fine = threads.start(transport.run, 'wait fine', 60)
    server.wait_until(lambda: server.running == 1)
    lost = threads.start(transport.run, 'drop', 60)
    assert isinstance(support.error_of(lost), errors.OutcomeUnknown)
    server.gate.set()
    assert fine.result(20).stdout == b'fine'


def test_broken_in_the_middle_of_many(connect, server, threads):
    """Each command ends in an answer or in a known kind of error."""
    transport = connect()
    commands = ['drop' if n % 8 == 0 else f'echo {n}' for n in range(64)]
    futures = start(threads, transport, commands)
    for command, future in zip(commands, futures, strict=True):
        error = support.error_of(future)
        if command == 'drop' or error is not None:
            assert isinstance(error, errors.TransportError)
        else:
            assert future.result().stdout == command[5:].encode()
    pool = support.pool_of(transport)
    assert transport.run('echo after', 20).stdout == b'after'
    assert all(session.in_use == 0 for session in pool._sessions)
    assert not pool._connecting


# -- connections that end ---------------------------------------------------

def test_close_and_again(connect, server):
    transport = connect()
    transport.run('echo x', 20)
    transport.close()
    server.wait_until(lambda: not server.alive())
    assert transport.run('echo y', 20).stdout == b'y'
    assert server.accepted == 2


def test_close_while_commands_run_and_wait(connect, server, threads):
    transport = connect(max_sessions=1, channels_per_session=1)
    running = threads.start(transport.run, 'wait', 60)
    server.wait_until(lambda: server.running == 1)
    waiting = threads.start(transport.run, 'echo x', 60)
    pool = support.pool_of(transport)
    server.wait_until(lambda: len(pool._queue) == 1)
    transport.close()
    assert isinstance(support.error_of(running), errors.OutcomeUnknown)
    assert waiting.result(20).stdout == b'x'


def test_close_while_connecting(connect, server, threads):
    """What is opened across it does not stay open."""
    server.hold_logins = True
    transport = connect()
    done = threads.start(transport.run, 'echo x', 60)
    server.wait_until(lambda: bool(server.logins))
    transport.close()
    server.gate.set()
    assert done.result(20).stdout == b'x'
    server.wait_until(lambda: not server.alive())


def test_idle_connection_is_closed(connect, server, clock):
    """Also when nothing happens any more."""
    transport = connect(idle_seconds=100, keepalive_seconds=0.05)
    transport.run('echo x', 20)
    clock.advance(101)
    server.wait_until(lambda: not server.alive())
    assert transport.run('echo y', 20).stdout == b'y'


def test_idle_connections_are_closed_while_one_is_used(
        connect, server, clock, threads):
    transport = connect(idle_seconds=100, channels_per_session=1)
    futures = start(threads, transport, ['wait'] * 3, 1e6)
    server.wait_until(lambda: server.running == 3)
    server.gate.set()
    support.results(futures)
    clock.advance(60)
    transport.run('echo x', 20)
    clock.advance(60)
    transport.run('echo x', 20)
    server.wait_until(lambda: len(server.alive()) == 1)
    assert server.accepted == 3


def test_long_command_is_not_idle(connect, server, clock, threads):
    transport = connect(idle_seconds=100, keepalive_seconds=0.05)
    done = threads.start(transport.run, 'wait x', 1e6)
    server.wait_until(lambda: server.running == 1)
    clock.advance(1000)
    server.wait_until(lambda: server.keepalives > 2)
    server.gate.set()
    assert done.result(20).stdout == b'x'


def test_a_worn_connection_is_replaced(connect, server, monkeypatch):
    """Paramiko remembers every channel that it ever had."""
    monkeypatch.setattr(ssh_pool, '_COMMANDS_PER_CONNECTION', 10)
    transport = connect()
    for _ in range(25):
        transport.run('echo x', 20)
    assert server.accepted == 3


def test_nothing_is_left(connect, server, threads):
    """No thread, no socket, nothing in a table."""
    before = (set(threading.enumerate()), len(os.listdir('/proc/self/fd')))
    transport = connect(channels_per_session=2)
    for _ in range(3):
        futures = start(threads, transport,
                        ['echo x', 'no_status', 'drop', 'status 1'] * 8)
        for future in futures:
            support.error_of(future)
    transport.close()
    threads.join()
    server.wait_until(lambda: not server.alive())
    for ended in server.transports:
        ended.join()
    server.transports.clear()
    gc.collect()
    server.wait_until(lambda: (
        set(threading.enumerate()) <= before[0] and
        len(os.listdir('/proc/self/fd')) <= before[1]))


# -- fork -------------------------------------------------------------------

def in_child(task) -> int:
    """Run a task in a forked process; return its exit code."""
    process = os.fork()
    if not process:
        code = 1
        try:
            if under_eventlet():  # as oslo.service does
                sys.modules['eventlet'].hubs.use_hub()
            code = task()
        finally:
            os._exit(code)
    while True:  # green threads have to run meanwhile
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)


def test_forked_process_opens_its_own_connections(connect, server):
    transport = connect()
    transport.run('echo x', 20)
    inherited = support.pool_of(transport)._sessions[0].transport.sock

    def child() -> int:
        if not stat.S_ISCHR(os.fstat(inherited.fileno()).st_mode):
            return 2  # the socket of the parent is still open
        if transport.run('echo child', 20).stdout != b'child':
            return 3
        transport.close()
        return 0

    assert in_child(child) == 0
    assert server.accepted == 2
    assert transport.run('echo parent', 20).stdout == b'parent'
    assert server.accepted == 2


def test_fork_while_the_lock_is_held(connect, server):
    """By another thread, which does not exist in the child."""
    transport = connect()
    with support.pool_of(transport)._lock:
        assert in_child(
            lambda: transport.run('echo child', 20).status) == 0


def test_connection_outlives_the_child(connect, server, threads):
    """A command of the parent runs while the child comes and goes."""
    transport = connect()
    done = threads.start(transport.run, 'wait parent', 60)
    server.wait_until(lambda: server.running == 1)

    def child() -> int:
        transport.close()
        gc.collect()
        return 0

    assert in_child(child) == 0
    server.gate.set()
    assert done.result(20).stdout == b'parent'
    assert server.accepted == 1


def test_closing_in_the_parent_ends_the_connection_for_the_array(
        connect, server):
    """A child that lives on does not hold it open."""
    transport = connect()
    transport.run('echo x', 20)
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    try:
        transport.close()
        server.wait_until(lambda: not server.alive())
    finally:
        os.close(writing)
        os.waitpid(process, 0)
        os.close(reading)


# -- without a network ------------------------------------------------------

class FakeTransport:
    """A connection that is only counted."""

    def __init__(self) -> None:
        self.active = True
        self.sock = socket.socket()
        self.packetizer = self

    def is_active(self) -> bool:
        return self.active

    def close(self) -> None:
        self.active = False

    def set_keepalive(self, _seconds: float, _callback: object) -> None:
        pass

    def complete_handshake(self) -> None:
        pass


def test_one_connects_at_a_time(settings, clock):
    gate = threading.Event()
    lock = threading.Lock()
    at_once, most = 0, 0

    def connect(_deadline: Deadline) -> FakeTransport:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        gate.wait(20)
        with lock:
            at_once -= 1
        return FakeTransport()

    pool = ssh_pool.Pool(settings, clock, connect)
    with support.background() as threads:
        futures = [threads.start(pool.acquire, Deadline.after(clock, 60))
                   for _ in range(16)]
        gate.set()
        sessions = support.results(futures)
    assert most == 1
    assert len({id(session) for session in sessions}) == 4
    pool.close()


def test_short_of_time_is_no_verdict_on_the_array(settings, clock):
    """The others in the queue try again, with the time they have."""
    tries = []

    def connect(deadline: Deadline) -> FakeTransport:
        tries.append(deadline)
        if len(tries) == 1:
            server_waits.set()
            gate.wait(20)
            clock.advance(10)
            raise errors.ConnectFailed('timed out')
        return FakeTransport()

    gate, server_waits = threading.Event(), threading.Event()
    pool = ssh_pool.Pool(settings, clock, connect)
    with support.background() as threads:
        short = threads.start(pool.acquire, Deadline.after(clock, 5))
        server_waits.wait(20)
        patient = threads.start(pool.acquire, Deadline.after(clock, 1000))
        while not pool._queue:
            time.sleep(0.001)
        gate.set()
        assert isinstance(support.error_of(short), errors.ConnectFailed)
        assert patient.result(20).in_use == 1
    pool.close()


def test_killed_while_waiting_leaves_the_queue(settings, clock,
                                               monkeypatch):
    """As a green thread may be at any wait; its place is not lost."""
    pool = ssh_pool.Pool(settings, clock, lambda _deadline: FakeTransport())
    original = ssh_pool.ssh_connect.wait

    def killed(_event: object, _deadline: object) -> bool:
        raise KeyboardInterrupt

    session = pool.acquire(Deadline.after(clock, 60))
    for in_use in (1, 4):
        session.in_use = in_use
        monkeypatch.setattr(ssh_pool.ssh_connect, 'wait', killed)
        with pytest.raises(KeyboardInterrupt):
            pool.acquire(Deadline.after(clock, 60))
        monkeypatch.setattr(ssh_pool.ssh_connect, 'wait', original)
        assert session.in_use == in_use
        assert not pool._queue
        assert not pool._connecting
    pool.close()


def test_killed_while_connecting(settings, clock):

    def killed(_deadline: Deadline) -> FakeTransport:
        raise KeyboardInterrupt

    pool = ssh_pool.Pool(settings, clock, killed)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            pool.acquire(Deadline.after(clock, 60))


def test_limit_is_learnt_and_tried_again_less_and_less_often(clock):
    limit = ssh_pool.Limit(8, 10, clock)
    assert limit.current() == 8
    limit.refused(3)
    assert limit.current() == 3
    for pause in (10, 20, 40, 80):
        clock.advance(pause - 1)
        assert limit.current() == 3
        clock.advance(1)
        assert limit.current() == 4
        limit.refused(3)
    clock.advance(1000)
    limit.worked(4)
    assert limit.current() == 5
    limit.worked(8)
    assert limit.current() == 8


def test_limit_is_at_least_one(clock):
    limit = ssh_pool.Limit(4, 10, clock)
    limit.refused(0)
    assert limit.current() == 1


def test_first_use_of_many_transports_at_once(connect, server, hosts,
                                              threads):
    hosts.unlink()
    futures = []
    for _ in range(8):
        transport = connect(host_key_policy=HostKeyPolicy.TRUST_ON_FIRST_USE)
        futures += start(threads, transport, ['echo x'])
    assert all(result.status == 0 for result in support.results(futures))
    assert len(hosts.read_text().splitlines()) == 1
