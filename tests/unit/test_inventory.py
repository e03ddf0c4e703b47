# SPDX-License-Identifier: Apache-2.0
"""The known configuration: one dump for many, own changes on top."""

from __future__ import annotations

import threading

import pytest

from cinder_nec import errors
from cinder_nec.backend import changes
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.reservations import Reservations
from cinder_nec.model import GIB, ArrayConfig, LdName, LogicalDisk, Pool
from tests.helpers import FakeClock

NAME = LdName('LX', 'a')


def config(*lds: LogicalDisk, unrecognized=()) -> ArrayConfig:
    return ArrayConfig(
        'M310', 'v', {0: Pool(0, 100 * GIB, 0, 100 * GIB)},
        {ld.ldn: ld for ld in lds}, {}, unrecognized=tuple(unrecognized))


class Array:
    """Hands out dumps; holds one back until it is let go."""

    def __init__(self, *lds: LogicalDisk) -> None:
        self.now = config(*lds)
        self.dumps = 0
        self.failure: Exception | None = None
        self.started = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def fetch(self, known: ArrayConfig | None) -> ArrayConfig:
        self.dumps += 1
        shown = self.now
        self.started.set()
        assert self.go.wait(30)
        if self.failure is not None:
            raise self.failure
        return shown


def make(array: Array) -> Inventory:
    return Inventory(array.fetch, FakeClock())


def disk(ldn: int, name: LdName = NAME) -> LogicalDisk:
    return LogicalDisk(ldn, name, 0, GIB)


def in_thread(target) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []

    def run() -> None:
        try:
            results.append(target())
        except errors.NecError as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def test_the_first_question_reads_the_array_and_the_next_does_not():
    array = Array(disk(1))
    inventory = make(array)
    assert inventory.current().find_ld(NAME) == disk(1)
    assert inventory.current().find_ld(NAME) == disk(1)
    assert array.dumps == 1


def test_own_changes_are_known_without_a_dump():
    array = Array()
    inventory = make(array)
    inventory.current()
    inventory.record(changes.bound(disk(5)))
    assert inventory.current().find_ld(NAME) == disk(5)
    assert inventory.current().pools[0].free_bytes == 99 * GIB
    inventory.record(changes.unbound(NAME))
    assert inventory.current().find_ld(NAME) is None
    assert inventory.current().pools[0].free_bytes == 100 * GIB
    assert array.dumps == 1


def test_a_change_during_a_dump_is_not_lost():
    array = Array()
    inventory = make(array)
    inventory.current()
    array.go.clear()
    array.started.clear()
    thread, _ = in_thread(inventory.refresh)
    assert array.started.wait(30)
    inventory.record(changes.bound(disk(5)))
    array.go.set()
    thread.join(30)
    assert inventory.current().find_ld(NAME) == disk(5)


def test_a_change_that_the_dump_shows_already_counts_once():
    array = Array()
    inventory = make(array)
    inventory.current()
    array.now = config(disk(5))
    array.go.clear()
    array.started.clear()
    thread, _ = in_thread(inventory.refresh)
    assert array.started.wait(30)
    inventory.record(changes.bound(disk(5)))
    array.go.set()
    thread.join(30)
    assert inventory.current().pools[0].free_bytes == 100 * GIB


def test_a_dump_replaces_what_was_known():
    array = Array()
    inventory = make(array)
    inventory.record(changes.bound(disk(5)))
    inventory.refresh()
    assert inventory.current().find_ld(NAME) is None


def test_askers_share_the_next_dump_not_one_that_began_before():
    array = Array()
    inventory = make(array)
    array.go.clear()
    first, _ = in_thread(inventory.current)
    assert array.started.wait(30)
    moments = [inventory.record(changes.bound(disk(n, LdName('LX', f'{n}'))))
               for n in range(8)]
    askers = [in_thread(lambda m=m: inventory.refresh(m)) for m in moments]
    array.now = config(disk(77, LdName('LX', 'new')))
    array.go.set()
    first.join(30)
    for thread, results in askers:
        thread.join(30)
        assert results[0].find_ld(LdName('LX', 'new')) is not None
    assert array.dumps == 2


def test_a_dump_in_flight_is_shared_by_whoever_asked_before():
    array = Array()
    inventory = make(array)
    moment = inventory.mark()
    array.go.clear()
    first, _ = in_thread(inventory.refresh)
    assert array.started.wait(30)
    second, results = in_thread(lambda: inventory.refresh(moment))
    array.go.set()
    first.join(30)
    second.join(30)
    assert len(results) == 1
    assert array.dumps == 1


def test_a_failed_dump_keeps_what_was_known_and_the_next_one_works():
    array = Array(disk(1))
    inventory = make(array)
    inventory.current()
    array.failure = errors.ConnectFailed('no route')
    with pytest.raises(errors.ConnectFailed):
        inventory.refresh()
    assert inventory.current().find_ld(NAME) == disk(1)
    array.failure = None
    array.now = config()
    assert inventory.refresh().find_ld(NAME) is None


def test_oddities_are_reported_once(caplog):
    array = Array()
    array.now = config(unrecognized=['LD 0007h: RPL Attribute "XY"'])
    inventory = make(array)
    for _ in range(3):
        inventory.refresh()
    reports = [r for r in caplog.records if 'XY' in r.getMessage()]
    assert len(reports) == 1


def test_age_counts_from_the_start_of_the_dump():
    clock = FakeClock()
    array = Array()
    inventory = Inventory(array.fetch, clock)
    assert inventory.age_seconds() is None
    inventory.refresh()
    clock.advance(30)
    assert inventory.age_seconds() == 30


# -- numbers ----------------------------------------------------------------

def reservations(*used: int, start: int = 0) -> Reservations:
    made = Reservations(FakeClock(), start=start)
    made.follow(config(*(disk(n, LdName('LX', f'n{n}')) for n in used)))
    return made


def take(made: Reservations) -> int:
    with made.ldn() as number:
        return number


def test_ldns_are_free_ones_and_go_round():
    made = reservations(0, 1, 3)
    assert [take(made) for _ in range(3)] == [2, 4, 5]


def test_two_services_start_apart():
    assert take(reservations(start=10)) == 10
    assert take(reservations(start=4096 + 7)) == 7


def test_a_promised_ldn_is_not_given_to_another_thread():
    made = reservations()
    with made.ldn() as one, made.ldn() as other:
        assert one != other


def test_an_ldn_that_was_freed_is_used_last():
    made = reservations(0)
    made.follow(config())
    assert take(made) == 1
    numbers = {take(made) for _ in range(4094)}
    assert 0 not in numbers
    assert take(made) == 0


def test_an_ldn_that_could_not_be_bound_comes_back():
    made = reservations(*range(1, 4096))
    assert take(made) == 0
    assert take(made) == 0


def test_no_ldn_left_has_the_manuals_words():
    made = reservations(*range(4096))
    with pytest.raises(errors.NoCapacity,
                       match='All Logical Disk numbers are used'):
        take(made)
