# SPDX-License-Identifier: Apache-2.0
"""A user of the cloud, for tests: acts through Cinder's API and waits.

What a test makes is deleted afterwards, and the array must then hold
nothing that was not there before.
"""

from __future__ import annotations

from typing import Any

from cinderclient import exceptions

from allinone import wait_for
from harness import drivers
from harness.stage import Stage

GIB = 1 << 30
# An operation that takes longer hangs.
PATIENCE = 60.0


class Cloud:
    """Short words for what the tests do."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.array = stage.array
        self.driver = stage.driver
        self.client = stage.cinder.client()
        self._volumes: list[str] = []
        self._snapshots: list[str] = []
        self._attachments: list[str] = []

    # -- make --------------------------------------------------------

    def create(self, size: int = 1, *, status: str = 'available',
               **arguments: Any) -> str:
        """Create a volume, wait, return its id."""
        volume = self.client.volumes.create(size, **arguments)
        self._volumes.append(volume.id)
        self.wait_volume(volume.id, status)
        return str(volume.id)

    def snapshot(self, volume: str, *, force: bool = False) -> str:
        """Take a snapshot, wait, return its id."""
        snapshot = self.client.volume_snapshots.create(
            volume, force=force or None)
        self._snapshots.append(snapshot.id)
        wait_for('snapshot available', lambda: self.snapshot_status(
            snapshot.id) == 'available', PATIENCE)
        return str(snapshot.id)

    def extend(self, volume: str, size: int) -> None:
        """Extend a volume and wait."""
        self.client.volumes.extend(volume, size)
        wait_for('volume extended', lambda: (
            self.volume_status(volume) == 'available'
            and self.client.volumes.get(volume).size == size), PATIENCE)

    def attach(self, volume: str, host: str = 'host1', *,
               multipath: bool = False) -> dict[str, Any]:
        """Attach to a host; returns the attachment, completed."""
        attachment: dict[str, Any] = self.client.attachments.create(
            volume, self.connector(host, multipath=multipath), None, 'rw')
        self._attachments.append(attachment['id'])
        self.client.attachments.complete(attachment['id'])
        return attachment

    def connector(self, host: str = 'host1', *,
                  multipath: bool = False) -> dict[str, Any]:
        """What os-brick would say of a host."""
        number = int(host.lstrip('host') or 0)
        return {
            'host': host,
            'ip': f'192.0.2.{number}',
            'initiator': f'iqn.1994-05.com.redhat:{host}',
            'wwpns': [f'10000090faa0{number:02x}{port:02x}'
                      for port in (0, 1)],
            'wwnns': [f'20000090faa0{number:02x}00'],
            'multipath': multipath,
            'os_type': 'linux',
            'platform': 'x86_64',
            'do_local_attach': False,
        }

    def initiators(self, host: str = 'host1') -> set[str]:
        """How the array knows a host, for the driver's protocol."""
        connector = self.connector(host)
        if self.driver.protocol == drivers.FC:
            return set(connector['wwpns'])
        return {connector['initiator']}

    # -- unmake ------------------------------------------------------

    def detach(self, attachment: dict[str, Any]) -> None:
        """Detach; returns when it is done."""
        self.client.attachments.delete(attachment['id'])
        self._attachments.remove(attachment['id'])

    def delete(self, volume: str) -> None:
        """Delete a volume and wait until it is gone."""
        self.client.volumes.delete(volume)
        wait_for('volume gone', lambda: self.volume_status(volume)
                 == 'gone', PATIENCE)
        self._volumes.remove(volume)

    def delete_snapshot(self, snapshot: str) -> None:
        """Delete a snapshot and wait until it is gone."""
        self.client.volume_snapshots.delete(snapshot)
        wait_for('snapshot gone', lambda: self.snapshot_status(snapshot)
                 == 'gone', PATIENCE)
        self._snapshots.remove(snapshot)

    def forget(self, attachment: dict[str, Any]) -> None:
        """The test detached this one in a way of its own."""
        self._attachments.remove(attachment['id'])

    def clean_up(self) -> None:
        """Take back all that is left of what this user made."""
        for attachment in list(self._attachments):
            self.detach({'id': attachment})
        for snapshot in list(self._snapshots):
            self.delete_snapshot(snapshot)
        for volume in reversed(list(self._volumes)):
            self.delete(volume)

    # -- look --------------------------------------------------------

    def volume(self, volume: str) -> Any:
        return self.client.volumes.get(volume)

    def volume_status(self, volume: str) -> str:
        return self._status(self.client.volumes, volume)

    def snapshot_status(self, snapshot: str) -> str:
        return self._status(self.client.volume_snapshots, snapshot)

    def wait_volume(self, volume: str, status: str) -> None:
        """Wait for a status; any error status ends the wait."""
        def reached() -> bool:
            now = self.volume_status(volume)
            if 'error' in now and now != status:
                raise AssertionError(
                    f'volume {volume} went to {now}\n'
                    f'{self.stage.errors() or self.stage.cinder.tail()}')
            return now == status
        wait_for(f'volume {status}', reached, PATIENCE)

    def _status(self, manager: Any, uuid: str) -> str:
        try:
            return str(manager.get(uuid).status)
        except exceptions.NotFound:
            return 'gone'

    # -- bytes -------------------------------------------------------

    def write(self, volume: str, text: str, offset: int = 0) -> None:
        """Put bytes on the array's disk, as a host would."""
        self.array.write(volume, offset, text.encode())

    def read(self, volume: str, length: int, offset: int = 0) -> str:
        """Bytes on the array's disk."""
        return self.array.read(volume, offset, length).decode()
