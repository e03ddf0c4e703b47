# SPDX-License-Identifier: Apache-2.0
"""The table of checks: what each looks at, means, and what to do.

From this table both ``cinder-nec check`` and the page *Troubleshooting* of
the documentation take their words.  It imports nothing but the standard
library, so that the documentation can be built from it alone.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import enum


class Level(enum.IntEnum):
    """How bad a finding is; the numbers are those of ``Exit``."""

    OK = 0
    WARNING = 1
    ERROR = 2

    @property
    def word(self) -> str:
        """As the output has it: ``ok``, ``warning``, ``error``."""
        return self.name.lower()


class Chapter(enum.Enum):
    """Groups of checks, in the order in which they are made."""

    OPTIONS = 'Options in cinder.conf'
    CONNECTION = 'The way to the array'
    COMMANDS = 'The commands that the driver needs'
    STORAGE = 'Pools, reserve areas and copies'
    ACCESS = 'LD Sets, portals and ports'
    LIMITS = 'Limits of the model'
    HOST = 'This host'


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that is checked.

    :param id: stable, for scripts and for links into the documentation
    :param title: what is looked at
    :param meaning: what it means when this is not well
    :param remedy: what to do then
    :param worst: the worst level that it can have
    """

    id: str
    chapter: Chapter
    title: str
    meaning: str
    remedy: str
    worst: Level = Level.ERROR

    @property
    def position(self) -> int:
        """Its place in the table."""
        return _POSITIONS[self.id]


