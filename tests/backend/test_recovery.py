# SPDX-License-Identifier: Apache-2.0
"""What a service does at its start, and above all what it leaves alone.

A crash is played here by a second service that starts on what the first
one has left; real kills are in tests/kill.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import logging
import os
from pathlib import Path
import threading
import time
from typing import Any

import pytest

from cinder_nec import errors
from cinder_nec.backend.access.attachments import Users
from cinder_nec.backend.access.control_volume import ControlVolumes
from cinder_nec.backend.claims import Claims
from cinder_nec.backend.copying.links import Links, link_name
from cinder_nec.backend.copying.pairs import PairCopy
from cinder_nec.backend.io_control import IoControl, IoLimits
from cinder_nec.backend.journal import Journal, Kind
from cinder_nec.backend.migration import Migration
from cinder_nec.backend.recovery import Owned, OwnedSnapshot, Recovery
from cinder_nec.backend.undo import Undo
from cinder_nec.backend.volumes import (
    ADOPT_AFTER_SECONDS,
    migrating,
    parked,
)
from cinder_nec.ismcli.commands import CopyRange, RvUse
from cinder_nec.model import LdName, LdSetName
from ismsim.engine import Engine
from ismsim.faults import Action
from tests.backend.arrays import (
    BACKUP_POOL,
    POOL,
    Lab,
    host,
    make_engine,
    make_lab,
)
from tests.backend.replication import label

VOLUME, OTHER, SNAPSHOT = label(1), label(2), label(3)
DATA = b'what the user wrote'
GIB = 1 << 30
FORMAT = 'LX:__ControlVolume_%xh'
_LD_SET = LdSetName('LX', 'fc_host')


class Service:
    """A service on an array, with its journal."""

    def __init__(self, engine: Engine, journal: Path, *,
                 replication: bool = False) -> None:
        self.lab = lab = make_lab(
            engine, journal=Journal(journal), replication=replication,
            waits=False)
        pairs = PairCopy(lab.client, lab.inventory, lab.time, 3600.0)
        self.pairs = pairs
        self.migration = Migration(
            lab.client, lab.inventory, lab.volumes, pairs,
            IoControl(lab.client, lab.inventory), lab.time, 3600.0,
            lab.settler)
        self.links = Links(lab.client, lab.inventory)
        self.controls = ControlVolumes(lab.client, lab.inventory,
                                       lab.volumes, Claims(), FORMAT)
        self.recovery = Recovery(
            lab.inventory, lab.volumes, lab.snapshots, lab.settler,
            self.migration, lab.access, lab.time, links=self.links,
            controls=self.controls, pools=(POOL, BACKUP_POOL))
        lab.inventory.current()

    def start(self) -> None:
        self.recovery.start()

    def wait(self) -> None:
        """Let the time pass until the next stats."""
        self.lab.time.sleep(ADOPT_AFTER_SECONDS)
        self.lab.inventory.refresh()
        self.recovery.go_on()


class Site:
    """An array on which services come and go."""

    def __init__(self, directory: Path, **engine: Any) -> None:
        self.engine = make_engine(directory / 'array', **engine)
        self.journal = directory / 'journal'

    def service(self, replication: bool = False) -> Service:
        return Service(self.engine, self.journal, replication=replication)

    def age(self) -> None:
        for path in self.journal.iterdir():
            past = time.time() - ADOPT_AFTER_SECONDS
            os.utime(path, (past, past))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def die_in(lab: Lab, prefix: str, run: Callable[[], object]) -> None:
    """Let an operation die at a command, and its process with it."""
    lab.fault(Action.DROP_BEFORE, prefix=prefix, times=None)
    client = lab.client
    client._link_retry = client._busy_retry = _NO_RETRY
    with pytest.raises(_Killed):
        _killing(lab, run)
    lab.engine.faults.clear()


class _Killed(BaseException):
    """No code catches it, as none runs in a process that is killed."""


class _NoRetry:
    def delays(self, *_unused: object) -> Any:
        return iter(())


_NO_RETRY: Any = _NoRetry()


def _killing(lab: Lab, run: Callable[[], object]) -> None:
    transport = lab.client._transport
    real = transport.run

    def run_or_die(command: str, timeout_seconds: float) -> Any:
        try:
            return real(command, timeout_seconds)
        except errors.OutcomeUnknown:
            raise _Killed from None

    transport.run = run_or_die  # type: ignore[method-assign]
    run()


def numbers(engine: Engine) -> set[int]:
    return set(engine.array.store.lds)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records
            if 'cannot decide' in r.getMessage()]


def paste(site: Site, text: str) -> None:
    """Do what a message tells the operator to."""
    _, _, commands = text.partition('nobody uses it: ')
    for command in commands.split(', then '):
        assert site.engine.execute(command).reply.status == 0, command


# -- without a name ----------------------------------------------------

def bind_and_die(site: Site) -> int:
    """Leave an LD without a name; return its number."""
    service, before = site.service(), numbers(site.engine)
    die_in(service.lab, 'iSMcfg nickname',
           lambda: service.lab.volumes.create(VOLUME, 2, [POOL]))
    [ldn] = numbers(site.engine) - before
    return ldn


def test_a_nameless_ld_of_the_journal_is_unbound(site):
    ldn = bind_and_die(site)
    site.age()
    service = site.service()
    service.start()
    service.wait()
    assert ldn not in numbers(site.engine)
    assert service.lab.volumes.journal.left(*Kind) == ()


def test_the_start_waits_for_nothing_and_sends_nothing(site):
    ldn = bind_and_die(site)
    site.age()
    service = site.service()
    slept, mark = service.lab.time.slept_seconds, service.lab.mark()
    service.start()
    service.recovery.go_on()
    assert service.lab.time.slept_seconds == slept
    assert set(service.lab.sent(mark)) <= {'dump'}
    assert ldn in numbers(site.engine)


def test_a_young_one_is_unbound_when_it_is_old(site):
    ldn = bind_and_die(site)
    service = site.service()
    service.start()
    service.wait()
    assert ldn in numbers(site.engine)
    site.age()
    service.wait()
    assert ldn not in numbers(site.engine)


def test_a_peer_that_names_it_meanwhile_keeps_it(site):
    """Two services tried one number, and the other one was faster."""
    ldn = bind_and_die(site)
    service = site.service()
    service.start()
    site.service().lab.client.nickname_of_ldn(ldn, OTHER)
    site.age()
    service.wait()
    assert site.engine.array.store.lds[ldn].name == OTHER.label
    assert service.lab.volumes.journal.left(*Kind) == ()


@pytest.mark.parametrize('size, pool', [(3, POOL), (2, BACKUP_POOL)])
def test_another_size_or_pool_is_no_proof(site, size, pool):
    ldn = bind_and_die(site)
    client = site.service().lab.client
    client.nickname_of_ldn(ldn, OTHER)
    client.ldunbind(OTHER)
    client.ldbind(pool, ldn, size)
    site.age()
    service = site.service()
    service.start()
    service.wait()
    assert ldn in numbers(site.engine)


def test_it_was_named_to_be_unbound(site):
    """The crash came in the midst of that."""
    ldn = bind_and_die(site)
    client = site.service().lab.client
    client.nickname_of_ldn(ldn, LdName('LX', f'unbind_{ldn:04x}'))
    site.age()
    service = site.service()
    service.start()
    service.wait()
    assert ldn not in numbers(site.engine)


def test_a_nameless_ld_of_nobody_is_told_of_once(site, caplog):
    before = numbers(site.engine)
    site.service().lab.client.ldbind(POOL, 900, 1)
    service = site.service()
    service.start()
    service.wait()
    service.start()
    service.wait()
    assert 900 in numbers(site.engine)
    [text] = [t for t in told(caplog) if 'LD 900' in t]
    paste(site, text)
    assert numbers(site.engine) == before


def test_a_nameless_control_volume_of_nobody_is_told_of(site, caplog):
    before = numbers(site.engine)
    site.service().lab.client.ldbind_control_volume(POOL, 900)
    service = site.service()
    service.start()
    service.wait()
    [text] = [t for t in told(caplog) if 'LD 900' in t]
    assert 'perhaps a control volume' in text
    paste(site, text)
    assert numbers(site.engine) == before


def test_of_many_the_rest_is_told_by_number(site, caplog):
    client = site.service().lab.client
    made = [*range(900, 924), 930]
    for ldn in made:
        client.ldbind(POOL, ldn, 1)
    service = site.service()
    service.start()
    service.wait()
    texts = told(caplog)
    assert len([t for t in texts if 'nobody uses it' in t]) == 20
    [rest] = [t for t in texts if 'more LDs' in t]
    # One more is on the array from the beginning.
    assert '6 more LDs have no name: 919-923, 930. `cinder-nec audit`' in (
        rest)


def test_two_that_come_together_unbind_it_once(site, caplog, monkeypatch):
    """The thread of the start, and the stats."""
    ldn = bind_and_die(site)
    site.age()
    service = site.service()
    recovery, volumes = service.recovery, service.lab.volumes
    real, calls = volumes.unbind_nameless, []
    second = threading.Thread(target=recovery.go_on)
    both = threading.Barrier(2)
    recovery.go_on()
    service.lab.time.sleep(ADOPT_AFTER_SECONDS)

    def unbind(ld):
        calls.append(ld.ldn)
        if len(calls) == 1:
            second.start()
        # Without a lock the other one comes here as well.
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.3)
        return real(ld)

    monkeypatch.setattr(volumes, 'unbind_nameless', unbind)
    recovery.go_on()
    second.join(30)
    assert calls == [ldn]
    assert ldn not in numbers(site.engine)
    assert not told(caplog)


def test_the_arrays_own_disks_are_not_told_of(site, caplog):
    """The snapshot reserve area's has no OS type, but holds all of it."""
    [sdv] = [ld for ld in site.engine.array.store.lds.values()
             if 'SDV' in ld.name]
    service = site.service()
    service.start()
    service.wait()
    assert told(caplog)
    assert not [t for t in told(caplog) if f'LD {sdv.ldn} ' in t]


