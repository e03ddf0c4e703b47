# SPDX-License-Identifier: Apache-2.0
"""What a user, and then his operator, does with what has failed.

The volume is deleted, with its attachments and snapshots.  What a restart
has left in a status that nobody will end is reset first, as Cinder's
documentation tells operators to.
"""

from __future__ import annotations

import random

from soak_suite.actions import NOTHING
from soak_suite.api import AFTER_RESTART_SECONDS, GONE, Api, Failed, Hangs
from soak_suite.cloud import Cloud
from soak_suite.things import Things, Volume

_MIGRATING = ('starting', 'migrating', 'completing')
_DELETABLE = ('available', 'error', 'error_extending', 'error_restoring')


class Mender:
    """Deletes what is only good for that."""

    def __init__(self, cloud: Cloud, api: Api, things: Things,
                 rng: random.Random) -> None:
        self._cloud = cloud
        self._api = api
        self._client = api.client
        self._things = things
        self._rng = rng

    def mend(self) -> str:
        """Delete one volume that is spoiled."""
        with self._things.lend(lambda v: bool(v.spoiled), self._rng,
                               alone=True) as volume:
            if volume is None:
                return NOTHING
            self.remove(volume)
            return volume.id

    def remove(self, volume: Volume) -> None:
        """Delete a volume and all that hangs on it.

        :raises Failed: it did not work
        """
        volume.spoiled = volume.spoiled or 'is to be deleted'
        for attachment in self._api.attachments(volume.id):
            self._api.change(lambda i=attachment.id:  # type: ignore[misc]
                             self._client.attachments.delete(i))
        volume.attachments.clear()
        found = self._api.read(lambda: self._client.volume_snapshots.list(
            search_opts={'volume_id': volume.id}))
        for snapshot in found:
            self._remove_snapshot(snapshot.id)
        volume.snapshots.clear()
        self._remove_volume(volume.id)
        volume.gone = True

    def _remove_snapshot(self, ident: str) -> None:
        status = self._settled_snapshot(ident)
        if status == GONE:
            return
        if status not in ('available', 'error'):
            self._api.change(
                lambda: self._client.volume_snapshots.reset_state(
                    ident, 'error'))
        self._api.change(
            lambda: self._client.volume_snapshots.delete(ident))
        self._api.wait_snapshot(ident, GONE)

    def _settled_snapshot(self, ident: str) -> str:
        try:
            return self._api.wait_snapshot(
                ident, GONE, 'available', 'error', 'error_deleting',
                patience=AFTER_RESTART_SECONDS)
        except Hangs:
            return 'hangs'

    def _remove_volume(self, ident: str) -> None:
        status = self._settled_volume(ident)
        volume = self._api.volume(ident)
        if status == GONE or volume is None:
            return
        migration = getattr(volume, 'migration_status', None)
        if status not in _DELETABLE or migration in _MIGRATING:
            self._api.change(lambda: self._client.volumes.reset_state(
                ident, 'error', 'detached', 'none'))
        self._api.change(lambda: self._client.volumes.delete(ident))
        self._api.wait_volume(ident, GONE)

    def _settled_volume(self, ident: str) -> str:
        """Wait a while for a status that can be dealt with."""
        try:
            return self._api.wait_volume(
                ident, GONE, *_DELETABLE, 'error_deleting', 'in-use',
                patience=AFTER_RESTART_SECONDS)
        except Hangs:
            return 'hangs'
        except Failed:
            return 'error'
