# SPDX-License-Identifier: Apache-2.0
"""What Cinder gets to see of an error, and what the log says."""

from __future__ import annotations

import inspect

from cinder import exception
import pytest

from cinder_nec import errors, translate


@pytest.mark.parametrize('error, wanted', [
    (errors.ConfigError('nec_pools', 'm'), exception.VolumeDriverException),
    (errors.InvalidInput('m'), exception.InvalidInput),
    (errors.InvalidConnector('initiator', 'm'),
     exception.InvalidConnectorException),
    (errors.PairLimit('m'), exception.SnapshotLimitReached),
    (errors.InUse('m'), exception.VolumeIsBusy),
    (errors.NotFound('m'), exception.VolumeBackendAPIException),
    (errors.ArrayBusy('iSMcfg x', 1), exception.VolumeBackendAPIException),
    (errors.OutcomeUnknown('m'), exception.VolumeBackendAPIException),
])
def test_classes(error, wanted):
    found = translate.to_cinder(error)
    assert type(found) is wanted
    assert str(error) in str(found)


def test_every_error_of_the_tree_has_a_translation():
    classes = [c for _n, c in inspect.getmembers(errors, inspect.isclass)
               if issubclass(c, errors.NecError)]
    assert len(classes) > 15
    for error_class in classes:
        error = error_class.__new__(error_class)
        errors.NecError.__init__(error, 'm', 'do this')
        assert isinstance(translate.to_cinder(error),
                          exception.CinderException)


def test_a_busy_snapshot_is_told_from_a_busy_volume():
    with pytest.raises(exception.SnapshotIsBusy, match='linked'), \
            translate.reporting('Deleted Snapshot', 'Delete Snapshot', 'x',
                                busy=exception.SnapshotIsBusy):
        raise errors.InUse('linked')


def test_success_is_logged_in_the_manuals_words(caplog):
    caplog.set_level('INFO')
    with translate.reporting('Created Volume', 'Create Volume',
                             'Volume ID = 7, Size = 1GB'):
        pass
    assert caplog.messages == ['Created Volume (Volume ID = 7, Size = 1GB)']


def test_failure_is_logged_in_the_manuals_words_with_what_to_do(caplog):
    with pytest.raises(exception.VolumeBackendAPIException), \
            translate.reporting('Created Volume', 'Create Volume',
                                'Volume ID = 7, Size = 1GB'):
        raise errors.NoCapacity('No room.', 'Delete volumes.')
    assert [r.levelname for r in caplog.records] == ['ERROR', 'WARNING']
    assert caplog.messages == [
        'No room. Delete volumes.',
        'Failed to Create Volume (Volume ID = 7, Size = 1GB) '
        '(No room. Delete volumes.)']


def test_a_callers_mistake_is_no_error(caplog):
    with pytest.raises(exception.InvalidInput), \
            translate.reporting('Created Volume', 'Create Volume', 'x'):
        raise errors.InvalidInput('not a size.')
    assert caplog.messages == ['Failed to Create Volume (x) (not a size.)']


def test_a_step_that_fails_says_so_and_goes_on(caplog):
    """What is wrong is said once, what it made fail each time."""
    with pytest.raises(exception.VolumeBackendAPIException), \
            translate.reporting('Initialized', 'Initialize', 'x'), \
            translate.step('Create Export', 'y'):
        raise errors.NotFound('gone.')
    assert caplog.messages == [
        'gone.', 'Failed to Create Export (y) (gone.)',
        'Failed to Initialize (x) (gone.)']


def test_a_bug_passes_and_is_logged(caplog):
    with pytest.raises(ZeroDivisionError), \
            translate.reporting('Created Volume', 'Create Volume', 'x'):
        raise ZeroDivisionError
    assert 'Failed to Create Volume (x)' in caplog.text
