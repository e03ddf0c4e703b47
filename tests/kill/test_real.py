# SPDX-License-Identifier: Apache-2.0
"""A whole Cinder is killed in the midst of an operation.

What Cinder writes to its database then is Cinder's own business, and what
its manager does at the next start, too.  The matrix of all operations is in
test_matrix.py; this shows that its model of Cinder is right.
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
QUIET = {'periodic_interval': 3600, 'backend_stats_polling_interval': 3600}
# The whole suite runs on one class, with --all on each.
CLASSES = drivers.READY if wants_all() else drivers.READY[:1]


@dataclasses.dataclass(frozen=True)
class Operation:
    """What a user asks for, and what he does when Cinder is back.

    :param nth: the command that Cinder is killed at
    """

    name: str
    nth: int
    is_applied: bool
    ask: Callable[[Cloud, str], object]
    again: Callable[[Cloud, str], object]


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


@pytest.fixture(scope='module', params=CLASSES)
def stage(request: pytest.FixtureRequest,
          tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    state = tmp_path_factory.mktemp(request.param)
    with Stage(state, drivers.find(request.param),
               default=QUIET) as running:
        yield running


@pytest.mark.timeout(300)
@pytest.mark.parametrize('operation', chosen(OPERATIONS, 2), ids=lambda o: (
    f'{o.name}-{o.nth}'))
def test_cinder_is_killed(stage: Stage, operation: Operation,
                          tries: Tries):
    before = stage.array.contents()
    user = Cloud(stage)
    source = user.create()
    user.write(source, 'user data')
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
    assert stage.array.contents() == before
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
