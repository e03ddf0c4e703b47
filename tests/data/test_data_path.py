# SPDX-License-Identifier: Apache-2.0
"""The array's data path: what hosts find at it after each command."""

from __future__ import annotations

import os
from pathlib import Path
import socket
import subprocess
import sys

import pytest

from allinone import wait_for
from ismsim.process import SIM, SimProcess
from tests.data import needs
from tests.data.conftest import DATA_PATH
from tests.data.initiator import Initiator

GIB = 1 << 30
ONE = 'iqn.1994-05.com.redhat:one'
OTHER = 'iqn.1994-05.com.redhat:other'


def run(sim: SimProcess, *commands: str) -> None:
    """Run iSMCLI commands that have to succeed."""
    for command in commands:
        answer = sim.control.execute(command)
        assert not answer['status'], (command, answer)


def make_ld(sim: SimProcess, name: str, ldn: int, gib: int = 1) -> None:
    run(sim, f'iSMcfg ldbind -poolnumber 0 -ldn {ldn} -capacity {gib} '
        '-immediate',
        f'iSMcfg nickname -ldn {ldn} -newname LX:{name} -immediate')


def make_set(sim: SimProcess, name: str, initiator: str,
             multi: bool = True) -> None:
    mode = ' -multitarget on' if multi else ''
    run(sim, f'iSMcfg addldset -ldset LX:{name} -type iscsi{mode}',
        f'iSMcfg addldsetinitiator -ldset LX:{name} '
        f'-initiatorname {initiator}')


def show(sim: SimProcess, ldset: str, ld: str, lun: str = '') -> str:
    """Map an LD; returns its target."""
    run(sim, f'iSMcfg addldsetld -ldset LX:{ldset} -ldname LX:{ld}{lun}')
    found = sim.control.ldset(f'LX:{ldset}')
    [entry] = [one for one in found['luns'] if one['ld'] == ld]
    return str(entry['target'])


def hide(sim: SimProcess, ldset: str, ld: str) -> None:
    run(sim, f'iSMcfg delldsetld -ldset LX:{ldset} -ldname LX:{ld}')


def no_trouble(sim: SimProcess) -> None:
    assert sim.control.info()['data_path']['errors'] == []


def test_bytes_reach_the_ld_and_come_back(sim: SimProcess):
    make_ld(sim, 'v', 100)
    make_set(sim, 'h1', ONE)
    target = show(sim, 'h1', 'v')
    host = Initiator(ONE, sim)
    host.io(target, 0, 'write -P 0x5a 1M 64k')
    assert sim.control.read('v', 65536, 1 << 20) == b'\x5a' * 65536
    sim.control.write('v', b'array', 4096)
    sector = host.io(target, 0, 'read -v 4096 512')
    assert 'array' in sector
    no_trouble(sim)


@pytest.mark.parametrize('multi', [True, False], ids=['multi', 'normal'])
def test_only_the_initiators_of_the_ld_set(sim: SimProcess, multi: bool):
    make_ld(sim, 'v', 100)
    make_set(sim, 'h1', ONE, multi)
    make_set(sim, 'h2', OTHER, multi)
    target = show(sim, 'h1', 'v')
    assert Initiator(ONE, sim).can_log_in(target)
    assert not Initiator(OTHER, sim).can_log_in(target)
    assert target not in Initiator(OTHER, sim).targets()
    run(sim, 'iSMcfg addldsetinitiator -ldset LX:h1 '
        '-initiatorname iqn.1994-05.com.redhat:third')
    assert Initiator('iqn.1994-05.com.redhat:third',
                     sim).can_log_in(target)
    assert Initiator(ONE, sim).can_log_in(target)


def test_a_set_without_initiators_lets_nobody_in(sim: SimProcess):
    make_ld(sim, 'v', 100)
    run(sim, 'iSMcfg addldset -ldset LX:h1 -type iscsi -multitarget on')
    target = show(sim, 'h1', 'v')
    assert not Initiator(ONE, sim).can_log_in(target)


def test_normal_mode_has_one_target_and_many_luns(sim: SimProcess):
    for index, name in enumerate(('a', 'b')):
        make_ld(sim, name, 100 + index, index + 1)
    make_set(sim, 'h1', ONE, multi=False)
    target = show(sim, 'h1', 'a', ' -lun 3')
    assert show(sim, 'h1', 'b', ' -lun 7') == target
    host = Initiator(ONE, sim)
    assert host.targets() == [target]
    assert [host.size(target, lun) for lun in (3, 7, 0)] == [
        GIB, 2 * GIB, None]