def test_a_failure_does_not_keep_the_service_from_starting(site):
    ldn = bind_and_die(site)
    site.age()
    service = site.service()
    service.lab.fault(Action.REFUSE, prefix='iSMcfg ldunbind')
    service.start()
    service.wait()
    assert ldn in numbers(site.engine)
    # The next start goes on with it.
    service = site.service()
    service.start()
    service.wait()
    assert ldn not in numbers(site.engine)


def test_what_could_not_be_taken_back_is_removed_later(site):
    """The array was away when the operation was undone."""
    service, before = site.service(), numbers(site.engine)
    service.lab.fault(Action.REFUSE, prefix='iSMcfg nickname', times=None)
    with pytest.raises(errors.RollbackFailed):
        service.lab.volumes.create(VOLUME, 2, [POOL])
    service.lab.engine.faults.clear()
    # A peer may be naming it.
    service.recovery.go_on()
    assert len(numbers(site.engine) - before) == 1
    site.age()
    service.recovery.go_on()
    assert len(numbers(site.engine) - before) == 1
    service.lab.time.sleep(ADOPT_AFTER_SECONDS)
    service.recovery.go_on()
    assert numbers(site.engine) == before


def test_a_bind_that_comes_late_is_unbound(site, monkeypatch):
    """No answer came, the array did not show the LD, and made it then."""
    service, before = site.service(), numbers(site.engine)
    lab, journal = service.lab, service.lab.volumes.journal
    real, late = lab.client._transport.run, []

    def run(command, timeout_seconds):
        if 'ldbind' in command and not late:
            late.append(command)
            raise errors.OutcomeUnknown('no answer in time')
        return real(command, timeout_seconds)

    monkeypatch.setattr(lab.client._transport, 'run', run)
    volume = lab.volumes.create(VOLUME, 1, [POOL])
    real(late[0], 1.0)
    assert len(numbers(site.engine) - before) == 2
    site.age()
    for _ in range(2):
        service.recovery.go_on()
        lab.time.sleep(ADOPT_AFTER_SECONDS)
    assert numbers(site.engine) - before == {volume.ldn}
    assert journal.left(*Kind) == ()


