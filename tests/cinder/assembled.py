# SPDX-License-Identifier: Apache-2.0
"""A whole driver on the simulated array, and what Cinder hands to it."""

from __future__ import annotations

from collections.abc import Sequence
import types
from typing import Any
import uuid

from cinder_nec import assembly, naming
from cinder_nec.backend.access.connector import Connector
from cinder_nec.backend.copying.origins import (
    GenerationOrigins,
    ReplicaOrigins,
)
from cinder_nec.backend.io_control import IoControl
from cinder_nec.backend.manage import Management
from cinder_nec.backend.snapshot_access import ReplicaAccess
from cinder_nec.model import LdName, Protocol
from tests.backend.arrays import BACKUP_POOL, POOL, Lab, fc_host, host
from tests.backend.test_snapshot_access import link_access

POOLS, BACKUP_POOLS = (POOL,), (BACKUP_POOL,)


class Record(types.SimpleNamespace):
    """What Cinder has in its database; its log asks by key."""

    def get(self, key: str, default: Any = None) -> Any:
        return getattr(self, key, default)


def driver_on(cls: type, lab: Lab) -> Any:
    """Return a driver that is set up; ``lab`` is of the same method."""
    made = object.__new__(cls)
    made._driver_name, made.host = cls.__name__, 'node@gold'
    made._lookup, made.lab = None, lab
    access = lab.fc if cls.PROTOCOL is Protocol.FC else lab.access
    is_replication = cls.METHOD is assembly.Method.REPLICATION
    origins = (ReplicaOrigins(lab.snapshots._pairs, lab.inventory,
                              BACKUP_POOLS) if is_replication
               else GenerationOrigins(lab.client, lab.inventory))
    made._backend = assembly.Backend(
        config=types.SimpleNamespace(
            address='192.0.2.1', port=22, platform='LX',
            backup_platform='LX', pools=POOLS, backup_pools=BACKUP_POOLS,
            backend_name='Gold', report_pools=False),
        array=assembly.Array(lab.client, lab.inventory, None, None),
        volumes=lab.volumes, copying=lab.snapshots, access=access,
        stats=None, io_control=IoControl(lab.client, lab.inventory),
        migration=None,
        manage=Management(lab.inventory, lab.volumes, origins, POOLS,
                          BACKUP_POOLS),
        snapshot_access=(ReplicaAccess(access) if is_replication
                         else link_access(lab, access)),
        settler=None)
    return made


def connector(driver: Any, number: int = 1) -> dict[str, Any]:
    """Return what os-brick says of a host."""
    made: Connector = (fc_host(number) if driver.PROTOCOL is Protocol.FC
                       else host(number))
    return {'initiator': str(made.initiator or ''), 'host': made.host,
            'wwpns': [str(wwpn) for wwpn in made.wwpns]}


def a_volume(driver: Any, data: bytes = b'',
             attachments: Sequence[Any] = ()) -> Any:
    volume = Record(
        id=str(uuid.uuid4()), name_id=str(uuid.uuid4()), size=1,
        host='node@gold#Gold', volume_type_id=None, migration_status=None,
        volume_attachment=list(attachments), metadata={})
    driver.lab.volumes.create(ld_name(volume), 1, POOLS)
    driver.lab.write(ld_name(volume), data)
    return volume


def a_snapshot(driver: Any, volume: Any) -> Any:
    snapshot = Record(
        id=str(uuid.uuid4()), volume=volume, volume_id=volume.id,
        volume_size=1, metadata={})
    driver.create_snapshot(snapshot)
    driver.lab.time.sleep(10_000)
    return snapshot


def ld_name(volume: Any) -> LdName:
    return LdName('LX', naming.ld_name(volume.name_id))


def snapshot_name(snapshot: Any) -> LdName:
    return LdName('LX', naming.ld_name(snapshot.id))


def sets_of(driver: Any, name: LdName) -> list[str]:
    """Return the LD Sets that an LD is in, on the array."""
    lds = driver.lab.lds()
    return driver.lab.engine.array.store.ldsets_of(lds[name.label].ldn)
