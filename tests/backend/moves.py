# SPDX-License-Identifier: Apache-2.0
"""What moves LDs, for the service of a lab."""

from __future__ import annotations

from cinder_nec.backend.copying.pairs import PairCopy
from cinder_nec.backend.io_control import IoControl
from cinder_nec.backend.migration import Migration
from tests.backend.arrays import Lab


def make_migration(lab: Lab,
                   within_seconds: float = 24 * 3600.0) -> Migration:
    return Migration(
        lab.client, lab.inventory, lab.volumes,
        PairCopy(lab.client, lab.inventory, lab.time, within_seconds),
        IoControl(lab.client, lab.inventory), lab.time, within_seconds)
