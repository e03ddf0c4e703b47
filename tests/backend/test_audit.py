# SPDX-License-Identifier: Apache-2.0
"""The audit on a simulated array: each thing that can be left behind."""

from __future__ import annotations

import dataclasses

import pytest

from cinder_nec import naming
from cinder_nec.backend.audit import (
    ArrayState,
    AuditScope,
    audit,
    read_array,
)
from cinder_nec.backend.cinder_state import (
    CinderAttachment,
    CinderSnapshot,
    CinderState,
    CinderVolume,
    Phase,
)
from cinder_nec.backend.findings import FindingKind, Place, Standing
from cinder_nec.ismcli.commands import VolumeAccess
from cinder_nec.model import LdName, LdSetName
from ismsim.faults import Action
from tests.backend.arrays import BACKUP_POOL, POOL, host, make_engine, make_lab

VOLUME = '2f9b4f1c-2d0b-4c8c-9f63-1b6f6e8a7c01'
OTHER = 'b3a1c6de-58a5-4b38-8d53-3f0b0a9c5d02'
SNAPSHOT = '7c2e1f0a-9b1d-4e6f-8a3c-5d4e3f2a1b03'
SCOPE = AuditScope.of([POOL], [BACKUP_POOL])
# One of the simulated array's LDs has no name.
THERE_BEFORE = ('LD 0005h in pool 1',)


def ld(cinder_id: str, suffix: str = '') -> LdName:
    return LdName('LX', naming.ld_name(cinder_id) + suffix)


def volume(cinder_id: str = VOLUME, size_gib: int = 1,
           phase: Phase = Phase.STEADY, **more) -> CinderVolume:
    return CinderVolume(cinder_id, size_gib, phase, **more)


def snapshot(phase: Phase = Phase.STEADY, volume_id: str = VOLUME,
             size_gib: int = 1) -> CinderSnapshot:
    return CinderSnapshot(SNAPSHOT, volume_id, size_gib, phase)


def attachment(number: int = 1,
               phase: Phase = Phase.STEADY) -> CinderAttachment:
    return CinderAttachment(
        f'attachment-{number}', VOLUME, phase,
        frozenset({str(host(number).initiator)}))


def cinder(*things) -> CinderState:
    return CinderState(*(tuple(t for t in things if isinstance(t, kind))
                         for kind in (CinderVolume, CinderSnapshot,
                                      CinderAttachment)))


@pytest.fixture
def ddr(tmp_path):
    return make_lab(make_engine(tmp_path), replication=True)


def look(lab, *things, scope=SCOPE):
    found = audit(read_array(lab.client, lab.inventory), cinder(*things),
                  scope)
    return [f for f in found if f.subject not in THERE_BEFORE]


def only(lab, *things):
    """Return the one finding there is."""
    found = look(lab, *things)
    assert len(found) == 1, [str(f) for f in found]
    return found[0]


def carry_out(lab, finding):
    """Do on the array what a finding says."""
    for step in finding.steps:
        assert step.place is Place.ARRAY
        outcome = lab.engine.execute(step.text)
        assert outcome.reply.status == 0, (step.text, outcome.reply.stderr)


# -- in order -----------------------------------------------------------

def test_what_is_in_order_is_no_finding(lab):
    lab.volumes.create(ld(VOLUME), 1, [POOL])
    lab.snapshots.create_snapshot(ld(VOLUME), ld(SNAPSHOT))
    lab.access.attach(ld(VOLUME), host(1))
    assert look(lab, volume(), snapshot(), attachment(1)) == []


def test_replicas_in_order(ddr):
    ddr.volumes.create(ld(VOLUME), 1, [POOL])
    ddr.snapshots.create_snapshot(ld(VOLUME), ld(SNAPSHOT))
    assert look(ddr, volume(), snapshot()) == []
    ddr.snapshots.delete_snapshot(ld(VOLUME), ld(SNAPSHOT))
    assert ld(SNAPSHOT, '_d').label in ddr.lds()
    assert look(ddr, volume()) == []


