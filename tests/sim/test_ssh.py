# SPDX-License-Identifier: Apache-2.0
"""A plain SSH client against the process."""

import socket
import threading

import paramiko
import pytest

from ismsim.process import SimProcess

BIND = 'iSMcfg ldbind -poolnumber 0 -ldn {} -capacity 1 -immediate'
DUMP = 'iSMquery -cinder -xml -all'


@pytest.fixture(scope='module')
def keys(tmp_path_factory):
    """A directory of public keys, and the private ones."""
    directory = tmp_path_factory.mktemp('keys')
    private = {
        'rsa': paramiko.RSAKey.generate(2048),
        'ecdsa': paramiko.ECDSAKey.generate(bits=384),
        'ed25519': _ed25519(directory.parent / 'ed25519')}
    for name, key in private.items():
        (directory / f'{name}.pub').write_text(
            f'# {name}\n\nno-pty {key.get_name()} {key.get_base64()} '
            f'{name}@host\n')
    return directory, private


def _ed25519(path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    path.write_bytes(ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption()))
    return paramiko.Ed25519Key.from_private_key_file(str(path))


@pytest.fixture(scope='module')
def shared(keys):
    with SimProcess(config='empty', authorized_keys=keys[0]) as sim:
        yield sim


@pytest.fixture
def sim(shared):
    """The process, without what an earlier test has set."""
    yield shared
    shared.control.clear_faults()
    shared.control.limit_ssh()
    shared.control.refuse_ssh(0)


class Client:
    """One connection."""

    def __init__(self, sim, **values):
        self.ssh = paramiko.SSHClient()
        self.ssh.get_host_keys().add(
            f'[{sim.host}]:{sim.port}', sim.host_key_type,
            paramiko.PKey.from_type_string(
                sim.host_key_type, _decode(sim.host_key_base64)))
        defaults = {'username': sim.user, 'password': sim.password}
        if 'pkey' in values:
            del defaults['password']
        try:
            self.ssh.connect(
                sim.host, sim.port, allow_agent=False, look_for_keys=False,
                timeout=20, banner_timeout=20, auth_timeout=20,
                **{**defaults, **values})
        except Exception:
            self.ssh.close()
            raise

    def start(self, command):
        channel = self.ssh.get_transport().open_session(timeout=20)
        channel.settimeout(20)
        channel.exec_command(command)
        return channel

    def run(self, command):
        channel = self.start(command)
        out, err = b'', b''
        while data := channel.recv(1 << 16):
            out += data
        while data := channel.recv_stderr(1 << 16):
            err += data
        return out, err, channel.recv_exit_status()

    def close(self):
        self.ssh.close()


def _decode(text):
    import base64

    return base64.b64decode(text)


@pytest.fixture
def client(sim):
    client = Client(sim)
    yield client
    client.close()


def wait_for(condition):
    """Other processes have their own pace; a bound keeps a bug short."""
    done = threading.Event()
    for _ in range(2000):
        if condition():
            return
        done.wait(0.005)
    raise AssertionError('it did not happen')


# -- logging in --------------------------------------------------------------

def test_password(client):
    out, err, status = client.run('iSMview -d')
    assert b'Disk Array List' in out
    assert (err, status) == (b'', 0)


@pytest.mark.parametrize('values', [
    {'password': 'wrong'}, {'username': 'root'}, {'password': ''}])
def test_wrong_password(sim, values):
    with pytest.raises(paramiko.AuthenticationException):
        Client(sim, **values)


@pytest.mark.parametrize('name', ['rsa', 'ecdsa', 'ed25519'])
def test_keys(sim, keys, name):
    client = Client(sim, pkey=keys[1][name])
    assert client.run('iSMview -d')[2] == 0
    client.close()


def test_an_unknown_key(sim):
    with pytest.raises(paramiko.AuthenticationException):
        Client(sim, pkey=paramiko.ECDSAKey.generate(bits=256))


def test_a_key_of_another_user(sim, keys):
    with pytest.raises(paramiko.AuthenticationException):
        Client(sim, pkey=keys[1]['rsa'], username='root')


def test_only_exec_channels(client):
    transport = client.ssh.get_transport()
    with pytest.raises(paramiko.ChannelException):
        transport.open_channel('direct-tcpip', ('127.0.0.1', 22),
                               ('127.0.0.1', 22), timeout=20)
    with pytest.raises(paramiko.SSHException):
        transport.open_session(timeout=20).invoke_shell()


# -- commands ----------------------------------------------------------------

def test_streams_and_status(client, sim):
    assert client.run(BIND.format(0))[2] == 0
    out, err, status = client.run(BIND.format(0))
    assert out == b'ExitStatus:1\n'
    assert err == b'iSM31077:[ ldbind ]Specified LDN is already used.\n'
    assert status == 1
    assert sim.control.ld(0)['name'].endswith('0000')


def test_hostile_bytes_are_recorded(client, sim):
    mark = sim.control.mark()
    channel = client.ssh.get_transport().open_session(timeout=20)
    channel.exec_command(b'iSMview \xff\xfe -d')
    assert channel.recv_exit_status() == 2
    entry, = sim.control.journal(mark)
    assert entry['hostile'] and entry['kind'] == 'UNKNOWN'


