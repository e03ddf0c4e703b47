# SPDX-License-Identifier: Apache-2.0
"""The driver classes that ``volume_driver`` in ``cinder.conf`` names.

What Cinder calls is translated here into values of this package and handed
to the workflows in :mod:`cinder_nec.backend`.  Cinder's own interface is
not typed; everything below this module is.
"""

from __future__ import annotations

import contextlib
import functools
from typing import Any

from cinder import coordination, exception, interface
from cinder.volume import driver
from cinder.volume.drivers.san import san
from cinder.zonemanager import utils as fczm_utils
from oslo_log import log as logging

from cinder_nec import __version__, assembly, config, errors, naming, opts
from cinder_nec.backend import qos
from cinder_nec.backend.access.connector import (
    Connector,
    describe,
    describe_names,
)
from cinder_nec.model import LdName, Protocol
from cinder_nec.translate import reporting, step, to_cinder
from cinder_nec.volume_attachments import attachments_of
from cinder_nec.volume_audit import AuditMixin
from cinder_nec.volume_cluster import lock_of
from cinder_nec.volume_manage import ManageMixin
from cinder_nec.volume_move import MoveMixin
from cinder_nec.volume_recovery import RecoveryMixin
from cinder_nec.volume_snapshots import SnapshotUseMixin
from cinder_nec.volume_stats import StatsMixin

LOG = logging.getLogger(__name__)

_COMMON_OPTIONS = ('ssh_conn_timeout', 'ssh_max_pool_conn',
                   'volume_backend_name', 'reserved_percentage',
                   'max_over_subscription_ratio',
                   'use_multipath_for_image_xfer')
# Metadata of a snapshot of the data replication method (manual 10.2.2).
_FORCE_DELETE = 'force-delete'


