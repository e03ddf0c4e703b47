# SPDX-License-Identifier: Apache-2.0
"""LDs: bind, name, expand, unbind."""

import pytest

from ismsim.entities import LdKind
from ismsim.messages import Id

GIB = 1 << 30


def bind(ldn, pool=0, size=1, rest=' -immediate'):
    return (f'iSMcfg ldbind -poolnumber {pool} -ldn {ldn} '
            f'-capacity {size}{rest}')


def test_a_new_ld_has_no_os_type_and_the_factory_name(bench):
    bench.ok(bind(10))
    ld = bench.array.store.lds[10]
    assert (ld.platform, ld.name) == ('', '2000000991000316000A')
    assert (ld.pool, ld.capacity, ld.kind) == (0, GIB, LdKind.ORDINARY)


def test_capacity_is_in_gb_with_and_without_unit(bench):
    bench.ok(bind(0, size=3))
    bench.ok(bind(1, size=3, rest=' -unit gb -immediate'))
    assert bench.array.store.lds[0].capacity == 3 * GIB
    assert bench.array.store.lds[1].capacity == 3 * GIB


def test_an_ldn_is_used_once(bench):
    bench.ok(bind(0))
    reply = bench.refused(bind(0), Id.LDN_USED)
    # The in-tree driver looks for this id in stderr only.
    assert b'iSM31077' in reply.stderr
    assert b'iSM31077' not in reply.stdout


@pytest.mark.parametrize('command, ident', [
    (bind(0, pool=7), Id.NO_POOL),
    (bind(4096), Id.LDN_RANGE),
    (bind(0, size=0), Id.BAD_VALUE),
    (bind(0, size=10241), Id.POOL_FULL),
])
def test_ldbind_refuses(bench, command, ident):
    bench.refused(command, ident)


def test_a_pool_fills_up_to_the_last_byte(bench):
    free = bench.array.free(bench.array.store.pools[2]) // GIB
    bench.ok(bind(0, pool=2, size=free))
    bench.refused(bind(1, pool=2), Id.POOL_FULL)
    bench.ok('iSMcfg nickname -ldn 0 -newname LX:all -immediate')
    bench.ok('iSMcfg ldunbind -ldname LX:all')
    bench.ok(bind(1, pool=2, size=free))


def test_limits_of_the_model(make_bench):
    small = make_bench(limits={'lds': 5})
    # The RSV and the SDV are above the range, but they count.
    for ldn in range(3):
        small.ok(bind(ldn))
    small.refused(bind(3), Id.LD_LIMIT)


def test_lds_per_pool(make_bench):
    bench = make_bench(limits={'lds_per_pool': 2})
    bench.ok(bind(0, pool=2))
    bench.ok(bind(1, pool=2))
    bench.refused(bind(2, pool=2), Id.POOL_LDS)


def test_names(bench):
    bench.ok(bind(0))
    bench.ok('iSMcfg nickname -ldn 0 -newname LX:a -immediate')
    assert bench.ld('a').full_name == 'LX:a'
    bench.ok('iSMcfg nickname -ldname LX:a -newname LX:b')
    assert bench.ld('a') is None
    bench.ok('iSMcfg nickname -ldname LX:b -newname WN:b')
    assert bench.ld('b').full_name == 'WN:b'


@pytest.mark.parametrize('name, ident', [
    ('LX:' + 'x' * 25, Id.BAD_NAME), ('LX:', Id.BAD_NAME),
    ('XX:name', Id.BAD_NAME), ('name', Id.BAD_NAME),
    ('LX:na-me', Id.BAD_NAME), ('LX:na.me', Id.BAD_NAME),
    ('LX:taken', Id.NAME_USED), ('WN:taken', Id.NAME_USED),
])
def test_nickname_refuses(bench, name, ident):
    bench.bind('taken', 1)
    bench.ok(bind(0))
    bench.refused(f'iSMcfg nickname -ldn 0 -newname {name} -immediate',
                  ident)


def test_the_longest_name(bench):
    bench.bind('x' * 24, 0)
    bench.bind('__ControlVolume_1h', 1)


def test_nickname_needs_an_ld(bench):
    bench.refused('iSMcfg nickname -ldn 3 -newname LX:a -immediate',
                  Id.NO_LD)
    bench.refused('iSMcfg nickname -ldname LX:a -newname LX:b', Id.NO_LD)


def test_the_same_name_again_is_refused(bench):
    bench.bind('a', 0)
    bench.refused('iSMcfg nickname -ldname LX:a -newname LX:a',
                  Id.NAME_USED)


def test_an_ld_without_os_type_has_no_address(bench):
    bench.ok(bind(0))
    name = bench.array.store.lds[0].name
    for full in (name, f':{name}', f'LX:{name}'):
        bench.refused(f'iSMcfg ldunbind -ldname {full}', Id.NO_LD)


def test_a_name_needs_its_own_os_type(bench):
    bench.bind('a', 0)
    bench.refused('iSMcfg ldunbind -ldname WN:a', Id.NO_LD)


