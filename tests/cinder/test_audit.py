# SPDX-License-Identifier: Apache-2.0
"""The audit in a service: Cinder's objects against the array."""

from __future__ import annotations

import uuid

import pytest

from tests.cinder.drivers import DRIVERS  # first: it registers objects

from cinder import objects  # isort: skip
from cinder_nec import assembly  # isort: skip
from cinder_nec.backend.findings import FindingKind  # isort: skip
from tests.backend.arrays import make_engine, make_lab  # isort: skip
from tests.cinder.assembled import (  # isort: skip
    Record,
    a_snapshot,
    a_volume,
    connector,
    driver_on,
    ld_name,
)


class Database:
    """What Cinder has of all back ends."""

    def __init__(self) -> None:
        self.volumes: list[Record] = []
        self.snapshots: list[Record] = []


@pytest.fixture
def database(monkeypatch):
    made = Database()
    monkeypatch.setattr(objects.VolumeList, 'get_all',
                        lambda context: list(made.volumes))
    monkeypatch.setattr(objects.SnapshotList, 'get_all',
                        lambda context: list(made.snapshots))
    return made


@pytest.fixture(params=DRIVERS, ids=lambda d: d.__name__)
def driver(request, tmp_path):
    is_replication = request.param.METHOD is assembly.Method.REPLICATION
    made = driver_on(request.param, make_lab(make_engine(tmp_path),
                                             replication=is_replication))
    made.cluster_name = None
    made.backend.config.control_volume_format = 'LX:__ControlVolume_%xh'
    # One LD of the simulated array has no name.
    made.lab.operate('ld_remove', ld=5)
    made.lab.inventory.refresh()
    return made


def new_volume(driver, database):
    volume = a_volume(driver)
    volume.status = 'available'
    database.volumes.append(volume)
    return volume


def attach(driver, volume):
    host = connector(driver)
    info = driver.initialize_connection(volume, host)
    volume.status = 'in-use'
    volume.volume_attachment.append(Record(
        id=str(uuid.uuid4()), volume_id=volume.id, connector=host,
        attach_status='attached', connection_info=info['data']))


def test_what_the_driver_made_is_in_order(driver, database):
    volume = new_volume(driver, database)
    snapshot = a_snapshot(driver, volume)
    snapshot.status = 'available'
    database.snapshots.append(snapshot)
    attach(driver, volume)
    assert driver.audit() == []


def test_what_cinder_has_forgotten(driver, database):
    volume = new_volume(driver, database)
    attach(driver, volume)
    volume.volume_attachment.clear()
    assert [f.kind for f in driver.audit()
            ] == [FindingKind.MAPPING_WITHOUT_ATTACHMENT]
    database.volumes.clear()
    finding, = driver.audit()
    assert finding.kind is FindingKind.LD_WITHOUT_OBJECT
    assert finding.cinder_id == volume.name_id


@pytest.mark.parametrize('host, cluster, is_here', (
    ('node@gold#Gold', None, True),
    ('node@silver#Gold', None, False),
    ('other@gold#Gold', None, False),
    ('other@gold#Gold', 'c@gold', True),
    ('other@silver#Gold', 'c@gold', False),
))
def test_only_what_is_on_this_back_end_can_be_missing(
        driver, database, host, cluster, is_here):
    """What is on another one has its LD on another array, perhaps."""
    volume = new_volume(driver, database)
    driver.lab.volumes.unbind(ld_name(volume))
    volume.host, driver.cluster_name = host, cluster
    kinds = [f.kind for f in driver.audit()]
    assert kinds == ([FindingKind.VOLUME_WITHOUT_LD] if is_here else [])


def test_a_volume_of_another_back_end_is_somebodys(driver, database):
    volume = new_volume(driver, database)
    volume.host = 'node@silver#Silver'
    assert driver.audit() == []
