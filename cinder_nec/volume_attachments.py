# SPDX-License-Identifier: Apache-2.0
"""Who has a volume attached, of Cinder's records."""

from __future__ import annotations

from cinder import context as cinder_context
from cinder import exception, objects
from oslo_log import log as logging

from cinder_nec import errors, naming
from cinder_nec.backend.access.connector import Connector
from cinder_nec.model import LdName

LOG = logging.getLogger(__name__)


def attachments_of(volume) -> dict[str, Connector | None]:
    """Return who has a volume attached, as Cinder's database has it now.

    The object is as old as its request.
    """
    if isinstance(volume, objects.Volume):
        volume.obj_load_attr('volume_attachment')
    found: dict[str, Connector | None] = {}
    for attachment in volume.volume_attachment or ():
        try:
            host = Connector.parse(attachment.connector or {})
        except errors.InvalidConnector:
            LOG.warning('Attachment %s has a connector that cannot be used; '
                        'it is passed by.', attachment.id)
        else:
            found[attachment.id] = (
                host if host.initiator or host.wwpns else None)
    return found


def attached(volume, died: str = '') -> tuple[tuple[Connector, ...], bool]:
    """Return the hosts of a volume's attachments, and whether that is all.

    Cinder's backup service and its migrations use volumes without an
    attachment, which their status tells; what Nova attaches the old way
    has no connector.

    :param died: the status of attachments that never got one
    """
    hosts, is_certain = [], True
    for attachment in volume.volume_attachment or ():
        if not attachment.connector:
            is_certain = is_certain and attachment.attach_status == died
            continue
        try:
            host = Connector.parse(attachment.connector)
        except errors.InvalidConnector:
            is_certain = False
        else:
            hosts.append(host)
            is_certain = is_certain and bool(host.initiator or host.wwpns)
    return tuple(hosts), is_certain


def find_volume(name: LdName):
    """Return the volume of an LD's name as the database has it now."""
    cinder_id = naming.find_uuid(name.label)
    if cinder_id is None:
        return None
    admin = cinder_context.get_admin_context()
    # One that was migrated has the name of another one.
    for volume in objects.VolumeList.get_all(
            admin, filters={'_name_id': cinder_id}, limit=1):
        return volume
    try:
        volume = objects.Volume.get_by_id(admin, cinder_id)
    except exception.VolumeNotFound:
        return None
    return volume if volume.name_id == cinder_id else None
