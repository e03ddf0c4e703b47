# SPDX-License-Identifier: Apache-2.0
"""What an array has, as immutable values (DESIGN.md section 3).

Sizes are bytes.  An :class:`ArrayConfig` is a whole configuration at one
moment; its ``with_...`` methods return a changed copy that shares what did
not change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import dataclasses
import enum
import functools
import ipaddress
import re
from types import MappingProxyType

from cinder_nec import errors
from cinder_nec.models import ModelLimits, limits_of

GIB = 1 << 30
DEFAULT_PLATFORM = 'LX'
ISCSI_PORT = 3260


class Protocol(enum.Enum):
    """How hosts reach an LD Set or a host port."""

    ISCSI = 'iSCSI'
    FC = 'FC'


class RplAttribute(enum.Enum):
    """Role of an LD in replication and snapshot (ISMCLI.md B.1)."""

    IV = 'IV'
    MV = 'MV'
    RV = 'RV'
    BV = 'BV'
    SV = 'SV'
    LV = 'LV'
    NOT_USABLE = '---'
    UNRECOGNIZED = '?'


class Purpose(enum.Enum):
    """What an LD serves for (ISMCLI.md A.2)."""

    ORDINARY = '---'
    RPL = 'RPL'
    INVALID_ATTRIBUTE = '(invalid attribute)'
    UNRECOGNIZED = '?'


class TargetMode(enum.Enum):
    """How an iSCSI LD Set shows its LDs (ISMCLI.md F)."""

    NORMAL = 'Normal'
    MULTI_TARGET = 'Multi-Target'
    UNRECOGNIZED = '?'


class LinkState(enum.Enum):
    """Link of a host port."""

    UP = 'Link Up'
    DOWN = 'Link Down'
    UNRECOGNIZED = '?'


class PairState(enum.Enum):
    """Sync state of a replication pair (ISMCLI.md B.2)."""

    REPLICATING = 'rpl/exec'
    SYNCHRONIZED = 'rpl/sync'
    SEPARATING = 'sep/exec'
    SEPARATED = 'separated'
    CANCELLED = 'cancel'
    FAULT = 'fault'
    RESTORING = 'rst/exec'
    RESTORED = 'rst/sync'
    UNRECOGNIZED = '?'


class SnapState(enum.Enum):
    """State of a snapshot generation (ISMCLI.md B.6)."""

    ACTIVE = 'snap/active'
    DELETING = 'snap/deleting'
    RESTORING = 'rst/exec'
    FAULT = 'snap/fault'
    NO_DATA = '---'
    UNRECOGNIZED = '?'


# -- names ------------------------------------------------------------------

@dataclasses.dataclass(frozen=True, order=True)
class LdName:
    """``platform:label`` of an LD; the platform of an unnamed LD is ''."""

    platform: str
    label: str

    def __str__(self) -> str:
        return f'{self.platform}:{self.label}'


@dataclasses.dataclass(frozen=True, order=True)
class LdSetName:
    """``platform:label`` of an LD Set."""

    platform: str
    label: str

    def __str__(self) -> str:
        return f'{self.platform}:{self.label}'


_IQN = re.compile(r'(iqn\.[0-9]{4}-[0-9]{2}\.[a-z0-9.:-]{1,200}'
                  r'|eui\.[0-9a-f]{16}|naa\.[0-9a-f]{16,32})')
_WWPN = re.compile(r'[0-9a-f]{16}')
_PORT_NUMBER = re.compile(r'[0-9]{1,5}')


@dataclasses.dataclass(frozen=True, order=True)
class InitiatorName:
    """The iSCSI name of a host (RFC 3720 section 3.2.6), lower case."""

    name: str

    def __post_init__(self) -> None:
        if len(self.name) > 223 or not _IQN.fullmatch(self.name):
            raise errors.InvalidInput(
                f'{self.name[:64]!r} is not an iSCSI initiator name.')

    @classmethod
    def parse(cls, text: str) -> InitiatorName:
        """:raises errors.InvalidInput: if it is not an iSCSI name"""
        return cls(text.lower() if isinstance(text, str) else '')

    def __str__(self) -> str:
        return self.name


@dataclasses.dataclass(frozen=True, order=True)
class Wwpn:
    """A Fibre Channel port name: 16 hexadecimal digits, lower case."""

    digits: str

    def __post_init__(self) -> None:
        if not _WWPN.fullmatch(self.digits):
            raise errors.InvalidInput(
                f'{self.digits[:64]!r} is not a WWPN (16 hex digits).')

    @classmethod
    def parse(cls, text: str) -> Wwpn:
        """Accept ``:`` and ``-`` between the digits, in either case.

        :raises errors.InvalidInput: if it is not a WWPN
        """
        if not isinstance(text, str) or len(text) > 32:
            raise errors.InvalidInput('not a WWPN (16 hex digits).')
        return cls(text.lower().replace(':', '').replace('-', ''))

    def __str__(self) -> str:
        return self.digits


@dataclasses.dataclass(frozen=True, order=True)
class Portal:
    """An address that an iSCSI LD Set listens on."""

    ip: str
    port: int

    def __str__(self) -> str:
        if ':' in self.ip:
            return f'[{self.ip}]:{self.port}'
        return f'{self.ip}:{self.port}'

    @classmethod
    def parse(cls, text: str) -> Portal:
        """Read ``ip:port``, ``[ip6]:port`` or a bare address.

        :raises errors.InvalidInput: if it is none of them
        """
        text = text.strip()
        host, _, port = text.rpartition(':')
        if not _PORT_NUMBER.fullmatch(port) or not _is_address(host):
            host, port = text, str(ISCSI_PORT)
        if not _is_address(host) or not 0 < int(port) < 1 << 16:
            raise errors.InvalidInput(
                f'{text[:64]!r} is not a portal address.')
        return cls(str(ipaddress.ip_address(host.strip('[]'))), int(port))


def _is_address(text: str) -> bool:
    """Tell ``ip4``, ``ip6`` or ``[ip6]``, without a zone."""
    bare = text[1:-1] if text[:1] + text[-1:] == '[]' else text
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return False
    return '%' not in bare and (bare == text or address.version == 6)


# -- objects ----------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Pool:
    """A pool; ``actual_bytes`` (physical size) only if it is thin.

    ``free_bytes`` is what the array says; it never follows from the other
    two (ISMCLI.md A.2).
    """

    number: int
    capacity_bytes: int
    used_bytes: int
    free_bytes: int
    actual_bytes: int | None = None

    @property
    def is_thin(self) -> bool:
        return self.actual_bytes is not None


@dataclasses.dataclass(frozen=True)
class LogicalDisk:
    """A logical disk."""

    ldn: int
    name: LdName
    pool: int
    capacity_bytes: int
    attributes: frozenset[RplAttribute] = frozenset({RplAttribute.IV})
    purpose: Purpose = Purpose.ORDINARY

    def has(self, attribute: RplAttribute) -> bool:
        return attribute in self.attributes

    @property
    def is_nameless(self) -> bool:
        """True if it has no OS type, and so no name of its own yet."""
        return not self.name.platform.strip()

    @property
    def capacity_gib(self) -> int:
        """Capacity in GiB, rounded up."""
        return -(-self.capacity_bytes // GIB)


@dataclasses.dataclass(frozen=True)
class LdMapping:
    """One LD in one LD Set; ``target_name`` in multi-target mode only."""

    ldn: int
    lun: int
    target_name: str = ''


@dataclasses.dataclass(frozen=True)
class LdSet:
    """An LD Set: which hosts see which LDs.

    :param target_mode: None for Fibre Channel
    :param target_name: the one target IQN of Normal mode
    :param portals: in the order of the dump, unconfigured ones left out
    :param paths: WWPNs of hosts (FC)
    :param port_paths: array ports that the set is bound to (FC port mode),
        as the array writes them
    :param mappings: by LDN
    """

    name: LdSetName
    protocol: Protocol
    target_mode: TargetMode | None = None
    target_name: str = ''
    portals: tuple[Portal, ...] = ()
    initiators: frozenset[str] = frozenset()
    paths: frozenset[Wwpn] = frozenset()
    port_paths: frozenset[str] = frozenset()
    mappings: Mapping[int, LdMapping] = dataclasses.field(
        default_factory=dict)

    def luns(self) -> frozenset[int]:
        return frozenset(m.lun for m in self.mappings.values())


@dataclasses.dataclass(frozen=True)
class HostPort:
    """A host port: ``ip`` for iSCSI, ``wwpn`` for Fibre Channel."""

    director: int
    number: int
    protocol: Protocol
    ip: str = ''
    wwpn: Wwpn | None = None
    link: LinkState = LinkState.UNRECOGNIZED


@dataclasses.dataclass(frozen=True)
class ArrayConfig:
    """The configuration of an array at one moment."""

    product_id: str
    version: str
    pools: Mapping[int, Pool]
    logical_disks: Mapping[int, LogicalDisk]
    ld_sets: Mapping[LdSetName, LdSet]
    host_ports: tuple[HostPort, ...] = ()
    unrecognized: tuple[str, ...] = ()
    _ldn_by_name: Mapping[LdName, int] | None = dataclasses.field(
        default=None, repr=False, compare=False)

    @functools.cached_property
    def ldn_by_name(self) -> Mapping[LdName, int]:
        """LDNs by name; of two LDs of one name, the first.

        LDs without any label are not there.
        """
        if self._ldn_by_name is not None:
            return self._ldn_by_name
        names: dict[LdName, int] = {}
        for ld in self.logical_disks.values():
            if ld.name.label:
                names.setdefault(ld.name, ld.ldn)
        return names

    def find_ld(self, name: LdName) -> LogicalDisk | None:
        ldn = self.ldn_by_name.get(name)
        return None if ldn is None else self.logical_disks[ldn]

    def get_ld(self, name: LdName) -> LogicalDisk:
        """:raises errors.NotFound: with the manual's text (appendix D)"""
        ld = self.find_ld(name)
        if ld is None:
            raise errors.NotFound(
                f'Logical Disk `{name}` does not exist.',
                'It may have been deleted by other than OpenStack.')
        return ld

    def get_pool(self, number: int) -> Pool:
        """:raises errors.NotFound: if the array has no such pool"""
        try:
            return self.pools[number]
        except KeyError:
            raise errors.NotFound(
                f'Pool {number} ({number:x}h) does not exist.',
                f'The array has the pools {_numbers(self.pools)}.'
            ) from None

    def mapped_to(self, ldn: int) -> tuple[LdSet, ...]:
        """Return the LD Sets that an LD is in."""
        return tuple(s for s in self.ld_sets.values() if ldn in s.mappings)

    @property
    def limits(self) -> ModelLimits:
        """What the disk array can hold."""
        return limits_of(self.product_id, self.version)

    @property
    def max_ld_count(self) -> int:
        return self.limits.lds

    def free_ldns(self) -> Iterator[int]:
        """Yield the free LD numbers, lowest first."""
        return (ldn for ldn in range(self.max_ld_count)
                if ldn not in self.logical_disks)

    def ld_counts(self) -> dict[int, int]:
        """Return the number of LDs in each pool."""
        counts = dict.fromkeys(self.pools, 0)
        for ld in self.logical_disks.values():
            counts[ld.pool] = counts.get(ld.pool, 0) + 1
        return counts

    # -- changed copies ------------------------------------------------

    def with_ld(self, ld: LogicalDisk) -> ArrayConfig:
        """Return a copy in which ``ld`` has the number ``ld.ldn``."""
        disks = dict(self.logical_disks)
        disks[ld.ldn] = ld
        return self._with_disks(disks, ld.ldn)

    def without_ld(self, ldn: int) -> ArrayConfig:
        """Return a copy without that LD; unchanged if there is none."""
        if ldn not in self.logical_disks:
            return self
        disks = dict(self.logical_disks)
        del disks[ldn]
        return self._with_disks(disks, ldn)

    def _with_disks(self, disks: dict[int, LogicalDisk],
                    changed: int) -> ArrayConfig:
        """Return a copy with ``disks``, of which one has changed.

        The index of names is carried on while names are unique; where two
        LDs share one it is made anew, because only a look at all of them
        tells whose the name is then.
        """
        old, new = self.logical_disks.get(changed), disks.get(changed)
        names: dict[LdName, int] | None = None
        if len(self.ldn_by_name) == len(self.logical_disks):
            names = dict(self.ldn_by_name)
            if old is not None:
                del names[old.name]
            if new is not None and (
                    not new.name.label
                    or names.setdefault(new.name, changed) != changed):
                names = None
        return dataclasses.replace(
            self, logical_disks=MappingProxyType(disks),
            _ldn_by_name=names and MappingProxyType(names))

    def with_ld_set(self, ld_set: LdSet) -> ArrayConfig:
        """Return a copy in which ``ld_set`` stands under its name."""
        sets = dict(self.ld_sets)
        sets[ld_set.name] = ld_set
        return dataclasses.replace(
            self, ld_sets=sets, _ldn_by_name=self.ldn_by_name)

    def with_pool(self, pool: Pool) -> ArrayConfig:
        """Return a copy in which ``pool`` stands under its number."""
        pools = dict(self.pools)
        pools[pool.number] = pool
        return dataclasses.replace(
            self, pools=pools, _ldn_by_name=self.ldn_by_name)


@dataclasses.dataclass(frozen=True)
class PairStatus:
    """One replication pair as iSMrc_query shows it.

    ``separate_diff_bytes`` is the difference since the separation,
    ``copy_diff_bytes`` what a running copy still has to copy; None where
    the answer does not tell.
    """

    mv: str
    rv: str
    state: PairState
    separate_diff_bytes: int | None = None
    copy_diff_bytes: int | None = None


@dataclasses.dataclass(frozen=True)
class SnapStatus:
    """One snapshot generation as iSMsc_query shows it."""

    bv: str
    sv: str
    generation: int
    state: SnapState
    linked: bool = False


def _numbers(pools: Mapping[int, Pool]) -> str:
    return ', '.join(str(number) for number in sorted(pools)) or 'none'
