# SPDX-License-Identifier: Apache-2.0
"""The command of the manual's chapter 8."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any
import uuid

from cinderclient import client as cinder_client
from hypothesis import given
from hypothesis import strategies as st
from keystoneauth1 import exceptions as keystone_exceptions
import prettytable
import pytest

from cinder_nec import __version__, volume_list
from tests.unit import manual_examples

ID = 'd1935c4b-f2c3-4f4a-8cfe-a46e95550e1e'
LABEL = '6NSjtgPWTieAMhvsJspHA6'
ID_TABLE = f"""\
+--------------------------------------+------------------------+
|                  ID                  |        LD Name         |
+--------------------------------------+------------------------+
| {ID} | {LABEL} |
+--------------------------------------+------------------------+
"""
NAME_TABLE = f"""\
+------------------------+--------------------------------------+
|        LD Name         |                  ID                  |
+------------------------+--------------------------------------+
| {LABEL} | {ID} |
+------------------------+--------------------------------------+
"""
EMPTY_TABLE = """\
+----+---------+
| ID | LD Name |
+----+---------+
+----+---------+
"""


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(('OS_', 'CINDER_')):
            monkeypatch.delenv(name)


class Found:
    """A volume or snapshot as the client returns it."""

    def __init__(self, **details: Any) -> None:
        self._details = details

    def to_dict(self) -> dict[str, Any]:
        return self._details


class FakeCinder:
    """Stands for cinderclient.client.Client."""

    def __init__(self) -> None:
        self.made_with: list[tuple[Any, ...]] = []
        self.asked: list[tuple[Any, ...]] = []
        self.found: dict[str, list[Found]] = {'volumes': [],
                                              'snapshots': []}
        self.error: Exception | None = None

    def __call__(self, version: str, **options: Any) -> Any:
        self.made_with.append((version, options))
        cinder = self

        class Resource:
            def __init__(self, kind: str) -> None:
                self.kind = kind

            def list(self, **options: Any) -> list[Found]:
                cinder.asked.append((self.kind, options))
                if cinder.error:
                    raise cinder.error
                return cinder.found[self.kind]

        class Client:
            volumes = Resource('volumes')
            volume_snapshots = Resource('snapshots')

        return Client()


@pytest.fixture
def cinder(monkeypatch: pytest.MonkeyPatch) -> FakeCinder:
    fake = FakeCinder()
    monkeypatch.setattr(cinder_client, 'Client', fake)
    for name, value in (('OS_AUTH_TYPE', 'noauth'), ('OS_USER_ID', 'admin'),
                        ('OS_PROJECT_ID', 'abc'),
                        ('CINDER_ENDPOINT', 'http://127.0.0.1:1/v3')):
        monkeypatch.setenv(name, value)
    return fake


# -- conversions ------------------------------------------------------------

def test_a_uuid(capsys: pytest.CaptureFixture[str]) -> None:
    assert volume_list.main([ID]) == 0
    assert capsys.readouterr().out == ID_TABLE


def test_an_ld_name(capsys: pytest.CaptureFixture[str]) -> None:
    """What was asked for stands first."""
    assert volume_list.main([LABEL]) == 0
    assert capsys.readouterr().out == NAME_TABLE


@pytest.mark.parametrize(('cinder_id', 'label'), manual_examples.GOOD)
def test_examples_of_the_manual(
        cinder_id: str, label: str,
        capsys: pytest.CaptureFixture[str]) -> None:
    volume_list.main([cinder_id])
    assert f'| {cinder_id} | {label} |' in capsys.readouterr().out
    volume_list.main([label])
    assert f'| {label} | {cinder_id} |' in capsys.readouterr().out


@pytest.mark.parametrize('text', [ID.upper(), ID.replace('-', ''),
                                  f'{{{ID}}}', f'urn:uuid:{ID}'])
def test_forms_of_a_uuid(text: str,
                         capsys: pytest.CaptureFixture[str]) -> None:
    assert volume_list.main([text]) == 0
    assert capsys.readouterr().out == ID_TABLE


def test_a_name_with_its_platform(
        capsys: pytest.CaptureFixture[str]) -> None:
    assert volume_list.main([f'LX:{LABEL}']) == 0
    assert capsys.readouterr().out == NAME_TABLE


@pytest.mark.parametrize('suffix', ['_m', '_d', '_l'])
def test_a_name_with_a_suffix(
        suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert volume_list.main([LABEL + suffix]) == 0
    assert f'| {LABEL + suffix} | {ID} |' in capsys.readouterr().out


@pytest.mark.parametrize('text', [
    '', 'not a name', ID[:-1], ID + '0', 'z' * 22, '0' + LABEL, 'é',
    LABEL + '_x', '9f0c0fb0-6f9e-4dd5-bel0-aaac80f39733'])
def test_neither_uuid_nor_name(text: str,
                               capsys: pytest.CaptureFixture[str]) -> None:
    assert volume_list.main([text]) == 2
    shown = capsys.readouterr()
    assert shown.err == 'Invalid UUID format\n'
    assert shown.out == ''


@given(st.text())
def test_any_argument(text: str) -> None:
    if text not in ('list', 'snapshot-list'):
        assert volume_list.main([text]) in (0, 2)


# -- arguments --------------------------------------------------------------

@pytest.mark.parametrize('arguments', [
    ['list', 'snapshot-list'], [ID, LABEL], ['list', ID], ['--all'],
    ['-x'], ['list', '--all-tenants', '--all-tenants'],
    [ID, '--all-tenants'], ['--all-tenants', LABEL], ['list', ''],
    ['--all-tenants=1']])
def test_invalid_arguments(arguments: list[str], cinder: FakeCinder,
                           capsys: pytest.CaptureFixture[str]) -> None:
    assert volume_list.main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.err == 'Invalid argument\n'
    assert shown.out == ''
    assert cinder.asked == []


@pytest.mark.parametrize('arguments', [
    ['-h'], ['--help'], ['list', '-h'], ['-v', '--help']])
def test_help(arguments: list[str],
              capsys: pytest.CaptureFixture[str]) -> None:
    assert volume_list.main(arguments) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f'Version : {__version__}\n')
    for word in ('usage:', 'UUID', 'ldname', 'snapshot-list',
                 '--all-tenants', 'OS_TENANT_NAME', 'CINDER_ENDPOINT'):
        assert word in shown


@pytest.mark.parametrize('option', ['-v', '--version'])
def test_version(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert volume_list.main([option]) == 0
    assert capsys.readouterr().out == f'Version : {__version__}\n'


# -- lists ------------------------------------------------------------------

@pytest.mark.parametrize('arguments', [[], ['list']])
def test_volumes(arguments: list[str], cinder: FakeCinder,
                 capsys: pytest.CaptureFixture[str]) -> None:
    cinder.found['volumes'] = [Found(id=ID, size=1)]
    assert volume_list.main(arguments) == 0
    assert capsys.readouterr().out == ID_TABLE
    assert cinder.asked == [
        ('volumes', {'detailed': True, 'search_opts': {}})]


def test_snapshots_of_all_tenants(
        cinder: FakeCinder, capsys: pytest.CaptureFixture[str]) -> None:
    cinder.found['snapshots'] = [
        Found(id=i) for i, _name in manual_examples.GOOD]
    for arguments in (['snapshot-list', '--all-tenants'],
                      ['--all-tenants', 'snapshot-list']):
        assert volume_list.main(arguments) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 4 + len(manual_examples.GOOD)
        assert cinder.asked.pop() == ('snapshots', {
            'detailed': True, 'search_opts': {'all_tenants': 1}})


def test_nothing_to_list(cinder: FakeCinder,
                         capsys: pytest.CaptureFixture[str]) -> None:
    assert volume_list.main(['--all-tenants']) == 0
    assert capsys.readouterr().out == EMPTY_TABLE
    assert cinder.asked[0][1]['search_opts'] == {'all_tenants': 1}


def test_a_migrated_volume_has_the_name_of_its_data(
        cinder: FakeCinder, capsys: pytest.CaptureFixture[str]) -> None:
    """W1: id instead of name_id."""
    own = '11111111-2222-4333-8444-555555555555'
    cinder.found['volumes'] = [
        Found(**{'id': own, 'os-vol-mig-status-attr:name_id': ID})]
    assert volume_list.main(['list']) == 0
    assert f'| {own} | {LABEL} |' in capsys.readouterr().out


@pytest.mark.parametrize('name_id', [None, ''])
def test_a_volume_that_was_not_migrated(
        name_id: str | None, cinder: FakeCinder,
        capsys: pytest.CaptureFixture[str]) -> None:
    cinder.found['volumes'] = [
        Found(**{'id': ID, 'os-vol-mig-status-attr:name_id': name_id})]
    assert volume_list.main(['list']) == 0
    assert capsys.readouterr().out == ID_TABLE


@given(st.lists(st.tuples(st.uuids().map(str), st.text(
    alphabet='abcXYZ019', min_size=1, max_size=26)), max_size=4))
def test_columns_are_as_the_old_command_centred_them(
        rows: list[tuple[str, str]]) -> None:
    known = prettytable.PrettyTable(['ID', 'LD Name'])
    known.add_rows([list(row) for row in rows])
    # It centres odd rests by a rule of its own; lines are as long.
    ours = volume_list.table(('ID', 'LD Name'), rows).splitlines()
    theirs = known.get_string().splitlines()
    assert [len(line) for line in ours] == [len(line) for line in theirs]
    assert [line.split() for line in ours] == [
        line.split() for line in theirs]


# -- Cinder cannot be asked -------------------------------------------------

def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    shown = capsys.readouterr()
    assert shown.out == ''
    assert shown.err.count('\n') == 1 and shown.err.endswith('\n')
    return shown.err


@pytest.mark.parametrize(('auth_type', 'names'), [
    ('', ('OS_AUTH_URL', 'OS_USERNAME', 'OS_PASSWORD')),
    ('password', ('OS_AUTH_URL', 'OS_USERNAME', 'OS_PASSWORD')),
    ('noauth', ('OS_USER_ID', 'OS_PROJECT_ID', 'CINDER_ENDPOINT')),
    ('v3token', ('OS_AUTH_URL',))])
def test_missing_environment(
        auth_type: str, names: tuple[str, ...],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv('OS_AUTH_TYPE', auth_type)
    assert volume_list.main(['list']) == 1
    shown = one_line(capsys)
    for name in names:
        assert name in shown


def test_the_client_is_not_installed(
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, 'cinderclient', None)
    assert volume_list.main([]) == 1
    assert 'pip install python-cinderclient' in one_line(capsys)
    # Conversions do without it.
    assert volume_list.main([ID]) == 0


def test_cinder_does_not_answer(
        cinder: FakeCinder, capsys: pytest.CaptureFixture[str]) -> None:
    cinder.error = keystone_exceptions.ConnectFailure('no\nway ' * 300)
    assert volume_list.main([]) == 1
    shown = one_line(capsys)
    assert shown.startswith('Cinder could not be asked: no way no way')
    assert len(shown) < 350


def test_an_id_that_is_no_uuid(
        cinder: FakeCinder, capsys: pytest.CaptureFixture[str]) -> None:
    cinder.found['volumes'] = [Found(id='volume-1')]
    assert volume_list.main([]) == 1
    assert 'volume-1' in one_line(capsys)


def test_an_unknown_auth_type(monkeypatch: pytest.MonkeyPatch,
                              capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv('OS_AUTH_TYPE', 'smoke-signals')
    assert volume_list.main([]) == 1
    assert 'smoke' in one_line(capsys)


# -- authentication ---------------------------------------------------------

def test_without_keystone(cinder: FakeCinder) -> None:
    volume_list.main([])
    (version, options), = cinder.made_with
    assert version.startswith('3')
    session = options['session']
    assert session.get_endpoint() == 'http://127.0.0.1:1/v3/abc'
    assert session.get_auth_headers()['x-user-id'] == 'admin'
    assert 'endpoint_override' not in options


def test_with_keystone_as_the_manual_says(
        cinder: FakeCinder, monkeypatch: pytest.MonkeyPatch) -> None:
    """OS_TENANT_NAME is the older name of OS_PROJECT_NAME."""
    for name, value in (
            ('OS_AUTH_TYPE', ''), ('OS_USERNAME', 'admin'),
            ('OS_PASSWORD', 'openstack'), ('OS_TENANT_NAME', 'demo'),
            ('OS_AUTH_URL', 'http://127.0.0.1:5000/v3'),
            ('OS_USER_ID', ''), ('OS_PROJECT_ID', ''),
            ('OS_REGION_NAME', 'north')):
        monkeypatch.setenv(name, value)
    assert volume_list.main([]) == 0
    options = cinder.made_with[0][1]
    plugin = options['session'].auth
    assert (plugin._username, plugin._password, plugin._project_name) == (
        'admin', 'openstack', 'demo')
    assert plugin._default_domain_id == 'default'
    assert options['region_name'] == 'north'
    assert options['session'].verify is True
    assert options['endpoint_override'] == 'http://127.0.0.1:1/v3'


def test_domains_and_certificates(
        cinder: FakeCinder, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
            ('OS_AUTH_TYPE', 'password'), ('OS_USERNAME', 'admin'),
            ('OS_PASSWORD', 'openstack'), ('OS_PROJECT_NAME', 'demo'),
            ('OS_AUTH_URL', 'https://keystone/v3'),
            ('OS_USER_DOMAIN_NAME', 'users'),
            ('OS_PROJECT_DOMAIN_ID', 'projects'),
            ('OS_CACERT', '/etc/ssl/site.pem')):
        monkeypatch.setenv(name, value)
    volume_list.main([])
    session = cinder.made_with[0][1]['session']
    assert session.verify == '/etc/ssl/site.pem'
    assert session.auth._user_domain_name == 'users'
    assert session.auth._project_domain_id == 'projects'
    assert session.auth._default_domain_id is None


@pytest.mark.parametrize(('value', 'verify'), [
    ('', True), ('false', True), ('0', True), ('true', False),
    ('True', False), ('1', False)])
def test_insecure_only_when_asked_for(
        value: str, verify: bool, cinder: FakeCinder,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('OS_INSECURE', value)
    volume_list.main([])
    assert cinder.made_with[0][1]['session'].verify is verify


# -- as a program -----------------------------------------------------------

def test_as_a_module_without_loading_cinder() -> None:
    code = (
        'import sys\n'
        'from cinder_nec import volume_list\n'
        f'status = volume_list.main(["{ID}"])\n'
        'bad = {"cinderclient", "keystoneauth1", "cinder", "oslo_config"}\n'
        'sys.exit(status or bool(bad & set(sys.modules)))\n')
    done = subprocess.run([sys.executable, '-c', code], check=False,
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ID_TABLE)
    done = subprocess.run(
        [sys.executable, '-m', 'cinder_nec.volume_list', LABEL],
        check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, NAME_TABLE)


def test_random_uuids_come_back(
        capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(50):
        cinder_id = str(uuid.uuid4())
        volume_list.main([cinder_id])
        label = capsys.readouterr().out.splitlines()[3].split()[3]
        volume_list.main([label])
        assert f'| {cinder_id} |' in capsys.readouterr().out
