# SPDX-License-Identifier: Apache-2.0
"""Taking over LDs of others: what may be, what must not, and who says so."""

from __future__ import annotations

import itertools

import pytest

from cinder_nec import errors, naming
from cinder_nec.backend.copying.origins import (
    GenerationOrigins,
    ReplicaOrigins,
)
from cinder_nec.backend.copying.pairs import PairCopy
from cinder_nec.backend.manage import Management, Reference
from cinder_nec.model import GIB, LdName
from ismsim.faults import Action
from tests.backend.arrays import (
    BACKUP_POOL,
    POOL,
    Lab,
    host,
    make_lab,
)

ID = '5c9a8b7e-1d2f-4a3b-8c4d-5e6f7a8b9c0d'
OTHER_ID = '0a1b2c3d-4e5f-4678-9abc-def012345678'
VOLUME = LdName('LX', naming.ld_name(ID))
SNAPSHOT = LdName('LX', naming.ld_name(OTHER_ID))
THEIRS = LdName('LX', 'data01')
THEIR_SNAPSHOT = LdName('LX', 'data01_monday')
DATA = b'what they wrote'
_ldns = itertools.count(900)


def management(lab: Lab, pools=(POOL,), backup_pools=(BACKUP_POOL,), *,
               replicas: bool = False) -> Management:
    pairs = PairCopy(lab.client, lab.inventory, lab.time, 3600.0)
    origins = (ReplicaOrigins(pairs, lab.inventory, backup_pools)
               if replicas else GenerationOrigins(lab.client, lab.inventory))
    return Management(lab.inventory, lab.volumes, origins, pools,
                      backup_pools)


def add(lab: Lab, name: LdName = THEIRS, *, pool: int = POOL,
        size: str = '2 GiB', kind: str = 'ordinary') -> LdName:
    """Make an LD as an operator does."""
    lab.operate('ld_add', ldn=next(_ldns), name=str(name), pool=pool,
                capacity=size, kind=kind)
    return name


def run(lab: Lab, command: str) -> None:
    reply = lab.engine.execute(command).reply
    assert reply.status == 0, reply


def add_snapshot(lab: Lab, source: LdName = THEIRS,
                 snapshot: LdName = THEIR_SNAPSHOT) -> LdName:
    run(lab, f'iSMcfg generationadd -bvname {source} -poolnumber '
        f'{BACKUP_POOL} -count 1 -svname {snapshot.label}')
    run(lab, f'iSMsc_create -bv {source.label} -bvflg ld '
        f'-sv {snapshot.label} -svflg ld')
    return snapshot


def add_replica(lab: Lab, source: LdName = THEIRS,
                replica: LdName = THEIR_SNAPSHOT) -> LdName:
    add(lab, replica, pool=BACKUP_POOL)
    pair = (f'-mv {source.label} -mvflg ld -rv {replica.label} -rvflg ld')
    run(lab, f'iSMrc_pair -pair {pair}')
    run(lab, f'iSMrc_replicate {pair} -nowait -cprange full -cpmode bg')
    run(lab, f'iSMrc_separate {pair} -rvacc ro -rvuse immediate -nowait')
    return replica


def by_name(name: LdName) -> Reference:
    return Reference.parse({'source-name': str(name)})


# -- references -------------------------------------------------------------

@pytest.mark.parametrize('raw, platform, label', [
    ({'source-name': 'LX:data01'}, 'LX', 'data01'),
    ({'source-name': 'data01'}, None, 'data01'),
    ({'source-id': ID}, None, VOLUME.label),
    ({'source-name': ID}, None, VOLUME.label),
    ({'source-name': f'volume-{ID}'}, None, VOLUME.label),
    ({'source-name': f'snapshot-{ID}'}, None, VOLUME.label),
    ({'source-name': VOLUME.label}, None, VOLUME.label),
    ({'source-id': ID, 'source-name': None}, None, VOLUME.label),
])
def test_what_names_an_ld(raw, platform, label):
    assert Reference.parse(raw) == Reference(label, platform)


