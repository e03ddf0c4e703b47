# SPDX-License-Identifier: Apache-2.0
"""The ``nec_*`` options of ``cinder.conf`` (manual chapter 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oslo_config import cfg, types


class _Tolerant:
    """An option that counts as the same as another of its name.

    The in-tree driver registers options of these names when it is
    imported.  oslo.config refuses a second, different definition; a site
    that moves from one driver to the other has both in one process.
    """

    dest: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, cfg.Opt) and other.dest == self.dest

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = object.__hash__


class _StrOpt(_Tolerant, cfg.StrOpt):
    pass


class _IntOpt(_Tolerant, cfg.IntOpt):
    pass


class _BoolOpt(_Tolerant, cfg.BoolOpt):
    pass


class _ListOpt(_Tolerant, cfg.ListOpt):
    pass


class _HostOpt(_Tolerant, cfg.IPOpt):
    """An address or a name of a host.

    In the in-tree driver it is an IPOpt.  Which of two options is asked
    for equality, Python decides by their classes: ours has to be a
    subclass of that one's.
    """

    def __init__(self, name: str, **arguments: Any) -> None:
        super().__init__(name, **arguments)
        self.type = types.HostAddress()


class _PortOpt(_Tolerant, cfg.IntOpt):
    """A TCP port; in the in-tree driver it is an IntOpt."""

    def __init__(self, name: str, **arguments: Any) -> None:
        super().__init__(name, **arguments)
        self.type = types.Port()


nec_opts: list[Any] = [
    _HostOpt('nec_ismcli_fip',
             help='Floating IP address (FIP) of the disk array, where '
                  'iSMCLI is reached by SSH. Required.'),
    _PortOpt('nec_ssh_pool_port_number', default=22,
             help='TCP port of SSH on the disk array.'),
    _StrOpt('nec_ismcli_user', default='',
            help='User that logs in to iSMCLI. Required.'),
    _StrOpt('nec_ismcli_password', default='', secret=True,
            help='Password of that user. Either this or '
                 'nec_ismcli_privkey is required; with both, the key is '
                 'tried first.'),
    _StrOpt('nec_ismcli_privkey', default='',
            help='File with the unencrypted secret key (RSA, ECDSA or '
                 'Ed25519) of that user. It must exist on each node that '
                 'runs cinder-volume.'),
    _ListOpt('nec_pools', default=[],
             help='Numbers of the pools for volumes, decimal, or '
                  'hexadecimal with an h behind: 0,1,0ah. All pools if '
                  'not set.'),
    _ListOpt('nec_backup_pools', default=[],
             help='Numbers of the pools for snapshots, written like '
                  'nec_pools. Exactly one for the snapshot method, one or '
                  'more for the data replication method. Snapshots need '
                  'it.'),
    _StrOpt('nec_ldset', default='',
            help='LD Set of all compute nodes, such as LX:Server1. '
                 'Normally not set: the driver then finds the LD Set of '
                 'each host, and creates it when it is missing.'),
    _StrOpt('nec_ldset_for_controller_node', default='',
            help='The same for the node that runs cinder-volume (image '
                 'copies and the like).'),
    _StrOpt('nec_ldname_format', default='LX:%s',
            help='How names of volumes are made. Only the OS type in '
                 'front may differ, and the default is recommended.'),
    _StrOpt('nec_backup_ldname_format', default='LX:%s',
            help='How names of snapshots are made.'),
    _StrOpt('nec_cv_ldname_format', default='LX:__ControlVolume_%xh',
            help='How control volumes are named.'),
    _StrOpt('nec_diskarray_name', default='',
            help='Name of the disk array. Back ends on the same array '
                 'should have the same name here.'),
    # 0 is what the in-tree driver has; see config.portals_per_controller.
    _IntOpt('nec_iscsi_portals_per_cont', default=0, min=0,
            sample_default=1,
            help='How many iSCSI paths a multipath host gets to each '
                 'controller. 0 for all portals of the LD Set.'),
    _IntOpt('nec_backend_max_ld_count', default=1024, min=0,
            help='With so many logical disks in the pools of the back '
                 'end, no free capacity is reported any more. If not set, '
                 'only the limit of the disk array counts.'),
    _BoolOpt('nec_auto_accesscontrol', default=True,
             help='Create LD Sets for hosts that have none.'),
    _BoolOpt('nec_actual_free_capacity', default=False,
             help='Of virtual capacity pools, report the actual instead '
                  'of the virtual capacity.'),
    _BoolOpt('nec_report_pools', default=False,
             help='Report each pool of nec_pools to the scheduler, as '
                  'pool0, pool1 and so on, instead of the roomiest one '
                  'under the name of the back end. Volumes that were made '
                  'before it was switched on keep working.'),
    _StrOpt('nec_metrics_dir', default='',
            help='Directory in which each back end keeps a file of its '
                 'figures in the text format of Prometheus, for '
                 'node_exporter --collector.textfile.directory. A relative '
                 'path counts from state_path. No file is written if not '
                 'set.'),
    _BoolOpt('nec_clone_wait_for_copy', default=False,
             help='Hand out a clone when all of it is copied, not when it '
                  'can be read. The array copies in the background '
                  'otherwise; extending, moving or deleting either end '
                  'waits for it.'),
    _IntOpt('nec_unpairthread_timeout', default=3600, min=1,
            help='How long one copy may take, in units of 24 seconds: '
                 '3600 for 24 hours.'),
    _BoolOpt('nec_queryconfig_view', default=False,
             help='Read the configuration by the older command iSMview '
                  'instead of iSMquery.'),
    _BoolOpt('nec_ismview_alloptimize', default=False,
             help='With nec_queryconfig_view: use its option '
                  '--alloptimize.'),
    _StrOpt('nec_ismview_dir', default='/tmp/nec/cinder',  # nosec
            help='Not used any more: no configuration is written to '
                 'files. Accepted so that an existing cinder.conf works.'),
]


def list_opts() -> Sequence[tuple[str, list[Any]]]:
    """Entry point ``oslo.config.opts``, for oslo-config-generator."""
    return [('backend_defaults', nec_opts)]
