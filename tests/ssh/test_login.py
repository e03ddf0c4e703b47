# SPDX-License-Identifier: Apache-2.0
"""From the address to the login: each thing that can be wrong."""

from __future__ import annotations

import dataclasses
import errno
import logging
import os
import socket
import tempfile
import threading

import paramiko
import pytest

from cinder_nec import errors
from cinder_nec.ismcli.ssh import HostKeyPolicy, SshTransport
from cinder_nec.ismcli.transport import Transport
from tests.ssh import support
from tests.ssh.server import RawServer, Server

MAY_BE_INCORRECT = (
    'The value specified for `nec_ismcli_user` or `nec_ismcli_password` may '
    'be incorrect or the corresponding public key specified for '
    '`nec_ismcli_privkey` may not have been registered in the disk array.')


def refusal(transport: SshTransport, permanent: bool) -> str:
    """Return the message of the ConnectFailed that a command ends in."""
    with pytest.raises(errors.ConnectFailed) as caught:
        transport.run('echo x', 20)
    assert caught.value.permanent is permanent
    return str(caught.value)


def closed_port() -> int:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        return int(listener.getsockname()[1])


# -- settings ---------------------------------------------------------------

@pytest.mark.parametrize('changes, option, words', [
    ({'host': ''}, 'nec_ismcli_fip', 'nec_ismcli_fip is not set.'),
    ({'user': ''}, 'nec_ismcli_user', 'nec_ismcli_user is not set.'),
    ({'password': None}, 'nec_ismcli_password',
     'nec_ismcli_password or nec_ismcli_privkey must be set.'),
    ({'port': 0}, 'nec_ssh_pool_port_number', 'port number'),
    ({'port': 65536}, 'nec_ssh_pool_port_number', 'port number')])
def test_settings_that_cannot_work(settings, changes, option, words):
    with pytest.raises(errors.ConfigError) as caught:
        SshTransport(dataclasses.replace(settings, **changes))
    assert caught.value.option == option
    assert words in str(caught.value)
    assert caught.value.missing is ('set' in words)


def test_it_is_a_transport_and_needs_no_connection_to_be_made(settings):
    transport: Transport = SshTransport(settings)
    transport.close()


# -- the address ------------------------------------------------------------

def test_nobody_listens(connect, server):
    message = refusal(connect(port=closed_port()), permanent=False)
    for word in ('refused', 'nec_ismcli_fip', 'nec_ssh_pool_port_number',
                 'disk array has been started'):
        assert word in message.lower() or word in message


@pytest.mark.parametrize('error', [
    TimeoutError('timed out'),
    OSError(errno.EHOSTUNREACH, 'No route to host')])
def test_host_that_does_not_answer(connect, monkeypatch, error):
    def no_way(*_args: object) -> None:
        raise error

    monkeypatch.setattr(socket.socket, 'connect', no_way)
    message = refusal(connect(), permanent=False)
    assert str(error.args[-1]) in message
    assert 'nec_ismcli_fip' in message


@pytest.mark.parametrize('host', ['999.1.2.3.4', 'no such name', 'a' * 300])
def test_invalid_address(connect, monkeypatch, host):
    def unknown(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, 'Name or service not known')

    monkeypatch.setattr(socket, 'getaddrinfo', unknown)
    message = refusal(connect(host=host), permanent=True)
    assert 'nec_ismcli_fip has an invalid address' in message
    assert host in message


def test_name_server_that_fails_may_work_again(connect, monkeypatch):
    def later(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, 'Temporary failure')

    monkeypatch.setattr(socket, 'getaddrinfo', later)
    assert 'Temporary failure' in refusal(connect(), permanent=False)


@pytest.mark.parametrize('host', ['::1', '[::1]'])
def test_ipv6(connect, hosts, host):
    try:
        server = Server([support.key('ed25519')], password=support.PASSWORD,
                        address='::1')
    except OSError:
        pytest.skip('no IPv6 on loopback')
    with server:
        hosts.write_text(support.host_line(f'[::1]:{server.port}', 'ed25519'))
        transport = connect(host=host, port=server.port)
        assert transport.run('echo six', 20).stdout == b'six'
        transport.close()


# -- the negotiation --------------------------------------------------------

@pytest.mark.parametrize('answer', [
    b'', b'HTTP/1.0 400 Bad Request\r\n\r\n', b'\x00\xff' * 500,
    b'SSH-1.5-old\r\n', b'SSH-2.0-x\r\n' + b'\x00garbage\xff' * 50,
    b'SSH-2.0-x\r\n'])
