# SPDX-License-Identifier: Apache-2.0
"""Hosts see snapshots: link volumes, LUN 0, what stays and what goes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from cinder_nec import errors
from cinder_nec.backend.access.base import AccessProtocol
from cinder_nec.backend.access.connector import AccessOptions, Connector
from cinder_nec.backend.access.control_volume import ControlVolumes
from cinder_nec.backend.copying.links import Links, link_name
from cinder_nec.backend.snapshot_access import LinkAccess, ReplicaAccess
from cinder_nec.model import GIB, LdName, LdSetName
from ismsim.faults import Action
from tests.backend.arrays import (
    POOL,
    Lab,
    fc_host,
    host,
    make_engine,
    make_lab,
    wwpn,
)
from tests.backend.replication import S1, make_ddr_lab, pairs_of, picture
from tests.backend.replication import VOLUME as MV

VOLUME, SNAPSHOT = LdName('LX', 'V' * 21), LdName('LX', 'S' * 21)
SECOND, OTHER = LdName('LX', 'T' * 21), LdName('LX', 'W' * 21)
LV = link_name(VOLUME, SNAPSHOT)
OLD, NEW = b'before the snapshot', b'after the snapshot!'
FORMAT = 'LX:__ControlVolume_%xh'


def nothing(_info: object) -> None:
    pass


def link_access(lab: Lab, access: AccessProtocol | None = None
                ) -> LinkAccess:
    access = access or lab.access
    claims = access._claims
    controls = ControlVolumes(lab.client, lab.inventory, lab.volumes,
                              claims, FORMAT)
    return LinkAccess(access, Links(lab.client, lab.inventory), controls,
                      lab.inventory, claims)


class Bench:
    """A protocol under test: how a host is called, where it sees LDs."""

    def __init__(self, lab: Lab, name: str,
                 options: AccessOptions | None = None) -> None:
        self.lab = lab
        self.name = name
        self.protocol = lab.fc if name == 'FC' else lab.access
        self.access = link_access(lab, self.protocol)

    def host(self, number: int = 1) -> Connector:
        return fc_host(number) if self.name == 'FC' else host(number)

    def attach(self, snapshot: LdName = SNAPSHOT, number: int = 1):
        return self.access.attach(VOLUME, snapshot, self.host(number),
                                  nothing)

    def detach(self, snapshot: LdName = SNAPSHOT, number: int = 1):
        return self.access.detach(VOLUME, snapshot, self.host(number))

    def luns(self, number: int = 1) -> dict[int, str]:
        """Return what a host sees: names by LUN."""
        store = self.lab.engine.array.store
        found = {}
        for ldset in store.ldsets.values():
            mine = (wwpn(number) in {p.replace('-', '').lower()
                                     for p in ldset.paths}
                    or any(name.endswith(f'host{number:04d}')
                           for name in ldset.initiators))
            if mine:
                found.update({m.lun: store.lds[m.ldn].name
                              for m in ldset.maps.values()})
        return found

    def controls(self) -> list[str]:
        return [name for name in self.lab.lds() if 'Control' in name]


def ready(lab: Lab) -> None:
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.write(VOLUME, OLD)
    for snapshot in (SNAPSHOT, SECOND):
        lab.snapshots.create_snapshot(VOLUME, snapshot)
    lab.write(VOLUME, NEW)


def normal_sets(*numbers: int) -> list[dict[str, object]]:
    return [{'name': f'LX:normal{n}', 'type': 'iscsi', 'multitarget': False,
             'initiators': [f'iqn.1994-05.com.redhat:host{n:04d}']}
            for n in numbers]


def make_bench(directory, name: str, **options) -> Bench:
    sets = normal_sets(1, 2) if name == 'iSCSI normal' else []
    lab = make_lab(make_engine(directory, changes={'ldsets': sets}),
                   **options)
    ready(lab)
    return Bench(lab, name)


@pytest.fixture(params=['FC', 'iSCSI normal', 'iSCSI multi-target'])
def bench(request, tmp_path) -> Bench:
    return make_bench(tmp_path, request.param)


@pytest.fixture(params=['FC', 'iSCSI normal'])
def with_luns(request, tmp_path) -> Bench:
    return make_bench(tmp_path, request.param)


# -- what a host sees -------------------------------------------------------

def test_the_host_reads_what_the_snapshot_keeps(bench):
    info = bench.attach()
    assert bench.lab.read(LV, len(OLD)) == OLD
    assert bench.luns()[info['data']['target_lun']] == LV.label
    assert info['data']['target_lun'] > 0
    assert info['data']['access_mode'] == 'ro'
    link = next(iter(bench.lab.engine.array.store.links.values()))
    assert link.access == 'ro'


def test_nothing_stays_behind(bench):
    before = bench.lab.state()
    bench.attach()
    left = bench.detach()
    assert len(left) == 1
    state = bench.lab.state()
    assert state[:3] == before[:3]
    assert all(not luns for _name, luns in state[3])
    bench.lab.snapshots.delete_snapshot(VOLUME, SNAPSHOT)


def test_it_can_be_attached_again_and_again(bench):
    for _ in range(3):
        bench.attach()
        bench.detach()
    assert bench.luns() == {}
    assert bench.controls() == []


def test_a_repeated_attach_changes_nothing(bench):
    first = bench.attach()
    before = bench.lab.state()
    assert bench.attach() == first
    assert bench.lab.state() == before


def test_a_repeated_detach_is_a_success(bench):
    bench.attach()
    bench.detach()
    before = bench.lab.state()
    bench.detach()
    bench.access.detach(VOLUME, SNAPSHOT, None)
    bench.access.release(VOLUME, SNAPSHOT)
    assert bench.lab.state() == before


def test_two_hosts_see_one_link_volume(bench):
    bench.attach(number=1)
    bench.attach(number=2)
    assert LV.label in bench.luns(1).values()
    assert LV.label in bench.luns(2).values()
    bench.detach(number=1)
    assert LV.label not in bench.luns(1).values()
    assert bench.lab.read(LV, len(OLD)) == OLD
    bench.access.release(VOLUME, SNAPSHOT)
    assert LV.label in bench.luns(2).values()
    bench.detach(number=2)
    assert LV.label not in bench.lab.lds()


def test_a_host_of_another_service_is_not_forgotten(bench):
    bench.attach(number=1)
    peer = Bench(make_lab(bench.lab.engine, ldn_start=3000), bench.name)
    peer.attach(number=2)
    bench.detach(number=1)
    assert peer.lab.read(LV, len(OLD)) == OLD
    assert LV.label in peer.luns(2).values()


def test_a_forced_detach_takes_it_from_all_hosts(bench):
    before = bench.lab.state()
    for number in (1, 2):
        bench.attach(number=number)
    bench.access.detach(VOLUME, SNAPSHOT, None)
    assert bench.lab.state()[:3] == before[:3]
    assert bench.luns(1) == bench.luns(2) == {}


def test_two_snapshots_of_a_volume(bench):
    for snapshot in (SNAPSHOT, SECOND):
        bench.attach(snapshot)
    bench.detach(SNAPSHOT)
    assert link_name(VOLUME, SECOND).label in bench.luns().values()
    bench.detach(SECOND)
    assert bench.luns() == {}
    assert bench.controls() == []


def test_at_once(bench):
    """One thread attaches what another one detaches, on one host."""
    rounds = [SNAPSHOT, SECOND] * 4
    bench.attach(SNAPSHOT)

    def work(number: int) -> None:
        for _ in range(4):
            bench.attach(rounds[number])
            bench.detach(rounds[number])

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(work, n) for n in range(2)]:
            future.result(60)
    assert bench.luns() == {}
    assert bench.controls() == []


def test_the_name_format_of_snapshots_may_be_another(bench):
    """nec_backup_ldname_format; the in-tree driver finds nothing (W14)."""
    other = LdName('WN', SNAPSHOT.label)
    before = bench.lab.state()[0]
    bench.attach(other)
    assert LV.label in bench.luns().values()
    bench.detach(other)
    assert bench.lab.state()[0] == before


# -- LUN 0 ------------------------------------------------------------------

def test_a_control_volume_takes_lun_0_and_goes_with_the_last(with_luns):
    bench = with_luns
    bench.attach(SNAPSHOT)
    control = bench.luns()[0]
    assert control.startswith('__ControlVolume_')
    ld = bench.lab.lds()[control]
    assert control == f'__ControlVolume_{ld.ldn:x}h'
    bench.attach(SECOND)
    assert bench.controls() == [control]
    bench.detach(SNAPSHOT)
    assert bench.luns()[0] == control
    bench.detach(SECOND)
    assert bench.controls() == []


def test_each_ld_set_has_its_own(with_luns):
    with_luns.attach(number=1)
    with_luns.attach(number=2)
    assert len(with_luns.controls()) == 2
    with_luns.detach(number=1)
    assert with_luns.controls() == [with_luns.luns(2)[0]]


def test_a_volume_on_lun_0_is_good_enough(with_luns):
    bench = with_luns
    bench.protocol.attach(VOLUME, bench.host())
    bench.attach()
    assert bench.luns() == {0: VOLUME.label, 1: LV.label}
    bench.detach()
    assert bench.luns() == {0: VOLUME.label}


def test_volumes_come_and_go_beside_it(with_luns):
    bench = with_luns
    bench.attach()
    info = bench.protocol.attach(VOLUME, bench.host())
    assert info['data']['target_lun'] not in (0, 1)
    bench.detach()
    assert set(bench.luns().values()) == {VOLUME.label}


def test_a_volume_that_left_lun_0_unseen_by_this_service(with_luns):
    """What is known of LUN 0 may be old."""
    bench = with_luns
    bench.protocol.attach(VOLUME, bench.host())
    bench.lab.inventory.refresh()
    peer = Bench(make_lab(bench.lab.engine, ldn_start=3000), bench.name)
    peer.protocol.detach(VOLUME, peer.host())
    bench.attach()
    assert bench.luns()[0].startswith('__ControlVolume_')


def test_a_control_volume_of_the_operator_stays(with_luns):
    bench = with_luns
    bench.protocol.attach(VOLUME, bench.host())
    bench.protocol.detach(VOLUME, bench.host())
    name = next(iter(bench.lab.engine.array.store.ldsets))
    bench.lab.operate('ld_add', ldn=900, name='LX:theircontrol', pool=0,
                      capacity='1 GiB', kind='cv')
    run(bench.lab, f'iSMcfg addldsetld -ldset {name} '
        '-ldname LX:theircontrol -lun 0')
    bench.lab.inventory.refresh()
    bench.attach()
    bench.detach()
    assert bench.luns() == {0: 'theircontrol'}


def test_one_that_the_in_tree_driver_left_is_used_and_removed(with_luns):
    bench = with_luns
    bench.protocol.attach(VOLUME, bench.host())
    bench.protocol.detach(VOLUME, bench.host())
    name = next(iter(bench.lab.engine.array.store.ldsets))
    bench.lab.operate('ld_add', ldn=900, name='LX:__ControlVolume_384h',
                      pool=0, capacity='1 GiB', kind='cv')
    run(bench.lab, f'iSMcfg addldsetld -ldset {name} '
        '-ldname LX:__ControlVolume_384h -lun 0')
    bench.lab.inventory.refresh()
    bench.attach()
    assert bench.controls() == ['__ControlVolume_384h']
    bench.detach()
    assert bench.controls() == []


def test_multi_target_mode_needs_none(tmp_path):
    bench = make_bench(tmp_path, 'iSCSI multi-target')
    info = bench.attach()
    assert bench.controls() == []
    assert info['data']['target_lun'] == 1


def test_a_configured_ld_set(tmp_path):
    lab = make_lab(make_engine(tmp_path, changes={'ldsets': [
        {'name': 'LX:all', 'type': 'fc', 'paths': [
            '1000-0090-FAA0-0100', '1000-0090-FAA0-0200']}]}),
        options=AccessOptions(ld_set=LdSetName('LX', 'all')))
    ready(lab)
    bench = Bench(lab, 'FC')
    bench.attach(SNAPSHOT, 1)
    bench.attach(SECOND, 2)
    assert len(bench.controls()) == 1
    bench.detach(SNAPSHOT, 1)
    assert len(bench.controls()) == 1
    bench.detach(SECOND, 2)
    assert bench.luns() == {}
    assert bench.controls() == []


def run(lab: Lab, command: str) -> None:
    reply = lab.engine.execute(command).reply
    assert reply.status == 0, reply


# -- refusals ---------------------------------------------------------------

@pytest.mark.parametrize('state', ['---', 'snap/fault'])
def test_a_snapshot_without_data(bench, state):
    bench.lab.operate('snap_state', sv=SNAPSHOT.label, state=state)
    before = bench.lab.state()
    with pytest.raises(errors.UnexpectedState, match='invalid snapshot'):
        bench.attach()
    assert bench.lab.state() == before


def test_a_snapshot_that_somebody_else_has_linked(bench):
    run(bench.lab, f'iSMcfg lvbind -bvname {VOLUME} -lvn 800 '
        '-lvname theirlink')
    run(bench.lab, f'iSMsc_link -lv theirlink -lvflg ld '
        f'-sv {SNAPSHOT.label} -svflg ld -lvacc ro')
    before = bench.lab.state()
    with pytest.raises(errors.InUse, match='another link volume'):
        bench.attach()
    assert bench.lab.state() == before
    with pytest.raises(errors.InUse, match='link volume'):
        bench.lab.snapshots.delete_snapshot(VOLUME, SNAPSHOT)
    assert bench.lab.state() == before


def test_a_connector_that_cannot_be_used(bench):
    before = bench.lab.state()
    mark = bench.lab.mark()
    with pytest.raises(errors.InvalidConnector):
        bench.access.attach(VOLUME, SNAPSHOT, Connector.parse({}), nothing)
    assert bench.lab.sent(mark) == []
    assert bench.lab.state() == before


def test_an_ld_set_that_cannot_be_had(tmp_path):
    lab = make_lab(make_engine(tmp_path),
                   options=AccessOptions(automatic=False))
    ready(lab)
    before = lab.state()
    with pytest.raises(errors.NotFound, match='Logical Disk Set'):
        Bench(lab, 'iSCSI').attach()
    assert lab.state() == before


def test_what_fails_after_the_mapping_takes_all_back(bench):
    """Such as a zone that cannot be made."""
    bench.attach()
    bench.detach()
    before = bench.lab.state()

    def fail(_info: object) -> None:
        raise errors.NotFound('no zone')

    with pytest.raises(errors.NotFound, match='no zone'):
        bench.access.attach(VOLUME, SNAPSHOT, bench.host(), fail)
    assert bench.lab.state() == before


@pytest.mark.parametrize('command', [
    'iSMcfg lvbind', 'iSMsc_link', 'iSMcfg addldsetld',
    'iSMcfg ldbind', 'iSMcfg nickname'])
def test_an_attach_that_the_array_refuses_leaves_nothing(with_luns,
                                                         command):
    """The linked LV that stayed made the snapshot undeletable (K8)."""
    bench = with_luns
    bench.attach()
    bench.detach()
    before = bench.lab.state()
    bench.lab.fault(Action.REFUSE, prefix=command)
    with pytest.raises(errors.CommandFailed):
        bench.attach()
    assert bench.lab.state() == before
    bench.lab.snapshots.delete_snapshot(VOLUME, SNAPSHOT)


@pytest.mark.parametrize('command', [
    'iSMcfg delldsetld', 'iSMsc_unlink', 'iSMcfg lvunbind',
    'iSMcfg ldunbind'])
def test_a_detach_that_fails_says_so_and_can_be_repeated(with_luns,
                                                         command):
    """Errors are not swallowed (K9)."""
    bench = with_luns
    before = bench.lab.state()
    bench.attach()
    bench.lab.fault(Action.REFUSE, prefix=command, times=3)
    with pytest.raises(errors.CommandFailed):
        bench.detach()
    bench.lab.engine.faults.clear()
    bench.detach()
    assert bench.lab.state()[:3] == before[:3]


def test_a_failed_unlink_does_not_keep_the_control_volume(with_luns):
    bench = with_luns
    bench.attach()
    bench.lab.fault(Action.REFUSE, prefix='iSMsc_unlink', times=3)
    with pytest.raises(errors.CommandFailed):
        bench.detach()
    assert bench.luns() == {}
    assert bench.controls() == []
    assert LV.label in bench.lab.lds()


# -- crashes ----------------------------------------------------------------

def crashed_backup(bench: Bench) -> Lab:
    """Return a service that knows nothing of the attached snapshot."""
    bench.attach()
    return make_lab(bench.lab.engine, ldn_start=3000)


def test_a_new_service_detaches_what_an_old_one_attached(bench):
    lab = crashed_backup(bench)
    Bench(lab, bench.name).detach()
    assert LV.label not in lab.lds()
    assert bench.controls() == []


def test_a_snapshot_whose_backup_was_broken_off_can_be_deleted(bench):
    lab = crashed_backup(bench)
    lab.snapshots.delete_snapshot(VOLUME, SNAPSHOT)
    assert LV.label not in lab.lds()
    assert SNAPSHOT.label not in lab.lds()
    assert LV.label not in bench.luns().values()


def test_a_link_volume_that_was_left_does_not_keep_a_revert_away(bench):
    bench.attach()
    bench.protocol.detach(LV, bench.host())
    lab = make_lab(bench.lab.engine, ldn_start=3000)
    lab.snapshots.revert(VOLUME, SNAPSHOT)
    assert lab.read(VOLUME, len(OLD)) == OLD
    assert LV.label not in lab.lds()


def test_one_that_a_host_sees_does(bench):
    lab = crashed_backup(bench)
    with pytest.raises(errors.InUse, match='link volume shows it'):
        lab.snapshots.revert(VOLUME, SNAPSHOT)
    assert lab.read(VOLUME, len(NEW)) == NEW


@pytest.mark.parametrize('left', ['bound', 'linked'])
def test_an_attach_goes_on_where_another_stopped(bench, left):
    run(bench.lab, f'iSMcfg lvbind -bvname {VOLUME} -lvn 800 '
        f'-lvname {LV.label}')
    if left == 'linked':
        run(bench.lab, f'iSMsc_link -lv {LV.label} -lvflg ld '
            f'-sv {SNAPSHOT.label} -svflg ld -lvacc ro')
    if left == 'linked':
        bench.lab.inventory.refresh()
    bench.attach()
    assert LV.label in bench.luns().values()
    bench.detach()
    assert LV.label not in bench.lab.lds()


def test_stats_know_that_a_link_volume_takes_no_room(bench):
    def free_gib() -> int:
        config = bench.lab.inventory.current()
        return round(config.pools[POOL].free_bytes / GIB)

    free = free_gib()
    bench.attach()
    assert free_gib() == free
    bench.lab.inventory.refresh()
    bench.detach()
    assert free_gib() == free


# -- data replication -------------------------------------------------------

@pytest.fixture
def ddr(tmp_path) -> Lab:
    lab = make_ddr_lab(tmp_path)
    lab.write(MV, OLD)
    lab.snapshots.create_snapshot(MV, S1)
    lab.write(MV, NEW)
    lab.time.sleep(120)
    return lab


def test_a_replica_is_seen_itself(ddr):
    access = ReplicaAccess(ddr.access)
    info = access.attach(MV, S1, host(), nothing)
    assert info['data']['access_mode'] == 'ro'
    assert ddr.read(S1, len(OLD)) == OLD
    ldsets = ddr.engine.array.store.ldsets_of(ddr.lds()[S1.label].ldn)
    assert len(ldsets) == 1
    assert access.detach(MV, S1, host()) != []
    access.release(MV, S1)
    assert picture(ddr)[1] == pairs_of(S1)


def test_a_forced_detach_of_a_replica(ddr):
    access = ReplicaAccess(ddr.access)
    for number in (1, 2):
        access.attach(MV, S1, host(number), nothing)
    access.detach(MV, S1, None)
    ldn = ddr.lds()[S1.label].ldn
    assert ddr.engine.array.store.ldsets_of(ldn) == []


def test_the_next_snapshot_after_a_backup(ddr):
    """The RV has to be unmapped before it is copied to again."""
    access = ReplicaAccess(ddr.access)
    access.attach(MV, S1, host(), nothing)
    access.detach(MV, S1, host())
    ddr.snapshots.delete_snapshot(MV, S1)
    ddr.snapshots.create_snapshot(MV, S1)
    assert ddr.read(S1, len(NEW)) == NEW