CHECKS: tuple[Check, ...] = (
    # -- options -----------------------------------------------------------
    Check('driver', Chapter.OPTIONS, 'Driver class',
          'volume_driver names no class of this driver, or names the '
          "class of the Cinder tree's own driver.",
          'Set volume_driver to cinder_nec.volume.MStorageISCSIDriver, '
          'MStorageFCDriver, MStorageDDRISCSIDriver or '
          'MStorageDDRFCDriver. For a site whose cinder.conf keeps the '
          'path of the Cinder tree, see `cinder-nec in-tree status`.'),
    Check('enabled', Chapter.OPTIONS, 'Enabled',
          'The section is there, but enabled_backends does not name it: '
          'cinder-volume does not start it.',
          'Add it to enabled_backends in [DEFAULT] of cinder.conf.',
          Level.WARNING),
    Check('options', Chapter.OPTIONS, 'Values of options',
          'An option is missing or has a value of the wrong kind. The back '
          'end does not start.',
          'Correct the option that the finding names.'),
    Check('unknown-option', Chapter.OPTIONS, 'Names of options',
          'Cinder ignores an option that it does not know, such as a '
          'misspelt one, without a word.',
          'Correct the name, or remove the line.', Level.WARNING),
    Check('idle-option', Chapter.OPTIONS, 'Options without effect',
          'The option is accepted so that an older cinder.conf works, and '
          'has no effect.',
          'It can be removed from cinder.conf.', Level.WARNING),
    Check('key-file', Chapter.OPTIONS, 'Secret key file',
          'The file of nec_ismcli_privkey is missing, not readable for '
          "this user or the service's, encrypted, or no secret key. The "
          'driver cannot log in with it.',
          'Name an unencrypted RSA, ECDSA or Ed25519 secret key that the '
          "service's user can read, on each node that runs cinder-volume."),
    Check('metrics-dir', Chapter.OPTIONS, 'Directory for Prometheus',
          'The directory of nec_metrics_dir is missing, or closed to this '
          'user: the back end writes no figures; all else works.',
          "Make it, and let the service's user write to it and "
          'node_exporter read it. Run the check as the user of '
          'cinder-volume.', Level.WARNING),
    Check('functions', Chapter.OPTIONS, "The scheduler's functions",
          'This release of pyparsing cannot parse a filter_function or '
          "goodness_function with a variable in it: Cinder's DriverFilter, "
          'where it is used, refuses every back end.',
          'Install another release of pyparsing beside cinder-scheduler, '
          "such as `pip install 'pyparsing!=3.3.3'`.", Level.WARNING),
    Check('array-name', Chapter.OPTIONS, 'nec_diskarray_name',
          'Back ends on one array should have one name, and back ends on '
          'different arrays different ones.',
          'Give each array its own nec_diskarray_name, the same in all of '
          'its back ends.', Level.WARNING),
    Check('shared-pools', Chapter.OPTIONS, 'Pools of several back ends',
          'Two back ends use the same pool of the same array: the '
          'scheduler counts its free capacity twice.',
          'Give each back end pools of its own, or make one back end of '
          'them.', Level.WARNING),
    # -- connection --------------------------------------------------------
    Check('address', Chapter.CONNECTION, 'Name resolution',
          'nec_ismcli_fip is a name that this node cannot resolve.',
          'Set nec_ismcli_fip to the floating IP address (FIP) of the '
          'array, or repair DNS or /etc/hosts on this node.'),
    Check('tcp', Chapter.CONNECTION, 'TCP connection',
          'No TCP connection to the array: it is off, a firewall or a '
          'route is in the way, or address or port are wrong.',
          'Check the array, nec_ismcli_fip and nec_ssh_pool_port_number, '
          'and try `ssh` from this node.'),
    Check('host-key', Chapter.CONNECTION, 'Host key',
          'The array shows an SSH host key that is not known, or another '
          'one than the known: somebody may be listening in.',
          'Compare the fingerprint with that of the array, then store the '
          'key in the file of ssh_hosts_key_file; the finding has the '
          'command.'),
    Check('ssh', Chapter.CONNECTION, 'SSH session',
          'The port answers, but no SSH session comes about: it is no SSH '
          'server, it is too old for this host, or all its sessions are '
          'taken.',
          'Check nec_ssh_pool_port_number, and who else is logged in; the '
          'finding has the reason.'),
    Check('login', Chapter.CONNECTION, 'Login',
          'The array does not let the user in.',
          'Check nec_ismcli_user, and nec_ismcli_password or '
          'nec_ismcli_privkey; the public key must be registered on the '
          'array.'),
    # -- commands ----------------------------------------------------------
    Check('query', Chapter.COMMANDS, 'Reading the configuration',
          'The array does not show its configuration, without which the '
          'driver does not start.',
          'Check that iSMCLI is usable on the array and its Storage '
          'Manager is recent enough; with an older one set '
          'nec_queryconfig_view = True.'),
    Check('unrecognized', Chapter.COMMANDS, 'Objects that are understood',
          'Something in the configuration is not understood. The driver '
          'leaves such objects alone.',
          'Nothing, if it does not belong to Cinder. Otherwise report it '
          'with the line of the finding.', Level.WARNING),
    Check('snapshot-command', Chapter.COMMANDS, 'Snapshot commands',
          'The array refuses iSMsc commands: the licence of the snapshot '
          'function is not released, or the command is not there.',
          'Release the licences with `iSMcfg licenserelease` '
          '(DynamicSnapVolume).'),
    Check('replication-command', Chapter.COMMANDS, 'Replication commands',
          'The array refuses iSMrc commands: the licence of '
          'DynamicDataReplication is not released, or the command is not '
          'there. Clones, and snapshots of the data replication method, '
          'need it.',
          'Release the licences with `iSMcfg licenserelease` '
          '(DynamicDataReplication).'),
    Check('access-control', Chapter.COMMANDS, 'Access control',
          'Access control is off: LD Sets of Fibre Channel hosts have no '
          'effect.',
          'Start it on the array with `iSMcfg startacc`.'),
    # -- storage -----------------------------------------------------------
    Check('pools', Chapter.STORAGE, 'Pools for volumes',
          'A pool of nec_pools does not exist, or the array has none: the '
          'back end does not start.',
          'Correct nec_pools; the finding lists the pools of the array. '
          'NEC Storage Manager shows hexadecimal numbers.'),
    Check('pool-room', Chapter.STORAGE, 'Room in pools',
          'A pool is nearly full.',
          'Delete volumes, extend the pool, or add one to the option.',
          Level.WARNING),
    Check('backup-pools', Chapter.STORAGE, 'Pools for snapshots',
          'nec_backup_pools is not set, names a pool that does not exist, '
          'or (snapshot method) more than one: snapshots cannot be made.',
          'Name one existing pool in nec_backup_pools, for the data '
          'replication method one or more.'),
    Check('reserve', Chapter.STORAGE, 'Reserve area',
          'The snapshot method needs a snapshot reserve area (SRA) in the '
          'pool for snapshots, data replication and clones a replication '
          'reserved volume (RSV) in a pool. None was seen.',
          'Make it on the array: `iSMcfg srabind` in the snapshot pool, '
          '`iSMcfg ldbind` for the RSV (manual chapter 1).',
          Level.WARNING),
    Check('stopped-copies', Chapter.STORAGE, 'Copies that have stopped',
          'A pair stands in a state from which it does not go on by '
          'itself (fault, cancel, or one that is not known): its RV is not '
          'a whole copy.',
          'Look at both LDs on the array. A volume that was being made can '
          'be deleted in Cinder and made again.', Level.WARNING),
    # -- access ------------------------------------------------------------
    Check('ld-sets', Chapter.ACCESS, 'Configured LD Sets',
          'The LD Set of nec_ldset or nec_ldset_for_controller_node does '
          'not exist, or is of the other protocol; or there is none at all '
          'and nec_auto_accesscontrol is off. Volumes cannot be attached.',
          'Create it on the array with `iSMcfg addldset`, or correct the '
          'option.'),
    Check('portals', Chapter.ACCESS, 'Portals',
          'An LD Set has no iSCSI portal: hosts have no way to its '
          'volumes.',
          'Add one with `iSMcfg addldsetportal`, or configure the iSCSI '
          'ports of the array with `iSMcfg setiscsiport`.'),
    Check('ports', Chapter.ACCESS, 'Host ports',
          'A host port that has an address is down, or no port of the '
          "back end's protocol is up.",
          'Look at cable, switch and port; `cinder-nec show ports` lists '
          'them.'),
    # -- limits ------------------------------------------------------------
    Check('limit-lds', Chapter.LIMITS, 'Logical disks of the array',
          'The array can hold no or hardly any more logical disks.',
          'Delete volumes and snapshots; the limit is that of the model.'),
    Check('limit-backend', Chapter.LIMITS, 'nec_backend_max_ld_count',
          'The pools of the back end hold so many logical disks that the '
          'scheduler gets no more free capacity reported, or nearly so.',
          'Delete volumes, or raise nec_backend_max_ld_count.'),
    Check('limit-ld-set', Chapter.LIMITS, 'Logical disks in an LD Set',
          'An LD Set (multi-target mode: each LD is a session on each '
          'port) is full or nearly so: no more volumes can be attached to '
          'its hosts.',
          'Detach volumes, or spread the hosts over more LD Sets.'),
    Check('limit-sessions', Chapter.LIMITS, 'iSCSI sessions',
          'All LD Sets together may use as many iSCSI sessions as the '
          'array has, or nearly so.',
          'Detach volumes, or permit fewer portals to the LD Sets '
          '(nec_iscsi_portals_per_cont).', Level.WARNING),
    Check('limit-hosts', Chapter.LIMITS, 'Hosts in an LD Set',
          'An LD Set lists as many initiators (16) or WWPNs (64) as it '
          'can.',
          'Make another LD Set, or use full access mode (manual appendix '
          'C).', Level.WARNING),
    # -- this host ---------------------------------------------------------
    Check('initiator', Chapter.HOST, 'Initiator of this host',
          'os-brick finds no initiator name (iSCSI) or no WWPN of an '
          'online HBA (FC) on this host: no volume can be attached here, '
          'for images and backups neither.',
          'iSCSI: install open-iscsi and see '
          '/etc/iscsi/initiatorname.iscsi. FC: see the HBA, its link, and '
          '/sys/class/fc_host. Run the command as root.', Level.WARNING),
    Check('host-ld-set', Chapter.HOST, 'LD Set of this host',
          'This host would get no LD Set.',
          'Create an LD Set with the names of this host on the array, set '
          'nec_auto_accesscontrol = True, or correct nec_ldset.'),
)

BY_ID = {check.id: check for check in CHECKS}
_POSITIONS = {check.id: number for number, check in enumerate(CHECKS)}


def by_chapter() -> Iterator[tuple[Chapter, tuple[Check, ...]]]:
    """Yield the chapters in order, each with its checks."""
    for chapter in Chapter:
        yield chapter, tuple(c for c in CHECKS if c.chapter is chapter)
