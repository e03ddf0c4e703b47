# SPDX-License-Identifier: Apache-2.0
"""Who has an LD attached: Cinder's records, and what they do not tell yet.

Cinder writes a host down after the driver has answered its attach, and
removes an attachment after the driver has ended it.  By the records alone a
detach would take an LD from a host that was told a moment ago how to reach
it, and of two detaches at once each would leave the LD to the other.

This knows what one process did.  What a peer of a cluster answers in the
same moment is not seen; the time for that is the one that Cinder takes to
write it down.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
import dataclasses
import enum
import threading
import time

from cinder_nec.backend.access.connector import Connector
from cinder_nec.model import LdName, Protocol

# By the attachment's id; None while it has no connector.
Records = Mapping[str, Connector | None]

# A record that is there longer after its end was not the one that ended:
# Cinder's copies attach volumes without a record.
_RECORD_GOES_WITHIN_SECONDS = 30.0
# More than are attached and detached at the same time.
_MAX_LDS = 4096


@dataclasses.dataclass(frozen=True)
class Users:
    """Who uses an LD, as far as Cinder tells.

    :param hosts: of the attachments that have a connector
    :param may_be_more: somebody may use it who has no connector there yet,
        or no attachment, such as a backup or a copy through a host
    """

    hosts: tuple[Connector, ...] = ()
    may_be_more: bool = False


class Use(enum.Enum):
    """Whether somebody uses a mapping."""

    USED = 'used'
    UNUSED = 'unused'
    UNSURE = 'unsure'


@dataclasses.dataclass
class _Answered:
    """An attach that was answered.

    :param ids: attachments without a connector then; one is its own
    """

    host: Connector
    ids: set[str]


@dataclasses.dataclass(frozen=True)
class _Ended:
    """Attachments of one host, some of which have ended.

    :param live: how many have not; Cinder does not say which
    :param until: when it is forgotten
    """

    host: Connector
    ids: frozenset[str]
    live: int
    until: float


@dataclasses.dataclass
class _Ld:
    answered: list[_Answered] = dataclasses.field(default_factory=list)
    ended: list[_Ended] = dataclasses.field(default_factory=list)


class Attachments:
    """The attachments of one back end's LDs.

    The caller sees to it that attach and detach of one LD through one LD
    Set do not run at the same time.
    """

    def __init__(self, protocol: Protocol,
                 now: Callable[[], float] = time.monotonic) -> None:
        self._protocol = protocol
        self._now = now
        self._lock = threading.Lock()
        self._lds: OrderedDict[LdName, _Ld] = OrderedDict()

    def answered(self, name: LdName, records: Records,
                 host: Connector) -> None:
        """A host is told how to reach an LD; Cinder will write it down."""
        ids = {key for key, found in records.items() if found is None}
        if ids:
            with self._lock:
                self._entry(name).answered.append(_Answered(host, ids))

    def others(self, name: LdName, records: Records,
               ending: Connector) -> list[Connector]:
        """Return who has an LD attached besides one attachment of a host."""
        with self._lock:
            recorded, coming = self._look(name, records)
        others = [*recorded.values(), *coming]
        same = next((other for other in others
                     if other.is_host_of(ending, self._protocol)), None)
        if same is not None:
            others.remove(same)
        return others

    def ended(self, name: LdName, records: Records,
              ending: Connector) -> None:
        """An attachment of a host has ended; its record will go."""
        with self._lock:
            recorded, _coming = self._look(name, records)
            live = sum(other.is_host_of(ending, self._protocol)
                       for other in recorded.values())
            ids = frozenset(
                key for key, found in records.items() if found is not None
                and found.is_host_of(ending, self._protocol))
            ld = self._entry(name)
            if not ids:
                # One that never got a record.
                coming = [one for one in ld.answered if one.host.is_host_of(
                    ending, self._protocol)]
                for one in coming[:1]:
                    ld.answered.remove(one)
                return
            ld.ended = [e for e in ld.ended
                        if not e.host.is_host_of(ending, self._protocol)]
            ld.ended.append(_Ended(
                ending, ids, max(0, live - 1),
                self._now() + _RECORD_GOES_WITHIN_SECONDS))

    def _entry(self, name: LdName) -> _Ld:
        ld = self._lds.setdefault(name, _Ld())
        self._lds.move_to_end(name)
        if len(self._lds) > _MAX_LDS:
            self._lds.popitem(last=False)
        return ld

    def _look(self, name: LdName, records: Records
              ) -> tuple[dict[str, Connector], list[Connector]]:
        """Return who is recorded and goes on, and who will be recorded."""
        recorded = {key: found for key, found in records.items()
                    if found is not None}
        ld = self._lds.get(name)
        if ld is None:
            return recorded, []
        ld.answered = [one for one in ld.answered
                       if not self._is_settled(one, ld, records)]
        ld.ended = [e for e in ld.ended if self._now() < e.until
                    and not e.ids.isdisjoint(recorded)]
        for e in ld.ended:
            for key in sorted(e.ids.intersection(recorded))[e.live:]:
                del recorded[key]
        if not (ld.answered or ld.ended):
            del self._lds[name]
        return recorded, [one.host for one in ld.answered]

    def _is_settled(self, one: _Answered, ld: _Ld,
                    records: Records) -> bool:
        """Tell whether an answered attach has its record, or gets none."""
        there = sorted(one.ids.intersection(records))
        for key in there:
            found = records[key]
            if found is not None and found.is_host_of(
                    one.host, self._protocol):
                # Nobody else's, then.
                for another in ld.answered:
                    another.ids.discard(key)
                return True
        return all(records[key] is not None for key in there)
