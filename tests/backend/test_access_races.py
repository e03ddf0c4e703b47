# SPDX-License-Identifier: Apache-2.0
"""Attach and detach at the same time: of one LD, and of hosts alike."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import threading
import time

import pytest

from cinder_nec.backend.access.base import AccessOptions, Connector
from cinder_nec.model import LdName, LdSetName, Protocol
from tests.backend.arrays import (
    POOL,
    Time,
    attached,
    fc_host,
    host,
    make_engine,
    make_lab,
)

VOLUME, OTHER = LdName('LX', 'V' * 21), LdName('LX', 'W' * 21)
SHARED = LdSetName('LX', 'shared')
PROTOCOLS = list(Protocol)


def engine_with_a_shared_set(tmp_path, protocol, **arguments):
    ld_set = {'name': str(SHARED), 'type': protocol.value.lower()}
    if protocol is Protocol.FC:
        ld_set['paths'] = [f'1000-0090-FAA0-{n:02X}{p:02X}'
                           for n in (1, 2) for p in (0, 1)]
    else:
        ld_set |= {'multitarget': True, 'initiators': [
            f'iqn.1994-05.com.redhat:host{n:04d}' for n in (1, 2)]}
    return make_engine(tmp_path, changes={'ldsets': [ld_set]}, **arguments)


class Service:
    """A service's access in one protocol, through the shared LD Set."""

    def __init__(self, engine, protocol):
        self.lab = make_lab(engine, options=AccessOptions(ld_set=SHARED))
        self.access = (self.lab.fc if protocol is Protocol.FC
                       else self.lab.access)
        self.host = fc_host if protocol is Protocol.FC else host


def mapped(lab, name=VOLUME) -> list[str]:
    ldn = lab.lds()[name.label].ldn
    return sorted(lab.engine.array.store.ldsets_of(ldn))


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_a_refusal_that_a_peer_has_made_untrue(tmp_path, protocol):
    """It was mapped when the array refused, and is not any more."""
    engine = engine_with_a_shared_set(tmp_path, protocol)
    ours, peer = (Service(engine, protocol) for _ in range(2))
    ours.lab.volumes.create(VOLUME, 1, [POOL])
    peer.lab.inventory.refresh()
    peer.access.attach(VOLUME, peer.host(1))
    transport = ours.lab.client._transport
    run = transport.run

    def run_and_detach(line, timeout):
        answer = run(line, timeout)
        if line.startswith('iSMcfg addldsetld'):
            transport.run = run
            peer.access.detach(VOLUME, peer.host(1))
        return answer

    transport.run = run_and_detach
    ours.access.attach(VOLUME, ours.host(2))
    assert mapped(ours.lab) == [str(SHARED)]


def finished_or_waiting(thread: threading.Thread, access) -> None:
    """Wait until a thread is through, or waits for what another claims."""
    while thread.is_alive() and all(
            users < 2 for _mutex, users in access._claims._held.values()):
        time.sleep(0.001)


class Cinder:
    """The attachments of a volume, written down as the manager does."""

    def __init__(self):
        self._lock = threading.Lock()
        self._records = {}

    def read(self):
        with self._lock:
            return dict(self._records)

    def attach(self, service, ident, connector):
        with self._lock:
            self._records[ident] = None
        service.access.attach(VOLUME, connector, records=self.read)
        with self._lock:
            self._records[ident] = connector

    def detach(self, service, ident):
        connector = self._records[ident]
        service.access.detach(VOLUME, connector, self.read)
        with self._lock:
            del self._records[ident]


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_an_attach_after_a_detach_has_looked_for_others(tmp_path, protocol):
    """It must not find a mapping that is about to go."""
    service = Service(engine_with_a_shared_set(tmp_path, protocol), protocol)
    service.lab.volumes.create(VOLUME, 1, [POOL])
    service.access.attach(VOLUME, service.host(1))
    second = threading.Thread(target=service.access.attach, args=(
        VOLUME, service.host(2)))

    def records():
        second.start()
        finished_or_waiting(second, service.access)
        return {'1': service.host(1), '2': None}

    service.access.detach(VOLUME, service.host(1), records)
    second.join(60)
    assert mapped(service.lab) == [str(SHARED)]


@pytest.mark.parametrize('second', [1, 2])
@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_an_attach_beside_a_detach(tmp_path, protocol, second):
    """Whichever the array sees first: the new one can use the LD."""
    engine = engine_with_a_shared_set(tmp_path, protocol,
                                      clock=Time(real=0.01))
    engine.array.timing.dump = 1.0
    service, cinder = Service(engine, protocol), Cinder()
    service.lab.volumes.create(VOLUME, 1, [POOL])
    for number in range(10):
        cinder.attach(service, f'{number}a', service.host(1))
        with ThreadPoolExecutor(2) as pool:
            attach = pool.submit(cinder.attach, service, f'{number}b',
                                 service.host(second))
            detach = pool.submit(cinder.detach, service, f'{number}a')
            attach.result(60), detach.result(60)
        assert mapped(service.lab) == [str(SHARED)]
        cinder.detach(service, f'{number}b')
        assert mapped(service.lab) == []


