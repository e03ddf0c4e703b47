# SPDX-License-Identifier: Apache-2.0
"""Which pool, and which portals in which order."""

from __future__ import annotations

import pytest

from cinder_nec import errors
from cinder_nec.backend import placement
from cinder_nec.model import (
    GIB,
    ArrayConfig,
    HostPort,
    LdName,
    LdSet,
    LdSetName,
    LinkState,
    LogicalDisk,
    Pool,
    Portal,
    Protocol,
    TargetMode,
    Wwpn,
)


def config(pools, lds=(), ports=()) -> ArrayConfig:
    return ArrayConfig(
        'M310', 'v',
        {n: Pool(n, 100 * GIB, 0, free * GIB) for n, free in pools.items()},
        {ldn: LogicalDisk(ldn, LdName('LX', f'n{ldn}'), pool, GIB)
         for ldn, pool in enumerate(lds)}, {}, tuple(ports))


def chosen(numbers, size_gib, *args) -> int:
    return placement.choose_pool(config(*args), numbers, size_gib).number


def test_fewest_lds_of_the_pools_with_room():
    array = ({0: 50, 1: 50, 2: 50}, [0, 0, 1, 1, 1, 2])
    assert chosen([0, 1], 10, *array) == 0
    assert chosen([], 10, *array) == 2
    assert chosen([0, 1], 10, {0: 5, 1: 50}, [1, 1, 1]) == 1


def test_room_is_exact():
    assert chosen([0], 50, {0: 50}) == 0
    with pytest.raises(errors.NoCapacity, match='No available pools found'):
        chosen([0], 51, {0: 50})


def test_the_error_names_the_pools_and_their_room():
    with pytest.raises(errors.NoCapacity) as caught:
        chosen([0, 3], 60, {0: 50, 1: 99, 3: 7})
    assert 'pool 0: 50 GiB free' in str(caught.value)
    assert 'pool 3: 7 GiB free' in str(caught.value)
    assert 'pool 1' not in str(caught.value)
    assert 'nec_pools' in str(caught.value)


def test_more_room_decides_between_equals_and_then_the_number():
    assert chosen([], 1, {0: 10, 1: 20}) == 1
    assert chosen([], 1, {1: 20, 0: 20}) == 0


UP, DOWN = LinkState.UP, LinkState.DOWN
UNKNOWN = LinkState.UNRECOGNIZED


def portals(links, *, pool=0, ldn=0, per_controller=0, only=None):
    """Ask for the portals of ports given as {(director, n): link}."""
    ports = [HostPort(director, number, Protocol.ISCSI,
                      ip=f'192.0.2.{director}{number}', link=link)
             for (director, number), link in links.items()]
    ld_set = LdSet(LdSetName('LX', 's'), Protocol.ISCSI,
                   TargetMode.MULTI_TARGET,
                   portals=tuple(Portal(p.ip, 3260) for p in ports))
    if only is not None:
        ports = ports[:only]
    found = placement.iscsi_portals(
        config({}, ports=ports), ld_set, pool, ldn, per_controller)
    return [p.ip.rpartition('.')[2] for p in found]


FOUR = {(0, 1): UP, (0, 2): UP, (1, 1): UP, (1, 2): UP}


def test_the_owning_controller_comes_first():
    assert portals(FOUR, pool=2) == ['01', '02', '11', '12']
    assert portals(FOUR, pool=3) == ['11', '12', '01', '02']


def test_as_many_as_wanted_of_each_controller():
    assert portals(FOUR, per_controller=1) == ['01', '11']
    assert portals(FOUR, per_controller=2) == ['01', '02', '11', '12']


def test_lds_take_turns_within_a_controller():
    assert portals(FOUR, ldn=1, per_controller=1) == ['02', '12']


def test_a_port_without_link_is_not_used():
    links = {**FOUR, (0, 1): DOWN, (1, 2): UNKNOWN}
    assert portals(links) == ['02', '11']


def test_without_any_link_all_portals_are_told():
    assert sorted(portals(dict.fromkeys(FOUR, DOWN))) == [
        '01', '02', '11', '12']


def test_a_portal_whose_port_is_not_known_is_used_only_without_others():
    assert portals(FOUR, only=2) == ['01', '02']
    assert len(portals(FOUR, only=0)) == 4


def fc_array(*links):
    """An array with two FC ports per controller."""
    ports = [HostPort(director, number, Protocol.FC,
                      wwpn=Wwpn(f'{director:08x}{number:08x}'), link=link)
             for (director, number), link in zip(
                 [(1, 1), (0, 0), (10, 15), (0, 1)], links, strict=True)]
    return config({}, ports=[*ports, HostPort(
        0, 2, Protocol.ISCSI, ip='192.0.2.1', link=UP)])


def fc_numbers(array, *port_paths, pool=0):
    ld_set = LdSet(LdSetName('LX', 's'), Protocol.FC,
                   port_paths=frozenset(port_paths))
    return [(int(w.digits[:8], 16), int(w.digits[8:], 16))
            for w in placement.fc_targets(array, ld_set, pool)]


def test_fc_ports_of_the_owning_controller_come_first():
    array = fc_array(UP, UP, UP, UP)
    assert fc_numbers(array) == [(0, 0), (0, 1), (10, 15), (1, 1)]
    assert fc_numbers(array, pool=1) == [(1, 1), (0, 0), (0, 1), (10, 15)]


def test_an_fc_link_that_is_not_known_counts_as_up():
    assert fc_numbers(fc_array(DOWN, UNKNOWN, DOWN, UP)) == [(0, 0), (0, 1)]
    assert len(fc_numbers(fc_array(DOWN, DOWN, DOWN, DOWN))) == 4


def test_fc_ports_that_an_ld_set_lists():
    array = fc_array(UP, UP, UP, UP)
    assert fc_numbers(array, '0a-0f(HD10-P15)', '00-01(HD0-P1)') == [
        (0, 1), (10, 15)]
    assert fc_numbers(array, '00-09(HD0-P9)') == []
    # A port that cannot be read must not open all the others.
    assert fc_numbers(array, 'HD0-P0 (?)') == []
