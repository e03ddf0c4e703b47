# SPDX-License-Identifier: Apache-2.0
"""Taking over LDs that exist on the array, and letting go of them.

An LD becomes a volume or snapshot of Cinder by getting its name.  What
somebody else uses, or what the array or this driver needs for itself, is
left alone, and the caller learns why.  Letting go changes nothing: the LD
keeps its name, by which it can be taken over again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
import dataclasses
import re

from cinder_nec import errors, naming
from cinder_nec.backend.copying.origins import Origin, Origins
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.undo import Undo
from cinder_nec.backend.volumes import Volumes
from cinder_nec.model import (
    ArrayConfig,
    LdName,
    LogicalDisk,
    Purpose,
    RplAttribute,
)

SOURCE_NAME, SOURCE_ID = 'source-name', 'source-id'

_NAME = re.compile(r'(?:(?P<platform>[A-Z][A-Z0-9]):)?'
                   r'(?P<label>[A-Za-z0-9_/.][A-Za-z0-9_/.-]{0,23})')
_ID = re.compile('[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}')
# What the in-tree driver takes for a name as well.
_UUID = re.compile(f'(?:volume-|snapshot-)?(?P<id>{_ID.pattern})')
_UNKNOWN = {RplAttribute.NOT_USABLE, RplAttribute.UNRECOGNIZED}


@dataclasses.dataclass(frozen=True)
class Reference:
    """What a user calls an LD; without ``platform`` on any of them."""

    label: str
    platform: str | None = None

    @classmethod
    def parse(cls, raw: object) -> Reference:
        """Read Cinder's reference: ``source-name`` or ``source-id``.

        It is whatever a user has sent.

        :raises errors.InvalidInput: it names no LD
        """
        if not isinstance(raw, Mapping):
            raise errors.InvalidInput(
                'The reference is not a dictionary.',
                'Give source-name or source-id.')
        name, cinder_id = raw.get(SOURCE_NAME), raw.get(SOURCE_ID)
        if (name is None) == (cinder_id is None):
            raise errors.InvalidInput(
                'Reference must contain source-name element, or source-id '
                'instead of it.')
        if cinder_id is not None:
            if (not isinstance(cinder_id, str)
                    or not _ID.fullmatch(cinder_id)):
                raise errors.InvalidInput(
                    f'source-id is not a UUID: {str(cinder_id)[:64]!r}.')
            return cls(naming.ld_name(cinder_id))
        if not isinstance(name, str):
            raise errors.InvalidInput('source-name is not a word.')
        found = _UUID.fullmatch(name)
        if found:
            return cls(naming.ld_name(found['id']))
        found = _NAME.fullmatch(name)
        if not found:
            raise errors.InvalidInput(
                f'{name[:64]!r} cannot be the name of a logical disk.')
        return cls(found['label'], found['platform'])


@dataclasses.dataclass(frozen=True)
class Candidate:
    """An LD of the pools that may be taken over or is Cinder's already.

    :param cinder_id: whose LD it is, if Cinder manages it
    :param in_the_way: why it cannot be taken over, or ''
    """

    name: LdName
    size_gib: int
    cinder_id: str | None = None
    in_the_way: str = ''


class Management:
    """Lists, checks and renames.

    :param pools: ``nec_pools``, all if empty
    :param backup_pools: ``nec_backup_pools``
    """

    def __init__(self, inventory: Inventory, volumes: Volumes,
                 origins: Origins, pools: Collection[int],
                 backup_pools: Collection[int]) -> None:
        self._inventory = inventory
        self._volumes = volumes
        self._origins = origins
        self._pools = frozenset(pools)
        self._backup_pools = frozenset(backup_pools)

    # -- volumes -------------------------------------------------------

    def get_volume(self, reference: Reference) -> LogicalDisk:
        """Return an LD that may become a volume; reads the array.

        :raises errors.NotFound: the array has no such LD
        :raises errors.WrongPool: it is in none of ``nec_pools``
        :raises errors.StateError: it must not be taken over
        """
        config = self._inventory.refresh()
        ld = _get(config, reference)
        for problem in self._volume_problems(config, ld):
            raise problem
        self._origins.check_source(ld)
        return ld

    def manage_volume(self, reference: Reference, name: LdName,
                      finish: Callable[[], object] = lambda: None) -> None:
        """Give an LD the name of a volume.

        Precondition: no host sees it and no copy of it is running.
        Re-entry: an LD that has the name already is refused as not found.
        Undo: the LD gets its old name back.
        Crash leaves: one of the two names.

        :param finish: what else has to be done with it
        """
        old_name = self.get_volume(reference).name
        with Undo() as undo:
            self._volumes.rename(old_name, name)
            undo.push(f'{old_name} as {name}: iSMcfg nickname -ldname '
                      f'{name} -newname {old_name}',
                      lambda: self._volumes.rename(name, old_name))
            finish()

    def volumes(self, managed: Mapping[LdName, str]) -> list[Candidate]:
        """Return the LDs that are volumes or may become some, by one dump.

        :param managed: ids of the volumes that Cinder has here, by name
        """
        config = self._inventory.refresh()
        return [_candidate(config, ld, managed, self._origins.source)
                for ld in config.logical_disks.values()
                if self._may_be_volume(ld)]

    def _may_be_volume(self, ld: LogicalDisk) -> bool:
        return not any(_foreign_to_cinder(ld)) and (
            not self._pools or ld.pool in self._pools)

    def _volume_problems(self, config: ArrayConfig, ld: LogicalDisk
                         ) -> Iterator[errors.NecError]:
        for reason in _foreign_to_cinder(ld):
            yield errors.InUse(f'Logical Disk `{ld.name}`: {reason}.')
        if self._pools and ld.pool not in self._pools:
            yield _wrong_pool(ld, 'nec_pools', self._pools)
        yield from _in_use(config, ld, self._origins.source)

    # -- snapshots -----------------------------------------------------

    def get_snapshot(self, reference: Reference,
                     source: LdName) -> LogicalDisk:
        """Return an LD that may become a snapshot of ``source``.

        :raises errors.NotFound: the array has no such LD
        :raises errors.WrongPool: it is in none of ``nec_backup_pools``
        :raises errors.InvalidInput: it is of another volume
        :raises errors.StateError: it must not be taken over
        """
        config = self._inventory.refresh()
        ld = _get(config, reference)
        if not self._is_snapshot(ld):
            raise errors.InvalidInput(
                f'Logical Disk `{ld.name}` is not a snapshot.')
        if ld.pool not in self._backup_pools:
            raise _wrong_pool(ld, 'nec_backup_pools', self._backup_pools)
        for problem in _in_use(config, ld, self._origins.snapshot):
            raise problem
        self._origins.check(ld.name, source)
        return ld

    def manage_snapshot(self, reference: Reference, source: LdName,
                        name: LdName) -> None:
        """Give an LD the name of a snapshot of ``source``.

        Precondition: it is one, in ``nec_backup_pools``, and not in use.
        Re-entry: an LD that has the name already is refused as not found.
        Undo: nothing to undo; renaming is the one step.
        Crash leaves: one of the two names.
        """
        self._volumes.rename(self.get_snapshot(reference, source).name,
                             name)

    def snapshots(self, managed: Mapping[LdName, str]) -> list[Candidate]:
        """Return the snapshots in the backup pools, by one dump.

        Whose they are is told by :meth:`origins`.

        :param managed: ids of the snapshots that Cinder has, by name
        """
        config = self._inventory.refresh()
        return [_candidate(config, ld, managed, self._origins.snapshot)
                for ld in config.logical_disks.values()
                if self._is_snapshot(ld) and ld.pool in self._backup_pools]

    def _is_snapshot(self, ld: LogicalDisk) -> bool:
        return ld.has(self._origins.snapshot) and not _is_own_helper(ld)

    def origins(self, names: Collection[LdName]) -> dict[LdName, Origin]:
        """Return what snapshots are of; those that are gone are left out.

        One read for each, or for each volume that has snapshots if these
        are fewer.
        """
        return self._origins.find(names)


def _candidate(config: ArrayConfig, ld: LogicalDisk,
               managed: Mapping[LdName, str],
               expected: RplAttribute) -> Candidate:
    cinder_id = managed.get(ld.name)
    if cinder_id is not None:
        reason = 'already managed'
    else:
        reason = next(_uses(config, ld, expected), '')
    return Candidate(ld.name, ld.capacity_gib, cinder_id, reason)


def _in_use(config: ArrayConfig, ld: LogicalDisk,
            expected: RplAttribute) -> Iterator[errors.InUse]:
    for reason in _uses(config, ld, expected):
        yield errors.InUse('Specified resource is already in-use. Logical '
                           f'Disk `{ld.name}`: {reason}.')


def _uses(config: ArrayConfig, ld: LogicalDisk,
          expected: RplAttribute) -> Iterator[str]:
    """Yield what an LD serves for now.

    :param expected: the one role in copies that is in order
    """
    if ld.is_nameless:
        yield 'it has no OS type and name of its own'
    for role in (RplAttribute.MV, RplAttribute.RV):
        if ld.has(role) and role is not expected:
            yield f'it is paired ({role.value})'
    if ld.has(RplAttribute.BV) and RplAttribute.BV is not expected:
        yield 'it has snapshots of the snapshot method'
    sets = ', '.join(str(s.name) for s in config.mapped_to(ld.ldn))
    if sets:
        yield f'it is in LD Set {sets}'


def _get(config: ArrayConfig, reference: Reference) -> LogicalDisk:
    """:raises errors.NotFound: none, or more than one LD is meant"""
    found = [ld for ld in config.logical_disks.values()
             if ld.name.label == reference.label
             and reference.platform in (None, ld.name.platform)]
    if len(found) > 1:
        raise errors.NotFound(
            f'{len(found)} logical disks are called {reference.label!r}.',
            'Write the OS type before the name, such as LX:data01.')
    if not found:
        raise errors.NotFound(
            'Specified resource does not exist. There is no Logical Disk '
            f'{reference.label!r} on the disk array.')
    return found[0]


def _foreign_to_cinder(ld: LogicalDisk) -> Iterator[str]:
    """Yield why an LD can never be a volume."""
    if ld.attributes & _UNKNOWN:
        yield 'it is a system volume, or of an unknown kind'
    if ld.attributes & {RplAttribute.SV, RplAttribute.LV}:
        yield 'it is a snapshot'
    if (ld.purpose is not Purpose.ORDINARY
            and not ld.has(RplAttribute.BV)):
        yield f'it is reserved for other use ({ld.purpose.value})'
    if _is_own_helper(ld):
        yield 'its name is one that this driver uses for its own ends'


def _is_own_helper(ld: LogicalDisk) -> bool:
    """Tell a link volume, a half-made copy, a kept RV and the like."""
    _digits, suffix = naming.split_suffix(ld.name.label)
    return bool(suffix) and naming.find_uuid(ld.name.label) is not None


def _wrong_pool(ld: LogicalDisk, option: str,
                pools: Collection[int]) -> errors.WrongPool:
    numbers = ', '.join(str(number) for number in sorted(pools)) or 'none'
    return errors.WrongPool(
        f'Logical Disk `{ld.name}` is in pool {ld.pool}, which is not one '
        f'of {option} ({numbers}).')
