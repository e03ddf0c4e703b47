# SPDX-License-Identifier: Apache-2.0
"""A whole Cinder is killed in the midst of an operation.

What Cinder writes to its database then is Cinder's own business, and what
its manager does at the next start, too.  The matrix of all operations is in
test_matrix.py; for the operations here, this shows that its model of Cinder is
right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
from pathlib import Path
import threading
import time

import pytest

from allinone import wait_for
from harness import drivers
from harness.stage import Stage
from harness.tally import Tries, chosen, wants_all
from tests.kill.world import age_journal
from tests.system.cloud import Cloud

PATIENCE_SECONDS = 60.0
OFTEN = {'periodic_interval': 3, 'backend_stats_polling_interval': 3}
LIMITED = 'limited'
# The whole suite runs on one class, with --all on each.
CLASSES = drivers.READY if wants_all() else drivers.READY[:1]


@dataclasses.dataclass(frozen=True)
class Operation:
    """What a user asks for, and what he does when Cinder is back.

    :param nth: the command that Cinder is killed at
    :param prepare: what an operator or the user has done before
    """

    name: str
    nth: int
    is_applied: bool
    ask: Callable[[Cloud, str], object]
    again: Callable[[Cloud, str], object]
    prepare: Callable[[Cloud, str], object] = lambda _user, _source: None


def other(user: Cloud, source: str) -> str:
    """The volume that was being made."""
    [volume] = [v.id for v in user.client.volumes.list() if v.id != source]
    user.wait_volume(volume, 'error')
    return str(volume)


def delete_other(user: Cloud, source: str) -> None:
    volume = other(user, source)
    user._volumes.append(volume)
    user.delete(volume)


def ask_to_attach(user: Cloud, source: str) -> None:
    user.client.attachments.create(source, user.connector(), None, 'rw')


def end_attachment(user: Cloud, source: str) -> None:
    """The array was told, Cinder's database was not."""
    assert not user.array.sets_of(source)
    [attachment] = user.client.attachments.list()
    user._attachments.append(attachment.id)
    user.detach({'id': attachment.id})
    attached = user.attach(source)
    assert user.array.sets_of(source)
    user.detach(attached)


def delete_snapshot(user: Cloud, source: str) -> None:
    [snapshot] = user.client.volume_snapshots.list()
    wait_for('the snapshot in error', lambda: user.snapshot_status(
        snapshot.id) == 'error', PATIENCE_SECONDS)
    user._snapshots.append(snapshot.id)
    user.client.volume_snapshots.set_metadata(
        snapshot.id, {'force-delete': 'True'})
    user.delete_snapshot(snapshot.id)


def extend_again(user: Cloud, source: str) -> None:
    user.client.volumes.reset_state(source, 'available')
    user.extend(source, 2)


def is_gone(user: Cloud, source: str) -> None:
    """The manager goes on with a delete by itself."""
    wait_for('the volume gone', lambda: user.volume_status(source)
             == 'gone', PATIENCE_SECONDS)
    user._volumes.remove(source)


def make_type(user: Cloud, _source: str) -> None:
    made = user.client.volume_types.create(LIMITED)
    specs = user.client.qos_specs.create(
        LIMITED, {'consumer': 'back-end', 'upperlimit': '3000'})
    user.client.qos_specs.associate(specs, made.id)


def ask_to_retype(user: Cloud, source: str) -> None:
    user.client.volumes.retype(source, LIMITED, 'never')


def retype_again(user: Cloud, source: str) -> None:
    """Cinder never takes it out of this status."""
    volume = user.volume(source)
    assert (volume.status, volume.volume_type) == ('retyping', '__DEFAULT__')
    user.client.volumes.reset_state(source, 'available')
    ask_to_retype(user, source)
    wait_for('the volume of another type', lambda: user.volume(
        source).volume_type == LIMITED, PATIENCE_SECONDS)
    raw = user.array.control.ld(user.array.ld(source).name)
    assert raw is not None and raw['limit']['upper'] == 3000


def migration_status(user: Cloud, source: str) -> str:
    return str(getattr(user.volume(source),
                       'os-vol-mig-status-attr:migstat'))


def ask_to_migrate(user: Cloud, source: str) -> None:
    here = getattr(user.volume(source), 'os-vol-host-attr:host')
    [there] = [p.name for p in user.client.pools.list() if p.name != here]
    user.client.volumes.migrate_volume(source, there, False, False)


def migrate_again(user: Cloud, source: str) -> None:
    assert migration_status(user, source) == 'migrating'
    was_in = user.array.ld(source).pool
    user.client.volumes.reset_state(source, 'available',
                                    migration_status='none')
    ask_to_migrate(user, source)
    wait_for('the volume moved', lambda: migration_status(
        user, source) == 'success', PATIENCE_SECONDS)
    assert user.array.ld(source).pool != was_in