@pytest.mark.parametrize('raw', [
    None, '', 'data01', 17, [], ['source-name'], {}, {'name': 'x'},
    {'source-name': None}, {'source-name': ''}, {'source-name': 5},
    {'source-name': ['data01']}, {'source-name': {'a': 'b'}},
    {'source-name': 'a b'}, {'source-name': 'x;reboot'},
    {'source-name': '$(reboot)'}, {'source-name': 'LX:`id`'},
    {'source-name': 'data01\n'}, {'source-name': 'LX:LX:data01'},
    {'source-name': '-ldname'}, {'source-name': 'n' * 25},
    {'source-name': 'n' * 100_000}, {'source-name': 'Lx:data01'},
    {'source-name': 'dätä01'}, {'source-name': f'{ID};reboot'},
    {'source-id': 'data01'}, {'source-id': 5}, {'source-id': ''},
    {'source-id': ID, 'source-name': 'data01'},
])
def test_a_hostile_reference_is_refused_before_anything_is_sent(raw):
    with pytest.raises(errors.InvalidInput) as caught:
        Reference.parse(raw)
    assert len(str(caught.value)) < 300


# -- volumes ----------------------------------------------------------------

def test_a_volume_gets_its_name_and_keeps_its_bytes(lab):
    add(lab)
    lab.write(THEIRS, DATA)
    ldn = lab.lds()[THEIRS.label].ldn
    manage = management(lab)
    assert manage.get_volume(by_name(THEIRS)).capacity_gib == 2
    manage.manage_volume(by_name(THEIRS), VOLUME)
    assert THEIRS.label not in lab.lds()
    assert lab.lds()[VOLUME.label].ldn == ldn
    assert lab.read(VOLUME, len(DATA)) == DATA
    assert lab.volumes.get(VOLUME).ldn == ldn


def test_an_ld_of_another_os_type_becomes_one_of_ours(lab):
    add(lab, LdName('WN', 'ntfs01'))
    management(lab).manage_volume(
        Reference.parse({'source-name': 'ntfs01'}), VOLUME)
    assert lab.lds()[VOLUME.label].platform == 'LX'


def test_a_volume_that_was_let_go_comes_back_by_its_id(lab):
    lab.volumes.create(VOLUME, 1, [POOL])
    management(lab).manage_volume(Reference.parse({'source-id': ID}),
                                  SNAPSHOT)
    assert SNAPSHOT.label in lab.lds()


@pytest.mark.parametrize('size, gib', [
    ('1 GiB', 1), ('1536 MiB', 2), ('1 KiB', 1), ('2049 MiB', 3)])
def test_a_size_that_is_not_whole_is_rounded_up(lab, size, gib):
    add(lab, size=size)
    assert management(lab).get_volume(by_name(THEIRS)).capacity_gib == gib
    assert [c.size_gib for c in management(lab).volumes({})
            if c.name == THEIRS] == [gib]


def test_a_volume_with_snapshots_is_taken_over_with_them(lab):
    add(lab)
    lab.write(THEIRS, DATA)
    add_snapshot(lab)
    manage = management(lab)
    manage.manage_volume(by_name(THEIRS), VOLUME)
    manage.manage_snapshot(by_name(THEIR_SNAPSHOT), VOLUME, SNAPSHOT)
    lab.write(VOLUME, b'later' * 3)
    target = LdName('LX', 'T' * 21)
    lab.snapshots.volume_from_snapshot(VOLUME, SNAPSHOT, 2, target, 2,
                                       [POOL])
    assert lab.read(target, len(DATA)) == DATA
    lab.snapshots.delete_snapshot(VOLUME, SNAPSHOT)
    assert SNAPSHOT.label not in lab.lds()


def test_a_size_that_is_not_whole_cannot_be_copied_before_an_extend(lab):
    """The array binds whole GiB only, and pairs what is of one size."""
    add(lab, size='1536 MiB')
    lab.write(THEIRS, DATA)
    management(lab).manage_volume(by_name(THEIRS), VOLUME)
    before = lab.state()
    with pytest.raises(errors.StateError, match='1610612736 bytes.*extend'):
        lab.snapshots.clone(VOLUME, 2, SNAPSHOT, 2, [POOL])
    assert lab.state() == before
    lab.snapshots.extend_volume(VOLUME, 3)
    lab.snapshots.clone(VOLUME, 3, SNAPSHOT, 3, [POOL])
    assert lab.read(SNAPSHOT, len(DATA)) == DATA


def mapped(lab: Lab) -> LdName:
    lab.access.attach(add(lab), host())
    return THEIRS


