# SPDX-License-Identifier: Apache-2.0
"""Names of LDs and LD Sets (manual chapter 8)."""

from __future__ import annotations

import string
import uuid

from hypothesis import given
from hypothesis import strategies as st
import pytest

from cinder_nec import errors, naming
from tests.unit import manual_examples

UUIDS = st.integers(0, (1 << 128) - 1).map(
    lambda number: str(uuid.UUID(int=number)))


@pytest.mark.parametrize(('cinder_id', 'label'), manual_examples.GOOD)
def test_examples_of_the_manual(cinder_id: str, label: str) -> None:
    assert naming.ld_name(cinder_id) == label
    assert naming.uuid_of(label) == cinder_id


@pytest.mark.parametrize(('cinder_id', 'label', 'right_id', 'right_label'),
                         manual_examples.SCANNING_ERRORS)
def test_examples_with_a_scanning_error(
        cinder_id: str, label: str, right_id: str,
        right_label: str) -> None:
    """The line does not hold as it is printed, and does when repaired."""
    try:
        assert naming.ld_name(cinder_id) != label
    except errors.InvalidInput:
        assert cinder_id != right_id
    assert naming.ld_name(right_id) == right_label
    assert naming.uuid_of(right_label) == right_id


def test_enough_examples_are_good() -> None:
    """The list of bad ones is no way round the good ones."""
    assert len(manual_examples.GOOD) == 8
    for _id, label, _right_id, right_label in (
            manual_examples.SCANNING_ERRORS):
        differing = [(a, b) for a, b in zip(label, right_label, strict=True)
                     if a != b]
        assert len(differing) <= 2


@given(UUIDS)
def test_round_trip_of_a_uuid(cinder_id: str) -> None:
    label = naming.ld_name(cinder_id)
    assert naming.uuid_of(label) == cinder_id
    assert 1 <= len(label) <= 22
    assert set(label) <= set(string.ascii_letters + string.digits)


@given(st.text(alphabet=naming.DIGITS, min_size=1, max_size=23))
def test_round_trip_of_a_label(label: str) -> None:
    """Two labels never stand for one UUID."""
    try:
        cinder_id = naming.uuid_of(label)
    except errors.InvalidInput:
        return
    assert naming.ld_name(cinder_id) == label


@given(UUIDS, UUIDS)
def test_two_uuids_never_share_a_label(one: str, other: str) -> None:
    assert (one == other) == (naming.ld_name(one) == naming.ld_name(other))


def test_the_ends_of_the_range() -> None:
    zero, last = str(uuid.UUID(int=0)), str(uuid.UUID(int=(1 << 128) - 1))
    assert naming.ld_name(zero) == '0'
    assert naming.uuid_of('0') == zero
    assert naming.uuid_of(naming.ld_name(last)) == last
    assert naming.ld_name(str(uuid.UUID(int=61))) == 'z'
    assert naming.ld_name(str(uuid.UUID(int=62))) == '10'
    with pytest.raises(errors.InvalidInput):
        naming.uuid_of('z' * 22)


@pytest.mark.parametrize('label', [
    '', '00', '01', '0' * 22, '-1', ' 1', '1 ', '1\n', '1_m', 'é', '٣',
    'a' * 65536, 'a-b', '2mhTuYrCGy8YnJcgRQBCPs_l'])
def test_labels_of_no_uuid(label: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        naming.uuid_of(label)
    assert len(str(caught.value)) < 300
    assert naming.find_uuid(label) is None or label.endswith(
        naming.SUFFIX_LINK)


@pytest.mark.parametrize('cinder_id', [
    '', 'x', '1e5e4886-f394-41dc-b55d', 'g' * 32, None, 5, b'x', 'é',
    'x' * 65536])
def test_what_is_no_uuid(cinder_id: str) -> None:
    with pytest.raises(errors.InvalidInput,
                       match='Invalid UUID format') as caught:
        naming.ld_name(cinder_id)
    assert len(str(caught.value)) < 300


@given(UUIDS, st.sampled_from(['', *naming.SUFFIXES]))
def test_suffixes(cinder_id: str, suffix: str) -> None:
    label = naming.ld_name(cinder_id)
    assert naming.split_suffix(label + suffix) == (label, suffix)
    assert len(label + suffix) <= naming.MAX_LD_NAME_LENGTH


@given(st.uuids(version=4), st.sampled_from(['', *naming.SUFFIXES]))
def test_find_any_uuid_of_cinder(one: uuid.UUID, suffix: str) -> None:
    label = naming.ld_name(str(one))
    if len(label) >= 18:
        assert naming.find_uuid(label + suffix) == str(one)


@pytest.mark.parametrize('suffix', ['', '_m', '_d', '_l'])
def test_find_uuid(suffix: str) -> None:
    assert naming.find_uuid('6NSjtgPWTieAMhvsJspHA6' + suffix) == (
        'd1935c4b-f2c3-4f4a-8cfe-a46e95550e1e')


@pytest.mark.parametrize('label', [
    'data1', 'boot', '0', '_m', 'Pool0000_SYV0FFF', '__ControlVolume_0h',
    '20000009910200140005', '6NSjtgPWTieAMhvsJspHA6_x',
    '6NSjtgPWTieAMhvsJspHA6_', 'backup_SDV0001',
    # Factory names: the array's WWN and the LDN, letters or not.  The
    # last two decode to UUIDs of version 4.
    '200000255C3A21CC0010', '2000000991000316000A',
    '200000503A21CC010010', '200000513A21CC010010',
    # Long enough to decode, but Cinder's UUIDs are random ones (v4).
    'ProductionDatabase01', 'WindowsServerBackup2'])
def test_names_of_others(label: str) -> None:
    """The array's own and an administrator's LDs are not Cinder's."""
    assert naming.find_uuid(label) is None


def test_ld_set_names() -> None:
    """W12: two hosts whose names end alike shared an LD Set."""
    one = 'iqn.1994-05.com.redhat:4f9b1d0e1c2a'
    other = 'iqn.2016-09.org.debian:0e5.com.redhat:4f9b1d0e1c2a'
    first, digest = naming.ld_set_name_candidates(one)
    assert first == 'dhat4f9b1d0e1c2a'
    assert naming.ld_set_name_candidates(other)[0] == first
    assert naming.ld_set_name_candidates(other)[1] != digest
    for name in (first, digest):
        assert len(name) == naming.MAX_LD_SET_NAME_LENGTH
        assert ':' not in name and '.' not in name
    assert naming.ld_set_name_candidates('10000090faa0786b') == (
        '10000090faa0786b',
        naming.ld_set_name_candidates('10000090faa0786b')[1])