def test_a_bind_that_never_came_is_forgotten(site, monkeypatch):
    service, before = site.service(), numbers(site.engine)
    lab = service.lab
    lab.fault(Action.DROP_BEFORE, prefix='iSMcfg ldbind')
    volume = lab.volumes.create(VOLUME, 1, [POOL])
    site.age()
    service.recovery.go_on()
    assert numbers(site.engine) - before == {volume.ldn}
    assert lab.volumes.journal.left(*Kind) == ()


def test_one_look_is_not_enough_to_unbind(site, monkeypatch):
    """A peer has bound the number, and names it after the dump."""
    ldn = bind_and_die(site)
    site.age()
    service, peer = site.service(), site.service()
    inventory = service.lab.inventory
    real = inventory.refresh

    def refresh(after=None):
        config = real(after)
        monkeypatch.setattr(inventory, 'refresh', real)
        peer.lab.client.nickname_of_ldn(ldn, OTHER)
        return config

    monkeypatch.setattr(inventory, 'refresh', refresh)
    service.recovery.go_on()
    service.lab.time.sleep(ADOPT_AFTER_SECONDS)
    service.recovery.go_on()
    assert OTHER.label in peer.lab.lds()
    assert service.lab.volumes.journal.left(*Kind) == ()


def test_a_number_that_a_thread_takes_during_the_look_stays(
        site, monkeypatch):
    ldn = bind_and_die(site)
    site.age()
    service = site.service()
    inventory, journal = service.lab.inventory, service.lab.volumes.journal
    [left] = journal.left(Kind.BIND)
    real = inventory.refresh

    def refresh(after=None):
        journal.begin(left.entry)
        return real(after)

    service.start()
    service.lab.time.sleep(ADOPT_AFTER_SECONDS)
    monkeypatch.setattr(inventory, 'refresh', refresh)
    service.recovery.go_on()
    assert ldn in numbers(site.engine)


