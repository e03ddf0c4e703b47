# SPDX-License-Identifier: Apache-2.0
"""The command of the manual's chapter 8."""

from __future__ import annotations

import csv
import importlib.metadata
import io
import json
import os
from pathlib import Path
import subprocess
import sys
import uuid

from hypothesis import given
from hypothesis import strategies as st
import prettytable
import pytest
import requests

from cinder_nec import volume_list
from tests.unit import manual_examples
from tests.unit.fake_cloud import FakeCloud

ID = 'd1935c4b-f2c3-4f4a-8cfe-a46e95550e1e'
LABEL = '6NSjtgPWTieAMhvsJspHA6'
PACKAGE = Path(volume_list.__file__).resolve().parent
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


USAGE_OF_THE_MANUAL = """\
Version : 1.0

usage: python volume_list.py [--version] [-v] [--help] [-h]
        [UUID] [ldname] [list] [snapshot-list]

Show mappings of Cinder volume/snapshot ID and logical disk name in storage.

Optional arguments:
--version, -v    show program's version number and exit
--help, -h       show this help and exit
UUID             filter by uuid of Cinder volume/snapshot
ldname           filter by logical disk name in storage
list             show all volumes (default)
snapshot-list    show all snapshots

Notes:
The environment variables below must be set in advance.
OS_USERNAME, OS_PASSWORD, OS_TENANT_NAME, OS_AUTH_URL
"""


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variables and no clouds.yaml but those of the test."""
    for name in os.environ:
        if name.startswith(('OS_', 'CINDER_')):
            monkeypatch.delenv(name)
    # Where the SDK looks otherwise it has made up its mind on import.
    monkeypatch.setenv('OS_CLIENT_CONFIG_FILE',
                       str(tmp_path / 'clouds.yaml'))


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> FakeCloud:
    """A cloud that nothing points to."""
    cloud = FakeCloud()
    monkeypatch.setattr(
        requests.adapters.HTTPAdapter, 'send',
        lambda _self, request, **options: cloud.send(request, **options))
    return cloud


@pytest.fixture
def cloud(nobody: FakeCloud, monkeypatch: pytest.MonkeyPatch) -> FakeCloud:
    """A cloud, and the environment of the manual's 8.2 that leads there."""
    for name, value in (('OS_USERNAME', 'admin'),
                        ('OS_PASSWORD', nobody.password),
                        ('OS_TENANT_NAME', 'demo'),
                        ('OS_AUTH_URL', nobody.keystone)):
        monkeypatch.setenv(name, value)
    return nobody


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
    ['-x'], [ID, '--all-tenants'], ['--all-tenants', LABEL], ['list', ''],
    ['--all-tenants=1'], ['-f'], ['-f', 'yaml'], ['list', '-f', ''],
    ['--os-cloud'], [ID, '--os-cloud', 'site']])
def test_invalid_arguments(arguments: list[str], cloud: FakeCloud,
                           capsys: pytest.CaptureFixture[str]) -> None:
    assert volume_list.main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.err == 'Invalid argument\n'
    assert shown.out == ''
    assert cloud.asked == []


@pytest.mark.parametrize('arguments', [
    ['-h'], ['--help'], ['list', '-h'], ['-v', '--help']])
def test_help(arguments: list[str],
              capsys: pytest.CaptureFixture[str]) -> None:
    """Each line of 8.4 is there, in its order."""
    assert volume_list.main(arguments) == 0
    shown = [line.strip() for line in
             capsys.readouterr().out.splitlines()]
    at = -1
    for line in USAGE_OF_THE_MANUAL.splitlines():
        at = shown.index(line.strip(), at + 1)
    for word in ('--all-tenants', '--os-cloud', 'CINDER_ENDPOINT'):
        assert any(word in line for line in shown)


