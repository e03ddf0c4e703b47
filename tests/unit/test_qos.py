# SPDX-License-Identifier: Apache-2.0
"""QoS specs as the manual's 7.3.5 has them, and what is not one of them."""

from __future__ import annotations

import logging

from hypothesis import given
from hypothesis import strategies as st
import pytest

from cinder_nec import errors
from cinder_nec.backend import qos
from cinder_nec.backend.io_control import IoLimits

TYPE = '8ac21714-6c93-49a1-821b-22c3a7d545d2'
BAD = ['10.5', ' 10', '10 ', '10\n', '\u0661\u0660', '\uff11\uff10', '',
       '-10', '+10', '-0', '00', '010', '9', '1', '1000001', '9999999',
       '1' * 4000, '1e3', '0x10', '1_000', 'ten', 'None', True, [], {}, 10.5,
       '10;reboot', '$(id)']


@pytest.mark.parametrize('specs, expected', [
    ({}, IoLimits()),
    ({'upperlimit': '3000', 'lowerlimit': '200'}, IoLimits(3000, 200)),
    ({'upperlimit': '5000'}, IoLimits(5000)),
    ({'lowerlimit': '10'}, IoLimits(lower=10)),
    ({'upperlimit': '1000000', 'lowerlimit': '0'}, IoLimits(1000000, 0)),
    ({'upperlimit': '0', 'lowerlimit': '0'}, IoLimits(0, 0)),
    ({'upperlimit': 50}, IoLimits(50)),
    ({'upperlimit': None}, IoLimits()),
    ({'upperreport': 'on'}, IoLimits(report=True)),
    ({'upperreport': 'off'}, IoLimits(report=False)),
    ({'upperreport': 'ON'}, IoLimits(report=False)),
    ({'upperreport': 'yes; reboot'}, IoLimits(report=False)),
    ({'upperreport': ''}, IoLimits(report=False)),
    ({'UpperLimit': '5', 'total_iops_sec': 'x'}, IoLimits()),
])
def test_manual(specs, expected):
    assert qos.parse(specs) == expected


@pytest.mark.parametrize('key', [qos.UPPER, qos.LOWER])
@pytest.mark.parametrize('value', BAD)
def test_bad_limits_say_what_and_where(key, value):
    with pytest.raises(errors.InvalidInput) as caught:
        qos.parse({key: value}, 'QoSGold')
    text = str(caught.value)
    assert key in text
    assert 'QoSGold' in text
    assert '10 to 1000000' in text
    assert len(text) < 300


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none()))
def test_any_value(value):
    try:
        found = qos.parse({qos.UPPER: value}).upper
    except errors.InvalidInput:
        return
    assert (found is None and value is None) or (
        str(found) == str(value) and (found == 0 or 10 <= found <= 10 ** 6))


# -- as Cinder hands them over ----------------------------------------------

@pytest.fixture
def specs_of(monkeypatch):
    """Let a volume type have QoS specs, in the form the database has."""
    def give(consumer: str | None, **specs: str) -> None:
        found = None if consumer is None else {
            'id': TYPE, 'name': 'QoSGold', 'consumer': consumer,
            'specs': specs}
        monkeypatch.setattr(qos.volume_types, 'get_volume_type_qos_specs',
                            lambda type_id: {'qos_specs': found})
    return give


@pytest.mark.parametrize('consumer, applied', [
    ('back-end', True), ('both', True), ('front-end', False)])
def test_consumer(specs_of, consumer, applied):
    """Trap W4."""
    specs_of(consumer, upperlimit='3000')
    assert qos.limits_of(TYPE) == (IoLimits(3000) if applied
                                   else IoLimits())
    assert qos.stated_by(TYPE) == (IoLimits(0) if applied else IoLimits())


def test_front_end_values_are_not_looked_at(specs_of):
    specs_of('front-end', upperlimit='nonsense')
    assert qos.limits_of(TYPE).is_empty()


def test_no_type_and_no_specs(specs_of):
    """Trap W2."""
    assert qos.limits_of(None).is_empty()
    assert qos.stated_by(None).is_empty()
    specs_of(None)
    assert qos.limits_of(TYPE).is_empty()
    assert qos.stated_by(TYPE).is_empty()


def test_stated_whatever_it_is(specs_of):
    specs_of('back-end', upperlimit='edited to nonsense', upperreport='on')
    assert qos.stated_by(TYPE) == IoLimits(0, None, False)


@pytest.mark.parametrize('consumer, level', [
    ('back-end', logging.WARNING), ('both', logging.INFO)])
def test_unknown_keys_are_told(specs_of, caplog, consumer, level):
    caplog.set_level(logging.INFO)
    specs_of(consumer, upperlimt='3000', lowerlimit='10')
    assert qos.limits_of(TYPE) == IoLimits(lower=10)
    [record] = caplog.records
    assert record.levelno == level
    assert 'upperlimt' in record.getMessage()
