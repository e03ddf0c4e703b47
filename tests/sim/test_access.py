# SPDX-License-Identifier: Apache-2.0
"""LD Sets: hosts, portals, LUNs."""

import pytest

from ismsim.entities import Mapping
from ismsim.messages import Id

IQN = 'iqn.1994-05.com.redhat:{}'
WWPN = '1000-0090-FAA0-{:04X}'


def add(ld, ldset='host1', rest=''):
    return f'iSMcfg addldsetld -ldset LX:{ldset} -ldname LX:{ld}{rest}'


def delete(ld, ldset='host1'):
    return f'iSMcfg delldsetld -ldset LX:{ldset} -ldname LX:{ld}'


def initiator(name, ldset='host1'):
    return (f'iSMcfg addldsetinitiator -ldset LX:{ldset} '
            f'-initiatorname {name}')


def path(wwpn, ldset='host1'):
    return f'iSMcfg addldsetpath -ldset LX:{ldset} -path {wwpn}'


def get(bench, name='host1'):
    return bench.array.store.ldsets[f'LX:{name}']


@pytest.mark.parametrize('name, ident', [
    ('LX:' + 'x' * 17, Id.BAD_NAME), ('LX:a.b', Id.BAD_NAME),
    ('LX:a:b', Id.BAD_NAME), ('QQ:a', Id.BAD_NAME), ('a', Id.BAD_NAME),
    ('LX:host1', Id.LDSET_USED)])
@pytest.mark.parametrize('kind', ['fc', 'iscsi'])
def test_names_of_ld_sets(bench, name, ident, kind):
    bench.ldset()
    bench.refused(f'iSMcfg addldset -ldset {name} -type {kind}', ident)


def test_the_names_that_the_in_tree_driver_makes(bench):
    bench.ldset('open-iscsiabcdef')
    bench.ldset('10000090faa0786a', 'fc')


def test_target_mode(bench, make_bench, tmp_path):
    bench.ldset('plain')
    bench.ldset('off', options=' -multitarget off')
    bench.ldset('on', options=' -multitarget on')
    modes = [get(bench, name).mode.value for name in ('plain', 'off', 'on')]
    assert modes == ['Normal', 'Normal', 'Multi-Target']
    assert get(bench, 'on').target_count == 16
    other = make_bench('multitarget', tmp_path / 'other')
    other.ldset('plain')
    assert get(other, 'plain').mode.value == 'Multi-Target'


def test_every_portal_is_permitted_at_first(bench):
    bench.ldset()
    assert get(bench).portals == (
        '127.0.0.11', '127.0.0.12', '127.0.0.13', '127.0.0.14')


def test_portals(bench):
    bench.ldset()
    portal = 'ldsetportal -ldset LX:host1 -ipaddress '
    bench.ok(f'iSMcfg del{portal}127.0.0.12')
    assert '127.0.0.12' not in get(bench).portals
    bench.refused(f'iSMcfg del{portal}127.0.0.12', Id.PORTAL_ABSENT)
    bench.ok(f'iSMcfg add{portal}127.0.0.12')
    bench.refused(f'iSMcfg add{portal}127.0.0.12', Id.PORTAL_USED)
    bench.refused(f'iSMcfg add{portal}127.0.0.99', Id.NO_PORT)
    bench.refused(f'iSMcfg add{portal}0.0.0.0', Id.NO_PORT)
    for number in (1, 2, 3, 4):
        bench.ok(f'iSMcfg del{portal}127.0.0.1{number}')
    assert get(bench).portals == ()


def test_portals_per_ld_set(make_bench):
    bench = make_bench(limits={'portals_per_ldset': 3})
    bench.ldset()
    assert len(get(bench).portals) == 3
    bench.refused('iSMcfg addldsetportal -ldset LX:host1 '
                  '-ipaddress 127.0.0.14', Id.PORTAL_LIMIT)


