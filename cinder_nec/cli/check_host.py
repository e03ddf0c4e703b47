# SPDX-License-Identifier: Apache-2.0
"""Checks of this host as an initiator, through os-brick."""

from __future__ import annotations

import socket
from typing import Any

from cinder_nec import assembly, errors
from cinder_nec.assembly import Array
from cinder_nec.backend.access.connector import Connector
from cinder_nec.cli import brick
from cinder_nec.cli.base import whoami
from cinder_nec.cli.findings import Report
from cinder_nec.cli.site import Entry
from cinder_nec.model import Protocol


def check_host(entry: Entry, array: Array, report: Report) -> None:
    """See how the array would know this host, and what it would get."""
    assert entry.config is not None and entry.driver is not None
    protocol = entry.driver.protocol
    try:
        connector = this_host(protocol)
    except errors.NecError as error:
        report.warning('initiator', f'{error.message} (as {whoami()})')
        return
    names = ([str(connector.initiator)] if protocol is Protocol.ISCSI
             else [str(wwpn) for wwpn in connector.wwpns])
    report.ok('initiator', f'{connector.host}: {", ".join(names)}.')
    access = assembly.access_to(array, entry.config, protocol)
    try:
        name, exists = access.planned(connector)
    except errors.NecError as error:
        report.failed('host-ld-set', error)
        return
    report.ok('host-ld-set', f'{name}.' if exists else
              f'{name}, which is made at the first attach.')


def this_host(protocol: Protocol) -> Connector:
    """Return what os-brick says of this host.

    With the rights of whoever runs the command; no sudo is tried.

    :raises errors.NecError: it has no name in this protocol
    """
    properties: dict[str, Any] = {'host': socket.gethostname()}
    properties.update(brick.ask_brick(protocol))
    connector = Connector.parse(properties)
    if protocol is Protocol.ISCSI and connector.initiator is None:
        raise errors.NotFound('This host has no iSCSI initiator name.')
    if protocol is Protocol.FC and not connector.wwpns:
        raise errors.NotFound('This host has no WWPN of an HBA that is '
                              'online.')
    return connector