class MStorageDriver(AuditMixin, ManageMixin, MoveMixin, RecoveryMixin,
                     SnapshotUseMixin, StatsMixin, driver.VolumeDriver):
    """What the four drivers share.

    The classes differ in how hosts reach a volume (``PROTOCOL``) and in
    how snapshots are made (``METHOD``).
    """

    VERSION = __version__
    CI_WIKI_NAME = 'NEC_Cinder_CI'
    # Several services may have the same back end (cluster = ...).
    SUPPORTS_ACTIVE_ACTIVE = True
    PROTOCOL: Protocol
    METHOD: assembly.Method

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.configuration.append_config_values(opts.nec_opts)
        self.configuration.append_config_values(san.san_opts)
        self._driver_name = type(self).__name__
        self._backend: assembly.Backend | None = None

    @staticmethod
    def get_driver_options():
        """Return all options that the driver reads."""
        common = driver.VolumeDriver._get_oslo_driver_opts(*_COMMON_OPTIONS)
        return opts.nec_opts + common

    # -- start ---------------------------------------------------------

    def do_setup(self, context):
        """Read the options and put the back end together."""
        try:
            self._backend = assembly.build(
                config.load(self.configuration, self._driver_name,
                            self.host or ''),
                self.PROTOCOL, self.METHOD, self._fabric_lookup(),
                self._cluster_lock())
        except errors.NecError as error:
            LOG.error('%s', error)
            raise to_cinder(error) from error

    def _cluster_lock(self):
        """Return what locks for all services of the cluster, if any."""
        if not self.cluster_name:
            return None
        return lock_of(self.configuration.nec_ismcli_fip or '')

    def _fabric_lookup(self):
        """Return what Cinder knows of fabrics, if it manages zones."""

    def check_for_setup_error(self):
        """Log in, read the array, find the pools (manual appendix F)."""
        try:
            self.backend.check()
        except errors.NecError as error:
            LOG.error('%s: %s', self._driver_name, error)
            raise to_cinder(error) from error

    @property
    def backend(self) -> assembly.Backend:
        if self._backend is None:
            raise exception.DriverNotInitialized()
        return self._backend

    # -- names ---------------------------------------------------------

    def _ld_name(self, volume) -> LdName:
        return LdName(self.backend.config.platform,
                      naming.ld_name(volume.name_id))

    def _snapshot_name(self, snapshot) -> LdName:
        return LdName(self.backend.config.backup_platform,
                      naming.ld_name(snapshot.id))

    # -- volumes -------------------------------------------------------

    def create_volume(self, volume):
        """Bind and name an LD in one of nec_pools."""
        with reporting('Created Volume', 'Create Volume',
                       f'Volume ID = {volume.id}, Size = {volume.size}GB'
                       ), self._limited(volume):
            self.backend.volumes.create(
                self._ld_name(volume), volume.size,
                self._pools_for(volume))

    def delete_volume(self, volume):
        """Unbind the LD; one that is gone already is a success."""
        with reporting('Deleted Volume', 'Delete Volume',
                       f'Volume ID = {volume.id}'):
            name = self._ld_name(volume)
            self.backend.migration.clear(name)
            if not self.backend.copying.delete_volume(name):
                LOG.error('Logical Disk has unbound already (name=%s, '
                          'id=%s).', name, volume.id)

    def extend_volume(self, volume, new_size):
        """Expand the LD to ``new_size`` GiB."""
        with reporting('Extended Volume', 'Extend Volume',
                       f'Volume ID = {volume.id}, New Size = {new_size}GB, '
                       f'Old Size = {volume.size}GB'):
            if volume.migration_status == 'success':
                # ldexpand takes the LDN, which changes with a migration;
                # the service that moved the volume may be another one.
                self.backend.array.inventory.refresh()
            self.backend.copying.extend_volume(self._ld_name(volume),
                                               new_size)

    def create_cloned_volume(self, volume, src_vref):
        """Copy a volume to a new one, which may be larger."""
        with reporting('Created Cloned Volume', 'Create Cloned Volume',
                       f'Volume ID = {volume.id}, Source Volume ID = '
                       f'{src_vref.id}'), self._limited(volume):
            self.backend.copying.clone(
                self._ld_name(src_vref), src_vref.size,
                self._ld_name(volume), volume.size,
                self._pools_for(volume))

    def _limited(self, volume) -> contextlib.AbstractContextManager[None]:
        """Limit the I/O of the LD that a block makes (manual 7.3.5).

        The QoS specs are checked here, before the block.
        """
        return self.backend.io_control.on_new(
            self._ld_name(volume), qos.limits_of(volume.volume_type_id),
            self.backend.copying.delete_volume)

    # -- snapshots -----------------------------------------------------

    def create_snapshot(self, snapshot):
        """Freeze the content of the snapshot's volume."""
        with reporting('Created Snapshot', 'Create Snapshot',
                       self._of_snapshot(snapshot)):
            self.backend.copying.create_snapshot(
                self._ld_name(snapshot.volume),
                self._snapshot_name(snapshot))

    def delete_snapshot(self, snapshot):
        """Remove a snapshot; one that is gone already is a success."""
        with reporting('Deleted Snapshot', 'Delete Snapshot',
                       self._of_snapshot(snapshot),
                       busy=exception.SnapshotIsBusy):
            names = (self._ld_name(snapshot.volume),
                     self._snapshot_name(snapshot))
            self.backend.snapshot_access.end(*names)
            self.backend.copying.delete_snapshot(
                *names, force=_is_forced(snapshot))

    def create_volume_from_snapshot(self, volume, snapshot):
        """Copy a snapshot to a new volume, which may be larger."""
        with reporting('Created Volume from Snapshot',
                       'Create Volume from Snapshot',
                       f'Volume ID = {volume.id}, '
                       f'{self._of_snapshot(snapshot)}'
                       ), self._limited(volume):
            self.backend.copying.volume_from_snapshot(
                self._ld_name(snapshot.volume),
                self._snapshot_name(snapshot), snapshot.volume_size,
                self._ld_name(volume), volume.size,
                self._pools_for(volume))

    @staticmethod
    def _of_snapshot(snapshot) -> str:
        return (f'Snapshot ID = {snapshot.id}, Snapshot Volume ID = '
                f'{snapshot.volume_id}')

    # -- access --------------------------------------------------------

    def validate_connector(self, connector):
        """Refuse a connector that the protocol cannot use."""
        try:
            self.backend.access.check(Connector.parse(connector))
        except errors.NecError as error:
            raise to_cinder(error) from error

    def initialize_connection(self, volume, connector, **kwargs):
        """Put the LD in the host's LD Set; tell how to reach it."""
        protocol = self.PROTOCOL.value
        export = (f'Volume ID = {volume.id}, '
                  f'{describe_names(connector, self.PROTOCOL)}')
        with reporting(f'Initialized {protocol} Connection',
                       f'Initialize {protocol} Connection',
                       self._of_connection(volume, connector)):
            with step(f'Create {protocol} Export', export):
                info = self.backend.access.attach(
                    self._ld_name(volume), Connector.parse(connector),
                    self._connected,
                    records=functools.partial(attachments_of, volume))
            LOG.info('Created %s Export (%s)', protocol, export)
        info['data']['volume_id'] = volume.id
        return info

    def terminate_connection(self, volume, connector, **kwargs):
        """Take the LD out of the host's LD Set.

        Without a connector (forced detach) it is taken out of all.
        Returns what ended, in the form of initialize_connection's answer.
        """
        protocol = self.PROTOCOL.value
        with reporting(f'Terminated {protocol} Connection',
                       f'Terminate {protocol} Connection',
                       self._of_connection(volume, connector)):
            host = Connector.parse(connector) if connector else None
            with contextlib.ExitStack() as detaching:
                with step('Remove Export', f'Volume ID = {volume.id}'):
                    left = self._leave(volume, host, detaching)
                if left:
                    LOG.info('Removed Export (Volume ID = %s)', volume.id)
                return self._ended(left, host)

    def _leave(self, volume, host, detaching):
        """Unmap the LD; ``detaching`` ends when all of it is done."""
        name, access = self._ld_name(volume), self.backend.access
        if host is None:
            return access.detach_all(name)
        return detaching.enter_context(access.detaching(
            name, host, functools.partial(attachments_of, volume)))

    def _connected(self, info):
        """Nothing: what fails here makes the attach fail."""

    def _ended(self, ld_sets, host=None):
        return self.backend.access.ended(ld_sets, host)

    @staticmethod
    def _of_connection(volume, connector) -> str:
        return f'Volume ID = {volume.id}, Connector = {describe(connector)}'

    def ensure_export(self, context, volume):
        """Nothing: mappings outlive a restart of the service."""

    def create_export(self, context, volume, connector):
        """Nothing: initialize_connection does it."""

    def remove_export(self, context, volume):
        """Nothing: terminate_connection does it."""


