# SPDX-License-Identifier: Apache-2.0
"""Who may log in, and as whom the array shows itself."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from pathlib import Path

import paramiko

_KEY_TYPES = ('ssh-rsa', 'ssh-ed25519', 'ecdsa-sha2-nistp256',
              'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521')


class Accounts:
    """One user, with a password, public keys, or both."""

    def __init__(self, user: str, password: str | None,
                 authorized_keys: Path | None = None) -> None:
        self.user = user
        self._password = password
        self._keys = authorized_keys

    def allows_password(self, user: str, password: str) -> bool:
        """Whether the password is right."""
        return (self._password is not None and user == self.user
                and hmac.compare_digest(password.encode(),
                                        self._password.encode()))

    def allows_key(self, user: str, key: paramiko.PKey) -> bool:
        """Whether the public key is registered."""
        return user == self.user and key.asbytes() in self._registered()

    def methods(self) -> str:
        """The methods that make sense, as SSH names them."""
        names = []
        if self._keys is not None:
            names.append('publickey')
        if self._password is not None:
            names.append('password')
        return ','.join(names)

    def _registered(self) -> set[bytes]:
        """Read anew each time: keys may come and go while it runs."""
        if self._keys is None:
            return set()
        files = ([self._keys] if self._keys.is_file()
                 else sorted(self._keys.glob('*')))
        found = set()
        for path in files:
            for line in path.read_text(encoding='utf-8').splitlines():
                words = line.split()
                for index, word in enumerate(words[:-1]):
                    if word in _KEY_TYPES:
                        try:
                            found.add(base64.b64decode(words[index + 1]))
                        except binascii.Error:
                            pass
                        break
        return found


def load_host_key(path: Path) -> paramiko.PKey:
    """Read a host key of any type."""
    return paramiko.PKey.from_path(path)


def ensure_host_key(path: Path) -> paramiko.PKey:
    """The host key of a state directory; made at the first start."""
    if not path.exists():
        key = paramiko.ECDSAKey.generate(bits=256)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL,
                             0o600)
        with os.fdopen(descriptor, 'w', encoding='utf-8') as file:
            key.write_private_key(file)
    return load_host_key(path)
