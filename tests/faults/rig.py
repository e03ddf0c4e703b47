# SPDX-License-Identifier: Apache-2.0
"""A whole driver on a simulated array whose n-th command fails.

The driver is put together as ``do_setup`` does it; only the transport and
the clock are others.  A wait takes no time.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import os
from pathlib import Path
from typing import Any

from cinder_nec import assembly, errors, naming
from cinder_nec.backend.claims import Claims
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.reservations import Reservations
from cinder_nec.config import BackendConfig
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.ismcli.gate import ChangeGate
from cinder_nec.ismcli.transport import CommandResult
from cinder_nec.model import LdName, LdSetName, Protocol
from ismsim.copying import settle
from ismsim.engine import Engine
from ismsim.faults import Action, Fault
from tests.backend.arrays import (
    BACKUP_POOL,
    POOL,
    Lab,
    Time,
    fc_host,
    host,
    make_engine,
)
from tests.backend.replication import label
from tests.cinder.assembled import Record
from tests.faults.state import State

COPY_RATE = float(1 << 30)
# Longer than any copy or wait of the driver on this array.
LONG_SECONDS = 20_000.0
DEMO_POOL = 2
HERE, THERE = 'node@gold#Gold', 'node@silver#Silver'
OLD, NEW = b'what the user wrote', b'what came later, ok'
BYSTANDER, STRANGER = b'of another volume', b'of another program'
STRANGERS_LD = 'oracle_data'
FULL_ACCESS = LdSetName('LX', 'full')

Strike = Callable[['Rig', str], object]


class Fabric:
    """A fabric lookup that finds nobody: all ports are taken."""

    def get_device_mapping_from_network(self, _initiators, _targets):
        return {}


class Killed(BaseException):
    """The service dies: nothing that it does is done any more."""


class FaultyTransport:
    """Hands command lines to the engine; one of them meets a fault."""

    def __init__(self, engine: Engine, clock: Time) -> None:
        self._engine = engine
        self._clock = clock
        self.rig: Rig | None = None
        self.hangs = False
        self.refused_until = 0.0
        self.watch: Callable[[str], None] = lambda _text: None
        self._nth, self._strike = 0, None
        self.struck = ''
        self.dies: Callable[[], bool] = lambda: False
        self.is_dead = False

    def arm(self, nth: int, strike: Strike) -> None:
        """Let something happen right before the n-th command from now."""
        self._nth, self._strike, self.struck = nth, strike, ''

    def run(self, command_line: str,
            timeout_seconds: float) -> CommandResult:
        if self.is_dead:
            raise Killed
        self.watch(command_line)
        self._nth -= 1
        if self._nth == 0 and self._strike is not None:
            self.struck = command_line
            self._strike(self.rig, command_line)
        if self._clock.now() < self.refused_until:
            raise errors.ConnectFailed(
                'The disk array at 192.0.2.1 refuses the connection.',
                'See nec_ismcli_fip.')
        outcome = self._engine.execute(command_line, gone=lambda: True)
        if self.dies():
            self.is_dead = True
            raise Killed
        if outcome.drop and self.hangs:
            self._clock.sleep(timeout_seconds)
            raise errors.OutcomeUnknown(
                f'`{command_line}` was not answered within '
                f'{timeout_seconds:.0f} s.')
        if outcome.drop:
            raise errors.OutcomeUnknown(
                f'The connection was lost while `{command_line}` ran.')
        reply = outcome.reply
        return CommandResult(reply.stdout, reply.stderr, reply.status)

    def close(self) -> None:
        pass


def config_with(**options: Any) -> BackendConfig:
    """Return the options of a back end, some of them others."""
    return BackendConfig(**{
        'group': 'gold', 'backend_name': 'Gold', 'address': '192.0.2.1',
        'port': 22, 'user': 'sysadmin', 'password': 'secret',
        'private_key_file': None, 'known_hosts_file': '/nonexistent',
        'trust_on_first_use': False, 'connect_timeout_seconds': 30.0,
        'max_sessions': 4, 'legacy_view': None, 'pools': (POOL,),
        'backup_pools': (BACKUP_POOL,), 'platform': 'LX',
        'backup_platform': 'LX',
        'control_volume_format': 'LX:__ControlVolume_%xh', 'ld_set': None,
        'controller_ld_set': None, 'controller_hosts': frozenset(),
        'automatic_access_control': True, 'portals_per_controller': 1,
        'max_ld_count': None, 'actual_capacity': False,
        'report_pools': False, 'clone_waits': False,
        'copy_within_seconds': 24 * 3600.0, 'disk_array_name': '',
        'service': 'node@gold', 'metrics_file': None,
        **options})


class NoOptions:
    """Cinder's own options of the back end: none is set."""

    def __getattr__(self, _option: str) -> None:
        return None

    def safe_get(self, _option: str) -> None:
        return None