def test_what_is_being_made_is_not_removed(site):
    service = site.service()
    lab, before = service.lab, numbers(site.engine)

    def in_the_midst(*_unused: object) -> None:
        site.age()
        service.recovery.go_on()
        assert len(numbers(site.engine) - before) == 1
        named(*_unused)

    named = lab.client.nickname_of_ldn
    lab.client.nickname_of_ldn = in_the_midst  # type: ignore
    lab.volumes.create(VOLUME, 2, [POOL])
    assert VOLUME.label in lab.lds()


def test_nothing_to_go_on_with_costs_no_command(site):
    service = site.service()
    service.lab.volumes.create(VOLUME, 1, [POOL])
    mark = service.lab.mark()
    service.recovery.go_on()
    assert service.lab.sent(mark) == []


# -- control volumes ---------------------------------------------------

def bind_control_volume(service: Service) -> LdName:
    lab = service.lab
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.fc._create_ld_set(_LD_SET)
    ld_set = lab.inventory.current().ld_sets[_LD_SET]
    with Undo() as undo:
        service.controls.ensure(ld_set, POOL, undo)
        undo.forget()
    [found] = [name for name in lab.lds() if 'Control' in name]
    return LdName('LX', found)


def test_an_idle_control_volume_of_this_service_is_unbound(site):
    name = bind_control_volume(site.service())
    site.age()
    service = site.service()
    service.start()
    assert name.label in site.service().lab.lds()
    service.wait()
    assert name.label not in site.service().lab.lds()
    assert service.lab.volumes.journal.left(*Kind) == ()


def test_one_of_another_service_stays(site, tmp_path):
    name = bind_control_volume(site.service())
    other = Service(site.engine, tmp_path / 'other')
    other.start()
    other.wait()
    assert name.label in site.service().lab.lds()


# -- migrations --------------------------------------------------------

def die_in_migration(site: Site, command: str) -> None:
    service = site.service()
    service.lab.volumes.create(VOLUME, 1, [POOL])
    service.lab.write(VOLUME, DATA)
    die_in(service.lab, command, lambda: service.migration.move(
        VOLUME, [2], IoLimits()))


@pytest.mark.parametrize('command', [
    'iSMrc_pair -pair', 'iSMrc_replicate', 'iSMrc_separate',
    'iSMrc_pair -unpair', f'iSMcfg nickname -ldname {VOLUME}',
    f'iSMcfg nickname -ldname {migrating(VOLUME)}', 'iSMcfg ldunbind'])
def test_in_a_cluster_the_journal_tells_whose_migration_it_was(
        site, command):
    """The volume is everybody's, and stays ``retyping`` in Cinder."""
    before = numbers(site.engine)
    die_in_migration(site, command)
    service = site.service()
    service.recovery.run([], [])
    lab = service.lab
    lab.time.sleep(3600)
    if len(lab.settler):
        lab.settler._step(lab.settler.involving(VOLUME))
    assert len(numbers(site.engine) - before) == 1
    assert lab.read(VOLUME, len(DATA)) == DATA
    site.service().recovery.run([], [])
    assert service.lab.volumes.journal.left(*Kind) == ()


def test_the_migration_that_a_peer_has_begun_since_goes_on(site, tmp_path):
    die_in_migration(site, 'iSMrc_separate')
    peer = Service(site.engine, tmp_path / 'peer')
    peer.lab.time.sleep(3600)
    peer.migration.clear(VOLUME)
    # Somebody else has its number now.
    peer.lab.volumes.create(OTHER, 1, [POOL])
    peer.lab.volumes.create(migrating(VOLUME), 1, [2])
    service = site.service()
    service.recovery.run([], [])
    assert {OTHER.label, migrating(VOLUME).label} <= set(service.lab.lds())
    peer.lab.client.ldunbind(migrating(VOLUME))
    service = site.service()
    service.recovery.run([], [])
    assert service.lab.volumes.journal.left(*Kind) == ()


def test_a_migration_that_could_not_be_undone_is_taken_back_later(site):
    """The array was away for longer."""
    service, before = site.service(), numbers(site.engine)
    lab = service.lab
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.write(VOLUME, DATA)
    lab.fault(Action.REFUSE, prefix='iSMrc_separate', times=None)
    with pytest.raises(errors.RollbackFailed):
        service.migration.move(VOLUME, [2], IoLimits())
    lab.engine.faults.clear()
    assert migrating(VOLUME).label in lab.lds()
    for _ in range(2):
        lab.time.sleep(3600)
        lab.inventory.refresh()
        service.recovery.go_on()
        if len(lab.settler):
            lab.settler._step(lab.settler.involving(VOLUME))
    assert len(numbers(site.engine) - before) == 1
    assert lab.read(VOLUME, len(DATA)) == DATA
    assert lab.volumes.journal.left(*Kind) == ()


