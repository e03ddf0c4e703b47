# SPDX-License-Identifier: Apache-2.0
"""What devstack, Kolla and TripleO are given ends in a usable cinder.conf."""

from __future__ import annotations

import configparser
import importlib
import os
from pathlib import Path
import shutil
import subprocess
from typing import Any

from oslo_config import cfg
import pytest
import yaml

from cinder_nec import config
from tests.cinder import test_samples

ROOT = Path(__file__).parents[2]
KOLLA = ROOT / 'etc' / 'kolla'
TRIPLEO = ROOT / 'etc' / 'tripleo'
DEVSTACK = ROOT / 'devstack'


@pytest.fixture(autouse=True)
def clean():
    yield
    cfg.CONF.clear()


def load(sections: dict[str, dict[str, str]],
         tmp_path: Path) -> config.BackendConfig:
    """Write a cinder.conf and let the driver read section Storage1."""
    text = configparser.RawConfigParser()
    text.optionxform = str  # type: ignore[assignment, method-assign]
    text.read_dict(sections)
    path = tmp_path / 'cinder.conf'
    with open(path, 'w') as file:
        text.write(file)
    return driver_of(path)


def driver_of(path: Path) -> config.BackendConfig:
    dotted, found = test_samples.read(path)
    module, _, name = dotted.rpartition('.')
    assert hasattr(importlib.import_module(module), name)
    assert 'Storage1' in cfg.CONF.enabled_backends
    return found


# -- Kolla -------------------------------------------------------------------

def test_kolla_cinder_conf():
    found = driver_of(KOLLA / 'cinder.conf.sample')
    assert found.pools == (0, 1) and found.backup_pools == (2,)
    assert found.known_hosts_file == '/var/lib/cinder/ssh_known_hosts'
    assert found.trust_on_first_use is False


def test_kolla_globals():
    found = yaml.safe_load((KOLLA / 'globals.yml.sample').read_text())
    assert found['skip_cinder_backend_check'] is True
    assert {'enable_cinder', 'cinder_volume_image',
            'cinder_volume_tag'} <= set(found)


def test_kolla_template():
    """It renders into the block that Kolla's image leaves for it."""
    jinja2 = pytest.importorskip('jinja2')
    parent = ('FROM cinder-base\n'
              '{% import "macros.j2" as macros with context %}\n'
              '{% block cinder_volume_footer %}{% endblock %}\n'
              'USER cinder\n')
    macros = ('{% macro install_pip(names) %}'
              'pip install {{ names | join(" ") }}{% endmacro %}')
    text = (KOLLA / 'template-overrides.j2.sample').read_text()
    templates = {'parent': parent, 'macros.j2': macros,
                 'override': text}
    environment = jinja2.Environment(loader=jinja2.DictLoader(templates))
    lines = environment.get_template('override').render(
        parent_template='parent').split('\n')
    assert [line for line in lines if line.startswith('RUN')] == [
        'RUN pip install https://files.example.org/'
        'cinder_nec-2.0.0-py3-none-any.whl']
    assert 'FROM cinder-base' in lines and 'USER cinder' in lines


# -- TripleO -----------------------------------------------------------------

def test_tripleo_environment(tmp_path: Path):
    text = (TRIPLEO / 'cinder-nec-config.yaml.sample').read_text()
    given = yaml.safe_load(text)['parameter_defaults']
    extra = given['ControllerExtraConfig']
    sections: dict[str, dict[str, str]] = {
        'DEFAULT': {'enabled_backends': ','.join(
            extra['cinder_user_enabled_backends'])}}
    for name, setting in extra['cinder::config::cinder_config'].items():
        section, option = name.split('/')
        # Puppet writes words; a number would have become another one.
        assert isinstance(setting['value'], str), name
        sections.setdefault(section, {})[option] = setting['value']
    found = load(sections, tmp_path)
    assert found.pools == (0, 1) and found.backup_pools == (2,)
    assert found.known_hosts_file == '/var/lib/cinder/ssh_known_hosts'


# -- devstack ----------------------------------------------------------------

# What stack.sh does with a plugin, as far as it concerns this one: settings
# first, then plugin.sh in each phase; lib/cinder calls the functions.
STACK = r'''
set -o errexit
define_plugin() { echo "$1" >"$OUT/plugin"; }
is_service_enabled() { [[ $1 == c-vol ]]; }
setup_develop() { echo "$1" >>"$OUT/installed"; }
die() { echo "$2" >&2; exit 1; }
iniset() { printf '%s\t%s\t%s\t%s\n' "$@" >>"$OUT/ini"; }
DEST=/opt/stack
CINDER_CONF=/etc/cinder/cinder.conf
CINDER_STATE_PATH=$OUT
source "$DEVSTACK/settings"
source "$DEVSTACK/plugin.sh" stack pre-install
source "$DEVSTACK/plugin.sh" stack install
for be in ${CINDER_ENABLED_BACKENDS//,/ }; do
    configure_cinder_backend_${be%%:*} ${be##*:}
done
for be in ${CINDER_ENABLED_BACKENDS//,/ }; do
    init_cinder_backend_${be%%:*} ${be##*:}
done
source "$DEVSTACK/plugin.sh" stack post-config
source "$DEVSTACK/plugin.sh" unstack
source "$DEVSTACK/plugin.sh" clean
'''
LOCAL = {'CINDER_ENABLED_BACKENDS': 'nec:Storage1',
         'CINDER_NEC_ADDRESS': '192.168.1.10',
         'CINDER_NEC_PASSWORD': 'sys 123'}


