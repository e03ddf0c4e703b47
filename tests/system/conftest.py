# SPDX-License-Identifier: Apache-2.0
"""One Cinder with one simulated array for each driver class.

They are started once in each test process, and shared: a test leaves the
array as it found it, which the ``cloud`` fixture checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from pathlib import Path

import pytest

from harness import drivers
from harness.array import Array
from harness.drivers import Driver
from harness.stage import Stage
from tests.system.cloud import Cloud

# No periodic task in a test's way: stats are read once, at the start.
QUIET = {'periodic_interval': 3600, 'backend_stats_polling_interval': 3600}

Stages = Callable[[Driver], Stage]


@pytest.fixture(scope='session')
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    """Start the stage of a driver class when it is first asked for."""
    running: dict[Driver, Stage] = {}
    with contextlib.ExitStack() as stack:
        def of(driver: Driver) -> Stage:
            if driver not in running:
                state = tmp_path_factory.mktemp(driver.name)
                running[driver] = stack.enter_context(
                    Stage(state, driver, default=QUIET))
            return running[driver]
        yield of


@pytest.fixture(params=drivers.READY)
def driver(request: pytest.FixtureRequest) -> Driver:
    """Each class of the conformance suite in turn."""
    return drivers.find(request.param)


@pytest.fixture
def stage(driver: Driver, stages: Stages) -> Stage:
    return stages(driver)


@pytest.fixture
def array(stage: Stage) -> Array:
    return stage.array


@pytest.fixture
def cloud(stage: Stage) -> Iterator[Cloud]:
    """A user who takes everything back, and the proof that he did."""
    with user_of(stage) as user:
        yield user


@contextlib.contextmanager
def user_of(stage: Stage) -> Iterator[Cloud]:
    """A user of a stage; nothing of his may stay on the array.

    Nor may a line have reached it that is not in its grammar.
    """
    before, mark = stage.array.contents(), stage.array.mark()
    user = Cloud(stage)
    try:
        yield user
    finally:
        user.clean_up()
    assert stage.array.contents() == before
    assert not [command.text for command in stage.array.journal(mark)
                if command.hostile or command.kind == 'UNKNOWN']


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A directory for a test that starts a stage of its own."""
    return tmp_path / 'stage'
