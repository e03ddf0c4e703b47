# SPDX-License-Identifier: Apache-2.0
"""A server, transports to it, and threads, all ended after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses
import pathlib
from typing import Any

import pytest

from cinder_nec.ismcli.ssh import SshSettings, SshTransport
from tests.ssh import support
from tests.ssh.server import Server

Connect = Callable[..., SshTransport]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server([support.key('ed25519')],
                password=support.PASSWORD) as running:
        yield running


@pytest.fixture
def clock() -> support.Clock:
    return support.Clock()


@pytest.fixture
def hosts(server: Server, tmp_path: pathlib.Path) -> pathlib.Path:
    """A file in which the server's key is known."""
    path = tmp_path / 'hosts'
    path.write_text(support.host_line(f'[127.0.0.1]:{server.port}',
                                      'ed25519'))
    return path


@pytest.fixture
def settings(server: Server, hosts: pathlib.Path) -> SshSettings:
    return SshSettings(host='127.0.0.1', port=server.port, user='sysadmin',
                       password=support.PASSWORD,
                       known_hosts_file=str(hosts))


@pytest.fixture
def connect(settings: SshSettings, clock: support.Clock,
            server: Server) -> Iterator[Connect]:
    """Make a transport; arguments replace settings."""
    made: list[SshTransport] = []

    def make(**changes: Any) -> SshTransport:
        made.append(SshTransport(dataclasses.replace(settings, **changes),
                                 clock))
        return made[-1]

    yield make
    server.gate.set()
    for transport in made:
        transport.close()


@pytest.fixture
def threads(server: Server) -> Iterator[support.Background]:
    with support.background() as running:
        yield running
        server.gate.set()
