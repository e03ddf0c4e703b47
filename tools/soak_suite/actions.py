# SPDX-License-Identifier: Apache-2.0
"""What users do.  Each action checks what it can see of its result."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
import itertools
import random
from typing import Any

from harness import drivers
from ismsim.control import ControlError
from soak_suite.api import GONE, Api, Failed, Interrupted
from soak_suite.cloud import BACKENDS, LIMITED, SHARED, Cloud, is_replication
from soak_suite.things import CONTENT_BYTES, Snapshot, Things, Volume

MAX_PAIRS = 3
# One pair is left for copies of the volume.
MAX_SNAPSHOTS = {True: 2, False: 4}
MAX_SIZE = 4
HOSTS = 4
# That have a shared volume at once.
MAX_HOSTS = 2
_SERIAL = itertools.count(1)
# Of a time as the API writes it.
_TO_THE_SECOND = 19

#: An action found nothing to do: no volume fits.
NOTHING = 'nothing to do'


class WrongData(Exception):
    """A volume does not hold what it must hold."""


class Actions:
    """The actions of one worker."""

    def __init__(self, cloud: Cloud, api: Api, things: Things,
                 rng: random.Random, number: int) -> None:
        self._cloud = cloud
        self._array = cloud.array
        self.api = api
        self._things = things
        self._rng = rng
        self._number = number
        self._client = api.client

    # -- volumes -------------------------------------------------------

    def create(self) -> str:
        """A new volume, with bytes of its own."""
        backend = self._rng.choice(list(BACKENDS))
        suffix = self._rng.choice(('', '', LIMITED, SHARED))
        volume = self._new_volume(backend, suffix,
                                  self._rng.randint(1, 2), None)
        self._write(volume)
        return volume.id

    def write(self) -> str:
        """Other bytes on a volume."""
        with self._lend(_whole, alone=True) as volume:
            if volume is None:
                return NOTHING
            self._write(volume)
            return volume.id

    def clone(self) -> str:
        """A volume of a volume."""
        with self._lend(_whole, alone=False) as source:
            if source is None:
                return NOTHING
            size = source.size + self._rng.choice((0, 0, 0, 1))
            clone = self._new_volume(
                source.backend, _suffix_of(source), size, source.content,
                source_volid=source.id)
            self._check(clone)
            return clone.id

    def extend(self) -> str:
        """A larger volume."""
        with self._lend(_extendable, alone=True) as volume:
            if volume is None:
                return NOTHING
            size = volume.size + 1
            try:
                self._ask(lambda: self._client.volumes.extend(volume.id,
                                                              size))
                self.api.wait_volume(volume.id, 'available')
                now = self.api.volume(volume.id)
                if now is None or now.size != size:
                    raise Failed(f'volume {volume.id} was not extended')
            except (Failed, Interrupted) as error:
                volume.spoiled = str(error)
                for snapshot in volume.snapshots:
                    snapshot.stretched = True
                raise
            volume.size = size
            self._check(volume)
            return volume.id

    def delete(self) -> str:
        """One volume less."""
        with self._lend(lambda v: not (v.spoiled or v.points
                                       or v.attachments), alone=True
                        ) as volume:
            if volume is None:
                return NOTHING
            with _spoiling(volume):
                self._ask(lambda: self._client.volumes.delete(volume.id))
                self.api.wait_volume(volume.id, GONE)
            volume.gone = True
            return volume.id

    # -- snapshots -----------------------------------------------------

    def snapshot(self) -> str:
        """A snapshot of a volume, attached or not.

        With data replication it is refused while copies of the volume take
        all its pairs, so those are looked at first, and none may begin.
        """
        pairs = self._rng.random() < 0.5
        with self._lend(lambda v: (
                _whole(v) and is_replication(v.backend) is pairs
                and v.points < MAX_SNAPSHOTS[pairs]), alone=pairs,
                for_snapshot=True) as volume:
            if volume is None or (pairs and self._count_pairs(volume)
                                  >= MAX_PAIRS):
                return NOTHING
            name = self._name()
            try:
                ident = self.api.change(
                    lambda: self._client.volume_snapshots.create(
                        volume.id, force=True, name=name)).id
            except Interrupted:
                ident = self.api.named_snapshot(name)
                if ident is None:
                    raise
            with _spoiling(volume):
                self.api.wait_snapshot(ident, 'available')
            made = self.api.read(
                lambda: self._client.volume_snapshots.get(ident))
            volume.snapshots.append(Snapshot(
                ident, volume.size, volume.content,
                second=made.created_at[:_TO_THE_SECOND]))
            return str(ident)

    def from_snapshot(self) -> str:
        """A volume of a snapshot, at least as large as its volume is."""
        with self._lend(lambda v: _whole(v) and bool(v.snapshots),
                        alone=False) as source:
            if source is None:
                return NOTHING
            snapshot = self._rng.choice(source.snapshots)
            if snapshot.stretched:
                return NOTHING
            size = source.size + self._rng.choice((0, 0, 1))
            volume = self._new_volume(
                source.backend, _suffix_of(source), size, snapshot.content,
                snapshot_id=snapshot.id)
            self._check(volume)
            return volume.id

    def revert(self) -> str:
        """What a volume held at its last snapshot."""
        with self._lend(_can_go_back, alone=True) as volume:
            if volume is None:
                return NOTHING
            snapshot = volume.snapshots[-1]
            with _spoiling(volume):
                self._ask(lambda: self._client.volumes.revert_to_snapshot(
                    volume.id, snapshot.id))
                self.api.wait_volume(volume.id, 'available')
            volume.content = snapshot.content
            self._check(volume)
            return volume.id

    def delete_snapshot(self) -> str:
        """One snapshot less."""
        with self._lend(lambda v: _whole(v) and bool(v.snapshots),
                        alone=True) as volume:
            if volume is None:
                return NOTHING
            snapshot = self._rng.choice(volume.snapshots)
            with _spoiling(volume):
                self._ask(lambda: self._client.volume_snapshots.delete(
                    snapshot.id))
                self.api.wait_snapshot(snapshot.id, GONE)
            volume.snapshots.remove(snapshot)
            self._check(volume)
            return snapshot.id

    # -- hosts ---------------------------------------------------------

    def attach(self) -> str:
        """A volume for one of a few hosts, a shared one for two."""
        with self._lend(_attachable, alone=True) as volume:
            if volume is None:
                return NOTHING
            host = self._rng.choice([n for n in range(1, HOSTS + 1) if
                                     n not in volume.attachments.values()])
            try:
                found = self.api.change(
                    lambda: self._client.attachments.create(
                        volume.id, _connector(host), None, 'rw'))
                volume.attachments[found['id']] = host
                self._ask(lambda: self._client.attachments.complete(
                    found['id']))
                self.api.wait_volume(volume.id, 'in-use')
            except (Failed, Interrupted):
                # As Nova does when an attach fails.
                with _spoiling(volume):
                    self._detach_all(volume)
                raise
            self._check_hosts(volume)
            return volume.id

    def detach(self) -> str:
        """A volume taken away from a host; another one keeps it."""
        with self._lend(lambda v: bool(not v.spoiled and v.attachments),
                        alone=True) as volume:
            if volume is None:
                return NOTHING
            ident = self._rng.choice(list(volume.attachments))
            with _spoiling(volume):
                self._ask(lambda: self._client.attachments.delete(ident))
                self.api.wait_volume(
                    volume.id,
                    'in-use' if len(volume.attachments) > 1 else 'available')
                if ident in {a.id for a in self.api.attachments(volume.id)}:
                    raise Failed(f'volume {volume.id} was not detached')
            del volume.attachments[ident]
            self._check_hosts(volume)
            return volume.id

    def _detach_all(self, volume: Volume) -> None:
        for attachment in self.api.attachments(volume.id):
            self._ask(lambda i=attachment.id:  # type: ignore[misc]
                      self._client.attachments.delete(i))
        volume.attachments.clear()

    def _check_hosts(self, volume: Volume) -> None:
        """:raises WrongData: other hosts see it than those that have it"""
        seen = {name for ld_set in self._array.sets_of(volume.id)
                for name in ld_set.hosts}
        wanted = {name for host in volume.attachments.values()
                  for name in _names_of(host, volume.backend)}
        if seen != wanted:
            raise WrongData(
                f'volume {volume.id} is seen by {sorted(seen)} instead of '
                f'{sorted(wanted)}')

    # -- types ---------------------------------------------------------

    def retype(self) -> str:
        """Other limits for a volume."""
        with self._lend(lambda v: _at_rest(v) and not v.shared,
                        alone=True) as volume:
            if volume is None:
                return NOTHING
            wanted = volume.backend + ('' if volume.limited else LIMITED)
            self._retype(volume, wanted, 'never')
            volume.limited = not volume.limited
            return volume.id

    def move(self) -> str:
        """A volume of another back end."""
        # With QoS specs, or extra specs of any other name than the back
        # end's, Cinder copies by itself (manager,
        # _can_use_driver_migration), and no host is here to do it.
        with self._lend(lambda v: _at_rest(v) and not (
                v.points or v.limited or v.shared), alone=True) as volume:
            if volume is None or self._is_paired(volume):
                return NOTHING
            backend = self._rng.choice([b for b in BACKENDS
                                        if b != volume.backend])
            self._retype(volume, backend, 'on-demand')
            volume.backend = backend
            self._check(volume)
            return volume.id

    def _retype(self, volume: Volume, wanted: str, policy: str) -> None:
        with _spoiling(volume):
            self._ask(lambda: self._client.volumes.retype(
                volume.id, wanted, policy))
            self.api.wait_volume(volume.id, 'available')
            now = self.api.volume(volume.id)
            if now is None or now.volume_type != wanted:
                raise Failed(f'volume {volume.id} was not retyped')

    def _is_paired(self, volume: Volume) -> bool:
        """Tell what the array refuses to move: copies that settle."""
        return bool(self._array.points_in_time(volume.id)) or any(
            pair['rv'] == ld['name'] for ld in [self._ld(volume)]
            if ld is not None
            for pair in self._array.control.state()['pairs'])

    def _count_pairs(self, volume: Volume) -> int:
        """Count those that do not give way."""
        return sum(not point.name.endswith('_d')
                   for point in self._array.points_in_time(volume.id)
                   if point.kind == 'replica')

    def _ld(self, volume: Volume) -> dict[str, Any] | None:
        found = self._array.find_ld(volume.id)
        return None if found is None else self._array.control.ld(found.ldn)

    # -- help ----------------------------------------------------------

    def _lend(self, wanted: Callable[[Volume], bool], *, alone: bool,
              for_snapshot: bool = False
              ) -> AbstractContextManager[Volume | None]:
        return self._things.lend(wanted, self._rng, alone=alone,
                                 for_snapshot=for_snapshot)

    def _ask(self, request: Callable[[], object]) -> None:
        """Ask for a change; what comes of it is seen afterwards."""
        try:
            self.api.change(request)
        except Interrupted:
            self._cloud.up.wait()

    def _name(self) -> str:
        return f'soak-{self._number}-{next(_SERIAL)}'

    def _new_volume(self, backend: str, suffix: str, size: int,
                    content: bytes | None, **arguments: Any) -> Volume:
        name = self._name()
        kind = backend + suffix
        try:
            ident = self.api.change(lambda: self._client.volumes.create(
                size, name=name, volume_type=kind, **arguments)).id
        except Interrupted:
            ident = self.api.named_volume(name)
            if ident is None:
                raise
        volume = Volume(ident, backend, size, content,
                        limited=suffix == LIMITED, shared=suffix == SHARED)
        try:
            with _spoiling(volume):
                self.api.wait_volume(ident, 'available')
        finally:
            self._things.add(volume)
        return volume

    def _write(self, volume: Volume) -> None:
        content = self._rng.randbytes(CONTENT_BYTES)
        try:
            self._array.write(volume.id, 0, content)
        except ControlError:
            return  # a copy to it is under way
        volume.content = content

    def _check(self, volume: Volume) -> None:
        """:raises WrongData: it does not hold what it must"""
        if volume.content is None:
            return
        found = self._array.read(volume.id, 0, CONTENT_BYTES)
        if found != volume.content:
            raise WrongData(
                f'volume {volume.id} holds {found.hex()} instead of '
                f'{volume.content.hex()}')


class _spoiling:
    """What fails in the block leaves a volume good for nothing."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None,
                 _trace: object) -> None:
        if isinstance(error, (Failed, Interrupted)):
            self._volume.spoiled = str(error)


