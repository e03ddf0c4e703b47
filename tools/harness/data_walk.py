# SPDX-License-Identifier: Apache-2.0
"""What a user does with a volume's data, each step checked by checksums."""

from __future__ import annotations

from pathlib import Path

from simhost.process import SimHost

from allinone import wait_for
from harness import cli, data_stage, luks, names
from harness.array import Array
from harness.attached import Attached
from harness.data_stage import DataStage
from harness.glance import file_digest
from harness.steps import Runner, Step

GIB = 1 << 30
MIB = 1 << 20
SHOWN = ('id', 'size', 'status', 'image_id', 'snapshot_id', 'volume_id',
         'backup_id')
PATIENCE = 300.0
# Where the image holds data: its start, amid, its end.
_FILLED = (0, 300 * MIB, GIB - MIB)


def make_image(path: Path) -> None:
    """A raw image of 1 GiB with three megabytes of noise."""
    with path.open('wb') as file:
        file.truncate(GIB)
        for offset in _FILLED:
            file.seek(offset)
            with open('/dev/urandom', 'rb') as noise:
                file.write(noise.read(MIB))


class DataWalk:
    """The steps; each needs those before it."""

    def __init__(self, stage: DataStage, runner: Runner) -> None:
        self.stage = stage
        self.run = runner
        self.client = stage.cinder.client()
        self.image_file = stage.state / 'image.raw'
        self.image_digest = ''
        self.image = ''
        self.volume = ''
        self.snapshot = ''
        self.made: list[str] = []
        self.host: SimHost

    def all_steps(self) -> None:
        """From an image to an empty array."""
        make_image(self.image_file)
        self.image_digest = file_digest(self.image_file)
        with self.stage.new_host('compute', wwpns=(
                '10000090fa5c0011', '10000090fa5c0012')) as self.host:
            self.volume_from_image()
            self.upload_to_image()
            self.attach_and_write()
            self.take_snapshot()
            self.volume_from_snapshot()
            self.make_clone()
            self.revert()
            self.extend()
            self.backup_while_attached()
            self.migrate()
            self.no_old_data()
            if not data_stage.no_luks():
                self.encrypted()
            self.delete_all()

    # -- steps -------------------------------------------------------

    def volume_from_image(self) -> None:
        with self.run.step('Create a volume from an image (7.3.1)') as step:
            self.image = self.stage.glance.add_image('demo',
                                                     self.image_file)
            self.volume = self._create(step, '--image-id', self.image, '1',
                                       '--name', 'from-image')
            self._check_digest(step, 'the volume', self.volume,
                               self.image_digest, 'the image')

    def upload_to_image(self) -> None:
        with self.run.step('Upload the volume to an image') as step:
            output = self.run.cinder(
                'upload-to-image', '--disk-format', 'raw', self.volume,
                'uploaded', show=SHOWN)
            uploaded = cli.properties(output)['image_id']
            wait_for('image active', lambda: self.stage.glance.image(
                uploaded)['status'] == 'active', PATIENCE)
            self._wait(self.volume)
            self.run.took(step, 'until active')
            sums = [self.stage.glance.image(one)['checksum']
                    for one in (self.image, uploaded)]
            self.run.check(step, 'Glance has the same checksum for the image '
                           f'that was put in and the new one: {sums[0]}',
                           sums[0] == sums[1], sums)

    def attach_and_write(self) -> None:
        with self.run.step('Attach, write by the host, detach') as step:
            with self._attached(self.volume) as disk:
                disk.write('first', 0)
                disk.write('last', GIB - 4096)
                seen = self._array_of(self.volume).read(self.volume, 0, 5)
                self.run.check(step, 'the array has the bytes that the host '
                               'wrote', seen == b'first', seen)

    def take_snapshot(self) -> None:
        with self.run.step('Create a snapshot while it is attached') as step:
            with self._attached(self.volume) as disk:
                disk.write('at the snapshot', 0)
                output = self.run.cinder('snapshot-create', '--force',
                                         'True', self.volume, show=SHOWN)
                self.snapshot = cli.properties(output)['id']
                wait_for('snapshot available', lambda: self.client
                         .volume_snapshots.get(self.snapshot).status
                         == 'available', PATIENCE)
                self.run.took(step, 'until available')
                self.at_snapshot = self._digest(self.volume)
                disk.write('after the snapshot', 0)
            self.run.check(step, 'the volume has changed since',
                           self._digest(self.volume) != self.at_snapshot)

    def volume_from_snapshot(self) -> None:
        with self.run.step('Create a volume from the snapshot') as step:
            volume = self._create(step, '--snapshot-id', self.snapshot, '1',
                                  '--name', 'from-snapshot')
            self._check_digest(step, 'it', volume, self.at_snapshot,
                               'the volume at the snapshot')

    def make_clone(self) -> None:
        with self.run.step('Clone the volume') as step:
            before = self._digest(self.volume)
            volume = self._create(step, '--source-volid', self.volume, '1',
                                  '--name', 'clone')
            self._check_digest(step, 'it', volume, before, 'its source')

    def revert(self) -> None:
        with self.run.step('Revert the volume to the snapshot') as step:
            self.run.cinder('revert-to-snapshot', self.snapshot)
            self._wait(self.volume)
            self.run.took(step, 'until available')
            self._check_digest(step, 'it', self.volume, self.at_snapshot,
                               'the volume at the snapshot')
            with self._attached(self.volume) as disk:
                seen = disk.read(0)
            self.run.check(step, 'a host reads what was there',
                           seen == 'at the snapshot', seen)

    def extend(self) -> None:
        with self.run.step('Extend a volume to 2 GB') as step:
            clone = self.made[-1]
            before = self._digest(clone)
            self.run.cinder('extend', clone, '2')
            wait_for('volume extended', lambda: self.client.volumes.get(
                clone).size == 2, PATIENCE)
            self._wait(clone)
            self.run.took(step, 'until available')
            self._check_digest(step, 'its first gigabyte', clone, before,
                               'the whole before', GIB)
            with self._attached(clone) as disk:
                rest = disk.count_nonzero(GIB, GIB)
            self.run.check(step, 'a host reads zeros in all of the new part',
                           rest == 0, rest)

    def backup_while_attached(self) -> None:
        with self.run.step('Back an attached volume up, restore') as step:
            with self._attached(self.volume) as disk:
                disk.write('at the backup', 0)
                wanted = self._digest(self.volume)
                output = self.run.cinder('backup-create', '--force',
                                         self.volume, show=SHOWN)
                backup = cli.properties(output)['id']
                wait_for('backup available', lambda: self._backup_status(
                    backup) == 'available', PATIENCE)
                self.run.took(step, 'until available')
                disk.write('after the backup', 0)
            output = self.run.cinder('backup-restore', backup, show=SHOWN)
            restored = cli.properties(output)['volume_id']
            self.made.append(restored)
            wait_for('restored', lambda: self._backup_status(backup)
                     == 'available', PATIENCE)
            self._wait(restored)
            self._check_digest(step, 'the restored volume', restored, wanted,
                               'the volume at the backup')
            self.run.cinder('backup-delete', backup)
            left = self.client.volume_snapshots.list()
            self.run.check(step, 'no temporary snapshot is left',
                           [one.id for one in left] == [self.snapshot], left)

    def migrate(self) -> None:
        with self.run.step('Migrate to another array') as step:
            moved = self.made[-1]
            wanted = self._digest(moved)
            home = getattr(self.client.volumes.get(moved),
                           'os-vol-host-attr:host')
            there = next(pool.name for pool in self.client.pools.list()
                         if pool.name != home)
            self.run.cinder('migrate', moved, there, '--force-host-copy',
                            'True')
            wait_for('migrated', lambda: self._migrated(moved), PATIENCE)
            self._wait(moved)
            self.run.took(step, 'until it is there')
            host = getattr(self.client.volumes.get(moved),
                           'os-vol-host-attr:host')
            self.run.check(step, f'Cinder has it on {there}', host == there,
                           host)
            self._check_digest(step, 'it', moved, wanted, 'itself before')
            with self._attached(moved) as disk:
                seen = disk.read(0)
            self.run.check(step, 'a host reads it there',
                           seen == 'at the backup', seen)

    def no_old_data(self) -> None:
        with self.run.step('A new volume has no old data') as step:
            self.stage.cinder.ensure_type('one', 'nec1')
            old = self._create(step, '1', '--volume-type', 'one',
                               '--name', 'old')
            with self._attached(old) as disk:
                disk.write('secret', 0)
                disk.write('secret', GIB - 4096)
            ldn = self._array_of(old).ld(old).ldn
            self._delete(old)
            new = self._create(step, '1', '--volume-type', 'one',
                               '--name', 'new')
            again = self._array_of(new).ld(new).ldn
            with self._attached(new) as disk:
                rest = disk.count_nonzero(0, GIB)
            self.run.check(step, f'a host reads zeros only (LD {again:04x}h, '
                           f'after {ldn:04x}h)', rest == 0, rest)

    def encrypted(self) -> None:
        with self.run.step('An encrypted volume (LUKS), and a clone') as step:
            kind = self.stage.cinder.ensure_type('encrypted')
            self.client.volume_encryption_types.create(kind, luks.SPEC)
            volume = self._create(step, '1', '--volume-type', 'encrypted',
                                  '--name', 'encrypted')
            with self._attached(volume) as disk:
                luks.format_volume(disk)
                luks.write(disk, 16 * MIB, MIB)
            clone = self._create(step, '--source-volid', volume, '1',
                                 '--name', 'encrypted-clone')
            with self._attached(clone) as disk:
                luks.verify(disk, 16 * MIB, MIB)
            self.run.check(step, 'with the key a host reads in the clone '
                           'what it wrote', True)
            heads = [self._array_of(one).read(one, 0, luks.HEADER)
                     for one in (volume, clone)]
            self.run.check(step, 'the array has LUKS volumes, each with a '
                           'key slot of its own', heads[0] != heads[1] and
                           all(luks.is_header(one) for one in heads), heads)
            self.run.check(step, 'the array has nothing of the plain text',
                           not luks.plain_text(self._path(volume)))

    def delete_all(self) -> None:
        with self.run.step('Delete everything') as step:
            self.client.volume_snapshots.delete(self.snapshot)
            wait_for('snapshot gone', lambda: not self.client
                     .volume_snapshots.list(), PATIENCE)
            for volume in [*self.made]:
                self._delete(volume)
            left = [name for array in self.stage.arrays
                    for name in array.lds()
                    if name not in self.stage.lds_before]
            self.run.check(step, 'the arrays have no logical disk but those '
                           'that they had', not left, left)
            seen = self.stage.host.describe(), self.host.describe()
            self.run.check(step, 'no host has a disk or a session',
                           not any(any(one.values()) for one in seen), seen)

    # -- parts of steps ----------------------------------------------

    def _attached(self, volume: str) -> Attached:
        return Attached(self.client, volume, self.host)

    def _create(self, step: Step, *arguments: str) -> str:
        output = self.run.cinder('create', *arguments, show=SHOWN)
        volume = cli.properties(output)['id']
        self.made.append(volume)
        self._wait(volume)
        self.run.took(step, 'until available')
        return volume

    def _delete(self, volume: str) -> None:
        self.client.volumes.delete(volume)
        self.made.remove(volume)
        wait_for('volume gone', lambda: not [
            one for one in self.client.volumes.list() if one.id == volume],
            PATIENCE)

    def _wait(self, volume: str, status: str = 'available') -> None:
        def reached() -> bool:
            now = str(self.client.volumes.get(volume).status)
            if 'error' in now:
                raise cli.CliError(f'{volume} went to status {now}')
            return now == status
        wait_for(f'volume {volume} {status}', reached, PATIENCE)

    def _backup_status(self, backup: str) -> str:
        found = self.client.backups.get(backup)
        if 'error' in found.status:
            raise cli.CliError(f'backup: {found.fail_reason}')
        return str(found.status)

    def _migrated(self, volume: str) -> bool:
        status = self.client.volumes.get(volume).migration_status
        if status == 'error':
            raise cli.CliError(f'{volume} was not migrated')
        return bool(status == 'success')

    def _array_of(self, volume: str) -> Array:
        for array in self.stage.arrays:
            if array.find_ld(self._name_id(volume)):
                return array
        raise LookupError(f'no array has a disk of {volume}')

    def _name_id(self, volume: str) -> str:
        found = getattr(self.client.volumes.get(volume),
                        'os-vol-mig-status-attr:name_id', None)
        return str(found or volume)

    def _digest(self, volume: str, length: int | None = None) -> str:
        """The SHA-256 of what the array holds."""
        return file_digest(self._path(volume), length)

    def _path(self, volume: str) -> Path:
        """The file in which an array keeps a volume's bytes."""
        raw = self._array_of(volume).control.ld(
            names.label(self._name_id(volume)))
        assert raw is not None
        return Path(raw['path'])

    def _check_digest(self, step: Step, what: str, volume: str, wanted: str,
                      like: str, length: int | None = None) -> None:
        seen = self._digest(volume, length)
        self.run.check(step, f'{what} has the SHA-256 of {like}: '
                       f'{wanted[:16]}...', seen == wanted, seen)
