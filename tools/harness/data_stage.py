# SPDX-License-Identifier: Apache-2.0
"""A cloud whose volumes hold real bytes.

Simulated arrays with a data path, a simulated host in which Cinder runs
(API, scheduler, cinder-volume, cinder-backup), and a real Glance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import contextlib
import os
from pathlib import Path
from types import TracebackType

from simhost.process import SimHost

from allinone import CinderProcess
from allinone.config import Section, Value
from harness import drivers
from harness.array import Array
from harness.drivers import Driver
from harness.glance import Glance
from harness.stage import TEMPLATES
from ismsim import loader
from ismsim.datapath.tgt import find_program

# Of all encrypted volumes: the key manager keeps one key only.
PASSPHRASE = '5a' * 32
DATA_PATH = ('--data-path', 'on', '--iscsi-port', '0')
# HBAs of the host that Cinder runs on.
WWPNS = ('10000090fa5c0001', '10000090fa5c0002')
# The FC ports of the default configuration that are up, and what of its
# numbers must differ from one array to the next.
FC_PORTS = ('2100000991020012', '2200000991020012', '2900000991020012')
_OWN = ('2000000991000316', '000991020012')
# Program -> Debian package: an iSCSI target, and a plain initiator.
TARGET = {'tgtd': 'tgt', 'tgtadm': 'tgt', 'iscsi-ls': 'libiscsi-bin',
          'iscsi-inq': 'libiscsi-bin',
          'iscsi-readcapacity16': 'libiscsi-bin', 'qemu-io': 'qemu-utils'}
# A simulated host, too.
HOST = {**TARGET, 'qemu-img': 'qemu-utils', 'fusermount3': 'fuse3',
        'qemu-storage-daemon': 'qemu-system-common'}
_CAP_SYS_ADMIN = 21


def missing_programs(programs: Mapping[str, str] = HOST) -> list[str]:
    """Which are not there; qemu's iSCSI driver is one of them."""
    absent = {f'{name} (package {package})'
              for name, package in programs.items()
              if find_program(name) is None}
    if not any(list(Path('/usr').glob(place)) for place in (
            'lib*/qemu/block-iscsi.so', 'lib/*/qemu/block-iscsi.so')):
        absent.add('qemu\'s block-iscsi.so (package qemu-block-extra)')
    return sorted(absent)


def missing() -> str:
    """What this machine lacks for real bytes; empty if nothing."""
    absent = missing_programs()
    status = Path('/proc/self/status').read_text()
    capabilities = int(status.partition('CapEff:')[2].split()[0], 16)
    if os.geteuid() != 0:
        absent.append('root')
    elif not capabilities >> _CAP_SYS_ADMIN & 1:
        absent.append('the right to mount (CAP_SYS_ADMIN)')
    absent += [device for device in ('/dev/fuse', '/dev/loop-control')
               if not Path(device).exists()]
    return ', '.join(absent)


def no_dm_crypt() -> str:
    """Why Cinder cannot open an encrypted volume; empty if it can."""
    if 'device-mapper' not in Path('/proc/misc').read_text():
        return 'the kernel has no device mapper (dm-crypt)'
    return no_luks()


def no_luks() -> str:
    """Why a volume cannot be made a LUKS volume; empty if it can."""
    if find_program('cryptsetup') is None:
        return 'cryptsetup (package cryptsetup-bin)'
    return ''


