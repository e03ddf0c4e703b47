# SPDX-License-Identifier: Apache-2.0
"""What Cinder has, read from its objects or through its API.

Thin: it asks and renames.  Nothing of Cinder or of a client is imported;
the objects are what the caller's Cinder, python-cinderclient or
openstacksdk hands out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
import re
from typing import Any

from cinder_nec.backend.cinder_state import (
    CinderAttachment,
    CinderSnapshot,
    CinderState,
    CinderVolume,
    attachment_phase_of,
    phase_of,
)

_MIGRATION = 'os-vol-mig-status-attr:migstat'
_NAME_ID = 'os-vol-mig-status-attr:name_id'
_HOST = 'os-vol-host-attr:host'
# In what a host was told: the target it logs in to, or its own WWPNs.
_TARGET = re.compile(r"(?:iqn|eui|naa)\.[^\s'\",\]}]+")
_WWPN = re.compile(r'\b[0-9a-f]{16}\b')

IsHere = Callable[[str], bool]


def everywhere(_host: str) -> bool:
    """All back ends are audited."""
    return True


def from_objects(volumes: Iterable[Any], snapshots: Iterable[Any],
                 is_here: IsHere = everywhere) -> CinderState:
    """Read Cinder's own objects, in a service.

    :param is_here: tells by a volume's host whether it is audited
    """
    volumes = list(volumes)
    attachments = [a for v in volumes for a in v.volume_attachment or ()]
    found = tuple(_volume(v.id, v.size, v.status, v.migration_status,
                          v.name_id, v.host, is_here) for v in volumes)
    return CinderState(
        found, _snapshots(((s.id, s.volume_id, s.volume_size, s.status)
                           for s in snapshots), found),
        tuple(_attachment(a.id, a.volume_id, a.attach_status, a.connector,
                          a.connection_info) for a in attachments))


def from_client(client: Any, is_here: IsHere = everywhere) -> CinderState:
    """Read through python-cinderclient (``client.Client('3.27', ...)``).

    It has to be an administrator's, at microversion 3.27 or newer.
    """
    search = {'all_tenants': 1}
    found = tuple(_volume(
        v.id, v.size, v.status, getattr(v, _MIGRATION, None),
        getattr(v, _NAME_ID, None), getattr(v, _HOST, None), is_here)
        for v in client.volumes.list(search_opts=search))
    snapshots = client.volume_snapshots.list(search_opts=search)
    attachments = client.attachments.list(detailed=True,
                                          search_opts=search)
    return CinderState(
        found, _snapshots(((s.id, s.volume_id, s.size, s.status)
                           for s in snapshots), found),
        tuple(_attachment(a.id, a.volume_id, a.status, None,
                          getattr(a, 'connection_info', None))
              for a in attachments))


def from_sdk(block_storage: Any,
             is_here: IsHere = everywhere) -> CinderState:
    """Read through openstacksdk (``connection.block_storage``).

    It has to be an administrator's.
    """
    found = tuple(_volume(v.id, v.size, v.status, v.migration_status,
                          v.migration_id, v.host, is_here)
                  for v in block_storage.volumes(all_projects=True))
    snapshots = block_storage.snapshots(all_projects=True)
    attachments = block_storage.attachments(all_tenants=True)
    return CinderState(
        found, _snapshots(((s.id, s.volume_id, s.size, s.status)
                           for s in snapshots), found),
        tuple(_attachment(a.id, a.volume_id, a.status, a.connector,
                          a.connection_info) for a in attachments))


def _volume(cinder_id: str, size_gib: int, status: str,
            migration_status: str | None, name_id: str | None,
            host: str | None, is_here: IsHere) -> CinderVolume:
    return CinderVolume(
        cinder_id, int(size_gib), phase_of(status, migration_status),
        name_id or cinder_id, is_here(host or ''))


def _snapshots(records: Iterable[tuple[str, str, int, str]],
               volumes: Iterable[CinderVolume]
               ) -> tuple[CinderSnapshot, ...]:
    """A snapshot is where its volume is."""
    here = {v.cinder_id: v.is_here for v in volumes}
    return tuple(CinderSnapshot(
        cinder_id, volume_id, int(size_gib), phase_of(status),
        here.get(volume_id, False))
        for cinder_id, volume_id, size_gib, status in records)


def _attachment(cinder_id: str, volume_id: str, status: str,
                connector: Mapping[str, Any] | None,
                connection_info: Mapping[str, Any] | None
                ) -> CinderAttachment:
    names = {str((connector or {}).get('initiator') or '').lower()}
    names |= {str(wwpn).lower().replace(':', '')
              for wwpn in (connector or {}).get('wwpns') or ()
              if wwpn}
    # Lists in it may have become text on their way through the database.
    told = str(dict(connection_info or {}))
    targets = set(_TARGET.findall(told))
    if not connector and not targets:
        # A target's name may have the array's WWN in it.
        names |= set(_WWPN.findall(told.lower()))
    return CinderAttachment(
        cinder_id, volume_id, attachment_phase_of(status),
        frozenset(names - {''}), frozenset(targets))
