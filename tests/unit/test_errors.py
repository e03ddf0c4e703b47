# SPDX-License-Identifier: Apache-2.0
"""The tree of errors and what an operator reads of them."""

from __future__ import annotations

import inspect

import pytest

from cinder_nec import errors

PARENTS = {
    'ConfigError': 'NecError', 'InvalidInput': 'NecError',
    'InvalidConnector': 'InvalidInput', 'TransportError': 'NecError',
    'ConnectFailed': 'TransportError', 'OutcomeUnknown': 'TransportError',
    'CommandFailed': 'NecError', 'ArrayBusy': 'CommandFailed',
    'LdnInUse': 'CommandFailed', 'AlreadyMapped': 'CommandFailed',
    'NotMapped': 'CommandFailed', 'ParseError': 'NecError',
    'StateError': 'NecError', 'NotFound': 'StateError',
    'InUse': 'StateError', 'PairLimit': 'StateError',
    'NoCapacity': 'StateError', 'UnexpectedState': 'StateError',
    'DeadlineExceeded': 'NecError', 'RollbackFailed': 'NecError',
}


@pytest.mark.parametrize(('name', 'parent'), sorted(PARENTS.items()))
def test_the_tree(name: str, parent: str) -> None:
    assert getattr(errors, name).__base__ is getattr(errors, parent)


def test_all_are_one_family() -> None:
    for _name, kind in inspect.getmembers(errors, inspect.isclass):
        if kind.__module__ == errors.__name__:
            assert issubclass(kind, errors.NecError)


def test_a_hint_follows_the_message() -> None:
    assert str(errors.NotFound('Pool 9 does not exist.')) == (
        'Pool 9 does not exist.')
    assert str(errors.NotFound('Pool 9 does not exist.', 'Make it.')) == (
        'Pool 9 does not exist. Make it.')


def test_a_refused_command_tells_what_and_why() -> None:
    error = errors.LdnInUse('iSMcfg ldbind -ldn 5', 1, 'iSM31077', '',
                            'iSM31077: taken')
    assert str(error) == ("'iSMcfg ldbind -ldn 5' failed. status=1,"
                          'out="", err="iSM31077: taken".')


def test_a_parse_error_tells_what_and_where() -> None:
    error = errors.ParseError('its end is missing', 'configuration dump')
    assert (error.what, error.where) == (
        'its end is missing', 'configuration dump')
    assert str(error).startswith('its end is missing (configuration dump).')


def test_an_unexpected_state_tells_both() -> None:
    error = errors.UnexpectedState('Pair m-r.', wanted='separated',
                                   actual='fault', hint='Look.')
    assert str(error) == ('Pair m-r. Wanted: separated; actual: fault. '
                          'Look.')


def test_leftovers_are_listed() -> None:
    cause = errors.NoCapacity('Pool 1 is full.')
    error = errors.RollbackFailed(cause, ['LD a: ldunbind', 'LD b'])
    assert error.cause is cause
    assert error.leftovers == ('LD a: ldunbind', 'LD b')
    for part in ('Pool 1 is full.', 'LD a: ldunbind', 'LD b'):
        assert part in str(error)


def test_fields() -> None:
    config = errors.ConfigError('nec_pools', 'bad', missing=True)
    assert (config.option, config.missing) == ('nec_pools', True)
    assert errors.InvalidConnector('wwpns', 'bad').key == 'wwpns'
    assert errors.ConnectFailed('no', permanent=True).permanent
    assert not errors.ConnectFailed('no').permanent