def change_after_snapshot(user: Cloud, source: str) -> None:
    user.snapshot(source)
    user.write(source, 'come later')


def ask_to_revert(user: Cloud, source: str) -> None:
    [snapshot] = user.client.volume_snapshots.list()
    user.client.volumes.revert_to_snapshot(user.volume(source), snapshot)


def revert_again(user: Cloud, source: str) -> None:
    [snapshot] = user.client.volume_snapshots.list()
    assert (user.volume_status(source), snapshot.status) == (
        'reverting', 'restoring')
    user.client.volumes.reset_state(source, 'available')
    user.client.volume_snapshots.reset_state(snapshot.id, 'available')
    ask_to_revert(user, source)
    user.wait_volume(source, 'available')


OPERATIONS = (
    Operation('create', 1, True,
              lambda u, _s: u.client.volumes.create(1), delete_other),
    Operation('create', 2, True,
              lambda u, _s: u.client.volumes.create(1), delete_other),
    Operation('clone', 4, True,
              lambda u, s: u.client.volumes.create(1, source_volid=s),
              delete_other),
    Operation('attach', 3, True, ask_to_attach, end_attachment),
    Operation('snapshot', 2, False,
              lambda u, s: u.client.volume_snapshots.create(s),
              delete_snapshot),
    Operation('extend', 1, True,
              lambda u, s: u.client.volumes.extend(s, 2), extend_again),
    Operation('delete', 1, False,
              lambda u, s: u.client.volumes.delete(s), is_gone),
)
# What Cinder leaves in a status of its own.
IN_BETWEEN = (
    Operation('retype', 1, True, ask_to_retype, retype_again, make_type),
    Operation('revert', 1, True, ask_to_revert, revert_again,
              change_after_snapshot),
)


MIGRATION = Operation('migrate', 8, False, ask_to_migrate, migrate_again)


@contextlib.contextmanager
def started(name: str, factory: pytest.TempPathFactory,
            **backends: dict[str, str]) -> Iterator[Stage]:
    with Stage(factory.mktemp(name), drivers.find(name), default=OFTEN,
               backends=backends or None) as running:
        yield running


@pytest.fixture(scope='module', params=CLASSES)
def stage(request: pytest.FixtureRequest,
          tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with started(request.param, tmp_path_factory) as running:
        yield running


@pytest.mark.timeout(300)
@pytest.mark.parametrize('operation', [
    *chosen(OPERATIONS, 2), *IN_BETWEEN], ids=lambda o: (
        f'{o.name}-{o.nth}'))
def test_cinder_is_killed(stage: Stage, operation: Operation,
                          tries: Tries):
    check(stage, operation, tries)


@pytest.mark.timeout(300)
@pytest.mark.parametrize('name', CLASSES)
def test_cinder_is_killed_in_a_migration(
        name: str, tries: Tries,
        tmp_path_factory: pytest.TempPathFactory):
    """The volume is without a name when Cinder dies.

    Not on the other stage: of two services in one process, Cinder tidies
    up after one only, as both take the id of the last one.
    """
    with started(name, tmp_path_factory, nec1={'nec_pools': '0'},
                 nec2={'nec_pools': '2'}) as pair:
        check(pair, MIGRATION, tries)


def check(stage: Stage, operation: Operation, tries: Tries) -> None:
    before = stage.array.contents()
    user = Cloud(stage)
    source = user.create()
    user.write(source, 'user data')
    operation.prepare(user, source)
    tries.tried('kills')
    kill_in_the_midst(stage, operation, user, source)
    age_journal(Path(stage.cinder.layout.state))
    stage.cinder.start()
    # The port stays, the client's connections do not.
    user.client = stage.cinder.client()
    operation.again(user, source)
    if operation.name != 'delete':
        assert user.read(source, 9) == 'user data'
    user.clean_up()
    # An LD without a name is looked at twice, half a minute apart.
    wait_for('the array is as it was',
             lambda: stage.array.contents() == before, PATIENCE_SECONDS)
    tries.survived('kills')


def kill_in_the_midst(stage: Stage, operation: Operation, user: Cloud,
                      source: str) -> None:
    control = stage.array.control
    control.add_fault(
        'hang_after' if operation.is_applied else 'hang_before',
        nth=operation.nth, kind='CHANGE')

    def ask() -> None:
        # Some requests are answered only when they are done.
        with contextlib.suppress(Exception):
            operation.ask(user, source)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    until = time.monotonic() + PATIENCE_SECONDS
    while not control.faults()[0]['hits']:
        assert time.monotonic() < until, 'the command does not come'
        time.sleep(0.01)
    stage.cinder.kill()
    control.clear_faults()
    asking.join(PATIENCE_SECONDS)
