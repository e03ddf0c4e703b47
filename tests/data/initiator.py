# SPDX-License-Identifier: Apache-2.0
"""A plain iSCSI initiator, libiscsi's: no simulated host in between."""

from __future__ import annotations

from dataclasses import dataclass
import re
import subprocess

from ismsim.process import SimProcess

# tgt keeps LUN 0 of every target (ismsim/datapath/layout.py).
SHIFT = 1


@dataclass(frozen=True)
class Initiator:
    """One host's initiator name, at one portal of an array."""

    name: str
    sim: SimProcess
    address: str = '127.0.0.11'
    chap: str = ''

    @property
    def portal(self) -> str:
        port = self.sim.control.info()['data_path']['port']
        return f'{self.address}:{port}'

    def targets(self) -> list[str]:
        """What a discovery tells this initiator."""
        done = self._run('iscsi-ls', f'iscsi://{self.portal}')
        return re.findall(r'^Target:(\S+) ', done.stdout, re.M)

    def can_log_in(self, target: str) -> bool:
        return self._run('iscsi-inq',
                         self._url(target, 0)).returncode == 0

    def serial(self, target: str, lun: int) -> str | None:
        """The unit serial number; None without such a LUN."""
        done = self._run('iscsi-inq', '-e', '1', '-c', '128',
                         self._url(target, lun + SHIFT))
        found = re.search(r'Unit Serial Number:\[\s*(\S+?)\s*\]', done.stdout)
        return found[1] if found else None

    def size(self, target: str, lun: int) -> int | None:
        """The capacity; None without such a LUN."""
        done = self._run('iscsi-readcapacity16',
                         self._url(target, lun + SHIFT))
        found = re.search(r'Total size:(\d+)', done.stdout)
        return int(found[1]) if found else None

    def io(self, target: str, lun: int, *commands: str,
           read_only: bool = False) -> str:
        """Run commands of qemu-io on a LUN."""
        options = (
            'driver=raw,file.driver=iscsi,file.transport=tcp,'
            f'file.portal={self.portal},file.target={target},'
            f'file.lun={lun + SHIFT},file.initiator-name={self.name}')
        words = [word for command in commands for word in ('-c', command)]
        done = subprocess.run(
            ['qemu-io', *(['-r'] if read_only else []), *words,
             '--image-opts', options],
            capture_output=True, text=True, timeout=60)
        if done.returncode or 'failed' in done.stdout + done.stderr:
            raise OSError(done.stdout + done.stderr)
        return done.stdout

    def _url(self, target: str, lun: int) -> str:
        user = f'{self.chap.replace(":", "%")}@' if self.chap else ''
        return f'iscsi://{user}{self.portal}/{target}/{lun}'

    def _run(self, program: str,
             *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, '-i', self.name, *words],
                              capture_output=True, text=True, timeout=60)
