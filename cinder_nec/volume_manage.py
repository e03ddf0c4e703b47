# SPDX-License-Identifier: Apache-2.0
"""Manage and unmanage, the part of the driver that Cinder calls.

See :mod:`cinder_nec.backend.manage` for what may be taken over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import contextlib
from typing import Any

from cinder import context as cinder_context
from cinder import exception, objects
from cinder.volume import volume_utils
from oslo_log import log as logging

from cinder_nec import errors, naming
from cinder_nec.backend import qos
from cinder_nec.backend.manage import (
    SOURCE_ID,
    SOURCE_NAME,
    Candidate,
    Reference,
)
from cinder_nec.model import LdName
from cinder_nec.translate import reporting, to_cinder
from cinder_nec.volume_attachments import find_migrated

LOG = logging.getLogger(__name__)

_ALREADY_MANAGED = 'already managed'


class ManageMixin:
    """Methods of the driver that take over what is on the array."""

    backend: Any
    _ld_name: Any
    _snapshot_name: Any

    # -- volumes -------------------------------------------------------

    def manage_existing_get_size(self, volume, existing_ref):
        """Return the size in GiB, rounded up; every check is made."""
        with _reading(), _managing('Volume', volume.id, existing_ref):
            reference = Reference.parse(existing_ref)
            ld = self.backend.manage.get_volume(reference)
            _check_unmanaged(ld.name)
            return ld.capacity_gib

    def manage_existing(self, volume, existing_ref):
        """Give the LD the name of the volume."""
        name = self._ld_name(volume)
        with reporting('Managed Volume', 'Manage Volume',
                       f'Volume ID = {volume.id}'):
            limits = qos.limits_of(volume.volume_type_id)
            with _managing('Volume', volume.id, existing_ref):
                reference = Reference.parse(existing_ref)
                _check_unmanaged(
                    self.backend.manage.get_volume(reference).name)
                self.backend.manage.manage_volume(
                    reference, name,
                    lambda: self.backend.io_control.set(name, limits))

    def unmanage(self, volume):
        """Nothing: the LD keeps its name, and can be found by it."""
        LOG.info('Unmanaged Volume (Volume ID = %s, Logical Disk = %s)',
                 volume.id, self._ld_name(volume))

    def get_manageable_volumes(self, cinder_volumes, marker, limit, offset,
                               sort_keys, sort_dirs):
        """List the LDs of the pools; one dump, whatever their number."""
        with reporting('Listed Manageable Volumes',
                       'List Manageable Volumes',
                       f'Backend = {self.backend.config.backend_name}'):
            found = self.backend.manage.volumes(
                {self._ld_name(v): v.id for v in cinder_volumes})
        page = volume_utils.paginate_entries_list(
            [_entry(candidate) for candidate in found],
            marker, limit, offset, sort_keys, sort_dirs)
        _mark_others_of_cinder(page)
        return page

    # -- snapshots -----------------------------------------------------

    def manage_existing_snapshot_get_size(self, snapshot, existing_ref):
        """Return the size in GiB, rounded up; every check is made."""
        with _reading(), _managing('Snapshot', snapshot.id, existing_ref):
            reference = Reference.parse(existing_ref)
            ld = self.backend.manage.get_snapshot(
                reference, self._ld_name(snapshot.volume))
            _check_unmanaged(ld.name)
            return ld.capacity_gib

    def manage_existing_snapshot(self, snapshot, existing_ref):
        """Give the LD the name of the snapshot."""
        with reporting('Managed Snapshot', 'Manage Snapshot',
                       f'Snapshot ID = {snapshot.id}, Snapshot Volume ID '
                       f'= {snapshot.volume_id}'), _managing(
                           'Snapshot', snapshot.id, existing_ref):
            reference = Reference.parse(existing_ref)
            source = self._ld_name(snapshot.volume)
            _check_unmanaged(self.backend.manage.get_snapshot(
                reference, source).name)
            self.backend.manage.manage_snapshot(
                reference, source, self._snapshot_name(snapshot))

    def unmanage_snapshot(self, snapshot):
        """Nothing: the LD keeps its name, and can be found by it."""
        LOG.info('Unmanaged Snapshot (Snapshot ID = %s, Logical Disk = %s)',
                 snapshot.id, self._snapshot_name(snapshot))

    def get_manageable_snapshots(self, cinder_snapshots, marker, limit,
                                 offset, sort_keys, sort_dirs):
        """List the snapshots in nec_backup_pools.

        One dump, and reads for those only that are on the page and not
        Cinder's already.
        """
        known = {self._snapshot_name(s): s for s in cinder_snapshots}
        with reporting('Listed Manageable Snapshots',
                       'List Manageable Snapshots',
                       f'Backend = {self.backend.config.backend_name}'):
            found = self.backend.manage.snapshots(
                {name: s.id for name, s in known.items()})
            page = volume_utils.paginate_entries_list(
                [_entry(candidate) for candidate in found],
                marker, limit, offset, sort_keys, sort_dirs)
            _mark_others_of_cinder(page)
            self._add_sources(page, known)
        return page

    def _add_sources(self, page: Iterable[dict[str, Any]],
                     known: dict[LdName, Any]) -> None:
        entries = {_name_in(entry): entry for entry in page}
        origins = self.backend.manage.origins(
            [name for name in entries if name not in known])
        platform = self.backend.config.platform
        for name, entry in entries.items():
            # Cinder's API wants one of each, also where it is not known.
            entry['source_reference'] = {}
            if name in known:
                source = self._ld_name(known[name].volume)
            elif name in origins:
                source = LdName(platform, origins[name].label)
                _add_reason(entry, origins[name].in_the_way)
                if not source.label:
                    continue
            else:
                _add_reason(entry, 'it is not a snapshot any more')
                continue
            entry['source_reference'] = _reference_to(source)


def _entry(candidate: Candidate) -> dict[str, Any]:
    return {
        'reference': {SOURCE_NAME: _text(candidate.name)},
        'size': candidate.size_gib,
        'safe_to_manage': not candidate.in_the_way,
        'reason_not_safe': candidate.in_the_way or None,
        'cinder_id': candidate.cinder_id,
        'extra_info': None,
    }


def _text(name: LdName) -> str:
    return str(name) if name.platform.strip() else name.label


def _name_in(entry: dict[str, Any]) -> LdName:
    platform, _, label = entry['reference'][SOURCE_NAME].rpartition(':')
    return LdName(platform, label)


def _reference_to(source: LdName) -> dict[str, str]:
    """Return what names a source LD, its id too if Cinder named it."""
    reference = {SOURCE_NAME: str(source)}
    cinder_id = naming.find_uuid(source.label)
    if cinder_id is not None:
        reference[SOURCE_ID] = cinder_id
    return reference


def _add_reason(entry: dict[str, Any], reason: str) -> None:
    if reason and entry['safe_to_manage']:
        entry['safe_to_manage'] = False
        entry['reason_not_safe'] = reason


def _mark_others_of_cinder(page: Iterable[dict[str, Any]]) -> None:
    """Mark what other back ends on the same array have, page by page."""
    for entry in page:
        if entry['safe_to_manage']:
            cinder_id = _id_in_cinder(_name_in(entry))
            if cinder_id is not None:
                entry['cinder_id'] = cinder_id
                _add_reason(entry, _ALREADY_MANAGED)


def _check_unmanaged(name: LdName) -> None:
    cinder_id = _id_in_cinder(name)
    if cinder_id is not None:
        raise exception.ManageExistingAlreadyManaged(volume_ref=cinder_id)


def _id_in_cinder(name: LdName) -> str | None:
    """Return whose LD it is by its name, of any back end of this Cinder."""
    cinder_id = naming.find_uuid(name.label)
    if cinder_id is None:
        return None
    admin = cinder_context.get_admin_context()
    if (objects.Volume.exists(admin, cinder_id)
            or objects.Snapshot.exists(admin, cinder_id)):
        return cinder_id
    migrated = find_migrated(cinder_id)
    return None if migrated is None else migrated.id


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Turn what is no refusal into the error that Cinder has for it."""
    try:
        yield
    except errors.NecError as error:
        LOG.warning('%s', error)
        raise to_cinder(error) from error


@contextlib.contextmanager
def _managing(what: str, cinder_id: str,
              existing_ref: object) -> Iterator[None]:
    """Turn a refusal into the error that Cinder has for it."""
    try:
        yield
    except errors.WrongPool as error:
        raise exception.ManageExistingVolumeTypeMismatch(
            reason=f'Volume type is unmatched. {error}') from error
    except (errors.InvalidInput, errors.StateError) as error:
        LOG.warning('%s %s cannot be managed: %s', what, cinder_id, error)
        raise exception.ManageExistingInvalidReference(
            existing_ref=repr(existing_ref)[:200],
            reason=str(error)) from error
