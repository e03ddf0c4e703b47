# SPDX-License-Identifier: Apache-2.0
"""The driver's back end on a simulated array, without SSH.

The transport hands command lines straight to the simulated array's engine.
Time is one clock that moves when somebody sleeps: waits cost nothing, and
copies end while the driver waits for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import copy
import dataclasses
import functools
from pathlib import Path
import threading
import time
from typing import Any

from cinder_nec import errors
from cinder_nec.backend.access.base import AccessOptions, Connector
from cinder_nec.backend.access.fc import FabricLookup, FcAccess
from cinder_nec.backend.access.iscsi import IscsiAccess
from cinder_nec.backend.claims import Claims, Lock
from cinder_nec.backend.copying.base import CopyMethod
from cinder_nec.backend.copying.pairs import PairCopy
from cinder_nec.backend.copying.replication import ReplicationMethod
from cinder_nec.backend.copying.settler import Settler, copies_in
from cinder_nec.backend.copying.snapshot import SnapshotMethod
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.journal import Journal
from cinder_nec.backend.load import Load
from cinder_nec.backend.reservations import Reservations
from cinder_nec.backend.volumes import Volumes
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.ismcli.gate import ChangeGate
from cinder_nec.ismcli.transport import CommandResult
from cinder_nec.model import LdName
from ismsim import loader
from ismsim.array import Timing
from ismsim.engine import Engine
from ismsim.faults import Action, Fault
from ismsim.main import build_engine
from ismsim.operate import OPERATIONS

POOL, BACKUP_POOL = 0, 1


class Time:
    """A clock that sleeping moves on, for the driver and the array.

    :param real: how much of a sleep also passes in reality; where threads
        of two services meet at the array, one must let the other go on
    """

    def __init__(self, real: float = 0.0) -> None:
        self._real = real
        self._now = 1_700_000_000.0
        self._lock = threading.Lock()
        self.slept_seconds = 0.0

    def now(self) -> float:
        with self._lock:
            return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._now += max(0.0, seconds)
            self.slept_seconds += max(0.0, seconds)
        time.sleep(max(0.0, seconds) * self._real)

    def close(self) -> None:
        pass


class EngineTransport:
    """Runs command lines on the engine; what is dropped has no answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def run(self, command_line: str,
            timeout_seconds: float) -> CommandResult:
        outcome = self._engine.execute(command_line, gone=lambda: True)
        if outcome.drop:
            raise errors.OutcomeUnknown('the connection was lost')
        reply = outcome.reply
        return CommandResult(reply.stdout, reply.stderr, reply.status)

    def close(self) -> None:
        pass


@dataclasses.dataclass
class Lab:
    """A simulated array and one service's view of it."""

    engine: Engine
    time: Time
    client: IsmClient
    inventory: Inventory
    volumes: Volumes
    snapshots: CopyMethod
    access: IscsiAccess
    fc: FcAccess
    settler: Settler
    gate: ChangeGate

    @property
    def load(self) -> Load:
        return Load(self.client, self.gate, self.settler, self.inventory)

    # -- what was sent -------------------------------------------------

    def mark(self) -> int:
        entries = self.engine.journal.since(0)
        return entries[-1].seq if entries else 0

    def sent(self, since: int = 0) -> list[str]:
        """Return the verbs of the commands sent after a mark."""
        return [verb(entry.command)
                for entry in self.engine.journal.since(since)]

    # -- what is there -------------------------------------------------

    def lds(self) -> dict[str, Any]:
        """Return the LDs that have a name of their own."""
        with self.engine.array.lock:
            return {ld.name: ld
                    for ld in self.engine.array.store.lds.values()
                    if ld.platform}

    def state(self) -> tuple[Any, ...]:
        """Return all that could be left behind, comparable."""
        store = self.engine.array.store
        with self.engine.array.lock:
            return (
                sorted((ld.ldn, ld.name, ld.capacity)
                       for ld in store.lds.values()),
                sorted(str(pair) for pair in store.pairs.values()),
                sorted(str((g.bv, g.sv))
                       for g in store.generations.values()),
                sorted((name, tuple(sorted(s.maps)))
                       for name, s in store.ldsets.items()))

    def write(self, name: LdName, data: bytes, offset: int = 0) -> None:
        ld = self.lds()[name.label]
        self.engine.array.backing.write(ld.ldn, offset, data, ld.capacity)

    def read(self, name: LdName, length: int, offset: int = 0) -> bytes:
        ld = self.lds()[name.label]
        return self.engine.array.backing.read(ld.ldn, offset, length,
                                              ld.capacity)

    # -- what only an operator or a failure does -----------------------

    def operate(self, name: str, /, **values: Any) -> Any:
        """Run an operation of the simulator's control interface."""
        array = self.engine.array
        with array.lock:
            result = OPERATIONS[name](array, values)
            self.engine.save()
        return result

    # -- faults --------------------------------------------------------

    def fault(self, action: Action, **values: Any) -> None:
        self.engine.faults.add(Fault(action, **values))