def _is_forced(snapshot) -> bool:
    """Tell whether a snapshot's metadata has force-delete=True."""
    wanted = (snapshot.metadata or {}).get(_FORCE_DELETE, '')
    return str(wanted).strip().lower() == 'true'


class MStorageFibreChannel(MStorageDriver):
    """What the Fibre Channel drivers have in addition: zones.

    A host's zones stay while it has a LUN.  So that a zone is not removed
    for the last one while another one is attached, looking for LUNs and
    changing zones is one step to all services on a node: the attach maps
    first and makes zones then, the detach unmaps first.
    """

    PROTOCOL = Protocol.FC

    def _fabric_lookup(self):
        self._lookup = fczm_utils.create_lookup_service()
        return self._lookup

    def _connected(self, info):
        with self._zoning():
            fczm_utils.add_fc_zone(info)

    def _ended(self, ld_sets, host=None):
        with self._zoning():
            info = super()._ended(ld_sets, host)
            fczm_utils.remove_fc_zone(info)
        return info

    def _zoning(self):
        if self._lookup is None:
            return contextlib.nullcontext()
        return coordination.COORDINATOR.get_lock(
            f'nec-zones-{self.backend.config.address}')


@interface.volumedriver
class MStorageISCSIDriver(MStorageDriver):
    """NEC Storage M-series iSCSI driver, snapshot method.

    .. code-block:: none

      Version history:

        2.0.0 - A new driver.
    """

    PROTOCOL = Protocol.ISCSI
    METHOD = assembly.Method.SNAPSHOT


@interface.volumedriver
class MStorageFCDriver(MStorageFibreChannel):
    """NEC Storage M-series Fibre Channel driver, snapshot method.

    .. code-block:: none

      Version history:

        2.0.0 - A new driver.
    """

    METHOD = assembly.Method.SNAPSHOT


@interface.volumedriver
class MStorageDDRISCSIDriver(MStorageDriver):
    """NEC Storage M-series iSCSI driver, data replication method.

    .. code-block:: none

      Version history:

        2.0.0 - A new driver.
    """

    PROTOCOL = Protocol.ISCSI
    METHOD = assembly.Method.REPLICATION


@interface.volumedriver
class MStorageDDRFCDriver(MStorageFibreChannel):
    """NEC Storage M-series Fibre Channel driver, data replication method.

    .. code-block:: none

      Version history:

        2.0.0 - A new driver.
    """

    METHOD = assembly.Method.REPLICATION
