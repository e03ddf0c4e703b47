# SPDX-License-Identifier: Apache-2.0
"""Who has a volume attached, of Cinder's records."""

from __future__ import annotations

from cinder import objects
from oslo_log import log as logging

from cinder_nec import errors
from cinder_nec.backend.access.connector import Connector

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
