# SPDX-License-Identifier: Apache-2.0
"""tools/sim, its options, its control socket, and the helper classes."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile

import pytest

from ismsim.process import SIM, SimProcess

GIB = 1 << 30
BIND = 'iSMcfg ldbind -poolnumber {} -ldn {} -capacity 1 -immediate'


def ok(control, command):
    answer = control.execute(command)
    assert answer['status'] == 0, answer
    return answer['stdout']


# -- the program -------------------------------------------------------------

def run(*arguments, **values):
    return subprocess.run([str(SIM), *arguments], capture_output=True,
                          text=True, timeout=30, **values)


def test_one_line_on_stdout_and_a_clean_end():
    with subprocess.Popen(
            [str(SIM), '--password', 'x'], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        assert line.startswith('listening on 127.0.0.1:')
        port = int(line.rpartition(':')[2])
        with socket.create_connection(('127.0.0.1', port)) as client:
            assert client.recv(4) == b'SSH-'
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=30)
        assert (rest, errors, process.returncode) == ('', '', 0)


def test_a_temporary_state_is_removed(tmp_path):
    environment = {**os.environ, 'TMPDIR': str(tmp_path)}
    with subprocess.Popen([str(SIM), '--password', 'x'],
                          stdout=subprocess.PIPE, text=True,
                          env=environment) as process:
        process.stdout.readline()
        assert list(tmp_path.iterdir())
        process.terminate()
        process.wait(30)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('arguments, complaint', [
    ((), 'nobody could log in'),
    (('--password', 'x', '--config', 'nothing'), 'no configuration nothing'),
    (('--password', 'x', '--latency', 'frob=1'), 'frob is not one of'),
    (('--password', 'x', '--latency', 'dump'), 'is not KIND=SECONDS'),
    (('--password', 'x', '--latency', 'dump=-1'), 'negative'),
    (('--password', 'x', '--copy-rate', 'fast'), 'is not a size'),
    (('--password', 'x', '--host-key', '/none'), '/none')])
def test_wrong_options_get_one_line(arguments, complaint):
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stdout == ''
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize('text, complaint', [
    ('frob: 1', 'unknown frob'), ('- a', 'not a mapping'),
    ('rules: {frob: 1}', 'unknown frob'),
    ('limits: {frob: 1}', 'frob is not one of'),
    ('pools: [{number: 0, capacity: big}]', 'is not a size')])
def test_wrong_configurations_get_one_line(tmp_path, text, complaint):
    path = tmp_path / 'config.yaml'
    path.write_text(text)
    result = run('--password', 'x', '--config', str(path))
    assert result.returncode == 2
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_port_that_is_taken():
    with socket.create_server(('127.0.0.1', 0)) as taken:
        result = run('--password', 'x', '--port',
                     str(taken.getsockname()[1]))
    assert result.returncode == 2
    assert 'in use' in result.stderr


def test_help():
    result = run('--help')
    assert result.returncode == 0
    for option in ('--latency', '--copy-rate', '--state', '--control'):
        assert option in result.stdout


def test_a_python_without_the_libraries():
    """The script finds the environment of the checkout by itself."""
    program = ('import sys; sys.modules["paramiko"] = None; '
               'sys.argv = ["sim", "--help"]; '
               'import os; os.execv = lambda *a: sys.exit("again " + a[0]);'
               'sys.prefix = "/elsewhere"; import runpy; '
               f'runpy.run_path({str(SIM)!r}, run_name="__main__")')
    result = subprocess.run([sys.executable, '-c', program],
                            capture_output=True, text=True, timeout=30)
    message = result.stderr.strip()
    if (SIM.parents[1] / '.venv' / 'bin' / 'python').exists():
        assert message.startswith('again ')
        assert message.endswith('.venv/bin/python')
    else:
        assert 'tools/test' in message


@pytest.mark.parametrize('name', sorted(
    path.stem for path in (SIM.parent / 'ismsim/configs').glob('*.yaml')))
def test_every_shipped_configuration_starts(name):
    with SimProcess(config=name) as sim:
        answer = sim.control.execute('iSMquery -cinder -xml -all')
        assert answer['status'] == 0


def test_the_model_decides_the_limits():
    with SimProcess(config='empty', model='M110') as sim:
        state = sim.control.state()
        assert state['array']['product_id'] == 'M110'
        assert state['limits']['lds'] == 1024


# -- restarts ----------------------------------------------------------------

def test_the_state_survives_kill_and_restart(tmp_path):
    with SimProcess(directory=tmp_path) as sim:
        port, line = sim.port, sim.known_hosts_line
        ok(sim.control, BIND.format(0, 10))
        sim.control.write(10, b'kept')
        sim.kill()
        sim.start()
        assert (sim.port, sim.known_hosts_line) == (port, line)
        assert sim.control.read(10, 4) == b'kept'
        ok(sim.control, BIND.format(0, 11))
        sim.restart()
        assert sim.control.ld(11) is not None
    assert (tmp_path / 'state').is_dir()
    with SimProcess(directory=tmp_path) as sim:
        assert sim.control.ld(10) is not None


def test_nothing_temporary_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    with SimProcess() as sim:
        assert list(tmp_path.iterdir())
        assert sim.stop() == 0
    assert not list(tmp_path.iterdir())


def test_a_start_that_fails_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    with pytest.raises(RuntimeError, match='no configuration none'):
        with SimProcess(config='none'):
            pass
    assert not list(tmp_path.iterdir())


# -- the journal -------------------------------------------------------------

def test_the_journal_file(tmp_path):
    with SimProcess(directory=tmp_path) as sim:
        import paramiko
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(sim.host, sim.port, sim.user, sim.password,
                       allow_agent=False, look_for_keys=False)
        for command in ('iSMview -d', 'reboot'):
            client.exec_command(command)[1].channel.recv_exit_status()
        client.close()
        in_memory = sim.control.journal()
    lines = (tmp_path / 'journal.jsonl').read_text().splitlines()
    assert [json.loads(line) for line in lines] == in_memory
    assert [entry['kind'] for entry in in_memory] == ['READ', 'UNKNOWN']
