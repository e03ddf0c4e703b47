# SPDX-License-Identifier: Apache-2.0
"""Data replication method: RVs of an operator's making are not touched.

They may be named like one that keeps the differences of a deleted snapshot.
"""

from __future__ import annotations

import pytest

from cinder_nec import errors
from cinder_nec.model import GIB, LdName
from tests.backend.arrays import BACKUP_POOL, POOL
from tests.backend.replication import (
    FULL_SECONDS,
    NEW,
    OLD,
    OTHER,
    S1,
    S2,
    S3,
    S5,
    VOLUME,
    execute,
    keep,
    kept,
    make_ddr_lab,
    picture,
    snapshots,
)


@pytest.fixture
def lab(tmp_path):
    return make_ddr_lab(tmp_path)


@pytest.fixture(params=[('db_d', BACKUP_POOL), ('db_d', POOL),
                        (kept(S5).label, POOL)],
                ids=['where snapshots are', 'elsewhere', 'a Cinder name'])
def foreign(lab, request):
    """An RV with a copy of the volume that is separated and in use."""
    label, pool = request.param
    name = LdName('WN', label)
    lab.volumes.create(name, 1, [pool])
    names = f'-mv {VOLUME.label} -mvflg ld -rv {label} -rvflg ld'
    execute(lab, f'iSMrc_pair -pair {names}')
    execute(lab, f'iSMrc_replicate {names} -nowait -cprange full -cpmode bg')
    lab.time.sleep(10 * FULL_SECONDS)
    execute(lab, f'iSMrc_separate {names} -rvacc rw -rvuse immediate '
            '-nowait')
    lab.inventory.refresh()
    lab.write(VOLUME, NEW)
    return name


def check(lab, foreign):
    """See that the RV has its name, its pair and its data."""
    assert picture(lab)[1][VOLUME.label, foreign.label] == 'separated'
    assert lab.read(foreign, len(OLD)) == OLD


def test_a_snapshot_does_not_overwrite_it(lab, foreign):
    snapshots(lab, S1)
    check(lab, foreign)
    assert lab.read(S1, len(NEW)) == NEW


def test_the_delete_of_the_volume_is_refused_with_the_command(lab, foreign):
    keep(lab, S1)
    before = picture(lab)
    with pytest.raises(errors.InUse, match='not of this driver') as caught:
        lab.snapshots.delete_volume(VOLUME)
    assert picture(lab) == before
    check(lab, foreign)
    _, _, command = str(caught.value).partition('take it apart: ')
    execute(lab, command)
    lab.snapshots.delete_volume(VOLUME)
    assert VOLUME.label not in lab.lds()
    assert lab.read(foreign, len(OLD)) == OLD


def test_it_gives_way_to_nothing(lab, foreign):
    snapshots(lab, S1, S2)
    for what in (lambda: lab.snapshots.create_snapshot(VOLUME, S3),
                 lambda: lab.snapshots.clone(VOLUME, 1, OTHER, 1, [POOL])):
        with pytest.raises(errors.PairLimit):
            what()
        check(lab, foreign)


def test_the_volume_is_neither_reverted_nor_expanded(lab, foreign):
    snapshots(lab, S1)
    before = picture(lab)
    for what in (lambda: lab.snapshots.revert(VOLUME, S1),
                 lambda: lab.snapshots.extend_volume(VOLUME, 2)):
        with pytest.raises(errors.InUse, match='not of this driver'):
            what()
        assert picture(lab) == before
        check(lab, foreign)


def test_its_broken_pair_is_no_reason_to_remove_it(lab, foreign):
    lab.operate('pair_state', mv=VOLUME.label, rv=foreign.label,
                state='fault')
    with pytest.raises(errors.InUse):
        lab.snapshots.extend_volume(VOLUME, 2)
    assert foreign.label in lab.lds()
    assert lab.lds()[VOLUME.label].capacity == GIB
