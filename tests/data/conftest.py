# SPDX-License-Identifier: Apache-2.0
"""Simulated arrays that hosts can log in to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ismsim.process import SimProcess
from tests.data import needs

DATA_PATH = ('--data-path', 'on', '--iscsi-port', '0')


@pytest.fixture
def sim() -> Iterator[SimProcess]:
    """An array with a data path on a free port."""
    needs.target()
    with SimProcess(extra=DATA_PATH) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path
