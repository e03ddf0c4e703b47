# SPDX-License-Identifier: Apache-2.0
"""Our own secret key and the array's public one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
import dataclasses
import enum
import fcntl
import hashlib
import hmac
import io
import ipaddress
import os
import re
import threading

from cryptography import exceptions as crypto_exceptions
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
import paramiko

from cinder_nec import errors

_KEY_OPTION = 'nec_ismcli_privkey'
_HOSTS_OPTION = 'ssh_hosts_key_file'
_STRICT_OPTION = 'strict_ssh_host_key_policy'
_LONGEST_FILE_BYTES = 1 << 20
_DEFAULT_PORT = 22


# -- the secret key ---------------------------------------------------------

def check_key_file(path: str) -> None:
    """Find out, without connecting, whether a secret key file is usable.

    :raises errors.ConfigError: it cannot be read, is encrypted, or is not
        an RSA, ECDSA or Ed25519 secret key
    """
    load_key_file(path)


def load_key_file(path: str) -> paramiko.PKey:
    """Return the secret key in a file, in OpenSSH or PEM format.

    :raises errors.ConfigError: as :func:`check_key_file`
    """
    data = _read_key_file(path)
    try:
        if b'BEGIN OPENSSH PRIVATE KEY' in data:
            key: object = serialization.load_ssh_private_key(data, None)
        else:
            key = serialization.load_pem_private_key(data, None)
    except (TypeError, ValueError,
            crypto_exceptions.UnsupportedAlgorithm) as error:
        # A TypeError says that a password is missing, as does a ValueError
        # of older versions for OpenSSH's format.
        if isinstance(error, TypeError) or 'is password-prot' in str(error):
            raise errors.ConfigError(
                _KEY_OPTION,
                f'The secret key file `{path}` specified for '
                f'`{_KEY_OPTION}` is encrypted.',
                'Specify a secret key without a passphrase; '
                '`ssh-keygen -p -f FILE` removes it from a copy.') from None
        raise _not_a_key(path, data) from None
    return _as_paramiko(key, path)


def _read_key_file(path: str) -> bytes:
    try:
        with open(os.path.expanduser(path), 'rb') as key_file:
            return key_file.read(_LONGEST_FILE_BYTES)
    except PermissionError:
        hint = ('The user of the service may not have the access right for '
                f'the secret key file specified for `{_KEY_OPTION}`.')
        reason = 'permission denied'
    except (OSError, ValueError) as error:
        hint = (f'The secret key file path or file name specified for '
                f'`{_KEY_OPTION}` may be incorrect.')
        reason = getattr(error, 'strerror', None) or str(error)
    raise errors.ConfigError(
        _KEY_OPTION,
        f'The secret key file `{path}` cannot be read: {reason}.', hint)


def _not_a_key(path: str, data: bytes) -> errors.ConfigError:
    hint = ('Specify an RSA, ECDSA or Ed25519 secret key in OpenSSH or PEM '
            'format, as `ssh-keygen` makes it.')
    if data.startswith(b'PuTTY-User-Key-File'):
        hint = 'It is a PuTTY key; `puttygen -O private-openssh` converts it.'
    elif re.match(rb'(ssh|ecdsa)-\S+ AAAA', data):
        hint = 'It is a public key; specify the secret key that belongs to it.'
    return errors.ConfigError(
        _KEY_OPTION,
        f'The file `{path}` specified for `{_KEY_OPTION}` is not a secret '
        'key of a known format.', hint)


def _as_paramiko(key: object, path: str) -> paramiko.PKey:
    """Return a key of the cryptography library as one of paramiko's.

    Paramiko reads only some of the file formats itself, so that the key
    goes through the one that all its key classes know.
    """
    key_class: type[paramiko.PKey]
    if isinstance(key, rsa.RSAPrivateKey):
        key_class = paramiko.RSAKey
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        key_class = paramiko.ECDSAKey
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        key_class = paramiko.Ed25519Key
    else:
        raise _unusable(path, type(key).__name__)
    try:
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption()).decode()
        return key_class.from_private_key(io.StringIO(text))
    except (ValueError, crypto_exceptions.UnsupportedAlgorithm,
            paramiko.SSHException) as error:
        raise _unusable(path, str(error)) from None


def _unusable(path: str, what: str) -> errors.ConfigError:
    return errors.ConfigError(
        _KEY_OPTION,
        f'The secret key in `{path}` specified for `{_KEY_OPTION}` is of a '
        f'type that cannot be used ({what}).',
        'Specify an RSA, ECDSA or Ed25519 secret key.')


# -- the keys of hosts ------------------------------------------------------

class HostKeyPolicy(enum.Enum):
    """What to do with an array whose key is not known."""

    VERIFY = 'verify'
    """Refuse it: the key must be in the file."""

    TRUST_ON_FIRST_USE = 'trust on first use'
    """Write its key to the file and go on; a changed key is refused."""

    TRUST_ONCE = 'trust once'
    """Go on and write nothing; a changed key is refused."""


class HostKeyRefused(errors.ConnectFailed):
    """The array shows a key that is not the known one."""


class HostKeyUnknown(HostKeyRefused):
    """No key of the array is known."""


@dataclasses.dataclass(frozen=True)
class HostKey:
    """A public key of a host."""

    type: str
    data: bytes

    @classmethod
    def of(cls, key: paramiko.PKey) -> HostKey:
        return cls(key.get_name(), key.asbytes())

    @property
    def fingerprint(self) -> str:
        """Return it in the form that ``ssh-keygen -l`` prints."""
        digest = hashlib.sha256(self.data).digest()
        return 'SHA256:' + base64.b64encode(digest).decode().rstrip('=')

    @property
    def text(self) -> str:
        return f'{self.type} {base64.b64encode(self.data).decode()}'


class KnownHosts:
    """The keys that one host may show, from a file in OpenSSH's format.

    Safe for many threads and, through a lock on the file, for many
    processes.  Without a file, keys are known for the life of the object.

    :param path: the file (need not exist), or None
    """

    def __init__(self, path: str | None, host: str, port: int,
                 policy: HostKeyPolicy) -> None:
        self._path = None if path is None else os.path.expanduser(path)
        self._host = host
        self._port = port
        self._policy = policy
        self._names = _names_of(host, port)
        self._memory: list[str] = []
        self._lock = threading.Lock()

    def key_types(self) -> list[str]:
        """Return the types of the known keys of the host."""
        accepted, _revoked = self._keys(self._lines())
        return list(dict.fromkeys(key.type for key in accepted))

    def verify(self, key: HostKey) -> None:
        """Return if the host may show this key; learn it if that is asked.

        :raises errors.ConnectFailed: it may not (permanent)
        """
        if self._is_known(key, self._lines()):
            return
        if self._policy is HostKeyPolicy.VERIFY:
            raise self._unknown(key)
        if self._policy is HostKeyPolicy.TRUST_ON_FIRST_USE:
            self._add(key)

    def _is_known(self, key: HostKey, lines: list[str]) -> bool:
        """Tell whether the key is known.

        :raises errors.ConnectFailed: another key is
        """
        accepted, revoked = self._keys(lines)
        if key in revoked:
            raise self._refused(key, 'is marked as revoked')
        if key in accepted:
            return True
        if accepted:
            raise self._refused(key, 'is not the known one')
        return False

    def _keys(self, lines: list[str]) -> tuple[list[HostKey], list[HostKey]]:
        """Return the accepted and the revoked keys of the host."""
        accepted, revoked = [], []
        for marker, names, key in _entries(lines):
            if _matches(names, self._names):
                if marker == '@revoked':
                    revoked.append(key)
                elif not marker:
                    accepted.append(key)
        return accepted, revoked

    def _lines(self) -> list[str]:
        if self._path is None:
            with self._lock:
                return list(self._memory)
        try:
            with open(self._path, encoding='utf-8',
                      errors='replace') as hosts_file:
                return hosts_file.read().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._no_file('read', error) from error

    def _add(self, key: HostKey) -> None:
        """Append the key, unless somebody else just did."""
        name = (self._host if self._port == _DEFAULT_PORT
                else f'[{self._host}]:{self._port}')
        line = f'{name} {key.text}'
        with self._lock:
            if self._path is None:
                if not self._is_known(key, self._memory):
                    self._memory.append(line)
                return
            try:
                self._append(self._path, key, line)
            except OSError as error:
                raise self._no_file('written', error) from error

    def _append(self, path: str, key: HostKey, line: str) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND,
                             0o600)
        with os.fdopen(descriptor, 'r+b') as hosts_file:
            fcntl.flock(hosts_file, fcntl.LOCK_EX)
            text = hosts_file.read().decode(errors='replace')
            if self._is_known(key, text.splitlines()):
                return
            # A last line without an end would swallow ours.
            start = '\n' if text and not text.endswith('\n') else ''
            hosts_file.write(f'{start}{line}\n'.encode())
            hosts_file.flush()
            os.fsync(hosts_file.fileno())

    # -- errors -------------------------------------------------------------

    def _where(self) -> str:
        return f'the disk array {self._host} port {self._port}'

    def _unknown(self, key: HostKey) -> errors.ConnectFailed:
        option = f'-p {self._port} ' if self._port != _DEFAULT_PORT else ''
        short = key.type.removeprefix('ssh-').split('-')[0]
        if self._path is None:
            how = (f'set `{_HOSTS_OPTION}` to a file and add the key with '
                   f'`ssh-keyscan {option}-t {short} {self._host}`')
        else:
            how = (f'add it to the file of `{_HOSTS_OPTION}` with '
                   f'`ssh-keyscan {option}-t {short} {self._host} >> '
                   f'{self._path}`')
        return HostKeyUnknown(
            f'The host key of {self._where()} is not known: {key.type} '
            f'{key.fingerprint}. Nothing was sent to it.',
            'Compare this fingerprint with that of the disk array; if it is '
            f'the same, {how}, or set `{_STRICT_OPTION}` to False to accept '
            'keys at the first connection.', permanent=True)

    def _refused(self, key: HostKey, why: str) -> errors.ConnectFailed:
        name = (self._host if self._port == _DEFAULT_PORT
                else f'[{self._host}]:{self._port}')
        return HostKeyRefused(
            f'The host key of {self._where()} {why}: it shows {key.type} '
            f'{key.fingerprint}. Nothing was sent to it.',
            'Somebody may be listening in. If the key of the disk array was '
            f'changed on purpose, `ssh-keygen -R "{name}" -f '
            f'{self._path or "FILE"}` removes the old one from the file of '
            f'`{_HOSTS_OPTION}`.', permanent=True)

    def _no_file(self, what: str, error: OSError) -> errors.ConnectFailed:
        return HostKeyRefused(
            f'The file `{self._path}` specified for `{_HOSTS_OPTION}` '
            f'cannot be {what}: {error.strerror or error}.',
            'Give the user of the service access to it, or specify another '
            'file.', permanent=True)


def _names_of(host: str, port: int) -> frozenset[str]:
    """Return the names under which a host may stand in the file."""
    hosts = {host.lower()}
    try:
        hosts.add(ipaddress.ip_address(host).compressed)
    except ValueError:
        pass  # a name, not an address
    names = {f'[{host}]:{port}' for host in hosts}
    return frozenset(names | hosts if port == _DEFAULT_PORT else names)


def _entries(lines: list[str]) -> Iterator[tuple[str, str, HostKey]]:
    """Yield marker, names and key of each line that has a key."""
    for line in lines:
        fields = line.split()
        marker = ''
        if fields and fields[0].startswith('@'):
            marker = fields.pop(0)
        if len(fields) < 3 or fields[0].startswith('#'):
            continue
        try:
            data = base64.b64decode(fields[2], validate=True)
        except (binascii.Error, ValueError):
            continue
        yield marker, fields[0], HostKey(fields[1], data)


def _matches(patterns: str, names: frozenset[str]) -> bool:
    """Tell whether a comma-separated list of patterns means the host."""
    found = False
    for pattern in patterns.split(','):
        if pattern.startswith('!'):
            if _match_one(pattern[1:], names):
                return False
        elif _match_one(pattern, names):
            found = True
    return found


def _match_one(pattern: str, names: frozenset[str]) -> bool:
    if pattern.startswith('|1|'):
        return any(_match_hash(pattern, name) for name in names)
    if '*' in pattern or '?' in pattern:
        wanted = re.compile(''.join(
            {'*': '.*', '?': '.'}.get(c, re.escape(c))
            for c in pattern.lower()))
        return any(wanted.fullmatch(name) for name in names)
    return pattern.lower() in names


def _match_hash(pattern: str, name: str) -> bool:
    try:
        salt, wanted = (base64.b64decode(field, validate=True)
                        for field in pattern.split('|')[2:4])
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(
        hmac.new(salt, name.encode(), hashlib.sha1).digest(), wanted)
