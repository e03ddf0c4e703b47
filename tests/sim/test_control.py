# SPDX-License-Identifier: Apache-2.0
"""The control socket: what tests, tools and operators ask for."""

import json
from pathlib import Path
import socket

import pytest

from ismsim.control import ControlClient, ControlError
from ismsim.process import SimProcess

GIB = 1 << 30
BIND = 'iSMcfg ldbind -poolnumber {} -ldn {} -capacity 1 -immediate'


@pytest.fixture(scope='module')
def shared():
    with SimProcess(copy_rate='1GiB', extra=('--manual-clock',)) as sim:
        yield sim


@pytest.fixture
def control(shared):
    """The control client of an array that nothing has happened to."""
    for ld in shared.control.state()['lds']:
        assert not ld['name'].startswith('t_'), 'a test left something'
    return shared.control


@pytest.fixture
def ld(control):
    """Makes LDs, and removes them with all that hangs on them."""
    names = []

    def make(name, ldn, size=1):
        for command in (
                f'iSMcfg ldbind -poolnumber 0 -ldn {ldn} -capacity {size} '
                '-immediate',
                f'iSMcfg nickname -ldn {ldn} -newname LX:{name} '
                '-immediate'):
            assert control.execute(command)['status'] == 0
        names.append(name)
    yield make
    for name in names:
        assert control.call('ld_remove', ld=name) is None


def ok(control, command):
    answer = control.execute(command)
    assert answer['status'] == 0, answer
    return answer['stdout']


def test_time_is_manual(control):
    before = control.info()['now']
    assert control.advance(10) == before + 10
    with pytest.raises(ControlError, match='backwards'):
        control.advance(-1)


def test_wrong_requests(control, shared):
    with pytest.raises(ControlError, match='no request frob'):
        control.call('frob')
    with pytest.raises(ControlError, match='no LD none'):
        control.read('none', 1)
    with pytest.raises(ControlError, match='KeyError'):
        control.call('ld_read')
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(shared.control_path))
        raw.sendall(b'nonsense\n')
        assert json.loads(raw.makefile().readline())['ok'] is False


def test_the_socket_is_private(shared):
    assert Path(shared.control_path).stat().st_mode & 0o077 == 0


def test_several_clients(control, shared):
    with ControlClient(shared.control_path) as other:
        assert other.info()['pid'] == shared.pid
        assert control.info()['pid'] == shared.pid


def test_lds(control, ld):
    ld('t_a', 20, size=2)
    found = control.ld('LX:t_a')
    assert found == control.ld('t_a') == control.ld(20)
    assert (found['capacity'], found['kind'], found['ldsets']) == (
        2 * GIB, 'ordinary', [])
    assert control.ld('none') is None
    control.write('t_a', b'bytes', 5)
    assert control.read('t_a', 6, 4) == b'\0bytes'
    with control.path('t_a').open('rb') as file:
        assert file.read(10)[5:] == b'bytes'


def test_state(control):
    state = control.state()
    assert set(state) == {'array', 'limits', 'lds', 'pools', 'ports',
                          'ldsets', 'pairs', 'remote_pairs', 'sras'}
    names = {ldset['name'] for ldset in state['ldsets']}
    assert names == {'WN:Exchange', 'LX:PortMode', 'LX:Oracle'}
    oracle = control.ldset('LX:Oracle')
    assert oracle['luns'][0]['ld'] == 'oracle_data'
    assert oracle['luns'][0]['target'].startswith('iqn.')
    assert control.ldset('LX:none') is None


def test_writes_that_no_host_could_make(control, ld):
    ld('t_mv', 21)
    ld('t_rv', 22)
    both = '-mv t_mv -mvflg ld -rv t_rv -rvflg ld'
    replicate = f'iSMrc_replicate {both} -nowait -cprange full -cpmode bg'
    separate = f'iSMrc_separate {both} -rvuse immediate -nowait -rvacc '
    ok(control, f'iSMrc_pair -pair {both}')
    control.write('t_rv', b'x')
    ok(control, replicate)
    with pytest.raises(ControlError, match='not writable'):
        control.write('t_rv', b'x')
    ok(control, separate + 'ro')
    with pytest.raises(ControlError, match='not writable'):
        control.write('t_rv', b'x')
    control.advance(10)
    ok(control, replicate)
    ok(control, separate + 'rw')
    control.write('t_rv', b'x')
    control.write('t_mv', b'x')
    control.advance(10)
    ok(control, f'iSMrc_pair -unpair {both}')