def test_many_channels_on_one_connection(client):
    channels = [client.start('iSMview -d') for _ in range(20)]
    assert [channel.recv_exit_status() for channel in channels] == [0] * 20


def test_many_connections(sim):
    clients = [Client(sim) for _ in range(8)]
    try:
        assert [one.run('iSMview -d')[2] for one in clients] == [0] * 8
        assert sim.control.info()['sessions'] >= 8
    finally:
        for one in clients:
            one.close()


def test_commands_run_beside_each_other(client, sim):
    sim.control.add_fault('hang_after', prefix='iSMquery')
    hanging = client.start(DUMP)
    assert client.run('iSMview -d')[2] == 0
    assert not hanging.exit_status_ready()


def test_one_change_at_a_time_over_ssh():
    with SimProcess(config='empty', latency='change=30',
                    extra=('--manual-clock',)) as sim:
        client = Client(sim)
        first = client.start(BIND.format(7))
        wait_for(sim.control.journal)
        _out, err, status = client.run(BIND.format(8))
        assert status == 1 and b'iSM31005' in err
        sim.control.advance(30)
        assert first.recv_exit_status() == 0
        client.close()


def test_a_large_answer(tmp_path):
    with SimProcess(config='big-8192') as sim:
        client = Client(sim)
        out, _err, status = client.run(DUMP)
        client.close()
    assert status == 0
    assert len(out) > 18_000_000
    assert out.endswith(b'</REQUEST>\n')


def test_a_client_that_leaves_does_no_harm(sim):
    client = Client(sim)
    client.start(DUMP)
    client.close()
    other = Client(sim)
    assert other.run('iSMview -d')[2] == 0
    other.close()


def test_nothing_is_left_of_closed_connections(sim):
    wait_for(lambda: sim.control.info()['sessions'] == 0)
    for _ in range(5):
        client = Client(sim)
        client.run('iSMview -d')
        client.close()
    wait_for(lambda: sim.control.info()['sessions'] == 0)


# -- faults ------------------------------------------------------------------

@pytest.mark.parametrize('action, applied, ldn', [
    ('drop_before', False, 20), ('drop_after', True, 21)])
def test_a_dropped_connection(sim, action, applied, ldn):
    client = Client(sim)
    other = Client(sim)
    sim.control.add_fault(action, prefix='iSMcfg ldbind')
    channel = client.start(BIND.format(ldn))
    # No answer and no exit status; the transport is dead.
    assert channel.recv(100) == b''
    assert channel.recv_exit_status() == -1
    wait_for(lambda: not client.ssh.get_transport().is_active())
    assert (sim.control.ld(ldn) is not None) is applied
    # Only this one.
    assert other.run('iSMview -d')[2] == 0
    other.close()
    client.close()


def test_a_hang_ends_when_the_client_leaves(sim):
    client = Client(sim)
    sim.control.add_fault('hang_before')
    mark = sim.control.mark()
    channel = client.start('iSMview -d')
    wait_for(lambda: sim.control.journal(mark))
    assert not channel.exit_status_ready()
    client.close()
    wait_for(lambda: sim.control.journal(mark)[0]['end'] is not None)
    assert sim.control.journal(mark)[0]['status'] is None


def test_a_truncated_answer(client, sim):
    whole = client.run(DUMP)[0]
    sim.control.add_fault('truncate', keep=0.5)
    out, _err, status = client.run(DUMP)
    assert (out, status) == (whole[:len(whole) // 2], 0)


def test_ssh_is_refused_for_a_while(sim):
    client = Client(sim)
    sim.control.refuse_ssh(1000)
    with pytest.raises((paramiko.SSHException, EOFError, OSError)):
        Client(sim)
    # Who is in stays in.
    assert client.run('iSMview -d')[2] == 0
    client.close()
    sim.control.refuse_ssh(0)
    Client(sim).close()


def test_a_limit_of_sessions(sim):
    wait_for(lambda: sim.control.info()['sessions'] == 0)
    sim.control.limit_ssh(sessions=2)
    clients = [Client(sim), Client(sim)]
    with pytest.raises((paramiko.SSHException, EOFError, OSError)):
        Client(sim)
    clients[0].close()
    wait_for(lambda: sim.control.info()['sessions'] == 1)
    Client(sim).close()
    clients[1].close()


def test_a_limit_of_channels(client, sim):
    sim.control.limit_ssh(channels=1)
    sim.control.add_fault('hang_after')
    hanging = client.start('iSMview -d')
    with pytest.raises(paramiko.ChannelException):
        client.start('iSMview -d')
    sim.control.clear_faults()
    hanging.recv_exit_status()


def test_all_connections_are_dropped(sim):
    wait_for(lambda: sim.control.info()['sessions'] == 0)
    clients = [Client(sim), Client(sim)]
    assert sim.control.drop_connections() == 2
    for one in clients:
        wait_for(lambda one=one: not one.ssh.get_transport().is_active())


def test_noise_instead_of_ssh(sim):
    with socket.create_connection((sim.host, sim.port)) as noise:
        noise.sendall(b'GET / HTTP/1.0\r\n\r\n' * 100)
    client = Client(sim)
    assert client.run('iSMview -d')[2] == 0
    client.close()
