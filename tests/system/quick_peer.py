# SPDX-License-Identifier: Apache-2.0
"""The driver classes of the Cinder tree, in less of a hurry to sleep.

Nothing of the driver is changed but its pauses between two looks at a copy
(10 s at least, against copies of the simulated array that take none).  A
cinder.conf names a class of this module instead of the tree's.
"""

from __future__ import annotations

import time
import types

from cinder.volume.drivers.nec import cli
from cinder.volume.drivers.nec.volume import (
    MStorageFCDriver,
    MStorageISCSIDriver,
)

__all__ = ['MStorageFCDriver', 'MStorageISCSIDriver']

PAUSE = 0.05

cli.get_sleep_time_for_clone = lambda _retry_count: PAUSE
cli.time = types.SimpleNamespace(
    sleep=lambda seconds: time.sleep(min(seconds, PAUSE)), time=time.time)
