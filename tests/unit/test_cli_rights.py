# SPDX-License-Identifier: Apache-2.0
"""Whether the service's user may read a file, seen by root."""

from __future__ import annotations

import os
from pathlib import Path
import pwd
from types import SimpleNamespace

import pytest

from cinder_nec.cli import rights

UID, GID = 4711, 4712


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file under directories that all may enter, and a user cinder."""
    user = SimpleNamespace(pw_name='cinder', pw_uid=UID, pw_gid=GID)
    monkeypatch.setattr(pwd, 'getpwnam', lambda name: user)
    monkeypatch.setattr(os, 'getgrouplist', lambda name, gid: [gid, 4713])
    monkeypatch.setattr(os, 'geteuid', lambda: 0)
    inner = tmp_path / 'etc'
    inner.mkdir()
    found = inner / 'key'
    found.write_text('')
    # Of what is above only the last one counts here.
    real = rights._has
    monkeypatch.setattr(rights, '_has', lambda status, uid, groups, bit: (
        True if (status.st_dev, status.st_ino) not in {
            (s.st_dev, s.st_ino) for s in (inner.stat(), found.stat())}
        else real(status, uid, groups, bit)))
    return found


@pytest.mark.parametrize(('mode', 'above', 'can'), [
    (0o644, 0o755, True), (0o640, 0o755, False), (0o600, 0o755, False),
    (0o644, 0o750, False), (0o604, 0o701, True)])
def test_a_file_of_others(file: Path, mode: int, above: int,
                          can: bool) -> None:
    file.chmod(mode)
    file.parent.chmod(above)
    assert rights.service_can_read(str(file)) is can


@pytest.mark.parametrize(('uid', 'gid', 'mode', 'can'), [
    (UID, 0, 0o400, True), (UID, 0, 0o044, False),
    (0, GID, 0o040, True), (0, 4713, 0o640, True), (0, GID, 0o604, False)])
def test_owner_group_and_others(uid: int, gid: int, mode: int,
                                can: bool) -> None:
    status = SimpleNamespace(st_uid=uid, st_gid=gid, st_mode=0o100000 | mode)
    assert rights._has(status, UID, {GID, 4713}, 4) is can  # type: ignore


def test_nothing_is_known(file: Path,
                          monkeypatch: pytest.MonkeyPatch) -> None:
    file.chmod(0)
    assert not rights.service_can_read(str(file))
    assert rights.service_can_read(str(file.with_name('none')))
    monkeypatch.setattr(os, 'geteuid', lambda: 1)
    assert rights.service_can_read(str(file))

    def nobody(name: str) -> object:
        raise KeyError(name)

    monkeypatch.setattr(os, 'geteuid', lambda: 0)
    monkeypatch.setattr(pwd, 'getpwnam', nobody)
    assert rights.service_can_read(str(file))
