# SPDX-License-Identifier: Apache-2.0
"""The Cinder of a soak, with its array: four back ends on one array."""

from __future__ import annotations

import contextlib
from pathlib import Path
import threading
from typing import Any, Protocol

import yaml

from allinone.config import Section
from harness import drivers
from harness.array import Array
from harness.stage import Stage

BACKUP_POOL = 4
LATENCY = 'dump=0.1,dump_per_ld=0.0005,change=0.03,query=0.01,sc_delete=0.3'
COPY_RATE = '2GiB'
# Back end -> class and pool.
BACKENDS = {
    'iscsi': ('MStorageISCSIDriver', 0),
    'fc': ('MStorageFCDriver', 1),
    'ddriscsi': ('MStorageDDRISCSIDriver', 2),
    'ddrfc': ('MStorageDDRFCDriver', 3),
}
POOLS = tuple(pool for _name, pool in BACKENDS.values())
# A type of this suffix limits the I/O of its volumes.
LIMITED = '-limited'
# Several hosts may have a volume of a type of this suffix at once.
SHARED = '-shared'


def is_replication(backend: str) -> bool:
    """Tell the method of a back end."""
    return drivers.CLASSES[BACKENDS[backend][0]][1] == drivers.REPLICATION


class Cloud(Protocol):
    """What a soak needs of the place where it runs."""

    #: Cleared while no request can be answered.
    up: threading.Event
    #: How often a service was started again.
    starts: int

    @property
    def array(self) -> Array:
        """The array, for faults and for looking at it."""

    def client(self) -> Any:
        """A python-cinderclient of an administrator."""

    def interrupt(self, number: int) -> str:
        """Stop or kill a service; returns what was done to it."""

    def resume(self) -> None:
        """Have it back."""

    def log_of(self, cinder_id: str) -> list[str]:
        """What Cinder logged as errors about an object."""


def array_config() -> dict[str, Any]:
    """The array: a pool for each back end, one for all snapshots."""
    return {
        'array': {'product_id': 'M310', 'access_control': True},
        'pools': [*({'number': n, 'capacity': '10 TiB'} for n in POOLS),
                  {'number': BACKUP_POOL, 'capacity': '20 TiB',
                   'sra': '1 TiB', 'sdv': 4094}],
        'ports': [{'port': '00-00', 'wwpn': '2100000991020012'},
                  {'port': '01-00', 'wwpn': '2900000991020012'},
                  {'port': '00-02', 'ip': '127.0.0.11'},
                  {'port': '01-02', 'ip': '127.0.0.13'}],
        'lds': [{'ldn': 4095, 'name': 'Pool0000_SYV0FFF', 'pool': 0,
                 'capacity': '8 GiB', 'kind': 'syv'},
                {'ldn': 4093, 'name': 'RSV0FFD', 'pool': 0,
                 'capacity': '8 GiB', 'kind': 'rsv'},
                {'ldn': 1, 'name': 'WN:exchange01', 'pool': 0,
                 'capacity': '100 GiB'}],
        'ldsets': [{'name': 'WN:Exchange', 'type': 'fc',
                    'paths': ['1000-0090-FAA0-7861'],
                    'lds': [{'ld': 'exchange01', 'lun': 0}]}],
    }


def array_arguments(state: Path) -> dict[str, Any]:
    """Arguments of harness.array.Array."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = state / 'array.yaml'
    path.write_text(yaml.safe_dump(array_config()))
    return {'config': path, 'latency': LATENCY, 'copy_rate': COPY_RATE}


def backend_sections() -> dict[str, Section]:
    """The back ends' own options."""
    return {name: {'volume_driver': drivers.OURS + driver,
                   'nec_pools': str(pool),
                   'nec_backup_pools': str(BACKUP_POOL)}
            for name, (driver, pool) in BACKENDS.items()}


def make_types(client: Any) -> None:
    """Volume types for each back end: plain, with limits, and shared."""
    specs = client.qos_specs.create('limited', {
        'consumer': 'back-end', 'upperlimit': '5000', 'lowerlimit': '100'})
    for name in BACKENDS:
        for suffix in ('', LIMITED, SHARED):
            kind = client.volume_types.create(name + suffix)
            kind.set_keys({'volume_backend_name': name})
            if suffix == SHARED:
                kind.set_keys({'multiattach': '<is> True'})
            if suffix == LIMITED:
                client.qos_specs.associate(specs, kind.id)


def errors_in(log: str, cinder_id: str) -> list[str]:
    """Lines of a log that tell of an error of an object."""
    return [line for line in log.splitlines() if cinder_id in line
            and (' ERROR ' in line or ' WARNING ' in line)]


class OneProcess(contextlib.ExitStack):
    """All of Cinder in one process; its restarts stop all of it."""

    def __init__(self, state: Path, *, debug: bool = False,
                 native_threads: bool = False) -> None:
        super().__init__()
        arguments = array_arguments(state)
        self._stage = Stage(
            state, drivers.find('MStorageISCSIDriver'),
            latency=arguments.pop('latency'), debug=debug,
            native_threads=native_threads, backends=backend_sections(),
            # As Cinder has it: a start may meet a fault.
            default={'periodic_interval': 10, 'reinit_driver_count': 3,
                     'backend_stats_polling_interval': 15},
            array=arguments)
        self.up = threading.Event()
        self.starts = 0

    def __enter__(self) -> OneProcess:
        self.enter_context(self._stage)
        down = [name for name, up in self._stage.cinder.up.items() if not up]
        if down:
            raise RuntimeError(f'{", ".join(down)} did not come up:\n'
                               + self._stage.errors())
        make_types(self.client())
        self.up.set()
        return self

    @property
    def array(self) -> Array:
        return self._stage.array

    @property
    def log_file(self) -> Path:
        return self._stage.cinder.log_file

    def client(self) -> Any:
        return self._stage.cinder.client()

    def interrupt(self, number: int) -> str:
        """Stop it in order, and kill it the next time."""
        self.up.clear()
        if number % 2:
            self._stage.cinder.kill()
            return 'killed'
        self._stage.cinder.stop()
        return 'stopped'

    def resume(self) -> None:
        self._stage.cinder.start()
        self.starts += 1
        self.up.set()

    def log_of(self, cinder_id: str) -> list[str]:
        return errors_in(self._stage.cinder.log(), cinder_id)
