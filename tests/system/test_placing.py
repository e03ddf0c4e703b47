# SPDX-License-Identifier: Apache-2.0
"""A volume goes where it fits: the scheduler decides by the stats."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import parser
import pytest

from harness import drivers
from harness.array import Array
from harness.stage import Stage
from tests.system.conftest import user_of

# CapacityFilter and CapacityWeigher, which Cinder has by default, would
# decide otherwise or hide what is decided by our functions.
SCHEDULER = {
    'scheduler_default_filters':
        'AvailabilityZoneFilter,CapabilitiesFilter,DriverFilter',
    'scheduler_default_weighers': 'GoodnessWeigher'}
BACKENDS = {
    # The largest, and it may have no more LDs than are there already.
    'full': {'nec_pools': '0', 'nec_backend_max_ld_count': 4},
    # More is free than in the next one, but it is more than half used.
    'used': {'nec_pools': '1', 'volume_backend_name': 'used'},
    'room': {'nec_pools': '2', 'volume_backend_name': 'room'}}


@pytest.mark.slow
def test_volumes_go_to_the_back_end_with_room(state: Path):
    with Array(state / 'array') as array:  # and Cinder sees it from the start
        array.run('iSMcfg ldbind -poolnumber 1 -ldn 9 -capacity 6144 '
                  '-immediate')
    metrics = state / 'metrics'
    metrics.mkdir()
    with Stage(state, drivers.find('MStorageISCSIDriver'),
               options={'nec_metrics_dir': str(metrics)},
               backends=BACKENDS, default=SCHEDULER) as stage:
        free = {
            pool.name.partition('@')[2].partition('#')[0]:
            float(pool.free_capacity_gb)
            for pool in stage.cinder.client().pools.list(detailed=True)}
        assert free['full'] == 0
        assert free['used'] > free['room'] > 2000
        with user_of(stage) as user:
            for _ in range(3):
                assert stage.array.ld(user.create()).pool == 2
    assert sorted(path.name for path in metrics.iterdir()) == [
        f'cinder-nec-demo@{name}.prom' for name in sorted(BACKENDS)]
    for path in metrics.iterdir():
        up = list(parser.text_string_to_metric_families(path.read_text()))[0]
        assert (up.name, up.samples[0].value) == ('cinder_nec_up', 1)
