# SPDX-License-Identifier: Apache-2.0
"""Comparing what the array has with what Cinder believes it has.

Pure: :func:`audit` takes both sides as values and changes nothing.  What
Cinder is just working on is not called wrong.  LDs of foreign names, and
LDs in pools that are not the back end's, are passed by.
"""

from __future__ import annotations

from collections.abc import Iterator

from cinder_nec import errors, naming
from cinder_nec.backend.audit_index import ArrayState, AuditScope, Index
from cinder_nec.backend.audit_mappings import mappings
from cinder_nec.backend.audit_pairs import generations, not_read, pairs
from cinder_nec.backend.cinder_state import (
    CinderSnapshot,
    CinderState,
    CinderVolume,
    Phase,
)
from cinder_nec.backend.findings import (
    Finding,
    FindingKind,
    Place,
    Standing,
    Step,
)
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.volumes import migrating, parked
from cinder_nec.ismcli import commands
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.ismcli.commands import PairRole
from cinder_nec.model import (
    LdName,
    LogicalDisk,
    PairStatus,
    Purpose,
    RplAttribute,
    SnapStatus,
)

__all__ = ['ArrayState', 'AuditScope', 'audit', 'read_array']

_IV = frozenset({RplAttribute.IV})


def read_array(client: IsmClient, inventory: Inventory) -> ArrayState:
    """Read the array, and the pairs and generations of Cinder's LDs.

    One dump, and one query for each LD with a Cinder name that has pairs
    or generations; one more dump if a query is refused.

    :raises errors.NecError: the array cannot be read
    """
    config = inventory.refresh()
    disks = [ld for ld in config.logical_disks.values()
             if naming.find_uuid(ld.name.label) is not None]
    reading = _Reading(client)
    for ld in disks:
        if ld.has(RplAttribute.MV):
            reading.pairs_of(ld, PairRole.MV)
        if ld.has(RplAttribute.BV):
            reading.generations_of(ld)
    for ld in disks:
        # Its MV is nobody of Cinder's.
        if ld.has(RplAttribute.RV) and not reading.has_pair_of(ld):
            reading.pairs_of(ld, PairRole.RV)
    return ArrayState(config, tuple(reading.pairs),
                      tuple(reading.generations),
                      reading.missing(inventory))


class _Reading:
    """What the array shows of pairs and generations, and what it does not.
    """

    def __init__(self, client: IsmClient) -> None:
        self._client = client
        self.pairs: list[PairStatus] = []
        self.generations: list[SnapStatus] = []
        self._refused: list[tuple[LdName, RplAttribute, str]] = []

    def has_pair_of(self, rv: LogicalDisk) -> bool:
        return any(pair.rv == rv.name.label for pair in self.pairs)

    def pairs_of(self, ld: LogicalDisk, role: PairRole) -> None:
        try:
            self.pairs += self._client.rc_query(ld.name.label, role)
        except errors.CommandFailed as error:
            self._refused.append((ld.name, RplAttribute[role.name],
                                  str(error)))

    def generations_of(self, ld: LogicalDisk) -> None:
        try:
            self.generations += self._client.sc_query_of_bv(ld.name.label)
        except errors.CommandFailed as error:
            self._refused.append((ld.name, RplAttribute.BV, str(error)))

    def missing(self, inventory: Inventory) -> tuple[
            tuple[LdName, str], ...]:
        """Return what was refused and should not have been.

        An LD that has lost its pairs since the dump has none to show.
        """
        if not self._refused:
            return ()
        now = inventory.refresh()
        return tuple((name, told) for name, attribute, told in self._refused
                     for ld in [now.find_ld(name)]
                     if ld is not None and ld.has(attribute))


def audit(array: ArrayState, cinder: CinderState,
          scope: AuditScope) -> list[Finding]:
    """Return what array and Cinder do not agree on, differences first.

    For a running cloud, read Cinder before and after the array, and give
    ``before.until(after)``.
    """
    index = Index(array, cinder, scope)
    found = [*_disks(index), *_volumes(index), *_snapshots(index),
             *not_read(index), *pairs(index), *generations(index),
             *mappings(index)]
    return sorted(found, key=lambda f: (
        list(Standing).index(f.standing), list(FindingKind).index(f.kind),
        f.subject))


# -- LDs ----------------------------------------------------------------

def _disks(index: Index) -> Iterator[Finding]:
    for ld in index.disks:
        if ld.is_nameless:
            yield from _nameless(index, ld)
        elif naming.is_unbind_label(ld.name.label):
            yield _to_be_unbound(index, ld)
        elif index.scope.is_control_volume(ld.name):
            yield from _control_volume(index, ld)
        else:
            yield from _named(index, ld)