def test_pairs(control, ld):
    ld('t_mv', 21)
    ld('t_rv', 22)
    both = '-mv t_mv -mvflg ld -rv t_rv -rvflg ld'
    ok(control, f'iSMrc_pair -pair {both}')
    ok(control, f'iSMrc_replicate {both} -nowait -cprange full -cpmode bg')
    pair, = control.state()['pairs']
    assert (pair['mv'], pair['rv'], pair['state']) == (
        't_mv', 't_rv', 'rpl/exec')
    control.call('pair_state', rv='t_rv', state='fault')
    assert control.state()['pairs'][0]['state'] == 'fault'
    with pytest.raises(ControlError, match='state must be'):
        control.call('pair_state', rv='t_rv', state='rpl/sync')
    control.call('pair_state', rv='t_rv', state='separated')
    ok(control, f'iSMrc_pair -unpair {both}')
    with pytest.raises(ControlError, match='is no RV'):
        control.call('pair_state', rv='t_rv', state='fault')


def test_remote_pairs(control, ld):
    ld('t_mv', 21)
    control.call('remote_pair_add', mv='t_mv', rv='far_away')
    text = ok(control, 'iSMrc_query -mv t_mv -mvflg ld')
    assert 'far_away' in text
    refused = control.execute('iSMcfg ldunbind -ldname LX:t_mv')
    assert refused['status'] == 1
    control.call('remote_pair_remove', mv='t_mv', rv='far_away')


def test_snapshots(control, ld):
    ld('t_bv', 23)
    both = '-bv t_bv -bvflg ld -sv t_sv -svflg ld'
    add = ('iSMcfg generationadd -bvname LX:t_bv -poolnumber 1 -count 1 '
           '-svname t_sv')
    ok(control, add)
    ok(control, f'iSMsc_create {both}')
    control.call('snap_state', sv='t_sv', state='snap/fault')
    assert control.ld('t_sv')['snap_state'] == 'snap/fault'
    control.call('snap_state', sv='t_sv', state='---')
    ok(control, f'iSMsc_create {both}')
    control.call('sra_exhausted', pool=1, keep=True)
    assert control.ld('t_sv')['snap_state'] == 'snap/active'
    assert control.execute(f'iSMsc_create {both}')['status'] == 1
    control.call('sra_exhausted', pool=1)
    assert control.ld('t_sv')['snap_state'] == '---'
    control.call('sra_exhausted', pool=1, on=False)
    ok(control, f'iSMsc_create {both}')
    ok(control, 'iSMcfg lvbind -bvname LX:t_bv -lvn 40 -lvname t_lv')
    with pytest.raises(ControlError, match='shows no snapshot'):
        control.path('t_lv')
    ok(control, 'iSMsc_link -lv t_lv -lvflg ld -sv t_sv -svflg ld '
       '-lvacc ro')
    with pytest.raises(ControlError, match='not writable'):
        control.write('t_lv', b'x')
    assert control.ld('t_lv')['sv'] == 't_sv'
    assert control.path('t_lv').exists()
    ok(control, 'iSMsc_unlink -lv t_lv -lvflg ld')
    ok(control, 'iSMcfg lvunbind -ldname LX:t_lv')
    ok(control, f'iSMsc_delete {both}')
    ok(control, 'iSMcfg generationdel -bvname LX:t_bv -count 1')


def test_a_full_pool(control):
    for pool in (0, 3):
        before = next(one for one in control.state()['pools']
                      if one['number'] == pool)['free']
        control.call('pool_free', pool=pool, free='0')
        answer = control.execute(BIND.format(pool, 30))
        assert answer['message_id'] == 'iSM31906'
        control.call('pool_free', pool=pool, free=before)