def _whole(volume: Volume) -> bool:
    return not volume.spoiled


def _at_rest(volume: Volume) -> bool:
    return not (volume.spoiled or volume.attachments)


def _can_go_back(volume: Volume) -> bool:
    if not (_at_rest(volume) and volume.snapshots):
        return False
    *older, last = volume.snapshots
    return last.size == volume.size and all(
        one.second != last.second for one in older)


def _attachable(volume: Volume) -> bool:
    most = MAX_HOSTS if volume.shared else 1
    return not volume.spoiled and len(volume.attachments) < most


def _suffix_of(volume: Volume) -> str:
    """Return what the name of its type has behind its back end's."""
    return (LIMITED if volume.limited else SHARED if volume.shared else '')


def _extendable(volume: Volume) -> bool:
    """The array does not expand what has generations (manual 7.3.3)."""
    return (_at_rest(volume) and volume.size < MAX_SIZE
            and (is_replication(volume.backend) or not volume.points))


def _names_of(host: int, backend: str) -> list[str]:
    """Return what the array knows a host by."""
    connector = _connector(host)
    if drivers.CLASSES[BACKENDS[backend][0]][0] == drivers.FC:
        return list(connector['wwpns'])
    return [connector['initiator']]


def _connector(number: int) -> dict[str, Any]:
    """What os-brick would say of a host."""
    return {'host': f'host{number}', 'ip': f'192.0.2.{number}',
            'initiator': f'iqn.1994-05.com.redhat:host{number}',
            'wwpns': [f'10000090faa0{number:02x}{port:02x}'
                      for port in (0, 1)],
            'wwnns': [f'20000090faa0{number:02x}00'],
            'multipath': number % 2 == 0, 'os_type': 'linux',
            'platform': 'x86_64', 'do_local_attach': False}