def unnamed(lab: Lab) -> LdName:
    run(lab, 'iSMcfg ldbind -poolnumber 0 -ldn 700 -capacity 1 -immediate')
    ld = lab.engine.array.store.lds[700]
    return LdName('', ld.name)


def paired_source(lab: Lab) -> LdName:
    add(lab)
    add_replica(lab)
    return THEIRS


def paired_target(lab: Lab) -> LdName:
    add(lab, LdName('LX', 'master'))
    add(lab)
    run(lab, 'iSMrc_pair -pair -mv master -mvflg ld -rv data01 -rvflg ld')
    return THEIRS


def snapshot_of_theirs(lab: Lab) -> LdName:
    add(lab)
    return add_snapshot(lab)


VOLUME_REFUSALS = {
    'absent': (lambda lab: THEIRS, errors.NotFound, 'does not exist'),
    'mapped': (mapped, errors.InUse, 'in LD Set LX:'),
    'MV': (paired_source, errors.InUse, r'paired \(MV\)'),
    'RV': (paired_target, errors.InUse, r'paired \(RV\)'),
    'another pool': (lambda lab: add(lab, pool=2), errors.WrongPool,
                     'in pool 2.*nec_pools'),
    'SV': (snapshot_of_theirs, errors.InUse, 'it is a snapshot'),
    'no name': (unnamed, errors.InUse, 'no OS type and name'),
    'system volume': (lambda lab: add(lab, kind='syv'), errors.InUse,
                      'system volume'),
    'replication reserve': (lambda lab: add(lab, kind='rsv'), errors.InUse,
                            'system volume'),
    'snapshot data': (lambda lab: add(lab, kind='sdv'), errors.InUse,
                      'other use'),
    'control volume': (lambda lab: add(lab, kind='cv'), errors.InUse,
                       'system volume'),
    **{f'own {suffix}': (
        lambda lab, suffix=suffix: add(
            lab, LdName('LX', VOLUME.label + suffix)),
        errors.InUse, 'for its own ends') for suffix in naming.SUFFIXES},
}


@pytest.mark.parametrize('case', VOLUME_REFUSALS)
def test_what_must_not_become_a_volume(lab, case):
    prepare, error, text = VOLUME_REFUSALS[case]
    name = prepare(lab)
    lab.inventory.refresh()
    before, manage = lab.state(), management(lab)
    reference = Reference(name.label)
    with pytest.raises(error, match=text):
        manage.get_volume(reference)
    with pytest.raises(error, match=text):
        manage.manage_volume(reference, VOLUME)
    assert lab.state() == before
    listed = {c.name.label: c for c in manage.volumes({})}
    found = listed.get(name.label)
    assert found is None or found.in_the_way


def test_what_happens_between_the_checks_counts(lab):
    add(lab)
    manage = management(lab)
    manage.get_volume(by_name(THEIRS))
    make_lab(lab.engine, ldn_start=3000).access.attach(THEIRS, host())
    with pytest.raises(errors.InUse, match='LD Set'):
        manage.manage_volume(by_name(THEIRS), VOLUME)
    assert THEIRS.label in lab.lds()


def test_a_rename_that_fails_is_an_error(lab):
    add(lab)
    before = lab.state()
    lab.fault(Action.REFUSE, prefix='iSMcfg nickname')
    with pytest.raises(errors.CommandFailed):
        management(lab).manage_volume(by_name(THEIRS), VOLUME)
    assert lab.state() == before


def test_a_name_that_is_taken_is_an_error(lab):
    add(lab)
    add(lab, VOLUME)
    before = lab.state()
    with pytest.raises(errors.CommandFailed):
        management(lab).manage_volume(by_name(THEIRS), VOLUME)
    assert lab.state() == before


def test_what_cannot_be_finished_gets_its_name_back(lab):
    add(lab)
    before = lab.state()

    def fail():
        raise errors.InvalidInput('limits')

    with pytest.raises(errors.InvalidInput, match='limits'):
        management(lab).manage_volume(by_name(THEIRS), VOLUME, fail)
    assert lab.state() == before


def test_without_pools_every_pool_is_ours(lab):
    add(lab, pool=2)
    manage = management(lab, pools=())
    assert THEIRS in [c.name for c in manage.volumes({})]
    manage.manage_volume(by_name(THEIRS), VOLUME)
    assert VOLUME.label in lab.lds()


