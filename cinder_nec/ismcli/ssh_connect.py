# SPDX-License-Identifier: Apache-2.0
"""From an address to a logged-in SSH connection, with a time for each step.

Every failure is an :class:`errors.ConnectFailed` in the operator's words:
on this way no command has been sent yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import logging
import os
import socket
import threading
from typing import Any
import weakref

import paramiko

from cinder_nec import errors
from cinder_nec.ismcli import ssh_keys
from cinder_nec.retry import Clock, Deadline

# What the array may send before it has to wait for us.  It bounds what is
# buffered per command, and is far more than a local network holds.
_WINDOW_BYTES = 4 << 20
_PACKET_BYTES = 1 << 15
_READ_BYTES = 1 << 18
_LONGEST_HOLD_SECONDS = 0.01
_REASON_CHARACTERS = 200


class _Quiet(logging.Filter):
    """Makes debug messages of what paramiko logs.

    It logs every failure as an error with a traceback; all of them end in
    an exception here, which says the same once and in clear words.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.levelno = logging.DEBUG
        record.levelname = logging.getLevelName(logging.DEBUG)
        return _PARAMIKO_LOG.isEnabledFor(logging.DEBUG)


_PARAMIKO_LOG = logging.getLogger(f'{__name__}.paramiko')
_PARAMIKO_LOG.addFilter(_Quiet())


@dataclasses.dataclass(frozen=True)
class SshSettings:
    """How to reach one array; times are in seconds.

    :param host: name or address (IPv4 or IPv6) of `nec_ismcli_fip`
    :param private_key_file: comes before the password if both are set
    :param known_hosts_file: in OpenSSH's format; it need not exist
    :param banner_timeout_seconds: until the array has named itself and
        the encryption is agreed on
    :param channel_timeout_seconds: until the array has taken or refused
        a further command on an open connection
    :param keepalive_seconds: 0 for none
    :param idle_seconds: after which an unused connection is closed
    :param max_sessions: most SSH connections at a time
    :param channels_per_session: most commands on one of them at a time
    :param max_answer_bytes: a longer answer is an error
    """

    host: str
    user: str
    password: str | None = dataclasses.field(default=None, repr=False)
    private_key_file: str | None = None
    port: int = 22
    known_hosts_file: str | None = None
    host_key_policy: ssh_keys.HostKeyPolicy = ssh_keys.HostKeyPolicy.VERIFY
    connect_timeout_seconds: float = 15.0
    banner_timeout_seconds: float = 15.0
    auth_timeout_seconds: float = 30.0
    channel_timeout_seconds: float = 15.0
    max_sessions: int = 4
    channels_per_session: int = 4
    keepalive_seconds: float = 30.0
    idle_seconds: float = 300.0
    # A little more than the longest dump that is parsed.
    max_answer_bytes: int = 72 << 20

    def check(self) -> None:
        """Find out whether a connection can be tried at all.

        :raises errors.ConfigError: something is not set or impossible
        """
        for option, value in (('nec_ismcli_fip', self.host),
                              ('nec_ismcli_user', self.user)):
            if not value:
                raise errors.ConfigError(
                    option, f'{option} is not set.',
                    f'Set `{option}` in `cinder.conf`.', missing=True)
        if not self.password and not self.private_key_file:
            raise errors.ConfigError(
                'nec_ismcli_password',
                'nec_ismcli_password or nec_ismcli_privkey must be set.',
                'Set one of them in `cinder.conf`.', missing=True)
        if not 0 < self.port < 65536:
            raise errors.ConfigError(
                'nec_ssh_pool_port_number',
                f'nec_ssh_pool_port_number must be a port number: '
                f'{self.port}.')
        if self.max_sessions < 1 or self.channels_per_session < 1:
            raise ValueError('a pool without a place')

    @property
    def address(self) -> str:
        """Return the host without the brackets of an IPv6 address."""
        return self.host.strip().removeprefix('[').removesuffix(']')

    @property
    def where(self) -> str:
        return f'the disk array {self.address} port {self.port}'


class LoginRefused(errors.ConnectFailed):
    """The array does not let the user in."""


