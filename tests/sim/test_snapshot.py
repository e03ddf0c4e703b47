# SPDX-License-Identifier: Apache-2.0
"""Snapshots: generations, states, link volumes, bytes."""

import pytest

from ismsim.copying import lose_snapshot
from ismsim.entities import SnapState
from ismsim.messages import Id

GIB = 1 << 30
BOTH = '-bv bv -bvflg ld -sv sv -svflg ld'
CREATE = f'iSMsc_create {BOTH}'
DELETE = f'iSMsc_delete {BOTH}'
RESTORE = f'iSMsc_restore {BOTH} -derivsv keep -nowait'
GENERATIONADD = ('iSMcfg generationadd -bvname LX:bv -poolnumber 1 '
                 '-count 1 -svname sv2')
GENERATIONDEL = 'iSMcfg generationdel -bvname LX:bv -count 1'
LVBIND = 'iSMcfg lvbind -bvname LX:bv -lvn 50 -lvname lv'
LVUNBIND = 'iSMcfg lvunbind -ldname LX:lv'
LINK = 'iSMsc_link -lv lv -lvflg ld -sv sv -svflg ld -lvacc ro'
UNLINK = 'iSMsc_unlink -lv lv -lvflg ld'
PAIR_SV = 'iSMrc_pair -pair -mv sv -mvflg ld -rv rv -rvflg ld'
EXPAND = 'iSMcfg ldexpand -ldn 0 -capacity 2 -unit gb'
OK = None

COMMANDS = [CREATE, DELETE, RESTORE, GENERATIONADD, GENERATIONDEL, LINK,
            UNLINK, PAIR_SV, EXPAND]
S, F, B, G = (Id.SNAP_STATE, Id.NO_FREE_GENERATION, Id.BV_STATE,
              Id.LD_GENERATIONS)
L, N, Q = Id.SV_LINKED, Id.LV_NOT_LINKED, Id.SV_PAIRED
TABLE = {
    'no data': [OK, S, S, OK, Id.LINK_LEFT, S, N, S, G],
    'active': [OK, OK, OK, OK, F, OK, N, OK, G],
    'deleting': [S, S, S, OK, F, S, N, S, G],
    'restoring': [S, S, S, OK, F, S, N, S, G],
    'fault': [S, S, S, OK, Id.LINK_LEFT, S, N, S, G],
    'linked': [L, L, L, OK, F, Id.LV_LINKED, OK, OK, G],
    'paired': [Q, Q, Q, OK, F, OK, N, Id.PAIRED_ALREADY, G],
}
CASES = [(state, command, expected)
         for state, row in TABLE.items()
         for command, expected in zip(COMMANDS, row, strict=True)]


@pytest.fixture
def snap(bench):
    """A BV with one generation and an LV, an RV beside it."""
    bench.bind('bv', 0)
    bench.bind('rv', 9)
    bench.timing.copy_rate = GIB / 10
    bench.timing.sc_delete = 5
    bench.generation('bv', 'sv')
    bench.ok(LVBIND)
    return bench


def bring_to(bench, state):
    if state == 'no data':
        return
    bench.ok(CREATE)
    if state == 'deleting':
        bench.ok(DELETE)
    elif state == 'restoring':
        bench.write('bv', b'x' * 1000)
        bench.ok(RESTORE)
    elif state == 'fault':
        generation = bench.array.store.generations[bench.ld('sv').ldn]
        lose_snapshot(bench.array, generation, SnapState.FAULT)
    elif state == 'linked':
        bench.ok(LINK)
    elif state == 'paired':
        bench.ok(PAIR_SV)


@pytest.mark.parametrize('state, command, expected', CASES)
def test_transitions(snap, state, command, expected):
    bring_to(snap, state)
    if expected is OK:
        snap.ok(command)
    else:
        snap.refused(command, expected)


# -- generations -------------------------------------------------------------