def test_initiators(bench):
    bench.ldset()
    bench.ldset('host2')
    for number in range(16):
        bench.ok(initiator(IQN.format(number)))
    bench.refused(initiator(IQN.format(16)), Id.INITIATOR_LIMIT)
    bench.refused(initiator(IQN.format(3)), Id.INITIATOR_USED)
    bench.refused(initiator(IQN.format(3), 'host2'), Id.INITIATOR_USED)
    bench.refused(initiator('nonsense', 'host2'), Id.BAD_VALUE)
    bench.refused(initiator('iqn.' + 'a' * 220, 'host2'), Id.BAD_VALUE)
    bench.refused(initiator(IQN.format(20), 'none'), Id.NO_LDSET)
    assert len(get(bench).initiators) == 16


def test_paths(bench):
    bench.ldset(kind='fc')
    bench.ldset('host2', 'fc')
    for number in range(64):
        bench.ok(path(WWPN.format(number)))
    bench.refused(path(WWPN.format(64)), Id.PATH_LIMIT)
    bench.refused(path(WWPN.format(3), 'host2'), Id.PATH_USED)
    bench.refused(path('10000090FAA0786B', 'host2'), Id.BAD_VALUE)
    bench.refused(path('1000-0090-faa0-786b', 'host2'), Id.BAD_VALUE)


def test_a_set_has_one_protocol(bench):
    bench.ldset()
    bench.ldset('fc1', 'fc')
    bench.refused(path(WWPN.format(1)), Id.LDSET_PROTOCOL)
    bench.refused(initiator(IQN.format(1), 'fc1'), Id.LDSET_PROTOCOL)
    bench.refused('iSMcfg addldsetportal -ldset LX:fc1 '
                  '-ipaddress 127.0.0.11', Id.LDSET_PROTOCOL)


def test_full_access(bench):
    add_initiator = 'iSMcfg addinitiator -initiatorname '
    bench.refused(add_initiator + IQN.format(1), Id.FULL_ACCESS)
    bench.refused('iSMcfg addldset -ldset LX:full -type iscsi -fullaccess',
                  Id.FULL_ACCESS)
    bench.ldset('full', options=' -multitarget on -fullaccess')
    bench.refused(initiator(IQN.format(1), 'full'), Id.FULL_ACCESS)
    for number in range(40):
        bench.ok(add_initiator + IQN.format(number))
    bench.refused(add_initiator + IQN.format(1), Id.INITIATOR_USED)
    bench.refused(add_initiator + 'nonsense', Id.BAD_VALUE)
    bench.ok('iSMcfg delinitiator -initiatorname ' + IQN.format(1))
    bench.refused('iSMcfg delinitiator -initiatorname ' + IQN.format(1),
                  Id.NO_INITIATOR)
    assert len(bench.array.settings.initiators) == 39


# -- LUNs --------------------------------------------------------------------

@pytest.mark.parametrize('kind', ['fc', 'iscsi'])
def test_luns(bench, kind):
    for ldn, name in enumerate('abcd'):
        bench.bind(name, ldn)
    bench.ldset(kind=kind)
    bench.map('a')
    bench.map('b', lun=2)
    bench.map('c')
    assert get(bench).maps == {0: Mapping(0, 0), 2: Mapping(1, 2),
                               1: Mapping(2, 1)}
    bench.refused(add('d', rest=' -lun 2'), Id.LUN_USED)
    bench.refused(add('d', rest=' -lun 1024'), Id.LUN_RANGE)
    bench.ok(delete('a'))
    bench.map('d')
    assert get(bench).maps[0] == Mapping(3, 0)


def test_multi_target(bench):
    for ldn, name in enumerate('abc'):
        bench.bind(name, ldn)
    bench.ldset(options=' -multitarget on')
    bench.refused(add('a', rest=' -lun 0'), Id.LUN_MULTI)
    bench.map('a')
    bench.map('b')
    assert get(bench).maps == {0: Mapping(0, 0), 1: Mapping(1, 0)}
    assert get(bench).target(0) != get(bench).target(1)
    bench.ok(delete('a'))
    bench.map('c')
    assert get(bench).maps[0] == Mapping(2, 0)


