# SPDX-License-Identifier: Apache-2.0
"""Migration and retype, the part of the driver that Cinder calls."""

from __future__ import annotations

from typing import Any

from oslo_log import log as logging

from cinder_nec import errors, naming
from cinder_nec.backend import qos
from cinder_nec.backend.location import Location
from cinder_nec.model import LdName
from cinder_nec.translate import reporting, to_cinder

LOG = logging.getLogger(__name__)


class MoveMixin:
    """Methods of the driver that move a volume or change its type."""

    backend: Any
    _ld_name: Any

    def migrate_volume(self, context, volume, host):
        """Move a volume to another back end on the same array.

        :returns: ``(False, None)`` where Cinder has to copy itself
        """
        can_be, there = self._way_to(host, volume)
        if not can_be:
            return False, None
        with reporting('Migrated Volume', 'Migrate Volume',
                       f'Volume ID = {volume.id}, Destination Host = '
                       f'{host["host"]}'):
            if there is not None:
                self.backend.migration.move(
                    self._ld_name(volume), there.pools,
                    qos.limits_of(volume.volume_type_id))
        return True, None

    def retype(self, context, volume, new_type, diff, host):
        """Give a volume the QoS and, if it must be, a pool of a new type.

        Only QoS specs and pools concern the array; extra specs were the
        scheduler's matter.  What the array cannot do is left to Cinder.

        :returns: whether the volume has the new type now
        """
        can_be, there = self._way_to(host, volume)
        if not can_be or _differs(diff.get('encryption')):
            return False
        name = self._ld_name(volume)
        with reporting('Retyped Volume', 'Retype Volume',
                       f'Volume ID = {volume.id}, New Type = '
                       f'{new_type["id"]}, Host = {host["host"]}'):
            limits = qos.limits_of(new_type['id'])
            if there is not None:
                self.backend.migration.move(name, there.pools, limits)
            else:
                self.backend.io_control.set(name, limits.replacing(
                    qos.stated_by(volume.volume_type_id)))
        return True

    def _way_to(self, host, volume) -> tuple[bool, Location | None]:
        """Tell whether the array can bring a volume to a back end.

        And where to: None if the volume is in one of its pools already.
        """
        if host['host'] == volume.host:
            return True, None
        there = Location.find(
            (host.get('capabilities') or {}).get('location_info'))
        if there is None or not self.backend.location.is_same_array(there):
            LOG.info('%s is not on the array of %s.', host['host'],
                     volume.host)
            return False, None
        name = self._ld_name(volume)
        try:
            if self.backend.migration.is_in(name, there.pools):
                return True, None
            return (not volume.volume_attachment
                    and self.backend.migration.can_copy(name)), there
        except errors.NecError as error:
            LOG.warning('%s', error)
            raise to_cinder(error) from error

    def update_migrated_volume(self, ctxt, volume, new_volume,
                               original_volume_status):
        """Give the new LD the name of the volume it stands for now.

        On the array the volume came from that name is still taken by the
        old LD; then Cinder keeps the new volume's name in ``name_id``.
        """
        old_name = LdName(self.backend.config.platform,
                          naming.ld_name(volume.id))
        new_name = self._ld_name(new_volume)
        try:
            if self.backend.volumes.find(old_name) is None:
                self.backend.volumes.take_name(new_name, old_name)
                return {'_name_id': None}
        except errors.NecError as error:
            LOG.warning('`%s` keeps its name, volume %s has it as its '
                        'name_id: %s', new_name, volume.id, error)
        return {'_name_id': new_volume.name_id}


def _differs(diff) -> bool:
    """Tell a difference; Cinder lists what is equal as well."""
    return any(old != new for old, new in (diff or {}).values())
