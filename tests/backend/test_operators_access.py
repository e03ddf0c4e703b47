# SPDX-License-Identifier: Apache-2.0
"""What the operator of the array sets up, with the array's own commands.

Portals (manual chapter 2), full access mode (appendix C), and the options
``nec_ldset`` and ``nec_ldset_for_controller_node``.
"""

from __future__ import annotations

from typing import Any

import pytest

from cinder_nec import errors
from cinder_nec.backend.access.base import AccessOptions
from cinder_nec.model import LdName, LdSetName
from tests.backend.arrays import (
    POOL,
    Lab,
    attached,
    fc_host,
    host,
    make_engine,
    make_lab,
)

VOLUME, OTHER = LdName('LX', 'V' * 21), LdName('LX', 'W' * 21)
FULL = LdSetName('LX', 'OpenStack0')
CONTROL = LdSetName('LX', 'OpenStack1')
PORTALS = ['127.0.0.11', '127.0.0.12', '127.0.0.13', '127.0.0.14']


def operator(lab: Lab, command: str) -> str:
    """Run a command as the array's operator does."""
    reply = lab.engine.execute(command, gone=lambda: False).reply
    assert reply.status == 0, (command, reply.stderr)
    return bytes(reply.stdout).decode()


def portal(lab: Lab, action: str, address: str,
           ld_set: LdSetName = FULL) -> None:
    operator(lab, f'iSMcfg {action}ldsetportal -ldset {ld_set} '
                  f'-ipaddress {address}')


def lab_of(tmp_path: Any, **options: Any) -> Lab:
    """Return an array with the LD Set of the manual's C.2, and volumes."""
    lab = make_lab(make_engine(tmp_path, changes={'ldsets': []}),
                   options=AccessOptions(**options))
    operator(lab, f'iSMcfg addldset -ldset {FULL} -type iscsi '
                  '-multitarget on -fullaccess')
    for name in (VOLUME, OTHER):
        lab.volumes.create(name, 1, [POOL])
    return lab


@pytest.fixture
def full(tmp_path: Any) -> Lab:
    """nec_ldset names an LD Set in full access mode."""
    return lab_of(tmp_path, ld_set=FULL, portals_per_controller=0)


def register(lab: Lab, number: int) -> None:
    operator(lab, 'iSMcfg addinitiator -initiatorname '
                  f'{host(number).initiator}')


def where(lab: Lab, name: LdName) -> list[str]:
    """Return the LD Sets that an LD is in, on the array."""
    return sorted(lab.engine.array.store.ldsets_of(
        lab.lds()[name.label].ldn))


def told(lab: Lab, name: LdName = VOLUME, number: int = 1) -> list[str]:
    """Attach and return the addresses that the host is told."""
    data = lab.access.attach(name, host(number, multipath=True))['data']
    assert data['target_portal'] == data['target_portals'][0]
    return sorted(p.rpartition(':')[0] for p in data['target_portals'])


# -- full access mode (appendix C) -------------------------------------------

def test_more_hosts_than_an_ld_set_can_list(full: Lab) -> None:
    """Manual 3.1: an LD Set lists at most 16 initiators."""
    mark = full.mark()
    names = [LdName('LX', f'Volume{n:015d}') for n in range(20)]
    for number, name in enumerate(names, 1):
        register(full, number)
        full.volumes.create(name, 1, [POOL])
        info = full.access.attach(name, host(number))
        assert info['data']['target_lun'] == 0
        assert where(full, name) == [str(FULL)]
    sent = full.sent(mark)
    assert 'addldset' not in sent
    assert 'addldsetinitiator' not in sent
    for number, name in enumerate(names, 1):
        full.access.detach(name, host(number))
        assert where(full, name) == []
    view = operator(full, 'iSMview -a')
    assert 'Registered Initiator Count : 20' in view


def test_each_volume_has_a_target_of_its_own(full: Lab) -> None:
    infos = [full.access.attach(name, host())['data']
             for name in (VOLUME, OTHER)]
    assert len({info['target_iqn'] for info in infos}) == 2


def test_hosts_of_full_access_need_nec_ldset(tmp_path: Any) -> None:
    """Manual C.1: the array refuses to list them anywhere else."""
    lab = lab_of(tmp_path)
    register(lab, 1)
    before = lab.state()
    for _ in range(2):
        with pytest.raises(errors.CommandFailed, match='addldsetinitiator'):
            lab.access.attach(VOLUME, host())
    assert where(lab, VOLUME) == []
    # An LD Set for the host, once, which its next attach would use.
    assert len(lab.state()[-1]) == len(before[-1]) + 1


def test_a_detach_after_nec_ldset_was_changed(full: Lab) -> None:
    """The LD Set does not tell whose it is, but only it has the volume."""
    full.access.attach(VOLUME, host())
    full.access.attach(OTHER, host())
    for options in (AccessOptions(ld_set=CONTROL), AccessOptions()):
        name = VOLUME if options.ld_set else OTHER
        later = make_lab(full.engine, options=options)
        later.access.detach(name, host())
        assert where(full, name) == []


def test_another_host_keeps_it_after_nec_ldset_was_changed(
        full: Lab) -> None:
    for number in (1, 2):
        full.access.attach(VOLUME, host(number))
    later = make_lab(full.engine)
    later.access.detach(VOLUME, host(1), attached(host(1), host(2)))
    assert where(full, VOLUME) == [str(FULL)]
    later.access.detach(VOLUME, host(2))
    assert where(full, VOLUME) == []