@pytest.mark.parametrize('fails', [False, True])
def test_a_migration_leaves_nothing_in_the_journal(site, fails):
    service = site.service()
    service.lab.volumes.create(VOLUME, 1, [POOL])
    if fails:
        service.lab.fault(Action.REFUSE, prefix='iSMrc_separate')
        with pytest.raises(errors.CommandFailed):
            service.migration.move(VOLUME, [2], IoLimits())
    else:
        service.migration.move(VOLUME, [2], IoLimits())
    assert migrating(VOLUME).label not in service.lab.lds()
    assert list(site.journal.glob('move-*')) == []


def copying_migration(site: Site) -> None:
    """Leave ``_m`` whose copy takes an hour."""
    lab = site.service().lab
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.write(VOLUME, DATA)
    lab.volumes.create(migrating(VOLUME), 1, [2])
    site.engine.array.timing.copy_rate = GIB / 3000
    PairCopy(lab.client, lab.inventory, lab.time, 3600.0).start(
        VOLUME, migrating(VOLUME), RvUse.COMPLETE)


def test_the_start_does_not_wait_for_a_copy(site):
    copying_migration(site)
    service = site.service()
    lab, slept = service.lab, service.lab.time.slept_seconds
    service.recovery.run([Owned(VOLUME)], [])
    assert lab.time.slept_seconds == slept
    assert len(lab.settler) == 1
    lab.time.sleep(3600)
    lab.settler._step(lab.settler.involving(VOLUME))
    assert migrating(VOLUME).label not in lab.lds()
    assert lab.read(VOLUME, len(DATA)) == DATA


def test_a_settled_copy_that_cannot_be_unbound_is_removed_later(site):
    copying_migration(site)
    service = site.service()
    lab = service.lab
    service.recovery.run([Owned(VOLUME)], [])
    lab.time.sleep(3600)
    lab.fault(Action.REFUSE, prefix='iSMcfg ldunbind', times=None)
    lab.settler._step(lab.settler.involving(VOLUME))
    assert migrating(VOLUME).label in lab.lds()
    assert not lab.settler._trouble
    service.recovery.go_on()
    assert service.migration.left == (VOLUME,)
    lab.engine.faults.clear()
    service.recovery.go_on()
    assert migrating(VOLUME).label not in lab.lds()
    assert lab.read(VOLUME, len(DATA)) == DATA
    assert service.migration.left == ()


def test_a_migration_that_comes_then_waits_for_it(site):
    copying_migration(site)
    service = site.service()
    service.recovery.run([Owned(VOLUME)], [])
    service.migration.clear(VOLUME)
    assert migrating(VOLUME).label not in service.lab.lds()
    assert not len(service.lab.settler)


def test_a_copy_that_is_paired_with_a_stranger_stays(site, caplog):
    lab = site.service().lab
    for name, pool in ((VOLUME, POOL), (OTHER, POOL),
                       (migrating(VOLUME), 2)):
        lab.volumes.create(name, 1, [pool])
    PairCopy(lab.client, lab.inventory, lab.time, 3600.0).start(
        OTHER, migrating(VOLUME), RvUse.COMPLETE)
    service = site.service()
    service.recovery.run([Owned(VOLUME)], [])
    assert migrating(VOLUME).label in lab.lds()
    [text] = [t for t in told(caplog) if 'instead of' in t]
    lab.time.sleep(10_000)
    paste(site, text)
    assert migrating(VOLUME).label not in lab.lds()


@pytest.mark.parametrize('left', [migrating(VOLUME), parked(VOLUME)])
def test_what_a_host_sees_stays(site, left, caplog):
    lab = site.service().lab
    for name in (VOLUME, left):
        lab.volumes.create(name, 1, [POOL])
    lab.access.attach(left, host())
    site.service().recovery.run([Owned(VOLUME)], [])
    assert left.label in lab.lds()
    [text] = [t for t in told(caplog) if 'LD Set' in t]
    paste(site, text)
    assert left.label not in lab.lds()


def test_the_last_ld_that_may_be_the_volume_stays(site, caplog):
    """The name is gone, and what is left is no plain LD."""
    lab = site.service().lab
    lab.volumes.create(parked(VOLUME), 1, [POOL])
    lab.snapshots.create_snapshot(parked(VOLUME), SNAPSHOT)
    site.service().recovery.run([Owned(VOLUME)], [])
    assert parked(VOLUME).label in lab.lds()
    [text] = [t for t in told(caplog) if 'may be the volume' in t]
    paste(site, text)
    assert VOLUME.label in lab.lds()


