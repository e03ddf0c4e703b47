# SPDX-License-Identifier: Apache-2.0
"""The driver's methods against Cinder's interface and its real calls.

Cinder's compliance test only asks ``issubclass`` of classes without
abstract methods, which an empty class passes.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
import re
import subprocess
import sys

import pytest

from tests.cinder.drivers import DRIVERS  # first: it registers objects

from cinder import interface  # isort: skip
from cinder.interface import base, volume_driver  # isort: skip
from cinder.volume import manager  # isort: skip
from cinder.volume.flows.manager import create_volume  # isort: skip

CHECKED = (base.CinderInterface, volume_driver.VolumeDriverCore)


def interface_methods():
    for owner in CHECKED:
        for name, method in vars(owner).items():
            if inspect.isfunction(method) and not name.startswith('__'):
                yield name, method


def driver_calls(module, receiver):
    """Yield (method, positional count, keywords) of calls in a module."""
    tree = ast.parse(Path(module.__file__).read_text())
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and ast.unparse(node.func.value) == receiver):
            continue
        if any(isinstance(a, ast.Starred) for a in node.args) or any(
                k.arg is None for k in node.keywords):
            continue
        yield (node.func.attr, len(node.args),
               tuple(k.arg for k in node.keywords))


CALLS = sorted({*driver_calls(manager, 'self.driver'),
                *driver_calls(create_volume, 'self.driver')})


@pytest.mark.parametrize('driver', DRIVERS, ids=lambda d: d.__name__)
@pytest.mark.parametrize('name, method', interface_methods(),
                         ids=lambda v: v if isinstance(v, str) else '')
def test_takes_what_the_interface_declares(driver, name, method):
    ours = inspect.getattr_static(driver, name)
    if isinstance(ours, property):
        ours = ours.fget
    wanted = inspect.signature(method).parameters.values()
    values = [None for p in wanted if p.kind is p.POSITIONAL_OR_KEYWORD
              and p.default is p.empty]
    if isinstance(ours, staticmethod):
        ours, values = ours.__func__, values[1:]
    inspect.signature(ours).bind(*values)


@pytest.mark.parametrize('driver', DRIVERS, ids=lambda d: d.__name__)
@pytest.mark.parametrize('call', CALLS, ids=lambda c: f'{c[0]}-{c[1]}')
def test_takes_what_the_manager_passes(driver, call):
    name, positional, keywords = call
    method = getattr(driver, name)
    given = [None] * positional
    if not isinstance(inspect.getattr_static(driver, name),
                      (staticmethod, classmethod)):
        given.insert(0, None)
    inspect.signature(method).bind(*given, **dict.fromkeys(keywords))


def test_the_manager_calls_were_found():
    names = {name for name, _positional, _keywords in CALLS}
    assert {'create_volume', 'terminate_connection', 'create_snapshot',
            'update_migrated_volume', 'extend_volume'} <= names


@pytest.mark.parametrize('driver', DRIVERS, ids=lambda d: d.__name__)
def test_is_a_registered_complete_driver(driver):
    assert driver in interface._volume_register
    assert not inspect.isabstract(driver)
    assert driver.VERSION[0].isdigit()
    assert driver.CI_WIKI_NAME
    assert 'Version history' in driver.__doc__


@pytest.mark.parametrize('driver', DRIVERS, ids=lambda d: d.__name__)
def test_names_the_options_it_reads(driver):
    names = {option.name for option in driver.get_driver_options()}
    assert {'nec_ismcli_fip', 'nec_pools', 'ssh_conn_timeout'} <= names


def test_passes_cinders_own_compliance_test(tmp_path):
    """Run as Cinder documents it, with our module imported first."""
    script = tmp_path / 'test_compliance.py'
    script.write_text(
        'from cinder import objects\n'
        'objects.register_all()\n'
        'import cinder_nec.volume\n'
        'from cinder.tests.compliance.test_volume_drivers import *\n')
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'testtools.run',
         'test_compliance'], cwd=tmp_path, capture_output=True, text=True,
        timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    ran = re.search(r'Ran (\d+) tests?', done.stdout + done.stderr)
    assert ran is not None
    in_tree = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'testtools.run',
         'cinder.tests.compliance.test_volume_drivers'], cwd=tmp_path,
        capture_output=True, text=True, timeout=170)
    without = re.search(r'Ran (\d+) tests?',
                        in_tree.stdout + in_tree.stderr)
    assert without is not None
    assert int(ran[1]) == int(without[1]) + len(DRIVERS)


IN_ONE_PROCESS = '''
import sys
from cinder import objects
objects.register_all()
from cinder.volume import configuration, driver
from cinder.volume.drivers.san import san
from oslo_config import cfg

def ours():
    from cinder_nec import opts
    import cinder_nec.volume
    section = configuration.Configuration(driver.volume_opts,
                                          config_group='ours')
    section.append_config_values(opts.nec_opts)
    return section

def theirs():
    import cinder.volume.drivers.nec.volume as peer
    section = configuration.Configuration(driver.volume_opts,
                                          config_group='theirs')
    section.append_config_values(
        peer.MStorageISCSIDriver.get_driver_options())
    return section

order = {'ours': ours, 'theirs': theirs}
sections = {name: order[name]() for name in sys.argv[1:3]}
cfg.CONF(['--config-file', sys.argv[3]])
print(sections['ours'].nec_ismcli_fip, sections['ours'].nec_pools,
      sections['theirs'].nec_ismcli_fip,
      sections['theirs'].nec_iscsi_portals_per_cont)
'''


@pytest.mark.parametrize('order', [('ours', 'theirs'), ('theirs', 'ours')])
def test_loads_beside_the_in_tree_driver(tmp_path, order):
    conf = tmp_path / 'cinder.conf'
    conf.write_text('[ours]\nnec_ismcli_fip = 192.0.2.1\n'
                    '[theirs]\nnec_ismcli_fip = 192.0.2.2\n'
                    '[backend_defaults]\nnec_pools = 0,ah\n')
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', IN_ONE_PROCESS, *order,
         str(conf)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split('\n')[-2] == (
        "192.0.2.1 ['0', 'ah'] 192.0.2.2 0")


def test_the_sample_generator_shows_the_options():
    done = subprocess.run(
        [str(Path(sys.executable).with_name('oslo-config-generator')),
         '--namespace', 'cinder_nec'], capture_output=True, text=True,
        timeout=120)
    assert done.returncode == 0, done.stderr
    assert '#nec_ismcli_fip' in done.stdout
    assert '#nec_iscsi_portals_per_cont = 1' in done.stdout
