# SPDX-License-Identifier: Apache-2.0
"""Fibre Channel attach and detach: LD Sets, ports, LUNs, zones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import dataclasses
import logging

from os_brick import constants
from os_brick.initiator.linuxscsi import LinuxSCSI
import pytest

from cinder_nec import errors
from cinder_nec.backend.access import base
from cinder_nec.backend.access.connector import AccessOptions, Connector
from cinder_nec.model import LdName, LdSetName, Protocol
from ismsim.faults import Action
from tests.backend.arrays import (
    POOL,
    attached,
    fc_host,
    make_engine,
    make_lab,
    wwpn,
)

VOLUME, OTHER = LdName('LX', 'V' * 21), LdName('LX', 'W' * 21)
HOST_SET = f'LX:{wwpn()}'
# FC ports of the default configuration; 01-01 (2a...) has no link.
CONT0 = ['2100000991020012', '2200000991020012']
CONT1, DOWN = ['2900000991020012'], '2a00000991020012'
NOTHING = {'driver_volume_type': 'fibre_channel', 'data': {}}


@pytest.fixture
def ready(lab):
    for name in (VOLUME, OTHER):
        lab.volumes.create(name, 1, [POOL])
    return lab


def lab_on(engine, **arguments):
    """Another service on an array, which knows what is there now."""
    lab = make_lab(engine, **arguments)
    lab.inventory.refresh()
    return lab


def array_with(tmp_path, *ld_sets, **changes):
    """An array with LD Sets, and a service that has made the volumes."""
    sets = [{'type': 'fc', **ld_set} for ld_set in ld_sets]
    lab = make_lab(make_engine(tmp_path,
                               changes={'ldsets': sets, **changes}))
    for name in (VOLUME, OTHER):
        lab.volumes.create(name, 1, [POOL])
    return lab


def path(number: int = 1, port: int = 0) -> str:
    """A WWPN as the array writes it."""
    digits = wwpn(number, port).upper()
    return '-'.join(digits[i:i + 4] for i in range(0, 16, 4))


def mapped(lab, name: LdName) -> dict[str, int]:
    """Return LUNs by LD Set, on the array."""
    ldn = lab.lds()[name.label].ldn
    return {s.key: s.slot_of(ldn)
            for s in lab.engine.array.store.ldsets.values()
            if s.slot_of(ldn) is not None}


def paths(lab, ld_set: str = HOST_SET) -> set[str]:
    return set(lab.engine.array.store.ldsets[ld_set].paths)


def lun(info) -> int:
    return info['data']['target_lun']


# -- LD Sets ----------------------------------------------------------------

def test_a_new_host_gets_an_ld_set_with_all_its_wwpns(ready):
    mark = ready.mark()
    info = ready.fc.attach(VOLUME, fc_host(ports=(0, 1, 2)))
    assert ready.sent(mark) == ['addldset', *['addldsetpath'] * 3,
                                'addldsetld']
    assert mapped(ready, VOLUME) == {HOST_SET: lun(info)}
    assert paths(ready) == {path(1, port) for port in (0, 1, 2)}


def test_a_known_host_costs_one_command(ready):
    ready.fc.attach(VOLUME, fc_host())
    mark = ready.mark()
    info = ready.fc.attach(OTHER, fc_host())
    assert ready.sent(mark) == ['addldsetld']
    assert mapped(ready, OTHER) == {HOST_SET: lun(info)}
    mark = ready.mark()
    ready.fc.ended(ready.fc.detach(OTHER, fc_host()), fc_host())
    assert ready.sent(mark) == ['delldsetld']
    assert mapped(ready, OTHER) == {}


def test_the_order_of_the_wwpns_does_not_matter(ready):
    ready.fc.attach(VOLUME, fc_host())
    ready.fc.attach(OTHER, fc_host(ports=(1, 0)))
    assert mapped(ready, VOLUME).keys() == mapped(ready, OTHER).keys()


def test_a_new_hba_is_added_while_the_host_sees_nothing(ready):
    ready.fc.attach(VOLUME, fc_host(ports=(0,)))
    detach(ready, VOLUME, fc_host(ports=(0,)))
    info = ready.fc.attach(OTHER, fc_host(ports=(2, 0)))
    assert paths(ready) == {path(1, 0), path(1, 2)}
    assert info['data']['initiator_target_map'].keys() == {
        wwpn(1, 0), wwpn(1, 2)}


def test_a_connector_gives_no_access_to_what_a_host_sees(ready, caplog):
    """Connectors are a tenant's word, and he may have an HBA of his own."""
    ready.fc.attach(VOLUME, fc_host(1))
    thief = dataclasses.replace(
        fc_host(9), wwpns=(*fc_host(1).wwpns, *fc_host(9).wwpns))
    info = ready.fc.attach(OTHER, thief)
    assert paths(ready) == {path(1, 0), path(1, 1)}
    # Nor is it zoned; and the operator is told how to do it.
    assert info['data']['initiator_target_map'].keys() == {
        wwpn(1, 0), wwpn(1, 1)}
    assert (f'iSMcfg addldsetpath -ldset {HOST_SET} -path {path(9, 0)}'
            in caplog.text)


