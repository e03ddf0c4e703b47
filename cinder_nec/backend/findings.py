# SPDX-License-Identifier: Apache-2.0
"""What an audit finds, as values.

A finding names one object and says what it means, in which commands would
mend it, and whether it is proven that they lose no data.
"""

from __future__ import annotations

import dataclasses
import enum


class FindingKind(enum.Enum):
    """What is not as it should be."""

    # On the array, without an object of Cinder.
    LD_WITHOUT_OBJECT = 'LD without a volume or snapshot'
    GENERATION_WITHOUT_SNAPSHOT = 'generation without a snapshot'
    LINK_VOLUME_LEFT = 'link volume that nothing uses'
    MIGRATION_LEFT = 'LD left of a migration'
    KEPT_REPLICA_LEFT = 'replication volume that keeps nothing'
    CONTROL_VOLUME_LEFT = 'control volume that nothing uses'
    NAMELESS_LD = 'LD without a name'
    UNBIND_LEFT = 'LD that was to be unbound'
    PAIR_WITHOUT_OBJECT = 'pair without a volume or snapshot'
    LD_SET_LEFT = 'LD Set without an LD'
    MAPPING_WITHOUT_ATTACHMENT = 'mapping without an attachment'
    # In Cinder, without its part of the array.
    VOLUME_WITHOUT_LD = 'volume without an LD'
    SNAPSHOT_WITHOUT_LD = 'snapshot without an LD'
    ATTACHMENT_WITHOUT_MAPPING = 'attachment without a mapping'
    # On both sides, and not the same.
    SIZE_DIFFERS = 'sizes differ'
    WRONG_ORIGIN = 'snapshot of another volume'
    SNAPSHOT_DATA_LOST = 'snapshot without its data'
    PAIR_BROKEN = 'copy that was broken off'
    COPY_SETTLES = 'copy that settles'
    # Which of it is true is not known.
    NOT_READ = 'pairs or generations that the array does not show'


class Standing(enum.Enum):
    """How much a finding counts."""

    #: Array and Cinder do not agree.
    DIFFERENCE = 'difference'
    #: An operation is under way that explains it; look again later.
    IN_FLIGHT = 'in flight'
    #: It may be an administrator's own, and then it is in order.
    UNSURE = 'perhaps'
    #: It costs nothing and will be used again or go by itself.
    HARMLESS = 'harmless'


class Place(enum.Enum):
    """Where a command is to be run."""

    ARRAY = 'array'
    CINDER = 'cinder'


@dataclasses.dataclass(frozen=True)
class Step:
    """One command line that helps to mend a finding."""

    place: Place
    text: str


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    :param subject: the object: an LD, pair or LD Set as the array names
        it, or ``volume``, ``snapshot`` or ``attachment`` and its id
    :param meaning: what it means, in one or two sentences
    :param cinder_id: the volume or snapshot it is about, or was
    :param steps: what would mend it, in order; empty if it goes by itself
        or if only a human can tell
    :param is_safe: it is proven that the steps lose no data
    """

    kind: FindingKind
    standing: Standing
    subject: str
    meaning: str
    cinder_id: str | None = None
    steps: tuple[Step, ...] = ()
    is_safe: bool = False

    @property
    def is_difference(self) -> bool:
        return self.standing is Standing.DIFFERENCE

    def __str__(self) -> str:
        return f'{self.kind.value}: {self.subject}. {self.meaning}'
