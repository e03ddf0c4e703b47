# SPDX-License-Identifier: Apache-2.0
"""Active-active as Cinder sees it, and the lock that services share."""

from __future__ import annotations

import logging

import pytest

from tests.cinder.drivers import DRIVERS  # first: it registers objects

from cinder import coordination  # isort: skip
from cinder_nec import errors, volume, volume_cluster  # isort: skip
from oslo_config import cfg  # isort: skip


class Lock:
    """One of the coordination back end; it may be out of reach."""

    def __init__(self) -> None:
        self.held = False
        self.broken = ''

    def acquire(self) -> None:
        if self.broken == 'acquire':
            raise ConnectionError('no etcd')
        self.held = True

    def release(self) -> None:
        if self.broken == 'release':
            raise ConnectionError('no etcd')
        self.held = False


@pytest.fixture
def locks(monkeypatch):
    found: dict[str, Lock] = {}
    monkeypatch.setattr(
        coordination.COORDINATOR, 'get_lock',
        lambda name: found.setdefault(name, Lock()))
    return found


@pytest.mark.parametrize('driver', DRIVERS)
def test_cinder_lets_the_classes_into_a_cluster(driver):
    assert driver.SUPPORTS_ACTIVE_ACTIVE is True


def test_a_lock_is_of_an_array_and_held_for_the_block(locks):
    with volume_cluster.lock_of('192.0.2.1')('ab12'):
        assert locks['nec-192.0.2.1-ab12'].held
    assert not locks['nec-192.0.2.1-ab12'].held


def test_it_is_given_back_after_an_error(locks):
    with pytest.raises(KeyError), volume_cluster.lock_of('a')('b'):
        raise KeyError
    assert not locks['nec-a-b'].held


def test_a_lock_that_cannot_be_had_names_what_to_see_to(locks):
    locks['nec-a-b'] = Lock()
    locks['nec-a-b'].broken = 'acquire'
    with pytest.raises(errors.StateError, match='no etcd.*backend_url'):
        with volume_cluster.lock_of('a')('b'):
            pytest.fail('it was not locked')


def test_what_was_done_stays_done_if_it_cannot_be_given_back(locks, caplog):
    locks['nec-a-b'] = Lock()
    locks['nec-a-b'].broken = 'release'
    with volume_cluster.lock_of('a')('b'):
        pass
    assert 'could not be given back' in caplog.text


@pytest.mark.parametrize('url, told', (
    ('file:///var/lib/cinder', True), ('etcd3+http://c:2379', False)))
def test_locks_of_one_node_are_told_of(url, told, caplog):
    cfg.CONF.set_override('backend_url', url, 'coordination')
    try:
        with caplog.at_level(logging.WARNING):
            volume_cluster.lock_of('a')
    finally:
        cfg.CONF.clear_override('backend_url', 'coordination')
    assert ('this node only' in caplog.text) is told


@pytest.mark.parametrize('cluster', (None, 'c@nec1'))
def test_only_a_cluster_locks(cluster, monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr(volume, 'lock_of', asked.append)

    class Alone:
        cluster_name = cluster
        configuration = type('Section', (), {'nec_ismcli_fip': '192.0.2.1'})
    volume.MStorageDriver._cluster_lock(Alone())
    assert asked == (['192.0.2.1'] if cluster else [])
