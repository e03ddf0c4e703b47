# SPDX-License-Identifier: Apache-2.0
"""How large the work is, and how slow the array."""

from __future__ import annotations

from dataclasses import dataclass, field

# ISMCLI.md and the in-tree driver's price list use the same figures.
LATENCY = {'dump': 1.0, 'dump_per_ld': 0.0005, 'change': 0.5,
           'query': 0.2}
QUICK_LATENCY = {'dump': 0.2, 'dump_per_ld': 0.0001, 'change': 0.1,
                 'query': 0.04}


def parse_latency(text: str) -> dict[str, float]:
    """Read ``dump=1.0,change=0.5``.

    :raises ValueError: it is not that
    """
    found = {}
    for item in filter(None, text.split(',')):
        name, _, value = item.partition('=')
        if name.strip() not in LATENCY:
            raise ValueError(f'{name.strip()!r} is none of '
                             f'{", ".join(LATENCY)}')
        found[name.strip()] = float(value)
        if found[name.strip()] < 0:
            raise ValueError(f'{item!r} is negative')
    return found


@dataclass(frozen=True)
class Settings:
    """The options that the rows read.

    :param parallel: operations at a time where the table says 64
    :param in_tree: whether the in-tree driver is measured too
    :param in_tree_operations: it does no more than so many of them
    :param patience: seconds after which a clone is no longer waited for
    :param idle_seconds: how long an idle back end is watched
    """

    lds: tuple[int, ...] = (1000, 8000)
    parallel: int = 64
    latency: dict[str, float] = field(
        default_factory=lambda: dict(LATENCY))
    copy_rate: str = '1GiB'
    in_tree: bool = True
    in_tree_operations: int | None = None
    large_gib: int = 1024
    dump_lds: int = 8192
    patience: float = 120.0
    idle_seconds: float = 61.0

    @property
    def latency_text(self) -> str:
        return ','.join(f'{k}={v}' for k, v in self.latency.items())

    @property
    def change_seconds(self) -> float:
        return self.latency['change']

    def dump_seconds(self, lds: int) -> float:
        """How long the array takes for a dump."""
        return self.latency['dump'] + self.latency['dump_per_ld'] * lds

    @property
    def first_lds(self) -> int:
        """LDs that are there in rows that name no number."""
        return self.lds[0]
