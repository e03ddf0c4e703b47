# SPDX-License-Identifier: Apache-2.0
"""A zone driver and a lookup service for Cinder's zone manager.

Cinder's process loads them by name.  The switches of two fabrics are one
directory: who is logged in, which zones there are, and whether the
switches answer.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
import threading
from typing import Any

from cinder import exception
from cinder.zonemanager.drivers import fc_zone_driver

# The variable that names the directory.
VARIABLE = 'NEC_TEST_FABRICS'
_lock = threading.Lock()


class Fabrics:
    """The directory, for the test and for Cinder's process."""

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)

    def start(self, logged_in: dict[str, list[str]]) -> None:
        """Connect ports; *logged_in* has WWPNs by fabric."""
        self.directory.mkdir()
        (self.directory / 'ports').write_text(json.dumps(logged_in))

    @property
    def ports(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = json.loads(
            (self.directory / 'ports').read_text())
        return found

    def zones(self) -> set[tuple[str, str, str]]:
        """Fabric, initiator and target of each zone."""
        try:
            text = (self.directory / 'zones').read_text()
        except FileNotFoundError:
            return set()
        return {tuple(zone) for zone in json.loads(text)}

    def change(self, add: set[tuple[str, str, str]],
               remove: set[tuple[str, str, str]]) -> None:
        if (self.directory / 'broken').exists():
            raise exception.FCZoneDriverException(reason='no answer')
        with _lock:
            zones = sorted((self.zones() | add) - remove)
            new = self.directory / 'zones.new'
            new.write_text(json.dumps(zones))
            new.replace(self.directory / 'zones')

    def broken(self, yes: bool) -> None:
        """The switches do not answer any more, or do again."""
        if yes:
            (self.directory / 'broken').touch()
        else:
            (self.directory / 'broken').unlink()


def _fabrics() -> Fabrics:
    return Fabrics(os.environ[VARIABLE])


def _pairs(fabric: str, paths: dict[str, list[str]]
           ) -> set[tuple[str, str, str]]:
    return {(fabric, initiator, target)
            for initiator, targets in paths.items() for target in targets}


class ZoneDriver(fc_zone_driver.FCZoneDriver):
    """Policy ``initiator-target``, as the vendors' drivers have it."""

    VERSION = '1.0'

    def get_version(self) -> str:
        return self.VERSION

    def add_connection(self, fabric: str, initiator_target_map: Any,
                       host_name: Any = None,
                       storage_system: Any = None) -> None:
        _fabrics().change(_pairs(fabric, initiator_target_map), set())

    def delete_connection(self, fabric: str, initiator_target_map: Any,
                          host_name: Any = None,
                          storage_system: Any = None) -> None:
        _fabrics().change(set(), _pairs(fabric, initiator_target_map))

    def get_san_context(self, target_wwn_list: list[str]
                        ) -> dict[str, list[str]]:
        """Return which of the targets are in which fabric."""
        found = {fabric: [t for t in target_wwn_list if t in ports]
                 for fabric, ports in _fabrics().ports.items()}
        return {fabric: targets for fabric, targets in found.items()
                if targets}


class Lookup:
    """The name servers of the fabrics."""

    def __init__(self, **_arguments: Any) -> None:
        pass

    def get_device_mapping_from_network(
            self, initiator_list: list[str], target_list: list[str]
    ) -> dict[str, dict[str, list[str]]]:
        return {fabric: {
            'initiator_port_wwn_list': [w for w in initiator_list
                                        if w in ports],
            'target_port_wwn_list': [w for w in target_list if w in ports]}
            for fabric, ports in _fabrics().ports.items()}