def test_foreign_disks_and_pools_are_passed_by(lab):
    lab.volumes.create(LdName('LX', 'database01'), 1, [POOL])
    lab.volumes.create(ld(VOLUME), 1, [POOL])
    assert look(lab, scope=AuditScope.of([9], [8])) == []
    elsewhere = volume(is_here=False)
    assert look(lab, elsewhere) == []


# -- on the array, not in Cinder ----------------------------------------

def test_an_ld_of_nobody(lab):
    lab.volumes.create(ld(VOLUME), 1, [POOL])
    lab.access.attach(ld(VOLUME), host(1))
    finding = only(lab)
    assert finding.kind is FindingKind.LD_WITHOUT_OBJECT
    assert finding.standing is Standing.DIFFERENCE
    assert finding.cinder_id == VOLUME
    assert not finding.is_safe  # it may have been unmanaged
    carry_out(lab, finding)
    assert only(lab).standing is Standing.HARMLESS


def test_a_generation_of_nobody(lab):
    lab.volumes.create(ld(VOLUME), 1, [POOL])
    lab.snapshots.create_snapshot(ld(VOLUME), ld(SNAPSHOT))
    finding = only(lab, volume())
    assert finding.kind is FindingKind.GENERATION_WITHOUT_SNAPSHOT
    assert not finding.is_safe
    carry_out(lab, finding)
    assert look(lab, volume()) == []


def test_a_replica_of_nobody_has_a_pair_of_nobody(ddr):
    ddr.volumes.create(ld(VOLUME), 1, [POOL])
    ddr.snapshots.create_snapshot(ld(VOLUME), ld(SNAPSHOT))
    found = look(ddr, volume())
    assert [f.kind for f in found] == [FindingKind.LD_WITHOUT_OBJECT,
                                       FindingKind.PAIR_WITHOUT_OBJECT]
    carry_out(ddr, found[0])
    assert look(ddr, volume()) == []


def test_a_link_volume_whose_backup_was_broken_off(lab):
    lab.volumes.create(ld(VOLUME), 1, [POOL])
    lab.snapshots.create_snapshot(ld(VOLUME), ld(SNAPSHOT))
    label = ld(SNAPSHOT).label
    lab.client.lvbind(ld(VOLUME), 700, f'{label}_l')
    lab.client.sc_link(f'{label}_l', label, VolumeAccess.READ_ONLY)
    assert look(lab, volume(), snapshot(Phase.CHANGING)) == []
    assert look(lab, volume(phase=Phase.CHANGING), snapshot()) == []
    finding = only(lab, volume(), snapshot())
    assert finding.kind is FindingKind.LINK_VOLUME_LEFT
    assert finding.is_safe
    carry_out(lab, finding)
    assert look(lab, volume(), snapshot()) == []


def test_a_control_volume_without_a_link_volume(lab):
    lab.client.ldbind_control_volume(POOL, 0x701)
    lab.client.nickname_of_ldn(0x701, LdName('LX', '__ControlVolume_701h'))
    finding = only(lab)
    assert finding.kind is FindingKind.CONTROL_VOLUME_LEFT
    assert finding.is_safe
    assert only(lab, volume(OTHER, phase=Phase.CREATING)
                ).standing is Standing.IN_FLIGHT
    carry_out(lab, finding)
    assert look(lab) == []


def test_a_control_volume_beside_a_link_volume_is_in_order(lab):
    lab.volumes.create(ld(VOLUME), 1, [POOL])
    lab.snapshots.create_snapshot(ld(VOLUME), ld(SNAPSHOT))
    label = ld(SNAPSHOT).label
    lab.client.lvbind(ld(VOLUME), 700, f'{label}_l')
    lab.client.sc_link(f'{label}_l', label, VolumeAccess.READ_ONLY)
    lab.client.ldbind_control_volume(POOL, 0x701)
    lab.client.nickname_of_ldn(0x701, LdName('LX', '__ControlVolume_701h'))
    lab.operate('ldset_add', ldset={
        'name': 'LX:backup', 'type': 'iscsi', 'multitarget': False,
        'lds': [{'ld': '__ControlVolume_701h', 'lun': 0},
                {'ld': f'{label}_l', 'lun': 1}]})
    assert [f.standing for f in look(
        lab, volume(), snapshot(Phase.CHANGING))] == [Standing.IN_FLIGHT]
    left = {f.kind: f for f in look(lab, volume(), snapshot())}
    assert set(left) == {FindingKind.LINK_VOLUME_LEFT,
                         FindingKind.MAPPING_WITHOUT_ATTACHMENT}
    # A host may be reading it.
    assert not left[FindingKind.LINK_VOLUME_LEFT].is_safe