@pytest.mark.parametrize('option', ['-v', '--version'])
def test_version(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert volume_list.main([option]) == 0
    assert capsys.readouterr().out == 'Version : 1.0\n'


# -- lists ------------------------------------------------------------------

@pytest.mark.parametrize('arguments', [[], ['list']])
def test_volumes(arguments: list[str], cloud: FakeCloud,
                 capsys: pytest.CaptureFixture[str]) -> None:
    cloud.found['volumes'] = [{'id': ID, 'size': 1}]
    assert volume_list.main(arguments) == 0
    assert capsys.readouterr().out == ID_TABLE
    assert cloud.asked == [('/volume/v3/volumes/detail', {})]
    assert cloud.tokens == ['from-keystone']


@pytest.mark.parametrize('arguments', [
    ['snapshot-list', '--all-tenants'], ['--all-tenants', 'snapshot-list']])
def test_snapshots_of_all_tenants(
        arguments: list[str], cloud: FakeCloud,
        capsys: pytest.CaptureFixture[str]) -> None:
    cloud.found['snapshots'] = [
        {'id': i} for i, _name in manual_examples.GOOD]
    assert volume_list.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [tuple(line.split()[1:4:2]) for line in lines[3:-1]] == list(
        manual_examples.GOOD)
    assert cloud.asked == [('/volume/v3/snapshots/detail',
                            {'all_tenants': ['True']})]


def test_nothing_to_list(cloud: FakeCloud,
                         capsys: pytest.CaptureFixture[str]) -> None:
    assert volume_list.main(['--all-tenants']) == 0
    assert capsys.readouterr().out == EMPTY_TABLE
    assert cloud.asked[0][1] == {'all_tenants': ['True']}


def test_more_than_one_page(cloud: FakeCloud,
                            capsys: pytest.CaptureFixture[str]) -> None:
    """Cinder answers with at most osapi_max_limit at a time."""
    cloud.page_size = 2
    cloud.found['volumes'] = [{'id': i} for i, _ in manual_examples.GOOD]
    assert volume_list.main(['-f', 'value']) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()
            ] == [i for i, _ in manual_examples.GOOD]


def test_a_migrated_volume_has_the_name_of_its_data(
        cloud: FakeCloud, capsys: pytest.CaptureFixture[str]) -> None:
    """W1: id instead of name_id."""
    own = '11111111-2222-4333-8444-555555555555'
    cloud.found['volumes'] = [
        {'id': own, 'os-vol-mig-status-attr:name_id': ID}]
    assert volume_list.main(['list']) == 0
    assert f'| {own} | {LABEL} |' in capsys.readouterr().out


@pytest.mark.parametrize('name_id', [None, ''])
def test_a_volume_that_was_not_migrated(
        name_id: str | None, cloud: FakeCloud,
        capsys: pytest.CaptureFixture[str]) -> None:
    cloud.found['volumes'] = [
        {'id': ID, 'os-vol-mig-status-attr:name_id': name_id}]
    assert volume_list.main(['list']) == 0
    assert capsys.readouterr().out == ID_TABLE


# -- formats ----------------------------------------------------------------

def read_json(text: str) -> list[list[str]]:
    rows = json.loads(text)
    return [list(rows[0]), *(list(row.values()) for row in rows)]


FORMATS = {
    'table': lambda text: [
        line.strip('| ').split(' | ') if 'LD Name' not in line
        else ['ID', 'LD Name'] for line in text.splitlines()
        if not line.startswith('+')],
    'json': read_json,
    'csv': lambda text: list(csv.reader(io.StringIO(text))),
    'value': lambda text: [
        ['ID', 'LD Name'], *map(str.split, text.splitlines())],
}


@pytest.mark.parametrize('form', FORMATS)
@pytest.mark.parametrize('option', ['-f', '--format'])
def test_formats(option: str, form: str, cloud: FakeCloud,
                 capsys: pytest.CaptureFixture[str]) -> None:
    cloud.found['volumes'] = [{'id': i} for i, _ in manual_examples.GOOD]
    assert volume_list.main(['list', option, form]) == 0
    rows = FORMATS[form](capsys.readouterr().out)
    assert rows == [['ID', 'LD Name'], *map(list, manual_examples.GOOD)]


@pytest.mark.parametrize(('form', 'shown'), [
    ('json', '[]\n'), ('csv', '"ID","LD Name"\n'), ('value', ''),
    ('table', EMPTY_TABLE)])
def test_formats_of_nothing(form: str, shown: str, cloud: FakeCloud,
                            capsys: pytest.CaptureFixture[str]) -> None:
    assert volume_list.main([f'-f{form}']) == 0
    assert capsys.readouterr().out == shown


def test_format_of_a_conversion(capsys: pytest.CaptureFixture[str]) -> None:
    assert volume_list.main([LABEL, '-f', 'value']) == 0
    assert capsys.readouterr().out == f'{LABEL} {ID}\n'


# -- tables -----------------------------------------------------------------

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
    ('v3token', ('auth_url',))])