def test_volumes_of_others_are_not_looked_at(site):
    lab = site.service().lab
    for name in (VOLUME, parked(VOLUME), migrating(VOLUME)):
        lab.volumes.create(name, 1, [POOL])
    site.service().recovery.run([Owned(OTHER)], [])
    assert {VOLUME.label, parked(VOLUME).label,
            migrating(VOLUME).label} <= set(lab.lds())


def test_a_name_that_was_taken_is_given_back(site):
    """Cinder migrated through a host, and was not told of the end."""
    lab = site.service().lab
    lab.volumes.create(OTHER, 1, [POOL])
    lab.write(OTHER, DATA)
    lab.volumes.take_name(OTHER, VOLUME)
    site.service().recovery.run([Owned(OTHER, becomes=VOLUME)], [])
    assert VOLUME.label not in lab.lds()
    assert lab.read(OTHER, len(DATA)) == DATA
    assert site.service().lab.volumes.journal.left(*Kind) == ()


def test_a_volume_whose_migration_has_begun_keeps_its_name(site):
    """Its copy on the same array has no LD yet, and nothing proves that
    the volume's is it."""
    lab = site.service().lab
    lab.volumes.create(VOLUME, 1, [POOL])
    site.service().recovery.run(
        [Owned(OTHER, unfinished=True, becomes=VOLUME)], [])
    assert VOLUME.label in lab.lds()
    assert OTHER.label not in lab.lds()


def test_a_name_that_was_taken_for_good_stays(site):
    lab = site.service().lab
    lab.volumes.create(OTHER, 1, [POOL])
    lab.volumes.take_name(OTHER, VOLUME)
    site.service().recovery.run([Owned(VOLUME)], [])
    assert VOLUME.label in lab.lds()


def test_a_migration_that_has_begun_since_is_left_alone(site):
    """A peer, or a request that was faster."""
    lab = site.service().lab
    lab.volumes.create(VOLUME, 1, [POOL])
    service = site.service()
    lab.volumes.create(migrating(VOLUME), 1, [2])
    service.recovery.run([Owned(VOLUME)], [])
    assert migrating(VOLUME).label in lab.lds()


# -- copies ------------------------------------------------------------

def following(site: Site) -> None:
    """Leave a pair whose RV still follows its MV."""
    service = site.service()
    lab = service.lab
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.volumes.create(OTHER, 1, [POOL])
    service.pairs.pair(VOLUME, OTHER)
    lab.client.rc_replicate(VOLUME.label, OTHER.label, CopyRange.FULL)


def test_a_copy_that_was_not_separated_is_taken_apart(site):
    following(site)
    service = site.service()
    service.recovery.run([Owned(VOLUME), Owned(OTHER, unfinished=True)], [])
    service.lab.settler.settle(OTHER, 60)
    assert not site.engine.array.store.pairs


def test_what_an_operator_copies_goes_on(site):
    """Nothing of this driver's replicates to a volume at rest."""
    following(site)
    service = site.service()
    service.recovery.run([Owned(VOLUME), Owned(OTHER)], [])
    assert len(site.engine.array.store.pairs) == 1
    assert not len(service.lab.settler)


# -- mappings ----------------------------------------------------------

@pytest.mark.parametrize('users, stays', [
    (Users(), False), (Users((host(2),)), False), (Users((host(1),)), True),
    (Users((host(2), host(1))), True), (Users(may_be_more=True), True),
    (Users((host(1),), may_be_more=True), True)])
def test_mappings_that_no_attachment_knows(site, users, stays):
    lab = site.service().lab
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.access.attach(VOLUME, host(1), records=dict)
    service = site.service()
    service.recovery.run([Owned(VOLUME)], [], {VOLUME: users})
    assert bool(lab.inventory.refresh().mapped_to(
        lab.lds()[VOLUME.label].ldn)) is stays


def test_what_another_has_mapped_stays(site, tmp_path):
    """An operator, or a service whose volume it was."""
    lab = site.service().lab
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.access.attach(VOLUME, host(1), records=dict)
    other = Service(site.engine, tmp_path / 'other')
    other.recovery.run([Owned(VOLUME)], [], {VOLUME: Users()})
    assert lab.inventory.refresh().mapped_to(lab.lds()[VOLUME.label].ldn)


class Records:
    """What Cinder's database says of the users of a volume, each time."""

    def __init__(self, *answers: Users) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, name: LdName) -> Users:
        assert name == VOLUME
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else (
            self.answers[0])