def test_an_ld_set_of_the_operator_is_found_and_completed(tmp_path):
    lab = array_with(tmp_path, {'name': 'WN:Windows', 'paths': [path(1, 1)]})
    lab.fc.attach(VOLUME, fc_host())
    assert mapped(lab, VOLUME).keys() == {'WN:Windows'}
    assert paths(lab, 'WN:Windows') == {path(1, 0), path(1, 1)}


def test_without_automatic_access_control_nothing_is_changed(tmp_path):
    lab = array_with(tmp_path, {'name': 'LX:host1', 'paths': [path(1, 0)]})
    lab = lab_on(lab.engine, options=AccessOptions(automatic=False))
    info = lab.fc.attach(VOLUME, fc_host())
    assert paths(lab, 'LX:host1') == {path(1, 0)}
    # What the LD Set does not let in must not be zoned either.
    assert info['data']['initiator_target_map'].keys() == {wwpn(1, 0)}
    before = lab.state()
    with pytest.raises(errors.NotFound,
                       match='Logical Disk Set could not be found'):
        lab.fc.attach(OTHER, fc_host(2))
    assert lab.state() == before


def test_a_wwpn_of_another_ld_set_stays_there(tmp_path, caplog):
    lab = array_with(tmp_path,
                     {'name': 'LX:most', 'paths': [path(1, 1), path(1, 2)]},
                     {'name': 'LX:few', 'paths': [path(1, 0)]})
    info = lab.fc.attach(VOLUME, fc_host(ports=(0, 1, 2, 3)))
    assert mapped(lab, VOLUME).keys() == {'LX:most'}
    assert paths(lab, 'LX:most') == {path(1, p) for p in (1, 2, 3)}
    assert paths(lab, 'LX:few') == {path(1, 0)}
    assert info['data']['initiator_target_map'].keys() == {
        wwpn(1, port) for port in (1, 2, 3)}
    assert f'no path through {wwpn(1, 0)}' in caplog.text


def test_a_volume_stays_where_the_host_sees_it(tmp_path):
    """The in-tree driver takes the LD Set of the first WWPN."""
    lab = array_with(tmp_path,
                     {'name': 'LX:most', 'paths': [path(1, 1), path(1, 2)]},
                     {'name': 'LX:few', 'paths': [path(1, 0)]})
    host = fc_host(ports=(0, 1, 2))
    lab.engine.execute(f'iSMcfg addldsetld -ldset LX:few -ldname {VOLUME}')
    lab = lab_on(lab.engine)
    lab.fc.attach(VOLUME, host)
    assert mapped(lab, VOLUME).keys() == {'LX:few'}
    lab.fc.detach(VOLUME, host)
    assert mapped(lab, VOLUME) == {}


def test_no_more_than_64_wwpns(tmp_path):
    lab = array_with(tmp_path, {'name': 'LX:big', 'paths': [
        path(1, 0), *(path(7, n) for n in range(62))]})
    info = lab.fc.attach(VOLUME, fc_host(ports=(0, 1, 2)))
    assert len(paths(lab, 'LX:big')) == 64
    assert info['data']['initiator_target_map'].keys() == {
        wwpn(1, 0), wwpn(1, 1)}


