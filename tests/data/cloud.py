# SPDX-License-Identifier: Apache-2.0
"""A user whose volumes hold real bytes: on hosts, and in images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from simhost.process import SimHost

from harness import names
from harness.attached import Attached
from harness.content import fingerprint
from harness.data_stage import DataStage
from harness.tally import wants_all
from tests.system.cloud import Cloud

# (class, several paths); the number of a case is that of its back end. The
# first two have both protocols and both methods, and are all that runs
# without tools/test --all.
CASES = (('MStorageISCSIDriver', False),
         ('MStorageDDRFCDriver', True),
         ('MStorageFCDriver', False),
         ('MStorageDDRISCSIDriver', True))[:4 if wants_all() else 2]
# What copies whole gigabytes through a host never runs on more.
PAIR = pytest.mark.parametrize('user', (0, 1), indirect=True, ids=[
    name for name, _paths in CASES[:2]])


class User(Cloud):
    """Acts on one back end of a stage, from the hosts *nodes*."""

    def __init__(self, stage: DataStage, number: int,
                 nodes: list[SimHost]) -> None:
        self.stage: Any = stage
        self.array = stage.arrays[number]
        self.driver = stage.drivers[number]
        self.backend = f'nec{number + 1}'
        self.multipath = CASES[number][1]
        self.client = stage.cinder.client()
        self.nodes = nodes
        self._volumes = []
        self._snapshots = []
        self._attachments = []

    def kind(self, suffix: str = '', **specs: str) -> str:
        """The name of a volume type of this back end."""
        return str(self.stage.cinder.ensure_type(
            self.backend + suffix, self.backend, **specs).name)

    def create(self, size: int = 1, *, status: str = 'available',
               **arguments: Any) -> str:
        """Create a volume on this back end, wait, return its id."""
        if not {'snapshot_id', 'source_volid'} & arguments.keys():
            arguments.setdefault('volume_type', self.kind())
        return super().create(size, status=status, **arguments)

    def adopt(self, volume: str) -> None:
        """Delete a volume at the end that Cinder made by itself."""
        self._volumes.append(volume)

    def on_host(self, volume: str, node: int | SimHost = 0) -> Attached:
        """A volume on a host, for a `with` statement."""
        host = self.nodes[node] if isinstance(node, int) else node
        return Attached(self.client, volume, host, multipath=self.multipath)

    def new_node(self, name: str) -> SimHost:
        """A compute node of this test only; not started yet."""
        number = int(self.backend[3:])
        return self.stage.new_host(
            f'{name}-{self.backend}',
            tuple(f'10000090fa5d{number:02x}{port:02x}' for port in (1, 2)))

    def host_reads(self, volume: str, *offsets: int) -> list[str]:
        """The texts that a host finds in some blocks of a volume."""
        with self.on_host(volume) as disk:
            return [disk.read(offset) for offset in offsets]

    def path(self, volume: str) -> Path:
        """The file in which an array keeps a volume's bytes."""
        # After a migration the disk has the name of the copy.
        name = getattr(self.client.volumes.get(volume),
                       'os-vol-mig-status-attr:name_id', None) or volume
        for array in self.stage.arrays:
            raw = array.control.ld(names.label(name))
            if raw is not None:
                return Path(raw['path'])
        raise LookupError(f'no array has a disk of {volume}')

    def fingerprint(self, volume: str, length: int | None = None) -> str:
        """Of what the array holds."""
        path = self.path(volume)
        # A disk that was never written to has no file.
        return fingerprint(path if path.exists() else Path(os.devnull),
                           length)
