# SPDX-License-Identifier: Apache-2.0
"""The values of the model and the pure questions to them."""

from __future__ import annotations

import dataclasses
import itertools

from hypothesis import given
from hypothesis import strategies as st
import pytest

from cinder_nec import errors
from cinder_nec.model import (
    GIB,
    ArrayConfig,
    InitiatorName,
    LdMapping,
    LdName,
    LdSet,
    LdSetName,
    LogicalDisk,
    Pool,
    Portal,
    Protocol,
    RplAttribute,
)


def disk(ldn: int, label: str = '', pool: int = 0,
         size: int = GIB) -> LogicalDisk:
    return LogicalDisk(ldn, LdName('LX', label or f'n{ldn}'), pool, size)


def array(*disks: LogicalDisk, product_id: str = 'M110') -> ArrayConfig:
    return ArrayConfig(
        product_id=product_id, version='9.4.001',
        pools={0: Pool(0, 1 << 40, 0, 1 << 40)},
        logical_disks={d.ldn: d for d in disks}, ld_sets={})


def ld_set(label: str, *ldns: int) -> LdSet:
    return LdSet(LdSetName('LX', label), Protocol.FC, mappings={
        ldn: LdMapping(ldn, 10 + ldn) for ldn in ldns})


# -- names and addresses ----------------------------------------------------

@pytest.mark.parametrize('text', [
    'iqn.1994-05.com.redhat:compute-1', 'iqn.2016-04.com.open-iscsi:1a2b',
    'IQN.1991-05.com.Microsoft:Host', 'iqn.2001-04.com.example',
    'eui.02004567a425678d', 'naa.52004567ba64678d'])
def test_initiator_names(text: str) -> None:
    assert InitiatorName.parse(text).name == text.lower()


@pytest.mark.parametrize('text', [
    '', 'iqn', 'iqn.', 'iqn.1994-5.com:x', 'iqn.94-05.com:x',
    'iqn.1994-05.', 'iqn.1994-05.com_x', 'iqn.1994-05.com:a b',
    'iqn.1994-05.com:a\n', 'eui.0200', 'naa.52', 'host',
    'iqn.1994-05.' + 'a' * 212])
