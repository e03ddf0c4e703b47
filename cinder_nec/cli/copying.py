# SPDX-License-Identifier: Apache-2.0
"""What an array is copying, look by look."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

from cinder_nec import naming, retry
from cinder_nec.assembly import Array
from cinder_nec.backend.copying.progress import Progress
from cinder_nec.cli.relations import Relations, relations_on
from cinder_nec.cli.site import Entry
from cinder_nec.model import (
    LogicalDisk,
    PairState,
    PairStatus,
    SnapState,
    SnapStatus,
)

AT_REST = frozenset({PairState.SEPARATED, PairState.CANCELLED,
                     PairState.FAULT})
_RESTORING = frozenset({PairState.RESTORING, PairState.RESTORED})
_SNAPSHOT_WORK = {SnapState.RESTORING: 'snapshot restore',
                  SnapState.DELETING: 'snapshot delete'}
_DUMP_AGAIN_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Copying:
    """A pair, or a generation that is restored or deleted.

    :param source: label of the LD that is read
    :param target: label of the LD that is written
    :param total_bytes: None where it has no size (a deletion)
    :param left_bytes: what is still to be copied; None if not told
    """

    backend: str
    source: str
    target: str
    kind: str
    state: str
    runs: bool
    total_bytes: int | None = None
    left_bytes: int | None = None


class Looker:
    """Looks at an array's copies again and again.

    The configuration, which costs the array most, is read again only when
    nothing runs any more or half a minute is over.
    """

    def __init__(self, clock: retry.Clock) -> None:
        self._clock = clock
        self._read_at: dict[str, float] = {}
        self._progress: dict[tuple[str, str, str], Progress] = {}
        self._idle: set[str] = set()

    def look(self, entry: Entry, array: Array) -> list[Copying]:
        """Return what is there now.

        :raises errors.NecError: the array cannot be asked
        """
        now, group = self._clock.now(), entry.group
        if (group in self._idle or now - self._read_at.get(group, now)
                >= _DUMP_AGAIN_SECONDS):
            array.inventory.refresh()
            self._read_at[group] = now
        self._read_at.setdefault(group, now)
        config = array.inventory.current()
        lds = {ld.name.label: ld for ld in config.logical_disks.values()
               if ld.name.label}
        found = [copy for copy in _copies(
            group, lds, relations_on(array, config))
            if _concerns(entry, copy, lds)]
        if any(copy.runs for copy in found):
            self._idle.discard(group)
        else:
            self._idle.add(group)
        return found

    def progress(self, copy: Copying) -> Progress | None:
        """Return how far a copy is; its rate from the second look on."""
        if copy.total_bytes is None or copy.left_bytes is None:
            return None
        key = copy.backend, copy.source, copy.target
        progress = self._progress.setdefault(
            key, Progress(self._clock, copy.total_bytes))
        progress.move(copy.left_bytes)
        return progress


def _copies(backend: str, lds: Mapping[str, LogicalDisk],
            found: Relations) -> list[Copying]:
    return [*(_pair(backend, pair, lds) for pair in found.pairs.values()),
            *(_generation(backend, one, lds)
              for one in found.generations.values()
              if one.state in _SNAPSHOT_WORK)]


def _concerns(entry: Entry, copy: Copying,
              lds: Mapping[str, LogicalDisk]) -> bool:
    """Tell whether one end of a copy is in nec_pools of a back end."""
    pools = entry.config.pools if entry.config else ()
    ends = (lds.get(copy.source), lds.get(copy.target))
    return not pools or any(ld is not None and ld.pool in pools
                            for ld in ends)


def _pair(backend: str, pair: PairStatus,
          lds: Mapping[str, LogicalDisk]) -> Copying:
    back = pair.state in _RESTORING
    target = lds.get(pair.rv)
    runs = (pair.state not in AT_REST
            and pair.state is not PairState.UNRECOGNIZED)
    return Copying(
        backend, pair.rv if back else pair.mv,
        pair.mv if back else pair.rv, 'restore' if back else 'copy',
        pair.state.value, runs, target.capacity_bytes if target else None,
        pair.copy_diff_bytes if runs else None)


def _generation(backend: str, one: SnapStatus,
                lds: Mapping[str, LogicalDisk]) -> Copying:
    restores = one.state is SnapState.RESTORING
    return Copying(
        backend, one.sv if restores else one.bv,
        one.bv if restores else one.sv, _SNAPSHOT_WORK[one.state],
        one.state.value, True)


def id_of(label: str) -> str:
    """Return the Cinder ID of an LD; '' if it is none of Cinder's."""
    return naming.find_uuid(label) or ''
