# SPDX-License-Identifier: Apache-2.0
"""The simulated array as the demo and the system tests see it.

Everything that depends on how the simulator is started and asked is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from harness import leash, names
from ismsim.control import ControlClient
from ismsim.process import SimProcess

USER = 'sysadmin'
# Searched for in logs by tests: no other text contains it.
PASSWORD = 'sim-Passw0rd'


@dataclass(frozen=True)
class Ld:
    """A logical disk; *name* is without its platform."""

    ldn: int
    platform: str
    name: str
    pool: int
    capacity: int
    kind: str

    @property
    def full_name(self) -> str:
        return f'{self.platform}:{self.name}'


@dataclass(frozen=True)
class LdSet:
    """An LD Set: who may use which logical disks."""

    # With its platform, as commands take it.
    name: str
    protocol: str
    multi_target: bool
    initiators: tuple[str, ...]
    wwpns: tuple[str, ...]
    portals: tuple[str, ...]
    # LUN -> LDN; in multi-target mode target name -> LDN.
    luns: Mapping[int, int]
    targets: Mapping[str, int]

    @property
    def hosts(self) -> set[str]:
        """Initiator names, or WWPNs as Cinder spells them."""
        return {*self.initiators, *self.wwpns}

    @property
    def ldns(self) -> set[int]:
        return {*self.luns.values(), *self.targets.values()}

    def ldn_at(self, target: str, lun: int) -> int | None:
        """The LDN that an initiator finds at a target and LUN."""
        if self.multi_target:
            return self.targets.get(target) if lun == 0 else None
        return self.luns.get(lun)


@dataclass(frozen=True)
class Point:
    """A point in time that the array keeps of a volume."""

    kind: str
    name: str
    state: str


@dataclass(frozen=True)
class Command:
    """One line that the array was sent."""

    seq: int
    text: str
    kind: str
    status: int | None
    message_id: str
    hostile: bool

    @property
    def is_dump(self) -> bool:
        return self.kind == 'DUMP'

    @property
    def is_change(self) -> bool:
        return self.kind == 'CHANGE'


class Array:
    """Context manager: the simulated array in a process of its own."""

    user = USER
    password = PASSWORD

    def __init__(self, state: Path, *, latency: str | None = None,
                 **arguments: Any) -> None:
        self._process = SimProcess(directory=state, user=USER,
                                   password=PASSWORD, latency=latency or '',
                                   **arguments)
        # Through a wrapper that makes it end with this process, however
        # that ends, and leaves Ctrl-C to whoever stops it in order.
        self._process._command[:1] = leash.command(
            self._process._command[0])

    def __enter__(self) -> Array:
        self._process.start()
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._process.stop()

    @property
    def host(self) -> str:
        return self._process.host

    @property
    def port(self) -> int:
        return self._process.port

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def process(self) -> SimProcess:
        """For kill(), restart() and the like."""
        return self._process

    @property
    def control(self) -> ControlClient:
        """For faults, timing and what else only a test does."""
        return self._process.control

    def known_hosts_line(self) -> str:
        return self._process.known_hosts_line

    def ssh_hint(self) -> str:
        """A command for people that asks the array something."""
        return (f'ssh -p {self.port} {self.user}@{self.host} iSMview -d'
                f'   (password: {self.password})')

    # -- what is on it -----------------------------------------------

    def lds(self) -> dict[str, Ld]:
        """All logical disks, by name with platform."""
        return {ld.full_name: ld
                for ld in map(_ld, self.control.state()['lds'])}

    def find_ld(self, uuid: str) -> Ld | None:
        """The logical disk of a Cinder volume or snapshot."""
        raw = self.control.ld(names.label(uuid))
        return None if raw is None else _ld(raw)

    def ld(self, uuid: str) -> Ld:
        """The logical disk of a Cinder volume or snapshot; must exist."""
        found = self.find_ld(uuid)
        if found is None:
            raise LookupError(f'the array has no disk of {uuid}')
        return found

    def ld_sets(self) -> list[LdSet]:
        """All LD Sets."""
        return [_ld_set(raw) for raw in self.control.state()['ldsets']]

    def sets_of(self, uuid: str) -> list[LdSet]:
        """The LD Sets in which a volume is mapped."""
        found = self.find_ld(uuid)
        return [each for each in self.ld_sets()
                if found and found.ldn in each.ldns]

    def points_in_time(self, uuid: str) -> list[Point]:
        """Snapshots and replicas that the array keeps of a volume."""
        state = self.control.state()
        name = names.label(uuid)
        points = [Point('snapshot', ld['name'], ld['snap_state'])
                  for ld in state['lds']
                  if ld['kind'] == 'sv' and ld.get('bv') == name]
        return points + [Point('replica', pair['rv'], pair['state'])
                         for pair in state['pairs'] if pair['mv'] == name]

    def pool_free(self, number: int) -> int:
        """Free bytes of a pool."""
        for pool in self.control.state()['pools']:
            if pool['number'] == number:
                return int(pool['free'])
        raise LookupError(f'the array has no pool {number}')

    def contents(self) -> dict[str, Any]:
        """What a user's volumes and snapshots consist of, to compare.

        LD Sets themselves are left out: they are the hosts', not the
        volumes'.
        """
        state = self.control.state()
        return {
            'lds': {ld['full_name']: ld['capacity'] for ld in state['lds']},
            'pairs': sorted((p['mv'], p['rv']) for p in state['pairs']),
            'mapped': sorted((each['name'], lun['ld'])
                             for each in state['ldsets']
                             for lun in each['luns']),
        }

    # -- bytes -------------------------------------------------------

    def read(self, uuid: str, offset: int, length: int) -> bytes:
        """Bytes of a volume, as a host would read them."""
        return self.control.read(names.label(uuid), length, offset)

    def write(self, uuid: str, offset: int, data: bytes) -> None:
        """Write bytes to a volume, as a host would."""
        self.control.write(names.label(uuid), data, offset)

    # -- commands ----------------------------------------------------

    def mark(self) -> int:
        """Where the journal is now."""
        return self.control.mark()

    def journal(self, since: int = 0) -> list[Command]:
        """Commands that came over SSH after a mark."""
        return [Command(entry['seq'], entry['command'], entry['kind'],
                        entry['status'], entry['message_id'],
                        entry['hostile'])
                for entry in self.control.journal(since)]

    def run(self, command: str) -> str:
        """Run a command as the array's operator; not in the journal."""
        answer = self.control.execute(command)
        if answer['status']:
            raise RuntimeError(f'{command}: {answer["stderr"]}')
        return str(answer['stdout'])


def _ld(raw: Mapping[str, Any]) -> Ld:
    return Ld(raw['ldn'], raw['platform'], raw['name'], raw['pool'],
              raw['capacity'], raw['kind'])


def _ld_set(raw: Mapping[str, Any]) -> LdSet:
    return LdSet(
        name=raw['name'], protocol=raw['type'],
        multi_target=raw['mode'] == 'Multi-Target',
        initiators=tuple(raw['initiators']),
        wwpns=tuple(path.replace('-', '').lower() for path in raw['paths']),
        portals=tuple(f'{ip}:{raw["portal_port"]}'
                      for ip in raw['portals']),
        luns={lun['lun']: lun['ldn'] for lun in raw['luns']},
        targets={lun['target']: lun['ldn'] for lun in raw['luns']
                 if lun['target']})
