# SPDX-License-Identifier: Apache-2.0
"""iSCSI attach and detach: LD Sets, targets, portals, several hosts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from cinder_nec import errors
from cinder_nec.backend.access.base import AccessOptions, Connector
from cinder_nec.model import LdName, LdSetName
from ismsim.faults import Action
from tests.backend.arrays import (
    POOL,
    Time,
    attached,
    host,
    make_engine,
    make_lab,
)

VOLUME, OTHER = LdName('LX', 'V' * 21), LdName('LX', 'W' * 21)
HOST_SET = 'LX:omredhathost0001'


@pytest.fixture
def ready(lab):
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.volumes.create(OTHER, 1, [POOL])
    return lab


def mapped(lab, name: LdName) -> list[str]:
    """Return the LD Sets that an LD is in, on the array."""
    ldn = lab.lds()[name.label].ldn
    return sorted(lab.engine.array.store.ldsets_of(ldn))


def shared_ld_set(lab, label: str) -> None:
    """Make an LD Set in full access mode, which lists no initiators."""
    lab.operate('ldset_add', ldset={
        'name': f'LX:{label}', 'type': 'iscsi', 'multitarget': True,
        'fullaccess': True})


def normal_mode(tmp_path, **ldset):
    return make_engine(tmp_path, changes={'ldsets': [{
        'name': 'LX:normal', 'type': 'iscsi', 'multitarget': False,
        'initiators': ['iqn.1994-05.com.redhat:host0001'], **ldset}]})


# -- budgets ----------------------------------------------------------------

def test_a_new_host_and_then_a_known_one(ready):
    mark = ready.mark()
    ready.access.attach(VOLUME, host())
    assert ready.sent(mark) == ['addldset', 'addldsetinitiator',
                                'addldsetld', 'dump']
    mark = ready.mark()
    ready.access.attach(OTHER, host())
    assert ready.sent(mark) == ['addldsetld', 'dump']
    mark = ready.mark()
    ready.access.detach(VOLUME, host())
    assert ready.sent(mark) == ['delldsetld']
    assert mapped(ready, VOLUME) == []
    assert mapped(ready, OTHER) == [HOST_SET]


def test_normal_mode_needs_no_dump(tmp_path):
    lab = make_lab(normal_mode(tmp_path))
    for name in (VOLUME, OTHER):
        lab.volumes.create(name, 1, [POOL])
    mark = lab.mark()
    infos = [lab.access.attach(name, host()) for name in (VOLUME, OTHER)]
    assert lab.sent(mark) == ['addldsetld'] * 2
    assert [i['data']['target_lun'] for i in infos] == [0, 1]
    assert len({i['data']['target_iqn'] for i in infos}) == 1


def test_attaches_at_once_share_dumps(tmp_path):
    engine = make_engine(tmp_path, clock=Time(real=0.02))
    engine.array.timing.dump = 2.0
    lab = make_lab(engine)
    names = [LdName('LX', f'Volume{n:015d}') for n in range(16)]
    for name in names:
        lab.volumes.create(name, 1, [POOL])
    lab.access.attach(names[0], host())
    mark = lab.mark()
    with ThreadPoolExecutor(15) as pool:
        infos = list(pool.map(lambda n: lab.access.attach(n, host()),
                              names[1:]))
    assert len({i['data']['target_iqn'] for i in infos}) == 15
    assert lab.sent(mark).count('addldsetld') == 15
    assert lab.sent(mark).count('dump') <= 4


# -- what the host is told --------------------------------------------------

def test_connection_of_a_single_path_host(ready):
    data = ready.access.attach(VOLUME, host())['data']
    assert data['target_lun'] == 0
    assert data['target_discovered'] is False
    assert data['target_portal'].endswith(':3260')
    assert 'target_portals' not in data


def test_connection_of_a_multipath_host(ready):
    data = ready.access.attach(VOLUME, host(multipath=True))['data']
    assert len(data['target_portals']) == 2  # one of each controller
    assert len(set(data['target_portals'])) == 2
    assert data['target_iqns'] == [data['target_iqn']] * 2
    assert data['target_luns'] == [0, 0]
    assert data['target_portals'][0] == data['target_portal']


@pytest.mark.parametrize('text, expected', [
    ('True', True), ('False', False), (True, True), (False, False),
    (None, False)])
def test_multipath_may_be_a_word(text, expected):
    assert Connector.parse({'multipath': text}).multipath is expected


def test_all_portals_if_the_operator_says_so(ready):
    lab = make_lab(ready.engine,
                   options=AccessOptions(portals_per_controller=0))
    data = lab.access.attach(VOLUME, host(multipath=True))['data']
    assert len(data['target_portals']) == 4


def test_a_port_that_lost_its_link_is_not_told(ready):
    ready.access.attach(VOLUME, host())
    for port in ('00-02', '01-02'):
        ready.operate('port_link', port=port, up=False)
    data = ready.access.attach(OTHER, host(multipath=True))['data']
    assert sorted(data['target_portals']) == ['127.0.0.12:3260',
                                              '127.0.0.14:3260']


def test_no_portals_has_the_manuals_words_and_leaves_no_mapping(tmp_path):
    lab = make_lab(make_engine(tmp_path, changes={
        'ports': [{'port': '00-00', 'ip': '0.0.0.0'}], 'ldsets': []}))
    lab.volumes.create(VOLUME, 1, [POOL])
    with pytest.raises(errors.NotFound, match='has no portals'):
        lab.access.attach(VOLUME, host())
    assert mapped(lab, VOLUME) == []


# -- LD Sets ----------------------------------------------------------------

def test_the_operators_ld_set_is_used(ready):
    connector = Connector.parse(
        {'initiator': 'iqn.1994-05.com.redhat:oracle', 'host': 'db'})
    ready.access.attach(VOLUME, connector)
    assert mapped(ready, VOLUME) == ['LX:Oracle']


def test_two_hosts_with_names_that_end_alike_get_their_own(ready):
    names = ['iqn.1994-05.com.redhat:rack1-compute-node0001',
             'iqn.1995-01.org.suse:rack1-compute-node0001']
    assert names[0][-16:] == names[1][-16:]
    for volume, name in zip((VOLUME, OTHER), names, strict=True):
        ready.access.attach(volume, Connector.parse({'initiator': name}))
    assert len(mapped(ready, VOLUME)) == len(mapped(ready, OTHER)) == 1
    assert mapped(ready, VOLUME) != mapped(ready, OTHER)


def test_an_empty_ld_set_of_a_failed_attach_is_used_again(ready):
    ready.fault(Action.REFUSE, prefix='iSMcfg addldsetinitiator', times=2)
    with pytest.raises(errors.CommandFailed):
        ready.access.attach(VOLUME, host())
    ready.access.attach(VOLUME, host())
    assert mapped(ready, VOLUME) == [HOST_SET]


def test_a_configured_ld_set_that_is_missing(ready):
    lab = make_lab(ready.engine,
                   options=AccessOptions(ld_set=LdSetName('LX', 'None')))
    before = lab.state()
    with pytest.raises(errors.NotFound, match='LD Set `LX:None` not found'):
        lab.access.attach(VOLUME, host())
    assert lab.state() == before


def test_without_automatic_access_control_nothing_is_created(ready):
    lab = make_lab(ready.engine, options=AccessOptions(automatic=False))
    before = lab.state()
    with pytest.raises(errors.NotFound,
                       match='Logical Disk Set could not be found'):
        lab.access.attach(VOLUME, host())
    assert lab.state() == before


def test_the_controller_node_has_an_ld_set_of_its_own(ready):
    for name in ('compute', 'control'):
        shared_ld_set(ready, name)
    lab = make_lab(ready.engine, options=AccessOptions(
        ld_set=LdSetName('LX', 'compute'),
        controller_ld_set=LdSetName('LX', 'control'),
        controller_hosts=frozenset({'host1'})))
    lab.access.attach(VOLUME, host(1))
    lab.access.attach(OTHER, host(2))
    assert mapped(lab, VOLUME) == ['LX:control']
    assert mapped(lab, OTHER) == ['LX:compute']


def test_one_ld_set_for_threads_of_one_new_host(ready):
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(ready.access.attach, name, host())
                       for name in (VOLUME, OTHER)]:
            future.result(60)
    assert mapped(ready, VOLUME) == mapped(ready, OTHER) == [HOST_SET]


# -- detach -----------------------------------------------------------------

def test_detach_for_a_host_the_array_does_not_know_creates_nothing(ready):
    before = ready.state()
    ready.access.detach(VOLUME, host(7))
    assert ready.state() == before


def test_detach_of_a_volume_that_is_gone_is_a_success(ready):
    ready.snapshots.delete_volume(VOLUME)
    ready.access.detach(VOLUME, host())


def test_two_hosts_are_detached_one_by_one(ready):
    for number in (1, 2):
        ready.access.attach(VOLUME, host(number))
    ready.access.detach(VOLUME, host(1), attached(host(1), host(2)))
    assert mapped(ready, VOLUME) == ['LX:omredhathost0002']
    ready.access.detach(VOLUME, host(2))
    assert mapped(ready, VOLUME) == []


def test_a_second_attachment_on_the_same_host_keeps_the_mapping(ready):
    ready.access.attach(VOLUME, host())
    ready.access.detach(VOLUME, host(), attached(host(), host()))
    assert mapped(ready, VOLUME) == [HOST_SET]


def test_a_shared_ld_set_is_left_by_the_last_host(ready):
    shared_ld_set(ready, 'all')
    lab = make_lab(ready.engine,
                   options=AccessOptions(ld_set=LdSetName('LX', 'all')))
    lab.access.attach(VOLUME, host(1))
    lab.access.attach(VOLUME, host(2))
    lab.access.detach(VOLUME, host(1), attached(host(1), host(2)))
    assert mapped(lab, VOLUME) == ['LX:all']
    lab.access.detach(VOLUME, host(2))
    assert mapped(lab, VOLUME) == []


def test_forced_detach_takes_it_from_all_hosts(tmp_path):
    engine = make_engine(tmp_path)
    ours, peer = (make_lab(engine) for _ in range(2))
    ours.volumes.create(VOLUME, 1, [POOL])
    ours.access.attach(VOLUME, host(1))
    peer.access.attach(VOLUME, host(2))
    ours.access.detach_all(VOLUME)
    assert mapped(ours, VOLUME) == []


# -- two services -----------------------------------------------------------

def test_attach_after_a_peer_detached(tmp_path):
    """What is known to be mapped may have been taken away since."""
    engine = make_engine(tmp_path)
    ours, peer = (make_lab(engine) for _ in range(2))
    ours.volumes.create(VOLUME, 1, [POOL])
    first = ours.access.attach(VOLUME, host())
    peer.access.detach(VOLUME, host())
    second = ours.access.attach(VOLUME, host())
    assert mapped(ours, VOLUME) == [HOST_SET]
    assert second['data']['target_iqn']
    assert first['driver_volume_type'] == 'iscsi'


def test_detach_after_a_peer_attached(tmp_path):
    engine = make_engine(tmp_path)
    ours, peer = (make_lab(engine) for _ in range(2))
    ours.volumes.create(VOLUME, 1, [POOL])
    peer.access.attach(VOLUME, host())
    ours.access.detach(VOLUME, host())
    assert mapped(ours, VOLUME) == []


def test_a_lun_that_a_peer_took_is_passed_by(tmp_path):
    engine = normal_mode(tmp_path)
    ours, peer = (make_lab(engine) for _ in range(2))
    for name in (VOLUME, OTHER):
        ours.volumes.create(name, 1, [POOL])
    peer.access.attach(OTHER, host())
    info = ours.access.attach(VOLUME, host())
    assert info['data']['target_lun'] == 1


def test_a_released_lun_rests_for_a_minute(tmp_path):
    lab = make_lab(normal_mode(tmp_path))
    for name in (VOLUME, OTHER):
        lab.volumes.create(name, 1, [POOL])
    lab.access.attach(VOLUME, host())
    lab.access.detach(VOLUME, host())
    assert lab.access.attach(OTHER, host())['data']['target_lun'] == 1
    lab.time.sleep(61)
    assert lab.access.attach(VOLUME, host())['data']['target_lun'] == 0


# -- hostile connectors -----------------------------------------------------

@pytest.mark.parametrize('initiator', [
    'iqn.1994-05.com.redhat:x; rm -rf /', 'iqn.1994-05.com.redhat:$(id)',
    'iqn.1994-05.com.redhat:`id`', 'iqn.1994-05.com.redhat:a\nb',
    '>/tmp/pwned', 'iqn.1994-05.com.redhat:a\x00', '-type', 'x' * 65536,
    'iqn.1994-05.com.redhat:' + 'é', {'a': 1}, 7, ['iqn.1994-05.a:b']])
def test_a_hostile_initiator_reaches_no_shell(ready, initiator):
    mark = ready.mark()
    with pytest.raises(errors.InvalidConnector) as caught:
        ready.access.attach(VOLUME,
                            Connector.parse({'initiator': initiator}))
    assert ready.sent(mark) == []
    assert len(str(caught.value)) < 300


def test_a_connector_without_initiator(ready):
    with pytest.raises(errors.InvalidConnector, match='no initiator'):
        ready.access.attach(VOLUME, Connector.parse({'host': 'h'}))
