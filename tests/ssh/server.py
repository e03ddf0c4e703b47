# SPDX-License-Identifier: Apache-2.0
"""A small SSH server for the tests of the transport.

It knows nothing of the array's language: its commands are the ways an
answer can come, or fail to.  Every wait is for an event.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import socket
import threading
import time
from typing import Any

import paramiko
from paramiko import common

WAIT_SECONDS = 20.0


class Server:
    """Listens on loopback until it is closed; records what it is asked.

    :ivar max_connections: further ones are closed before they say a word
    :ivar max_channels: further ones per connection are refused
    :ivar gate: commands that wait do so for this event
    """

    def __init__(self, host_keys: list[paramiko.PKey], *,
                 user: str = 'sysadmin', password: str | None = 'sys123',
                 public_keys: tuple[paramiko.PKey, ...] = (),
                 address: str = '127.0.0.1', port: int = 0) -> None:
        self.host_keys = host_keys
        self.user = user
        self.password = password
        self.public_keys = public_keys
        self.max_connections = 1000
        self.max_channels = 1000
        self.refuse_exec = False
        self.both = False
        self.interactive = False
        self.hold_logins = False
        self.hold_exec = False
        self.hold_channels = False
        self.held_channels = 0
        self.drop_logins = False
        self.gate = threading.Event()
        self.logins: list[tuple[str, str, bool]] = []
        self.commands: list[str] = []
        self.accepted = 0
        self.refused_connections = 0
        self.refused_channels = 0
        self.most_connections = 0
        self.most_channels = 0
        self.running = 0
        self.keepalives = 0
        self.channels: dict[str, paramiko.Channel] = {}
        self.stuck: list[paramiko.Transport] = []
        self.transports: list[paramiko.Transport] = []
        self.changed = threading.Condition()
        self._closing = False
        family = socket.AF_INET6 if ':' in address else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((address, port))
        self._listener.listen(100)
        # A blocked accept() is not woken by close() everywhere.
        self._listener.settimeout(0.05)
        self.address = address
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._closing = True
        self.gate.set()
        self._thread.join(WAIT_SECONDS)
        self._listener.close()
        self.drop_all()
        for transport in self.transports:
            transport.join(WAIT_SECONDS)

    def drop_all(self) -> None:
        """Cut every connection without a word."""
        for transport in self.transports:
            transport.close()

    def alive(self) -> list[paramiko.Transport]:
        return [t for t in self.transports if t.is_active()]

    def wait_until(self, question: Callable[[], bool]) -> None:
        """Wait until something that the server records is so.

        Paramiko ends its threads without telling anybody, so that the
        question is asked again now and then.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        with self.changed:
            while not question():
                assert time.monotonic() < deadline, 'waited in vain'
                self.changed.wait(0.02)

    @contextlib.contextmanager
    def note(self) -> Any:
        with self.changed:
            yield
            self.changed.notify_all()

    def _serve(self) -> None:
        while not self._closing:
            try:
                sock, _peer = self._listener.accept()
            except OSError:
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.note():
                self.accepted += 1
                if len(self.alive()) >= self.max_connections:
                    self.refused_connections += 1
                    sock.close()
                    continue
                transport = paramiko.Transport(sock)
                for key in self.host_keys:
                    transport.add_server_key(key)
                self.transports.append(transport)
                self.most_connections = max(self.most_connections,
                                            len(self.alive()) + 1)
            with contextlib.suppress(paramiko.SSHException, EOFError):
                transport.start_server(event=threading.Event(),
                                       server=_Interface(self, transport))


