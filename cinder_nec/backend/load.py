# SPDX-License-Identifier: Apache-2.0
"""How busy an array is, as far as this service has to do with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
import dataclasses

from cinder_nec.backend.copying.settler import Settler
from cinder_nec.backend.inventory import Inventory
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.ismcli.gate import ChangeGate
from cinder_nec.ismcli.meter import CommandFigures, QueueFigures


@dataclasses.dataclass(frozen=True)
class LoadFigures:
    """What waits and runs now, and lately.

    Commands and queue are those of the array: all back ends of the service
    that are on it.  Copies are those of this back end, in all and by the
    pool they are in.
    """

    commands: CommandFigures
    queue: QueueFigures
    copies: int
    copies_in: Mapping[int, int]


class Load:
    """Collects the figures; nothing is asked of the array for them."""

    def __init__(self, client: IsmClient, gate: ChangeGate,
                 settler: Settler, inventory: Inventory) -> None:
        self._meter = client.meter
        self._gate = gate
        self._settler = settler
        self._inventory = inventory

    def read(self) -> LoadFigures:
        """Return the figures of this moment; never waits."""
        running = self._settler.running()
        config = self._inventory.known
        found = ([] if config is None else
                 [config.find_ld(name) for name in running])
        return LoadFigures(
            self._meter.read(), self._gate.figures(), len(running),
            Counter(ld.pool for ld in found if ld is not None))
