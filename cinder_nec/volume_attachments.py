# SPDX-License-Identifier: Apache-2.0
"""Who has a volume attached, of Cinder's records."""

from __future__ import annotations

from cinder import context as cinder_context
from cinder import exception, objects
from oslo_log import log as logging

from cinder_nec import errors, naming
from cinder_nec.backend.access.attachments import Users
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
            found[attachment.id] = _recorded(attachment)
        except errors.InvalidConnector:
            LOG.warning('Attachment %s has a connector that cannot be used; '
                        'it is passed by.', attachment.id)
    return found


def attached(volume, died: str = '') -> Users:
    """Return who has a volume attached, as its object has it.

    Cinder's backup service and its migrations use volumes without an
    attachment, which their status tells; what Nova attaches the old way
    has no connector.

    :param died: the status of attachments that never got one
    """
    hosts, is_certain = [], True
    for attachment in volume.volume_attachment or ():
        try:
            host = _recorded(attachment)
        except errors.InvalidConnector:
            is_certain = False
            continue
        if host is not None:
            hosts.append(host)
        elif attachment.connector or attachment.attach_status != died:
            is_certain = False
    return Users(tuple(hosts), may_be_more=not is_certain)


def _recorded(attachment) -> Connector | None:
    """Return the host of an attachment, None if none is recorded.

    :raises errors.InvalidConnector: what is recorded is none
    """
    host = Connector.parse(attachment.connector or {})
    return host if host.initiator or host.wwpns else None


def find_volume(name: LdName):
    """Return the volume of an LD's name as the database has it now."""
    cinder_id = naming.find_uuid(name.label)
    if cinder_id is None:
        return None
    migrated = find_migrated(cinder_id)
    if migrated is not None:
        return migrated
    try:
        volume = objects.Volume.get_by_id(
            cinder_context.get_admin_context(), cinder_id)
    except exception.VolumeNotFound:
        return None
    return volume if volume.name_id == cinder_id else None


def find_migrated(cinder_id: str):
    """Return the volume that kept its id, and has the name of this one."""
    return next(iter(objects.VolumeList.get_all(
        cinder_context.get_admin_context(),
        filters={'_name_id': cinder_id}, limit=1)), None)
