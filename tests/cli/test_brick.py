# SPDX-License-Identifier: Apache-2.0
"""os-brick itself is asked, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from cinder_nec import errors
from cinder_nec.cli.brick import ask_brick
from cinder_nec.model import Protocol


def test_os_brick_is_asked(tmp_path: Path,
                           monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the current directory is run; root may be anywhere."""
    marker = tmp_path / 'was-run'
    for name in ('os_brick', 'json', 'cinder_nec', 'eventlet'):
        (tmp_path / f'{name}.py').write_text(
            f'open({str(marker)!r}, "w")\n')
    monkeypatch.chdir(tmp_path)
    ask_brick.cache_clear()
    found = ask_brick(Protocol.ISCSI)
    assert set(found) <= {'initiator'}
    assert not marker.exists()


def test_os_brick_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    ask_brick.cache_clear()
    monkeypatch.setattr('sys.path', [])
    try:
        with pytest.raises(errors.NotFound, match='os-brick cannot tell'):
            ask_brick(Protocol.ISCSI)
    finally:
        ask_brick.cache_clear()