def stack(tmp_path: Path, **local: str) -> subprocess.CompletedProcess[str]:
    if shutil.which('bash') is None:
        pytest.skip('missing: bash')
    return subprocess.run(
        ['bash', '-c', STACK], text=True, capture_output=True, timeout=60,
        env={'PATH': os.environ['PATH'], 'OUT': str(tmp_path),
             'DEVSTACK': str(DEVSTACK), **LOCAL, **local})


def sections_of(tmp_path: Path, **more: str) -> dict[str, dict[str, str]]:
    sections: dict[str, Any] = {'DEFAULT': {'enabled_backends': 'Storage1'}}
    for line in (tmp_path / 'ini').read_text().splitlines():
        file, section, option, value = line.split('\t')
        assert file == '/etc/cinder/cinder.conf'
        sections.setdefault(section, {})[option] = value
    return sections


def test_devstack_with_the_least(tmp_path: Path):
    done = stack(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
    assert (tmp_path / 'plugin').read_text() == 'cinder-nec\n'
    assert (tmp_path / 'installed').read_text() == (
        '/opt/stack/cinder-nec\n')
    found = load(sections_of(tmp_path), tmp_path)
    assert (found.address, found.user, found.password, found.port) == (
        '192.168.1.10', 'sysadmin', 'sys 123', 22)
    assert found.pools == () and found.private_key_file is None
    assert found.trust_on_first_use is True
    assert (tmp_path / 'ssh_known_hosts').read_text() == ''


def test_devstack_with_all(tmp_path: Path):
    key = '192.168.1.10 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI'
    local = {
        'CINDER_ENABLED_BACKENDS': 'nec:Storage1,nec:nec-2',
        'CINDER_NEC_DRIVER': 'MStorageDDRFCDriver',
        'CINDER_NEC_PORT': '2222', 'CINDER_NEC_USER': 'openstack',
        'CINDER_NEC_PRIVATE_KEY': '/etc/cinder/id_rsa',
        'CINDER_NEC_POOLS': '0,0ah', 'CINDER_NEC_BACKUP_POOLS': '2',
        'CINDER_NEC_OPTIONS': 'nec_report_pools=True '
                              'nec_diskarray_name=200000255C3A21CC',
        'CINDER_NEC_OPTIONS_nec_2': 'nec_iscsi_portals_per_cont=0',
        'CINDER_NEC_HOST_KEY': key}
    for _again in range(2):
        assert stack(tmp_path, **local).returncode == 0
    assert (tmp_path / 'ssh_known_hosts').read_text() == key + '\n'
    sections = sections_of(tmp_path)
    assert sections['nec-2']['nec_iscsi_portals_per_cont'] == '0'
    assert 'nec_iscsi_portals_per_cont' not in sections['Storage1']
    assert sections['nec-2']['volume_backend_name'] == 'nec-2'
    assert sections['Storage1']['volume_driver'] == (
        'cinder_nec.volume.MStorageDDRFCDriver')
    found = load(sections, tmp_path)
    assert found.pools == (0, 10) and found.backup_pools == (2,)
    assert found.report_pools is True
    assert found.private_key_file == '/etc/cinder/id_rsa'
    assert found.known_hosts_file == str(tmp_path / 'ssh_known_hosts')
    assert found.trust_on_first_use is False


@pytest.mark.parametrize('gone', ['CINDER_NEC_ADDRESS',
                                  'CINDER_NEC_PASSWORD'])
def test_devstack_says_what_is_missing(tmp_path: Path, gone: str):
    done = stack(tmp_path, **{gone: ''})
    assert done.returncode == 1
    assert done.stderr.startswith(f'Set {gone}')


SCRIPTS = [DEVSTACK / 'plugin.sh', DEVSTACK / 'settings',
           ROOT / 'packaging' / 'debian' / 'python3-cinder-nec.prerm']


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_has_nothing_to_say(script: Path):
    if shutil.which('shellcheck') is None:
        pytest.skip('missing: shellcheck (package shellcheck)')
    done = subprocess.run(['shellcheck', str(script)], text=True,
                          capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, '')