def _nameless(index: Index, ld: LogicalDisk) -> Iterator[Finding]:
    if (ld.purpose is not Purpose.ORDINARY
            or not (index.is_idle(ld) or ld.attributes == _IV)):
        return  # the array's own
    name = LdName(index.scope.platform, naming.unbind_label(ld.ldn))
    yield Finding(
        FindingKind.NAMELESS_LD,
        Standing.IN_FLIGHT if index.anything_moves else Standing.UNSURE,
        f'LD {ld.ldn:04x}h in pool {ld.pool}',
        'It has no OS type. A service that was stopped between two '
        'commands leaves such an LD; it may as well be one that an '
        'administrator has not named.',
        steps=(index.on_array(commands.nickname_of_ldn(ld.ldn, name)),
               index.on_array(commands.ldunbind(name))))


def _to_be_unbound(index: Index, ld: LogicalDisk) -> Finding:
    return Finding(
        FindingKind.UNBIND_LEFT, index.standing_if(index.anything_moves),
        str(ld.name),
        'The driver gave it this name only to unbind it; it was never '
        'used.', steps=index.unbinding(ld), is_safe=index.is_idle(ld))


def _control_volume(index: Index, ld: LogicalDisk) -> Iterator[Finding]:
    for ld_set in index.sets_of(ld):
        disks = map(index.array.config.logical_disks.get, ld_set.mappings)
        if any(d is not None and (
                d.has(RplAttribute.LV)
                or d.name.label.endswith(naming.SUFFIX_LINK))
               for d in disks):
            return
    yield Finding(
        FindingKind.CONTROL_VOLUME_LEFT,
        index.standing_if(index.anything_moves), str(ld.name),
        'No link volume needs it. It holds no data.',
        steps=index.unbinding(ld), is_safe=True)


def _named(index: Index, ld: LogicalDisk) -> Iterator[Finding]:
    found = naming.find_uuid(ld.name.label)
    if found is None:
        return
    suffix = naming.split_suffix(ld.name.label)[1]
    if suffix == '':
        if not index.is_known(found):
            yield _nobodys(index, ld, found)
    elif suffix in (naming.SUFFIX_MIGRATING, naming.SUFFIX_PARKED):
        yield _migration_left(index, ld, found, suffix)
    elif suffix == naming.SUFFIX_LINK:
        yield from _link(index, ld, found)
    elif suffix == naming.SUFFIX_DIFFERENCES:
        yield from _kept_replica(index, ld, found)


def _nobodys(index: Index, ld: LogicalDisk, found: str) -> Finding:
    """Never safe: an unmanaged volume, or another cloud's, is like this."""
    of = 'It may have been unmanaged, or belong to another cloud.'
    if not ld.has(RplAttribute.SV):
        return Finding(
            FindingKind.LD_WITHOUT_OBJECT, index.standing_of(found),
            str(ld.name), f'Cinder has no volume or snapshot {found}. {of}',
            found, index.unbinding(ld))
    bv = index.bv_of(ld.name.label)
    steps = () if bv is None else (
        index.on_array(commands.sc_delete(bv.label, ld.name.label)),
        index.on_array(commands.generationdel(bv)))
    return Finding(
        FindingKind.GENERATION_WITHOUT_SNAPSHOT, index.standing_of(found),
        str(ld.name), f'Cinder has no snapshot {found}. {of}', found, steps)


def _migration_left(index: Index, ld: LogicalDisk, found: str,
                    suffix: str) -> Finding:
    """Judge ``_m`` and ``_o`` by the states in backend.migration."""
    name = LdName(ld.name.platform, naming.ld_name(found))
    config = index.array.config
    volume = config.find_ld(name)
    standing = index.standing_of(found)
    if volume is not None:
        whole = (suffix == naming.SUFFIX_MIGRATING
                 or (config.find_ld(migrating(name)) is None
                     and ld.capacity_bytes <= volume.capacity_bytes))
        return Finding(
            FindingKind.MIGRATION_LEFT, standing, str(ld.name),
            f'`{name}` is the volume; this is left of a migration of it. '
            'Its next migration or its delete removes it.', found,
            index.unbinding(ld),
            is_safe=whole and index.is_idle(ld) and index.is_known(found))
    is_volume = suffix == naming.SUFFIX_PARKED or (
        config.find_ld(parked(name)) is None)
    if not is_volume:
        return Finding(
            FindingKind.MIGRATION_LEFT, standing, str(ld.name),
            f'A copy of `{parked(name)}`, which is the volume.', found,
            index.unbinding(ld))
    return Finding(
        FindingKind.MIGRATION_LEFT, standing, str(ld.name),
        'It is the volume, and has lost its name in a migration that did '
        'not end. It gets it back when the volume is used.', found,
        (index.on_array(commands.nickname(ld.name, name)),),
        is_safe=ld.attributes == _IV and index.is_known(found))


