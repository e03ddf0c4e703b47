# SPDX-License-Identifier: Apache-2.0
"""What happens at the limits of a model (manual 2.4)."""

from __future__ import annotations

from typing import Any

import pytest

from cinder_nec import errors
from cinder_nec.model import LdName
from tests.backend.arrays import POOL, Lab, host, make_engine, make_lab

PLAIN: dict[str, Any] = {
    'pools': [{'number': POOL, 'capacity': '100 TiB'}], 'lds': [],
    'ldsets': []}
HOST = 'iqn.1994-05.com.redhat:host0001'
MODELS = {'M110': (1024, 256), 'M310F': (4096, 1024), 'M710': (8192, 1024),
          'M320': (8192, 1024)}


def lab_of(tmp_path: Any, model: str, count: int, **changes: Any) -> Lab:
    """Return an array with so many LDs."""
    return make_lab(make_engine(tmp_path, changes={
        **PLAIN, 'array': {'product_id': model, 'access_control': True},
        'preload': {'count': count, 'pool': POOL, 'capacity_gib': 1},
        **changes}))


def name(number: int) -> LdName:
    return LdName('LX', f'Volume{number:015d}')


def preloaded(number: int) -> LdName:
    return LdName('LX', f'preload{number:05d}')


@pytest.mark.parametrize('model', MODELS)
def test_lds_of_an_array(tmp_path: Any, model: str) -> None:
    limit = MODELS[model][0]
    lab = lab_of(tmp_path, model, limit - 2)
    for number in range(2):
        lab.volumes.create(name(number), 1, [POOL])
    before = lab.state()
    mark = lab.mark()
    with pytest.raises(errors.NoCapacity,
                       match='All Logical Disk numbers are used.'):
        lab.volumes.create(name(2), 1, [POOL])
    # One look whether that is still so, and nothing is tried.
    assert lab.sent(mark) == ['dump']
    assert lab.state() == before


def test_numbers_beyond_the_models_are_used_too(tmp_path: Any) -> None:
    """Then numbers are free, and the array takes no more LDs."""
    lab = lab_of(tmp_path, 'M110', 1023, lds=[
        {'ldn': 4095, 'name': 'Pool0000_SYV0FFF', 'pool': POOL,
         'capacity': '8 GiB', 'kind': 'syv'}])
    assert len(lab.engine.array.store.lds) == 1024
    with pytest.raises(errors.NoCapacity,
                       match='All Logical Disk numbers are used.'):
        lab.volumes.create(name(1), 1, [POOL])


def test_a_number_that_a_peer_has_freed(tmp_path: Any) -> None:
    """What is known to be full may not be any more."""
    lab = lab_of(tmp_path, 'M110', 1024)
    lab.inventory.refresh()
    make_lab(lab.engine).volumes.unbind(preloaded(7))
    assert lab.volumes.create(name(1), 1, [POOL]).ldn == 7


@pytest.mark.parametrize('model', MODELS)
def test_lds_of_an_ld_set(tmp_path: Any, model: str) -> None:
    limit = MODELS[model][1]
    lab = lab_of(tmp_path, model, limit, ldsets=[{
        'name': 'LX:all', 'type': 'iscsi', 'multitarget': True,
        'initiators': [HOST],
        'lds': [{'ld': preloaded(number).label} for number in range(limit)]}])
    volume = name(1)
    lab.volumes.create(volume, 1, [POOL])
    with pytest.raises(errors.NoCapacity) as caught:
        lab.access.attach(volume, host())
    assert f'`LX:all` has {limit} logical disks' in str(caught.value)
    assert model in str(caught.value)
    lab.access.detach(preloaded(5), host())
    assert lab.access.attach(volume, host())['data']['target_iqn']


def test_another_refusal_is_passed_on(tmp_path: Any) -> None:
    lab = lab_of(tmp_path, 'M110', 3, ldsets=[{
        'name': 'LX:all', 'type': 'iscsi', 'multitarget': True,
        'initiators': [HOST]}])
    lab.operate('limits', set={'lds_per_ldset': 0})
    with pytest.raises(errors.CommandFailed):
        lab.access.attach(preloaded(1), host())