def test_more_targets_are_made_as_needed(bench):
    bench.ldset(options=' -multitarget on')
    for ldn in range(17):
        bench.bind(f'ld{ldn}', ldn)
        bench.map(f'ld{ldn}')
    assert get(bench).target_count == 17


def test_a_repeated_attach(bench):
    bench.bind('a', 0)
    bench.ldset()
    bench.map('a')
    reply = bench.refused(add('a'), Id.IN_LDSET)
    # Manual appendix F, to the letter.
    assert reply.stderr == (b'iSM31091:[ addldsetld ]Specified LD is '
                            b'assigned to LD Set.\n')
    assert reply.stdout == b'ExitStatus:1\n'
    assert reply.status == 1


def test_a_repeated_detach(bench):
    bench.bind('a', 0)
    bench.ldset()
    reply = bench.refused(delete('a'), Id.NOT_IN_LDSET)
    assert b'iSM31065' in reply.stderr
    bench.refused(delete('none'), Id.NO_LD)
    bench.refused(delete('a', 'none'), Id.NO_LDSET)


def test_an_ld_may_be_in_several_sets(bench):
    bench.bind('a', 0)
    for name in ('host1', 'host2'):
        bench.ldset(name)
        bench.map('a', name)
    assert bench.array.store.ldsets_of(0) == ['LX:host1', 'LX:host2']
    bench.ok(delete('a'))
    assert bench.array.store.ldsets_of(0) == ['LX:host2']


def test_what_cannot_be_mapped(bench):
    bench.bind('a', 0)
    bench.generation('a', 'sv')
    bench.ldset()
    bench.refused(add('none'), Id.NO_LD)
    bench.refused(add('a', 'none'), Id.NO_LDSET)
    bench.refused(add('sv'), Id.LD_KIND)


def test_lds_per_set(make_bench):
    bench = make_bench(limits={'lds_per_ldset': 2})
    bench.ldset()
    for ldn, name in enumerate('abc'):
        bench.bind(name, ldn)
    bench.map('a')
    bench.map('b')
    bench.refused(add('c'), Id.LDSET_FULL)


def test_fc_needs_access_control(make_bench):
    bench = make_bench('bare')
    bench.bind('a', 0)
    bench.ldset('fc1', 'fc')
    bench.refused(add('a', 'fc1'), Id.ACCESS_OFF)
    bench.ok('iSMcfg startacc')
    bench.map('a', 'fc1')


# -- link volumes and LUN 0 --------------------------------------------------

def linked(bench):
    bench.bind('bv', 0)
    bench.snapshot('bv', 'sv')
    bench.ok('iSMcfg lvbind -bvname LX:bv -lvn 50 -lvname lv')
    bench.ok('iSMsc_link -lv lv -lvflg ld -sv sv -svflg ld -lvacc ro')


def test_lun_0_is_not_for_an_lv(bench):
    linked(bench)
    bench.ldset()
    bench.refused(add('lv', rest=' -lun 0'), Id.LUN_ZERO_LV)
    bench.map('lv')
    assert get(bench).maps == {1: Mapping(50, 1)}


def test_an_lv_in_multi_target_mode(bench):
    linked(bench)
    bench.ldset(options=' -multitarget on')
    bench.map('bv')
    bench.map('lv')
    assert get(bench).maps == {0: Mapping(0, 0), 1: Mapping(50, 1)}


def test_an_lv_that_shows_nothing_is_not_mapped(bench):
    linked(bench)
    bench.ldset()
    bench.ok('iSMsc_unlink -lv lv -lvflg ld')
    bench.refused(add('lv'), Id.LV_NOT_LINKED)
