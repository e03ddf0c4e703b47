# SPDX-License-Identifier: Apache-2.0
"""The samples in etc/ are configurations that the driver accepts."""

from __future__ import annotations

import importlib
from pathlib import Path

from oslo_config import cfg
import pytest

from cinder_nec import config, opts
from tests.cinder import drivers  # first: it registers objects

from cinder.volume import configuration, driver, manager  # isort: skip
from cinder.volume.drivers.san import san  # isort: skip
import cinder.ssh_utils  # noqa: E402, F401  isort: skip

SAMPLES = sorted((Path(__file__).parents[2] / 'etc').glob('*.conf.sample'))


@pytest.fixture(autouse=True)
def clean():
    yield
    cfg.CONF.clear()


def read(path: Path) -> tuple[str, config.BackendConfig]:
    cfg.CONF.clear()
    cfg.CONF(['--config-file', str(path)], project='cinder')
    section = configuration.Configuration(driver.volume_opts,
                                          config_group='Storage1')
    section.append_config_values(manager.volume_backend_opts)
    section.append_config_values(opts.nec_opts)
    section.append_config_values(san.san_opts)
    return section.volume_driver, config.load(section, 'x', 'node@Storage1')


def test_there_is_one_for_each_class():
    named = {read(path)[0].rpartition('.')[2] for path in SAMPLES}
    assert named == {driver.__name__ for driver in drivers.DRIVERS}


@pytest.mark.parametrize('path', SAMPLES, ids=lambda p: p.name)
def test_sample_loads_and_names_a_class_that_exists(path):
    dotted, found = read(path)
    module, _, name = dotted.rpartition('.')
    assert hasattr(importlib.import_module(module), name)
    assert found.pools == (0, 1)
    assert found.backup_pools[0] == 2


@pytest.mark.parametrize('path', SAMPLES, ids=lambda p: p.name)
def test_sample_loads_with_every_commented_option_switched_on(
        path, tmp_path):
    text = path.read_text()
    known = {option.name for option in [*opts.nec_opts, *san.san_opts]}
    lines = [line[1:] if line.startswith('#')
             and line[1:].split(' =')[0] in known else line
             for line in text.splitlines()]
    assert lines != text.splitlines()
    changed = tmp_path / 'cinder.conf'
    changed.write_text('\n'.join(lines))
    _dotted, found = read(changed)
    assert found.private_key_file == '/etc/cinder/id_rsa'
    assert found.controller_ld_set is not None