def test_threads_of_one_new_host_make_one_ld_set(ready):
    sets = len(ready.engine.array.store.ldsets)
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(ready.fc.attach, name, fc_host())
                       for name in (VOLUME, OTHER)]:
            future.result(60)
    assert len(ready.engine.array.store.ldsets) == sets + 1
    assert mapped(ready, VOLUME).keys() == mapped(ready, OTHER).keys()


def test_an_ld_set_that_a_peer_made_meanwhile_is_used(tmp_path):
    engine = make_engine(tmp_path)
    ours, peer = (lab_on(engine) for _ in range(2))
    for name in (VOLUME, OTHER):
        ours.volumes.create(name, 1, [POOL])
    peer.fc.attach(OTHER, fc_host())
    ours.fc.attach(VOLUME, fc_host())
    assert mapped(ours, VOLUME) == {HOST_SET: 1}


def test_a_half_made_ld_set_is_completed(ready):
    ready.fault(Action.REFUSE, prefix=f'iSMcfg addldsetpath -ldset '
                f'{HOST_SET} -path {path(1, 1)}', times=2)
    with pytest.raises(errors.CommandFailed):
        ready.fc.attach(VOLUME, fc_host())
    assert mapped(ready, VOLUME) == {}
    ready.fc.attach(VOLUME, fc_host())
    assert mapped(ready, VOLUME).keys() == {HOST_SET}
    assert paths(ready) == {path(1, 0), path(1, 1)}


def test_an_ld_set_that_stayed_empty_is_used(ready):
    ready.fault(Action.REFUSE, prefix='iSMcfg addldsetpath', times=2)
    with pytest.raises(errors.CommandFailed):
        ready.fc.attach(VOLUME, fc_host())
    sets = set(ready.engine.array.store.ldsets)
    ready.fc.attach(VOLUME, fc_host(ports=(1, 0)))
    assert set(ready.engine.array.store.ldsets) == sets
    assert mapped(ready, VOLUME).keys() == {HOST_SET}


def test_an_ld_set_of_ports_is_not_taken_for_an_empty_one(ready):
    ready.operate('ldset_add', ldset={'name': HOST_SET, 'type': 'fc',
                                      'paths': ['00-00(HD0-P0)']})
    ready.inventory.refresh()
    ready.fc.attach(VOLUME, fc_host())
    assert paths(ready) == {'00-00(HD0-P0)'}
    assert HOST_SET not in mapped(ready, VOLUME)


def test_an_iscsi_ld_set_of_the_same_name_is_not_taken(ready):
    ready.operate('ldset_add', ldset={'name': HOST_SET, 'type': 'iscsi',
                                      'multitarget': True})
    ready.fc.attach(VOLUME, fc_host())
    [ld_set] = mapped(ready, VOLUME)
    assert ld_set != HOST_SET
    assert paths(ready, ld_set) == {path(1, 0), path(1, 1)}


# -- nec_ldset --------------------------------------------------------------

def configured(engine, **options):
    return lab_on(engine, options=AccessOptions(**{
        name: LdSetName('LX', label) for name, label in options.items()},
        controller_hosts=frozenset({'host1'})))


def test_the_configured_ld_set_is_used_and_not_changed(tmp_path):
    lab = array_with(tmp_path, {'name': 'LX:all', 'paths': [
        path(1, 0), path(2, 0)]})
    lab = configured(lab.engine, ld_set='all')
    for number, name in ((1, VOLUME), (2, OTHER)):
        info = lab.fc.attach(name, fc_host(number))
        assert info['data']['initiator_target_map'].keys() == {
            wwpn(number, 0)}
    assert mapped(lab, VOLUME).keys() == mapped(lab, OTHER).keys() == {
        'LX:all'}
    assert paths(lab, 'LX:all') == {path(1, 0), path(2, 0)}


