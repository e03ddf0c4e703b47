# SPDX-License-Identifier: Apache-2.0
"""Chapter 7.1 of the manual, step by step, with checks after each."""

from __future__ import annotations

import json
from typing import Any

from allinone import wait_for
from harness import cli, drivers
from harness.stage import Stage
from harness.steps import Runner, Step

GIB = 1 << 30
INITIATOR = 'iqn.1994-05.com.redhat:demo-host'
WWPNS = ('10000090faa0786a', '10000090faa0786b')
WWNN = '20000090faa0786a'
HOST = 'demo-host'
SHOWN = ('id', 'size', 'status', 'source_volid', 'snapshot_id', 'volume_id')
# Where the demo writes: the first block, one amid the volume, the last.
OFFSETS = (0, 300 << 20, GIB - 4096)


class Walk:
    """The walk-through; each method is a step and needs those before."""

    def __init__(self, stage: Stage, runner: Runner) -> None:
        self.stage = stage
        self.array = stage.array
        self.run = runner
        self.client = stage.cinder.client()
        self.volume = ''
        self.snapshot = ''
        self.restored = ''
        self.clone = ''

    def all_steps(self) -> None:
        """The whole chapter, from an empty list to an empty list."""
        self.empty_list()
        self.create()
        attachment = self.attach()
        self.detach(attachment)
        self.take_snapshot()
        self.volume_from_snapshot()
        self.make_clone()
        self.extend()
        self.delete_snapshot()
        self.delete_volumes()

    # -- steps -------------------------------------------------------

    def empty_list(self) -> None:
        with self.run.step('Display a volume list') as step:
            output = self.run.cinder('list')
            self.run.took(step)
            self.run.check(step, 'Cinder has no volume',
                           not cli.rows(output), output)

    def create(self) -> None:
        with self.run.step('Create a 1-GB volume') as step:
            self.volume = self._create(step, '1', '--name', 'demo')
            self._check_ld(step, 'volume', self.volume, GIB)
            self._write(self.volume, b'first')

    def attach(self) -> str:
        with self.run.step('Attach the volume to a host') as step:
            attachment = self._attach()
            self.run.cinder('attachment-complete', attachment)
            self._wait_volume(self.volume, 'in-use')
            self.run.took(step, 'until in-use')
            sets = self.array.sets_of(self.volume)
            name = sets[0].name if sets else None
            self.run.check(
                step, f'mapped in LD Set {name}, which holds the host',
                len(sets) == 1 and (
                    INITIATOR in sets[0].initiators
                    or set(WWPNS) <= set(sets[0].wwpns)), sets)
        return attachment

    def detach(self, attachment: str) -> None:
        with self.run.step('Detach the volume from the host') as step:
            self.run.cinder('attachment-delete', attachment)
            self._wait_volume(self.volume, 'available')
            self.run.took(step, 'until available')
            sets = self.array.sets_of(self.volume)
            self.run.check(step, 'mapped in no LD Set', not sets, sets)

    def take_snapshot(self) -> None:
        with self.run.step('Create a snapshot') as step:
            output = self.run.cinder('snapshot-create', self.volume,
                                     show=SHOWN)
            self.snapshot = cli.properties(output)['id']
            wait_for('snapshot available', lambda: self._status(
                self.client.volume_snapshots, self.snapshot)
                == 'available', 300)
            self.run.took(step, 'until available')
            points = self.array.points_in_time(self.volume)
            self.run.check(step, 'the array holds one point in time of it',
                           len(points) == 1, points)
            self.run.screen.labelled('state', [
                f'{point.kind} {point.name} {point.state}'
                for point in points])
            # From here on, volume and snapshot differ.
            self._write(self.volume, b'second')

    def volume_from_snapshot(self) -> None:
        with self.run.step('Create a volume from the snapshot') as step:
            self.restored = self._create(
                step, '--snapshot-id', self.snapshot, '1',
                '--name', 'restored')
            self._check_ld(step, 'volume', self.restored, GIB)
            self._check_bytes(step, 'it', self.restored, b'first',
                              'as of the snapshot')

    def make_clone(self) -> None:
        with self.run.step('Create a volume from the volume (clone)') as step:
            self.clone = self._create(step, '--source-volid', self.volume,
                                      '1', '--name', 'clone')
            self._check_ld(step, 'clone', self.clone, GIB)
            self._write(self.volume, b'third')
            self._check_bytes(step, 'it', self.clone, b'second',
                              'as of the clone, although the source has '
                              'changed since')

    def extend(self) -> None:
        with self.run.step('Extend the clone to 2 GB') as step:
            self.run.cinder('extend', self.clone, '2')
            wait_for('clone extended', lambda: (
                self.client.volumes.get(self.clone).size == 2
                and self._volume_status(self.clone) == 'available'), 300)
            self.run.took(step, 'until available')
            self._check_ld(step, 'clone', self.clone, 2 * GIB)
            self._check_bytes(step, 'it', self.clone, b'second', 'as before')

    def delete_snapshot(self) -> None:
        with self.run.step('Delete the snapshot') as step:
            self.run.cinder('snapshot-delete', self.snapshot)
            wait_for('snapshot gone', lambda: self._status(
                self.client.volume_snapshots, self.snapshot) == 'gone', 300)
            self.run.took(step, 'until gone')
            if self.stage.driver.method == drivers.SNAPSHOT:
                points = self.array.points_in_time(self.volume)
                self.run.check(step, 'the array holds no point in time',
                               not points, points)

    def delete_volumes(self) -> None:
        with self.run.step('Delete the volumes') as step:
            ids = [self.clone, self.restored, self.volume]
            self.run.cinder('delete', *ids)
            for uuid in ids:
                wait_for('volume gone', lambda uuid=uuid:  # type: ignore
                         self._volume_status(uuid) == 'gone', 300)
            self.run.took(step, 'until gone')
            output = self.run.cinder('list')
            self.run.check(step, 'Cinder has no volume',
                           not cli.rows(output), output)
            left = sorted(self.array.lds())
            self.run.check(step, 'the array has no logical disk but those '
                           'that it had', left == self.stage.lds_before,
                           left)

    # -- parts of steps ----------------------------------------------

    def _create(self, step: Step, *arguments: str) -> str:
        output = self.run.cinder('create', *arguments, show=SHOWN)
        uuid = cli.properties(output)['id']
        self._wait_volume(uuid, 'available')
        self.run.took(step, 'until available')
        return uuid

    def _attach(self) -> str:
        """Attach with a connector of the driver's protocol; show the answer.

        The command line has no options for WWPNs: Fibre Channel goes
        through the client's Python API.
        """
        if self.stage.driver.protocol == drivers.FC:
            return self._attach_fc()
        output = self.run.cinder(
            'attachment-create', self.volume, '--connect', 'True',
            '--initiator', INITIATOR, '--host', HOST, '--ip', '192.0.2.10',
            '--multipath', 'False')
        return cli.properties(output)['id']

    def _attach_fc(self) -> str:
        connector = {'wwpns': list(WWPNS), 'wwnns': [WWNN], 'host': HOST,
                     'ip': '192.0.2.10', 'multipath': False}
        self.run.screen.line('>>> client.attachments.create('
                             f'{self.volume!r}, {connector})', 'green',
                             indent=3)
        answer: dict[str, Any] = self.client.attachments.create(
            self.volume, connector, None, 'rw')
        self.run.screen.lines(json.dumps(answer['connection_info'],
                                         indent=1), 'dim', indent=3)
        return str(answer['id'])

    def _status(self, manager: Any, uuid: str) -> str:
        from cinderclient import exceptions
        try:
            status = str(manager.get(uuid).status)
        except exceptions.NotFound:
            return 'gone'
        if 'error' in status:
            raise cli.CliError(f'{uuid} went to status {status}')
        return status

    def _volume_status(self, uuid: str) -> str:
        return self._status(self.client.volumes, uuid)

    def _wait_volume(self, uuid: str, status: str) -> None:
        wait_for(f'volume {uuid} {status}',
                 lambda: self._volume_status(uuid) == status, 300)

    def _check_ld(self, step: Step, what: str, uuid: str,
                  size: int) -> None:
        ld = self.array.find_ld(uuid)
        self.run.check(step, f'{what} is a logical disk of '
                       f'{size // GIB} GiB', ld and ld.capacity == size, ld)
        if ld:
            self.run.screen.labelled('state', [
                f'LD {ld.ldn:04x}h {ld.platform}:{ld.name}, '
                f'{ld.capacity // GIB} GiB, pool {ld.pool:04x}h'])

    def _write(self, uuid: str, mark: bytes) -> None:
        for offset in OFFSETS:
            self.array.write(uuid, offset, pattern(mark, offset))

    def _check_bytes(self, step: Step, what: str, uuid: str, mark: bytes,
                     when: str) -> None:
        wrong = [offset for offset in OFFSETS
                 if self.array.read(uuid, offset, 64)
                 != pattern(mark, offset)]
        self.run.check(step, f'{what} has the bytes {when}', not wrong,
                       wrong)


def pattern(mark: bytes, offset: int) -> bytes:
    """64 bytes that tell a write and its place from any other."""
    return (mark + b'@%d ' % offset).ljust(64, b'.')