class Connector:
    """Opens connections to one array."""

    def __init__(self, settings: SshSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._known_hosts = ssh_keys.KnownHosts(
            settings.known_hosts_file, settings.address, settings.port,
            settings.host_key_policy)

    def open(self, deadline: Deadline) -> paramiko.Transport:
        """Return a new connection that commands can be run on.

        :raises errors.ConnectFailed: there is none; nothing was sent
        """
        key = self._key()
        known_types = self._known_hosts.key_types()
        with contextlib.ExitStack() as undo:
            sock = self._tcp_connect(deadline)
            undo.callback(sock.close)
            like_a_socket: Any = _CooperativeSocket(sock, self._clock)
            transport = paramiko.Transport(
                like_a_socket, default_window_size=_WINDOW_BYTES,
                default_max_packet_size=_PACKET_BYTES)
            undo.callback(end, transport)
            transport.set_log_channel(_PARAMIKO_LOG.name)
            _prefer(transport, known_types)
            self._handshake(transport, deadline)
            self._authenticate(transport, key, deadline)
            undo.pop_all()
        return transport

    def _key(self) -> paramiko.PKey | None:
        path = self._settings.private_key_file
        if not path:
            return None
        try:
            return ssh_keys.load_key_file(path)
        except errors.ConfigError as error:
            raise errors.ConnectFailed(error.message, error.hint,
                                       permanent=True) from error

    # -- the steps ----------------------------------------------------------

    def _tcp_connect(self, deadline: Deadline) -> socket.socket:
        settings = self._settings
        limit = _sooner(deadline, settings.connect_timeout_seconds)
        try:
            addresses = socket.getaddrinfo(
                settings.address, settings.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise errors.ConnectFailed(
                f'nec_ismcli_fip has an invalid address: '
                f'{settings.address} ({_reason(error)}).',
                'Set `nec_ismcli_fip` to the floating IP address of the '
                'disk array.',
                permanent=getattr(error, 'errno', None)
                != socket.EAI_AGAIN) from error
        problem: Exception = TimeoutError('timed out')
        for family, kind, protocol, _name, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(max(0.001, limit.remaining_seconds()))
                sock.connect(address)
                _tune(sock, settings.keepalive_seconds)
            except OSError as error:
                sock.close()
                problem = error
            except BaseException:
                sock.close()
                raise
            else:
                _open_sockets.add(sock)
                return sock
        raise self._unreachable(problem) from problem

    def _handshake(self, transport: paramiko.Transport,
                   deadline: Deadline) -> None:
        """Agree on the encryption and verify the array's key."""
        limit = _sooner(deadline, self._settings.banner_timeout_seconds)
        transport.banner_timeout = limit.remaining_seconds()
        transport.handshake_timeout = limit.remaining_seconds()
        done = threading.Event()
        with self._translated(transport, 'the SSH negotiation'):
            transport.start_client(event=done)
            if not wait(done, limit):
                raise TimeoutError('timed out')
            key = transport.get_remote_server_key()
        self._known_hosts.verify(ssh_keys.HostKey.of(key))

    def _authenticate(self, transport: paramiko.Transport,
                      key: paramiko.PKey | None,
                      deadline: Deadline) -> None:
        """Log in, with the key first."""
        user, password = self._settings.user, self._settings.password
        limit = _sooner(deadline, self._settings.auth_timeout_seconds)
        methods: list[Callable[[], object]] = []
        if key is not None:
            methods.append(lambda: transport.auth_publickey(user, key))
        if password:
            methods.append(lambda: transport.auth_password(user, password))
        for method in methods:
            transport.auth_timeout = max(0.001, limit.remaining_seconds())
            with self._translated(transport, 'the login'):
                try:
                    method()
                except paramiko.AuthenticationException as error:
                    if _is_lost(error, transport):
                        raise
            if transport.is_authenticated():
                return
        raise LoginRefused(
            f'Authentication failed at {self._settings.where} for the user '
            f'`{user}`.',
            'The value specified for `nec_ismcli_user` or '
            '`nec_ismcli_password` may be incorrect or the corresponding '
            'public key specified for `nec_ismcli_privkey` may not have been '
            'registered in the disk array.', permanent=True)

    # -- errors -------------------------------------------------------------

    @contextlib.contextmanager
    def _translated(self, transport: paramiko.Transport,
                    step: str) -> Iterator[None]:
        """Turn what a step of paramiko raises into ConnectFailed."""
        try:
            yield
        except (paramiko.SSHException, EOFError, OSError) as error:
            cause = transport.get_exception() or error
            if isinstance(cause, paramiko.ssh_exception.IncompatiblePeer):
                raise errors.ConnectFailed(
                    f'This host and {self._settings.where} have no SSH '
                    f'algorithm in common ({_reason(cause)}).',
                    f'Paramiko {paramiko.__version__} no longer has the old '
                    'ones; update the disk array or install an older '
                    'paramiko.', permanent=True) from error
            raise self._unreachable(cause, step) from error

    def _unreachable(self, cause: Exception,
                     step: str = '') -> errors.ConnectFailed:
        during = f' during {step}' if step else ''
        return errors.ConnectFailed(
            f'Connection with {self._settings.where} failed{during}: '
            f'{_reason(cause)}.',
            'Check whether the disk array has been started and iSMCLI is '
            'usable, and that `nec_ismcli_fip` and '
            '`nec_ssh_pool_port_number` are correct.')


def wait(event: threading.Event, deadline: Deadline) -> bool:
    """Wait for an event; tell whether it came before the deadline.

    The clock is looked at again every second, so that one that is not the
    machine's is followed.
    """
    while not event.is_set():
        remaining = deadline.remaining_seconds()
        if not remaining:
            return False
        event.wait(min(remaining, 1.0))
    return True


def end(transport: paramiko.Transport) -> None:
    """Close a connection and what it has running, also a half-open one."""
    transport.close()
    transport.sock.close()
    # A negotiation that failed leaves its timer thread running.
    transport.packetizer.complete_handshake()


def _sooner(deadline: Deadline, seconds: float) -> Deadline:
    return dataclasses.replace(deadline, at=min(
        deadline.at, deadline.clock.now() + seconds))


def _prefer(transport: paramiko.Transport, known: list[str]) -> None:
    """Ask for a host key of a type that is known, if any is.

    An array that has several keys would else show one of another type than
    the known one, which could not be verified.
    """
    options = transport.get_security_options()
    wanted = {'rsa' if name == 'ssh-rsa' else name for name in known}

    def is_known(name: str) -> bool:
        return name in wanted or (
            'rsa' in wanted and name in ('rsa-sha2-512', 'rsa-sha2-256',
                                         'ssh-rsa'))

    options.key_types = sorted(options.key_types,
                               key=lambda name: not is_known(name))


def _is_lost(error: paramiko.AuthenticationException,
             transport: paramiko.Transport) -> bool:
    """Tell a lost connection from a refusal; paramiko has no class for it."""
    text = str(error).lower()
    return ('timeout' in text or 'saw eof' in text
            or text == 'authentication failed.' and not transport.is_active())


def _reason(error: BaseException) -> str:
    if isinstance(error, EOFError):
        return 'it closed the connection'
    text = ' '.join(str(error).split()) or type(error).__name__
    return text[:_REASON_CHARACTERS].rstrip('.')


def _tune(sock: socket.socket, keepalive_seconds: float) -> None:
    """Send at once, and notice within a minute or so that a peer is gone."""
    quiet_seconds = max(10, int(keepalive_seconds or 30))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (('TCP_KEEPIDLE', quiet_seconds),
                        ('TCP_KEEPINTVL', 10),
                        ('TCP_USER_TIMEOUT', 2000 * quiet_seconds)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class _CooperativeSocket:
    """A socket that reads in large pieces and lets others run meanwhile.

    Paramiko reads each packet in two calls, each of which costs two system
    calls.  And a green thread whose socket always has data never yields:
    the whole service would stand still while a large answer comes in.
    """

    def __init__(self, sock: socket.socket, clock: Clock) -> None:
        self._sock = sock
        self._clock = clock
        self._buffer = memoryview(b'')
        self._held_since = clock.now()

    def recv(self, size: int) -> bytes:
        if not self._buffer:
            self._buffer = memoryview(self._fill())
        data = self._buffer[:size]
        self._buffer = self._buffer[size:]
        return bytes(data)

    def _fill(self) -> bytes:
        before = self._clock.now()
        if before - self._held_since > _LONGEST_HOLD_SECONDS:
            self._clock.sleep(0)
            self._held_since = before
        try:
            return self._sock.recv(_READ_BYTES)
        finally:
            after = self._clock.now()
            if after - before > _LONGEST_HOLD_SECONDS:
                self._held_since = after  # others ran while it waited

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


# -- fork -------------------------------------------------------------------

_open_sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def _abandon_connections() -> None:
    """Cut a forked child off from the connections of its parent.

    The child inherits the sockets and, under eventlet, the green threads
    that use them; one byte from here would ruin the parent's encryption.
    The descriptors are pointed elsewhere instead of closed: nothing of
    paramiko or of the parent's event loop is touched, and none is reused.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    try:
        for sock in list(_open_sockets):
            if sock.fileno() >= 0:
                os.dup2(nowhere, sock.fileno(), inheritable=False)
    finally:
        os.close(nowhere)
        _open_sockets.clear()


os.register_at_fork(after_in_child=_abandon_connections)