def test_something_else_than_an_ssh_server(connect, server, answer):
    before = threading.enumerate()
    with RawServer(answer) as other:
        message = refusal(connect(port=other.port),
                          permanent=b'SSH-1.5' in answer)
    assert '127.0.0.1' in message
    assert support.PASSWORD.encode() not in other.received
    # Paramiko's timer of the negotiation would run on for a while.
    server.wait_until(lambda: not any(
        isinstance(thread, threading.Timer) and thread not in before
        for thread in threading.enumerate()))


def test_server_that_says_nothing(connect, clock, threads):
    with RawServer(None) as other:
        done = threads.start(connect(port=other.port).run, 'echo x', 1000)
        assert other.heard.wait(20)
        clock.advance(30)
        error = support.error_of(done)
    assert isinstance(error, errors.ConnectFailed)
    assert not error.permanent
    assert 'timed out' in str(error)


def test_no_algorithm_in_common(connect, server, monkeypatch):
    monkeypatch.setattr(paramiko.Transport, '_preferred_kex',
                        ('diffie-hellman-group14-sha256',))
    transport = connect()
    original = paramiko.Transport.start_client

    def start(self: paramiko.Transport, *args: object,
              **options: object) -> object:
        self.get_security_options().kex = ['diffie-hellman-group16-sha512']
        return original(self, *args, **options)

    monkeypatch.setattr(paramiko.Transport, 'start_client', start)
    message = refusal(transport, permanent=True)
    assert 'no SSH algorithm in common' in message
    assert 'paramiko' in message


# -- the key of the array ---------------------------------------------------

def test_unknown_host_key_gets_no_credentials(connect, server, hosts):
    hosts.write_text(support.host_line('10.0.0.1', 'ed25519'))
    message = refusal(connect(), permanent=True)
    assert 'is not known' in message
    assert 'ssh_hosts_key_file' in message
    assert server.logins == []


def test_missing_hosts_file_means_unknown(connect, server, tmp_path):
    path = tmp_path / 'missing'
    assert str(path) in refusal(connect(known_hosts_file=str(path)),
                                permanent=True)
    assert server.logins == []


@pytest.mark.parametrize('policy', HostKeyPolicy)
def test_changed_host_key_gets_no_credentials(connect, server, hosts, policy):
    server.host_keys = [support.key('ecdsa')]
    message = refusal(connect(host_key_policy=policy), permanent=True)
    assert 'is not the known one' in message
    assert server.logins == []
    assert len(hosts.read_text().splitlines()) == 1


def test_trust_on_first_use(connect, server, hosts):
    hosts.unlink()
    first = connect(host_key_policy=HostKeyPolicy.TRUST_ON_FIRST_USE)
    assert first.run('echo x', 20).status == 0
    assert hosts.read_text() == support.host_line(
        f'[127.0.0.1]:{server.port}', 'ed25519')
    assert connect().run('echo x', 20).status == 0  # now it verifies


@pytest.mark.parametrize('kind', ['rsa', 'ecdsa', 'ed25519'])
def test_the_known_one_of_several_host_keys_is_asked_for(
        connect, server, hosts, kind):
    server.host_keys = [support.key(kind)
                        for kind in ('ed25519', 'ecdsa', 'rsa')]
    hosts.write_text(support.host_line(f'[127.0.0.1]:{server.port}', kind))
    assert connect().run('echo x', 20).status == 0


# -- the login --------------------------------------------------------------

def test_wrong_password(connect, server):
    message = refusal(connect(password='another'), permanent=True)
    assert 'Authentication failed' in message
    assert MAY_BE_INCORRECT in message
    assert server.logins == [('password', 'sysadmin', False)]


def test_wrong_user(connect, server):
    assert MAY_BE_INCORRECT in refusal(connect(user='root'), permanent=True)


@pytest.mark.parametrize('kind', ['rsa', 'ecdsa', 'ed25519', 'ecdsa-521'])
def test_login_with_each_type_of_key(connect, server, tmp_path, kind):
    server.public_keys = (support.key(kind),)
    path = support.write_key(tmp_path / 'key', kind)
    assert connect(password=None, private_key_file=path).run(
        'echo x', 20).status == 0
    assert server.logins == [('publickey', 'sysadmin', True)]


def test_key_comes_before_password(connect, server, tmp_path):
    server.public_keys = (support.key('ecdsa'),)
    path = support.write_key(tmp_path / 'key', 'ecdsa')
    assert connect(private_key_file=path).run('echo x', 20).status == 0
    assert server.logins == [('publickey', 'sysadmin', True)]


