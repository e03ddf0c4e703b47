# SPDX-License-Identifier: Apache-2.0
"""The service itself: restart, heartbeats, stats, native threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from allinone import process, wait_for
from harness import drivers
from harness.array import Array
from harness.drivers import Driver
from harness.stage import BACKEND, Stage
from tests.system.cloud import Cloud
from tests.system.conftest import user_of


def test_volumes_stay_manageable_over_a_restart(cloud: Cloud, array: Array):
    """Nothing that the driver needs to know is in its memory only."""
    plain, source = cloud.create(), cloud.create()
    cloud.write(source, 'before')
    attachment = cloud.attach(plain)
    snapshot = cloud.snapshot(source)
    cloud.stage.cinder.restart()
    cloud.write(source, 'after_')
    assert cloud.read(cloud.create(snapshot_id=snapshot), 6) == 'before'
    cloud.detach(attachment)
    assert not array.sets_of(plain)
    cloud.extend(plain, 2)
    cloud.delete_snapshot(snapshot)
    cloud.delete(source)


def test_a_disk_number_that_was_used_meanwhile(cloud: Cloud, array: Array):
    """The array is shared: what the driver knows of it may be old."""
    cloud.create()
    used = {ld.ldn for ld in array.lds().values()}
    free = [n for n in range(64) if n not in used][:8]
    try:
        for ldn in free:
            array.run(f'iSMcfg ldbind -poolnumber 0 -ldn {ldn} '
                      '-capacity 1 -immediate')
            array.run(f'iSMcfg nickname -ldn {ldn} -newname '
                      f'LX:stranger{ldn} -immediate')
        volume = cloud.create()
        assert array.find_ld(volume).ldn not in free
    finally:
        for ldn in free:
            array.run(f'iSMcfg ldunbind -ldname LX:stranger{ldn}')


def test_pools_and_stats(cloud: Cloud):
    [pool] = cloud.client.pools.list(detailed=True)
    assert pool.name.startswith(f'demo@{BACKEND}#')
    assert pool.total_capacity_gb >= pool.free_capacity_gb > 0
    assert pool.storage_protocol == {
        'iscsi': 'iSCSI', 'fc': 'FC'}[cloud.driver.protocol]
    assert pool.vendor_name == 'NEC'


@pytest.mark.slow
def test_stats_follow_the_array(driver: Driver, state: Path):
    often = {'periodic_interval': 1, 'backend_stats_polling_interval': 3}
    with Stage(state, driver, default=often) as stage:
        client = stage.cinder.client()

        def free() -> float:
            return float(client.pools.list(
                detailed=True)[0].free_capacity_gb)
        before = free()
        with user_of(stage) as user:
            user.create(5)
            wait_for('free capacity 5 GiB less',
                     lambda: free() <= before - 5, 20)
        wait_for('free capacity back', lambda: free() >= before, 20)


def test_services_are_up(cloud: Cloud):
    services = {s.binary: s.state for s in cloud.client.services.list()}
    assert services == {'cinder-scheduler': 'up', 'cinder-volume': 'up'}


def test_nothing_but_its_own_directory_is_written(cloud: Cloud,
                                                  stage: Stage):
    """Passwords are in cinder.conf, and it is not for everyone."""
    cinder = stage.cinder.layout
    assert cinder.state.stat().st_mode & 0o077 == 0
    assert cinder.conf.stat().st_mode & 0o077 == 0


def test_no_password_in_the_log(cloud: Cloud, stage: Stage):
    cloud.create()
    assert stage.array.password not in stage.cinder.log()


@pytest.mark.slow
def test_two_back_ends_on_one_array(state: Path):
    """The manual's 7.2: a volume type leads to its back end."""
    pools = {'gold': '0', 'silver': '2'}
    with Stage(state, drivers.find('MStorageISCSIDriver'), backends={
            name: {'nec_pools': pool}
            for name, pool in pools.items()}) as stage:
        with user_of(stage) as user:
            for name, pool in pools.items():
                kind = stage.cinder.ensure_type(name, backend=name)
                volume = user.create(volume_type=kind.name)
                assert stage.array.ld(volume).pool == int(pool)


@pytest.mark.slow
def test_lifecycle_with_native_threads(driver: Driver, state: Path):
    if process.release() < 29:
        pytest.skip('native threads need Cinder 29')
    with Stage(state, driver, native_threads=True) as stage:
        with user_of(stage) as user:
            source = user.create()
            user.write(source, 'before')
            attachment = user.attach(source)
            user.detach(attachment)
            snapshot = user.snapshot(source)
            user.write(source, 'after_')
            restored = user.create(snapshot_id=snapshot)
            clone = user.create(2, source_volid=source)
            assert user.read(restored, 6) == 'before'
            assert user.read(clone, 6) == 'after_'
            user.extend(restored, 2)
            ids = [user.client.volumes.create(1).id for _ in range(8)]
            user._volumes += ids
            for volume in ids:
                user.wait_volume(volume, 'available')


@pytest.mark.slow
def test_lifecycle_with_a_key(driver: Driver, state: Path):
    """The key alone logs in, without any password."""
    with Stage(state, driver, use_key=True) as stage:
        with user_of(stage) as user:
            user.attach(user.create())
