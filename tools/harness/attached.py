# SPDX-License-Identifier: Apache-2.0
"""A volume on a simulated host: attached by Cinder, connected by os-brick."""

from __future__ import annotations

from typing import Any

from simhost.process import SimHost

MIB = 1 << 20


class Attached:
    """Context manager: a server's disk, by the calls that Nova makes.

    *client* is a cinderclient; *multipath* asks for several paths.
    """

    def __init__(self, client: Any, volume: str, host: SimHost, *,
                 multipath: bool = False) -> None:
        self.client = client
        self.volume = volume
        self.host = host
        self.multipath = multipath
        self.path = ''
        #: Cinder's attachment; empty once it is gone.
        self.attachment = ''
        #: What Cinder said of the connection.
        self.info: dict[str, Any] = {}
        self._device: Any = None

    def __enter__(self) -> Attached:
        answer = self.client.attachments.create(self.volume,
                                                self.connector(), None, 'rw')
        self.attachment = answer['id']
        data = answer['connection_info']
        self.info = {'driver_volume_type': data['driver_volume_type'],
                     'data': data}
        self._device = self.host.brick('connect', info=self.info,
                                       multipath=self.multipath)
        self.path = self._device['path']
        self.client.attachments.complete(self.attachment)
        return self

    def __exit__(self, *_unused: object) -> None:
        if self.attachment:
            self._disconnect(force=False)
            self.client.attachments.delete(self.attachment)
        elif not self.multipath:
            self._disconnect(force=True)
        # else: os-brick tries for a minute to flush a lost device with
        # several paths; such a host has to be stopped.

    def connector(self) -> Any:
        """What os-brick says of the host."""
        return self.host.brick('get_connector', multipath=self.multipath)

    def _disconnect(self, force: bool) -> None:
        self.host.brick('disconnect', info=self.info, force=force,
                        multipath=self.multipath, device=self._device)

    def extend(self) -> int:
        """Have the host see the size that the volume has now."""
        return int(self.host.brick('extend', info=self.info,
                                   multipath=self.multipath))

    def take_away(self) -> None:
        """Delete Cinder's attachment under the host's feet."""
        self.client.attachments.delete(self.attachment)
        self.attachment = ''

    # -- the server's reads and writes -----------------------------------

    def write(self, text: str, offset: int) -> None:
        """One block that holds a text, on the array when this returns.

        :raises OSError: if the disk is lost
        """
        self.host.run('sh', '-c', f'printf %-4096s "{text}" | dd '
                      f'of={self.path} bs=4096 seek={offset // 4096} '
                      'conv=fsync,notrunc status=none')

    def read(self, offset: int) -> str:
        """The text of a block, from the array."""
        self.host.run('blockdev', '--flushbufs', self.path)
        return self.host.run('dd', f'if={self.path}', 'bs=4096', 'count=1',
                             f'skip={offset // 4096}',
                             'status=none').strip('\0 \n')

    def count_nonzero(self, offset: int, length: int) -> int:
        """How many bytes of a part are not zero, as the host reads it."""
        text = self.host.run(
            'sh', '-c', f'dd if={self.path} bs={MIB} '
            f'skip={offset // MIB} count={length // MIB} status=none '
            "| tr -d '\\0' | wc -c")
        return int(text)
