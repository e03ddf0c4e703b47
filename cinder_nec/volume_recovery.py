# SPDX-License-Identifier: Apache-2.0
"""The start after a crash, the part of the driver that Cinder calls."""

from __future__ import annotations

from typing import Any

from oslo_log import log as logging

from cinder_nec import errors, naming
from cinder_nec.backend.access.connector import Connector
from cinder_nec.backend.recovery import Owned, OwnedSnapshot
from cinder_nec.model import LdName

LOG = logging.getLogger(__name__)

# What only this service did, in the run that has ended.  A retype through a
# host shows in the migration status, and Cinder leaves the status as it is.
_OURS = frozenset({'creating', 'downloading', 'uploading', 'deleting',
                   'extending', 'reverting', 'retyping'})
# The host of the volume tells who does it.
_MADE_BY_HOST = frozenset({'creating', 'downloading'})
# Nothing runs, whoever did it.
_AT_REST = frozenset({'available', 'in-use', 'reserved', 'error',
                      'error_deleting', 'error_extending'})
_NOT_MOVING = frozenset({None, '', 'none', 'success', 'error'})
_BROKEN_OFF = frozenset({'error', 'error_deleting'})
# Of an attachment whose host was not told yet.
_RESERVED = 'reserved'
# ``target:<volume>``, of the volume that Cinder migrates another one to.
_TARGET = 'target'


class RecoveryMixin:
    """Methods of the driver that put things in order at the start."""

    backend: Any
    host: Any
    cluster_name: Any
    _driver_name: Any
    _ld_name: Any
    _snapshot_name: Any

    def update_provider_info(self, volumes, snapshots):
        """Go on with, or take back, what the last run has left.

        The manager calls it at start with the volumes and snapshots of
        this service, perhaps a part at a time, before it takes requests.
        """
        # A snapshot reads its volume from the database, one by one.
        known = {v.id: v for v in volumes}
        try:
            self.backend.recovery.run(
                [self._owned(v) for v in volumes if self._is_free(v)],
                # In a cluster, a peer may be showing one to a host.
                [OwnedSnapshot(
                    self._snapshot_name(s),
                    self._ld_name(known.get(s.volume_id) or s.volume))
                 for s in snapshots if not self.cluster_name])
        except errors.NecError as error:
            LOG.warning('%s: what the last run has left is not looked at: '
                        '%s', self._driver_name, error)
        return None, None

    def _is_free(self, volume) -> bool:
        """Tell whether no other service can be working on a volume.

        The services of a cluster have their volumes in common; one that
        one of them makes bears its name.
        """
        if not self.cluster_name:
            return True
        return (str(volume.host).partition('#')[0] == self.host
                and volume.status in _MADE_BY_HOST | _AT_REST
                and volume.migration_status in _NOT_MOVING)

    def _owned(self, volume) -> Owned:
        status = volume.status
        return Owned(self._ld_name(volume),
                     unfinished=status in _OURS | _BROKEN_OFF,
                     hosts=self._hosts_of(volume),
                     becomes=self._name_to_come(volume))

    def _name_to_come(self, volume) -> LdName | None:
        """Return whose place a volume takes in a migration by Cinder."""
        word, _, other = (volume.migration_status or '').partition(':')
        if word != _TARGET:
            return None
        return LdName(self.backend.config.platform, naming.ld_name(other))

    def _hosts_of(self, volume) -> tuple[Connector, ...] | None:
        """Return who has a volume attached, None if that is not certain.

        Cinder's backup service and its migrations use volumes without an
        attachment; and what Nova attaches the old way has no connector.
        """
        if (self.cluster_name or volume.status not in _OURS | _AT_REST
                or volume.migration_status not in _NOT_MOVING):
            return None
        hosts = []
        for attachment in volume.volume_attachment or ():
            if attachment.connector:
                try:
                    hosts.append(Connector.parse(attachment.connector))
                except errors.InvalidConnector:
                    return None
            elif attachment.attach_status != _RESERVED:
                return None
        return tuple(hosts)