def test_the_controller_node_has_an_ld_set_of_its_own(tmp_path):
    lab = array_with(tmp_path, {'name': 'LX:all', 'paths': [path(2)]},
                     {'name': 'LX:node', 'paths': [path(1)]})
    lab = configured(lab.engine, ld_set='all', controller_ld_set='node')
    lab.fc.attach(VOLUME, fc_host(1))
    lab.fc.attach(OTHER, fc_host(2))
    assert mapped(lab, VOLUME).keys() == {'LX:node'}
    assert mapped(lab, OTHER).keys() == {'LX:all'}


def test_a_configured_ld_set_without_the_host(tmp_path):
    lab = array_with(tmp_path, {'name': 'LX:all', 'paths': [path(2)]})
    lab = configured(lab.engine, ld_set='all')
    before = lab.state()
    with pytest.raises(errors.NotFound, match='`LX:all` has no WWPN of host'
                       ) as caught:
        lab.fc.attach(VOLUME, fc_host(1))
    assert 'addldsetpath' in str(caught.value)
    assert lab.state() == before
    # Registered by the operator since, as the message says.
    assert lab.engine.execute('iSMcfg addldsetpath -ldset LX:all '
                              f'-path {path(1)}').reply.status == 0
    lab.fc.attach(VOLUME, fc_host(1))
    assert mapped(lab, VOLUME).keys() == {'LX:all'}


def test_a_configured_ld_set_that_is_missing(ready):
    lab = configured(ready.engine, ld_set='None')
    with pytest.raises(errors.NotFound, match='LD Set `LX:None` not found'):
        lab.fc.attach(VOLUME, fc_host())


def test_a_configured_ld_set_of_the_other_protocol(ready):
    lab = configured(ready.engine, ld_set='Oracle')
    with pytest.raises(errors.NotFound, match='LD Set `LX:Oracle`'):
        lab.fc.attach(VOLUME, fc_host())


def test_an_ld_set_of_ports_lets_every_host_in(ready):
    lab = configured(ready.engine, ld_set='PortMode')
    info = lab.fc.attach(VOLUME, fc_host())
    assert mapped(lab, VOLUME).keys() == {'LX:PortMode'}
    assert info['data']['target_wwn'] == ['2100000991020012']
    assert info['data']['initiator_target_map'] == {
        wwpn(1, port): ['2100000991020012'] for port in (0, 1)}


def test_detach_after_nec_ldset_was_changed(tmp_path):
    lab = array_with(tmp_path, {'name': 'LX:new', 'paths': [path(2)]})
    lab.fc.attach(VOLUME, fc_host(1))
    lab = configured(lab.engine, ld_set='new')
    lab.fc.detach(VOLUME, fc_host(1))
    assert mapped(lab, VOLUME) == {}


# -- ports ------------------------------------------------------------------

def test_ports_that_are_down_are_not_told(ready):
    data = ready.fc.attach(VOLUME, fc_host())['data']
    assert data['target_wwn'] == CONT0 + CONT1
    assert data['initiator_target_map'] == {
        wwpn(1, port): CONT0 + CONT1 for port in (0, 1)}


def test_an_odd_pool_is_reached_over_the_other_controller(ready):
    name = LdName('LX', 'Odd' * 7)
    ready.volumes.create(name, 1, [3])
    data = ready.fc.attach(name, fc_host())['data']
    assert data['target_wwn'] == CONT1 + CONT0


def test_if_no_link_is_up_all_ports_are_told(ready):
    for port in ('00-00', '00-01', '01-00'):
        ready.operate('port_link', port=port, up=False)
    data = ready.fc.attach(VOLUME, fc_host())['data']
    # The inventory is as old as the last dump.
    ready.inventory.refresh()
    data = ready.fc.attach(OTHER, fc_host())['data']
    assert data['target_wwn'] == CONT0 + CONT1 + [DOWN]


def test_only_ports_that_the_ld_set_lists(tmp_path):
    lab = array_with(tmp_path, {'name': 'LX:host1', 'paths': [
        path(1), path(1, 1), '00-01(HD0-P1)', '01-01(HD1-P1)']})
    data = lab.fc.attach(VOLUME, fc_host())['data']
    # 01-01 is listed and down.
    assert data['target_wwn'] == ['2200000991020012']
    assert set(data['initiator_target_map']) == {wwpn(1, 0), wwpn(1, 1)}


