# SPDX-License-Identifier: Apache-2.0
"""The audit on a simulated array: each thing that can be left behind."""

from __future__ import annotations

import pytest

from cinder_nec import naming
from cinder_nec.backend.audit import AuditScope, audit, read_array
from cinder_nec.backend.cinder_state import (
    CinderAttachment,
    CinderSnapshot,
    CinderState,
    CinderVolume,
    Phase,
)
from cinder_nec.backend.findings import FindingKind, Place, Standing
from cinder_nec.model import LdName
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
    assert look(lab) == []


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
