# SPDX-License-Identifier: Apache-2.0
"""A cinder.conf for tests of ``cinder-nec``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.array import Array
from tests import necctl

GOLD, SILVER = 'gold', 'silver'


class Site:
    """Two back ends on one array: iSCSI with snapshots, FC with replicas.

    ``sections`` is what is written; tests change it.
    """

    def __init__(self, array: Array, directory: Path) -> None:
        self.array = array
        self.known_hosts = directory / 'known_hosts'
        self.known_hosts.write_text(array.known_hosts_line() + '\n')
        self.conf = directory / 'cinder.conf'
        common = {
            'nec_ismcli_fip': array.host,
            'nec_ssh_pool_port_number': array.port,
            'nec_ismcli_user': array.user,
            'nec_ismcli_password': array.password,
            'nec_backup_pools': '1', 'nec_diskarray_name': 'Array1'}
        self.sections: dict[str, dict[str, Any]] = {
            'DEFAULT': {'enabled_backends': f'{GOLD},{SILVER}',
                        'ssh_hosts_key_file': self.known_hosts},
            GOLD: {
                'volume_driver': 'cinder_nec.volume.MStorageISCSIDriver',
                'nec_pools': '0', **common},
            SILVER: {
                'volume_driver': 'cinder_nec.volume.MStorageDDRFCDriver',
                'nec_pools': '3', **common}}

    def write(self) -> None:
        self.conf.write_text(''.join(
            f'[{name}]\n' + ''.join(f'{key} = {value}\n' for key, value
                                    in options.items() if value is not None)
            for name, options in self.sections.items()))

    def run(self, *arguments: str, env: Mapping[str, str] | None = None,
            terminal: bool = False) -> tuple[int, str, str]:
        """Run the command on this site; the port is always shown as 22."""
        self.write()
        status, out, err = necctl.run(
            *arguments, '--config-file', str(self.conf), env=env,
            terminal=terminal)
        return status, self._plain(out), self._plain(err)

    def rows(self, *arguments: str, status: int = 0
             ) -> list[dict[str, Any]]:
        self.write()
        return necctl.rows(*arguments, '--config-file', str(self.conf),
                           status=status)

    def check(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the findings on GOLD; the status goes with them."""
        self.write()
        levels = {'ok': 0, 'warning': 1, 'error': 2}
        status, out, err = necctl.run(
            'check', '-f', 'json', '--config-file', str(self.conf),
            '--backend', GOLD, *arguments)
        found: list[dict[str, Any]] = necctl.parsed(out)
        assert status == max(levels[row['Level']] for row in found), err
        return found

    def _plain(self, text: str) -> str:
        return text.replace(f'port {self.array.port}', 'port 22').replace(
            str(self.known_hosts), '/var/lib/cinder/ssh_known_hosts')