# -- lists ------------------------------------------------------------------

def test_the_list_of_volumes_takes_one_dump_and_says_why_not(lab):
    add(lab)
    add(lab, LdName('LX', 'data02'), pool=2)
    lab.volumes.create(VOLUME, 1, [POOL])
    add_snapshot(lab, add(lab, LdName('LX', 'data03')))
    mark = lab.mark()
    found = {str(c.name): c for c in management(lab).volumes({VOLUME: ID})}
    assert lab.sent(mark) == ['dump']
    assert set(found) == {'LX:data01', str(VOLUME), 'LX:data03',
                          'WN:exchange01', 'LX:oracle_data'}
    assert found['LX:data01'].in_the_way == ''
    assert found['LX:data03'].in_the_way == ''
    assert found[str(VOLUME)].cinder_id == ID
    assert found[str(VOLUME)].in_the_way == 'already managed'
    assert 'LX:Oracle' in found['LX:oracle_data'].in_the_way
    assert found['WN:exchange01'].size_gib == 100


def test_the_list_of_snapshots_takes_one_dump(lab):
    add(lab)
    for number in range(3):
        add_snapshot(lab, THEIRS, LdName('LX', f'night{number}'))
    mark = lab.mark()
    found = management(lab).snapshots({})
    assert lab.sent(mark) == ['dump']
    assert sorted(c.name.label for c in found) == ['night0', 'night1',
                                                   'night2']
    assert not any(c.in_the_way for c in found)


def test_origins_take_a_read_for_each_volume_or_snapshot(lab):
    """Whichever are fewer."""
    many, few = add(lab), add(lab, LdName('LX', 'data02'))
    names = [add_snapshot(lab, many, LdName('LX', f'night{number}'))
             for number in range(4)]
    other = add_snapshot(lab, few, LdName('LX', 'once'))
    manage = management(lab)
    manage.snapshots({})
    mark = lab.mark()
    found = manage.origins([*names, other])
    assert {n.label: o.label for n, o in found.items()} == {
        **{n.label: 'data01' for n in names}, 'once': 'data02'}
    assert lab.sent(mark) == ['sc_query'] * 2
    mark = lab.mark()
    assert manage.origins([names[2]])[names[2]].label == 'data01'
    assert lab.sent(mark) == ['sc_query']
    assert manage.origins([]) == {}


def test_origins_of_what_is_gone_are_left_out(lab):
    add(lab)
    add_snapshot(lab)
    manage = management(lab)
    manage.snapshots({})
    assert manage.origins([LdName('LX', 'gone'), THEIR_SNAPSHOT]).keys() == {
        THEIR_SNAPSHOT}


def test_origins_say_what_is_in_the_way(lab):
    add(lab)
    lost = add_snapshot(lab)
    lab.operate('snap_state', sv=lost.label, state='---')
    manage = management(lab)
    manage.snapshots({})
    assert manage.origins([lost])[lost].in_the_way == 'it has no data'


# -- snapshots --------------------------------------------------------------

def linked(lab: Lab) -> LdName:
    name = snapshot_of_theirs(lab)
    run(lab, f'iSMcfg lvbind -bvname {THEIRS} -lvn 800 -lvname theirlink')
    run(lab, 'iSMsc_link -lv theirlink -lvflg ld '
        f'-sv {name.label} -svflg ld -lvacc ro')
    return name


def without_data(lab: Lab) -> LdName:
    name = snapshot_of_theirs(lab)
    lab.operate('snap_state', sv=name.label, state='---')
    return name


def broken(lab: Lab) -> LdName:
    name = snapshot_of_theirs(lab)
    lab.operate('snap_state', sv=name.label, state='snap/fault')
    return name


def of_another(lab: Lab) -> LdName:
    add(lab)
    add_snapshot(lab)
    return add_snapshot(lab, add(lab, LdName('LX', 'data02')),
                        LdName('LX', 'of_data02'))


SNAPSHOT_REFUSALS = {
    'absent': (lambda lab: THEIR_SNAPSHOT, errors.NotFound,
               'does not exist'),
    'no snapshot': (add, errors.InvalidInput, 'is not a snapshot'),
    'of another volume': (of_another, errors.InvalidInput,
                          "source is unmatched.*of 'data02'"),
    'linked': (linked, errors.InUse, 'linked'),
    'without data': (without_data, errors.InUse, 'no data'),
    'broken': (broken, errors.InUse, 'snap/fault'),
}


