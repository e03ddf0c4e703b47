# SPDX-License-Identifier: Apache-2.0
"""What each model can hold (manual 2.4 and 7.3.3, ISMCLI.md C)."""

from __future__ import annotations

import dataclasses

MAX_INITIATORS_PER_LD_SET = 16
MAX_WWPNS_PER_LD_SET = 64

_UNKNOWN_MODEL_LDS = 8192
# From this release of iSM on, an LD Set can hold twice as many LDs.
_MANY_SESSIONS_SINCE = (9, 1)


@dataclasses.dataclass(frozen=True)
class ModelLimits:
    """The limits of a model; None where none is published.

    :param lds: LDs in the array
    :param lds_per_ld_set: LDs in an iSCSI LD Set in multi-target mode, that
        is, sessions through one of its portals
    :param sessions: iSCSI sessions of the array
    :param expands_paired: whether an LD can be expanded while it is paired
    """

    lds: int
    lds_per_ld_set: int
    sessions: int | None = None
    sessions_per_port: int | None = None
    portals_per_ld_set: int | None = None
    expands_paired: bool = False


_LDS = {
    **dict.fromkeys(('M700', 'A5000', 'M710', 'M710F', 'M5000'), 8192),
    **dict.fromkeys(('M500', 'M300', 'M310', 'M310F', 'M510', 'A3000/100'),
                    4096),
    **dict.fromkeys(('M100', 'M10e', 'M110', 'M11e'), 1024),
}
# Sessions in all, sessions for each port, portals for each LD Set.
_ISCSI = {
    'M110': (2048, 256, 8),
    'M310': (8192, 1024, 8), 'M310F': (8192, 1024, 8),
    'M510': (16384, 1024, 16),
    'M710': (24576, 1024, 24), 'M710F': (24576, 1024, 24),
}
# Manual 7.3.3, note 1.
_EXPANDS_PAIRED = frozenset({
    'M110', 'M310', 'M310F', 'M510', 'M710', 'M710F'})


def limits_of(product_id: str, version: str = '') -> ModelLimits:
    """Return the limits of a disk array.

    :param product_id: as the array shows it, such as ``M310``, ``iStorage
        M700`` or ``M300 Disk Array``
    :param version: of iSM, such as ``9.4.001``; '' counts as a new one
    """
    model = product_id.removeprefix('iStorage ').removesuffix(' Disk Array')
    sessions, per_port, portals = _ISCSI.get(model, (None, None, None))
    managed = 1024 if _parse(version) >= _MANY_SESSIONS_SINCE else 512
    return ModelLimits(
        lds=_LDS.get(model, _UNKNOWN_MODEL_LDS),
        lds_per_ld_set=min(managed, per_port or managed),
        sessions=sessions, sessions_per_port=per_port,
        portals_per_ld_set=portals,
        expands_paired=model in _EXPANDS_PAIRED)


def _parse(version: str) -> tuple[int, ...]:
    parts = version.split('.')[:2]
    if len(parts) < 2 or not all(p.isascii() and p.isdigit() for p in parts):
        return _MANY_SESSIONS_SINCE
    return tuple(map(int, parts))