@pytest.mark.parametrize('attributes', ('', '-ldattr cv '))
def test_a_disk_without_a_name_may_be_an_administrators(lab, attributes):
    assert lab.engine.execute(
        f'iSMcfg ldbind -poolnumber 0 {attributes}-ldn 770'
        + ('' if attributes else ' -capacity 1 -immediate')
    ).reply.status == 0
    finding = only(lab)
    assert finding.kind is FindingKind.NAMELESS_LD
    assert finding.standing is Standing.UNSURE
    assert not finding.is_safe
    assert only(lab, volume(OTHER, phase=Phase.CREATING)
                ).standing is Standing.IN_FLIGHT
    carry_out(lab, finding)
    assert look(lab) == []


def test_a_disk_that_was_to_be_unbound(lab):
    lab.volumes.create(LdName('LX', 'unbind_0302'), 1, [POOL])
    finding = only(lab)
    assert finding.kind is FindingKind.UNBIND_LEFT
    assert finding.is_safe
    carry_out(lab, finding)
    assert look(lab) == []


@pytest.mark.parametrize('left', ('_m', '_o'))
def test_what_a_migration_left_beside_the_volume(lab, left):
    lab.volumes.create(ld(VOLUME), 1, [POOL])
    lab.volumes.create(ld(VOLUME, left), 1, [POOL])
    assert [f.standing for f in look(lab, volume(phase=Phase.CHANGING))
            ] == [Standing.IN_FLIGHT]
    finding = only(lab, volume())
    assert finding.kind is FindingKind.MIGRATION_LEFT
    assert finding.is_safe
    carry_out(lab, finding)
    assert look(lab, volume()) == []
    assert ld(VOLUME).label in lab.lds()


def test_a_parked_disk_beside_a_copy_is_not_proven_to_be_useless(lab):
    for suffix in ('', '_m', '_o'):
        lab.volumes.create(ld(VOLUME, suffix), 1, [POOL])
    safe = {f.subject: f.is_safe for f in look(lab, volume())}
    assert safe == {str(ld(VOLUME, '_m')): True,
                    str(ld(VOLUME, '_o')): False}


@pytest.mark.parametrize('left', ('_m', '_o'))
def test_a_volume_that_lost_its_name_is_given_it_back(lab, left):
    lab.volumes.create(ld(VOLUME, left), 1, [POOL])
    finding = only(lab, volume())
    assert finding.kind is FindingKind.MIGRATION_LEFT
    assert finding.is_safe
    carry_out(lab, finding)
    assert look(lab, volume()) == []


def test_of_a_parked_volume_and_its_copy_the_copy_is_not_the_volume(lab):
    for suffix in ('_m', '_o'):
        lab.volumes.create(ld(VOLUME, suffix), 1, [POOL])
    found = {f.subject: f for f in look(lab, volume())}
    copy = found[str(ld(VOLUME, '_m'))]
    assert not copy.is_safe
    assert 'ldunbind' in copy.steps[-1].text
    assert 'nickname' in found[str(ld(VOLUME, '_o'))].steps[-1].text


def test_a_kept_replica_that_lost_its_pair(ddr):
    ddr.volumes.create(ld(SNAPSHOT, '_d'), 1, [BACKUP_POOL])
    finding = only(ddr)
    assert finding.kind is FindingKind.KEPT_REPLICA_LEFT
    assert finding.is_safe
    carry_out(ddr, finding)
    assert look(ddr) == []


# -- pairs --------------------------------------------------------------

def paired(lab, source: LdName, target: LdName) -> None:
    lab.client.rc_pair(source.label, target.label)


