# SPDX-License-Identifier: Apache-2.0
"""Back an attached volume up, by cinder-backup, and restore it."""

from __future__ import annotations

import pytest

from allinone import wait_for
from tests.data.cloud import PAIR, User

pytestmark = pytest.mark.xdist_group('data-cloud')
GIB = 1 << 30
END = GIB - 4096


def status(user: User, backup: str) -> str:
    found = user.client.backups.get(backup)
    assert 'error' not in found.status, found.fail_reason
    return str(found.status)


@PAIR
def test_backup_of_an_attached_volume(user: User):
    """It has the moment of the temporary snapshot, whatever the host
    writes while cinder-backup reads."""
    volume = user.create()
    with user.on_host(volume) as disk:
        disk.write('at the backup', 0)
        disk.write('at the backup', END)
        wanted = user.fingerprint(volume)
        backup = user.client.backups.create(volume, force=True).id
        wait_for('temporary snapshot', lambda:
                 user.array.points_in_time(volume), 30)
        disk.write('too late', END)
        wait_for('backup available', lambda: status(user, backup)
                 == 'available', 120)
    restored = user.client.restores.restore(backup).volume_id
    user.adopt(restored)
    wait_for('restored', lambda: status(user, backup) == 'available', 120)
    user.wait_volume(restored, 'available')
    assert user.fingerprint(restored) == wanted
    assert user.host_reads(restored, 0, END) == ['at the backup'] * 2
    assert user.read(volume, 8, END) == 'too late'
    user.client.backups.delete(backup)
    wait_for('backup gone', lambda: not user.client.backups.list(), 60)
    assert user.client.volume_snapshots.list() == []
