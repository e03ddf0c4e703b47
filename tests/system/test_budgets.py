# SPDX-License-Identifier: Apache-2.0
"""How many commands an operation may cost (DESIGN.md, section 5).

A command is a round trip and, if it changes something, a turn of the
array's one configuration lock. The driver knows the array already (warm);
nothing periodic runs in these stages.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib

import pytest

from harness import drivers
from harness.array import Array, Command
from tests.system.cloud import Cloud


class Bill:
    """What was sent to the array during a block."""

    def __init__(self) -> None:
        self.commands: list[Command] = []

    @property
    def dumps(self) -> int:
        return sum(c.is_dump for c in self.commands)

    @property
    def others(self) -> list[str]:
        return [c.text for c in self.commands if not c.is_dump]


@pytest.fixture
def warm(cloud: Cloud) -> Cloud:
    """The first operation after a start may have to look around."""
    cloud.delete(cloud.create())
    return cloud


@contextlib.contextmanager
def bill(array: Array) -> Iterator[Bill]:
    """Collect the commands of a block."""
    result = Bill()
    mark = array.mark()
    yield result
    result.commands = array.journal(mark)


def assert_cost(paid: Bill, commands: int, dumps: int = 0) -> None:
    assert len(paid.others) <= commands, paid.others
    assert paid.dumps <= dumps, [c.text for c in paid.commands]


def test_create(warm: Cloud, array: Array):
    with bill(array) as paid:
        warm.create()
    assert_cost(paid, 2)


def test_delete(warm: Cloud, array: Array):
    volume = warm.create()
    with bill(array) as paid:
        warm.delete(volume)
    assert_cost(paid, 1)


def test_extend(warm: Cloud, array: Array):
    volume = warm.create()
    with bill(array) as paid:
        warm.extend(volume, 2)
    assert_cost(paid, 1)


def test_attach_to_a_known_host(warm: Cloud, array: Array):
    warm.detach(warm.attach(warm.create()))
    volume = warm.create()
    with bill(array) as paid:
        warm.attach(volume)
    # The array chooses the target of a multi-target LD Set: look it up.
    dumps = 1 if warm.driver.protocol == drivers.ISCSI else 0
    assert_cost(paid, 1, dumps)


def test_attach_to_a_new_host(warm: Cloud, array: Array):
    volume = warm.create()
    host = f'host{20 + len(array.ld_sets())}'
    with bill(array) as paid:
        warm.attach(volume, host)
    dumps = 1 if warm.driver.protocol == drivers.ISCSI else 0
    initiators = len(warm.initiators(host))
    assert_cost(paid, 1 + 1 + initiators, dumps)


def test_detach(warm: Cloud, array: Array):
    attachment = warm.attach(warm.create())
    with bill(array) as paid:
        warm.detach(attachment)
    assert_cost(paid, 1)


def test_snapshot(warm: Cloud, array: Array):
    if warm.driver.method != drivers.SNAPSHOT:
        pytest.skip('the budget is for the snapshot method')
    volume = warm.create()
    with bill(array) as paid:
        warm.snapshot(volume)
    assert_cost(paid, 2)


def test_an_idle_back_end_sends_nothing(warm: Cloud, array: Array):
    # The stats that Cinder reads after a delete, of the test before this
    # one, may still be on their way: once.
    for _ in range(2):
        with bill(array) as paid:
            for _ in range(5):
                warm.client.volumes.list()
        if not paid.commands:
            break
    assert not paid.commands