def test_a_clone_that_settles_is_in_flight(ddr):
    for name in (VOLUME, OTHER):
        ddr.volumes.create(ld(name), 1, [POOL])
    paired(ddr, ld(VOLUME), ld(OTHER))
    finding = only(ddr, volume(), volume(OTHER))
    assert finding.kind is FindingKind.COPY_SETTLES
    assert finding.standing is Standing.IN_FLIGHT


def test_a_clone_that_settles_is_seen_without_the_pairs(ddr):
    for name in (VOLUME, OTHER):
        ddr.volumes.create(ld(name), 1, [POOL])
    paired(ddr, ld(VOLUME), ld(OTHER))
    known = read_array(ddr.client, ddr.inventory)
    found = audit(ArrayState(known.config), cinder(volume(), volume(OTHER)),
                  SCOPE)
    assert FindingKind.COPY_SETTLES in {f.kind for f in found}


def test_a_clone_that_was_broken_off(ddr):
    for name in (VOLUME, OTHER):
        ddr.volumes.create(ld(name), 1, [POOL])
    paired(ddr, ld(VOLUME), ld(OTHER))
    ddr.operate('pair_state', rv=ld(OTHER).label, state='fault')
    finding = only(ddr, volume(), volume(OTHER))
    assert finding.kind is FindingKind.PAIR_BROKEN
    assert finding.is_difference and not finding.is_safe
    assert finding.cinder_id == OTHER
    ddr.write(ld(VOLUME), b'of the source')
    *first, last = finding.steps
    carry_out(ddr, dataclasses.replace(finding, steps=tuple(first)))
    ddr.time.sleep(3600)
    carry_out(ddr, dataclasses.replace(finding, steps=(last,)))
    assert look(ddr, volume(), volume(OTHER)) == []
    assert ddr.read(ld(OTHER), 13) == b'of the source'


def test_a_volume_that_is_the_copy_of_a_strangers_disk(ddr):
    """The MV has no Cinder name, so nobody asks by it."""
    ddr.volumes.create(ld(VOLUME), 1, [POOL])
    ddr.operate('ld_add', ldn=900, name='LX:oracle', pool=POOL,
                capacity='1 GiB', kind='ordinary')
    paired(ddr, LdName('LX', 'oracle'), ld(VOLUME))
    finding = only(ddr, volume())
    assert finding.kind is FindingKind.PAIR_WITHOUT_OBJECT
    assert finding.is_difference and not finding.is_safe
    assert 'oracle' in finding.subject
    assert only(ddr, volume(phase=Phase.CHANGING)
                ).standing is Standing.IN_FLIGHT
    carry_out(ddr, finding)
    assert look(ddr, volume()) == []


def refuse(lab, regex: str) -> None:
    lab.fault(Action.REFUSE, regex=regex, times=None)


def test_pairs_that_the_array_does_not_show_are_told_of(ddr):
    for name in (VOLUME, OTHER):
        ddr.volumes.create(ld(name), 1, [POOL])
    paired(ddr, ld(VOLUME), ld(OTHER))
    refuse(ddr, 'iSMrc_query -mv')
    found = look(ddr, volume(), volume(OTHER))
    unsure, = (f for f in found if f.kind is FindingKind.NOT_READ)
    assert unsure.standing is Standing.UNSURE
    assert unsure.subject == str(ld(VOLUME))
    assert 'iSM99905' in unsure.meaning
    # The other end of the pair has shown it.
    assert FindingKind.COPY_SETTLES in {f.kind for f in found}
    refuse(ddr, 'iSMrc_query')
    assert [f.subject for f in look(ddr, volume(), volume(OTHER))] == sorted(
        str(ld(name)) for name in (VOLUME, OTHER))


def test_generations_that_the_array_does_not_show_are_told_of(lab):
    lab.volumes.create(ld(VOLUME), 1, [POOL])
    lab.snapshots.create_snapshot(ld(VOLUME), ld(SNAPSHOT))
    refuse(lab, 'iSMsc_query')
    assert only(lab, volume(), snapshot()).kind is FindingKind.NOT_READ
    assert only(lab, volume(phase=Phase.CHANGING), snapshot()
                ).standing is Standing.IN_FLIGHT