class DataStage:
    """Context manager: a back end and an array for each of *drivers*.

    The back ends are named nec1, nec2, ... The hosts have multipathd;
    *multipath* says which back ends are copied to and from by several
    paths.
    """

    def __init__(self, state: Path, classes: Sequence[Driver], *,
                 latency: str | None = None, native_threads: bool = False,
                 debug: bool = False, multipath: Sequence[bool] = (),
                 default: Section | None = None) -> None:
        self.state = state
        self.drivers = list(classes)
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.arrays = [
            Array(state / f'array{number}', latency=latency,
                  config=own_config(state, number), extra=DATA_PATH)
            for number in range(1, len(self.drivers) + 1)]
        self.glance = Glance(state / 'glance')
        self._multipath = [*multipath,
                           *[False] * len(self.drivers)]
        self._default = dict(default or {})
        self._how = {'native_threads': native_threads, 'debug': debug}
        self.host: SimHost
        self.cinder: CinderProcess
        self.lds_before: list[str] = []
        self._running = contextlib.ExitStack()

    def __enter__(self) -> DataStage:
        with contextlib.ExitStack() as starting:
            for array in self.arrays:
                starting.enter_context(array)
            self.lds_before = [name for array in self.arrays
                               for name in array.lds()]
            starting.enter_context(self.glance)
            self.host = starting.enter_context(
                self.new_host('controller', wwpns=WWPNS))
            backends = {f'nec{number}': self._backend(number)
                        for number in range(1, len(self.arrays) + 1)}
            self.cinder = CinderProcess(
                self.state / 'cinder', backends, wrap=self.host.wrapped,
                backup=True, default={**self._options(), **self._default},
                sections={'key_manager': {
                    'backend': 'cinder.keymgr.conf_key_mgr.ConfKeyManager',
                    'fixed_key': PASSPHRASE}},
                template_dir=TEMPLATES,
                **self._how)  # type: ignore[arg-type]
            starting.enter_context(self.cinder)
            self._running = starting.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._running.close()

    def new_host(self, name: str, wwpns: tuple[str, ...] = ()) -> SimHost:
        """A host that sees every array; not started yet."""
        fabric = [
            {'portal': portal(array),
             'wwpns': [own(wwpn, number) for wwpn in FC_PORTS]}
            for number, (driver, array) in enumerate(
                zip(self.drivers, self.arrays, strict=True), 1)
            if driver.protocol == drivers.FC]
        return SimHost(self.state / 'hosts' / name, name, multipath=True,
                       wwpns=wwpns if fabric else (), fabric=fabric)

    def _backend(self, number: int) -> Mapping[str, Value]:
        array = self.arrays[number - 1]
        known_hosts = self.state / 'known_hosts'
        with known_hosts.open('a') as stream:
            stream.write(array.known_hosts_line() + '\n')
        return {
            'volume_driver': self.drivers[number - 1].path,
            'nec_ismcli_fip': array.host,
            'nec_ssh_pool_port_number': array.port,
            'nec_ismcli_user': array.user,
            'nec_ismcli_password': array.password,
            'nec_pools': '0', 'nec_backup_pools': '1',
            'use_multipath_for_image_xfer': self._multipath[number - 1],
            'backup_use_temp_snapshot': True,
        }

    def _options(self) -> dict[str, Value]:
        return {
            'ssh_hosts_key_file': str(self.state / 'known_hosts'),
            'strict_ssh_host_key_policy': True,
            'glance_api_servers': self.glance.endpoint,
            'periodic_interval': 60,
            'backup_driver':
                'cinder.backup.drivers.posix.PosixBackupDriver',
            'backup_posix_path': str(self.state / 'backups'),
            'backup_file_size': 1 << 26,
            # The smaller, the more time goes into digests that only
            # incremental backups need.
            'backup_sha_block_size_bytes': 1 << 20,
            'backup_workers': 1,
            'backup_compression_algorithm': 'none',
        }

    def errors(self) -> str:
        """ERROR lines of Cinder's log, without the tracebacks."""
        return '\n'.join([line for line in self.cinder.log().splitlines()
                          if ' ERROR ' in line and ']' in line][-10:])


def own(text: str, number: int) -> str:
    """The world wide names of the n-th array, for those of the first."""
    for name in _OWN:
        other = f'{int(name, 16) + number - 1:0{len(name)}x}'
        text = text.replace(name, other)
    return text


def own_config(state: Path, number: int) -> Path:
    """The default configuration with the n-th array's names."""
    path = state / f'array{number}.yaml'
    path.write_text(own(loader.find_config('default').read_text(), number))
    return path


def portal(array: Array) -> str:
    """One portal that answers on an array's data path."""
    return str(array.control.info()['data_path']['portals'][0])
