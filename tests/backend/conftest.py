# SPDX-License-Identifier: Apache-2.0
"""A fresh simulated array for each test."""

from __future__ import annotations

import pytest

from tests.backend.arrays import Lab, make_engine, make_lab


@pytest.fixture
def lab(tmp_path) -> Lab:
    return make_lab(make_engine(tmp_path))