def test_a_pair_that_ends_while_the_array_is_read_is_no_finding(ddr):
    for name in (VOLUME, OTHER):
        ddr.volumes.create(ld(name), 1, [POOL])
    paired(ddr, ld(VOLUME), ld(OTHER))
    asked = ddr.client.rc_query

    def late(label, role):
        if ddr.engine.array.store.pairs:
            ddr.client.rc_unpair(ld(VOLUME).label, ld(OTHER).label,
                                 force=True)
        return asked(label, role)
    ddr.client.rc_query = late
    assert look(ddr, volume(), volume(OTHER)) == []


def test_a_replica_whose_copy_was_broken_off(ddr):
    ddr.volumes.create(ld(VOLUME), 1, [POOL])
    ddr.snapshots.create_snapshot(ld(VOLUME), ld(SNAPSHOT))
    ddr.operate('pair_state', rv=ld(SNAPSHOT).label, state='fault')
    finding = only(ddr, volume(), snapshot())
    assert finding.kind is FindingKind.PAIR_BROKEN
    assert finding.cinder_id == SNAPSHOT
    assert not finding.steps
    assert look(ddr, volume(), snapshot(Phase.CREATING)) == []


def test_a_pair_of_a_migration_that_is_over(lab):
    lab.volumes.create(ld(VOLUME), 1, [POOL])
    lab.volumes.create(ld(VOLUME, '_m'), 1, [POOL])
    paired(lab, ld(VOLUME), ld(VOLUME, '_m'))
    kinds = {f.kind for f in look(lab, volume())}
    assert kinds == {FindingKind.MIGRATION_LEFT,
                     FindingKind.PAIR_WITHOUT_OBJECT}
    assert not [f for f in look(lab, volume(phase=Phase.CHANGING))
                if f.is_difference]


def test_a_replica_of_another_volume(ddr):
    ddr.volumes.create(ld(VOLUME), 1, [POOL])
    ddr.volumes.create(ld(OTHER), 1, [POOL])
    ddr.snapshots.create_snapshot(ld(VOLUME), ld(SNAPSHOT))
    finding = only(ddr, volume(), volume(OTHER),
                   snapshot(volume_id=OTHER))
    assert finding.kind is FindingKind.WRONG_ORIGIN


def test_a_generation_of_another_volume(lab):
    lab.volumes.create(ld(VOLUME), 1, [POOL])
    lab.volumes.create(ld(OTHER), 1, [POOL])
    lab.snapshots.create_snapshot(ld(VOLUME), ld(SNAPSHOT))
    finding = only(lab, volume(), volume(OTHER),
                   snapshot(volume_id=OTHER))
    assert finding.kind is FindingKind.WRONG_ORIGIN


def test_a_snapshot_whose_data_is_lost(lab):
    lab.volumes.create(ld(VOLUME), 1, [POOL])
    lab.snapshots.create_snapshot(ld(VOLUME), ld(SNAPSHOT))
    lab.operate('sra_exhausted', pool=BACKUP_POOL)
    finding = only(lab, volume(), snapshot())
    assert finding.kind is FindingKind.SNAPSHOT_DATA_LOST
    assert look(lab, volume(), snapshot(Phase.BROKEN)) == []


# -- in Cinder, not on the array ----------------------------------------

def test_objects_without_an_ld(lab):
    found = look(lab, volume(), snapshot())
    assert [f.kind for f in found] == [FindingKind.VOLUME_WITHOUT_LD,
                                       FindingKind.SNAPSHOT_WITHOUT_LD]


@pytest.mark.parametrize('phase', (Phase.CREATING, Phase.DELETING,
                                   Phase.BROKEN))
def test_objects_that_need_no_ld(lab, phase):
    assert look(lab, volume(phase=phase), snapshot(phase)) == []
    lab.volumes.create(ld(VOLUME), 1, [POOL])
    assert look(lab, volume(phase=phase)) == []


@pytest.mark.parametrize('size_gib', (1, 3))
def test_sizes_that_differ(lab, size_gib):
    lab.volumes.create(ld(VOLUME), 2, [POOL])
    finding = only(lab, volume(size_gib=size_gib))
    assert finding.kind is FindingKind.SIZE_DIFFERS
    assert finding.is_safe
    if size_gib > 2:
        carry_out(lab, finding)
        assert look(lab, volume(size_gib=size_gib)) == []
    assert look(lab, volume(size_gib=size_gib,
                            phase=Phase.CHANGING)) == []


