# SPDX-License-Identifier: Apache-2.0
"""Every command of every operation fails in every way, once.

Afterwards the operation has succeeded, or has failed and left the array as
it was; a second try succeeds.  Nothing is lost and nothing is left.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import itertools
import re

import pytest

from cinder_nec import errors
from cinder_nec.backend.io_control import IoControl, IoLimits
from cinder_nec.backend.manage import Reference
from cinder_nec.backend.snapshot_access import LinkAccess
from cinder_nec.backend.volumes import migrating, parked
from cinder_nec.model import LdName
from ismsim.faults import Action
from tests.backend.arrays import (
    BACKUP_POOL,
    POOL,
    Lab,
    fc_host,
    host,
    make_engine,
    make_lab,
    wwpn,
)
from tests.backend.moves import make_migration
from tests.backend.replication import label
from tests.backend.test_manage import (
    THEIR_SNAPSHOT,
    THEIRS,
    add,
    add_snapshot,
    management,
)
from tests.backend.test_snapshot_access import link_access

VOLUME, OTHER = LdName('LX', 'V' * 21), LdName('LX', 'W' * 21)
SNAPSHOT = LdName('LX', 'S' * 21)
DATA = b'what the user wrote'
KEPT = tuple(label(number) for number in range(1, 4))
MOVED_TO = 2
COPY_RATE = float(1 << 30)
# Its name tells its number.
_CONTROL = re.compile('__ControlVolume_[0-9a-f]+h')

ONCE = (
    (Action.BUSY, {}),
    (Action.REFUSE, {}),
    (Action.DROP_BEFORE, {}),
    (Action.DROP_AFTER, {}),
    (Action.HANG_BEFORE, {}),
    (Action.HANG_AFTER, {}),
    (Action.TRUNCATE, {'keep': 0.6}),
    (Action.TRUNCATE, {'keep': 0.0}),
    (Action.GARBLE, {}),
)


@dataclasses.dataclass(frozen=True)
class Operation:
    """What is done, and on what.

    A removal that fails may have gone part of the way: what is left is
    still Cinder's, and its second try removes the rest.  So may what the
    array cannot take back: an LD does not shrink.
    """

    name: str
    prepare: Callable[[Lab], object]
    run: Callable[[Lab], object]
    removes: bool = False
    replication: bool = False


def nothing(_lab: Lab) -> None:
    pass


def volume(lab: Lab) -> None:
    lab.volumes.create(VOLUME, 2, [POOL])
    lab.write(VOLUME, DATA)


def attached(lab: Lab) -> None:
    volume(lab)
    lab.access.attach(VOLUME, host())


def attached_by_fc(lab: Lab) -> None:
    volume(lab)
    lab.fc.attach(VOLUME, fc_host())


def new_hba(lab: Lab) -> None:
    """The host's LD Set lists the first of its ports only."""
    volume(lab)
    lab.fc.attach(VOLUME, fc_host(ports=(0,)))
    lab.fc.detach(VOLUME, fc_host(ports=(0,)))


def snapshot(lab: Lab) -> None:
    volume(lab)
    lab.snapshots.create_snapshot(VOLUME, SNAPSHOT)


def create_limited(lab: Lab) -> None:
    with IoControl(lab.client, lab.inventory).on_new(
            VOLUME, IoLimits(3000, 200), lab.snapshots.delete_volume):
        lab.volumes.create(VOLUME, 2, [POOL])


def interrupted_migration(lab: Lab) -> None:
    volume(lab)
    lab.volumes.create(migrating(VOLUME), 2, [MOVED_TO])
    lab.client.rc_pair(VOLUME.label, migrating(VOLUME).label)
    lab.volumes.create(parked(VOLUME), 2, [POOL])


def kept_rvs(lab: Lab, *names: LdName) -> None:
    """RVs of deleted snapshots, which keep their differences."""
    volume(lab)
    for name in names or (KEPT[0],):
        lab.snapshots.create_snapshot(VOLUME, name)
    lab.time.sleep(10_000)
    for name in names or (KEPT[0],):
        lab.snapshots.delete_snapshot(VOLUME, name)


def unpaired_rv(lab: Lab) -> None:
    snapshot(lab)
    lab.time.sleep(10_000)
    lab.client.rc_unpair(VOLUME.label, SNAPSHOT.label)


def their_volume(lab: Lab) -> None:
    """An LD of somebody else, with a snapshot."""
    add(lab)
    lab.write(THEIRS, DATA)
    add_snapshot(lab)


def changed_after_snapshot(lab: Lab) -> None:
    snapshot(lab)
    lab.time.sleep(10_000)
    lab.write(VOLUME, b'what came later')


def snapshot_access(lab: Lab, protocol: str) -> LinkAccess:
    """Return the one of a service: it may remember something."""
    known = vars(lab).setdefault('snapshot_access', {})
    if protocol not in known:
        known[protocol] = link_access(lab, getattr(lab, protocol))
    return known[protocol]


