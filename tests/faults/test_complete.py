# SPDX-License-Identifier: Apache-2.0
"""The matrix has every operation of every driver class."""

from __future__ import annotations

from pathlib import Path
import re
from typing import Any

import pytest

from tests.cinder.drivers import DRIVERS  # first: it registers objects

from tests.faults.rig import Rig  # isort: skip
from tests.faults.scenarios import (  # isort: skip
    INHERITED_FROM_CINDER, NOT_OF_CINDER, SCENARIOS, SILENT, scenarios_of)

README = Path(__file__).parents[2] / 'README.rst'
CASES = [pytest.param(cls, each, id=f'{cls.__name__}: {each.name}')
         for cls in DRIVERS for each in scenarios_of(cls)]
# Cinder's own method, which calls what the driver has of it.
INHERITED = {'get_volume_stats'}


def methods_of(cls: type) -> set[str]:
    """Return what Cinder may call and this package has written."""
    return INHERITED | {
        name for name in dir(cls) if not name.startswith('_')
        and callable(getattr(cls, name))
        and getattr(cls, name).__module__.startswith('cinder_nec')}


@pytest.mark.parametrize('cls', DRIVERS, ids=lambda cls: cls.__name__)
def test_no_method_is_forgotten(cls):
    covered = {name for each in scenarios_of(cls) for name in each.covers}
    assert methods_of(cls) - set(NOT_OF_CINDER) == covered | set(SILENT)
    assert not covered & set(SILENT)


@pytest.mark.parametrize('cls', DRIVERS, ids=lambda cls: cls.__name__)
def test_what_is_inherited_has_a_reason(cls):
    """Of what Cinder may call nothing is left out without a word."""
    public = {name for name in dir(cls) if not name.startswith('_')
              and callable(getattr(cls, name))}
    assert public - methods_of(cls) == set(INHERITED_FROM_CINDER)
    assert all(INHERITED_FROM_CINDER.values())


def test_what_is_not_for_all_classes_has_a_reason():
    for each in SCENARIOS:
        is_for_all = all(map(each.only.of, DRIVERS))
        assert is_for_all != bool(each.only.why), each.name


@pytest.fixture(autouse=True)
def _cloud(the_cloud):
    """Volume types and zones."""


class Listener:
    """A driver that writes down what is called."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.called.add(name)
        return getattr(self._driver, name)


@pytest.mark.parametrize('cls, scenario', CASES)
def test_a_scenario_calls_what_it_covers(cls, scenario, tmp_path):
    rig = Rig(cls, tmp_path, dict(scenario.options))
    scenario.prepare(rig)
    if scenario.cold:
        rig.start_service()
    rig.driver = listener = Listener(rig.driver)
    mark = rig.lab.mark()
    scenario.run(rig)
    assert listener.called >= set(scenario.covers)
    assert rig.lab.sent(mark)


CALLS = {
    'backup_use_temp_snapshot': (),
    'create_export': (None, 'volume', None),
    'create_export_snapshot': (None, 'snapshot', None),
    'ensure_export': (None, 'volume'),
    'get_default_filter_function': (),
    'get_default_goodness_function': (),
    'get_driver_options': (),
    'remove_export': (None, 'volume'),
    'snapshot_revert_use_temp_snapshot': (),
    'unmanage': ('volume',),
    'unmanage_snapshot': ('snapshot',),
    'validate_connector': ('host',),
}


@pytest.mark.parametrize('cls', DRIVERS, ids=lambda cls: cls.__name__)
def test_the_silent_ones_send_nothing(cls, tmp_path):
    # do_setup makes the back end from options, and is tested with these.
    assert set(CALLS) == set(SILENT) - {'do_setup'}
    rig = Rig(cls, tmp_path, {})
    values = {'volume': rig.bystander, 'snapshot': rig.snapshot,
              'host': rig.host(), None: None}
    mark = rig.lab.mark()
    for name, arguments in CALLS.items():
        getattr(rig.driver, name)(*(values[each] for each in arguments))
    assert not rig.lab.sent(mark)


def rows() -> dict[str, list[bool]]:
    """Return the README's table: operations, and for which classes."""
    table = README.read_text().split('Operations by class\n', 1)[1]
    table = table.split('Operation ', 1)[1].split('\n\n')[0]
    found = {}
    for line in table.splitlines()[2:-1]:
        name, *cells = re.split(r'\s{2,}', line.strip())
        assert len(cells) == len(DRIVERS), line
        found[name] = [cell != r'\-' for cell in cells]
    return found


def test_no_row_of_the_readme_is_forgotten():
    table = rows()
    assert len(table) > 10
    assert {each.row for each in SCENARIOS} - {''} <= set(table)
    for name, offered in table.items():
        for cls, there_is in zip(DRIVERS, offered, strict=True):
            tested = any(each.row == name for each in scenarios_of(cls))
            assert tested == there_is, (name, cls.__name__)