def test_a_generation_is_an_ld(bench):
    bench.bind('bv', 0, size=3)
    before = bench.array.free(bench.array.store.pools[1])
    bench.generation('bv', 'sv')
    sv = bench.ld('sv')
    # The lowest free number, the BV's OS type and size, the snapshot pool.
    assert (sv.ldn, sv.platform, sv.pool, sv.capacity) == (
        1, 'LX', 1, 3 * GIB)
    assert bench.array.rpl_attribute(sv) == 'SV'
    assert bench.array.rpl_attribute(bench.ld('bv')) == 'BV'
    assert bench.array.free(bench.array.store.pools[1]) == before
    assert bench.snap_state('sv') == '---'
    bench.ok(GENERATIONDEL)
    assert bench.array.rpl_attribute(bench.ld('bv')) == 'IV'


@pytest.mark.parametrize('bv, pool, sv, ident', [
    ('none', 1, 'sv', Id.NO_LD), ('bv', 7, 'sv', Id.NO_POOL),
    ('bv', 0, 'sv', Id.NO_SRA), ('bv', 1, 'bv', Id.NAME_USED),
    ('bv', 1, 'LX:sv', Id.BAD_NAME), ('bv', 1, 's' * 25, Id.BAD_NAME),
    ('rv', 1, 'sv', Id.PAIR_ATTRIBUTE)])
def test_generationadd_refuses(bench, bv, pool, sv, ident):
    bench.bind('bv', 0)
    bench.bind('rv', 1)
    bench.pair('bv', 'rv')
    bench.refused(f'iSMcfg generationadd -bvname LX:{bv} -poolnumber '
                  f'{pool} -count 1 -svname {sv}', ident)


def test_generations_of_what_is_no_base(snap):
    for name in ('sv', 'lv'):
        snap.refused(f'iSMcfg generationadd -bvname LX:{name} -poolnumber '
                     '1 -count 1 -svname other', Id.LD_KIND)


def test_256_generations(bench):
    bench.bind('bv', 0)
    for number in range(256):
        bench.generation('bv', f'sv{number}')
    bench.refused('iSMcfg generationadd -bvname LX:bv -poolnumber 1 '
                  '-count 1 -svname sv256', Id.GENERATION_LIMIT)


def test_generationdel_takes_only_what_has_no_data(bench):
    bench.bind('bv', 0)
    for name in 'abc':
        bench.snapshot('bv', name)
    bench.refused(GENERATIONDEL, Id.NO_FREE_GENERATION)
    bench.ok('iSMsc_delete -bv bv -bvflg ld -sv b -svflg ld')
    bench.ok(GENERATIONDEL)
    assert bench.ld('b') is None
    assert bench.ld('a') and bench.ld('c')
    bench.refused(GENERATIONDEL, Id.NO_FREE_GENERATION)


@pytest.mark.parametrize('rule, gone', [('oldest', 'a'), ('newest', 'b')])
def test_which_one_generationdel_takes(make_bench, rule, gone):
    bench = make_bench(rules={'generationdel': rule})
    bench.bind('bv', 0)
    bench.generation('bv', 'a')
    bench.generation('bv', 'b')
    bench.ok(GENERATIONDEL)
    assert bench.ld(gone) is None


def test_deleting_takes_its_time(snap):
    snap.ok(CREATE)
    snap.ok(DELETE)
    assert snap.snap_state('sv') == 'snap/deleting'
    snap.refused('iSMcfg generationdel -bvname LX:bv -count 1',
                 Id.NO_FREE_GENERATION)
    snap.clock.advance(5)
    assert snap.snap_state('sv') == '---'
    snap.ok(LVUNBIND)
    snap.ok(GENERATIONDEL)


def test_the_sra_has_an_end(make_bench):
    bench = make_bench(rules={'sra_per_snapshot': '400 GiB'})
    bench.bind('bv', 0)
    bench.snapshot('bv', 'a')
    bench.snapshot('bv', 'b')
    bench.generation('bv', 'c')
    create = 'iSMsc_create -bv bv -bvflg ld -sv c -svflg ld'
    bench.refused(create, Id.SRA_FULL)
    bench.ok('iSMcfg sraexpand -poolnumber 1 -capacity 2000')
    bench.ok(create)