def test_a_snapshot_may_be_larger_than_when_it_was_taken(ddr):
    """With data replication it is expanded together with its volume."""
    ddr.volumes.create(ld(VOLUME), 2, [POOL])
    ddr.snapshots.create_snapshot(ld(VOLUME), ld(SNAPSHOT))
    assert look(ddr, volume(size_gib=2), snapshot(size_gib=1)) == []
    finding = only(ddr, volume(size_gib=2), snapshot(size_gib=3))
    assert finding.kind is FindingKind.SIZE_DIFFERS
    assert look(ddr, volume(size_gib=2),
                snapshot(Phase.CHANGING, size_gib=3)) == []


def test_a_volume_is_found_by_its_name_id(lab):
    lab.volumes.create(ld(OTHER), 1, [POOL])
    assert look(lab, volume(name_id=OTHER)) == []


# -- mappings -----------------------------------------------------------

def test_a_mapping_without_an_attachment(lab):
    lab.volumes.create(ld(VOLUME), 1, [POOL])
    for number in (1, 2):
        lab.access.attach(ld(VOLUME), host(number))
    finding = only(lab, volume(), attachment(1))
    assert finding.kind is FindingKind.MAPPING_WITHOUT_ATTACHMENT
    assert not finding.is_safe
    assert only(lab, volume(phase=Phase.CHANGING),
                attachment(1)).standing is Standing.IN_FLIGHT
    carry_out(lab, finding)
    assert only(lab, volume(), attachment(1)).standing is Standing.HARMLESS


def test_what_is_being_attached_or_detached_is_in_flight(lab):
    lab.volumes.create(ld(VOLUME), 1, [POOL])
    lab.access.attach(ld(VOLUME), host(2))
    assert only(lab, volume(), attachment(1, Phase.CHANGING)
                ).standing is Standing.IN_FLIGHT


def test_an_attachment_whose_host_is_not_known_explains_by_its_target(lab):
    lab.volumes.create(ld(VOLUME), 1, [POOL])
    info = lab.access.attach(ld(VOLUME), host(1))
    told = CinderAttachment('a', VOLUME, targets=frozenset(
        {info['data']['target_iqn']}))
    assert look(lab, volume(), told) == []
    wrong = CinderAttachment('a', VOLUME,
                             targets=frozenset({'iqn.2001-03.jp.nec:x'}))
    assert {f.kind for f in look(lab, volume(), wrong)} == {
        FindingKind.MAPPING_WITHOUT_ATTACHMENT,
        FindingKind.ATTACHMENT_WITHOUT_MAPPING}


def test_an_attachment_without_a_mapping(lab):
    lab.volumes.create(ld(VOLUME), 1, [POOL])
    finding = only(lab, volume(), attachment(1))
    assert finding.kind is FindingKind.ATTACHMENT_WITHOUT_MAPPING
    for phase in (Phase.CREATING, Phase.CHANGING, Phase.BROKEN):
        assert look(lab, volume(), attachment(1, phase)) == []


def test_an_ld_set_that_was_made_and_not_filled_costs_nothing(lab):
    lab.client.addldset_iscsi(LdSetName('LX', '05comredhathost1'))
    finding = only(lab)
    assert finding.kind is FindingKind.LD_SET_LEFT
    assert finding.standing is Standing.HARMLESS


def test_an_ld_set_whose_last_ld_was_detached_is_told_of_with_its_host(lab):
    lab.volumes.create(ld(VOLUME), 1, [POOL])
    lab.access.attach(ld(VOLUME), host(1))
    assert look(lab, volume(), attachment(1)) == []
    lab.access.detach(ld(VOLUME), host(1))
    finding = only(lab, volume())
    assert finding.kind is FindingKind.LD_SET_LEFT
    assert finding.standing is Standing.HARMLESS
    assert str(host(1).initiator) in finding.meaning
    assert not finding.steps