@pytest.mark.parametrize('ports', [
    [{'port': '00-00', 'ip': '127.0.0.11'}],
    [{'port': '00-01', 'wwpn': '2200000991020012'}]])
def test_without_a_port_there_is_no_mapping(tmp_path, ports):
    lab = array_with(tmp_path, {'name': 'LX:host1', 'paths': [
        path(1), path(1, 1), '00-00(HD0-P0)']}, ports=ports)
    with pytest.raises(errors.NotFound, match='no Fibre Channel ports'):
        lab.fc.attach(VOLUME, fc_host())
    assert mapped(lab, VOLUME) == {}


# -- LUNs -------------------------------------------------------------------

def test_the_lowest_lun_that_was_not_just_released(ready):
    third = LdName('LX', 'X' * 21)
    ready.volumes.create(third, 1, [POOL])
    assert lun(ready.fc.attach(VOLUME, fc_host())) == 0
    assert lun(ready.fc.attach(OTHER, fc_host())) == 1
    ready.fc.detach(VOLUME, fc_host())
    assert lun(ready.fc.attach(third, fc_host())) == 2
    ready.time.sleep(61)
    assert lun(ready.fc.attach(VOLUME, fc_host())) == 0


def test_the_rest_of_a_lun_is_its_own_hosts_only(ready):
    ready.fc.attach(VOLUME, fc_host(1))
    ready.fc.detach(VOLUME, fc_host(1))
    assert lun(ready.fc.attach(VOLUME, fc_host(2))) == 0


def test_a_lun_rests_again_when_it_is_released_again(ready):
    for _ in range(2):
        assert lun(ready.fc.attach(VOLUME, fc_host())) == 0
        ready.fc.detach(VOLUME, fc_host())
        ready.time.sleep(61)
    ready.fc.attach(VOLUME, fc_host())
    ready.fc.detach(VOLUME, fc_host())
    ready.time.sleep(59)
    assert lun(ready.fc.attach(OTHER, fc_host())) == 1


def test_a_lun_that_a_peer_released_rests_too(tmp_path):
    engine = make_engine(tmp_path)
    ours, peer = (lab_on(engine) for _ in range(2))
    for name in (VOLUME, OTHER):
        ours.volumes.create(name, 1, [POOL])
    peer.fc.attach(VOLUME, fc_host())
    ours.inventory.refresh()
    peer.fc.detach(VOLUME, fc_host())
    ours.inventory.refresh()
    assert lun(ours.fc.attach(OTHER, fc_host())) == 1


def test_a_lun_of_a_deleted_volume_rests(ready):
    ready.fc.attach(VOLUME, fc_host())
    ready.snapshots.delete_volume(VOLUME)
    assert lun(ready.fc.attach(OTHER, fc_host())) == 1


def test_a_lun_of_an_attach_that_was_taken_back_rests(ready):
    def fails(_info):
        raise OSError('no zone')

    with pytest.raises(OSError, match='no zone'):
        ready.fc.attach(VOLUME, fc_host(), fails)
    assert mapped(ready, VOLUME) == {}
    assert lun(ready.fc.attach(OTHER, fc_host())) == 1


def test_a_lun_that_a_peer_took_is_passed_by(tmp_path):
    engine = make_engine(tmp_path)
    ours, peer = (lab_on(engine) for _ in range(2))
    for name in (VOLUME, OTHER):
        ours.volumes.create(name, 1, [POOL])
    ours.fc.attach(VOLUME, fc_host())
    ours.fc.detach(VOLUME, fc_host())
    ours.time.sleep(61)
    peer.inventory.refresh()
    peer.fc.attach(OTHER, fc_host())
    assert lun(ours.fc.attach(VOLUME, fc_host())) == 1
    assert mapped(ours, VOLUME) == {HOST_SET: 1}


def test_attach_again_gives_the_same_answer(ready):
    ready.fc.attach(OTHER, fc_host())
    first = ready.fc.attach(VOLUME, fc_host())
    assert ready.fc.attach(VOLUME, fc_host()) == first
    # Another service, or the same one after a restart.
    assert lab_on(ready.engine).fc.attach(VOLUME, fc_host()) == first


