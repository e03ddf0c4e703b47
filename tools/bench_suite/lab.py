# SPDX-License-Identifier: Apache-2.0
"""The simulated array of one run, and what is on it beforehand."""

from __future__ import annotations

from dataclasses import dataclass
import os
from pathlib import Path
import shutil
import tempfile
from types import TracebackType
from typing import Any
import uuid

import yaml

from harness import drivers, names
from ismsim.process import SimProcess

from .peer import Peer, PeerError
from .settings import Settings

_NAMESPACE = uuid.UUID('b7c4a9b8-33b0-4ad5-8d0c-4c9c0f0fe0a1')
_SIZE_OF_REAL_DUMPS = 47
_BACKUP_POOL = 1
# Of the array itself: a reserved volume, and the one of the SRA.
SYSTEM_LDS = 2
_TICKS_PER_SECOND = os.sysconf('SC_CLK_TCK')
_MULTI_TARGET_PORTS = ('127.0.0.11', '127.0.0.12', '127.0.0.13',
                       '127.0.0.14')


@dataclass(frozen=True)
class Volume:
    """A volume of the work; its id follows from its name."""

    name: str
    size_gib: int = 1

    @property
    def id(self) -> str:
        return str(uuid.uuid5(_NAMESPACE, self.name))

    @property
    def label(self) -> str:
        return names.label(self.id)

    @property
    def fields(self) -> dict[str, Any]:
        """As the worker takes it for a volume object."""
        return {'volume': {'id': self.id, 'size': self.size_gib}}

    def snapshot(self) -> dict[str, Any]:
        """A snapshot of it, as the worker takes it."""
        ident = str(uuid.uuid5(_NAMESPACE, f'{self.name}-snapshot'))
        return {'snapshot': {'id': ident, **self.fields}}


@dataclass(frozen=True)
class Host:
    """A host that the array knows already."""

    number: int

    @property
    def initiator(self) -> str:
        return f'iqn.1994-05.com.redhat:bench{self.number:02d}'

    @property
    def wwpns(self) -> list[str]:
        return [f'100000{port:02x}fa{self.number:06x}' for port in (1, 2)]

    @property
    def connector(self) -> dict[str, Any]:
        return {'host': f'compute{self.number:02d}', 'multipath': True,
                'ip': '127.0.0.1', 'os_type': 'linux2', 'platform':
                'x86_64', 'initiator': self.initiator, 'wwpns': self.wwpns}

    def ld_set(self, protocol: str, volumes: tuple[Volume, ...]
               ) -> dict[str, Any]:
        """Its LD Set, for the array's configuration."""
        found: dict[str, Any] = {
            'name': f'LX:bench{self.number:02d}', 'type': protocol,
            'lds': [{'ld': f'LX:{v.label}'} for v in volumes]}
        if protocol == drivers.FC:
            found['paths'] = [_with_dashes(w) for w in self.wwpns]
        else:
            found.update(multitarget=True, initiators=[self.initiator])
        return found


def _with_dashes(wwpn: str) -> str:
    digits = wwpn.upper()
    return '-'.join(digits[i:i + 4] for i in range(0, 16, 4))


@dataclass(frozen=True)
class Layout:
    """What is on the array before the work begins.

    :param lds: how many LDs there are in all
    :param attached: pairs of a volume and the host that has it
    """

    lds: int
    volumes: tuple[Volume, ...] = ()
    hosts: tuple[Host, ...] = ()
    attached: tuple[tuple[Volume, Host], ...] = ()

    def config(self, protocol: str) -> dict[str, Any]:
        """The array's YAML; dumps are as long as real ones."""
        lds: list[dict[str, Any]] = [
            {'ldn': 8191, 'name': 'RSV1FFF', 'pool': 0,
             'capacity': '8 GiB', 'kind': 'rsv'}]
        lds += [{'ldn': ldn, 'name': f'LX:{v.label}', 'pool': 0,
                 'capacity': f'{v.size_gib} GiB'}
                for ldn, v in enumerate(self.volumes)]
        return {
            'array': {'product_id': 'M710', 'access_control': True},
            'dump_units_per_ld': _SIZE_OF_REAL_DUMPS,
            'pools': [
                {'number': 0, 'capacity': '200 TiB'},
                {'number': _BACKUP_POOL, 'capacity': '100 TiB',
                 'sra': '1 TiB', 'sdv': 8190}],
            'ports': [
                {'port': '00-00', 'wwpn': '2100000991020012'},
                {'port': '01-00', 'wwpn': '2900000991020012'},
                *({'port': f'{number // 2:02d}-{2 + number % 2:02d}',
                   'ip': ip} for number, ip
                  in enumerate(_MULTI_TARGET_PORTS))],
            'lds': lds,
            'preload': {'count': max(0, self.lds - SYSTEM_LDS
                                     - len(self.volumes)),
                        'pool': 0, 'capacity_gib': 1},
            'ldsets': [host.ld_set(protocol, tuple(
                v for v, on in self.attached if on == host))
                for host in self.hosts]}


class Lab:
    """A fresh array, and processes of a driver that work on it."""

    def __init__(self, settings: Settings, layout: Layout, protocol: str
                 ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix='nec-bench-'))
        config = self.directory / 'array.yaml'
        config.write_text(yaml.safe_dump(layout.config(protocol)))
        self.sim = SimProcess(
            config=config, directory=self.directory / 'array',
            latency=settings.latency_text, copy_rate=settings.copy_rate,
            timeout=120.0)
        self._peers: list[Peer] = []

    def __enter__(self) -> Lab:
        try:
            self.sim.start()
        except BaseException as error:
            self.sim.stop()
            shutil.rmtree(self.directory, ignore_errors=True)
            if isinstance(error, RuntimeError):
                raise PeerError(str(error)) from error
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for peer in self._peers:
            peer.__exit__(kind, error, trace)
        self.sim.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def peer(self, driver: str, native: bool) -> Peer:
        """A driver's process; it ends with the lab."""
        conf = self.directory / f'cinder-{len(self._peers)}.conf'
        conf.write_text(self._conf(driver))
        peer = Peer(conf, driver, native)
        self._peers.append(peer)
        return peer

    def _conf(self, driver: str) -> str:
        known_hosts = self.directory / 'known_hosts'
        known_hosts.write_text(self.sim.known_hosts_line + '\n')
        state = self.directory / 'cinder'
        (state / 'locks').mkdir(parents=True, exist_ok=True)
        number = len(self._peers)
        return f"""[DEFAULT]
state_path = {state}
host = bench
enabled_backends = bench
log_file = {self.directory}/driver-{number}.log
ssh_hosts_key_file = {known_hosts}
strict_ssh_host_key_policy = True
[oslo_concurrency]
lock_path = {state}/locks
[coordination]
backend_url = file://{state}/coordination
[bench]
volume_driver = {driver}
volume_backend_name = bench
nec_ismcli_fip = {self.sim.host}
nec_ssh_pool_port_number = {self.sim.port}
nec_ismcli_user = {self.sim.user}
nec_ismcli_password = {self.sim.password}
nec_pools = 0
nec_backup_pools = {_BACKUP_POOL}
nec_diskarray_name = bench
nec_ismview_dir = {state}/view-{number}
"""

    def simulator_cpu(self) -> float:
        """CPU seconds that the simulated array has used so far."""
        fields = Path(f'/proc/{self.sim.pid}/stat').read_text()
        user, system = fields.rpartition(')')[2].split()[11:13]
        return (int(user) + int(system)) / _TICKS_PER_SECOND
