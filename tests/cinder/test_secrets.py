# SPDX-License-Identifier: Apache-2.0
"""What may be printed of a back end: never its password."""

from __future__ import annotations

import copy
import pickle
import traceback

from tests.cinder.drivers import DRIVERS  # first: it registers objects

from cinder import exception  # isort: skip
from oslo_config import cfg  # isort: skip
from oslo_reports.generators import conf as reports  # isort: skip
import pytest  # isort: skip

from cinder_nec import assembly, opts  # isort: skip
from cinder_nec.ismcli.ssh import SshSettings  # isort: skip
from tests.faults.rig import config_with  # isort: skip

PASSWORD = 'do-not-tell-Passw0rd'


def test_values_do_not_show_it():
    config = config_with(password=PASSWORD)
    settings = SshSettings(host='192.0.2.1', user='sysadmin',
                           password=PASSWORD)
    for value in (config, settings, copy.copy(config),
                  assembly.array_key(config)):
        for shown in (repr(value), str(value), f'{value}', f'{[value]}'):
            assert PASSWORD not in shown
    # It is there all the same.
    assert PASSWORD.encode() in pickle.dumps(config)


def test_a_report_of_cinders_state_does_not_show_it():
    """The guru meditation report, which an operator makes of a service."""
    conf = cfg.ConfigOpts()
    conf.register_opts(opts.nec_opts, group='gold')
    conf([], default_config_files=[])
    conf.set_override('nec_ismcli_password', PASSWORD, group='gold')
    model = reports.ConfigReportGenerator(conf)()
    model.set_current_view_type('text')
    report = str(model)
    assert 'nec_ismcli_password' in report
    assert PASSWORD not in report


@pytest.mark.parametrize('cls', DRIVERS, ids=lambda cls: cls.__name__)
def test_exceptions_do_not_show_it(cls, monkeypatch, tmp_path):
    """A start that fails, with all that was on the way to it."""
    made = object.__new__(cls)
    made._driver_name, made.host = cls.__name__, 'node@gold'
    made._backend = assembly.build(
        config_with(address='127.0.0.1', port=1, password=PASSWORD,
                    known_hosts_file=str(tmp_path / 'hosts')),
        cls.PROTOCOL, cls.METHOD)
    monkeypatch.setattr(assembly.retry.RetryPolicy, 'delays',
                        lambda *_arguments: iter(()))
    with pytest.raises(exception.CinderException) as caught:
        made.check_for_setup_error()
    told = ''.join(traceback.format_exception(caught.value))
    assert '127.0.0.1' in told
    assert PASSWORD not in told