def test_multi_target_mode_has_a_target_for_each_ld(sim: SimProcess):
    for index, name in enumerate(('a', 'b')):
        make_ld(sim, name, 100 + index, index + 1)
    make_set(sim, 'h1', ONE)
    targets = [show(sim, 'h1', name) for name in ('a', 'b')]
    host = Initiator(ONE, sim)
    assert sorted(host.targets()) == sorted(targets)
    assert [host.size(target, 0) for target in targets] == [GIB, 2 * GIB]


@pytest.mark.parametrize('multi', [True, False], ids=['multi', 'normal'])
def test_unmap_takes_the_disk_from_a_running_session(
        sim: SimProcess, multi: bool):
    make_ld(sim, 'v', 100)
    for name, initiator in (('h1', ONE), ('h2', OTHER)):
        make_set(sim, name, initiator, multi)
    targets = [show(sim, name, 'v') for name in ('h1', 'h2')]
    with subprocess.Popen(
            ['qemu-io', '--image-opts',
             'driver=raw,file.driver=iscsi,file.transport=tcp,'
             f'file.portal={Initiator(ONE, sim).portal},'
             f'file.target={targets[0]},file.lun=1,'
             f'file.initiator-name={ONE}'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True) as session:
        wait_for('a session', lambda: [targets[0], ONE] in
                 sim.control.info()['data_path']['sessions'], 20)
        hide(sim, 'h1', 'v')
        output, _ = session.communicate('read 0 4k\nquit\n', timeout=30)
    assert 'failed' in output
    assert Initiator(ONE, sim).size(targets[0], 0) is None
    assert Initiator(OTHER, sim).size(targets[1], 0) == GIB
    no_trouble(sim)


def test_a_used_slot_shows_the_next_ld(sim: SimProcess):
    for index, name in enumerate(('a', 'b')):
        make_ld(sim, name, 100 + index, index + 1)
    make_set(sim, 'h1', ONE)
    target = show(sim, 'h1', 'a')
    hide(sim, 'h1', 'a')
    assert show(sim, 'h1', 'b') == target
    host = Initiator(ONE, sim)
    assert host.size(target, 0) == 2 * GIB
    assert (host.serial(target, 0) or '').endswith('0065')


def test_growth_while_it_is_mapped(sim: SimProcess):
    make_ld(sim, 'v', 100)
    make_set(sim, 'h1', ONE)
    target = show(sim, 'h1', 'v')
    host = Initiator(ONE, sim)
    host.io(target, 0, 'write -P 0x11 0 64k')
    run(sim, 'iSMcfg ldexpand -ldn 100 -capacity 3 -unit gb')
    assert host.size(target, 0) == 3 * GIB
    host.io(target, 0, 'read -P 0x11 0 64k', f'read -P 0 {GIB} 64k',
            f'write -P 0x22 {3 * GIB - 4096} 4k')
    assert sim.control.read('v', 4096, 3 * GIB - 4096) == b'\x22' * 4096
    no_trouble(sim)


def test_a_new_ld_never_shows_the_old_bytes_of_its_number(sim: SimProcess):
    make_set(sim, 'h1', ONE)
    host = Initiator(ONE, sim)
    for _ in range(2):
        make_ld(sim, 'v', 100)
        target = show(sim, 'h1', 'v')
        host.io(target, 0, 'read -P 0 0 1M')
        host.io(target, 0, 'write -P 0xee 0 1M')
        hide(sim, 'h1', 'v')
        run(sim, 'iSMcfg ldunbind -ldname LX:v')
    no_trouble(sim)


def test_a_link_volume_shows_the_snapshot(sim: SimProcess):
    make_ld(sim, 'v', 100)
    make_set(sim, 'h1', ONE)
    target = show(sim, 'h1', 'v')
    host = Initiator(ONE, sim)
    host.io(target, 0, 'write -P 0x01 0 64k')
    run(sim, 'iSMcfg generationadd -bvname LX:v -poolnumber 1 -count 1 '
        '-svname s', 'iSMsc_create -bv v -bvflg ld -sv s -svflg ld')
    host.io(target, 0, 'write -P 0x02 0 64k')
    run(sim, 'iSMcfg lvbind -bvname LX:v -lvn 200 -lvname l',
        'iSMsc_link -lv l -lvflg ld -sv s -svflg ld -lvacc ro')
    shown = show(sim, 'h1', 'l')
    host.io(shown, 1, 'read -P 0x01 0 64k', read_only=True)
    with pytest.raises(OSError):
        host.io(shown, 1, 'write -P 0x03 0 64k')
    hide(sim, 'h1', 'l')
    run(sim, 'iSMsc_unlink -lv l -lvflg ld')
    assert host.size(shown, 1) is None
    no_trouble(sim)


def test_portals_are_those_of_the_dump(sim: SimProcess):
    make_set(sim, 'h1', ONE)
    port = sim.control.info()['data_path']['port']
    dump = sim.control.execute('iSMquery -cinder -xml -all')['stdout']
    text = sim.control.execute('iSMview -ac LX:h1')['stdout']
    for number in (11, 12, 13, 14):
        portal = f'127.0.0.{number}:{port}'
        assert f'>{portal}</UNIT>' in dump
        assert portal in text
        socket.create_connection((f'127.0.0.{number}', port), 5).close()


def test_a_port_without_a_link_does_not_answer(sim: SimProcess):
    port = sim.control.info()['data_path']['port']
    sim.control.call('port_link', port='00-02', up=False)
    with pytest.raises(OSError):
        socket.create_connection(('127.0.0.11', port), 5)
    socket.create_connection(('127.0.0.12', port), 5).close()
    sim.control.call('port_link', port='00-02', up=True)
    socket.create_connection(('127.0.0.11', port), 5).close()


def test_full_access_follows_the_array_wide_initiators(sim: SimProcess):
    make_ld(sim, 'v', 100)
    run(sim, 'iSMcfg addldset -ldset LX:all -type iscsi -multitarget on '
        '-fullaccess')
    target = show(sim, 'all', 'v')
    host = Initiator(ONE, sim)
    assert not host.can_log_in(target)
    run(sim, f'iSMcfg addinitiator -initiatorname {ONE}')
    assert host.can_log_in(target)
    run(sim, f'iSMcfg delinitiator -initiatorname {ONE}')
    assert not host.can_log_in(target)


def test_chap(tmp_path: Path):
    needs.target()
    with SimProcess(extra=(*DATA_PATH, '--chap', 'host:secret12345678'),
                    directory=tmp_path / 'sim') as sim:
        make_ld(sim, 'v', 100)
        make_set(sim, 'h1', ONE)
        target = show(sim, 'h1', 'v')
        assert not Initiator(ONE, sim).can_log_in(target)
        assert not Initiator(ONE, sim,
                             chap='host:wrong1234567').can_log_in(target)
        assert Initiator(ONE, sim,
                         chap='host:secret12345678').can_log_in(target)


def test_two_arrays_and_a_restart(sim: SimProcess, tmp_path: Path):
    with SimProcess(extra=DATA_PATH, directory=tmp_path / 'sim') as other:
        make_ld(other, 'v', 100)
        make_set(other, 'h1', ONE)
        target = show(other, 'h1', 'v')
        Initiator(ONE, other).io(target, 0, 'write -P 0x77 0 4k')
        assert Initiator(ONE, sim).targets() == []
        first = other.control.info()['data_path']['pid']
        other.kill()
        wait_for('tgtd gone', lambda: not Path(f'/proc/{first}').exists(),
                 10)
        other.start()
        Initiator(ONE, other).io(target, 0, 'read -P 0x77 0 4k')
        second = other.control.info()['data_path']['pid']
    assert not Path(f'/proc/{second}').exists()


def test_without_tgt_it_says_so_and_works(tmp_path: Path):
    """In a PATH of its own, so that tgt is missing everywhere."""
    env = {**os.environ, 'PYTHONPATH': str(SIM.parent)}
    code = ('import sys; from ismsim.datapath import tgt; '
            'tgt.find_program = lambda name: None; '
            'from ismsim.main import main; sys.exit(main(sys.argv[1:]))')
    words = [sys.executable, '-c', code, '--password', 'x']
    with subprocess.Popen([*words, '--data-path', 'auto'], env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as running:
        assert running.stdout and running.stderr
        assert running.stdout.readline().startswith('listening on')
        assert 'no data path: tgtd' in running.stderr.readline()
        running.terminate()
    done = subprocess.run([*words, '--data-path', 'on'], env=env,
                          capture_output=True, text=True)
    assert done.returncode == 2
    assert 'package tgt' in done.stderr
