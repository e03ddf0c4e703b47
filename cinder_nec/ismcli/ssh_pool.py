# SPDX-License-Identifier: Apache-2.0
"""A fair pool of SSH connections, several commands on each at a time.

The array decides how many sessions and commands it takes.  The pool starts
from its settings, goes on with fewer when the array refuses one more, and
tries again later whether there is room.

Its lock is held for bookkeeping only, never while something waits for the
network.  There is no thread of its own: whoever takes or returns a place
also hands out free places, and the first in the queue opens the next
connection if one is needed.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
import contextlib
import logging
import threading

import paramiko

from cinder_nec import errors
from cinder_nec.ismcli import ssh_connect
from cinder_nec.retry import Clock, Deadline

LOG = logging.getLogger(__name__)

# Paramiko remembers every channel number that a connection ever had.
_COMMANDS_PER_CONNECTION = 20000
# An array at its limit refuses often, and takes the command later.
_TELL_SECONDS = 600.0


class Session:
    """One connection and what the pool knows about it."""

    def __init__(self, transport: paramiko.Transport, now: float) -> None:
        self.transport = transport
        self.in_use = 0
        self.used_at = now
        self.commands = 0
        self.retired = False

    def usable(self) -> bool:
        return not self.retired and bool(self.transport.is_active())


class Limit:
    """How many of something the array takes, as far as is known.

    :param ceiling: never more than this
    :param retry_seconds: after a refusal one more is tried after so long,
        and after twice as long each time that is refused too
    """

    _LONGEST_RETRY_SECONDS = 600.0

    def __init__(self, ceiling: int, retry_seconds: float,
                 clock: Clock) -> None:
        self._ceiling = ceiling
        self._clock = clock
        self._first_retry = retry_seconds
        self._retry_seconds = retry_seconds
        self._retry_at = 0.0
        self.known = ceiling

    def current(self) -> int:
        """Return how many may be tried now."""
        if self.known < self._ceiling and self._clock.now() >= self._retry_at:
            return self.known + 1
        return self.known

    def refused(self, working: int) -> None:
        """Remember that no more than ``working`` were possible."""
        if self._clock.now() >= self._retry_at and self._retry_at:
            self._retry_seconds = min(self._retry_seconds * 2,
                                      self._LONGEST_RETRY_SECONDS)
        self._retry_at = self._clock.now() + self._retry_seconds
        self.known = min(self.known, max(1, working))

    def worked(self, working: int) -> None:
        """Remember that so many are possible."""
        if working > self.known:
            self.known = working
            self._retry_seconds = self._first_retry
            self._retry_at = 0.0


class _Ticket:
    """A place in the queue: ends with a session, an order, or an error."""

    def __init__(self) -> None:
        self.called = threading.Event()
        self.session: Session | None = None
        self.error: errors.ConnectFailed | None = None

    def call(self, session: Session | None = None,
             error: errors.ConnectFailed | None = None) -> None:
        self.session = session
        self.error = error
        self.called.set()


class Pool:
    """The connections to one array; safe for many threads.

    :param connect: opens a connection before a deadline or raises
        ConnectFailed
    """

    _SESSION_RETRY_SECONDS = 30.0
    _CHANNEL_RETRY_SECONDS = 1.0

    def __init__(self, settings: ssh_connect.SshSettings, clock: Clock,
                 connect: Callable[[Deadline], paramiko.Transport]) -> None:
        self._settings = settings
        self._clock = clock
        self._connect = connect
        self._lock = threading.Lock()
        self._sessions: list[Session] = []
        self._queue: collections.deque[_Ticket] = collections.deque()
        self._connecting = False
        self._generation = 0
        self._told_at: float | None = None
        self.session_limit = Limit(
            settings.max_sessions, self._SESSION_RETRY_SECONDS, clock)
        self.channel_limit = Limit(
            settings.channels_per_session, self._CHANNEL_RETRY_SECONDS,
            clock)

    # -- for the user of a place --------------------------------------------

    def acquire(self, deadline: Deadline, *, first: bool = False) -> Session:
        """Return a connection with a place for one command.

        :param first: go to the head of the queue: this caller had its
            turn already and got a place that did not work
        :raises errors.ConnectFailed: there is no connection, or no place
            became free before the deadline
        """
        ticket = _Ticket()
        self._enqueue(ticket, first)
        while True:
            self._await(ticket, deadline)
            if ticket.error is not None:
                raise ticket.error
            if ticket.session is not None:
                return ticket.session
            session = self._open(deadline)
            if session is not None:
                return session
            ticket = _Ticket()
            self._enqueue(ticket, True)

    def release(self, session: Session, *, broken: bool = False) -> None:
        """Give a place back.

        :param broken: do not use the connection for further commands
        """
        with self._changing():
            session.in_use -= 1
            session.commands += 1
            session.used_at = self._clock.now()
            session.retired |= (
                broken or session.commands >= _COMMANDS_PER_CONNECTION)

    def opened(self, session: Session) -> None:
        """Note that the array took one more command on a connection."""
        if session.in_use > self.channel_limit.known:
            with self._changing():
                self.channel_limit.worked(session.in_use)

    def refused(self, session: Session) -> bool:
        """Give back a place that the array refused to serve.

        :returns: whether it is worth waiting for another one
        """
        with self._changing():
            session.in_use -= 1
            others = len(self._sessions) - 1
            if session.in_use:
                self.channel_limit.refused(session.in_use)
                self._tell_channel_limit(session.in_use)
                return True
            session.retired = True
            if others:
                self._refuse_session(others)
            return bool(others)

    def close(self) -> list[paramiko.Transport]:
        """End all connections and return them; new ones may be opened."""
        with self._lock:
            self._generation += 1
            ended, self._sessions = self._sessions, []
            for session in ended:
                session.retired = True
        transports = [session.transport for session in ended]
        for transport in transports:
            ssh_connect.end(transport)
        with self._changing():
            pass  # who waits for a place needs a new connection now
        return transports

    # -- the queue ----------------------------------------------------------

    def _enqueue(self, ticket: _Ticket, first: bool) -> None:
        with self._changing():
            if first:
                self._queue.appendleft(ticket)
            else:
                self._queue.append(ticket)

    def _await(self, ticket: _Ticket, deadline: Deadline) -> None:
        try:
            called = ssh_connect.wait(ticket.called, deadline)
        except BaseException:  # a green thread that is killed
            self._give_up(ticket)
            raise
        if not called and self._leave(ticket):
            raise errors.ConnectFailed(
                f'All SSH sessions to {self._settings.where} were in use '
                'until the time for the command was over.',
                'If the disk array allows more SSH sessions, allow the '
                'driver more of them.')

    def _leave(self, ticket: _Ticket) -> bool:
        """Leave the queue; tell whether the ticket was still in it."""
        with self._lock:
            if ticket in self._queue:
                self._queue.remove(ticket)
                return True
            return False

    def _give_up(self, ticket: _Ticket) -> None:
        """Leave the queue, or give back what the ticket got meanwhile."""
        if self._leave(ticket) or ticket.error is not None:
            return
        with self._changing():
            if ticket.session is not None:
                ticket.session.in_use -= 1
            else:
                self._connecting = False

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock; after the change hand out what is free now."""
        with self._lock:
            try:
                yield
            finally:
                ended = self._sort_out()
                self._hand_out()
        for session in ended:
            ssh_connect.end(session.transport)

    def _sort_out(self) -> list[Session]:
        """Drop dead, retired and idle connections; return them."""
        idle_since = self._clock.now() - self._settings.idle_seconds
        ended = [
            session for session in self._sessions
            if not session.transport.is_active()
            or (not session.in_use
                and (session.retired or session.used_at < idle_since))]
        for session in ended:
            session.retired = True
            self._sessions.remove(session)
        return ended

    def _hand_out(self) -> None:
        while self._queue:
            session = self._find_free()
            if session is not None:
                session.in_use += 1
                self._queue.popleft().call(session)
            elif (not self._connecting and
                  len(self._sessions) < self.session_limit.current()):
                self._connecting = True
                self._queue.popleft().call()
            else:
                return

    def _find_free(self) -> Session | None:
        """Return the fullest connection that has room.

        So that no more connections are open than are needed.
        """
        room = self.channel_limit.current()
        free = [session for session in self._sessions
                if session.in_use < room and session.usable()]
        return max(free, default=None,
                   key=lambda session: (session.in_use, session.used_at))

    # -- one more connection ------------------------------------------------

    def _open(self, deadline: Deadline) -> Session | None:
        """Open a connection and return it with one place taken.

        :returns: None if the ones that are open have to do
        """
        generation = self._generation
        try:
            transport = self._connect(deadline)
        except errors.ConnectFailed as error:
            if self._connect_failed(error, deadline):
                raise
            return None
        except BaseException:
            with self._changing():
                self._connecting = False
            raise
        session = Session(transport, self._clock.now())
        session.in_use = 1
        self._tend(session)
        with self._changing():
            self._connecting = False
            self._sessions.append(session)
            self.session_limit.worked(len(self._sessions))
            # Opened across a close(): for this command only.
            session.retired = generation != self._generation
        return session

    def _tend(self, session: Session) -> None:
        """Have a quiet connection kept alive, and closed when it is idle.

        Paramiko calls back from the connection's own thread when nothing
        was sent for a while.
        """
        transport = session.transport
        keepalive_seconds = self._settings.keepalive_seconds

        def quiet() -> None:
            with self._changing():
                pass  # which closes the idle ones
            if keepalive_seconds and transport.is_active():
                transport.global_request('keepalive@openssh.com', wait=False)

        transport.packetizer.set_keepalive(
            min(keepalive_seconds or self._settings.idle_seconds,
                self._settings.idle_seconds), quiet)

    def _connect_failed(self, error: errors.ConnectFailed,
                        deadline: Deadline) -> bool:
        """Decide what a failure to connect means for all who wait.

        :returns: whether it ends the caller's command
        """
        with self._changing():
            self._connecting = False
            open_now = len(self._sessions)
            if deadline.passed():
                # Perhaps the caller was only short of time.
                return True
            if any(session.usable() for session in self._sessions):
                self._refuse_session(open_now)
                # An array may refuse the login of one session too many;
                # but a key that is wrong is wrong.
                return error.permanent and not isinstance(
                    error, ssh_connect.LoginRefused)
            while self._queue:
                self._queue.popleft().call(error=_copy(error))
            return True

    def _tell_channel_limit(self, working: int) -> None:
        now = self._clock.now()
        level = logging.DEBUG
        if self._told_at is None or now - self._told_at > _TELL_SECONDS:
            self._told_at = now
            level = logging.INFO
        LOG.log(level, 'No more than %d commands per SSH session are taken '
                'by %s now.', working, self._settings.where)

    def _refuse_session(self, working: int) -> None:
        self.session_limit.refused(working)
        LOG.warning('A further SSH session was refused by %s; going on with '
                    '%d.', self._settings.where, working)


def _copy(error: errors.ConnectFailed) -> errors.ConnectFailed:
    """Return the same error for another thread to raise."""
    return errors.ConnectFailed(error.message, error.hint,
                                permanent=error.permanent)