def test_password_if_the_key_is_refused(connect, server, tmp_path):
    path = support.write_key(tmp_path / 'key', 'ecdsa')
    assert connect(private_key_file=path).run('echo x', 20).status == 0
    assert server.logins == [('publickey', 'sysadmin', False),
                             ('password', 'sysadmin', True)]


def test_key_that_is_not_registered(connect, server, tmp_path):
    path = support.write_key(tmp_path / 'key', 'ecdsa')
    message = refusal(connect(password=None, private_key_file=path),
                      permanent=True)
    assert MAY_BE_INCORRECT in message


def test_array_that_wants_both(connect, server, tmp_path):
    server.public_keys = (support.key('ecdsa'),)
    server.both = True
    path = support.write_key(tmp_path / 'key', 'ecdsa')
    assert connect(private_key_file=path).run('echo x', 20).status == 0
    assert [method for method, _, _ in server.logins] == [
        'publickey', 'password']


def test_array_that_asks_for_the_password_as_a_question(connect, server):
    server.interactive = True
    assert connect().run('echo x', 20).status == 0
    assert server.logins == [('keyboard-interactive', 'sysadmin', True)]


def test_bad_key_file_is_told_before_connecting(connect, server, tmp_path):
    """Also with a password, which could hide it for a while."""
    path = support.write_key(tmp_path / 'key', 'rsa', passphrase=b'secret')
    message = refusal(connect(private_key_file=path), permanent=True)
    assert 'nec_ismcli_privkey` is encrypted' in message
    assert server.accepted == 0


def test_login_that_is_never_answered(connect, server, threads):
    server.hold_logins = True
    done = threads.start(
        connect(auth_timeout_seconds=0.05).run, 'echo x', 1000)
    error = support.error_of(done)
    assert isinstance(error, errors.ConnectFailed)
    assert not error.permanent


def test_connection_lost_during_the_login(connect, server):
    """As an array may do that has too many sessions."""
    server.drop_logins = True
    message = refusal(connect(), permanent=False)
    assert 'login' in message


def test_no_agent_and_no_keys_of_the_home_directory(
        connect, server, tmp_path, monkeypatch):
    (tmp_path / '.ssh').mkdir()
    support.write_key(tmp_path / '.ssh' / 'id_ed25519', 'ed25519')
    server.public_keys = (support.key('ed25519'),)
    monkeypatch.setenv('HOME', str(tmp_path))
    with (socket.socket(socket.AF_UNIX) as agent,
          tempfile.TemporaryDirectory() as directory):  # its name is short
        agent.bind(f'{directory}/agent')
        agent.listen()
        agent.settimeout(0)
        monkeypatch.setenv('SSH_AUTH_SOCK', f'{directory}/agent')
        refusal(connect(password='another'), permanent=True)
        with pytest.raises(BlockingIOError):
            agent.accept()
    assert server.logins == [('password', 'sysadmin', False)]


def test_nothing_is_left_of_a_failed_login(connect, server):
    before = set(os.listdir('/proc/self/fd'))
    transport = connect(password='another')
    refusal(transport, permanent=True)
    server.wait_until(lambda: not server.alive())
    for ended in server.transports:
        ended.join()
    server.transports.clear()
    server.wait_until(
        lambda: set(os.listdir('/proc/self/fd')) <= before)


# -- secrets ----------------------------------------------------------------

def test_no_secret_anywhere(connect, server, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    path = support.write_key(tmp_path / 'key', 'rsa')
    told = [repr(connect()._settings), repr(connect()),
            str(connect()._settings)]
    for changes in ({}, {'private_key_file': path}, {'user': 'root'},
                    {'port': closed_port()}):
        for command in ('echo x', 'drop', 'no_status'):
            try:
                told.append(repr(connect(**changes).run(command, 20)))
            except errors.NecError as error:
                told += [str(error), repr(error), repr(vars(error)),
                         repr(error.__cause__)]
    server.password = 'another'
    told.append(refusal(connect(), permanent=True))
    told.append(caplog.text)
    assert 'echo x' in caplog.text  # the commands are logged, at DEBUG
    assert support.PASSWORD not in ''.join(told)
    secret = (tmp_path / 'key').read_text().splitlines()[20]
    assert secret not in ''.join(told)


def test_failures_are_told_once_and_by_exception(connect, server, caplog):
    """Paramiko logs each as an error with a traceback."""
    caplog.set_level(logging.INFO)
    refusal(connect(port=closed_port()), permanent=False)
    with RawServer(b'nonsense\r\n') as other:
        refusal(connect(port=other.port), permanent=False)
    server.drop_logins = True
    refusal(connect(), permanent=False)
    own = [record for record in caplog.records
           if record.name.startswith('cinder_nec')]
    assert own == []
