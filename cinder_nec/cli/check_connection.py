# SPDX-License-Identifier: Apache-2.0
"""Checks of the way to the array: name, TCP, host key, login."""

from __future__ import annotations

import socket
from typing import Any

from cinder_nec import errors
from cinder_nec.assembly import Array
from cinder_nec.cli.findings import Report
from cinder_nec.cli.reading import Arrays
from cinder_nec.cli.rights import SERVICE_USER, service_can_read
from cinder_nec.config import BackendConfig
from cinder_nec.ismcli.ssh import (
    HostKeyPolicy,
    HostKeyRefused,
    HostKeyUnknown,
    LoginRefused,
)
from cinder_nec.ismcli.view_text import AccessControl

_Address = tuple[Any, ...]


def check_connection(config: BackendConfig, arrays: Arrays, report: Report,
                     timeout_seconds: float) -> Array | None:
    """Go the way to the array step by step.

    :returns: the array, or None if the way ends before it
    """
    addresses = _resolve(config, report)
    if not addresses or not _connect(addresses, report, timeout_seconds):
        return None
    array = arrays.of(config)
    try:
        if config.trust_on_first_use:
            _look_for_key(config, report, timeout_seconds)
        _login(array)
    except HostKeyRefused as error:
        report.failed('host-key', error)
    except LoginRefused as error:
        _key_is_known(config, report)
        report.failed('login', error)
    except errors.NecError as error:
        report.failed('ssh', error)
    else:
        _key_is_known(config, report)
        report.ok('ssh', 'A session comes about.')
        report.ok('login', f'{config.user} can log in.')
        return array
    return None


def _resolve(config: BackendConfig,
             report: Report) -> list[tuple[socket.AddressFamily, _Address]]:
    host = config.address.strip('[]')
    try:
        found = socket.getaddrinfo(host, config.port,
                                   type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        report.error('address', f'{host} cannot be resolved: {error}.')
        return []
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    report.ok('address', f'{host} is {", ".join(addresses)}.'
              if addresses != [host] else f'{host} is an address.')
    return [(one[0], one[4]) for one in found]


def _connect(addresses: list[tuple[socket.AddressFamily, _Address]],
             report: Report, timeout_seconds: float) -> bool:
    reasons = []
    for family, address in addresses:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout_seconds)
            try:
                sock.connect(address)
            except OSError as error:
                reasons.append(f'{_shown(address)}: '
                               f'{error.strerror or error}')
            else:
                report.ok('tcp', f'{_shown(address)} answers.')
                return True
    report.error('tcp', f'No connection: {"; ".join(reasons)}.')
    return False


def _shown(address: _Address) -> str:
    return f'{address[0]} port {address[1]}'


def _look_for_key(config: BackendConfig, report: Report,
                  timeout_seconds: float) -> None:
    """Warn if the array's key is not known yet; nothing is stored.

    :raises errors.ConnectFailed: it is another than the known one
    """
    try:
        with Arrays(timeout_seconds, HostKeyPolicy.VERIFY) as strict:
            _login(strict.of(config))
    except HostKeyUnknown as error:
        report.warning(
            'host-key', f'{error.message} strict_ssh_host_key_policy = '
            'False: it will be accepted and stored when the service '
            'connects for the first time.')


def _key_is_known(config: BackendConfig, report: Report) -> None:
    if report.has('host-key'):
        return
    if not service_can_read(config.known_hosts_file):
        report.error('host-key', f'{config.known_hosts_file} has the key, '
                     f'but the user {SERVICE_USER} cannot read that file.',
                     'Give the service access to it.')
    else:
        report.ok('host-key', 'The key is the one in '
                  f'{config.known_hosts_file}.')


def _login(array: Array) -> AccessControl | None:
    """Log in and ask something; a refusal is an answer.

    :raises errors.NecError: the array could not be asked
    """
    try:
        return array.client.view_access()
    except errors.CommandFailed:
        return None
