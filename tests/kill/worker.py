# SPDX-License-Identifier: Apache-2.0
"""A service in a process of its own, which is killed in the end.

It tells what it does, so that who kills it knows what Cinder's database
has at that moment.
"""

from __future__ import annotations

from multiprocessing.connection import Connection
import os
import traceback
from typing import Any

from cinder_nec.backend import recovery, recovery_nameless
from tests.kill.cases import BY_NAME, Case, Names
from tests.kill.inspect_array import unexplained
from tests.kill.world import World

# What a service needs, loaded once for all of them.
from tests.cinder import drivers  # noqa: F401  isort: skip


def main(pipe: Connection, settings: dict[str, Any]) -> None:
    """Answer orders until the other side goes, or kills."""
    # Nobody waits for a peer to name an LD.
    recovery.ADOPT_AFTER_SECONDS = recovery_nameless.ADOPT_AFTER_SECONDS = 0.0
    try:
        world = World(settings['conf'], settings['driver'],
                      settings['control'], settings['db'])
        worker = Worker(world, settings['before'])
        pipe.send(('up', None))
        while True:
            order, values = pipe.recv()
            pipe.send(('done', getattr(worker, order)(pipe, **values)))
    except EOFError:
        pass
    except BaseException:
        pipe.send(('failed', traceback.format_exc()))
    finally:
        # Threads of an operation that hangs must not keep the process.
        os._exit(0)


# What has only a part of its data, as the guide says.  A volume that is
# being deleted has gone by then.
_IN_PIECES = ('reverting', 'deleting')


class Worker:
    """What a service is told to do."""

    def __init__(self, world: World, before: dict[str, Any]) -> None:
        self._world = world
        self._before = before

    def perform(self, pipe: Connection, case: str) -> None:
        """Prepare an operation, say that it begins, and run it."""
        chosen = BY_NAME[case]
        world = self._world
        names = chosen.prepare(world)
        world.settle()
        chosen.begin(world, names)
        world.array.set_timing(copy_rate=_rate(chosen))
        pipe.send(('begins', (world.db, _ids(names))))
        assert pipe.recv() == 'go'
        chosen.run(world, names)

    def recover(self, _pipe: Connection, case: str,
                names: dict[str, str]) -> None:
        """See what is there after the start, try again, clear away."""
        world, chosen = self._world, BY_NAME[case]
        self._check('after the start')
        chosen.again(world, self._records(names))
        world.array.set_timing(copy_rate='inf')
        world.settle()
        self._check('after the second try', is_over=True)
        world.clear()
        world.settle()
        self._check('after all was deleted', is_over=True)

    def finish(self, _pipe: Connection) -> None:
        """Clear away after an operation that nobody disturbed."""
        world = self._world
        world.array.set_timing(copy_rate='inf')
        for volume in world.db.volumes.values():
            volume.migration_status = None
        world.clear()
        self._check('after all was deleted')

    def _check(self, when: str, *, is_over: bool = False) -> None:
        db = self._world.db
        found = unexplained(self._world.array.state(), self._before, db,
                            is_over=is_over)
        assert not found, f'{when}: {"; ".join(found)}'
        for identifier, data in db.data.items():
            thing = db.volumes.get(identifier) or db.snapshots.get(
                identifier)
            if thing is not None and thing.status not in _IN_PIECES:
                assert self._world.read(thing, len(data)) == data, (
                    f'{when}: {identifier} ({thing.status})')

    def _records(self, names: dict[str, str]) -> Names:
        db = self._world.db
        attachments = {one.id: one for volume in db.volumes.values()
                       for one in volume.volume_attachment}
        return {key: (value if not isinstance(value, str) else
                      db.volumes.get(value) or db.snapshots.get(value)
                      or attachments.get(value) or _Gone(value))
                for key, value in names.items()}


class _Gone:
    """A record that Cinder has deleted meanwhile."""

    def __init__(self, identifier: str) -> None:
        self.id = identifier


def _ids(names: Names) -> dict[str, Any]:
    return {key: getattr(one, 'id', one) for key, one in names.items()}


def _rate(case: Case) -> float | str:
    return (1 << 30) / case.copies if case.copies else 'inf'