class _Interface(paramiko.ServerInterface):
    """One connection."""

    def __init__(self, server: Server, transport: paramiko.Transport) -> None:
        self._server = server
        self._transport = transport
        self._channels: set[int] = set()

    def get_allowed_auths(self, username: str) -> str:
        if self._server.interactive:
            return 'keyboard-interactive'
        return 'publickey,password'

    def _login(self, method: str, username: str, good: bool) -> int:
        server = self._server
        good = good and username == server.user
        with server.note():
            server.logins.append((method, username, good))
        if server.hold_logins:
            server.gate.wait(WAIT_SECONDS)
        if server.drop_logins:
            self._transport.close()
        if good and server.both and method == 'publickey':
            return common.AUTH_PARTIALLY_SUCCESSFUL
        return common.AUTH_SUCCESSFUL if good else common.AUTH_FAILED

    def check_auth_password(self, username: str, password: str) -> int:
        if self._server.interactive:
            return common.AUTH_FAILED
        return self._login('password', username,
                           password == self._server.password)

    def check_auth_interactive(self, username: str,
                               _submethods: str) -> paramiko.InteractiveQuery:
        self._username = username
        return paramiko.InteractiveQuery('', '', ('Password: ', False))

    def check_auth_interactive_response(self, responses: list[str]) -> int:
        return self._login('keyboard-interactive', self._username,
                           responses == [self._server.password])

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return self._login('publickey', username,
                           key in self._server.public_keys)

    def check_global_request(self, kind: str, msg: paramiko.Message) -> bool:
        with self._server.note():
            self._server.keepalives += kind.startswith('keepalive')
        return False

    def check_channel_request(self, kind: str, chanid: int) -> int:
        server = self._server
        if server.hold_channels or self._transport in server.stuck:
            with server.note():
                server.held_channels += 1
            server.gate.wait(WAIT_SECONDS)
        with server.note():
            if len(self._channels) >= server.max_channels:
                server.refused_channels += 1
                return common.OPEN_FAILED_RESOURCE_SHORTAGE
            self._channels.add(chanid)
            server.most_channels = max(server.most_channels,
                                       len(self._channels))
        return common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel,
                                   command: bytes) -> bool:
        text = command.decode()
        with self._server.note():
            self._server.commands.append(text)
            self._server.channels[text] = channel
            if self._server.refuse_exec:
                return False
        if self._server.hold_exec:
            self._server.gate.wait(WAIT_SECONDS)
        threading.Thread(target=self._run, args=(channel, text),
                         daemon=True).start()
        return True

    def _run(self, channel: paramiko.Channel, text: str) -> None:
        server = self._server
        with server.note():
            server.running += 1
        name, *arguments = text.split(' ')
        try:
            with contextlib.suppress(paramiko.SSHException, EOFError,
                                     OSError):
                _COMMANDS[name](self, channel, arguments)
        finally:
            with server.note():
                server.running -= 1
                self._channels.discard(channel.get_id())
            with contextlib.suppress(paramiko.SSHException, EOFError,
                                     OSError):
                channel.close()

    # -- commands -----------------------------------------------------------

    def echo(self, channel: paramiko.Channel, arguments: list[str]) -> None:
        channel.sendall(' '.join(arguments).encode())
        channel.send_exit_status(0)

    def status(self, channel: paramiko.Channel, arguments: list[str]) -> None:
        """status N: words on both streams and an exit status."""
        channel.sendall(b'out')
        channel.sendall_stderr(b'err')
        channel.send_exit_status(int(arguments[0]))

    def big(self, channel: paramiko.Channel, arguments: list[str]) -> None:
        """big N M: so many bytes on stdout and then on stderr, in turn."""
        left = [int(argument) for argument in arguments]
        sends = [channel.sendall, channel.sendall_stderr]
        piece = b'0123456789abcdef' * (1 << 14)
        while any(left):
            for index, send in enumerate(sends):
                data = piece[:left[index]]
                if data:
                    send(data)
                left[index] -= len(data)
        channel.send_exit_status(0)

    def stderr_first(self, channel: paramiko.Channel,
                     arguments: list[str]) -> None:
        """stderr_first N: all on stderr before a word on stdout."""
        channel.sendall_stderr(b'e' * int(arguments[0]))
        channel.sendall(b'out')
        channel.send_exit_status(0)

    def wait(self, channel: paramiko.Channel, arguments: list[str]) -> None:
        self._server.gate.wait(WAIT_SECONDS)
        self.echo(channel, arguments)

    def late_status(self, channel: paramiko.Channel,
                    _arguments: list[str]) -> None:
        """The streams end; the status comes when the gate opens."""
        channel.sendall(b'early')
        channel.shutdown_write()
        self._server.gate.wait(WAIT_SECONDS)
        channel.send_exit_status(7)

    def no_eof(self, channel: paramiko.Channel,
               _arguments: list[str]) -> None:
        """A channel closed without the end of the streams before."""
        channel.sendall(b'whole')
        channel.send_exit_status(0)
        channel.eof_sent = True

    def no_status(self, channel: paramiko.Channel,
                  _arguments: list[str]) -> None:
        channel.sendall(b'part')

    def drop(self, channel: paramiko.Channel,
             _arguments: list[str]) -> None:
        """The connection ends in the middle of the answer."""
        channel.sendall(b'part')
        self._transport.close()

    def status_then_drop(self, channel: paramiko.Channel,
                         _arguments: list[str]) -> None:
        """The status is first, and the connection breaks before the end."""
        channel.send_exit_status(0)
        channel.sendall(b'part')
        self._transport.close()

    def garble(self, channel: paramiko.Channel,
               _arguments: list[str]) -> None:
        """A packet whose checksum is wrong in the middle of the answer."""
        channel.sendall(b'part')
        self._transport.packetizer._Packetizer__mac_key_out = b'garbled'
        channel.sendall(b'part')
        self._server.gate.wait(WAIT_SECONDS)


_COMMANDS: dict[str, Callable[..., None]] = {
    name: getattr(_Interface, name) for name in (
        'echo', 'status', 'big', 'stderr_first', 'wait', 'late_status',
        'no_eof', 'no_status', 'drop', 'status_then_drop', 'garble')}


class RawServer:
    """Accepts connections and answers each with fixed bytes, or none."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer
        self._listener = socket.create_server(('127.0.0.1', 0))
        self._listener.settimeout(0.05)
        self.port: int = self._listener.getsockname()[1]
        self.received = bytearray()
        self.heard = threading.Event()
        self._closing = False
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> RawServer:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._closing = True
        self._thread.join(WAIT_SECONDS)
        self._listener.close()
        for sock in self._open:
            sock.close()

    def _serve(self) -> None:
        while not self._closing:
            try:
                sock, _peer = self._listener.accept()
            except OSError:
                continue
            if self._answer is None:
                self._open.append(sock)
                sock.settimeout(WAIT_SECONDS)
                self.received += sock.recv(4096)
                self.heard.set()
                continue
            sock.sendall(self._answer)
            sock.settimeout(0.2)
            with contextlib.suppress(OSError):
                self.received += sock.recv(4096)
            sock.close()
