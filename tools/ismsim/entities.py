# SPDX-License-Identifier: Apache-2.0
"""What the array consists of, as values.

A change of the array replaces a record in the store by a new one, so a
record can be cached, rendered and compared by identity.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

GIB = 1 << 30


class LdKind(str, Enum):
    """What an LD is for; decides what may be done with it."""

    ORDINARY = 'ordinary'
    SV = 'sv'
    LV = 'lv'
    CV = 'cv'
    SYV = 'syv'
    SDV = 'sdv'
    RSV = 'rsv'


class PairState(str, Enum):
    """Sync states (ISMCLI.md B.2)."""

    RPL_EXEC = 'rpl/exec'
    RPL_SYNC = 'rpl/sync'
    SEP_EXEC = 'sep/exec'
    SEPARATED = 'separated'
    CANCEL = 'cancel'
    FAULT = 'fault'
    RST_EXEC = 'rst/exec'
    RST_SYNC = 'rst/sync'


class SnapState(str, Enum):
    """Snapshot states (ISMCLI.md B.6)."""

    # ASSUMED: no source shows what an SV without snapshot data displays;
    # '---' is how the array says "none" elsewhere.
    NONE = '---'
    ACTIVE = 'snap/active'
    DELETING = 'snap/deleting'
    RESTORING = 'rst/exec'
    FAULT = 'snap/fault'


class Protocol(str, Enum):
    """The protocol of a host port or an LD Set."""

    FC = 'fc'
    ISCSI = 'iscsi'


class TargetMode(str, Enum):
    """Target modes of an iSCSI LD Set, as displayed."""

    NORMAL = 'Normal'
    MULTI = 'Multi-Target'


@dataclass(frozen=True)
class IoLimit:
    """I/O limits of an LD, or the array's initial ones; 0 = none."""

    upper: int = 0
    lower: int = 0
    report: bool = False


@dataclass(frozen=True)
class LogicalDisk:
    """A logical disk; `platform` is empty until it is named."""

    ldn: int
    platform: str
    name: str
    pool: int
    capacity: int
    kind: LdKind = LdKind.ORDINARY
    owner: int | None = None
    limit: IoLimit = field(default_factory=IoLimit)

    @property
    def key(self) -> int:
        """The key in the store."""
        return self.ldn

    @property
    def full_name(self) -> str:
        """The name as iSMcfg takes it."""
        return f'{self.platform}:{self.name}'


@dataclass(frozen=True)
class Pool:
    """A pool; `actual` is set for a thin (virtual capacity) one."""

    number: int
    name: str
    capacity: int
    actual: int | None = None
    # Added to the used capacity. Negative, it makes the dump show the
    # wrapped unsigned numbers that were seen on real arrays.
    used_offset: int = 0

    @property
    def key(self) -> int:
        """The key in the store."""
        return self.number


@dataclass(frozen=True)
class HostPort:
    """A host port of a director."""

    director: int
    port: int
    protocol: Protocol
    ip: str = ''
    wwpn: str = ''
    link_up: bool = True

    @property
    def key(self) -> str:
        """`dd-pp`, the number as displayed and the key in the store."""
        return f'{self.director:02x}-{self.port:02x}'


@dataclass(frozen=True)
class Mapping:
    """An LD behind a LUN."""

    ldn: int
    lun: int


@dataclass(frozen=True)
class LdSet:
    """An LD Set; `maps` is by LUN, or by target in multi-target mode."""

    platform: str
    name: str
    protocol: Protocol
    index: int
    mode: TargetMode | None = None
    full_access: bool = False
    target_count: int = 0
    target_base: str = ''
    portals: tuple[str, ...] = ()
    initiators: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    maps: dict[int, Mapping] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name as iSMcfg takes it."""
        return f'{self.platform}:{self.name}'

    def target(self, number: int) -> str:
        """The IQN of a target."""
        return f'{self.target_base}.target{number:04x}'

    def slot_of(self, ldn: int) -> int | None:
        """Where an LD is in `maps`."""
        for slot, mapping in self.maps.items():
            if mapping.ldn == ldn:
                return slot
        return None


@dataclass(frozen=True)
class Pair:
    """An MV with one of its RVs (ISMCLI.md B.2 to B.5).

    `copy_ends` is when the running copy will be done, `frozen` says that
    an image of the MV waits to be put on the RV at that moment, and
    `tracked` that RV and MV were once equal, so that a differential copy
    is possible.
    """

    mv: int
    rv: int
    state: PairState
    activity: str = 'separate'
    previous: str = '---'
    rv_access: str = 'rw'
    started: float = 0.0
    ended: float | None = None
    copy_started: float = 0.0
    copy_total: int = 0
    copy_ends: float | None = None
    frozen: bool = False
    immediate: bool = False
    tracked: bool = False

    @property
    def key(self) -> str:
        """The key in the store."""
        return f'{self.mv:04x}-{self.rv:04x}'


@dataclass(frozen=True)
class RemotePair:
    """A pair whose RV is in another array (RDR): shown, never driven."""

    mv: int
    rv_name: str
    state: PairState = PairState.SEPARATED

    @property
    def key(self) -> str:
        """The key in the store."""
        return f'{self.mv:04x}-{self.rv_name}'


@dataclass(frozen=True)
class Generation:
    """The slot of an SV under its BV, and its snapshot data if any."""

    sv: int
    bv: int
    added: int
    state: SnapState = SnapState.NONE
    taken: float | None = None
    order: int = 0
    ends: float | None = None
    sra_bytes: int = 0

    @property
    def key(self) -> int:
        """The key in the store."""
        return self.sv


@dataclass(frozen=True)
class Link:
    """An LV, its BV, and the SV that it shows if linked."""

    lv: int
    bv: int
    sv: int | None = None
    access: str = 'rw'

    @property
    def key(self) -> int:
        """The key in the store."""
        return self.lv


@dataclass(frozen=True)
class Sra:
    """The snapshot reserve area of a snapshot pool."""

    pool: int
    capacity: int
    sdv: int
    exhausted: bool = False

    @property
    def key(self) -> int:
        """The key in the store."""
        return self.pool


@dataclass(frozen=True)
class Settings:
    """What the array has only one of."""

    product_id: str = 'M310'
    ism_version: str = '9.4.001'
    firmware: str = '1028'
    array_name: str = '2000000991000316'
    wwn: str = '2000000991000316'
    access_control: bool = False
    licences: tuple[str, ...] = ()
    initiators: tuple[str, ...] = ()
    default_limit: IoLimit = field(default_factory=IoLimit)
    sequence: int = 0

    @property
    def key(self) -> str:
        """The key in the store."""
        return 'array'


Record = (LogicalDisk | Pool | HostPort | LdSet | Pair | RemotePair
          | Generation | Link | Sra | Settings)