def is_mapped(service: Service) -> bool:
    ldn = service.lab.lds()[VOLUME.label].ldn
    return bool(service.lab.engine.array.store.ldsets_of(ldn))


def restarted(site: Site, peers: Users | None) -> Service:
    """Leave a mapping and start again.

    :param peers: its users as a cluster knows them at the start
    """
    lab = site.service().lab
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.access.attach(VOLUME, host(1), records=dict)
    service = site.service()
    service.recovery.run([], [], {} if peers is None else {VOLUME: peers})
    assert is_mapped(service)
    return service


def test_in_a_cluster_a_mapping_of_nobody_is_taken_back_by_the_stats(site):
    """The peers are at work when this service starts."""
    service = restarted(site, Users(may_be_more=True))
    service.recovery.go_on(Records(Users((host(2),))))
    assert not is_mapped(service)
    assert service.lab.volumes.journal.left(*Kind) == ()


@pytest.mark.parametrize('peers', [None, Users(may_be_more=True)])
def test_it_stays_as_long_as_it_is_not_certain(site, peers):
    """The attach that has died has a record without a connector."""
    service = restarted(site, peers)
    records = Records(Users(may_be_more=True), Users(may_be_more=True),
                      Users())
    service.recovery.go_on(records)
    service.recovery.go_on(records)
    assert is_mapped(service)
    service.recovery.go_on(records)
    assert not is_mapped(service)


@pytest.mark.parametrize('at_start', [True, False])
def test_of_a_mapping_in_use_the_stats_do_not_ask_again(site, at_start):
    used = Users((host(1),), may_be_more=True)
    service = restarted(site, used if at_start else None)
    records = Records(used)
    for _ in range(3):
        service.recovery.go_on(records)
    assert is_mapped(service)
    assert records.asked == (0 if at_start else 1)


def test_a_peers_attach_that_begins_meanwhile_keeps_it(site):
    """It has a record by then, and comes after this, or before."""
    service = restarted(site, None)
    records = Records(Users(), Users(may_be_more=True))
    service.recovery.go_on(records)
    assert records.asked == 2
    assert is_mapped(service)


def test_the_stats_leave_an_attach_of_this_service_alone(site):
    service = restarted(site, None)
    service.lab.access.attach(VOLUME, host(1), records=dict)
    service.recovery.go_on(Records(Users()))
    assert is_mapped(service)


def test_a_mapping_that_comes_late_is_taken_back(site):
    """The array was still busy with it when its service died."""
    lab = site.service().lab
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.access.attach(VOLUME, host(1), records=dict)
    ldn = lab.lds()[VOLUME.label].ldn
    [ld_set] = lab.engine.array.store.ldsets_of(ldn)
    assert lab.engine.execute(
        f'iSMcfg delldsetld -ldset {ld_set} -ldname {VOLUME}'
    ).reply.status == 0
    service = site.service()
    service.recovery.run([Owned(VOLUME)], [], {VOLUME: Users()})
    assert lab.engine.execute(
        f'iSMcfg addldsetld -ldset {ld_set} -ldname {VOLUME}'
    ).reply.status == 0
    service.lab.inventory.refresh()
    service.recovery.go_on(Records(Users()))
    assert not is_mapped(service)


def test_a_mapping_that_never_came_is_forgotten(site):
    lab = site.service().lab
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.access.attach(VOLUME, host(2), records=None)
    die_in(lab, 'iSMcfg addldsetld', lambda: lab.access.attach(
        VOLUME, host(1), records=dict))
    service = site.service()
    service.recovery.run([Owned(VOLUME)], [], {VOLUME: Users()})
    assert len(service.lab.volumes.journal.left(Kind.MAP)) == 1
    site.age()
    service.recovery.go_on(Records(Users()))
    assert service.lab.volumes.journal.left(Kind.MAP) == ()


def test_a_mapping_that_could_not_be_undone_is_taken_back_later(site):
    """The array was away; Cinder has no attachment of it."""
    service = site.service()
    lab = service.lab
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.fault(Action.REFUSE, prefix='iSMcfg delldsetld', times=None)

    def fail(_info: object) -> None:
        raise errors.StateError('the zone cannot be made')

    with pytest.raises(errors.RollbackFailed):
        lab.access.attach(VOLUME, host(1), fail, records=dict)
    lab.engine.faults.clear()
    assert is_mapped(service)
    service.recovery.go_on(Records(Users()))
    assert not is_mapped(service)
    assert lab.volumes.journal.left(*Kind) == ()


# -- reverts -----------------------------------------------------------

def changed(site: Site) -> Service:
    """Return a service with a volume that has changed since its snapshot."""
    service = site.service(replication=True)
    lab = service.lab
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.write(VOLUME, DATA)
    lab.snapshots.create_snapshot(VOLUME, SNAPSHOT)
    lab.time.sleep(3600)
    lab.write(VOLUME, b'-' * len(DATA))
    return service


