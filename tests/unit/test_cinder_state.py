# SPDX-License-Identifier: Apache-2.0
"""What Cinder has, as the audit sees it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cinder_nec import cinder_view
from cinder_nec.backend.cinder_state import (
    CinderAttachment,
    CinderSnapshot,
    CinderState,
    CinderVolume,
    Phase,
    attachment_phase_of,
    phase_of,
)


@pytest.mark.parametrize('status, migration, phase', (
    ('available', None, Phase.STEADY),
    ('in-use', 'success', Phase.STEADY),
    ('creating', None, Phase.CREATING),
    ('deleting', None, Phase.DELETING),
    ('error', None, Phase.BROKEN),
    ('error_extending', None, Phase.HALF_CHANGED),
    ('available', 'migrating', Phase.CHANGING),
    ('available', 'target:abc', Phase.CREATING),
    ('extending', None, Phase.CHANGING),
    ('of a later release', None, Phase.CHANGING),
))
def test_what_a_status_means(status, migration, phase):
    assert phase_of(status, migration) is phase


def test_only_what_is_attached_needs_a_mapping():
    assert attachment_phase_of('attached') is Phase.STEADY
    assert attachment_phase_of('reserved') is not Phase.STEADY
    assert attachment_phase_of('of a later release') is Phase.CHANGING


def between(before: CinderVolume | None,
            after: CinderVolume | None) -> Phase:
    first, last = (CinderState(() if one is None else (one,))
                   for one in (before, after))
    found, = first.until(last).volumes
    return found.phase


@pytest.mark.parametrize('before, after, phase', (
    (Phase.STEADY, Phase.STEADY, Phase.STEADY),
    (None, Phase.STEADY, Phase.CREATING),
    (Phase.STEADY, None, Phase.DELETING),
    (Phase.CREATING, Phase.STEADY, Phase.CREATING),
    (Phase.CREATING, Phase.BROKEN, Phase.CREATING),
    (Phase.CHANGING, Phase.STEADY, Phase.CHANGING),
    (Phase.STEADY, Phase.DELETING, Phase.DELETING),
))
def test_what_changed_while_the_array_was_read_is_in_flight(before, after,
                                                            phase):
    one, two = (None if p is None else CinderVolume('a', 1, p)
                for p in (before, after))
    assert between(one, two) is phase


def test_a_size_that_changed_meanwhile_is_in_flight():
    assert between(CinderVolume('a', 1), CinderVolume('a', 2)
                   ) is Phase.CHANGING


def test_objects_of_a_service():
    connector = {'initiator': 'iqn.1994-05.com.redhat:HOST1',
                 'wwpns': ['10000090FAA00100', None]}
    attached = SimpleNamespace(
        id='a', volume_id='v', attach_status='attached',
        connector=connector, connection_info={
            'target_iqn': 'iqn.2001-03.target0000', 'target_lun': '0'})
    volumes = [
        SimpleNamespace(id='v', size=2, status='in-use', name_id='n',
                        migration_status=None, host='node@nec1#pool',
                        volume_attachment=[attached]),
        SimpleNamespace(id='w', size=1, status='available', name_id='w',
                        migration_status=None, host='node@lvm#pool',
                        volume_attachment=[])]
    snapshots = [SimpleNamespace(id='s', volume_id='v', volume_size=2,
                                 status='available')]
    found = cinder_view.from_objects(volumes, snapshots,
                                     lambda host: '@nec1#' in host)
    assert found == CinderState(
        (CinderVolume('v', 2, name_id='n'),
         CinderVolume('w', 1, is_here=False)),
        (CinderSnapshot('s', 'v', 2),),
        (CinderAttachment(
            'a', 'v', hosts=frozenset({'iqn.1994-05.com.redhat:host1',
                                       '10000090faa00100'}),
            targets=frozenset({'iqn.2001-03.target0000'})),))


def read_attachment(told: dict[str, object]) -> CinderAttachment:
    """Read one through a client, which does not show the connector."""
    record = SimpleNamespace(id='a', volume_id='v', status='attached',
                             connection_info=told)
    client = SimpleNamespace(
        volumes=SimpleNamespace(list=lambda search_opts: []),
        volume_snapshots=SimpleNamespace(list=lambda search_opts: []),
        attachments=SimpleNamespace(
            list=lambda detailed, search_opts: [record]))
    found, = cinder_view.from_client(client).attachments
    return found


def test_without_a_connector_the_answer_of_the_attach_tells_the_host():
    found = read_attachment({
        'target_wwn': ['2100000991020012'],
        'initiator_target_map': {'10000090faa00100': ['2100000991020012']}})
    assert '10000090faa00100' in found.hosts
    assert found.targets == frozenset()


def test_the_arrays_wwn_in_a_target_is_no_host():
    target = 'iqn.2001-03.target0001:2000000991000316'
    found = read_attachment({'target_iqns': [target]})
    assert (found.hosts, found.targets) == (frozenset(),
                                            frozenset({target}))
