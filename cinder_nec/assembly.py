# SPDX-License-Identifier: Apache-2.0
"""Putting a back end together from its parts.

The top of the layers: the only module besides :mod:`cinder_nec.volume`
that knows which transport, copy method and access protocol there are.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from pathlib import Path
import threading

from cinder_nec import retry
from cinder_nec.backend.access.base import AccessProtocol
from cinder_nec.backend.access.connector import AccessOptions
from cinder_nec.backend.access.control_volume import ControlVolumes
from cinder_nec.backend.access.fc import FabricLookup, FcAccess
from cinder_nec.backend.access.iscsi import IscsiAccess
from cinder_nec.backend.beside import Starter, in_thread
from cinder_nec.backend.claims import Claims, Lock
from cinder_nec.backend.copying.base import CopyMethod
from cinder_nec.backend.copying.links import Links
from cinder_nec.backend.copying.origins import (
    GenerationOrigins,
    Origins,
    ReplicaOrigins,
)
from cinder_nec.backend.copying.pairs import PairCopy
from cinder_nec.backend.copying.replication import ReplicationMethod
from cinder_nec.backend.copying.settler import Settler, copies_in
from cinder_nec.backend.copying.snapshot import SnapshotMethod
from cinder_nec.backend.exposition import MetricsFile
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.io_control import IoControl
from cinder_nec.backend.journal import Journal
from cinder_nec.backend.load import Load
from cinder_nec.backend.location import Location
from cinder_nec.backend.manage import Management
from cinder_nec.backend.migration import Migration
from cinder_nec.backend.recovery import Recovery
from cinder_nec.backend.recovery_mappings import UsersOf
from cinder_nec.backend.selftest import check_backend
from cinder_nec.backend.snapshot_access import (
    LinkAccess,
    ReplicaAccess,
    SnapshotAccess,
)
from cinder_nec.backend.stats import Stats
from cinder_nec.backend.volumes import Volumes
from cinder_nec.config import BackendConfig
from cinder_nec.ismcli.client import LINK_RETRY, IsmClient
from cinder_nec.ismcli.gate import ChangeGate
from cinder_nec.ismcli.ssh import HostKeyPolicy, SshSettings, SshTransport
from cinder_nec.model import Protocol


class Method(enum.Enum):
    """How snapshots are made."""

    SNAPSHOT = 'snapshot'
    REPLICATION = 'data replication'


@dataclasses.dataclass(frozen=True)
class Array:
    """What the back ends of one process share that are on one array."""

    client: IsmClient
    inventory: Inventory
    claims: Claims
    gate: ChangeGate


_NOT_WRITTEN = MetricsFile(None, '')


@dataclasses.dataclass(frozen=True)
class Backend:
    """A back end, ready to work."""

    config: BackendConfig
    array: Array
    volumes: Volumes
    copying: CopyMethod
    access: AccessProtocol
    stats: Stats
    io_control: IoControl
    migration: Migration
    manage: Management
    snapshot_access: SnapshotAccess
    settler: Settler
    recovery: Recovery | None = None
    metrics: MetricsFile = _NOT_WRITTEN

    @property
    def location(self) -> Location:
        """Where its volumes are, for migrations to it."""
        return Location(self.config.address, self.config.port,
                        self.config.platform, self.config.pools)

    def check(self) -> None:
        """:raises errors.NecError: the back end cannot work"""
        check_backend(self.array.inventory, self.config.pools,
                      self.config.backup_pools)
        if self.recovery is not None:
            self.recovery.start()

    def tidy(self, users_of: UsersOf) -> None:
        """Remove what operations could not take back; never fails.

        :param users_of: reads who has a volume attached
        """
        if self.recovery is not None:
            self.recovery.go_on(users_of)


_arrays: dict[tuple[SshSettings, bool | None], Array] = {}
_arrays_lock = threading.Lock()


def build(config: BackendConfig, protocol: Protocol,
          method: Method, fabric: FabricLookup | None = None,
          cluster_lock: Lock | None = None) -> Backend:
    """Put a back end together; nothing is sent to the array yet.

    :param fabric: what looks fabrics up, where Cinder manages FC zones
    :param cluster_lock: a lock that holds for all services of a cluster;
        None outside of one
    :raises errors.ConfigError: the key file cannot be used
    """
    clock = retry.SystemClock()
    return put_together(config, _array(config, clock, cluster_lock),
                        protocol, method, clock, fabric,
                        in_cluster=cluster_lock is not None)


def put_together(config: BackendConfig, array: Array, protocol: Protocol,
                 method: Method, clock: retry.Clock,
                 fabric: FabricLookup | None = None,
                 start: Starter | None = None, *,
                 in_cluster: bool = False) -> Backend:
    """Return a back end on an array that is connected already.

    :param start: runs beside everything else what has to wait
    :param in_cluster: other services have the same volumes
    """
    journal = Journal(Path(config.journal_directory)
                      if config.journal_directory else None)
    volumes = Volumes(array.client, array.inventory, clock, journal)
    pairs = PairCopy(array.client, array.inventory, clock,
                     config.copy_within_seconds)
    settler = Settler(
        array.inventory, pairs, clock, start or in_thread('nec-settler'),
        of_peers=copies_in(
            array.inventory, config.backup_pools
            if method is Method.REPLICATION else ())
        if in_cluster else None)
    io_control = IoControl(array.client, array.inventory)
    access = _access(config, array, volumes, protocol, fabric)
    copying = _copy_method(config, array, volumes, pairs, settler, clock,
                           method)
    migration = Migration(array.client, array.inventory, volumes, pairs,
                          io_control, clock, config.copy_within_seconds,
                          settler)
    controls = ControlVolumes(array.client, array.inventory, volumes,
                              array.claims, config.control_volume_format)
    links = Links(array.client, array.inventory)
    is_snapshot = method is Method.SNAPSHOT
    return Backend(
        config=config, array=array, volumes=volumes,
        copying=copying, access=access,
        stats=Stats(array.inventory, config.pools,
                    actual_capacity=config.actual_capacity,
                    max_ld_count=config.max_ld_count,
                    fresh_seconds=config.stats_fresh_seconds,
                    load=Load(array.client, array.gate, settler,
                              array.inventory)),
        io_control=io_control,
        migration=migration,
        manage=Management(array.inventory, volumes,
                          _origins(config, array, pairs, method),
                          config.pools, config.backup_pools),
        snapshot_access=(
            LinkAccess(access, links, controls, array.inventory,
                       array.claims)
            if is_snapshot else ReplicaAccess(access)),
        settler=settler,
        recovery=Recovery(
            array.inventory, volumes, copying, settler, migration, access,
            clock, links=links if is_snapshot else None, controls=controls,
            pools=(*config.pools, *config.backup_pools)
            if config.pools else ()),
        metrics=MetricsFile(config.metrics_file, config.service))


def _origins(config: BackendConfig, array: Array, pairs: PairCopy,
             method: Method) -> Origins:
    if method is Method.SNAPSHOT:
        return GenerationOrigins(array.client, array.inventory)
    return ReplicaOrigins(pairs, array.inventory, config.backup_pools)


def _copy_method(config: BackendConfig, array: Array, volumes: Volumes,
                 pairs: PairCopy, settler: Settler, clock: retry.Clock,
                 method: Method) -> CopyMethod:
    if method is Method.SNAPSHOT:
        return SnapshotMethod(
            array.client, array.inventory, volumes, pairs,
            config.backup_pools, claims=array.claims, settler=settler,
            clock=clock, waits=config.clone_waits)
    return ReplicationMethod(
        array.client, array.inventory, volumes, pairs, config.backup_pools,
        claims=array.claims, settler=settler, waits=config.clone_waits)


def _access(config: BackendConfig, array: Array, volumes: Volumes,
            protocol: Protocol,
            fabric: FabricLookup | None) -> AccessProtocol:
    options = AccessOptions(
        ld_set=config.ld_set, controller_ld_set=config.controller_ld_set,
        controller_hosts=config.controller_hosts,
        automatic=config.automatic_access_control,
        portals_per_controller=config.portals_per_controller)
    if protocol is Protocol.ISCSI:
        return IscsiAccess(array.client, array.inventory, volumes,
                           array.claims, options)
    return FcAccess(array.client, array.inventory, volumes, array.claims,
                    options, fabric)


def _array(config: BackendConfig, clock: retry.Clock,
           cluster_lock: Lock | None) -> Array:
    """Return the array of a back end, the same for all that share it."""
    key = array_key(config)
    with _arrays_lock:
        if key not in _arrays:
            found = connect(config, clock, ChangeGate(clock=clock))
            _arrays[key] = dataclasses.replace(
                found, claims=Claims(cluster_lock))
        return _arrays[key]


def array_key(config: BackendConfig) -> tuple[SshSettings, bool | None]:
    """Return what two back ends have in common that are on one array."""
    return _ssh_settings(config), config.legacy_view


def connect(config: BackendConfig, clock: retry.Clock, gate: ChangeGate,
            link_retry: retry.RetryPolicy = LINK_RETRY, *,
            first_use: HostKeyPolicy = HostKeyPolicy.TRUST_ON_FIRST_USE,
            patience_seconds: float = math.inf) -> Array:
    """Return the array of a back end; nothing is sent to it yet.

    :param gate: what changes have to pass
    :param link_retry: how long to go on when the array cannot be reached
    :param first_use: what to do with a key that is not known, where the
        operator has asked for trust on first use
    :param patience_seconds: how long an answer may take
    """
    settings = _ssh_settings(config)
    if config.trust_on_first_use:
        settings = dataclasses.replace(settings, host_key_policy=first_use)
    client = IsmClient(
        SshTransport(settings, clock=clock), gate, clock=clock,
        legacy_view=config.legacy_view, link_retry=link_retry,
        patience_seconds=patience_seconds)
    return Array(client, Inventory(client.query_all, clock), Claims(), gate)


def access_to(array: Array, config: BackendConfig,
              protocol: Protocol) -> AccessProtocol:
    """Return what maps LDs of an array to hosts."""
    volumes = Volumes(array.client, array.inventory, retry.SystemClock())
    return _access(config, array, volumes, protocol, None)


def _ssh_settings(config: BackendConfig) -> SshSettings:
    policy = (HostKeyPolicy.TRUST_ON_FIRST_USE if config.trust_on_first_use
              else HostKeyPolicy.VERIFY)
    return SshSettings(
        host=config.address, port=config.port, user=config.user,
        password=config.password, private_key_file=config.private_key_file,
        known_hosts_file=config.known_hosts_file, host_key_policy=policy,
        connect_timeout_seconds=config.connect_timeout_seconds,
        max_sessions=config.max_sessions)