def test_cables_and_addresses(control):
    dump = 'iSMquery -cinder -xml -all'
    assert 'Link Up' in ok(control, dump)
    control.call('port_link', port='00-00', up=False)
    control.call('port_address', port='00-02', ip='10.9.8.7')
    port = ok(control, dump).partition('>00-00<')[2].partition('</SEC')[0]
    assert 'Link Down' in port
    assert '10.9.8.7' in ok(control, dump)
    control.call('port_link', port='00-00', up=True)
    control.call('port_address', port='00-02', ip='127.0.0.11')


def test_units_that_are_missing(control):
    dump = 'iSMquery -cinder -xml -all'
    control.call('omit_units', names=['Purpose'])
    assert 'Purpose' not in ok(control, dump)
    control.call('omit_units', names=[])
    assert 'Purpose' in ok(control, dump)


def test_an_operator_makes_ld_sets_and_lds(control):
    control.call('ld_add', ldn=31, name='WN:t_x', pool=0, capacity='5 GiB')
    control.call('ldset_add', ldset={
        'name': 'LX:Made', 'type': 'iscsi', 'multitarget': True,
        'initiators': ['iqn.1994-05.com.x:made'], 'lds': [{'ld': 't_x'}]})
    made = control.ldset('LX:Made')
    assert made['mode'] == 'Multi-Target'
    assert made['luns'][0]['ldn'] == 31
    with pytest.raises(ControlError, match='in use'):
        control.call('ld_remove', ld='t_x')
    with pytest.raises(ControlError, match='is used'):
        control.call('ld_add', ldn=31, name='LX:t_y', pool=0,
                     capacity='5 GiB')
    control.call('ldset_remove', ldset='LX:Made')
    with pytest.raises(ControlError, match='no LD Set'):
        control.call('ldset_remove', ldset='LX:Made')
    control.call('ld_remove', ld='t_x')


def test_licences_rules_and_limits(control):
    licences = control.state()['array']['licences']
    control.call('licences', names=[])
    answer = control.execute('iSMioc setdfllimit -upperlimit 10')
    assert answer['message_id'] == 'iSM99902'
    control.call('licences', names=licences)
    control.call('limits', set={'lds': 3})
    assert control.state()['limits']['lds'] == 3
    with pytest.raises(ControlError, match='not one of'):
        control.call('limits', set={'frob': 3})
    control.call('limits', set={'lds': 4096})
    control.call('rules', set={'default_multitarget': True})
    ok(control, 'iSMcfg addldset -ldset LX:byrule -type iscsi')
    assert control.ldset('LX:byrule')['mode'] == 'Multi-Target'
    control.call('ldset_remove', ldset='LX:byrule')
    control.call('rules', set={'default_multitarget': False})


def test_timing(control):
    before = control.set_timing()
    assert before['copy_rate'] == GIB
    after = control.set_timing(dump=1.5, copy_rate='2GiB')
    assert (after['dump'], after['copy_rate']) == (1.5, 2 * GIB)
    with pytest.raises(ControlError, match='not one of'):
        control.set_timing(frob=1)
    assert control.set_timing(dump=0, copy_rate='inf')['copy_rate'] is None
    control.set_timing(copy_rate='1GiB')


def test_operators_are_not_in_the_journal(control):
    mark = control.mark()
    control.add_fault('refuse', times=None)
    ok(control, 'iSMview -d')
    control.clear_faults()
    assert control.journal(mark) == []


def test_faults_by_the_client(control):
    ident = control.add_fault('busy', prefix='iSMcfg', times=None)
    fault, = control.faults()
    assert (fault['id'], fault['action'], fault['hits']) == (
        ident, 'busy', 0)
    with pytest.raises(ControlError, match='known: '):
        control.add_fault('busy', frob=1)
    assert control.clear_faults(ident + 1) == 0
    assert control.clear_faults(ident) == 1
    assert control.faults() == []
