# SPDX-License-Identifier: Apache-2.0
"""location_info: written by one back end, read by another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
import pytest

from cinder_nec.backend.location import Location

HERE = Location('192.0.2.1', 22, 'LX', (0, 1))


@given(st.ip_addresses().map(str), st.integers(0, 65535),
       st.lists(st.integers(0, 65535), unique=True).map(tuple))
def test_round_trip(address, port, pools):
    location = Location(address, port, 'LX', pools)
    assert Location.find(str(location)) == location


@pytest.mark.parametrize('one, other', [
    ('2001:db8::1', '2001:0DB8:0:0::0001'), ('[fe80::1]', 'fe80::1'),
    ('fe80::1%eth0', 'fe80::1%eth0'), ('Array1.example', 'array1.EXAMPLE'),
    ('192.0.2.1', ' 192.0.2.1')])
def test_spellings_of_one_address(one, other):
    """Trap W13."""
    here, there = Location(one, 22, 'LX'), Location(other, 22, 'LX', (7,))
    assert here.is_same_array(there)
    read = Location.find(str(there))
    assert read is not None
    assert here.is_same_array(read)
    assert read.pools == (7,)


@pytest.mark.parametrize('there', [
    Location('192.0.2.2', 22, 'LX', (0, 1)),
    Location('192.0.2.1', 2022, 'LX', (0, 1)),
    Location('192.0.2.1', 22, 'WN', (0, 1))])
def test_other_arrays_and_other_names(there):
    assert not HERE.is_same_array(there)


def test_no_pools_stand_for_all():
    assert Location.find(str(Location('a', 22, 'LX'))).pools == ()


@pytest.mark.parametrize('text', [
    None, '', 5, [], {}, 'MStorageISCSIDriver:192.0.2.1:0,1',
    'LVMVolumeDriver:host:vg:default:0', 'NEC-M-series',
    'NEC-M-series 192.0.2.1 22 LX', 'NEC-M-series 192.0.2.1 22 LX 0,',
    'NEC-M-series 192.0.2.1 22 LX 0,a', 'NEC-M-series 192.0.2.1 22 LX \u0661',
    'NEC-M-series 192.0.2.1 x LX 0', 'NEC-M-series  22 LX 0',
    'NEC-M-series 192.0.2.1 22 lx 0', 'NEC-M-series 192.0.2.1 22 LX 0 1',
    'nec-m-series 192.0.2.1 22 LX 0'])
def test_what_others_write(text):
    assert Location.find(text) is None


@given(st.text())
def test_any_text(text):
    Location.find('NEC-M-series ' + text)