def test_the_wrong_bv(snap):
    snap.bind('other', 20)
    wrong = '-bv other -bvflg ld -sv sv -svflg ld'
    snap.refused(f'iSMsc_create {wrong}', Id.NO_SV)
    snap.refused(f'iSMsc_query {wrong} -summary', Id.NO_SV)
    snap.refused('iSMsc_create -bv bv -bvflg ld -sv none -svflg ld',
                 Id.NO_LD)
    snap.refused('iSMsc_create -bv bv -bvflg ld -sv other -svflg ld',
                 Id.LD_KIND)


def test_restore_is_not_for_a_mapped_bv(snap):
    snap.ok(CREATE)
    snap.ldset()
    snap.map('bv')
    snap.refused(RESTORE, Id.LD_MAPPED)


def test_no_restore_while_the_bv_is_copied(snap):
    snap.ok(CREATE)
    snap.pair('bv', 'rv')
    snap.ok(RESTORE)
    snap.replicate('bv', 'rv')
    snap.refused(RESTORE, Id.BV_STATE)


def test_licence(make_bench):
    bench = make_bench('bare')
    bench.bind('bv', 0)
    bench.refused(GENERATIONADD, Id.NO_LICENCE)
    bench.ok('iSMcfg licenserelease -key Snapshot')
    bench.refused(GENERATIONADD, Id.NO_SRA)
    bench.ok('iSMcfg srabind -poolnumber 1 -capacity 100')
    bench.ok(GENERATIONADD)


# -- bytes -------------------------------------------------------------------

def test_create_freezes(snap):
    snap.write('bv', b'first')
    snap.ok(CREATE)
    snap.write('bv', b'later')
    assert snap.read('sv', 5) == b'first'
    # Taken anew, the SV has the BV's content of now.
    snap.ok(CREATE)
    assert snap.read('sv', 5) == b'later'


def test_restore_shows_the_old_content_at_once(snap):
    snap.write('bv', b'first')
    snap.ok(CREATE)
    snap.write('bv', b'later')
    snap.write('bv', b'more', GIB - 4)
    snap.ok(RESTORE)
    assert snap.snap_state('sv') == 'rst/exec'
    assert snap.read('bv', 5) == b'first'
    assert snap.read('bv', 4, GIB - 4) == bytes(4)
    snap.clock.advance(10)
    assert snap.snap_state('sv') == 'snap/active'
    assert snap.read('sv', 5) == b'first'


def test_restore_keeps_the_other_generations(bench):
    bench.bind('bv', 0)
    for name in 'abc':
        bench.write('bv', name.encode())
        bench.snapshot('bv', name)
    bench.ok('iSMsc_restore -bv bv -bvflg ld -sv b -svflg ld '
             '-derivsv keep -nowait')
    assert bench.read('bv', 1) == b'b'
    assert [bench.read(name, 1) for name in 'abc'] == [b'a', b'b', b'c']


def test_a_link_volume_shows_the_sv(snap):
    snap.write('bv', b'frozen')
    snap.ok(CREATE)
    snap.write('bv', b'thawed')
    snap.ok(LINK)
    assert snap.read('lv', 6) == b'frozen'
    snap.ok(UNLINK)
    assert snap.read('lv', 6) == bytes(6)
    assert snap.read('sv', 6) == b'frozen'


def test_lost_data_is_gone_behind_the_link_too(snap):
    snap.write('bv', b'frozen')
    snap.ok(CREATE)
    snap.ok(LINK)
    generation = snap.array.store.generations[snap.ld('sv').ldn]
    lose_snapshot(snap.array, generation, SnapState.NONE)
    assert snap.read('lv', 6) == snap.read('sv', 6) == bytes(6)


def test_a_copy_of_lost_data_faults(snap):
    snap.ok(CREATE)
    snap.ok(PAIR_SV)
    snap.replicate('sv', 'rv')
    generation = snap.array.store.generations[snap.ld('sv').ldn]
    lose_snapshot(snap.array, generation, SnapState.NONE)
    assert snap.sync_state('rv') == 'fault'


# -- link volumes ------------------------------------------------------------

