# SPDX-License-Identifier: Apache-2.0
"""Simulated arrays that hosts can log in to, and a cloud on such arrays."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
from pathlib import Path

import pytest
from simhost.process import SimHost

from harness import drivers, traces
from harness.data_stage import DataStage
from ismsim.process import SimProcess
from tests.data import needs
from tests.data.cloud import CASES, User

DATA_PATH = ('--data-path', 'on', '--iscsi-port', '0')
# No periodic task in a test's way.
QUIET = {'periodic_interval': 3600, 'backend_stats_polling_interval': 3600}
EMPTY = {'sessions': [], 'disks': {}, 'maps': {}}


@pytest.fixture(scope='module')
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing that the tests of a module start may be left behind."""
    # pytest's own directory is not to be in the watched one.
    tmp_path_factory.getbasetemp()
    with traces.watched():
        yield


@pytest.fixture
def sim(watched: None) -> Iterator[SimProcess]:
    """An array with a data path on a free port."""
    needs.target()
    with SimProcess(extra=DATA_PATH) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture(scope='session')
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """TMPDIR of the cloud; at the end nothing of it may be left behind.

    Tests of other directories that run meanwhile do not get it.
    """
    tmp_path_factory.getbasetemp()
    before = os.environ.get('TMPDIR')
    with traces.watched() as place, traces.using(before):
        yield str(place)


@pytest.fixture(scope='session')
def stage(tmp_path_factory: pytest.TempPathFactory,
          temporary: str) -> Iterator[DataStage]:
    """Cinder, cinder-backup, Glance, and an array for each driver class."""
    needs.cloud()
    state = tmp_path_factory.mktemp('data')
    with contextlib.ExitStack() as stack:
        with traces.using(temporary):
            running = stack.enter_context(DataStage(
                state / 'stage',
                [drivers.find(name) for name, _paths in CASES],
                multipath=[paths for _name, paths in CASES],
                default=QUIET))
        assert all(running.cinder.up.values()), running.errors()
        yield running


@pytest.fixture(scope='session')
def nodes(stage: DataStage, temporary: str) -> Iterator[list[SimHost]]:
    """Two compute nodes."""
    with contextlib.ExitStack() as stack:
        with traces.using(temporary):
            hosts = [stack.enter_context(stage.new_host(
                f'node{number}', (f'10000090fa5c00{number}1',
                                  f'10000090fa5c00{number}2')))
                for number in (1, 2)]
        yield hosts


@pytest.fixture(params=range(len(CASES)), ids=[name for name, _ in CASES])
def user(request: pytest.FixtureRequest, stage: DataStage,
         nodes: list[SimHost], temporary: str) -> Iterator[User]:
    """A user of each driver class; nothing of his may stay anywhere."""
    before = [array.contents() for array in stage.arrays]
    one = User(stage, request.param, nodes)
    with traces.using(temporary):
        try:
            yield one
        finally:
            one.clean_up()
    assert [array.contents() for array in stage.arrays] == before
    for host in (stage.host, *nodes):
        assert host.describe() == EMPTY, host.name
    for array in stage.arrays:
        assert array.control.info()['data_path']['errors'] == []
