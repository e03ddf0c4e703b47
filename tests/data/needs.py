# SPDX-License-Identifier: Apache-2.0
"""What the tests of this directory need from the machine."""

from __future__ import annotations

import pytest

from harness import data_stage, glance
from harness.bootstrap import BootstrapError


def target() -> None:
    """Skip where no iSCSI target can be had."""
    _skip_without(', '.join(data_stage.missing_programs(
        data_stage.TARGET)))


def host() -> None:
    """Skip where no simulated host can be had."""
    _skip_without(data_stage.missing())


def cloud() -> None:
    """Skip where Cinder and Glance cannot have hosts."""
    host()
    try:
        glance.ensure_venv()
    except BootstrapError as exc:
        _skip_without('Glance from PyPI: ' + ' '.join(str(exc).split()))


def luks() -> None:
    """Skip where no volume can be encrypted."""
    _skip_without(data_stage.no_luks())


def _skip_without(absent: str) -> None:
    if absent:
        pytest.skip(f'missing: {absent}')