@pytest.mark.parametrize('case', SNAPSHOT_REFUSALS)
def test_what_must_not_become_a_snapshot(lab, case):
    prepare, error, text = SNAPSHOT_REFUSALS[case]
    name = prepare(lab)
    before, manage = lab.state(), management(lab)
    with pytest.raises(error, match=text):
        manage.get_snapshot(Reference(name.label), THEIRS)
    with pytest.raises(error, match=text):
        manage.manage_snapshot(Reference(name.label), THEIRS, SNAPSHOT)
    assert lab.state() == before


def test_a_snapshot_of_another_pool(lab):
    name = snapshot_of_theirs(lab)
    with pytest.raises(errors.WrongPool, match='nec_backup_pools'):
        management(lab, backup_pools=(3,)).get_snapshot(
            Reference(name.label), THEIRS)


def test_a_snapshot_that_is_being_copied(lab):
    name = snapshot_of_theirs(lab)
    add(lab, LdName('LX', 'target'))
    run(lab, f'iSMrc_pair -pair -mv {name.label} -mvflg ld '
        '-rv target -rvflg ld')
    with pytest.raises(errors.InUse, match=r'paired \(MV\)'):
        management(lab).get_snapshot(Reference(name.label), THEIRS)


def test_the_size_of_a_snapshot_is_that_of_its_volume(lab):
    add(lab, size='1536 MiB')
    add_snapshot(lab)
    ld = management(lab).get_snapshot(by_name(THEIR_SNAPSHOT), THEIRS)
    assert (ld.capacity_bytes, ld.capacity_gib) == (3 * GIB // 2, 2)


# -- data replication -------------------------------------------------------

def test_a_replica_is_a_snapshot(lab):
    add(lab)
    lab.write(THEIRS, DATA)
    add_replica(lab)
    manage = management(lab, replicas=True)
    assert [c.name for c in manage.snapshots({})] == [THEIR_SNAPSHOT]
    assert manage.origins([THEIR_SNAPSHOT])[THEIR_SNAPSHOT].label == 'data01'
    manage.manage_volume(by_name(THEIRS), VOLUME)
    manage.manage_snapshot(by_name(THEIR_SNAPSHOT), VOLUME, SNAPSHOT)
    assert lab.read(SNAPSHOT, len(DATA)) == DATA
    pair = next(iter(lab.engine.array.store.pairs.values()))
    assert (pair.mv, pair.rv) == (lab.lds()[VOLUME.label].ldn,
                                  lab.lds()[SNAPSHOT.label].ldn)


def test_a_replica_of_a_deleted_snapshot_is_none(lab):
    add(lab)
    kept = add_replica(lab, THEIRS, LdName('LX', SNAPSHOT.label + '_d'))
    manage = management(lab, replicas=True)
    assert manage.snapshots({}) == []
    with pytest.raises(errors.InvalidInput, match='not a snapshot'):
        manage.get_snapshot(Reference(kept.label), THEIRS)


def test_a_replica_that_hosts_see(lab):
    add(lab)
    lab.access.attach(add_replica(lab), host())
    with pytest.raises(errors.InUse, match='LD Set'):
        management(lab, replicas=True).get_snapshot(
            by_name(THEIR_SNAPSHOT), THEIRS)


@pytest.mark.parametrize('state', ['fault', 'cancel'])
def test_a_replica_whose_copy_was_broken_off(lab, state):
    add(lab)
    add_replica(lab)
    lab.operate('pair_state', rv=THEIR_SNAPSHOT.label, state=state)
    with pytest.raises(errors.InUse, match=state):
        management(lab, replicas=True).get_snapshot(
            by_name(THEIR_SNAPSHOT), THEIRS)


def test_a_volume_with_a_replica_elsewhere(lab):
    add(lab)
    add_replica(lab)
    lab.operate('remote_pair_add', mv=THEIRS.label, rv='faraway')
    with pytest.raises(errors.InUse, match='faraway'):
        management(lab, replicas=True).get_volume(by_name(THEIRS))


def test_a_volume_of_the_other_method(lab):
    add(lab)
    add_snapshot(lab)
    with pytest.raises(errors.InUse, match='snapshot method'):
        management(lab, replicas=True).get_volume(by_name(THEIRS))
