# SPDX-License-Identifier: Apache-2.0
"""Command lines to the array and their answers, over SSH.

Works with native threads and with eventlet's green ones alike: waits only
on what the standard library's ``threading`` offers.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import logging
import os
import threading
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST

from cinder_nec import errors
from cinder_nec.ismcli import ssh_connect, ssh_pool
from cinder_nec.ismcli.ssh_connect import LoginRefused, SshSettings
from cinder_nec.ismcli.ssh_keys import (
    HostKeyPolicy,
    HostKeyRefused,
    HostKeyUnknown,
    check_key_file,
)
from cinder_nec.ismcli.transport import CommandResult
from cinder_nec.retry import Clock, Deadline, SystemClock

__all__ = ['HostKeyPolicy', 'HostKeyRefused', 'HostKeyUnknown',
           'LoginRefused', 'SshSettings', 'SshTransport', 'check_key_file']

LOG = logging.getLogger(__name__)

_READ_BYTES = 1 << 20
_CLOSE_SECONDS = 2.0
_NO_STATUS = -1


class SshTransport:
    """Runs command lines on one array; safe for many threads.

    Connections are opened when they are needed, kept, and closed when they
    are idle.  A process made by fork opens its own.

    :raises errors.ConfigError: the settings cannot work
    """

    def __init__(self, settings: SshSettings,
                 clock: Clock | None = None) -> None:
        settings.check()
        self._settings = settings
        self._clock = clock or SystemClock()
        self._pools: dict[int, ssh_pool.Pool] = {}

    def run(self, command_line: str,
            timeout_seconds: float) -> CommandResult:
        """Run one command line and return its whole answer.

        :param timeout_seconds: for all of it: waiting for a place,
            connecting, and the answer
        :raises errors.InvalidInput: the text cannot be encoded
        :raises errors.ConnectFailed: the command was not sent
        :raises errors.OutcomeUnknown: it was sent; no complete answer came
        """
        try:
            command = command_line.encode()
        except UnicodeEncodeError:
            raise errors.InvalidInput(
                'A command line has characters that cannot be sent.'
            ) from None
        started = self._clock.now()
        deadline = Deadline.after(self._clock, timeout_seconds)
        pool = self._pool()
        session, channel = self._open_channel(pool, deadline)
        broken = True
        try:
            result = _Exchange(self._settings, channel, command_line,
                               deadline).run(command)
            broken = False
        except errors.TransportError as error:
            LOG.debug('`%s` failed after %.3f s: %s', command_line,
                      self._clock.now() - started, type(error).__name__)
            raise
        finally:
            try:
                _close(channel)
            finally:
                pool.release(session, broken=broken)
        LOG.debug('`%s` took %.3f s, status %d, %d bytes', command_line,
                  self._clock.now() - started, result.status,
                  len(result.stdout) + len(result.stderr))
        return result

    def close(self) -> None:
        """End all sessions; later commands open new ones."""
        for transport in self._pool().close():
            transport.join(_CLOSE_SECONDS)

    def _pool(self) -> ssh_pool.Pool:
        """Return the pool of this process.

        That of a parent process stays where it is, untouched: its locks
        may be held for ever.
        """
        pool = self._pools.get(os.getpid())
        if pool is None:
            connector = ssh_connect.Connector(self._settings, self._clock)
            pool = self._pools.setdefault(
                os.getpid(),
                ssh_pool.Pool(self._settings, self._clock, connector.open))
        return pool

    # -- a place for one command --------------------------------------------

    def _open_channel(
            self, pool: ssh_pool.Pool, deadline: Deadline
            ) -> tuple[ssh_pool.Session, paramiko.Channel]:
        """Return a channel, on another connection if the first is dead.

        :raises errors.ConnectFailed: none of them works
        """
        dead = 0
        session = pool.acquire(deadline)
        while True:
            try:
                channel = self._try_channel(pool, session, deadline)
            except BaseException:
                pool.release(session, broken=True)
                raise
            if channel is not None:
                return session, channel
            if session.transport.is_active() and not session.retired:
                if not pool.refused(session):
                    raise self._failed('it refuses to run commands.')
            else:
                pool.release(session, broken=True)
                dead += 1
                if dead > self._settings.max_sessions:
                    raise self._failed('it closes every session.')
            session = pool.acquire(deadline, first=True)

    def _try_channel(self, pool: ssh_pool.Pool, session: ssh_pool.Session,
                     deadline: Deadline) -> paramiko.Channel | None:
        """Ask for a channel; None if it is refused or the session is dead.

        A session on which anything but a refusal happened is marked as
        retired.
        """
        timeout = min(self._settings.channel_timeout_seconds,
                      deadline.remaining_seconds())
        try:
            channel = session.transport.open_session(timeout=timeout)
        except (paramiko.SSHException, EOFError, OSError) as error:
            LOG.debug('No channel on an SSH session to %s: %s',
                      self._settings.where, error)
            # The reason of a refusal may have gone to another thread that
            # was refused at the same time.
            if not (isinstance(error, paramiko.ChannelException)
                    or str(error).startswith('Unable to open channel')):
                session.retired = True
            return None
        pool.opened(session)
        return channel

    def _failed(self, why: str) -> errors.ConnectFailed:
        return errors.ConnectFailed(
            f'No command can be sent to {self._settings.where}: {why}',
            'Check how many SSH sessions the disk array allows, and who '
            'else uses them.')


class _Exchange:
    """One command and its answer on a channel."""

    def __init__(self, settings: SshSettings, channel: paramiko.Channel,
                 command_line: str, deadline: Deadline) -> None:
        self._settings = settings
        self._channel = channel
        transport: Any = channel.get_transport()
        self._send: Callable[[paramiko.Message], None] = (
            transport._send_user_message)
        self._command_line = command_line
        self._deadline = deadline
        self._received_bytes = 0

    def run(self, command: bytes) -> CommandResult:
        """Send the command and return its answer.

        :raises errors.ConnectFailed: there was no time left to send it
        :raises errors.OutcomeUnknown: no complete answer came
        """
        if self._deadline.passed():
            raise errors.ConnectFailed(
                f'The time for a command to {self._settings.where} was over '
                'before it could be sent.')
        try:
            self._request(command)
            stdout, stderr = self._read()
            status = self._status()
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise self._unknown(
                'the connection was lost before its answer was complete '
                f'({error or type(error).__name__}).') from error
        return CommandResult(stdout, stderr, status)

    def _request(self, command: bytes) -> None:
        """Ask for the command to be run.

        As ``Channel.exec_command``, which would wait for ever for the
        array to accept it.  Nothing waits for that here: an answer with an
        exit status is proof enough.
        """
        channel = self._channel
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string('exec')
        message.add_boolean(True)
        message.add_string(command)
        channel.event.clear()
        channel.event_ready = False
        self._send(message)

    def _read(self) -> tuple[bytes, bytes]:
        """Return both streams to their ends.

        Both share one window: the array stops sending if one of them is
        left alone while it is long.
        """
        channel = self._channel
        stdout: list[bytes] = []
        stderr: list[bytes] = []
        activity = threading.Event()
        channel.in_buffer.set_event(activity)
        channel.in_stderr_buffer.set_event(activity)
        while True:
            # What is read after the end was seen is all there is.
            ended = channel.eof_received or channel.closed
            while channel.recv_ready():
                self._keep(channel.recv(_READ_BYTES), stdout)
            while channel.recv_stderr_ready():
                self._keep(channel.recv_stderr(_READ_BYTES), stderr)
            if ended:
                return b''.join(stdout), b''.join(stderr)
            if not channel.recv_ready():
                # Reading either stream may have taken back the sign that
                # the other one has something.
                self._wait(activity)

    def _keep(self, data: bytes, chunks: list[bytes]) -> None:
        self._received_bytes += len(data)
        if self._received_bytes > self._settings.max_answer_bytes:
            raise errors.AnswerTooLong(*self._unknown_because(
                'its answer is longer than '
                f'{self._settings.max_answer_bytes} bytes.'))
        chunks.append(data)

    def _status(self) -> int:
        """Return the exit status, which may come after the streams."""
        channel = self._channel
        self._wait(channel.status_event)
        # The streams of a channel look the same at their end and when the
        # connection breaks.  Only in answer to a proper end has paramiko
        # sent one of its own.
        if not (channel.eof_received or channel.eof_sent):
            raise self._unknown(
                'the connection was lost before its answer was complete.')
        if channel.exit_status == _NO_STATUS:
            accepted = channel.event_ready or self._received_bytes
            raise self._unknown('its answer came without exit status.'
                                if accepted else 'it was not accepted.')
        return channel.exit_status

    def _wait(self, event: threading.Event) -> None:
        if not ssh_connect.wait(event, self._deadline):
            raise self._unknown('no complete answer came in time.')

    def _unknown(self, why: str) -> errors.OutcomeUnknown:
        return errors.OutcomeUnknown(*self._unknown_because(why))

    def _unknown_because(self, why: str) -> tuple[str, str]:
        return (f'`{self._command_line}` was sent to '
                f'{self._settings.where}, but {why}',
                'Whether it was carried out shows on the disk array.')


def _close(channel: paramiko.Channel) -> None:
    """Close a channel; a connection that is gone has closed it already."""
    with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
        channel.close()