def pairs_to(lab: Lab, name: LdName) -> int:
    ldn = lab.lds()[name.label].ldn
    return sum(p.rv == ldn for p in lab.engine.array.store.pairs.values())


def assert_reverts(site: Site, service: Service) -> None:
    """Nothing is left of a revert, and the next one works."""
    lab = service.lab
    lab.time.sleep(3600)
    if len(lab.settler):
        lab.settler._step(lab.settler.involving(VOLUME))
    assert not pairs_to(lab, VOLUME)
    lab.inventory.refresh()
    service.recovery.go_on()
    assert lab.volumes.journal.left(*Kind) == ()
    assert lab.read(SNAPSHOT, len(DATA)) == DATA
    lab.snapshots.revert(VOLUME, SNAPSHOT)
    assert lab.read(VOLUME, len(DATA)) == DATA
    assert site.service().lab.volumes.journal.left(*Kind) == ()


@pytest.mark.parametrize('command', [
    'iSMrc_pair -pair', 'iSMrc_replicate', 'iSMrc_separate',
    'iSMrc_pair -unpair -mv ' + SNAPSHOT.label])
def test_in_a_cluster_the_journal_tells_whose_revert_it_was(site, command):
    """The volume is everybody's, and stays ``reverting`` in Cinder."""
    lab = changed(site).lab
    die_in(lab, command, lambda: lab.snapshots.revert(VOLUME, SNAPSHOT))
    service = site.service(replication=True)
    service.recovery.run([], [])
    assert_reverts(site, service)


def test_a_revert_that_could_not_be_undone_is_taken_back_later(site):
    service = changed(site)
    lab = service.lab
    lab.fault(Action.REFUSE, prefix='iSMrc_separate', times=None)
    with pytest.raises(errors.RollbackFailed):
        lab.snapshots.revert(VOLUME, SNAPSHOT)
    lab.engine.faults.clear()
    assert pairs_to(lab, VOLUME)
    lab.inventory.refresh()
    service.recovery.go_on()
    assert_reverts(site, service)


@pytest.mark.parametrize('fails', [False, True])
def test_a_revert_leaves_nothing_in_the_journal(site, fails):
    lab = changed(site).lab
    if fails:
        lab.fault(Action.REFUSE, prefix='iSMrc_replicate', times=None)
    with pytest.raises(errors.NecError) if fails else (
            contextlib.nullcontext()):
        lab.snapshots.revert(VOLUME, SNAPSHOT)
    assert site.service().lab.volumes.journal.left(*Kind) == ()


# -- link volumes ------------------------------------------------------

def linked(site: Site, recorded: bool | None) -> Service:
    """Leave a link volume; one that is mapped unless ``recorded`` is None.

    Recorded means that the attach has answered.
    """
    service = site.service()
    lab = service.lab
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.snapshots.create_snapshot(VOLUME, SNAPSHOT)
    with Undo() as undo:
        name = service.links.ensure(VOLUME, SNAPSHOT, undo)
        undo.forget()
    if recorded is not None:
        lab.access.attach(name, host(), records=None if recorded else dict)
    return service


@pytest.mark.parametrize('recorded, stays', [
    (None, False), (False, False), (True, True)])
def test_link_volumes(site, recorded, stays):
    """A backup reads on while the service restarts."""
    linked(site, recorded)
    service = site.service()
    service.recovery.run([Owned(VOLUME)], [OwnedSnapshot(SNAPSHOT, VOLUME)])
    lv = link_name(VOLUME, SNAPSHOT)
    assert (lv.label in service.lab.lds()) is stays
    assert SNAPSHOT.label in service.lab.lds()


def test_a_link_volume_of_another_back_end_stays(site):
    linked(site, None)
    service = site.service()
    service.recovery.run([Owned(VOLUME)], [])
    assert link_name(VOLUME, SNAPSHOT).label in service.lab.lds()


def test_one_that_fails_does_not_keep_the_others(site, caplog):
    lab = site.service().lab
    for name in (VOLUME, OTHER, parked(VOLUME), parked(OTHER)):
        lab.volumes.create(name, 1, [POOL])
    lab.fault(Action.REFUSE, times=2, prefix=(
        f'iSMcfg ldunbind -ldname {parked(VOLUME)}'))
    with caplog.at_level(logging.WARNING):
        site.service().recovery.run([Owned(VOLUME), Owned(OTHER)], [])
    assert parked(VOLUME).label in lab.lds()
    assert parked(OTHER).label not in lab.lds()
    assert 'the next start' in caplog.text
