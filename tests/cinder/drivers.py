# SPDX-License-Identifier: Apache-2.0
"""The driver classes, importable beside Cinder."""

from __future__ import annotations

from cinder import objects

objects.register_all()

from cinder.volume import manager  # noqa: E402, F401

from cinder_nec import volume  # noqa: E402

DRIVERS = (
    volume.MStorageISCSIDriver,
    volume.MStorageFCDriver,
    volume.MStorageDDRISCSIDriver,
    volume.MStorageDDRFCDriver,
)
