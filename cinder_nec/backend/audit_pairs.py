# SPDX-License-Identifier: Apache-2.0
"""The part of the audit that looks at pairs and generations."""

from __future__ import annotations

from collections.abc import Iterator

from cinder_nec import naming
from cinder_nec.backend.audit_index import Index
from cinder_nec.backend.copying.pairs import copy_again
from cinder_nec.backend.findings import Finding, FindingKind, Standing, Step
from cinder_nec.ismcli import commands
from cinder_nec.model import (
    LogicalDisk,
    PairState,
    PairStatus,
    RplAttribute,
    SnapState,
)

_BROKEN = (PairState.FAULT, PairState.CANCELLED, PairState.UNRECOGNIZED)
_LOST = (SnapState.NO_DATA, SnapState.FAULT, SnapState.UNRECOGNIZED)


def pairs(index: Index) -> Iterator[Finding]:
    """Yield what is wrong with the pairs of LDs with Cinder names."""
    if index.array.pairs is None:
        for ld in index.disks:
            yield from _by_attribute(index, ld)
        return
    for pair in index.array.pairs:
        mv, rv = index.find(pair.mv), index.find(pair.rv)
        # What is paired with another array is its operator's business.
        if mv is not None and rv is not None and (
                index.scope.has(mv) or index.scope.has(rv)):
            yield from _pair(index, pair)


def not_read(index: Index) -> Iterator[Finding]:
    """Yield the LDs whose pairs or generations the array does not show."""
    for name, told in index.array.not_read:
        ld = index.find(name.label)
        found = naming.find_uuid(name.label)
        if ld is None or found is None or not index.scope.has(ld):
            continue
        yield Finding(
            FindingKind.NOT_READ, Standing.IN_FLIGHT
            if index.is_moving(found) else Standing.UNSURE, str(name),
            f'Whether they are in order is not known: {told} Run the '
            'audit again.', found)


def _by_attribute(index: Index, ld: LogicalDisk) -> Iterator[Finding]:
    found = naming.find_uuid(ld.name.label)
    if (found in index.volumes and ld.has(RplAttribute.RV)
            and not naming.split_suffix(ld.name.label)[1]):
        yield _settles(str(ld.name), found)


def _pair(index: Index, pair: PairStatus) -> Iterator[Finding]:
    source, target = (naming.find_uuid(label)
                      for label in (pair.mv, pair.rv))
    if target is None:
        return
    subject = f'pair of {pair.mv} and {pair.rv} ({pair.state.value})'
    if source is None:
        yield _of_strangers(index, pair, subject, target)
        return
    suffix = naming.split_suffix(pair.rv)[1]
    if not index.is_known(source) or not (
            suffix == naming.SUFFIX_DIFFERENCES or index.is_known(target)):
        moves = index.is_moving(source) or index.is_moving(target)
        yield Finding(
            FindingKind.PAIR_WITHOUT_OBJECT, index.standing_if(moves),
            subject, 'Cinder does not have the volume or snapshot of one '
            'of its ends.', target if index.is_known(source) else source,
            (_unpair(index, pair),))
    elif suffix == naming.SUFFIX_DIFFERENCES:
        return
    elif suffix == naming.SUFFIX_MIGRATING:
        if not index.is_moving(target):
            yield Finding(
                FindingKind.PAIR_WITHOUT_OBJECT, Standing.DIFFERENCE,
                subject, 'No migration of the volume is under way. Its '
                'next migration or its delete takes the pair apart.',
                target, (_unpair(index, pair),),
                is_safe=pair.state is PairState.SEPARATED)
    elif target in index.snapshots:
        yield from _of_snapshot(index, pair, subject, source, target)
    else:
        yield from _of_copy(index, pair, subject, target)


def _of_strangers(index: Index, pair: PairStatus, subject: str,
                  target: str) -> Finding:
    """Judge a pair whose MV is none of Cinder's.

    The driver makes none like it, so it cannot tell what it is for.
    """
    return Finding(
        FindingKind.PAIR_WITHOUT_OBJECT, index.standing_of(target), subject,
        f'{pair.mv} is not an LD of Cinder\'s. Replicating it replaces '
        f'what {target} holds, and while they are a pair {target} cannot '
        'be deleted. Find out who made the pair before you take it apart.',
        target, (_unpair(index, pair),))


def _of_snapshot(index: Index, pair: PairStatus, subject: str, source: str,
                 target: str) -> Iterator[Finding]:
    """Judge a pair that a snapshot is (data replication method)."""
    if index.is_moving(target) or index.is_moving(source):
        return
    volume = index.volumes.get(source)
    if volume is None or (
            volume.cinder_id != index.snapshots[target].volume_id):
        yield Finding(
            FindingKind.WRONG_ORIGIN, Standing.DIFFERENCE, subject,
            f'Snapshot {target} is of volume '
            f'{index.snapshots[target].volume_id} in Cinder.', target)
    if pair.state in _BROKEN:
        yield Finding(
            FindingKind.PAIR_BROKEN, Standing.DIFFERENCE, subject,
            f'Whether snapshot {target} is whole is not sure. If its copy '
            'had ended before, it is.', target)


def _of_copy(index: Index, pair: PairStatus, subject: str,
             target: str) -> Iterator[Finding]:
    """Judge a pair by which a volume gets its content."""
    if pair.state not in _BROKEN:
        yield _settles(subject, target)
    elif not index.is_moving(target):
        yield Finding(
            FindingKind.PAIR_BROKEN, Standing.DIFFERENCE, subject,
            f'Volume {target} is not a whole copy. Delete it; or, if '
            f'nobody has written to it, let it have what {pair.mv} holds '
            'now, the last command when it is separated.', target,
            tuple(index.on_array(command)
                  for command in copy_again(pair.mv, pair.rv)))


def _settles(subject: str, target: str | None) -> Finding:
    return Finding(
        FindingKind.COPY_SETTLES, Standing.IN_FLIGHT, subject,
        'The volume can be used while it is copied. The service takes the '
        'pair apart at the end.', target)


def _unpair(index: Index, pair: PairStatus) -> Step:
    return index.on_array(
        commands.rc_unpair(pair.mv, pair.rv, force=True))


def generations(index: Index) -> Iterator[Finding]:
    """Yield what is wrong with the generations of Cinder's snapshots."""
    for generation in index.array.generations or ():
        found = naming.find_uuid(generation.sv)
        snapshot = index.snapshots.get(found or '')
        ld = index.find(generation.sv)
        if (found is None or snapshot is None or index.is_moving(found)
                or ld is None or not index.scope.has(ld)):
            continue
        volume = index.volumes.get(naming.find_uuid(generation.bv) or '')
        if volume is None or volume.cinder_id != snapshot.volume_id:
            yield Finding(
                FindingKind.WRONG_ORIGIN, Standing.DIFFERENCE,
                f'generation {generation.sv} of {generation.bv}',
                f'Snapshot {found} is of volume {snapshot.volume_id} in '
                'Cinder.', found)
        if generation.state in _LOST and snapshot.phase.needs_ld:
            yield Finding(
                FindingKind.SNAPSHOT_DATA_LOST, Standing.DIFFERENCE,
                f'generation {generation.sv} of {generation.bv} '
                f'({generation.state.value})',
                f'The data of snapshot {found} is lost; the snapshot '
                'reserve area may have run full. It can only be deleted.',
                found)
