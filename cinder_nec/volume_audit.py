# SPDX-License-Identifier: Apache-2.0
"""The audit inside of a service, against Cinder's database."""

from __future__ import annotations

from typing import Any

from cinder import context as cinder_context
from cinder import objects
from cinder.volume import volume_utils

from cinder_nec import cinder_view
from cinder_nec.backend.audit import AuditScope, audit, read_array
from cinder_nec.backend.cinder_state import CinderState
from cinder_nec.backend.findings import Finding


class AuditMixin:
    """What the driver knows of array and Cinder that do not agree."""

    backend: Any
    host: Any
    cluster_name: Any

    def audit(self) -> list[Finding]:
        """Compare this back end's part of the array with Cinder.

        All of Cinder's database counts, so that what other back ends have
        on the array is not taken for nobody's.

        :raises errors.NecError: the array cannot be read
        """
        config, array = self.backend.config, self.backend.array
        before = self._cinder_state()
        found = read_array(array.client, array.inventory)
        return audit(found, before.until(self._cinder_state()),
                     AuditScope.of(config.pools, config.backup_pools,
                                   config.platform,
                                   config.control_volume_format))

    def _cinder_state(self) -> CinderState:
        admin = cinder_context.get_admin_context()
        return cinder_view.from_objects(
            objects.VolumeList.get_all(admin),
            objects.SnapshotList.get_all(admin), self._is_here)

    def _is_here(self, host: str) -> bool:
        """Tell by a volume's host whether it is on this back end.

        The services of a cluster have the section's name in common.
        """
        backend = str(volume_utils.extract_host(host))
        if not self.cluster_name:
            return bool(backend == self.host)
        own = str(self.host)
        return backend.partition('@')[2] == own.partition('@')[2]