@pytest.mark.parametrize('number, expected', [
    (255, None), (256, 'SAM2'), (1023, 'SAM2')])
@pytest.mark.parametrize('protocol', Protocol)
def test_luns_above_255_tell_how_they_are_addressed(
        tmp_path, protocol, number, expected):
    names = {'paths': [path(1), path(1, 1)]}
    if protocol is Protocol.ISCSI:
        names = {'type': 'iscsi', 'multitarget': False,
                 'initiators': ['iqn.1994-05.com.redhat:host0001']}
    lab = array_with(tmp_path, {'name': 'LX:host1', **names})
    lab.engine.execute('iSMcfg addldsetld -ldset LX:host1 '
                       f'-ldname {VOLUME} -lun {number}')
    lab = lab_on(lab.engine)
    access = lab.access if protocol is Protocol.ISCSI else lab.fc
    data = access.attach(VOLUME, Connector.parse({
        'initiator': 'iqn.1994-05.com.redhat:host0001',
        'wwpns': [wwpn()]}))['data']
    assert data['target_lun'] == number
    assert data.get('addressing_mode') == expected


def test_what_os_brick_makes_of_it():
    mode = base._ADDRESSING_MODE
    assert mode == constants.SCSI_ADDRESSING_SAM2
    assert LinuxSCSI.lun_for_addressing(256, mode) == 0x4100


# -- detach -----------------------------------------------------------------

def detach(lab, name, host, others=()):
    return lab.fc.ended(
        lab.fc.detach(name, host, attached(host, *others)), host)


ALL_PORTS = sorted([*CONT0, *CONT1, DOWN])


def test_paths_end_with_the_last_lun_only(ready):
    for name in (VOLUME, OTHER):
        ready.fc.attach(name, fc_host())
    assert detach(ready, VOLUME, fc_host()) == NOTHING
    # To all ports: one that is down now had a zone while it was up.
    assert detach(ready, OTHER, fc_host()) == {
        'driver_volume_type': 'fibre_channel', 'data': {
            'target_wwn': ALL_PORTS,
            'initiator_target_map': {
                wwpn(1, 0): ALL_PORTS, wwpn(1, 1): ALL_PORTS}}}


def test_a_detach_that_is_repeated_gives_the_same_answer(ready):
    """The zones could not be removed the first time."""
    ready.fc.attach(VOLUME, fc_host())
    first = detach(ready, VOLUME, fc_host())
    assert first['data']
    assert detach(ready, VOLUME, fc_host()) == first


def test_a_second_attachment_on_the_host_keeps_lun_and_paths(ready):
    ready.fc.attach(VOLUME, fc_host())
    assert detach(ready, VOLUME, fc_host(), [fc_host()]) == NOTHING
    assert mapped(ready, VOLUME).keys() == {HOST_SET}


def test_two_hosts_end_one_by_one(ready):
    for number in (1, 2):
        ready.fc.attach(VOLUME, fc_host(number))
    ended = detach(ready, VOLUME, fc_host(1), [fc_host(2)])
    assert ended['data']['initiator_target_map'].keys() == {
        wwpn(1, 0), wwpn(1, 1)}
    assert mapped(ready, VOLUME).keys() == {f'LX:{wwpn(2)}'}


def test_an_unknown_host_ends_nothing_and_makes_nothing(ready):
    before = ready.state()
    assert detach(ready, VOLUME, fc_host(9)) == NOTHING
    assert ready.state() == before


def test_forced_detach_ends_the_paths_of_hosts_without_luns(ready):
    for number in (1, 2, 3):
        ready.fc.attach(VOLUME, fc_host(number))
    ready.fc.attach(OTHER, fc_host(2))
    ended = ready.fc.ended(ready.fc.detach_all(VOLUME))
    assert mapped(ready, VOLUME) == {}
    assert ended['data']['initiator_target_map'].keys() == {
        wwpn(number, port) for number in (1, 3) for port in (0, 1)}