def attach_snapshot(protocol: str) -> Callable[[Lab], object]:
    return lambda lab: snapshot_access(lab, protocol).attach(
        VOLUME, SNAPSHOT, host() if protocol == 'access' else fc_host(),
        lambda _info: None)


def detach_snapshot(protocol: str) -> Callable[[Lab], object]:
    return lambda lab: snapshot_access(lab, protocol).detach(
        VOLUME, SNAPSHOT, host() if protocol == 'access' else fc_host())


def attached_snapshot(protocol: str) -> Callable[[Lab], object]:
    def prepare(lab: Lab) -> None:
        snapshot(lab)
        attach_snapshot(protocol)(lab)
    return prepare


def with_replication(name: str, prepare: Callable[[Lab], object],
                     run: Callable[[Lab], object], *,
                     removes: bool = False) -> Operation:
    return Operation(name, prepare, run, removes, replication=True)


OPERATIONS = (
    Operation('create', nothing,
              lambda lab: lab.volumes.create(VOLUME, 2, [POOL])),
    Operation('delete', volume,
              lambda lab: lab.snapshots.delete_volume(VOLUME),
              removes=True),
    Operation('delete mapped', attached,
              lambda lab: lab.snapshots.delete_volume(VOLUME),
              removes=True),
    Operation('extend', volume,
              lambda lab: lab.volumes.extend(VOLUME, 4)),
    Operation('rename', volume,
              lambda lab: lab.volumes.rename(VOLUME, OTHER)),
    Operation('attach new host', volume,
              lambda lab: lab.access.attach(VOLUME, host())),
    Operation('detach', attached,
              lambda lab: lab.access.detach(VOLUME, host())),
    Operation('forced detach', attached,
              lambda lab: lab.access.detach_all(VOLUME)),
    Operation('attach new FC host', volume,
              lambda lab: lab.fc.attach(VOLUME, fc_host())),
    Operation('attach FC host with a new HBA', new_hba,
              lambda lab: lab.fc.attach(VOLUME, fc_host())),
    Operation('detach FC', attached_by_fc,
              lambda lab: lab.fc.ended(lab.fc.detach(VOLUME, fc_host()),
                                       fc_host())),
    Operation('forced detach FC', attached_by_fc,
              lambda lab: lab.fc.ended(lab.fc.detach_all(VOLUME))),
    Operation('snapshot', volume,
              lambda lab: lab.snapshots.create_snapshot(VOLUME, SNAPSHOT)),
    Operation('delete snapshot', snapshot,
              lambda lab: lab.snapshots.delete_snapshot(VOLUME, SNAPSHOT),
              removes=True),
    Operation('volume from snapshot', snapshot,
              lambda lab: lab.snapshots.volume_from_snapshot(
                  VOLUME, SNAPSHOT, 2, OTHER, 3, [POOL])),
    Operation('clone', volume,
              lambda lab: lab.snapshots.clone(VOLUME, 2, OTHER, 3,
                                              [POOL])),
    Operation('create with limits', nothing, create_limited),
    Operation('migrate', volume, lambda lab: make_migration(lab).move(
        VOLUME, [MOVED_TO], IoLimits(3000, 200))),
    Operation('clear after a migration', interrupted_migration,
              lambda lab: make_migration(lab).clear(VOLUME),
              removes=True),
    Operation('manage', their_volume,
              lambda lab: management(lab).manage_volume(
                  Reference(THEIRS.label), VOLUME)),
    Operation('manage snapshot', their_volume,
              lambda lab: management(lab).manage_snapshot(
                  Reference(THEIR_SNAPSHOT.label), THEIRS, SNAPSHOT)),
    Operation('revert', changed_after_snapshot,
              lambda lab: lab.snapshots.revert(VOLUME, SNAPSHOT),
              removes=True),
    Operation('attach snapshot', snapshot, attach_snapshot('access')),
    Operation('attach snapshot FC', snapshot, attach_snapshot('fc')),
    Operation('detach snapshot', attached_snapshot('access'),
              detach_snapshot('access'), removes=True),
    Operation('detach snapshot FC', attached_snapshot('fc'),
              detach_snapshot('fc'), removes=True),
    Operation('delete attached snapshot', attached_snapshot('access'),
              lambda lab: lab.snapshots.delete_snapshot(VOLUME, SNAPSHOT),
              removes=True),
    # -- data replication method; copies take their time
    with_replication(
        'RV', volume,
        lambda lab: lab.snapshots.create_snapshot(VOLUME, SNAPSHOT)),
    with_replication(
        'RV reused', kept_rvs,
        lambda lab: lab.snapshots.create_snapshot(VOLUME, SNAPSHOT)),
    with_replication(
        'delete RV', snapshot,
        lambda lab: lab.snapshots.delete_snapshot(VOLUME, SNAPSHOT),
        removes=True),
    with_replication(
        'force delete RV', snapshot,
        lambda lab: lab.snapshots.delete_snapshot(VOLUME, SNAPSHOT,
                                                  force=True),
        removes=True),
    with_replication(
        'delete unpaired RV', unpaired_rv,
        lambda lab: lab.snapshots.delete_snapshot(VOLUME, SNAPSHOT),
        removes=True),
    with_replication(
        'volume from RV', snapshot,
        lambda lab: lab.snapshots.volume_from_snapshot(
            VOLUME, SNAPSHOT, 2, OTHER, 3, [POOL])),
    with_replication(
        'clone of an MV', snapshot,
        lambda lab: lab.snapshots.clone(VOLUME, 2, OTHER, 3, [POOL])),
    with_replication(
        'clone, an RV gives way', lambda lab: kept_rvs(lab, *KEPT),
        lambda lab: lab.snapshots.clone(VOLUME, 2, OTHER, 2, [POOL]),
        removes=True),
    with_replication(
        'extend MV and RV', snapshot,
        lambda lab: lab.snapshots.extend_volume(VOLUME, 4), removes=True),
    with_replication(
        'delete MV with RVs', lambda lab: kept_rvs(lab, *KEPT[:2]),
        lambda lab: lab.snapshots.delete_volume(VOLUME), removes=True),
    with_replication(
        'revert to RV', changed_after_snapshot,
        lambda lab: lab.snapshots.revert(VOLUME, SNAPSHOT)),
)


