# SPDX-License-Identifier: Apache-2.0
"""One service: a driver on the simulated array, and Cinder's side of it.

The driver is the real one, over real SSH.  Cinder's database is a few
records, whose statuses change as Cinder's volume manager changes them;
they outlive the process, as a database does.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
import time
import types
from typing import Any
import uuid

from harness.array import PASSWORD, USER
from ismsim.control import ControlClient

GROUP = 'nec1'
HOST = f'kill@{GROUP}'
GIB = 1 << 30
# An LD that somebody else has made.
STRANGER = 'their_volume'
# Of a volume type.
LIMITS = (3000, 200)
# A thing of the service's that has not ended by then hangs.
PATIENCE_SECONDS = 60.0


class Record(types.SimpleNamespace):
    """What Cinder has in its database; its log asks by key."""

    def get(self, key: str, default: Any = None) -> Any:
        return getattr(self, key, default)


@dataclasses.dataclass
class Db:
    """Cinder's records, and what a user wrote to his volumes.

    :param exports: snapshots that a backup may be reading
    """

    volumes: dict[str, Any] = dataclasses.field(default_factory=dict)
    snapshots: dict[str, Any] = dataclasses.field(default_factory=dict)
    exports: set[str] = dataclasses.field(default_factory=set)
    data: dict[str, bytes] = dataclasses.field(default_factory=dict)

    def volume(self, size: int = 1, status: str = 'creating',
               **fields: Any) -> Any:
        made = Record(**{
            'id': str(uuid.uuid4()), 'size': size, 'status': status,
            'host': f'{HOST}#gold', 'volume_type_id': None,
            'migration_status': None, 'volume_attachment': [],
            'metadata': {}, **fields})
        made.name_id = made.id
        self.volumes[made.id] = made
        return made

    def snapshot(self, volume: Any, **metadata: str) -> Any:
        made = Record(
            id=str(uuid.uuid4()), volume=volume, volume_id=volume.id,
            volume_size=volume.size, status='creating', metadata=metadata,
            has_worker=True)
        self.snapshots[made.id] = made
        return made


def connector(number: int = 1) -> dict[str, Any]:
    """What os-brick says of a host."""
    return {'initiator': f'iqn.1994-05.com.redhat:host{number:06d}',
            'host': f'host{number}', 'ip': '192.0.2.1', 'multipath': False,
            'wwpns': [f'1000{number:010x}{port:02x}' for port in (0, 1)]}


class World:
    """A service that has started, and its array.

    :param conf: the service's ``cinder.conf``
    :param path: of the driver class
    :param control: the control socket of the simulated array
    """

    def __init__(self, conf: str, path: str, control: str, db: Db) -> None:
        self.db = db
        self.array = ControlClient(control)
        self.driver = make_driver(conf, path)
        self.driver.do_setup(None)
        self.driver.check_for_setup_error()
        self.driver.update_provider_info(
            list(db.volumes.values()), list(db.snapshots.values()))
        self.clean_up_statuses()
        # The manager asks for them when it has started; the worker has set
        # the time between two looks to nothing.
        self.driver.get_volume_stats(refresh=True)
        self.settle()

    @property
    def is_replication(self) -> bool:
        return 'DDR' in type(self.driver).__name__

    def clean_up_statuses(self) -> None:
        """As Cinder's CleanableManager does after the driver is set up."""
        for volume in self.db.volumes.values():
            if volume.status in ('creating', 'downloading'):
                volume.status = 'error'
        for snapshot in self.db.snapshots.values():
            if snapshot.status == 'creating' and snapshot.has_worker:
                snapshot.status = 'error'
        for volume in list(self.db.volumes.values()):
            if volume.status == 'deleting':
                self.delete(volume)

    def settle(self) -> None:
        """Wait until nothing goes on beside the callers."""
        settler = self.driver.backend.settler
        until = time.monotonic() + PATIENCE_SECONDS
        while settler._running:
            assert time.monotonic() < until, 'copies do not settle'
            time.sleep(0.01)

    # -- what a user does ----------------------------------------------

    def create(self, size: int = 1, data: bytes = b'') -> Any:
        volume = self.db.volume(size)
        self.driver.create_volume(volume)
        volume.status = 'available'
        if data:
            self.write(volume, data)
        return volume

    def clone(self, volume: Any, source: Any) -> None:
        self.driver.create_cloned_volume(volume, source)
        self.settle()
        volume.status = 'available'
        self.db.data[volume.id] = self.db.data.get(source.id, b'')

    def restore(self, volume: Any, snapshot: Any) -> None:
        self.driver.create_volume_from_snapshot(volume, snapshot)
        self.settle()
        volume.status = 'available'

    def snapshot(self, volume: Any, **metadata: str) -> Any:
        made = self.db.snapshot(volume, **metadata)
        self.take(made)
        return made

    def take(self, snapshot: Any) -> None:
        self.driver.create_snapshot(snapshot)
        snapshot.status = 'available'
        self.db.data[snapshot.id] = self.db.data.get(
            snapshot.volume_id, b'')

    def delete(self, volume: Any) -> None:
        volume.status = 'deleting'
        self.driver.delete_volume(volume)
        del self.db.volumes[volume.id]

    def delete_snapshot(self, snapshot: Any) -> None:
        snapshot.status = 'deleting'
        self.driver.delete_snapshot(snapshot)
        del self.db.snapshots[snapshot.id]

    def reserve(self, volume: Any) -> Any:
        """What the API does before the host is told."""
        attachment = Record(id=str(uuid.uuid4()), connector=None,
                            attach_status='reserved', is_ending=False)
        volume.volume_attachment.append(attachment)
        volume.status = 'reserved'
        return attachment

    def attach(self, volume: Any, attachment: Any,
               number: int = 1) -> None:
        self.driver.initialize_connection(volume, connector(number))
        attachment.connector = connector(number)
        attachment.attach_status, volume.status = 'attached', 'in-use'

    def detach(self, volume: Any, attachment: Any) -> None:
        self.driver.terminate_connection(volume, attachment.connector)
        volume.volume_attachment.remove(attachment)
        volume.status = 'in-use' if volume.volume_attachment else 'available'

    def rename(self, thing: Any, name: str) -> None:
        """What the array's operator does to an LD."""
        answer = self.array.execute(
            f'iSMcfg nickname -ldname LX:{label(thing.id)} '
            f'-newname LX:{name}')
        assert answer['status'] == 0, answer

    def write(self, volume: Any, data: bytes) -> None:
        self.array.write(label(volume.id), data)
        self.db.data[volume.id] = data

    def read(self, thing: Any, length: int) -> bytes:
        return self.array.read(label(thing.id), length)

    def clear(self) -> None:
        """Take back all that is left, as a user does at last."""
        for volume in self.db.volumes.values():
            for attachment in list(volume.volume_attachment):
                if attachment.connector:
                    self.detach(volume, attachment)
            volume.volume_attachment = []
        for snapshot in list(self.db.snapshots.values()):
            if snapshot.id in self.db.exports:
                self.driver.terminate_connection_snapshot(snapshot, None)
                self.db.exports.discard(snapshot.id)
            snapshot.metadata['force-delete'] = 'True'
            self.delete_snapshot(snapshot)
        for volume in list(self.db.volumes.values()):
            self.delete(volume)
        self.db.data.clear()


