# SPDX-License-Identifier: Apache-2.0
"""What hosts have to find at the array now: a value made from its records.

An iSCSI LD Set shows the targets that the dump lists. An FC LD Set shows
one target that stands for all FC ports; its initiators are the HBAs, by
the names `naa.<wwpn>`, and only the simulated host's HBA knows of it.

tgt keeps LUN 0 of every target for its own controller: the LUN of the
array is one less than the LUN on the wire. The simulated host takes the
one off again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ismsim.array import Array
from ismsim.copying import is_accessible_rv
from ismsim.entities import (
    LdKind,
    LdSet,
    LogicalDisk,
    Mapping,
    Protocol,
    TargetMode,
)

LUN_SHIFT = 1


@dataclass(frozen=True)
class Unit:
    """An LD behind a LUN."""

    path: Path
    size: int
    # The unit serial number: ISMCLI.md A.2 (LD WWN).
    serial: str
    read_only: bool = False
    # Which SV an LV shows: another one is another disk.
    shows: int | None = None

    def is_same_disk(self, other: Unit) -> bool:
        """Whether only the size differs."""
        return (self.path, self.serial, self.read_only, self.shows) == (
            other.path, other.serial, other.read_only, other.shows)


@dataclass(frozen=True)
class Target:
    """A target: who may log in, and what is there."""

    initiators: frozenset[str] = frozenset()
    units: dict[int, Unit] = field(default_factory=dict)


def targets(array: Array) -> dict[str, Target]:
    """Every target with an LD behind it, and those of Normal mode."""
    result: dict[str, Target] = {}
    for ldset in array.store.ldsets.values():
        if ldset.protocol is Protocol.FC:
            result[fc_target(array, ldset)] = Target(
                frozenset(hba_name(path) for path in ldset.paths
                          if '(' not in path)
                if array.settings.access_control else frozenset(),
                _units(array, ldset.maps))
            continue
        allowed = frozenset(array.settings.initiators if ldset.full_access
                            else ldset.initiators)
        if ldset.mode is not TargetMode.MULTI:
            result[ldset.target(0)] = Target(
                allowed, _units(array, ldset.maps))
            continue
        for slot, mapping in ldset.maps.items():
            result[ldset.target(slot)] = Target(
                allowed, _units(array, {slot: mapping}))
    return result


def portals(array: Array) -> tuple[str, ...]:
    """The addresses that answer: configured iSCSI ports with a link."""
    ports = sorted(array.store.ports.values(), key=lambda port: port.key)
    return tuple(dict.fromkeys(
        port.ip for port in ports
        if port.protocol is Protocol.ISCSI and port.link_up
        and port.ip not in ('', '0.0.0.0', '::')))


def fc_target(array: Array, ldset: LdSet) -> str:
    """The name on the wire of what an FC LD Set shows."""
    return (f'iqn.2001-03.jp.nec:fc.{array.settings.wwn.lower()}.'
            f'{ldset.platform.lower()}-{ldset.index:04x}')


def hba_name(path: str) -> str:
    """The name on the wire of a host's HBA."""
    return 'naa.' + path.replace('-', '').lower()


def serial(array: Array, ldn: int) -> str:
    """The LD's WWN: the array's without its first four digits, then LDN."""
    return f'{array.settings.wwn[4:]}{ldn:04x}'.lower()


def _units(array: Array, maps: dict[int, Mapping]) -> dict[int, Unit]:
    result = {}
    for mapping in maps.values():
        ld = array.store.lds.get(mapping.ldn)
        unit = None if ld is None else _unit(array, ld)
        if unit is not None:
            result[mapping.lun + LUN_SHIFT] = unit
    return result


def _unit(array: Array, ld: LogicalDisk) -> Unit | None:
    """How an LD is shown; None if it has nothing to show now."""
    name = serial(array, ld.ldn)
    if ld.kind is LdKind.ORDINARY:
        pair = array.store.pair_of_rv(ld.ldn)
        # ISMCLI.md B.3: no host reads an RV while it is copied to.
        if pair is not None and not is_accessible_rv(pair):
            return None
        read_only = pair is not None and pair.rv_access != 'rw'
        return Unit(array.backing.ensure(ld.ldn, ld.capacity),
                    ld.capacity, name, read_only)
    if ld.kind is LdKind.LV:
        link = array.store.links[ld.ldn]
        path = array.backing.path(ld.ldn)
        if link.sv is None or not path.exists():
            return None
        return Unit(path, ld.capacity, name, link.access != 'rw', link.sv)
    # A control volume has no capacity: hosts see no disk there.
    return None