def prepared(directory, operation: Operation) -> Lab:
    copy_rate = COPY_RATE if operation.replication else float('inf')
    lab = make_lab(make_engine(directory, copy_rate=copy_rate),
                   backup_pools=(BACKUP_POOL,),
                   replication=operation.replication)
    lab.inventory.current()
    operation.prepare(lab)
    return lab


def by_name(lab: Lab) -> tuple[object, ...]:
    """Return the array's state without the numbers the array chooses."""
    store = lab.engine.array.store
    names = {ld.ldn: _CONTROL.sub('control volume', ld.name)
             for ld in store.lds.values()}
    return (
        sorted((names[ld.ldn] if ld.platform else 'nameless', ld.capacity)
               for ld in store.lds.values()),
        sorted((names[p.mv], names[p.rv]) for p in store.pairs.values()),
        sorted((names[g.bv], names[g.sv], g.state.value)
               for g in store.generations.values()),
        sorted((s.key, s.initiators, tuple(sorted(s.paths)),
                tuple(sorted(names[m.ldn] for m in s.maps.values())))
               for s in store.ldsets.values()))


def without_new_ld_set(state: tuple[object, ...]) -> tuple[object, ...]:
    """An LD Set without LDs may stay: the host's next attach uses it."""
    sets = [s for s in state[3]
            if s[3] or not s[0].endswith(('host0001', wwpn()))]
    return (*state[:3], sets)


@pytest.mark.parametrize('operation', OPERATIONS, ids=lambda o: o.name)
def test_every_command_fails_in_every_way(tmp_path, operation):
    runs = 0
    numbers = itertools.count()
    clean = prepared(tmp_path / 'clean', operation)
    before, mark = by_name(clean), clean.mark()
    operation.run(clean)
    wanted, commands = by_name(clean), len(clean.sent(mark))
    assert commands
    for nth in range(1, commands + 1):
        for action, values in ONCE:
            lab = prepared(tmp_path / str(next(numbers)), operation)
            assert by_name(lab) == before
            lab.fault(action, nth=nth, **values)
            what = f'{operation.name}: command {nth}, {action.value}'
            try:
                operation.run(lab)
            except errors.NecError as error:
                left = without_new_ld_set(by_name(lab))
                assert operation.removes or left == (
                    without_new_ld_set(before)), (what, error)
            else:
                assert by_name(lab) == wanted, what
            lab.engine.faults.clear()
            retry(operation, lab, what)
            assert by_name(lab) == wanted, what
            if VOLUME.label in lab.lds() and operation.prepare is not nothing:
                assert lab.read(VOLUME, len(DATA)) == DATA, what
            runs += 1
    print(f'{operation.name}: {runs} runs')


def retry(operation: Operation, lab: Lab, what: str) -> None:
    """What a user does: the same again.

    Cinder does not repeat a copy under the same name; it deletes the new
    volume first.
    """
    if operation.name.startswith(('clone', 'volume from')):
        lab.snapshots.delete_volume(OTHER)
    if operation.name in ('snapshot', 'RV', 'RV reused'):
        lab.snapshots.delete_snapshot(VOLUME, SNAPSHOT)
    if operation.name.startswith('manage') and (
            {VOLUME.label, SNAPSHOT.label} & set(lab.lds())):
        return  # It is done, and Cinder knows.
    operation.run(lab)
