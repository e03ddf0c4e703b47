# SPDX-License-Identifier: Apache-2.0
"""The SSH server: connections, logins, and exec channels.

Every connection has a thread of paramiko's, every command one of ours,
so that several commands run at once on one connection and on several.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import logging
import socket
import struct
import threading
from typing import Any

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST

from ismsim.auth import Accounts
from ismsim.clock import SwitchedOff
from ismsim.engine import Engine, Outcome

LOG = logging.getLogger(__name__)
_BLOCK = 1 << 18


@dataclass
class Gate:
    """What keeps clients out. 0 sessions or channels: no limit."""

    sessions: int = 0
    channels: int = 0
    closed_until: float = 0.0


class _Socket(socket.socket):
    """A socket that acknowledges at once what it has received.

    A client with Nagle's algorithm on holds its next small packet back
    until then, which would cost 40 ms per command.
    """

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        data = super().recv(size, flags)
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data


class _Transport(paramiko.Transport):
    """A transport that starts a command after its request was answered.

    paramiko answers an exec request when the server's callback returns.
    A command that is faster than that could send its result, and close
    the channel, before the client knows that the request was accepted.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.pending: dict[int, Callable[[], None]] = {}
        super().__init__(sock)
        parent: Any = paramiko.Transport
        self._channel_handler_table = {
            **parent._channel_handler_table,
            MSG_CHANNEL_REQUEST: self._handle_channel_request}

    def _handle_channel_request(self, channel: paramiko.Channel,
                                message: paramiko.Message) -> None:
        parent: Any = paramiko.Channel
        parent._handle_request(channel, message)
        start = self.pending.pop(channel.get_id(), None)
        if start is not None:
            start()


class _Session(paramiko.ServerInterface):
    """One connection."""

    def __init__(self, server: SshServer, transport: _Transport,
                 number: int) -> None:
        self._server = server
        self._transport = transport
        self._number = number
        self._channels: set[int] = set()
        self._lock = threading.Lock()

    def get_allowed_auths(self, username: str) -> str:
        return self._server.accounts.methods()

    def check_auth_password(self, username: str, password: str) -> int:
        allowed = self._server.accounts.allows_password(username, password)
        return (paramiko.common.AUTH_SUCCESSFUL if allowed
                else paramiko.common.AUTH_FAILED)

    def check_auth_publickey(self, username: str,
                             key: paramiko.PKey) -> int:
        allowed = self._server.accounts.allows_key(username, key)
        return (paramiko.common.AUTH_SUCCESSFUL if allowed
                else paramiko.common.AUTH_FAILED)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if kind != 'session':
            return (paramiko.common.
                    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED)
        limit = self._server.gate.channels
        with self._lock:
            if limit and len(self._channels) >= limit:
                return paramiko.common.OPEN_FAILED_RESOURCE_SHORTAGE
            self._channels.add(chanid)
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel,
                                   command: bytes) -> bool:
        text = command.decode('utf-8', 'backslashreplace')
        thread = threading.Thread(
            target=self._run, args=(channel, text), daemon=True,
            name=f'command-{self._number}-{channel.get_id()}')
        self._transport.pending[channel.get_id()] = thread.start
        return True

    def _run(self, channel: paramiko.Channel, text: str) -> None:
        try:
            outcome = self._server.engine.execute(
                text, self._number, lambda: self._is_gone(channel))
            self._send(channel, outcome)
        except (OSError, EOFError, SwitchedOff) as error:
            LOG.info('connection %d: ended: %r', self._number, error)
        except Exception:
            LOG.exception('connection %d: %s', self._number, text[:200])
            self._transport.close()
        finally:
            channel.close()
            with self._lock:
                self._channels.discard(channel.get_id())

    def _is_gone(self, channel: paramiko.Channel) -> bool:
        return (self._server.is_stopping or channel.closed
                or not self._transport.is_active())

    def _send(self, channel: paramiko.Channel, outcome: Outcome) -> None:
        if outcome.drop:
            LOG.info('connection %d: dropped by a fault', self._number)
            self._server.hang_up(self._transport)
            return
        reply = outcome.reply
        for start in range(0, len(reply.stdout), _BLOCK):
            channel.sendall(reply.stdout[start:start + _BLOCK])
        if reply.stderr:
            channel.sendall_stderr(reply.stderr)
        channel.send_exit_status(reply.status)
        channel.shutdown_write()


class SshServer:
    """Listens, and serves one engine."""

    def __init__(self, engine: Engine, accounts: Accounts,
                 host_key: paramiko.PKey, address: str = '127.0.0.1',
                 port: int = 0, gate: Gate | None = None) -> None:
        self.engine = engine
        self.accounts = accounts
        self.gate = gate or Gate()
        self.is_stopping = False
        self.host_key = host_key
        self._socket = socket.create_server(
            (address, port), family=(socket.AF_INET6 if ':' in address
                                     else socket.AF_INET), backlog=128)
        self.address: str = self._socket.getsockname()[0]
        self.port: int = self._socket.getsockname()[1]
        self._sessions: dict[_Transport, socket.socket] = {}
        self._lock = threading.Lock()
        self._count = 0
        self._thread = threading.Thread(target=self._accept, daemon=True,
                                        name='accept')

    def start(self) -> None:
        """Begin to take connections."""
        self._thread.start()

    def stop(self) -> None:
        """End every connection and stop."""
        self.is_stopping = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()
        with self._lock:
            sessions = list(self._sessions)
        for transport in sessions:
            transport.close()

    @property
    def session_count(self) -> int:
        """How many connections there are."""
        with self._lock:
            self._forget_dead()
            return len(self._sessions)

    def drop_all(self) -> int:
        """End every connection; returns how many it were."""
        with self._lock:
            sessions = list(self._sessions)
        for transport in sessions:
            self.hang_up(transport)
        return len(sessions)

    def hang_up(self, transport: _Transport) -> None:
        """End a connection without a word, as a broken cable does."""
        with self._lock:
            sock = self._sessions.pop(transport, None)
        if sock is not None:
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                struct.pack('ii', 1, 0))
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        transport.close()

    def _forget_dead(self) -> None:
        for transport in list(self._sessions):
            if not transport.is_active():
                del self._sessions[transport]

    def _accept(self) -> None:
        while not self.is_stopping:
            try:
                client, _address = self._socket.accept()
            except OSError:
                return
            if self._is_refused():
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client,),
                             daemon=True).start()

    def _is_refused(self) -> bool:
        if self.engine.array.clock.now() < self.gate.closed_until:
            return True
        limit = self.gate.sessions
        return bool(limit) and self.session_count >= limit

    def _serve(self, accepted: socket.socket) -> None:
        client = _Socket(fileno=accepted.detach())
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = _Transport(client)
        transport.daemon = True
        transport.add_server_key(self.host_key)
        with self._lock:
            self._count += 1
            number = self._count
            self._sessions[transport] = client
        try:
            transport.start_server(
                event=threading.Event(),
                server=_Session(self, transport, number))
        except (paramiko.SSHException, OSError, EOFError) as error:
            LOG.info('connection %d: %s', number, error)
            transport.close()