def test_detach_leaves_ld_sets_of_other_hosts_alone(tmp_path: Any) -> None:
    """An LD Set that lists hosts is theirs."""
    lab = lab_of(tmp_path)
    lab.access.attach(VOLUME, host(1))
    there = where(lab, VOLUME)
    lab.access.detach(VOLUME, host(2))
    assert where(lab, VOLUME) == there


# -- nec_ldset, nec_ldset_for_controller_node --------------------------------

def test_each_node_has_its_ld_set(tmp_path: Any) -> None:
    lab = lab_of(tmp_path, ld_set=FULL, controller_ld_set=CONTROL,
                 controller_hosts=frozenset({'host1'}))
    operator(lab, f'iSMcfg addldset -ldset {CONTROL} -type iscsi '
                  '-multitarget on')
    operator(lab, f'iSMcfg addldsetinitiator -ldset {CONTROL} '
                  f'-initiatorname {host(1).initiator}')
    lab.inventory.refresh()
    # An image is copied to a volume that a server gets then.
    lab.access.attach(VOLUME, host(1))
    assert where(lab, VOLUME) == [str(CONTROL)]
    lab.access.attach(VOLUME, host(2))
    lab.access.detach(VOLUME, host(1), attached(host(1), host(2)))
    assert where(lab, VOLUME) == [str(FULL)]
    lab.access.detach(VOLUME, host(2))
    assert where(lab, VOLUME) == []


def test_the_operators_initiators_stay_as_they_are(tmp_path: Any) -> None:
    lab = lab_of(tmp_path, ld_set=CONTROL)
    operator(lab, f'iSMcfg addldset -ldset {CONTROL} -type iscsi '
                  '-multitarget on')
    lab.access.attach(VOLUME, host(1))
    lab.access.detach(VOLUME, host(1))
    assert not lab.engine.array.store.ldsets[str(CONTROL)].initiators
    assert str(CONTROL) in lab.engine.array.store.ldsets


@pytest.mark.parametrize('ld_set', [FULL, CONTROL])
def test_nec_ldset_of_the_wrong_protocol_or_none(tmp_path: Any,
                                                 ld_set: LdSetName) -> None:
    lab = lab_of(tmp_path, ld_set=ld_set)
    operator(lab, f'iSMcfg addldset -ldset {CONTROL} -type fc')
    lab.inventory.refresh()
    access, connector = ((lab.fc, fc_host()) if ld_set is FULL
                         else (lab.access, host()))
    before = lab.state()
    with pytest.raises(errors.NotFound, match=f'LD Set `{ld_set}` not found'):
        access.attach(VOLUME, connector)
    assert lab.state() == before


# -- portals (chapter 2) -----------------------------------------------------

def test_all_portals_are_permitted_by_default(full: Lab) -> None:
    assert told(full) == PORTALS


def test_a_portal_is_removed_and_added_again(full: Lab) -> None:
    """The next attach tells, without a restart."""
    told(full)
    portal(full, 'del', PORTALS[0])
    assert told(full, OTHER) == PORTALS[1:]
    # Also for a volume that is attached already.
    assert told(full) == PORTALS[1:]
    portal(full, 'add', PORTALS[0])
    assert told(full) == PORTALS


def test_portals_differ_by_ld_set(tmp_path: Any) -> None:
    """Manual 2.4: each LD Set has portals of its own."""
    lab = lab_of(tmp_path, ld_set=FULL, controller_ld_set=CONTROL,
                 controller_hosts=frozenset({'host2'}),
                 portals_per_controller=0)
    operator(lab, f'iSMcfg addldset -ldset {CONTROL} -type iscsi '
                  '-multitarget on')
    for address in PORTALS[:2]:
        portal(lab, 'del', address, FULL)
    for address in PORTALS[2:]:
        portal(lab, 'del', address, CONTROL)
    assert told(lab, VOLUME, 1) == PORTALS[2:]
    assert told(lab, OTHER, 2) == PORTALS[:2]


def test_only_permitted_portals_of_a_controller_count(tmp_path: Any) -> None:
    """nec_iscsi_portals_per_cont = 1 and the first one is forbidden."""
    lab = lab_of(tmp_path, ld_set=FULL)
    for address in (PORTALS[0], PORTALS[3]):
        portal(lab, 'del', address)
    assert told(lab) == [PORTALS[1], PORTALS[2]]


def test_a_controller_without_a_permitted_portal(tmp_path: Any) -> None:
    lab = lab_of(tmp_path, ld_set=FULL)
    for address in PORTALS[:2]:
        portal(lab, 'del', address)
    assert len(told(lab)) == 1


def test_the_last_portal_is_removed(full: Lab) -> None:
    told(full)
    for address in PORTALS:
        portal(full, 'del', address)
    with pytest.raises(errors.NotFound, match='has no portals') as caught:
        full.access.attach(OTHER, host())
    assert 'addldsetportal' in str(caught.value)
    assert where(full, OTHER) == []
    assert where(full, VOLUME) == [str(FULL)]
    portal(full, 'add', PORTALS[2])
    assert told(full, OTHER) == [PORTALS[2]]


def test_portals_in_normal_mode(tmp_path: Any) -> None:
    """There an attach reads nothing; the next look at the array does."""
    lab = make_lab(make_engine(tmp_path, changes={'ldsets': [{
        'name': str(FULL), 'type': 'iscsi', 'multitarget': False,
        'initiators': [str(host().initiator)]}]}),
        options=AccessOptions(portals_per_controller=0))
    for name in (VOLUME, OTHER):
        lab.volumes.create(name, 1, [POOL])
    assert told(lab) == PORTALS
    portal(lab, 'del', PORTALS[3])
    lab.inventory.refresh()
    assert told(lab, OTHER) == PORTALS[:3]
