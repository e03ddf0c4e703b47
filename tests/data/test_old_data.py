# SPDX-License-Identifier: Apache-2.0
"""A volume that was deleted never shows its data to the next one."""

from __future__ import annotations

import pytest

from harness.attached import MIB, Attached
from tests.data.cloud import User

pytestmark = pytest.mark.xdist_group('data-cloud')
GIB = 1 << 30
PLACES = (0, GIB // 2, GIB - 8 * MIB)


def assert_zero(disk: Attached) -> None:
    """Where the volume before had its data there is nothing."""
    assert [disk.count_nonzero(place, 8 * MIB) for place in PLACES] == [
        0, 0, 0]


def test_a_new_volume_on_the_same_host(user: User):
    old = user.create()
    with user.on_host(old) as disk:
        for place in PLACES:
            disk.write('secret', place)
    was = user.array.ld(old)
    user.delete(old)
    new = user.create()
    assert user.array.ld(new).pool == was.pool
    empty = user.fingerprint(new)
    with user.on_host(new) as disk:
        assert_zero(disk)
        disk.write('mine', 0)
        assert disk.read(0) == 'mine'
    assert user.fingerprint(new) != empty


def test_a_host_that_kept_its_session(user: User):
    """Its attachment was deleted, but it never logged out: of the next
    volume, on another host, it sees nothing."""
    old = user.create()
    with (user.new_node('stale') as host,
          user.on_host(old, host) as disk):
        disk.write('secret', 0)
        disk.take_away()
        user.delete(old)
        new = user.create()
        with user.on_host(new) as other:
            assert_zero(other)
            other.write('not for you', 0)
            with pytest.raises(OSError, match='rror'):
                disk.read(0)
            with pytest.raises(OSError, match='rror'):
                disk.write('secret', 0)
            assert other.read(0) == 'not for you'