def test_a_control_volume(bench):
    bench.ok('iSMcfg ldbind -poolnumber 0 -ldattr cv -ldn 7')
    before = bench.array.free(bench.array.store.pools[0])
    ld = bench.array.store.lds[7]
    assert ld.kind is LdKind.CV
    assert bench.array.rpl_attribute(ld) == '---'
    bench.refused('iSMcfg ldexpand -ldn 7 -capacity 5 -unit gb',
                  Id.LD_KIND)
    bench.ok('iSMcfg nickname -ldn 7 -newname LX:cv -immediate')
    bench.ok('iSMcfg ldunbind -ldname LX:cv')
    assert bench.array.free(bench.array.store.pools[0]) == before


def test_expand(bench):
    bench.bind('a', 0, size=1)
    bench.write('a', b'x', GIB - 1)
    bench.ok('iSMcfg ldexpand -ldn 0 -capacity 2 -unit gb')
    assert bench.ld('a').capacity == 2 * GIB
    assert bench.read('a', 2, GIB - 1) == b'x\0'
    assert bench.array.backing.path(0).stat().st_size == 2 * GIB


@pytest.mark.parametrize('ldn, size, ident', [
    (0, 1, Id.NOT_LARGER), (0, 2, Id.NOT_LARGER), (1, 5, Id.NO_LD),
    (0, 10240, Id.POOL_FULL), (4093, 20, Id.LD_KIND),
    (4094, 2000, Id.LD_KIND),
])
def test_expand_refuses(bench, ldn, size, ident):
    bench.bind('a', 0, size=2)
    bench.refused(f'iSMcfg ldexpand -ldn {ldn} -capacity {size} -unit gb',
                  ident)


def test_expand_of_a_mapped_ld(bench):
    bench.bind('a', 0)
    bench.ldset()
    bench.map('a')
    bench.ok('iSMcfg ldexpand -ldn 0 -capacity 2 -unit gb')


@pytest.mark.parametrize('model, allowed', [
    ('M110', True), ('M310F', True), ('M710', True), ('M100', False),
    ('M700', False), ('D1-10', False)])
def test_expand_of_a_pair_by_model(make_bench, model, allowed):
    bench = make_bench(array={'product_id': model})
    bench.bind('mv', 0)
    bench.bind('rv', 1)
    bench.pair('mv', 'rv')
    command = 'iSMcfg ldexpand -ldn 0 -capacity 2 -unit gb'
    if allowed:
        bench.ok(command)
    else:
        bench.refused(command, Id.MODEL)


def test_unbind_frees_number_name_and_room(bench):
    before = bench.array.free(bench.array.store.pools[0])
    bench.bind('a', 0)
    assert bench.array.free(bench.array.store.pools[0]) == before - GIB
    bench.ok('iSMcfg ldunbind -ldname LX:a')
    assert bench.array.free(bench.array.store.pools[0]) == before
    bench.bind('a', 0)


def test_unbind_refuses_what_is_in_use(bench):
    bench.bind('mapped', 0)
    bench.bind('mv', 1)
    bench.bind('rv', 2)
    bench.bind('bv', 3)
    bench.bind('far', 4)
    bench.ldset()
    bench.map('mapped')
    bench.pair('mv', 'rv')
    bench.generation('bv', 'sv')
    bench.engine.execute('iSMview -d')
    unbind = 'iSMcfg ldunbind -ldname LX:'
    bench.refused(unbind + 'mapped', Id.LD_MAPPED)
    bench.refused(unbind + 'mv', Id.LD_PAIRED)
    bench.refused(unbind + 'rv', Id.LD_PAIRED)
    bench.refused(unbind + 'bv', Id.LD_GENERATIONS)
    bench.refused(unbind + 'sv', Id.LD_KIND)
    bench.refused(unbind + 'none', Id.NO_LD)


def test_a_reused_number_reads_zeros(bench):
    bench.bind('a', 0)
    bench.write('a', b'secret')
    bench.ok('iSMcfg ldunbind -ldname LX:a')
    assert not bench.array.backing.path(0).exists()
    bench.bind('b', 0)
    assert bench.read('b', 6) == bytes(6)


def test_owner(bench):
    bench.bind('a', 0)
    bench.ok('iSMcfg ldchgattr -ldname LX:a -owner 1')
    assert bench.ld('a').owner == 1


def test_lds_of_a_thin_pool_are_promised_not_given(make_bench):
    bench = make_bench('default')
    pool = bench.array.store.pools[3]
    bench.ok(bind(20, pool=3, size=4096))
    assert bench.array.used(pool) == 0
    assert bench.array.free(pool) == 4096 * GIB
    bench.ok('iSMcfg nickname -ldn 20 -newname LX:thin -immediate')
    bench.write('thin', b'x' * 8192)
    assert bench.array.used(pool) >= 8192
    # Promised is promised, however little is used.
    bench.refused(bind(21, pool=3, size=4097), Id.POOL_FULL)