def test_missing_environment(
        auth_type: str, names: tuple[str, ...],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv('OS_AUTH_TYPE', auth_type)
    assert volume_list.main(['list']) == 1
    shown = one_line(capsys)
    for name in names:
        assert name in shown


def test_the_sdk_is_not_installed(
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, 'openstack', None)
    assert volume_list.main([]) == 1
    assert 'pip install openstacksdk' in one_line(capsys)
    # Conversions do without it.
    assert volume_list.main([ID]) == 0


def test_nobody_answers(cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch,
                        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv('OS_AUTH_URL', 'http://127.0.0.1:1/v3')
    assert volume_list.main([]) == 1
    shown = one_line(capsys)
    assert shown.startswith('Cinder could not be asked: ')
    assert '127.0.0.1:1' in shown
    assert len(shown) < 350


def test_a_wrong_password(cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch,
                          capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv('OS_PASSWORD', 'secret-of-mine')
    assert volume_list.main([]) == 1
    shown = one_line(capsys)
    assert 'wrong password' in shown
    assert 'secret-of-mine' not in shown


@pytest.mark.parametrize('status', [403, 404, 500])
def test_cinder_refuses(status: int, cloud: FakeCloud,
                        capsys: pytest.CaptureFixture[str]) -> None:
    cloud.failure = (status, 'no\nway ' * 300)
    assert volume_list.main([]) == 1
    shown = one_line(capsys)
    assert 'no way no way' in shown
    assert len(shown) < 350


def test_an_id_that_is_no_uuid(
        cloud: FakeCloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.found['volumes'] = [{'id': 'volume-1'}]
    assert volume_list.main([]) == 1
    assert 'volume-1' in one_line(capsys)


def test_an_unknown_auth_type(monkeypatch: pytest.MonkeyPatch,
                              capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv('OS_AUTH_TYPE', 'smoke-signals')
    assert volume_list.main([]) == 1
    assert 'smoke' in one_line(capsys)


@pytest.mark.parametrize('text', ['clouds: {site: ', '[]', 'a: b', '\0'])
def test_a_broken_clouds_yaml(text: str, tmp_path: Path,
                              capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'clouds.yaml').write_text(text)
    assert volume_list.main(['--os-cloud', 'site']) == 1
    assert one_line(capsys).startswith('Cinder could not be asked: ')


# -- which cloud ------------------------------------------------------------

def login(cloud: FakeCloud) -> tuple[object, object]:
    """Return the user and the scope of the one login."""
    auth, = (body['auth'] for body in cloud.logins)
    user = auth['identity']['password']['user']
    assert user.pop('password') == cloud.password
    return user, auth['scope']


def test_the_environment_of_the_manual(cloud: FakeCloud) -> None:
    """OS_TENANT_NAME is the older name of OS_PROJECT_NAME."""
    assert volume_list.main([]) == 0
    default = {'id': 'default'}
    assert login(cloud) == (
        {'name': 'admin', 'domain': default},
        {'project': {'name': 'demo', 'domain': default}})


def test_the_environment_of_keystone_v3(
        cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('OS_TENANT_NAME')
    for name, value in (('OS_PROJECT_NAME', 'service'),
                        ('OS_USER_DOMAIN_NAME', 'users'),
                        ('OS_PROJECT_DOMAIN_ID', 'projects'),
                        ('OS_IDENTITY_API_VERSION', '3')):
        monkeypatch.setenv(name, value)
    assert volume_list.main([]) == 0
    assert login(cloud) == (
        {'name': 'admin', 'domain': {'name': 'users'}},
        {'project': {'name': 'service', 'domain': {'id': 'projects'}}})


@pytest.mark.parametrize(('region', 'status'), [
    ('RegionOne', 0), ('north', 0), ('south', 1)])
def test_a_region(region: str, status: int, cloud: FakeCloud,
                  monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.regions = ('RegionOne', 'north')
    monkeypatch.setenv('OS_REGION_NAME', region)
    assert volume_list.main([]) == status


@pytest.fixture
def site(nobody: FakeCloud, tmp_path: Path) -> FakeCloud:
    """A cloud that clouds.yaml names ``site``."""
    (tmp_path / 'clouds.yaml').write_text(f"""\
clouds:
  site:
    auth:
      auth_url: {nobody.keystone}
      username: operator
      password: {nobody.password}
      project_name: admin
      user_domain_name: Default
      project_domain_name: Default
  elsewhere:
    auth: {{auth_url: 'http://127.0.0.1:1/v3', username: a, password: b}}
""")
    nobody.found['volumes'] = [{'id': ID}]
    return nobody


@pytest.mark.parametrize('arguments', [
    ['--os-cloud', 'site'], ['list', '--os-cloud=site']])
def test_os_cloud(arguments: list[str], site: FakeCloud,
                  monkeypatch: pytest.MonkeyPatch,
                  capsys: pytest.CaptureFixture[str]) -> None:
    """Stronger than OS_CLOUD and than an environment without Keystone."""
    monkeypatch.setenv('OS_CLOUD', 'elsewhere')
    monkeypatch.setenv('OS_AUTH_TYPE', 'noauth')
    assert volume_list.main(arguments) == 0
    assert capsys.readouterr().out == ID_TABLE
    assert login(site)[0] == {'name': 'operator',
                              'domain': {'name': 'Default'}}


def test_os_cloud_in_the_environment(
        site: FakeCloud, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv('OS_CLOUD', 'site')
    assert volume_list.main([]) == 0
    assert capsys.readouterr().out == ID_TABLE


def test_a_cloud_that_is_not_known(
        site: FakeCloud, capsys: pytest.CaptureFixture[str]) -> None:
    assert volume_list.main(['--os-cloud', 'nowhere']) == 1
    assert 'nowhere' in one_line(capsys)


def test_without_keystone(
        nobody: FakeCloud, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in (('OS_AUTH_TYPE', 'noauth'), ('OS_USER_ID', 'admin'),
                        ('OS_PROJECT_ID', 'abc'),
                        ('CINDER_ENDPOINT', nobody.cinder)):
        monkeypatch.setenv(name, value)
    nobody.found['volumes'] = [{'id': ID}]
    assert volume_list.main([]) == 0
    assert capsys.readouterr().out == ID_TABLE
    assert nobody.tokens == ['admin:abc']
    assert nobody.logins == []


def test_admin_token(
        nobody: FakeCloud, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in (('OS_AUTH_TYPE', 'admin_token'),
                        ('OS_TOKEN', 'admin:abc'),
                        ('OS_ENDPOINT', nobody.cinder)):
        monkeypatch.setenv(name, value)
    nobody.found['snapshots'] = [{'id': ID}]
    assert volume_list.main(['snapshot-list']) == 0
    assert capsys.readouterr().out == ID_TABLE
    assert nobody.tokens == ['admin:abc']


# -- certificates -----------------------------------------------------------

@pytest.mark.parametrize(('value', 'verify'), [
    (None, True), ('false', True), ('true', False), ('True', False)])
def test_insecure_only_when_asked_for(
        value: str | None, verify: bool, cloud: FakeCloud,
        monkeypatch: pytest.MonkeyPatch) -> None:
    if value is not None:
        monkeypatch.setenv('OS_INSECURE', value)
    region = volume_list._region(os.environ, '')
    assert region.get_requests_verify_args()[0] is verify


def test_a_certificate_of_the_site(
        cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('OS_CACERT', '/etc/ssl/site.pem')
    region = volume_list._region(os.environ, '')
    assert region.get_requests_verify_args()[0] == '/etc/ssl/site.pem'


# -- as a program -----------------------------------------------------------

def run(*command: str, cwd: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, *command], check=False, capture_output=True,
        text=True, cwd=cwd)
    assert done.stderr == ''
    return done.returncode, done.stdout


def test_conversions_load_no_library() -> None:
    code = (
        'import sys\n'
        'from cinder_nec import volume_list\n'
        f'status = volume_list.main(["{ID}"])\n'
        'bad = {"openstack", "keystoneauth1", "cinder", "oslo_config"}\n'
        'sys.exit(status or bool(bad & set(sys.modules)))\n')
    assert run('-c', code, cwd=PACKAGE.parent) == (0, ID_TABLE)


def test_as_a_module() -> None:
    assert run('-m', 'cinder_nec.volume_list', LABEL,
               cwd=PACKAGE.parent) == (0, NAME_TABLE)


def test_as_a_script(tmp_path: Path) -> None:
    """From anywhere, also from its own directory, as in the manual."""
    script = PACKAGE / 'volume_list.py'
    assert run(str(script), LABEL, cwd=tmp_path) == (0, NAME_TABLE)
    assert run('volume_list.py', ID, cwd=PACKAGE) == (0, ID_TABLE)


def test_as_a_command() -> None:
    """The entry point of the package names what the other forms run."""
    config = (PACKAGE.parent / 'setup.cfg').read_text()
    assert 'cinder-nec-volume-list = cinder_nec.volume_list:main' in config
    for entry in importlib.metadata.entry_points(
            group='console_scripts', name='cinder-nec-volume-list'):
        assert entry.load() is volume_list.main


def test_random_uuids_come_back(
        capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(50):
        cinder_id = str(uuid.uuid4())
        volume_list.main([cinder_id])
        label = capsys.readouterr().out.splitlines()[3].split()[3]
        volume_list.main([label])
        assert f'| {cinder_id} |' in capsys.readouterr().out