def label(identifier: str) -> str:
    """The name of an LD; not the driver's own code."""
    number, digits = uuid.UUID(identifier).int, ''
    alphabet = ('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'
                'abcdefghijklmnopqrstuvwxyz')
    while number:
        number, value = divmod(number, 62)
        digits = alphabet[value] + digits
    return digits


def write_conf(directory: Path, port: int, known_hosts: str) -> Path:
    """Write the service's ``cinder.conf``."""
    hosts = directory / 'known_hosts'
    hosts.write_text(known_hosts + '\n')
    path = directory / 'cinder.conf'
    path.touch(0o600)
    path.write_text(f'''[DEFAULT]
state_path = {directory / 'state'}
ssh_hosts_key_file = {hosts}
strict_ssh_host_key_policy = True
debug = True
log_file = {directory / 'service.log'}
[{GROUP}]
nec_ismcli_fip = 127.0.0.1
nec_ssh_pool_port_number = {port}
nec_ismcli_user = {USER}
nec_ismcli_password = {PASSWORD}
nec_pools = 0
nec_backup_pools = 1
''')
    return path


def make_driver(conf: str, path: str) -> Any:
    """Return the driver as Cinder's volume manager makes it."""
    from cinder import objects
    objects.register_all()
    from cinder.volume import configuration
    from cinder.volume import driver as base
    from oslo_config import cfg
    from oslo_log import log
    from oslo_utils import importutils

    from cinder_nec import volume_manage
    from cinder_nec.backend import qos
    from cinder_nec.backend.io_control import IoLimits

    # Both ask Cinder's database.
    qos.limits_of = lambda kind: (  # type: ignore[assignment]
        IoLimits(*LIMITS) if kind else IoLimits())
    qos.stated_by = lambda kind: (  # type: ignore[assignment]
        IoLimits(0, 0) if kind else IoLimits())
    volume_manage._check_unmanaged = lambda _name: None
    log.register_options(cfg.CONF)
    cfg.CONF(['--config-file', conf], project='cinder')
    log.setup(cfg.CONF, 'cinder')
    settings = configuration.Configuration(
        base.volume_opts, config_group=GROUP)
    cls = importutils.import_class(path)
    settings.append_config_values(cls.get_driver_options())
    return cls(configuration=settings, host=HOST, cluster_name=None,
               active_backend_id=None)


def age_journal(directory: Path) -> int:
    """Let a minute pass over what the service has written down.

    The restarted one need not wait then until peers would have named an
    LD.  Returns how many entries there are.
    """
    entries = [path for journal in directory.rglob('nec-journal')
               for path in journal.rglob('*') if path.is_file()]
    past = time.time() - 60
    for path in entries:
        os.utime(path, (past, past))
    return len(entries)