def verb(command: str) -> str:
    """Return what a command line does, without its arguments."""
    words = command.split()
    if words[0] in ('iSMcfg', 'iSMioc', 'iSMquery'):
        return words[1] if words[0] != 'iSMquery' else 'dump'
    if words[0] == 'iSMrc_pair':
        return words[1].lstrip('-')
    return words[0].removeprefix('iSM')


@functools.cache
def read_config(name: str) -> dict[str, Any]:
    """Read a file once; YAML takes longer than a whole test."""
    return loader.read_config(loader.find_config(name))


def make_engine(directory: Path, config: str = 'default',
                clock: Time | None = None,
                changes: dict[str, Any] | None = None,
                copy_rate: float = float('inf')) -> Engine:
    values = copy.deepcopy(read_config(config))
    values.update(changes or {})
    return build_engine(values, directory, clock or Time(),
                        Timing(copy_rate=copy_rate))


def make_lab(engine: Engine, *, options: AccessOptions | None = None,
             backup_pools: tuple[int, ...] = (BACKUP_POOL,),
             ldn_start: int = 100, replication: bool = False,
             within_seconds: float = 24 * 3600.0,
             fabric: FabricLookup | None = None, waits: bool = True,
             start: Callable[[Callable[[], None]], None] = lambda _: None,
             cluster_lock: Lock | None = None,
             journal: Journal | None = None) -> Lab:
    """Return a service of its own on an array.

    :param waits: for copies (``nec_clone_wait_for_copy``)
    :param journal: of the service; by default it has none
    :param start: runs the settler's work; by default nobody does, and
        copies settle while somebody waits for them
    :param cluster_lock: what the services of a cluster share
    """
    clock = engine.array.clock
    assert isinstance(clock, Time)
    gate, claims = ChangeGate(clock=clock), Claims(cluster_lock)
    client = IsmClient(EngineTransport(engine), gate, clock=clock)
    inventory = Inventory(client.query_all, clock,
                          Reservations(clock, start=ldn_start))
    volumes = Volumes(client, inventory, clock, journal)
    pairs = PairCopy(client, inventory, clock, within_seconds)
    settler = Settler(
        inventory, pairs, clock, start, of_peers=copies_in(
            inventory, backup_pools if replication else ())
        if cluster_lock else None)
    snapshots: CopyMethod = SnapshotMethod(
        client, inventory, volumes, pairs, backup_pools, claims=claims,
        settler=settler, clock=clock, waits=waits)
    if replication:
        snapshots = ReplicationMethod(
            client, inventory, volumes, pairs, backup_pools, claims=claims,
            settler=settler, waits=waits)
    options = options or AccessOptions()
    access = IscsiAccess(client, inventory, volumes, claims, options)
    fc = FcAccess(client, inventory, volumes, claims, options, fabric)
    return Lab(engine, clock, client, inventory, volumes, snapshots, access,
               fc, settler, gate)


def host(number: int = 1, *, multipath: bool = False) -> Connector:
    return Connector.parse({
        'initiator': f'iqn.1994-05.com.redhat:host{number:04d}',
        'host': f'host{number}', 'multipath': multipath})


def attached(*hosts: Connector) -> Callable[[], dict[str, Connector]]:
    """What reads the attachments of a volume from Cinder's database."""
    return lambda: {f'attachment {n}': h for n, h in enumerate(hosts)}


def fc_host(number: int = 1, ports: Sequence[int] = (0, 1)) -> Connector:
    return Connector.parse({
        'wwpns': [wwpn(number, port) for port in ports],
        'host': f'host{number}'})


def wwpn(number: int = 1, port: int = 0) -> str:
    return f'10000090faa0{number:02x}{port:02x}'
