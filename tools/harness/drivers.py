# SPDX-License-Identifier: Apache-2.0
"""The driver classes that the demo and the system tests can run.

One place says which classes exist: a class joins the conformance suite by
moving into READY.
"""

from __future__ import annotations

from dataclasses import dataclass
import os

OURS = 'cinder_nec.volume.'
IN_TREE = 'cinder.volume.drivers.nec.volume.'

ISCSI = 'iscsi'
FC = 'fc'
SNAPSHOT = 'snapshot'
REPLICATION = 'replication'

# Class name -> protocol, copy method.
CLASSES = {
    'MStorageISCSIDriver': (ISCSI, SNAPSHOT),
    'MStorageFCDriver': (FC, SNAPSHOT),
    'MStorageDDRISCSIDriver': (ISCSI, REPLICATION),
    'MStorageDDRFCDriver': (FC, REPLICATION),
}

# What the conformance suite runs on. The second run of tools/test, on the
# oldest Cinder, takes two classes that cover protocols and methods.
PAIR = ('MStorageISCSIDriver', 'MStorageDDRFCDriver')
CHOICE = 'CINDER_NEC_DRIVERS'
READY = tuple(os.environ[CHOICE].split(',')) if CHOICE in os.environ else (
    tuple(CLASSES))


@dataclass(frozen=True)
class Driver:
    """One driver class as cinder.conf names it."""

    path: str
    protocol: str
    method: str

    @property
    def name(self) -> str:
        return self.path.rpartition('.')[2]

    @property
    def in_tree(self) -> bool:
        """True for Cinder's own driver, a peer that needs eventlet."""
        return self.path.startswith(IN_TREE)


def find(name: str) -> Driver:
    """A driver by class name (one of ours) or by dotted path."""
    path = name if '.' in name else OURS + name
    short = path.rpartition('.')[2]
    if short not in CLASSES:
        known = ', '.join(CLASSES)
        raise ValueError(f'{name!r} is no driver class: choose one of '
                         f'{known}, or a full dotted path to one')
    protocol, method = CLASSES[short]
    return Driver(path, protocol, method)