class Rig:
    """An array, a driver, and what Cinder's database has.

    ``volume`` with ``snapshot``, ``snapshots`` and ``new`` are records
    whose LDs an operation makes or uses.  Another volume and another
    program's LD are there as well; nothing may happen to these.
    """

    def __init__(self, cls: type, directory: Path,
                 options: dict[str, Any]) -> None:
        self.cls = cls
        self.clock = Time()
        self.engine = make_engine(directory, clock=self.clock,
                                  copy_rate=COPY_RATE)
        self.transport = FaultyTransport(self.engine, self.clock)
        self.transport.rig = self
        # What Cinder has besides the records that have LDs.
        self.known: list[Record] = []
        # LDs that were there before something began.
        self.numbers: set[int] = set()
        # Whether the operation has been tried before, and has failed.
        self.tried = False
        self._zones = options.pop('zones', False)
        self.config = config_with(
            journal_directory=str(directory / 'journal'), **options)
        if self.config.ld_set is not None:
            self.command(f'iSMcfg addldset -ldset {self.config.ld_set} '
                         '-type iscsi -multitarget on -fullaccess')
        self.start_service()
        self.volume, self.new = self.a_volume(1), self.a_volume(2, size=3)
        self.same_size = self.a_volume(3)
        self.bystander = self.a_volume(4)
        self.snapshot, *self.snapshots = (
            self.a_snapshot(n) for n in range(11, 15))
        self.later = self.snapshots[0]
        self.driver.create_volume(self.bystander)
        self.driver.initialize_connection(self.bystander, self.host(2))
        self.write(self.bystander, BYSTANDER)
        self.lab.write(LdName('LX', STRANGERS_LD), STRANGER)
        self.at_first = self.state()

    def start_service(self) -> None:
        """Start ``cinder-volume`` (again): nothing is remembered."""
        gate = ChangeGate(clock=self.clock)
        client = IsmClient(self.transport, gate, clock=self.clock)
        inventory = Inventory(client.query_all, self.clock,
                              Reservations(self.clock, start=100))
        array = assembly.Array(client, inventory, Claims(), gate)
        self.backend = assembly.put_together(
            self.config, array, self.cls.PROTOCOL, self.cls.METHOD,
            self.clock, Fabric() if self._zones else None,
            start=lambda _work: None)
        driver = object.__new__(self.cls)
        driver._driver_name, driver.host = self.cls.__name__, 'node@gold'
        driver._lookup, driver._stats = self._zones or None, {}
        driver.configuration = NoOptions()
        driver.cluster_name = None
        driver._backend = self.backend
        self.driver: Any = driver
        self.lab = Lab(self.engine, self.clock, client, inventory,
                       self.backend.volumes, self.backend.copying,
                       self.backend.access, self.backend.access,
                       self.backend.settler, gate)

    @property
    def is_replication(self) -> bool:
        return self.cls.METHOD is assembly.Method.REPLICATION

    # -- what Cinder has -----------------------------------------------

    def a_volume(self, number: int, size: int = 2) -> Record:
        made = uuid_of(number)
        return Record(
            id=made, name_id=made, size=size, host=HERE,
            status='available', volume_type_id=None, migration_status=None,
            volume_attachment=[], metadata={})

    def a_snapshot(self, number: int) -> Record:
        return Record(id=uuid_of(number), volume=self.volume,
                      volume_id=self.volume.id, volume_size=2, metadata={},
                      status='available')

    def host(self, number: int = 1, **more: Any) -> dict[str, Any]:
        """Return the connector of a host."""
        made = (fc_host(number) if self.cls.PROTOCOL is Protocol.FC
                else host(number))
        return {'initiator': str(made.initiator or ''), 'host': made.host,
                'wwpns': [str(wwpn) for wwpn in made.wwpns], **more}

    @staticmethod
    def name(record: Record) -> LdName:
        return LdName('LX', naming.ld_name(
            getattr(record, 'name_id', record.id)))

    # -- what the array has --------------------------------------------

    def write(self, record: Record, data: bytes) -> None:
        self.lab.write(self.name(record), data)

    def state(self) -> State:
        return State.of(self.engine.array)

    def mark(self) -> None:
        """Keep the numbers of the LDs that records have now."""
        labels = {name: self.name(getattr(self, name)).label for name
                  in ('volume', 'new', 'same_size', 'snapshot')}
        lds = self.lab.lds()
        self.marks = {name: lds[label].ldn
                      for name, label in labels.items() if label in lds}

    def command(self, text: str) -> None:
        """Run a command as the operator does."""
        reply = self.engine.execute(text).reply
        assert reply.status == 0, (text, reply)

    def kill(self, step: Callable[[Rig], object],
             when: Callable[[Rig], bool]) -> None:
        """Let the service die within a step, as soon as something is so.

        Its journal gets old before the next service is started.
        """
        self.safe = self.state()
        self.transport.dies = lambda: when(self)
        try:
            step(self)
        except Killed:
            pass
        else:
            raise AssertionError('the service lived on')
        self.transport.dies = lambda: False
        self.transport.is_dead = False
        self.age_journal()

    def age_journal(self) -> None:
        for path in Path(self.config.journal_directory).glob('*'):
            os.utime(path, (0.0, 0.0))

    # -- the end of a fault --------------------------------------------

    def fault(self, action: Action, **values: Any) -> None:
        self.engine.faults.add(Fault(action, **values))

    @property
    def is_settling(self) -> bool:
        """Tell whether copies go on that were handed out."""
        return bool(len(self.backend.settler))

    def rest(self, *, troubled: bool = False) -> None:
        """Let all that goes on by itself come to its end.

        The manager asks for the stats now and then; the copies that were
        handed out are looked at until they have settled.

        :param troubled: they need not settle, a fault may last
        """
        for _ in range(2):
            self.clock.sleep(LONG_SECONDS)
            self.age_journal()
            self.driver.get_volume_stats(refresh=True)
            settler = self.backend.settler
            for copy in tuple(settler._copies.values()):
                with contextlib.suppress(
                        *((errors.InUse,) if troubled else ())):
                    settler.settle(copy.rv, LONG_SECONDS)
            with self.engine.array.lock:
                settle(self.engine.array)

    def start_next(self) -> None:
        """Start the service again, as Cinder's manager does it.

        :raises exception.CinderException: it does not come up
        """
        self.start_service()
        self.take_stock()

    def take_stock(self) -> object:
        """Let a service that has started look at what it finds."""
        lds = self.lab.lds()
        self.driver.check_for_setup_error()
        return self.driver.update_provider_info(
            *([each for each in records if self.name(each).label in lds
               or each in self.known] for records in (
                (self.volume, self.new, self.same_size),
                (self.snapshot, *self.snapshots))))

    def clean_up(self) -> None:
        """Delete all that Cinder has, as a user does."""
        for volume in (self.volume, self.new, self.same_size):
            self.driver.terminate_connection(volume, None)
        for snapshot in (self.snapshot, *self.snapshots):
            self.driver.terminate_connection_snapshot(snapshot, None)
            self.driver.remove_export_snapshot(None, snapshot)
            self.driver.delete_snapshot(snapshot)
        for volume in (self.new, self.same_size, self.volume):
            self.driver.delete_volume(volume)


def uuid_of(number: int) -> str:
    """Return a UUID like those that Cinder makes, always the same."""
    return naming.uuid_of(label(number).label)
