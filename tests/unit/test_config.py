# SPDX-License-Identifier: Apache-2.0
"""Options of cinder.conf: read, checked, and refused in plain words."""

from __future__ import annotations

import importlib
import textwrap

from oslo_config import cfg
import pytest

from cinder_nec import config, errors
from cinder_nec.model import LdSetName
from tests.cinder import drivers  # noqa: F401  (first: registers objects)

from cinder.volume import configuration, driver  # isort: skip
from cinder.volume.drivers.san import san  # isort: skip
import cinder.ssh_utils  # noqa: E402, F401  isort: skip
from cinder_nec import opts  # isort: skip

GOOD = '''
nec_ismcli_fip = 192.0.2.1
nec_ismcli_user = sysadmin
nec_ismcli_password = sys123
'''


@pytest.fixture
def load(tmp_path):
    """Load a back end section, with other sections behind it."""
    def run(text: str, other: str = '') -> config.BackendConfig:
        path = tmp_path / 'cinder.conf'
        path.write_text(f'[nec1]\n{textwrap.dedent(text)}\n{other}')
        cfg.CONF.clear()
        cfg.CONF(['--config-file', str(path)], project='cinder')
        section = configuration.Configuration(
            driver.volume_opts, config_group='nec1')
        section.append_config_values(opts.nec_opts)
        section.append_config_values(san.san_opts)
        return config.load(section, 'MStorageISCSIDriver', 'node@nec1')
    yield run
    cfg.CONF.clear()


def test_a_dump_serves_the_stats_for_a_part_of_their_period(load):
    manager = importlib.import_module('cinder.volume.manager')
    assert manager.CONF is cfg.CONF
    shared = '[DEFAULT]\nbackend_stats_polling_interval = {}\n'
    assert load(GOOD).stats_fresh_seconds == 20
    assert load(GOOD, shared.format(3600)).stats_fresh_seconds == 1200


def test_no_figures_are_written_unless_asked_for(load):
    assert load(GOOD).metrics_file is None


@pytest.mark.parametrize('directory, expected', [
    ('/var/lib/metrics', '/var/lib/metrics/cinder-nec-node@nec1.prom'),
    ('metrics', '/var/lib/cinder/metrics/cinder-nec-node@nec1.prom')])
def test_each_back_end_has_a_file_of_figures(load, directory, expected):
    shared = '[DEFAULT]\nstate_path = /var/lib/cinder\n'
    found = load(f'{GOOD}nec_metrics_dir = {directory}\n', shared)
    assert found.metrics_file == expected


def test_a_host_cannot_lead_the_file_elsewhere():
    assert config.metrics_path('/m', '../a b@g') == (
        '/m/cinder-nec-.._a_b@g.prom')


def test_the_manuals_smallest_example(load):
    found = load(GOOD)
    assert found.address == '192.0.2.1'
    assert found.port == 22
    assert found.password == 'sys123'
    assert found.private_key_file is None
    assert found.pools == found.backup_pools == ()
    assert found.platform == found.backup_platform == 'LX'
    assert found.portals_per_controller == 1
    assert found.max_ld_count is None
    assert found.automatic_access_control is True
    assert found.legacy_view is None
    assert found.copy_within_seconds == 24 * 3600
    assert found.backend_name == 'MStorageISCSIDriver'
    assert 'node' in found.controller_hosts


def test_every_option_of_the_manual(load):
    found = load('''
        volume_backend_name = Gold
        nec_ismcli_fip = 2001:db8::1
        nec_ssh_pool_port_number = 2222
        nec_ismcli_user = u
        nec_ismcli_privkey = /etc/cinder/id_rsa
        nec_pools = 0, 1,0ah,10
        nec_backup_pools = 1fh
        nec_ldset = LX:Server1
        nec_ldset_for_controller_node = LX:OpenStack
        nec_ldname_format = LX:%s
        nec_backup_ldname_format = WN:%s
        nec_diskarray_name = 200000255C3A21CC
        nec_backend_max_ld_count = 256
        nec_iscsi_portals_per_cont = 2
        nec_auto_accesscontrol = False
        nec_queryconfig_view = True
        nec_ismview_alloptimize = True
        nec_actual_free_capacity = True
        nec_unpairthread_timeout = 10
        nec_cv_ldname_format = LX:__ControlVolume_%xh
        ssh_max_pool_conn = 7
        ''')
    assert found.backend_name == 'Gold'
    assert found.address == '2001:db8::1'
    assert found.port == 2222
    assert found.private_key_file == '/etc/cinder/id_rsa'
    assert found.pools == (0, 1, 10)
    assert found.backup_pools == (31,)
    assert found.ld_set == LdSetName('LX', 'Server1')
    assert found.controller_ld_set == LdSetName('LX', 'OpenStack')
    assert found.backup_platform == 'WN'
    assert found.max_ld_count == 256
    assert found.portals_per_controller == 2
    assert found.automatic_access_control is False
    assert found.legacy_view is True
    assert found.actual_capacity is True
    assert found.copy_within_seconds == 240
    assert found.control_volume_format == 'LX:__ControlVolume_%xh'
    assert found.max_sessions == 7