def test_a_shared_ld_set_ends_the_paths_of_all_its_hosts(tmp_path):
    lab = array_with(tmp_path, {'name': 'LX:all', 'paths': [
        path(1), path(2)]})
    lab = configured(lab.engine, ld_set='all')
    lab.fc.attach(VOLUME, fc_host(1))
    lab.fc.attach(OTHER, fc_host(2))
    # Host 2 sees the LUN of host 1 still.
    assert detach(lab, OTHER, fc_host(2)) == NOTHING
    ended = detach(lab, VOLUME, fc_host(1))
    assert {wwpn(1), wwpn(2)} <= ended['data'][
        'initiator_target_map'].keys()


def test_paths_stay_that_another_ld_set_needs(tmp_path):
    lab = array_with(tmp_path,
                     {'name': 'LX:most', 'paths': [path(1, 1), path(1, 2)]},
                     {'name': 'LX:few', 'paths': [path(1, 0)]})
    host = fc_host(ports=(0, 1, 2))
    lab.fc.attach(OTHER, host)
    lab.engine.execute(f'iSMcfg addldsetld -ldset LX:few -ldname {VOLUME}')
    lab.inventory.refresh()
    ended = detach(lab, VOLUME, host)
    assert ended['data']['initiator_target_map'].keys() == {wwpn(1, 0)}


def test_paths_of_an_hba_that_was_replaced_end_too(ready):
    ready.fc.attach(VOLUME, fc_host(ports=(0, 1)))
    ready.engine.array.store.put(dataclasses.replace(
        ready.engine.array.store.ldsets[HOST_SET],
        paths=(path(1, 0), path(1, 7))))
    ready.inventory.refresh()
    ended = detach(ready, VOLUME, fc_host(ports=(0, 1)))
    assert ended['data']['initiator_target_map'].keys() == {
        wwpn(1, port) for port in (0, 1, 7)}


def test_only_listed_ports_end(tmp_path):
    lab = array_with(tmp_path, {'name': 'LX:host1', 'paths': [
        path(1), path(1, 1), '00-01(HD0-P1)', '01-01(HD1-P1)']})
    lab.fc.attach(VOLUME, fc_host())
    assert detach(lab, VOLUME, fc_host())['data']['target_wwn'] == [
        '2200000991020012', DOWN]


def test_a_volume_that_is_gone_ends_nothing(ready):
    ready.fc.attach(VOLUME, fc_host())
    ready.snapshots.delete_volume(VOLUME)
    assert detach(ready, VOLUME, fc_host()) == NOTHING


# -- zones ------------------------------------------------------------------

class Fabrics:
    """A lookup service: who is logged in where."""

    def __init__(self, *fabrics, error=None) -> None:
        self.fabrics, self.error = fabrics, error
        self.asked = []

    def get_device_mapping_from_network(self, initiator_list, target_list):
        self.asked.append((initiator_list, target_list))
        if self.error:
            raise self.error
        return {f'SAN{n}': {'initiator_port_wwn_list': initiators,
                            'target_port_wwn_list': targets}
                for n, (initiators, targets) in enumerate(self.fabrics)}


def test_the_map_has_only_ports_that_share_a_fabric(ready):
    with_colons = ':'.join(wwpn(1, 1)[i:i + 2].upper()
                           for i in range(0, 16, 2))
    fabrics = Fabrics(([wwpn(1, 0)], [CONT0[0], *CONT1]),
                      ([with_colons], [CONT0[1].upper()]))
    lab = lab_on(ready.engine, fabric=fabrics)
    data = lab.fc.attach(VOLUME, fc_host(ports=(0, 1, 2)))['data']
    assert data['initiator_target_map'] == {
        wwpn(1, 0): [CONT0[0], *CONT1], wwpn(1, 1): [CONT0[1]]}
    assert data['target_wwn'] == CONT0 + CONT1
    [(initiators, targets)] = fabrics.asked
    assert sorted(initiators) == [wwpn(1, port) for port in (0, 1, 2)]
    assert targets == CONT0 + CONT1


def test_target_wwn_has_only_what_the_map_has(ready):
    fabrics = Fabrics(([wwpn(1, 0), wwpn(1, 1)], CONT1))
    lab = lab_on(ready.engine, fabric=fabrics)
    data = lab.fc.attach(VOLUME, fc_host())['data']
    assert data['target_wwn'] == CONT1


