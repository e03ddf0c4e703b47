# SPDX-License-Identifier: Apache-2.0
"""Keys, a clock that can be put forward, and commands in the background."""

from __future__ import annotations

from collections.abc import Callable
import concurrent.futures
import contextlib
import functools
import io
import pathlib
import threading
import time
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
import paramiko

from cinder_nec.ismcli import ssh_pool
from cinder_nec.ismcli.ssh import SshTransport
from tests.ssh.server import WAIT_SECONDS

PASSWORD = 'sys123-do-not-tell'
PEM = serialization.Encoding.PEM
OPENSSH = serialization.PrivateFormat.OpenSSH
PKCS8 = serialization.PrivateFormat.PKCS8
TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL


@functools.cache
def raw_key(kind: str) -> Any:
    """Return a fresh secret key of the cryptography library."""
    if kind == 'rsa':
        return rsa.generate_private_key(65537, 2048)
    if kind == 'ed25519':
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(
        {'ecdsa': ec.SECP256R1(), 'ecdsa-521': ec.SECP521R1()}[kind])


@functools.cache
def key(kind: str) -> paramiko.PKey:
    text = raw_key(kind).private_bytes(
        PEM, OPENSSH, serialization.NoEncryption()).decode()
    key_class = {'rsa': paramiko.RSAKey, 'ed25519': paramiko.Ed25519Key}.get(
        kind, paramiko.ECDSAKey)
    return key_class.from_private_key(io.StringIO(text))


def write_key(path: pathlib.Path, kind: str,
              form: serialization.PrivateFormat = OPENSSH,
              passphrase: bytes | None = None) -> str:
    """Write a secret key to a file and return the file's name."""
    encryption: serialization.KeySerializationEncryption = (
        serialization.NoEncryption() if passphrase is None
        else serialization.BestAvailableEncryption(passphrase))
    path.write_bytes(raw_key(kind).private_bytes(PEM, form, encryption))
    return str(path)


def host_line(name: str, kind: str) -> str:
    return f'{name} {key(kind).get_name()} {key(kind).get_base64()}\n'


class Clock:
    """The machine's clock, which a test can put forward."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        return time.monotonic() + self._ahead

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


def pool_of(transport: SshTransport) -> ssh_pool.Pool:
    return transport._pool()


class Background:
    """Threads that are waited for at the end, whatever happened."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def start(self, task: Callable[..., Any],
              *arguments: Any) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def body() -> None:
            try:
                future.set_result(task(*arguments))
            except Exception as error:
                future.set_exception(error)

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        self._threads.append(thread)
        return future

    def join(self) -> None:
        for thread in self._threads:
            thread.join(WAIT_SECONDS)
            assert not thread.is_alive(), 'a thread hangs'


def results(futures: list[concurrent.futures.Future[Any]]) -> list[Any]:
    return [future.result(WAIT_SECONDS) for future in futures]


def error_of(future: concurrent.futures.Future[Any]) -> BaseException | None:
    return future.exception(WAIT_SECONDS)


@contextlib.contextmanager
def background() -> Any:
    threads = Background()
    yield threads
    threads.join()
