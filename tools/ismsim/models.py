# SPDX-License-Identifier: Apache-2.0
"""What each model can hold (ISMCLI.md C; driver manual 2.4 and 7.3.3)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

GENERATIONS_PER_BV = 256        # manual 7.1 (*1); ISMCLI.md H
RVS_PER_MV = 3                  # manual 7.1 (*1); ISMCLI.md C
INITIATORS_PER_LDSET = 16       # manual 3.1 *4; ISMCLI.md H
WWPNS_PER_LDSET = 64            # manual 3.1 *4; ISMCLI.md H
LD_NAME_LENGTH = 24             # ISMCLI.md C
LDSET_NAME_LENGTH = 16          # ISMCLI.md C (U)

OS_TYPES = ('A2', 'A4', 'AX', 'CX', 'LX', 'NX', 'SX', 'WN', 'WG')


@dataclass(frozen=True)
class ProductLimits:
    """The numbers that differ by model; YAML may override each."""

    lds: int
    sessions_per_array: int
    sessions_per_port: int
    portals_per_ldset: int
    # Manual 7.3.3 note 1 names the models that can expand a paired LD.
    expand_paired: bool = False
    lds_per_pool: int = 65536
    lds_per_ldset: int = 1024
    generations_per_bv: int = GENERATIONS_PER_BV
    rvs_per_mv: int = RVS_PER_MV
    initiators_per_ldset: int = INITIATORS_PER_LDSET
    wwpns_per_ldset: int = WWPNS_PER_LDSET


# Manual 2.4: sessions per array, sessions per port, portals per LD Set.
# ASSUMED: a model that 2.4 does not list has the numbers of the listed
# model with the same number of LDs.
_SMALL = (2048, 256, 8)
_MEDIUM = (8192, 1024, 8)
_M510 = (16384, 1024, 16)
_LARGE = (24576, 1024, 24)

_PRODUCTS = {
    'M100': (1024, _SMALL), 'M10e': (1024, _SMALL),
    'M110': (1024, _SMALL), 'M11e': (1024, _SMALL),
    'M300': (4096, _MEDIUM), 'M310': (4096, _MEDIUM),
    'M310F': (4096, _MEDIUM), 'A3000/100': (4096, _MEDIUM),
    'M500': (4096, _M510), 'M510': (4096, _M510),
    'M700': (8192, _LARGE), 'M710': (8192, _LARGE),
    'M710F': (8192, _LARGE), 'A5000': (8192, _LARGE),
    'M5000': (8192, _LARGE),
}
_EXPANDS_PAIRED = {'M110', 'M310', 'M310F', 'M510', 'M710', 'M710F'}


def limits_for(product_id: str, ism_version: str = '9.4.001',
               firmware: str = '1028',
               overrides: dict[str, Any] | None = None) -> ProductLimits:
    """The limits of a model; an unknown one counts as the largest.

    ASSUMED for the unknown model: ISMCLI.md C only says that the in-tree
    driver takes 8192 for it.
    """
    lds, (array, port, portals) = _PRODUCTS.get(product_id, (8192, _LARGE))
    # ASSUMED: LDs per LD Set = sessions per port, as in every example of
    # manual 2.4; 512 before iSM 9.1 (ISMCLI.md C, "managing sessions").
    per_ldset = port
    if _version(ism_version) < (9, 1):
        per_ldset = min(per_ldset, 512)
    # ISMCLI.md C: 1024 LDs per pool before storage control software 1015.
    per_pool = 1024 if int(firmware[:4]) < 1015 else 65536
    values: dict[str, Any] = {
        'lds': lds, 'sessions_per_array': array, 'sessions_per_port': port,
        'portals_per_ldset': portals, 'lds_per_ldset': per_ldset,
        'lds_per_pool': per_pool,
        'expand_paired': product_id in _EXPANDS_PAIRED}
    known = {field.name for field in fields(ProductLimits)}
    for name, value in (overrides or {}).items():
        if name not in known:
            raise ValueError(f'limits: {name} is not one of '
                             f'{", ".join(sorted(known))}')
        values[name] = value
    return ProductLimits(**values)


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split('.')[:2]
    return int(major), int(minor)
