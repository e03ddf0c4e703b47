# SPDX-License-Identifier: Apache-2.0
"""LDs that a service was binding when it died, and control volumes.

They carry no Cinder name, so the journal alone proves whose they are.  A
peer names an LD right after it has bound it: one that is without a name at
two looks, with some time between, belongs to nobody who is alive.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
import functools
import logging
import threading

from cinder_nec import retry
from cinder_nec.backend.access.control_volume import ControlVolumes
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.journal import Entry, Kind
from cinder_nec.backend.volumes import (
    ADOPT_AFTER_SECONDS,
    Volumes,
    unbinding,
)
from cinder_nec.model import (
    ArrayConfig,
    LogicalDisk,
    Purpose,
    RplAttribute,
)

LOG = logging.getLogger(__name__)

_MOST_LISTED = 20
_UNUSED = ({RplAttribute.IV}, {RplAttribute.NOT_USABLE})

Each = Callable[[str, Callable[[], object]], None]
Tell = Callable[[Iterable[str]], None]


class NamelessLds:
    """Unbinds those of this service, and tells of the others.

    :param controls: with the snapshot method
    :param pools: where this back end binds LDs; none stands for all
    """

    def __init__(self, inventory: Inventory, volumes: Volumes,
                 clock: retry.Clock, each: Each, tell: Tell, *,
                 controls: ControlVolumes | None,
                 pools: Collection[int]) -> None:
        self._inventory = inventory
        self._volumes = volumes
        self._clock = clock
        self._each = each
        self._tell = tell
        self._controls = controls
        self._pools = frozenset(pools)
        self._ending = threading.Lock()
        # When the LD of an entry was first seen to be used by nobody.
        self._seen: dict[str, float] = {}
        # Those that nothing proves to be this service's.
        self._strangers: frozenset[int] = frozenset()
        self._started_at = 0.0

    def start(self) -> None:
        """Take a first look; see :meth:`Recovery.start`."""
        config = self._inventory.current()
        left = self._volumes.journal.left(Kind.BIND, Kind.CONTROL)
        for one in left:
            if self._find_unused(config, one.entry) is not None:
                self._seen.setdefault(one.entry.key, self._clock.now())
        known = {one.entry.ldn for one in left}
        self._strangers = frozenset(
            ld.ldn for ld in self._nameless(config)) - known
        self._started_at = self._clock.now()

    def go_on(self) -> None:
        """Take the second look; see :meth:`Recovery.go_on`."""
        for left in self._volumes.journal.left(Kind.BIND, Kind.CONTROL):
            if left.age_seconds >= ADOPT_AFTER_SECONDS:
                self._each('LD %d' % left.entry.ldn, functools.partial(
                    self._end_entry, left.entry))

    def tell_of_strangers(self) -> None:
        """Tell of those that were there at the start and still are."""
        now = self._clock.now()
        if self._strangers and now - self._started_at >= ADOPT_AFTER_SECONDS:
            strangers, self._strangers = self._strangers, frozenset()
            self._tell_of([
                ld for ld in self._nameless(self._inventory.current())
                if ld.ldn in strangers])

    # -- this service's ------------------------------------------------

    def _end_entry(self, entry: Entry) -> None:
        """Unbind what an entry of the journal proves to be ours.

        One at a time: stats may come together.
        """
        with self._ending:
            if not self._is_left(entry):
                return
            config = self._inventory.refresh()
            # A thread of this process may have taken the number meanwhile.
            if self._is_left(entry):
                self._end(config, entry)

    def _is_left(self, entry: Entry) -> bool:
        return any(left.entry == entry for left
                   in self._volumes.journal.left(entry.kind))

    def _end(self, config: ArrayConfig, entry: Entry) -> None:
        ld = self._find_unused(config, entry)
        if ld is None:
            self._seen.pop(entry.key, None)
            if not _is_in_use(config, entry):
                # It was named, refused, or unbound.
                self._volumes.journal.end(entry)
            return
        now = self._clock.now()
        if now - self._seen.setdefault(entry.key, now) < ADOPT_AFTER_SECONDS:
            return
        del self._seen[entry.key]
        if ld.name == entry.name:
            LOG.info('`%s` is not needed any more.', ld.name)
            self._volumes.unbind(ld.name)
            self._volumes.journal.end(entry)
            return
        LOG.info('LD %d was being bound for `%s` and got no name; it is '
                 'unbound.', entry.ldn, entry.name)
        # What cannot be unbound keeps its entry, which alone is the proof.
        self._tell(self._volumes.unbind_nameless(ld))

    def _find_unused(self, config: ArrayConfig,
                     entry: Entry) -> LogicalDisk | None:
        """Return the LD of an entry if nobody has named it.

        Or a control volume that nothing needs.  Else what is in an LD Set
        or part of a copy is somebody's.
        """
        ld = config.logical_disks.get(entry.ldn)
        if ld is None or ld.pool != entry.pool:
            return None
        if entry.kind is Kind.CONTROL:
            if not ld.has(RplAttribute.NOT_USABLE):
                return None
            if ld.name == entry.name:
                is_idle = (self._controls is not None
                           and self._controls.is_idle(ld))
                return ld if is_idle else None
        elif (ld.attributes != {RplAttribute.IV}
                or ld.capacity_bytes != entry.capacity_bytes):
            return None
        has_no_name = ld.is_nameless or ld.name == unbinding(ld.ldn)
        return ld if has_no_name and not config.mapped_to(ld.ldn) else None

    # -- others' -------------------------------------------------------

    def _nameless(self, config: ArrayConfig) -> list[LogicalDisk]:
        # What is bound and in no copy; a control volume cannot be in one.
        return [ld for ld in config.logical_disks.values()
                if ld.is_nameless and ld.attributes in _UNUSED
                # The array's own, as an SDV is, have no OS type either.
                and ld.purpose is Purpose.ORDINARY
                and (not self._pools or ld.pool in self._pools)
                and not config.mapped_to(ld.ldn)]

    def _tell_of(self, lds: Collection[LogicalDisk]) -> None:
        """An LD without a name may be anybody's."""
        shown = list(lds)[:_MOST_LISTED]
        self._tell(
            f'LD {ld.ldn} ({ld.ldn:04x}h, {ld.capacity_gib} GiB, pool '
            f'{ld.pool}{_kind(ld)}) has no name. When it is certain that '
            f'nobody uses it: iSMcfg nickname -ldn {ld.ldn} -newname '
            f'{unbinding(ld.ldn)} -immediate, then iSMcfg ldunbind -ldname '
            f'{unbinding(ld.ldn)}' for ld in shown)
        more = [ld.ldn for ld in lds][_MOST_LISTED:]
        if more:
            self._tell([
                f'{len(more)} more LDs have no name: {_numbers(more)}. '
                '`cinder-nec audit` lists them with the commands'])


def _kind(ld: LogicalDisk) -> str:
    return (', perhaps a control volume'
            if ld.has(RplAttribute.NOT_USABLE) else '')


def _numbers(ldns: Iterable[int]) -> str:
    """Return numbers in short: ``3, 7-9``."""
    runs: list[list[int]] = []
    for ldn in sorted(ldns):
        if runs and ldn == runs[-1][-1] + 1:
            runs[-1][1:] = [ldn]
        else:
            runs.append([ldn])
    return ', '.join('-'.join(map(str, run)) for run in runs)


def _is_in_use(config: ArrayConfig, entry: Entry) -> bool:
    """Tell whether an entry stays: a control volume is there for long."""
    ld = config.logical_disks.get(entry.ldn)
    return (entry.kind is Kind.CONTROL and ld is not None
            and ld.name == entry.name)