def test_no_initiator_names(text: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        InitiatorName.parse(text)
    assert len(str(caught.value)) < 150


def test_long_initiator_names() -> None:
    """RFC 3720: 223 bytes at most."""
    with pytest.raises(errors.InvalidInput):
        InitiatorName('iqn.1994-05.' + 'a' * (224 - 12))
    InitiatorName('iqn.1994-05.' + 'a' * 200)


@pytest.mark.parametrize(('text', 'ip', 'port'), [
    ('10.0.0.1:3260', '10.0.0.1', 3260), (' 10.0.0.1:1 ', '10.0.0.1', 1),
    ('[fd00::1]:3260', 'fd00::1', 3260), ('fd00::1:3260', 'fd00::1', 3260),
    ('[FD00:0::1]:3260', 'fd00::1', 3260),
    ('10.0.0.1', '10.0.0.1', 3260), ('[fd00::1]', 'fd00::1', 3260),
    ('fd00::', 'fd00::', 3260), ('fd00::abcd', 'fd00::abcd', 3260)])
def test_portals(text: str, ip: str, port: int) -> None:
    assert Portal.parse(text) == Portal(ip, port)
    assert Portal.parse(str(Portal(ip, port))) == Portal(ip, port)


@pytest.mark.parametrize('text', [
    '', ':', ':3260', '10.0.0.1:', '10.0.0:3260', '10.0.0.256:3260',
    '10.0.0.1:x', '10.0.0.1:-1', '10.0.0.1:65536', '10.0.0.1:0',
    '10.0.0.1: 3260', '10.0.0.1:+1', '10.0.0.1:1_0', '10.0.0.1:٣',
    '[10.0.0.1]:x', 'host:3260', '[fd00::1', 'fd00::1]:3260',
    '10.0.0.1:3260\n10.0.0.2:3260', '[fe80::1%eth0]:3260', 'fe80::1%a'])
def test_no_portals(text: str) -> None:
    with pytest.raises(errors.InvalidInput):
        Portal.parse(text)


@given(st.text())
def test_any_text_as_a_portal(text: str) -> None:
    try:
        portal = Portal.parse(text)
    except errors.InvalidInput:
        return
    assert Portal.parse(str(portal)) == portal


def test_names_as_text() -> None:
    assert str(LdName('LX', 'a')) == 'LX:a'
    assert str(LdSetName('LX', 'a')) == 'LX:a'
    assert str(Portal('fd00::1', 3260)) == '[fd00::1]:3260'


# -- sizes and counts -------------------------------------------------------

@pytest.mark.parametrize(('size', 'gib'), [
    (0, 0), (1, 1), (GIB - 1, 1), (GIB, 1), (GIB + 1, 2),
    (GIB * 3 // 2, 2), (10 * GIB, 10)])
def test_capacity_is_rounded_up(size: int, gib: int) -> None:
    """W17: 1.5 GiB became 1."""
    assert disk(1, size=size).capacity_gib == gib


def test_free_ldns() -> None:
    config = array(disk(0), disk(2), disk(1023))
    free = list(config.free_ldns())
    assert free[:3] == [1, 3, 4]
    assert free[-1] == 1022
    assert len(free) == 1024 - 3


def test_ld_counts() -> None:
    config = array(disk(1), disk(2), disk(3, pool=7))
    assert config.ld_counts() == {0: 2, 7: 1}
    assert array().ld_counts() == {0: 0}


# -- looking up -------------------------------------------------------------

def test_find_and_get() -> None:
    config = array(disk(1, 'a'))
    assert config.find_ld(LdName('LX', 'a')) == disk(1, 'a')
    assert config.find_ld(LdName('WN', 'a')) is None
    assert config.get_ld(LdName('LX', 'a')).ldn == 1
    with pytest.raises(errors.NotFound) as caught:
        config.get_ld(LdName('LX', 'b'))
    assert str(caught.value).startswith(
        'Logical Disk `LX:b` does not exist.')


def test_the_first_of_two_names_counts() -> None:
    config = array(disk(1, 'a'), disk(2, 'a'))
    assert config.get_ld(LdName('LX', 'a')).ldn == 1


def test_get_pool() -> None:
    config = array()
    assert config.get_pool(0).number == 0
    with pytest.raises(errors.NotFound, match=r'Pool 31 \(1fh\)'):
        config.get_pool(31)


def test_mapped_to() -> None:
    config = array(disk(1), disk(2)).with_ld_set(
        ld_set('one', 1)).with_ld_set(ld_set('two', 1, 2))
    assert [s.name.label for s in config.mapped_to(1)] == ['one', 'two']
    assert [s.name.label for s in config.mapped_to(2)] == ['two']
    assert config.mapped_to(3) == ()
    assert ld_set('two', 1, 2).luns() == {11, 12}


def test_attributes() -> None:
    both = dataclasses.replace(disk(1), attributes=frozenset(
        {RplAttribute.MV, RplAttribute.BV}))
    assert both.has(RplAttribute.BV) and not both.has(RplAttribute.IV)


# -- changed copies ---------------------------------------------------------

def test_a_copy_leaves_the_original_alone() -> None:
    before = array(disk(1, 'a'))
    assert before.find_ld(LdName('LX', 'a'))
    after = before.with_ld(disk(2, 'b')).without_ld(1).with_pool(
        Pool(5, 1, 0, 1)).with_ld_set(ld_set('s', 2))
    assert before == array(disk(1, 'a'))
    assert after.find_ld(LdName('LX', 'a')) is None
    assert after.get_ld(LdName('LX', 'b')).ldn == 2
    assert 5 in after.pools and 5 not in before.pools
    assert after.ld_sets and not before.ld_sets


def test_a_renamed_ld_loses_its_old_name() -> None:
    config = array(disk(1, 'a')).with_ld(disk(1, 'b'))
    assert config.find_ld(LdName('LX', 'a')) is None
    assert config.get_ld(LdName('LX', 'b')).ldn == 1


def test_without_what_is_not_there() -> None:
    config = array(disk(1))
    assert config.without_ld(9) is config


_CHANGES = st.lists(st.tuples(
    st.sampled_from(['with', 'without']), st.integers(0, 5),
    st.sampled_from('abcdef')), max_size=12)


@given(_CHANGES)
def test_the_index_of_names_stays_true(
        changes: list[tuple[str, int, str]]) -> None:
    """Every name in use is found, and what is found has the name."""
    config = array()
    for kind, ldn, label in changes:
        config = (config.with_ld(disk(ldn, label)) if kind == 'with'
                  else config.without_ld(ldn))
        for found in config.logical_disks.values():
            known = config.find_ld(found.name)
            assert known is not None and known.name == found.name
        for name in (LdName('LX', label) for label in 'abcdef'):
            there = config.find_ld(name)
            assert (there is None) == all(
                d.name != name for d in config.logical_disks.values())


def test_values_cannot_be_changed() -> None:
    config = array(disk(1)).with_ld(disk(2))
    for thing, field in itertools.product(
            [config, disk(1), Pool(0, 1, 1, 1), ld_set('s')], ['name']):
        with pytest.raises(AttributeError):
            setattr(thing, field, 'x')
    with pytest.raises(TypeError):
        config.logical_disks[9] = disk(9)  # type: ignore[index]
