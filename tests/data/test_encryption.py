# SPDX-License-Identifier: Apache-2.0
"""Encrypted volumes (LUKS) as Nova uses them; see harness.luks."""

from __future__ import annotations

import pytest

from harness import luks
from harness.attached import MIB
from harness.tally import wants_all
from tests.data import needs
from tests.data.cloud import User

pytestmark = pytest.mark.xdist_group('data-cloud')
# cryptsetup makes keys dear on purpose, and no driver knows of them.
CLASSES = (0, 1) if wants_all() else (1,)


@pytest.fixture
def encrypted(user: User) -> str:
    """The name of a volume type."""
    needs.luks()
    kind = user.stage.cinder.ensure_type(user.backend + '-luks',
                                         user.backend)
    user.client.volume_encryption_types.create(kind, luks.SPEC)
    return str(kind.name)


@pytest.mark.parametrize('user', CLASSES, indirect=True)
def test_the_array_has_no_plain_text(user: User, encrypted: str):
    """Nor has a clone, which Cinder gives a key slot of its own."""
    volume = user.create(volume_type=encrypted)
    with user.on_host(volume) as disk:
        luks.format_volume(disk, quick=not wants_all())
        luks.write(disk, 16 * MIB, MIB)
    clone = user.create(source_volid=volume)
    with user.on_host(clone) as disk:
        luks.verify(disk, 16 * MIB, MIB)
    headers = [user.array.read(one, 0, luks.HEADER)
               for one in (volume, clone)]
    assert all(map(luks.is_header, headers))
    assert headers[0] != headers[1]
    assert not luks.plain_text(user.path(volume))
    assert not luks.plain_text(user.path(clone))
