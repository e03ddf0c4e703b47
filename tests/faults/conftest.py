# SPDX-License-Identifier: Apache-2.0
"""What stands for the rest of Cinder."""

from __future__ import annotations

import contextlib
import types

import pytest

from tests.cinder import drivers  # noqa: F401  (first: registers objects)

from cinder import coordination  # isort: skip
from cinder.zonemanager import utils as fczm_utils  # isort: skip

from cinder_nec import volume_manage  # isort: skip
from cinder_nec.backend import qos  # isort: skip
from tests.faults.steps import QOS  # isort: skip


@pytest.fixture
def the_cloud(monkeypatch):
    """Volume types, and a zone manager that has nothing to do."""
    monkeypatch.setattr(
        qos.volume_types, 'get_volume_type_qos_specs',
        lambda type_id: {'qos_specs': type_id and {
            'id': 'id', 'name': 'QoS', 'consumer': 'back-end',
            'specs': QOS[type_id]}})
    # Nothing of what is taken over is Cinder's already.
    monkeypatch.setattr(volume_manage, '_id_in_cinder', lambda _name: None)
    monkeypatch.setattr(fczm_utils, 'create_zone_manager', lambda: None)
    monkeypatch.setattr(
        coordination, 'COORDINATOR', types.SimpleNamespace(
            get_lock=lambda _name: contextlib.nullcontext()))