@pytest.mark.parametrize('command, ident', [
    ('iSMcfg lvbind -bvname LX:none -lvn 60 -lvname lv2', Id.NO_LD),
    ('iSMcfg lvbind -bvname LX:bv -lvn 0 -lvname lv2', Id.LDN_USED),
    ('iSMcfg lvbind -bvname LX:bv -lvn 60 -lvname lv', Id.NAME_USED),
    ('iSMcfg lvbind -bvname LX:rv -lvn 60 -lvname lv2', Id.BV_STATE),
    ('iSMcfg lvunbind -ldname LX:bv', Id.LD_KIND),
    ('iSMcfg ldunbind -ldname LX:lv', Id.LD_KIND),
    ('iSMsc_unlink -lv bv -lvflg ld', Id.LD_KIND),
])
def test_link_volume_refusals(snap, command, ident):
    snap.refused(command, ident)


def test_lvunbind_needs_an_idle_lv(snap):
    snap.ok(CREATE)
    snap.ok(LINK)
    snap.ldset()
    snap.map('lv', lun=1)
    snap.refused(LVUNBIND, Id.LD_MAPPED)
    snap.ok('iSMcfg delldsetld -ldset LX:host1 -ldname LX:lv')
    snap.refused(LVUNBIND, Id.LV_LINKED)
    snap.ok(UNLINK)
    snap.ok(LVUNBIND)
    assert snap.ld('lv') is None


def test_an_lv_links_svs_of_its_own_bv(snap):
    snap.bind('other', 20)
    snap.snapshot('other', 'other_sv')
    snap.refused('iSMsc_link -lv lv -lvflg ld -sv other_sv -svflg ld',
                 Id.NO_SV)


def test_one_lv_per_sv(snap):
    snap.ok(CREATE)
    snap.ok(LINK)
    snap.ok('iSMcfg lvbind -bvname LX:bv -lvn 51 -lvname lv2')
    snap.refused('iSMsc_link -lv lv2 -lvflg ld -sv sv -svflg ld',
                 Id.SV_LINKED)


# -- what is shown -----------------------------------------------------------

def test_summary(snap):
    snap.ok(CREATE)
    text = snap.ok('iSMsc_query -sv sv -svflg ld -summary')
    lines = text.splitlines()
    name, = (line for line in lines if line.startswith('LD Name'))
    # The in-tree driver reads 24 characters from the 15th on.
    assert name[15:39].strip() == 'bv'
    row, = (line for line in lines if ':sv ' in line)
    assert row.strip().startswith('LX:sv ')
    assert '( -1) snap/active [2023/11/14 ' in row
    assert text == snap.ok(f'iSMsc_query {BOTH} -summary')


def test_generations_are_numbered_from_the_newest(bench):
    bench.bind('bv', 0)
    for name in 'abc':
        bench.snapshot('bv', name)
    # Taken anew, the oldest becomes the newest.
    bench.ok('iSMsc_create -bv bv -bvflg ld -sv a -svflg ld')
    text = bench.ok('iSMsc_query -bv bv -bvflg ld')
    numbers = {line.split()[0]: int(line.partition('(')[2].partition(')')[0])
               for line in text.splitlines() if '(' in line}
    assert numbers == {'LX:a': -1, 'LX:c': -2, 'LX:b': -3}


def test_detail(snap):
    snap.ok(CREATE)
    snap.ok(LINK)
    text = snap.ok('iSMsc_query -bv bv -bvflg ld -detail')
    assert 'Generation(Attribute)   : -1(normal)' in text
    assert 'LV Link Status          : link' in text
    assert 'LV Access    : ro' in text


def test_linkinfo(snap):
    command = 'iSMsc_linkinfo -vol {} -volflg ld -lcl'
    snap.ok(CREATE)
    assert 'unlink' in snap.ok(command.format('lv'))
    snap.ok(LINK)
    assert 'link (lv)' in snap.ok(command.format('sv'))
    assert 'link (sv)' in snap.ok(command.format('lv'))
    snap.refused(command.format('bv'), Id.LD_KIND)


def test_create_answers_what_was_captured(snap):
    text = snap.ok(CREATE)
    assert text.startswith('iSMsc_create:Info: iSM19010:')
    assert 'Generation   : -1' in text
    assert 'Status       : snap/active [' in text
    assert 'iSM20020' in snap.ok(LINK)
    assert 'iSM20030' in snap.ok(UNLINK)
