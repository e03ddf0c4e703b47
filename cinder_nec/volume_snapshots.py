# SPDX-License-Identifier: Apache-2.0
"""Revert, and snapshots that hosts see, the part that Cinder calls.

Cinder's backup service reads snapshots: of a volume in use it takes a
temporary one.
"""

from __future__ import annotations

from typing import Any

from cinder_nec.backend.access.connector import Connector, describe
from cinder_nec.translate import reporting


class SnapshotUseMixin:
    """Methods of the driver that use a snapshot."""

    backend: Any
    PROTOCOL: Any
    _ld_name: Any
    _snapshot_name: Any
    _of_snapshot: Any
    _connected: Any
    _ended: Any

    # -- revert --------------------------------------------------------

    def revert_to_snapshot(self, context, volume, snapshot):
        """Give a detached volume the content of a snapshot back."""
        with reporting('Reverted to Snapshot', 'Revert to Snapshot',
                       f'Volume ID = {volume.id}, '
                       f'{self._of_snapshot(snapshot)}'):
            self.backend.copying.revert(self._ld_name(volume),
                                        self._snapshot_name(snapshot))

    def snapshot_revert_use_temp_snapshot(self):
        """Return False: a revert that fails is repeated.

        The array keeps the snapshot until it is done and afterwards.
        Another one would take a place that may not be there, and with
        data replication a whole copy.
        """
        return False

    # -- access --------------------------------------------------------

    def backup_use_temp_snapshot(self):
        """Return True: a volume in use is backed up from a snapshot."""
        return True

    def create_export_snapshot(self, context, snapshot, connector):
        """Nothing: initialize_connection_snapshot does it."""

    def remove_export_snapshot(self, context, snapshot):
        """Remove what shows the snapshot, unless a host still sees it."""
        with reporting('Removed Export Snapshot', 'Remove Export Snapshot',
                       f'Snapshot ID = {snapshot.id}'):
            self.backend.snapshot_access.release(
                self._ld_name(snapshot.volume),
                self._snapshot_name(snapshot))

    def initialize_connection_snapshot(self, snapshot, connector, **kwargs):
        """Show a snapshot to a host, to be read; tell how to reach it."""
        protocol = self.PROTOCOL.value
        with reporting(f'Initialized {protocol} Connection snapshot',
                       f'Initialize {protocol} Connection snapshot',
                       _of_connection(snapshot, connector)):
            info = self.backend.snapshot_access.attach(
                self._ld_name(snapshot.volume),
                self._snapshot_name(snapshot), Connector.parse(connector),
                self._connected)
        info['data']['volume_id'] = snapshot.id
        return info

    def terminate_connection_snapshot(self, snapshot, connector, **kwargs):
        """Hide a snapshot from a host, from all without a connector."""
        protocol = self.PROTOCOL.value
        with reporting(f'Terminated {protocol} Connection snapshot',
                       f'Terminate {protocol} Connection snapshot',
                       _of_connection(snapshot, connector)):
            host = Connector.parse(connector) if connector else None
            return self._ended(self.backend.snapshot_access.detach(
                self._ld_name(snapshot.volume),
                self._snapshot_name(snapshot), host), host)


def _of_connection(snapshot, connector) -> str:
    return f'Snapshot ID = {snapshot.id}, Connector = {describe(connector)}'
