# SPDX-License-Identifier: Apache-2.0
"""Secret key files and files of known hosts."""

from __future__ import annotations

import base64
import builtins
import concurrent.futures
import errno
import pathlib
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ed448, x25519
import pytest

from cinder_nec import errors
from cinder_nec.ismcli import ssh_keys
from cinder_nec.ismcli.ssh import HostKeyPolicy, check_key_file
from tests.ssh import support

OPTION = 'nec_ismcli_privkey'

# Made by OpenSSH: a key, its fingerprint, and `ssh-keygen -H` of its lines
# for 10.0.0.1, array.example and [10.0.0.2]:2222.
KEY_TEXT = ('ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILE1gD341BM/IzUSdr4f6kPMBA53'
            'DtC9MIvQzy94vc/p')
FINGERPRINT = 'SHA256:npAuFOP0s8SlBTO9L+AQdV+e2Y0hYOAAQxHPpqooaak'
HASHED = f"""\
|1|XC1MDcCuMtJVQ7mh1YUeq42LP4U=|7OkXcVYidecFIhTzfsjAUIlX8N0= {KEY_TEXT}
|1|/AV4HKZEXJBsxQWxgUM5ngGDDf8=|rhNRAKNuD4QR6MsmbyI80NVxweQ= {KEY_TEXT}
|1|Xb9rsUjE1oczdHynn3bQQbODJv0=|UECnlGUT+6/jfIOppWwu9ejvq4M= {KEY_TEXT}
"""
KEY = ssh_keys.HostKey('ssh-ed25519',
                       base64.b64decode(KEY_TEXT.split()[1]))
OTHER_KEY = ssh_keys.HostKey('ssh-ed25519', b'another')


# -- secret keys ------------------------------------------------------------

@pytest.mark.parametrize('kind, form', [
    ('rsa', support.OPENSSH), ('rsa', support.TRADITIONAL),
    ('rsa', support.PKCS8),
    ('ecdsa', support.OPENSSH), ('ecdsa', support.TRADITIONAL),
    ('ecdsa', support.PKCS8), ('ecdsa-521', support.OPENSSH),
    ('ed25519', support.OPENSSH), ('ed25519', support.PKCS8)])
def test_key_of_each_type_and_format(tmp_path, kind, form):
    path = support.write_key(tmp_path / 'key', kind, form)
    check_key_file(path)
    loaded = ssh_keys.load_key_file(path)
    assert loaded.can_sign()
    assert loaded.asbytes() == support.key(kind).asbytes()


@pytest.mark.parametrize('kind, form', [
    ('rsa', support.OPENSSH), ('rsa', support.TRADITIONAL),
    ('ecdsa', support.PKCS8), ('ed25519', support.OPENSSH)])
def test_encrypted_key(tmp_path, kind, form):
    path = support.write_key(tmp_path / 'key', kind, form, b'a passphrase')
    assert_refused(path, 'is encrypted', 'passphrase')


def test_missing_key_file(tmp_path):
    assert_refused(str(tmp_path / 'id_rsa'), 'No such file or directory',
                   'path or file name', 'may be incorrect')


def test_key_file_is_a_directory(tmp_path):
    assert_refused(str(tmp_path), 'Is a directory', 'may be incorrect')


def test_key_file_without_access_right(tmp_path, monkeypatch):
    path = support.write_key(tmp_path / 'key', 'ed25519')

    def refuse(*_args: Any, **_options: Any) -> Any:
        raise PermissionError(errno.EACCES, 'Permission denied', path)

    monkeypatch.setattr(builtins, 'open', refuse)
    assert_refused(path, 'permission denied', 'may not have the access right')


def test_name_that_cannot_be_a_file():
    assert_refused('/etc/\0', 'null', 'may be incorrect')


@pytest.mark.parametrize('data, word', [
    (b'', 'as `ssh-keygen` makes it'),
    (b'hello\n', 'as `ssh-keygen` makes it'),
    (b'\xff\xfe\x00' * 100, 'as `ssh-keygen` makes it'),
    (b'-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----',
     'as `ssh-keygen` makes it'),
    (b'-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n'
     b'-----END OPENSSH PRIVATE KEY-----\n', 'as `ssh-keygen` makes it'),
    (b'PuTTY-User-Key-File-3: ssh-ed25519\n', 'puttygen'),
    (KEY_TEXT.encode(), 'public key')])
def test_no_secret_key(tmp_path, data, word):
    path = tmp_path / 'key'
    path.write_bytes(data)
    assert_refused(str(path), 'not a secret key of a known format', word)