def _link(index: Index, ld: LogicalDisk, found: str) -> Iterator[Finding]:
    if index.is_moving(found):
        return
    steps: tuple[Step, ...] = index.unmapping(ld)
    steps += (index.on_array(commands.sc_unlink(ld.name.label)),
              index.on_array(commands.lvunbind(ld.name)))
    yield Finding(
        FindingKind.LINK_VOLUME_LEFT, Standing.DIFFERENCE, str(ld.name),
        f'No backup of snapshot {found} is under way. A link volume holds '
        'no data of its own; the snapshot cannot be deleted while it is '
        'there.', found, steps,
        is_safe=not index.sets_of(ld))


def _kept_replica(index: Index, ld: LogicalDisk,
                  found: str) -> Iterator[Finding]:
    if ld.attributes == _IV:
        yield Finding(
            FindingKind.KEPT_REPLICA_LEFT, index.standing_if(
                index.anything_moves), str(ld.name),
            'Its snapshot is deleted and it has lost its pair, so its '
            'differences are of no use. The next delete of a volume '
            'removes it.', found, index.unbinding(ld),
            is_safe=not index.is_known(found) and index.is_idle(ld))


# -- objects of Cinder --------------------------------------------------

def _volumes(index: Index) -> Iterator[Finding]:
    for volume in index.cinder.volumes:
        if not volume.is_here or not volume.phase.needs_ld:
            continue
        ld = index.volume_ld(volume)
        if ld is not None:
            yield from _volume_size(index, volume, ld)
        elif not index.has_lost_its_name(volume.name_id):
            yield Finding(
                FindingKind.VOLUME_WITHOUT_LD,
                index.standing_of(volume.name_id),
                f'volume {volume.cinder_id}',
                f'The array has no LD `{naming.ld_name(volume.name_id)}`. '
                'It may have been deleted by other than OpenStack: its '
                'data is lost.', volume.cinder_id,
                (Step(Place.CINDER, 'openstack volume set --state error '
                      f'{volume.cinder_id}'),))


def _volume_size(index: Index, volume: CinderVolume,
                 ld: LogicalDisk) -> Iterator[Finding]:
    if (ld.capacity_gib == volume.size_gib
            or volume.phase is Phase.CHANGING):
        return
    what = (f'The LD `{ld.name}` has {ld.capacity_gib} GiB, the volume '
            f'{volume.size_gib} GiB in Cinder.')
    subject = f'volume {volume.cinder_id}'
    if ld.capacity_gib > volume.size_gib:
        yield Finding(
            FindingKind.SIZE_DIFFERS, index.standing_of(volume.name_id),
            subject, f'{what} Extending the volume to the LD\'s size '
            'changes nothing on the array.', volume.cinder_id,
            (Step(Place.CINDER, f'openstack volume set --size '
                  f'{ld.capacity_gib} {volume.cinder_id}'),), is_safe=True)
        return
    yield Finding(
        FindingKind.SIZE_DIFFERS, index.standing_of(volume.name_id),
        subject, f'{what} A host may write beyond its end.',
        volume.cinder_id,
        (index.on_array(commands.ldexpand(ld.ldn, volume.size_gib)),),
        is_safe=ld.attributes == _IV)


def _snapshots(index: Index) -> Iterator[Finding]:
    for snapshot in index.cinder.snapshots:
        if not snapshot.is_here or not snapshot.phase.needs_ld:
            continue
        ld = index.find(naming.ld_name(snapshot.cinder_id))
        if ld is None:
            yield _lost_snapshot(index, snapshot)
        elif (ld.capacity_gib < snapshot.size_gib
                and not index.is_moving(snapshot.cinder_id)):
            # A larger one was expanded together with its volume.
            yield Finding(
                FindingKind.SIZE_DIFFERS, Standing.DIFFERENCE,
                f'snapshot {snapshot.cinder_id}',
                f'The LD `{ld.name}` has {ld.capacity_gib} GiB, the '
                f'snapshot {snapshot.size_gib} GiB in Cinder.',
                snapshot.cinder_id)


def _lost_snapshot(index: Index, snapshot: CinderSnapshot) -> Finding:
    return Finding(
        FindingKind.SNAPSHOT_WITHOUT_LD,
        index.standing_of(snapshot.cinder_id),
        f'snapshot {snapshot.cinder_id}',
        f'The array has no LD `{naming.ld_name(snapshot.cinder_id)}`. It '
        'may have been deleted by other than OpenStack. Deleting the '
        'snapshot in Cinder works.', snapshot.cinder_id,
        (Step(Place.CINDER, 'openstack volume snapshot delete '
              f'{snapshot.cinder_id}'),), is_safe=True)