def test_values_may_stand_in_backend_defaults(load):
    found = load('nec_ismcli_fip = 192.0.2.1', '''
[backend_defaults]
nec_ismcli_user = shared
nec_ismcli_password = p
nec_iscsi_portals_per_cont = 0
nec_pools = 3
''')
    assert found.user == 'shared'
    assert found.portals_per_controller == 0
    assert found.pools == (3,)


@pytest.mark.parametrize('text, option, words', [
    ('', 'nec_ismcli_fip', 'nec_ismcli_fip is not set'),
    ('nec_ismcli_fip = 192.0.2.1', 'nec_ismcli_user',
     'nec_ismcli_user is not set'),
    ('nec_ismcli_fip = 192.0.2.1\nnec_ismcli_user = u',
     'nec_ismcli_password',
     'nec_ismcli_password or nec_ismcli_privkey must be set'),
    (GOOD + 'nec_ssh_pool_port_number = ssh', 'nec_ssh_pool_port_number',
     'ssh'),
    (GOOD + 'nec_ssh_pool_port_number = 70000',
     'nec_ssh_pool_port_number', 'less than or equal to 65535'),
    (GOOD + 'nec_pools = 0,xyz', 'nec_pools', 'xyz'),
    (GOOD + 'nec_pools = -1', 'nec_pools', '-1'),
    (GOOD + 'nec_backup_pools = 1f', 'nec_backup_pools', '1f'),
    (GOOD + 'nec_ldset = Server1', 'nec_ldset', 'Server1'),
    (GOOD + 'nec_cv_ldname_format = __CV_%xh', 'nec_cv_ldname_format',
     '__CV_%xh'),
    (GOOD + 'nec_cv_ldname_format = LX:CV', 'nec_cv_ldname_format',
     'LX:__ControlVolume_%xh'),
    (GOOD + 'nec_cv_ldname_format = LX:c;id%x', 'nec_cv_ldname_format',
     'LX:c;id'),
    (GOOD + 'nec_cv_ldname_format = LX:AVeryLongControlVolu_%xh',
     'nec_cv_ldname_format', 'cannot be used'),
    (GOOD + 'nec_ldset = LX:a;id', 'nec_ldset', 'a;id'),
    (GOOD + 'nec_ldname_format = cinder-%s', 'nec_ldname_format',
     'cinder-'),
    (GOOD + 'nec_ldname_format =', 'nec_ldname_format', ''),
    (GOOD + 'nec_iscsi_portals_per_cont = -3',
     'nec_iscsi_portals_per_cont', 'greater than or equal to 0'),
    (GOOD + 'nec_auto_accesscontrol = perhaps', 'nec_auto_accesscontrol',
     'perhaps'),
    (GOOD + 'nec_unpairthread_timeout = 0', 'nec_unpairthread_timeout',
     'greater than or equal to 1'),
    ('nec_ismcli_fip = no such host!\nnec_ismcli_user = u',
     'nec_ismcli_fip', 'no such host'),
])
def test_a_wrong_option_is_named_with_what_to_do(load, text, option,
                                                 words):
    with pytest.raises(errors.ConfigError) as caught:
        load(text)
    assert caught.value.option == option
    assert option in str(caught.value)
    assert words in str(caught.value)
    assert caught.value.hint
    assert 'MStorageISCSIDriver' in str(caught.value)


def test_the_password_is_not_in_any_text(load):
    assert 'sys123' not in repr(load(GOOD))


@pytest.mark.parametrize('written, trusts', [
    ('', False),
    ('strict_ssh_host_key_policy = False', True),
    ('strict_ssh_host_key_policy = True', False),
])
def test_unknown_hosts_are_trusted_only_where_that_is_written(
        load, written, trusts):
    assert load(GOOD, f'[DEFAULT]\n{written}').trust_on_first_use is trusts


def test_an_option_without_effect_is_accepted_with_a_warning(load, caplog):
    load(GOOD + 'nec_ismview_dir = /tmp/nec/cinder')
    assert 'nec_ismview_dir has no effect' in caplog.text
    caplog.clear()
    load(GOOD)
    assert not caplog.records
