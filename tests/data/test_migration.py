# SPDX-License-Identifier: Apache-2.0
"""To another array, by Cinder's own copy through the host."""

from __future__ import annotations

import pytest

from allinone import wait_for
from harness.tally import wants_all
from tests.data.cloud import User

pytestmark = pytest.mark.xdist_group('data-cloud')
GIB = 1 << 30
END = GIB - 4096


@pytest.mark.parametrize('user', (0,), indirect=True)
def test_to_another_array(user: User):
    """From iSCSI and the snapshot method to FC and replication; with
    tools/test --all from there to where it was, too."""
    other = User(user.stage, 1, user.nodes)
    volume = user.create()
    user.write(volume, 'start', 0)
    user.write(volume, 'end', END)
    wanted = user.fingerprint(volume)
    for to in (other, user) if wants_all() else (other,):
        user.client.volumes.retype(volume, to.kind(), 'on-demand')
        wait_for('moved', lambda to=to: is_on(to, volume), 120)
        user.wait_volume(volume, 'available')
        assert user.path(volume).is_relative_to(
            to.array.process.directory)
        assert user.fingerprint(volume) == wanted
        assert to.host_reads(volume, 0, END) == ['start', 'end']


def is_on(user: User, volume: str) -> bool:
    """Whether Cinder has a volume on a user's back end."""
    found = user.volume(volume)
    assert found.migration_status != 'error'
    return (found.status == 'available'
            and found.volume_type == user.kind())
