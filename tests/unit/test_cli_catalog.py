# SPDX-License-Identifier: Apache-2.0
"""The table of checks, and who uses it; limits without an array."""

from __future__ import annotations

from pathlib import Path
import re
from types import MappingProxyType

import pytest

import cinder_nec.cli
from cinder_nec.cli import catalog
from cinder_nec.cli.catalog import CHECKS, Level
from cinder_nec.cli.check_storage import check_limits
from cinder_nec.cli.findings import Report, worst
from cinder_nec.cli.site import CLASSES, Entry
from cinder_nec.model import (
    ArrayConfig,
    LdMapping,
    LdName,
    LdSet,
    LdSetName,
    LogicalDisk,
    Pool,
    Portal,
    Protocol,
    TargetMode,
)

SOURCES = Path(cinder_nec.cli.__file__).parent
_USED = re.compile(
    r"(?:report\.(?:ok|warning|error|add|failed)|_near|_probe)\(\s*'"
    r"([a-z-]+)'")


def test_every_check_of_the_table_is_made_and_no_other() -> None:
    used = {found for path in SOURCES.glob('check*.py')
            for found in _USED.findall(path.read_text('utf-8'))}
    assert used == set(catalog.BY_ID)


def test_the_table_is_whole() -> None:
    assert len(catalog.BY_ID) == len(CHECKS)
    for check in CHECKS:
        for text in (check.title, check.meaning, check.remedy):
            assert text == text.strip() and text
        assert check.meaning.endswith('.') and check.remedy.endswith('.')
        assert check.worst is not Level.OK
    listed = [c for _chapter, some in catalog.by_chapter() for c in some]
    assert tuple(listed) == CHECKS


# -- limits -----------------------------------------------------------------

def config(lds: int = 1, mapped: int = 0, hosts: int = 1,
           portals: int = 1) -> ArrayConfig:
    """Return an M110: 1,024 LDs, 256 in an LD Set, 2,048 sessions."""
    ld_set = LdSet(
        LdSetName('LX', 'Set'), Protocol.ISCSI, TargetMode.MULTI_TARGET,
        portals=tuple(Portal(f'192.0.2.{n + 1}', 3260)
                      for n in range(portals)),
        initiators=frozenset(f'iqn.2001-01.example:h{n}'
                             for n in range(hosts)),
        mappings=MappingProxyType(
            {n: LdMapping(n, 0) for n in range(mapped)}))
    return ArrayConfig(
        'M110', '9.4.001', {0: Pool(0, 1, 0, 1)},
        {n: LogicalDisk(n, LdName('LX', f'ld{n}'), 0, 1)
         for n in range(lds)}, {ld_set.name: ld_set})


@pytest.mark.parametrize(('values', 'check', 'level'), [
    ({'lds': 900}, 'limit-lds', Level.OK),
    ({'lds': 922}, 'limit-lds', Level.WARNING),
    ({'lds': 1024}, 'limit-lds', Level.ERROR),
    ({'mapped': 200}, 'limit-ld-set', Level.OK),
    ({'mapped': 240}, 'limit-ld-set', Level.WARNING),
    ({'mapped': 256}, 'limit-ld-set', Level.ERROR),
    ({'mapped': 200, 'portals': 8}, 'limit-sessions', Level.OK),
    ({'mapped': 240, 'portals': 8}, 'limit-sessions', Level.WARNING),
    ({'mapped': 200, 'hosts': 3, 'portals': 4}, 'limit-sessions',
     Level.WARNING),
    ({'hosts': 15}, 'limit-hosts', Level.OK),
    ({'hosts': 16}, 'limit-hosts', Level.WARNING),
])
def test_limits(values: dict[str, int], check: str, level: Level) -> None:
    report = Report('gold')
    check_limits(entry(), config(**values), report)
    assert worst([f for f in report.findings
                  if f.check.id == check]) is level
    assert report.has(check)
    others = [f for f in report.findings if f.level > Level.WARNING]
    assert all(f.check.id == check for f in others)


def entry() -> Entry:
    class Options:
        pools = ()
        max_ld_count = None

    return Entry('gold', CLASSES['MStorageISCSIDriver'], 'x', True,
                 config=Options())  # type: ignore[arg-type]
