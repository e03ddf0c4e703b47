# SPDX-License-Identifier: Apache-2.0
"""The audit from outside: a real Cinder's API, and SSH to the array."""

from __future__ import annotations

import openstack
from soak_suite.judge import array_reader

from allinone.config import PROJECT_ID, USER_ID
from cinder_nec import cinder_view
from cinder_nec.backend.audit import AuditScope, audit
from cinder_nec.backend.cinder_state import CinderState
from cinder_nec.backend.findings import Finding, FindingKind
from tests.system.cloud import Cloud

# One LD of the simulated array has no name, and the hosts of earlier tests
# have LD Sets.
THERE_BEFORE = {FindingKind.NAMELESS_LD, FindingKind.LD_SET_LEFT}


def through_client(cloud: Cloud) -> CinderState:
    return cinder_view.from_client(cloud.client)


def through_sdk(cloud: Cloud) -> CinderState:
    with openstack.connect(
            load_envvars=False, load_yaml_config=False,
            auth_type='admin_token', auth={
                'endpoint': cloud.stage.cinder.endpoint,
                'token': f'{USER_ID}:{PROJECT_ID}'}) as connection:
        return cinder_view.from_sdk(connection.block_storage)


def look(cloud: Cloud, state: CinderState) -> list[Finding]:
    with array_reader(cloud.array, cloud.stage.state / 'known_hosts'
                      ) as read:
        found = audit(read(), state, AuditScope.of([0], [1]))
    return [f for f in found if f.kind not in THERE_BEFORE]


def test_both_clients_see_what_is_in_order_and_what_is_not(cloud: Cloud):
    volume = cloud.create(2)
    cloud.snapshot(volume)
    cloud.attach(volume, 'host1')
    for state in (through_client(cloud), through_sdk(cloud)):
        assert (len(state.volumes), len(state.snapshots),
                len(state.attachments)) == (1, 1, 1)
        assert look(cloud, state) == []
    [found] = look(cloud, CinderState(state.volumes, state.snapshots))
    assert found.kind is FindingKind.MAPPING_WITHOUT_ATTACHMENT
    kinds = {f.kind: f.cinder_id for f in look(cloud, CinderState())}
    assert kinds[FindingKind.LD_WITHOUT_OBJECT] in (volume, *(
        s.cinder_id for s in state.snapshots))


def test_a_host_that_has_it_by_mistake_is_told_from_the_right_one(
        cloud: Cloud):
    """What the attach answered tells whose mapping is explained."""
    volume = cloud.create()
    cloud.attach(volume, 'host1')
    other = cloud.create()
    cloud.attach(other, 'host2')
    [wrong] = cloud.array.sets_of(other)
    name = cloud.array.ld(volume).full_name
    cloud.array.run(f'iSMcfg addldsetld -ldset {wrong.name} '
                    f'-ldname {name}')
    try:
        [found] = look(cloud, through_client(cloud))
        assert found.kind is FindingKind.MAPPING_WITHOUT_ATTACHMENT
        assert wrong.name in found.subject
        cloud.array.run(found.steps[0].text)
        assert look(cloud, through_client(cloud)) == []
    finally:
        if len(cloud.array.sets_of(volume)) > 1:
            cloud.array.run(f'iSMcfg delldsetld -ldset {wrong.name} '
                            f'-ldname {name}')