@pytest.mark.parametrize('fabrics', [
    Fabrics(error=RuntimeError('switch down')), Fabrics(),
    Fabrics(([wwpn(1, 0)], [])), Fabrics((['odd'], CONT0))],
    ids=['fails', 'knows nothing', 'sees no target', 'odd answer'])
def test_a_lookup_that_does_not_help_changes_nothing(ready, fabrics):
    lab = lab_on(ready.engine, fabric=fabrics)
    data = lab.fc.attach(VOLUME, fc_host())['data']
    assert data['initiator_target_map'] == {
        wwpn(1, port): CONT0 + CONT1 for port in (0, 1)}


def test_zones_stay_for_a_lun_that_a_peer_mapped(tmp_path):
    """What this service knows is older than that."""
    engine = make_engine(tmp_path)
    ours = lab_on(engine, fabric=Fabrics())
    peer = lab_on(engine)
    for name in (VOLUME, OTHER):
        ours.volumes.create(name, 1, [POOL])
    ours.fc.attach(VOLUME, fc_host())
    peer.fc.attach(OTHER, fc_host())
    assert detach(ours, VOLUME, fc_host()) == NOTHING


def test_zones_stay_if_the_array_cannot_be_read(ready, caplog):
    lab = lab_on(ready.engine, fabric=Fabrics())
    lab.fc.attach(VOLUME, fc_host())
    left = lab.fc.detach(VOLUME, fc_host())
    lab.fault(Action.REFUSE, prefix='iSMquery', times=9)
    with caplog.at_level(logging.WARNING):
        assert lab.fc.ended(left, fc_host()) == NOTHING
    assert 'zones of the host are kept' in caplog.text


def test_an_attach_without_zones_leaves_an_earlier_mapping(ready):
    """Nova repeats the call; the guest uses the LUN already."""
    def fails(_info):
        raise OSError('no zone')

    ready.fc.attach(VOLUME, fc_host())
    for lab in (ready, lab_on(ready.engine)):
        with pytest.raises(OSError, match='no zone'):
            lab.fc.attach(VOLUME, fc_host(), fails)
        assert mapped(lab, VOLUME) == {HOST_SET: 0}


# -- hostile connectors -----------------------------------------------------

@pytest.mark.parametrize('wwpns', [
    ['10000090faa00000; rm -rf /'], ['$(id)'], ['10000090faa0000`'],
    ['10000090faa0000\n'], ['1000'], ['10000090faa0000g'], [''], [7],
    [None], [['10000090faa00000']], '10000090faa00000', {'a': 1}, 7,
    ['10000090faa00000'] * 65, ['x' * 65536],
    ['10000090faa00000', '-path']])
def test_a_hostile_wwpn_reaches_no_shell(ready, wwpns):
    mark = ready.mark()
    with pytest.raises(errors.InvalidConnector) as caught:
        ready.fc.attach(VOLUME, Connector.parse({'wwpns': wwpns}))
    assert ready.sent(mark) == []
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize('raw', [
    {}, {'host': 'h'}, {'wwpns': []}, {'wwpns': None},
    {'initiator': 'iqn.1994-05.com.redhat:host0001'}])
def test_a_connector_without_wwpns(ready, raw):
    connector = Connector.parse(raw)
    with pytest.raises(errors.InvalidConnector, match='wwpns'):
        ready.fc.check(connector)
    before = ready.state()
    with pytest.raises(errors.InvalidConnector, match='wwpns'):
        ready.fc.attach(VOLUME, connector)
    ready.fc.detach(VOLUME, connector)
    assert ready.state() == before


@pytest.mark.parametrize('spelled', [
    '10:00:00:90:fa:a0:01:00', '1000-0090-FAA0-0100', '10000090FAA00100'])
def test_wwpns_are_one_however_they_are_spelled(ready, spelled):
    ready.fc.attach(VOLUME, fc_host())
    ready.fc.attach(OTHER, Connector.parse({'wwpns': [spelled]}))
    assert mapped(ready, OTHER).keys() == {HOST_SET}
