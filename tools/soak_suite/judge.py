# SPDX-License-Identifier: Apache-2.0
"""After the work: what does not agree, and does all of it go away."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
import random
import time
from typing import Any

from cinder_nec import cinder_view, errors, retry
from cinder_nec.backend.audit import (
    ArrayState,
    AuditScope,
    audit,
    read_array,
)
from cinder_nec.backend.cinder_state import CinderState
from cinder_nec.backend.findings import Finding, Standing
from cinder_nec.backend.inventory import Inventory
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.ismcli.gate import ChangeGate
from cinder_nec.ismcli.ssh import HostKeyPolicy, SshSettings, SshTransport
from harness.array import Array
from soak_suite.api import Api, Failed, Interrupted, Refused
from soak_suite.cloud import BACKUP_POOL, POOLS, Cloud
from soak_suite.mending import Mender
from soak_suite.things import CONTENT_BYTES, Snapshot, Things, Volume

# Copies settle in it, and what a restart has interrupted is resumed.
SETTLE_SECONDS = 120.0
REST_SECONDS = 15.0
_PASSING = (Standing.IN_FLIGHT, Standing.UNSURE)
_TRIES = 3
_DELETING = 4
_RESTING = ('available', 'in-use', 'reserved')

Say = Callable[[str], None]


@dataclass
class Verdict:
    """What is left after a soak.

    :param findings: of the audit, with all that Cinder calls an error
    :param read: volumes and snapshots whose data is what it must be
    :param wrong: those whose data is not
    :param left: after everything was deleted
    :param broken: volumes and snapshots in an error status
    """

    findings: list[Finding] = field(default_factory=list)
    read: int = 0
    wrong: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    broken: int = 0
    volumes: int = 0
    snapshots: int = 0

    @property
    def differences(self) -> list[Finding]:
        return [f for f in self.findings
                if f.standing is not Standing.HARMLESS]

    @property
    def held(self) -> bool:
        return not (self.differences or self.wrong or self.left)


class Judge:
    """Looks at a cloud that nobody works on any more."""

    def __init__(self, cloud: Cloud, things: Things, state: Path,
                 say: Say) -> None:
        self._cloud = cloud
        self._things = things
        self._say = say
        self._api = Api(cloud)
        self._client = self._api.client
        self._known_hosts = state / 'known_hosts'
        self.before = cloud.array.contents()

    def judge(self) -> Verdict:
        """Let it come to rest, audit, delete everything, look again."""
        verdict = Verdict()
        self._say('waiting for what is under way')
        self._come_to_rest()
        self._say('comparing the array with Cinder')
        verdict.findings = self._audit()
        statuses = self._statuses()
        verdict.volumes = len(statuses['volumes'])
        verdict.snapshots = len(statuses['snapshots'])
        verdict.broken = sum(
            status not in _RESTING for found in statuses.values()
            for status in found.values())
        self._say('reading what is there')
        self._read_all(verdict)
        self._say('deleting everything')
        verdict.left = self._delete_all()
        now = self._cloud.array.contents()
        for key, before in self.before.items():
            if now[key] != before:
                verdict.left.append(
                    f'{key} on the array: {now[key]} instead of {before}')
        return verdict

    # -- coming to rest ------------------------------------------------

    def _statuses(self) -> dict[str, dict[str, str]]:
        read = self._api.read
        return {
            'volumes': {v.id: v.status for v in read(
                lambda: self._client.volumes.list())},
            'snapshots': {s.id: s.status for s in read(
                lambda: self._client.volume_snapshots.list())}}

    def _moving(self) -> list[tuple[str, str, str]]:
        return [(kind, ident, status)
                for kind, found in self._statuses().items()
                for ident, status in found.items()
                if status not in _RESTING
                and not status.startswith('error')]

    def _come_to_rest(self) -> None:
        """What a restart has left in a passing status is reset."""
        until = time.monotonic() + REST_SECONDS
        while self._moving() and time.monotonic() < until:
            time.sleep(0.5)
        for kind, ident, status in self._moving():
            self._say(f'{kind[:-1]} {ident} stays in {status}; reset')
            if kind == 'volumes':
                self._client.volumes.reset_state(ident, 'error', None,
                                                 'none')
            else:
                self._client.volume_snapshots.reset_state(ident, 'error')

    # -- the audit -----------------------------------------------------

    def _audit(self) -> list[Finding]:
        """Audit until nothing passes any more, or too long."""
        scope = AuditScope.of(POOLS, [BACKUP_POOL])
        until = time.monotonic() + SETTLE_SECONDS
        with array_reader(self._cloud.array, self._known_hosts) as read:
            while True:
                before = self._view()
                array = read()
                found = audit(array, before.until(self._view()), scope)
                # What has no name is taken for its own by a service that
                # was started again, but not before half a minute.
                if not any(f.standing in _PASSING for f in found
                           ) or time.monotonic() > until:
                    return found
                time.sleep(1)

    def _view(self) -> CinderState:
        return self._api.read(lambda: cinder_view.from_client(self._client))

    # -- the data ------------------------------------------------------

    def _read_all(self, verdict: Verdict) -> None:
        """Read what has been known of since its copy began to settle."""
        for volume in self._things.all():
            if volume.spoiled:
                continue
            disks: list[tuple[str, Volume | Snapshot]] = [
                ('volume', volume),
                *(('snapshot', s) for s in volume.snapshots)]
            for what, known in disks:
                if known.content is None:
                    continue
                found = self._cloud.array.read(known.id, 0, CONTENT_BYTES)
                if found == known.content:
                    verdict.read += 1
                else:
                    verdict.wrong.append(
                        f'{what} {known.id} holds {found.hex()} instead '
                        f'of {known.content.hex()}')

    # -- deleting ------------------------------------------------------

    def _delete_all(self) -> list[str]:
        """Delete all volumes; return what did not work."""
        known = {v.id: v for v in self._things.all()}
        for ident in self._statuses()['volumes']:
            # One whose creation got no answer is in nobody's list.
            known.setdefault(ident, Volume(ident, '', 0))
        with ThreadPoolExecutor(_DELETING) as threads:
            problems = list(threads.map(self._delete, known.values()))
        left = [f'volume {volume.id} cannot be deleted: {problem}'
                for volume, problem in zip(known.values(), problems,
                                           strict=True) if problem]
        left += [f'{kind[:-1]} {ident} is in Cinder still, {status}'
                 for kind, found in self._statuses().items()
                 for ident, status in found.items()]
        return left

    def _delete(self, volume: Volume) -> str:
        """Delete a volume; return what is in the way, or ''."""
        mender = Mender(self._cloud, Api(self._cloud), self._things,
                        random.Random(0))
        problem = ''
        for _ in range(_TRIES):
            try:
                mender.remove(volume)
                return ''
            except (Failed, Refused, Interrupted) as error:
                problem = str(error)
        return problem


@contextlib.contextmanager
def array_reader(array: Array, known_hosts: Path) -> Any:
    """Yield what reads the array, over SSH as the driver does."""
    clock = retry.SystemClock()
    transport = SshTransport(SshSettings(
        host=array.host, port=array.port, user=array.user,
        password=array.password, private_key_file=None,
        known_hosts_file=str(known_hosts),
        host_key_policy=HostKeyPolicy.VERIFY), clock=clock)
    client = IsmClient(transport, ChangeGate(clock=clock), clock=clock)
    inventory = Inventory(client.query_all, clock)

    def read() -> ArrayState:
        try:
            return read_array(client, inventory)
        except errors.NecError as error:
            raise RuntimeError(f'the array cannot be read: {error}'
                               ) from error
    try:
        yield read
    finally:
        client.close()