@pytest.mark.parametrize('second', [1, 2])
@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_two_detaches_at_once_leave_nothing(tmp_path, protocol, second):
    engine = engine_with_a_shared_set(tmp_path, protocol,
                                      clock=Time(real=0.01))
    service, cinder = Service(engine, protocol), Cinder()
    service.lab.volumes.create(VOLUME, 1, [POOL])
    for number in range(10):
        cinder.attach(service, f'{number}a', service.host(1))
        cinder.attach(service, f'{number}b', service.host(second))
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(cinder.detach, service,
                                     f'{number}{x}') for x in 'ab']:
                done.result(60)
        assert mapped(service.lab) == []


def test_an_attach_that_fails_does_not_take_anothers_mapping(tmp_path):
    """Its zones could not be made; another attach has found its mapping."""
    engine = engine_with_a_shared_set(tmp_path, Protocol.FC,
                                      clock=Time(real=0.01))
    service = Service(engine, Protocol.FC)
    service.lab.volumes.create(VOLUME, 1, [POOL])
    maps, others = threading.Event(), []

    def no_zones(_info):
        maps.set()
        others.append(pool.submit(service.access.attach, VOLUME,
                                  fc_host(2)))
        raise RuntimeError('no zones')

    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(RuntimeError, match='no zones'):
            service.access.attach(VOLUME, fc_host(1), no_zones)
        assert maps.is_set()
        others[0].result(60)
    assert mapped(service.lab) == [str(SHARED)]


def test_a_detach_whose_rest_fails_has_not_ended(tmp_path):
    """Its second try must not be taken for the end of another one."""
    service = Service(engine_with_a_shared_set(tmp_path, Protocol.FC),
                      Protocol.FC)
    service.lab.volumes.create(VOLUME, 1, [POOL])
    service.access.attach(VOLUME, fc_host(1))
    records = attached(fc_host(1), fc_host(1))
    with pytest.raises(RuntimeError, match='zones'):
        with service.access.detaching(VOLUME, fc_host(1), records):
            raise RuntimeError('zones')
    service.access.detach(VOLUME, fc_host(1), records)
    assert mapped(service.lab) == [str(SHARED)]


ALIKE = ['iqn.1994-05.com.redhat:rack1-compute-node0001',
         'iqn.1995-01.org.suse:rack1-compute-node0001']


def connector(initiator: str) -> Connector:
    return Connector.parse({'initiator': initiator, 'host': initiator})


def test_new_hosts_whose_names_end_alike_attach_at_once(tmp_path):
    """One LD Set for both would show each the other's LDs."""
    lab = make_lab(make_engine(tmp_path))
    for name in (VOLUME, OTHER):
        lab.volumes.create(name, 1, [POOL])
    infos = []
    second = threading.Thread(target=lambda: infos.append(
        lab.access.attach(OTHER, connector(ALIKE[1]))))
    transport = lab.client._transport
    run = transport.run

    def run_and_let_in(line, timeout):
        answer = run(line, timeout)
        if line.startswith('iSMcfg addldset '):
            transport.run = run
            second.start()
            finished_or_waiting(second, lab.access)
        return answer

    transport.run = run_and_let_in
    infos.append(lab.access.attach(VOLUME, connector(ALIKE[0])))
    second.join(60)
    assert all(info['data']['target_portal'] for info in infos)
    assert len(infos) == 2 and mapped(lab, VOLUME) != mapped(lab, OTHER)
    for found in lab.engine.array.store.ldsets.values():
        assert len(found.initiators) <= 1


def test_a_peer_makes_an_ld_set_of_that_name_for_another_host(tmp_path):
    engine = make_engine(tmp_path)
    ours, peer = make_lab(engine), make_lab(engine)
    ours.volumes.create(VOLUME, 1, [POOL])
    ours.volumes.create(OTHER, 1, [POOL])
    ours.inventory.current()
    peer.access.attach(OTHER, connector(ALIKE[1]))
    ours.access.attach(VOLUME, connector(ALIKE[0]))
    assert mapped(ours, VOLUME) != mapped(ours, OTHER)


@pytest.mark.parametrize('initiator', [
    'iqn.2024-01.com.example:my-compute-node-01',
    'iqn.2024-01.com.example:-', 'iqn.2024-01.com.example:----------------'])
def test_a_name_that_would_look_like_an_option(tmp_path, initiator):
    lab = make_lab(make_engine(tmp_path))
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.access.attach(VOLUME, connector(initiator))
    [found] = mapped(lab)
    assert not found.partition(':')[2].startswith('-')
    lab.access.detach(VOLUME, connector(initiator))
    assert mapped(lab) == []
