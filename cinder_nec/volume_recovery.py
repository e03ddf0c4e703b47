# SPDX-License-Identifier: Apache-2.0
"""The start after a crash, the part of the driver that Cinder calls."""

from __future__ import annotations

import dataclasses
from typing import Any

from oslo_log import log as logging

from cinder_nec import errors, naming
from cinder_nec.backend.access.attachments import Users
from cinder_nec.backend.recovery import Owned, OwnedSnapshot
from cinder_nec.model import LdName
from cinder_nec.volume_attachments import attached, find_volume

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
                 for s in snapshots if not self.cluster_name],
                {self._ld_name(v): self._users_at_start(v) for v in volumes})
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
                     becomes=self._name_to_come(volume))

    def _name_to_come(self, volume) -> LdName | None:
        """Return whose place a volume takes in a migration by Cinder."""
        word, _, other = (volume.migration_status or '').partition(':')
        if word != _TARGET:
            return None
        return LdName(self.backend.config.platform, naming.ld_name(other))

    def _users_at_start(self, volume) -> Users:
        """Return who has a volume attached, before requests are taken.

        What this service was attaching has died.
        """
        # In a cluster, a peer may be at work on it.
        at_rest = frozenset() if self.cluster_name else _OURS | _AT_REST
        return _users(volume, at_rest, died=_RESERVED)

    def _users_of(self, name: LdName) -> Users:
        """Return who has an LD attached, by Cinder's database right now."""
        try:
            volume = find_volume(name)
            if volume is None:
                return Users(may_be_more=True)
            return _users(volume, _AT_REST)
        except Exception as error:
            # Nothing that stats should fail for; the next ones ask again.
            LOG.warning('Who uses `%s` cannot be read from the database: %s',
                        name, error)
            return Users(may_be_more=True)


def _users(volume, at_rest: frozenset[str], died: str = '') -> Users:
    """Return who has a volume attached.

    :param at_rest: the statuses in which nobody uses it besides
    :param died: of attachments whose host was never told
    """
    users = attached(volume, died)
    if volume.status in at_rest and volume.migration_status in _NOT_MOVING:
        return users
    return dataclasses.replace(users, may_be_more=True)