@pytest.mark.parametrize('make', [
    lambda: dsa.generate_private_key(1024), ed448.Ed448PrivateKey.generate,
    x25519.X25519PrivateKey.generate])
def test_key_type_that_cannot_be_used(tmp_path, make):
    path = tmp_path / 'key'
    path.write_bytes(make().private_bytes(
        support.PEM, support.PKCS8, serialization.NoEncryption()))
    assert_refused(str(path), 'cannot be used', 'RSA, ECDSA or Ed25519')


def assert_refused(path: str, *words: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        check_key_file(path)
    assert caught.value.option == OPTION
    for word in (OPTION, path, *words):
        assert word in str(caught.value)


# -- known hosts ------------------------------------------------------------

def known(path: pathlib.Path | None, host: str = '10.0.0.1', port: int = 22,
          policy: HostKeyPolicy = HostKeyPolicy.VERIFY
          ) -> ssh_keys.KnownHosts:
    return ssh_keys.KnownHosts(None if path is None else str(path), host,
                               port, policy)


def is_known(text: str, tmp_path: pathlib.Path, host: str,
             port: int = 22) -> bool:
    path = tmp_path / 'hosts'
    path.write_text(text)
    try:
        known(path, host, port).verify(KEY)
    except errors.ConnectFailed as error:
        assert error.permanent
        return False
    return True


def test_fingerprint_is_that_of_openssh():
    assert KEY.fingerprint == FINGERPRINT
    assert KEY.text == KEY_TEXT


@pytest.mark.parametrize('host, port, wanted', [
    ('10.0.0.1', 22, True), ('array.example', 22, True),
    ('10.0.0.2', 2222, True), ('10.0.0.2', 22, False),
    ('10.0.0.1', 2222, False), ('10.0.0.3', 22, False)])
def test_hashed_hosts(tmp_path, host, port, wanted):
    assert is_known(HASHED, tmp_path, host, port) is wanted


@pytest.mark.parametrize('names, host, port, wanted', [
    ('10.0.0.1', '10.0.0.1', 22, True),
    ('[10.0.0.1]:22', '10.0.0.1', 22, True),
    ('10.0.0.1', '10.0.0.1', 2222, False),
    ('[10.0.0.1]:2222', '10.0.0.1', 2222, True),
    ('[10.0.0.1]:2222', '10.0.0.1', 22, False),
    ('a,10.0.0.1,b', '10.0.0.1', 22, True),
    ('10.0.0.*', '10.0.0.1', 22, True),
    ('10.0.0.?', '10.0.0.1', 22, True),
    ('10.0.0.?', '10.0.0.11', 22, False),
    ('10.0.0.*,!10.0.0.1', '10.0.0.1', 22, False),
    ('Array.Example', 'array.example', 22, True),
    ('array.example', 'ARRAY.example', 22, True),
    ('arrayxexample', 'array.example', 22, False),
    ('2001:db8::1', '2001:DB8:0::1', 22, True),
    ('[2001:db8::1]:2222', '2001:db8::1', 2222, True)])
def test_names_of_hosts(tmp_path, names, host, port, wanted):
    text = f'# {names} {KEY_TEXT}\n\nother {OTHER_KEY.text}\n'
    assert not is_known(text, tmp_path, host, port)
    assert is_known(f'{text}{names} {KEY_TEXT} a comment\n',
                    tmp_path, host, port) is wanted


@pytest.mark.parametrize('line', [
    'nothing', 'x y z', '10.0.0.1 ssh-ed25519 ====',
    '10.0.0.1 ssh-ed25519 \u00e4\u00f6', '|1|broken ssh-ed25519 AAAA',
    '@cert-authority 10.0.0.1 ' + OTHER_KEY.text])
def test_odd_lines_do_not_hide_the_others(tmp_path, line):
    assert is_known(f'{line}\n10.0.0.1 {KEY_TEXT}\n', tmp_path, '10.0.0.1')


def test_certificate_authority_is_no_host_key(tmp_path):
    assert not is_known(f'@cert-authority 10.0.0.1 {KEY_TEXT}\n', tmp_path,
                        '10.0.0.1')


def test_revoked_key(tmp_path):
    assert not is_known(
        f'10.0.0.1 {KEY_TEXT}\n@revoked * {KEY_TEXT}\n', tmp_path, '10.0.0.1')


@pytest.mark.parametrize('policy', HostKeyPolicy)
def test_changed_key_is_refused_always(tmp_path, policy):
    path = tmp_path / 'hosts'
    path.write_text(f'10.0.0.1 {OTHER_KEY.text}\n')
    with pytest.raises(errors.ConnectFailed, match='not the known one') as e:
        known(path, policy=policy).verify(KEY)
    assert e.value.permanent
    assert FINGERPRINT in str(e.value)
    assert path.read_text() == f'10.0.0.1 {OTHER_KEY.text}\n'


@pytest.mark.parametrize('policy', HostKeyPolicy)
def test_key_of_another_type_is_a_changed_key(tmp_path, policy):
    path = tmp_path / 'hosts'
    path.write_text('10.0.0.1 ssh-rsa AAAA\n')
    with pytest.raises(errors.ConnectFailed, match='not the known one'):
        known(path, policy=policy).verify(KEY)


def test_several_keys_of_one_host(tmp_path):
    path = tmp_path / 'hosts'
    path.write_text(f'10.0.0.1 ssh-rsa AAAA\n10.0.0.1 {KEY_TEXT}\n')
    known(path).verify(KEY)
    assert known(path).key_types() == ['ssh-rsa', 'ssh-ed25519']


def test_unknown_key_says_what_to_do(tmp_path):
    path = tmp_path / 'hosts'
    with pytest.raises(errors.ConnectFailed) as caught:
        known(path, port=2222).verify(KEY)
    assert caught.value.permanent
    for word in (FINGERPRINT, 'ssh_hosts_key_file',
                 'strict_ssh_host_key_policy', 'Nothing was sent',
                 f'ssh-keyscan -p 2222 -t ed25519 10.0.0.1 >> {path}'):
        assert word in str(caught.value)
    assert not path.exists()


def test_first_key_is_written_and_then_known(tmp_path):
    path = tmp_path / 'hosts'
    path.write_text('other ssh-rsa AAAA')  # no end of line
    known(path, port=2222,
          policy=HostKeyPolicy.TRUST_ON_FIRST_USE).verify(KEY)
    assert path.read_text() == (
        f'other ssh-rsa AAAA\n[10.0.0.1]:2222 {KEY_TEXT}\n')
    known(path, port=2222).verify(KEY)


def test_new_file_is_for_its_owner_only(tmp_path):
    path = tmp_path / 'hosts'
    known(path, policy=HostKeyPolicy.TRUST_ON_FIRST_USE).verify(KEY)
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_a_file_the_first_key_is_remembered():
    hosts = known(None, policy=HostKeyPolicy.TRUST_ON_FIRST_USE)
    hosts.verify(KEY)
    hosts.verify(KEY)
    with pytest.raises(errors.ConnectFailed, match='not the known one'):
        hosts.verify(OTHER_KEY)


def test_without_a_file_nothing_is_known():
    with pytest.raises(errors.ConnectFailed, match='ssh_hosts_key_file'):
        known(None).verify(KEY)


@pytest.mark.parametrize('policy, path', [
    (HostKeyPolicy.VERIFY, '{}'),
    (HostKeyPolicy.TRUST_ON_FIRST_USE, '{}/no/hosts')])
def test_file_that_cannot_be_used(tmp_path, policy, path):
    hosts = ssh_keys.KnownHosts(path.format(tmp_path), '10.0.0.1', 22, policy)
    with pytest.raises(errors.ConnectFailed,
                       match='ssh_hosts_key_file') as caught:
        hosts.verify(KEY)
    assert caught.value.permanent


def test_many_at_once_write_one_line(tmp_path):
    path = tmp_path / 'hosts'
    with concurrent.futures.ThreadPoolExecutor(16) as executor:
        # Objects of their own, as in several processes.
        list(executor.map(
            lambda _: known(
                path, policy=HostKeyPolicy.TRUST_ON_FIRST_USE).verify(KEY),
            range(64)))
    assert path.read_text() == f'10.0.0.1 {KEY_TEXT}\n'


def test_only_one_of_two_different_first_keys_is_accepted(
        tmp_path, monkeypatch):
    """The other was written between our look and our write."""
    path = tmp_path / 'hosts'
    hosts = known(path, policy=HostKeyPolicy.TRUST_ON_FIRST_USE)
    look = hosts._lines

    def look_and_lose() -> list[str]:
        lines = look()
        path.write_text(f'10.0.0.1 {OTHER_KEY.text}\n')
        return lines

    monkeypatch.setattr(hosts, '_lines', look_and_lose)
    with pytest.raises(errors.ConnectFailed, match='not the known one'):
        hosts.verify(KEY)
    assert path.read_text() == f'10.0.0.1 {OTHER_KEY.text}\n'
