# SPDX-License-Identifier: Apache-2.0
"""``cinder-nec check`` on a real SSH connection to a simulated array."""

from __future__ import annotations

import os
from pathlib import Path
import socket
import types
from typing import Any

import pytest

from cinder_nec import errors
from cinder_nec.cli import (
    check_connection,
    check_figures,
    check_options,
)
from cinder_nec.cli.catalog import BY_ID
from cinder_nec.cli.findings import Report
from cinder_nec.cli.reading import Arrays
from cinder_nec.cli.site import read_site
from cinder_nec.model import LdName
from tests import necctl
from tests.cli.site import GOLD, SILVER, Site

# What the array of these tests has; not a fault of the check's.
KNOWN = {'unrecognized': 'warning'}


def levels(findings: list[dict[str, Any]]) -> dict[str, str]:
    """Return the worst level of each check."""
    order = ['ok', 'warning', 'error']
    worst: dict[str, str] = {}
    for row in findings:
        worst[row['Check']] = max(worst.get(row['Check'], 'ok'),
                                  row['Level'], key=order.index)
    return worst


def problems(findings: list[dict[str, Any]]) -> dict[str, str]:
    """Return what is not well, beyond what is known."""
    return {check: level for check, level in levels(findings).items()
            if level != 'ok' and KNOWN.get(check) != level}


def test_all_is_well(site: Site) -> None:
    findings = site.check()
    assert problems(findings) == {}
    found = levels(findings)
    # All that is looked at, but for what this site has none of.
    assert set(BY_ID) - set(found) == {
        'enabled', 'idle-option', 'key-file', 'limit-backend',
        'metrics-dir'}
    assert all(not row['What to do'] for row in findings
               if row['Level'] == 'ok')


def test_both_protocols_and_methods(site: Site) -> None:
    found = site.rows('check', status=1)
    assert {row['Back end'] for row in found} == {GOLD, SILVER}
    silver = levels([r for r in found if r['Back end'] == SILVER])
    assert 'portals' not in silver and 'snapshot-command' not in silver
    assert silver['ports'] == 'warning'  # one FC port is down
    texts = [r['Finding'] for r in found if r['Back end'] == SILVER]
    assert 'controller1: 10000090faa00100, 10000090faa00101.' in texts


@pytest.mark.parametrize(('option', 'value', 'check', 'level'), [
    ('nec_pool', '0', 'unknown-option', 'warning'),
    ('volume_backend_nam', 'gold', 'unknown-option', 'warning'),
    ('nec_ismview_dir', '/tmp', 'idle-option', 'warning'),
    ('nec_ismcli_fip', None, 'options', 'error'),
    ('nec_iscsi_portals_per_cont', 'many', 'options', 'error'),
    ('nec_ismcli_privkey', '/nowhere/id_rsa', 'key-file', 'error'),
    ('nec_ismcli_fip', 'array.invalid', 'address', 'error'),
    ('nec_ismcli_password', 'wrong', 'login', 'error'),
    ('nec_pools', '7', 'pools', 'error'),
    ('nec_backup_pools', '9', 'backup-pools', 'error'),
    ('nec_backup_pools', '1,2', 'backup-pools', 'error'),
    ('nec_backup_pools', None, 'backup-pools', 'warning'),
    ('nec_backup_pools', '3', 'reserve', 'warning'),
    ('nec_ldset', 'LX:Nowhere', 'ld-sets', 'error'),
    ('nec_ldset', 'WN:Exchange', 'ld-sets', 'error'),
    ('nec_backend_max_ld_count', '5', 'limit-backend', 'error'),
    ('volume_driver', 'cinder.volume.drivers.nec.volume.MStorageISCSIDriver',
     'driver', 'warning'),
    ('volume_driver', 'cinder_nec.volume.MStorageDriver', 'driver',
     'error'),
])
def test_a_wrong_option(site: Site, option: str, value: str | None,
                        check: str, level: str) -> None:
    site.sections[GOLD][option] = value
    found = site.check()
    assert problems(found).get(check) == level
    (row, *_more) = [r for r in found if r['Check'] == check
                     and r['Level'] == level]
    assert row['Meaning'] and row['What to do'] and row['Finding']


def test_a_misspelt_option_is_explained(site: Site) -> None:
    site.sections[GOLD]['nec_pool'] = '0'
    (row,) = [r for r in site.check() if r['Check'] == 'unknown-option']
    assert row['What to do'] == 'Did you mean nec_pools?'


def test_nobody_listens(site: Site) -> None:
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        site.sections[GOLD]['nec_ssh_pool_port_number'] = (
            taken.getsockname()[1])
        assert problems(site.check())['tcp'] == 'error'


def test_something_else_listens(site: Site) -> None:
    with socket.create_server(('127.0.0.1', 0)) as silent:
        site.sections[GOLD]['nec_ssh_pool_port_number'] = (
            silent.getsockname()[1])
        site.sections[GOLD]['ssh_conn_timeout'] = 1
        silent.listen()
        assert _closing(silent, site)['ssh'] == 'error'


def _closing(server: socket.socket, site: Site) -> dict[str, str]:
    """Check while a server closes each connection at once."""
    import threading

    def work() -> None:
        while True:
            try:
                server.accept()[0].close()
            except OSError:
                return

    threading.Thread(target=work, daemon=True).start()
    return problems(site.check())


@pytest.mark.parametrize('policy', [None, 'True', 'False'])
def test_a_host_key_that_is_not_known(site: Site,
                                      policy: str | None) -> None:
    """Trust on first use only where it is asked for; nothing is stored."""
    site.known_hosts.write_text('')
    site.sections['DEFAULT']['strict_ssh_host_key_policy'] = policy
    found = problems(site.check())
    assert found == {'host-key': 'warning' if policy == 'False'
                     else 'error'}
    assert site.known_hosts.read_text() == ''


def test_another_host_key(site: Site) -> None:
    kind, key = site.array.known_hosts_line().split()[1:]
    other = key[:-8] + ('A' if key[-8] != 'A' else 'B') + key[-7:]
    name = site.array.known_hosts_line().split()[0]
    site.known_hosts.write_text(f'{name} {kind} {other}\n')
    site.sections['DEFAULT']['strict_ssh_host_key_policy'] = 'False'
    assert problems(site.check()) == {'host-key': 'error'}


def test_a_file_that_only_root_can_read(
        site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is well for root, and the service will not start."""
    for module in (check_connection, check_options):
        monkeypatch.setattr(module, 'service_can_read', lambda path: False)
    assert problems(site.check()) == {'host-key': 'error'}


def test_a_section_that_is_not_enabled(site: Site) -> None:
    site.sections['DEFAULT']['enabled_backends'] = SILVER
    assert problems(site.check()) == {'enabled': 'warning'}


# -- the array's state ------------------------------------------------------

@pytest.mark.parametrize(('prefix', 'text', 'check'), [
    ('iSMquery', 'The licence of the function is not released.', 'query'),
    ('iSMsc_query', 'The licence is not released.', 'snapshot-command'),
    ('iSMrc_query', 'The licence is not released.', 'replication-command')])
def test_a_command_that_is_refused(site: Site, prefix: str, text: str,
                                   check: str) -> None:
    site.array.control.add_fault('refuse', prefix=prefix, text=text,
                                 times=None)
    try:
        assert problems(site.check())[check] == 'error'
    finally:
        site.array.control.clear_faults()


def test_an_answer_that_breaks_off(site: Site) -> None:
    site.array.control.add_fault('truncate', prefix='iSMquery', times=None)
    try:
        assert problems(site.check()) == {'query': 'error'}
    finally:
        site.array.control.clear_faults()


def test_an_array_that_hangs(site: Site) -> None:
    site.array.control.add_fault('hang_before', prefix='iSMquery',
                                 times=None)
    try:
        assert problems(site.check('--patience', '0.5')) == {
            'query': 'error'}
    finally:
        site.array.control.clear_faults()


def test_a_port_without_link(site: Site) -> None:
    call = site.array.control.call
    call('port_link', port='00-02', up=False)
    try:
        assert problems(site.check()) == {'ports': 'warning',
                                          'portals': 'warning'}
        for port in ('00-03', '01-02', '01-03'):
            call('port_link', port=port, up=False)
        assert problems(site.check()) == {'ports': 'error',
                                          'portals': 'error'}
    finally:
        for port in ('00-02', '00-03', '01-02', '01-03'):
            call('port_link', port=port, up=True)


def test_a_full_pool_and_a_copy_that_stopped(site: Site) -> None:
    from tests.cli.conftest import CLONE
    call = site.array.control.call
    call('pool_free', pool=0, free='10 GiB')
    call('pair_state', rv=CLONE, state='fault')
    try:
        assert problems(site.check()) == {'pool-room': 'warning',
                                          'stopped-copies': 'warning'}
    finally:
        call('pair_state', rv=CLONE, state='separated')
        call('pool_free', pool=0, free='9 TiB')


# -- this host --------------------------------------------------------------

def test_a_host_without_a_name(site: Site,
                               host: dict[str, object]) -> None:
    host.clear()
    assert problems(site.check()) == {'initiator': 'warning'}
    host['broken'] = True
    assert problems(site.check()) == {'initiator': 'warning'}


def test_the_ld_set_of_this_host(site: Site,
                                 host: dict[str, object]) -> None:
    def text() -> str:
        (row,) = [r for r in site.check() if r['Check'] == 'host-ld-set']
        return str(row['Finding'])

    assert text() == ('LX:edhatcontroller1, which is made at the first '
                      'attach.')
    host['initiator'] = 'iqn.1994-05.com.redhat:compute1'
    assert text() == 'LX:compute1.'
    site.sections[GOLD]['nec_auto_accesscontrol'] = 'False'
    assert text() == 'LX:compute1.'
    host['initiator'] = 'iqn.1994-05.com.redhat:stranger'
    assert problems(site.check()) == {'host-ld-set': 'error'}


def test_no_change_passes(site: Site) -> None:
    """The connection itself lets none through; the fixture looks, too."""
    site.write()
    (entry, *_more) = read_site([str(site.conf)]).entries
    assert entry.config is not None
    with Arrays() as arrays:
        client = arrays.of(entry.config).client
        assert client.query_all().product_id == 'M310'
        with pytest.raises(errors.StateError):
            client.ldunbind(LdName('LX', 'oracle_data'))
    assert 'LX:oracle_data' in site.array.lds()


# -- several back ends ------------------------------------------------------

def test_one_that_does_not_answer_does_not_stop_the_other(
        site: Site) -> None:
    site.sections[SILVER]['nec_ismcli_fip'] = '127.0.0.99'
    site.sections[SILVER]['nec_ssh_pool_port_number'] = 1
    found = site.rows('check', status=2)
    gold = [r for r in found if r['Back end'] == GOLD]
    # Both have one name, and are on two arrays now.
    assert problems(gold) == {'array-name': 'warning'}
    assert problems([r for r in found if r['Back end'] == SILVER])[
        'tcp'] == 'error'


def test_pools_and_names_of_several_back_ends(site: Site) -> None:
    site.sections[SILVER].update(nec_pools='0,3', nec_diskarray_name='B')
    found = [r for r in site.rows('check', status=1)
             if r['Back end'] == GOLD]
    assert problems(found) == {'shared-pools': 'warning',
                               'array-name': 'warning'}


def test_one_whose_class_or_section_is_misspelt(site: Site) -> None:
    """Neither is passed by because it looks like another driver's."""
    site.sections['DEFAULT']['enabled_backends'] = 'gold,silver,golt,lvm'
    site.sections['lvm'] = {'volume_driver': 'cinder.volume.drivers.lvm.X'}
    site.sections[SILVER]['volume_driver'] = 'cinder_nec.volume.MStorage'
    found = site.rows('check', status=2)
    assert {r['Back end']: r['Check'] for r in found
            if r['Level'] == 'error'} == {SILVER: 'driver',
                                          'golt': 'driver'}
    assert {r['Back end'] for r in found} == {GOLD, SILVER, 'golt'}


def test_for_people(site: Site) -> None:
    site.sections[GOLD]['nec_pool'] = '0'
    status, out, err = site.run('check', '--backend', GOLD)
    assert (status, err) == (1, '')
    assert 'To do: Did you mean nec_pools?' in out
    assert '31 ok' not in out and ' ok, 2 warnings, 0 errors' in out
    status, short, _err = site.run('check', '--backend', GOLD,
                                   '--problems')
    assert status == 1 and len(short) < len(out)
    assert 'To do: Did you mean nec_pools?' in short


# -- what cannot be checked -------------------------------------------------

def test_a_file_that_must_not_be_read(site: Site) -> None:
    """Clear words, and no traceback, for a user without the right."""
    site.run('check')  # what is imported late is read as root
    site.conf.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.chmod(site.conf.parent, 0o755)
        os.seteuid(65534)
    try:
        status, out, err = necctl.run('check', '--config-file',
                                      str(site.conf))
    finally:
        if is_root:
            os.seteuid(0)
    assert (status, out) == (3, '')
    assert err.count('\n') == 1
    # A directory above that is closed, too, looks as if it were not there.
    assert 'permission denied' in err or 'cannot be read by' in err


def test_no_file_and_no_such_back_end(site: Site, tmp_path: Path) -> None:
    status, _out, err = necctl.run('check', '--config-file',
                                   str(tmp_path / 'none.conf'))
    assert status == 3 and 'cannot be found' in err
    status, _out, err = site.run('check', '--backend', 'bronze')
    assert status == 3 and 'no section [bronze]' in err
    assert 'gold, silver' in err
    site.sections['DEFAULT']['enabled_backends'] = 'lvm'
    site.sections['lvm'] = {'volume_driver': 'cinder.volume.drivers.lvm.X'}
    status, _out, err = site.run('check')
    assert status == 3 and 'no back end' in err


@pytest.mark.parametrize('line', [
    ['chek'], ['check', '--nonsense'], ['check', '--timeout', '-1'],
    ['check', '-f', 'html']])
def test_a_wrong_command_line(line: list[str]) -> None:
    assert necctl.run(*line)[0] == 3


def test_no_secret_in_the_log(site: Site) -> None:
    """necctl.run() looks for the password in all that is written."""
    for command in (('-v', '-v', 'check'), ('--debug', 'show'),
                    ('-v', '-v', '-v', 'list')):
        status, out, _err = site.run(*command)
        assert status < 2 and out


def test_help_and_completion() -> None:
    status, out, _err = necctl.run('--help')
    assert status == 0
    for command in ('check', 'show', 'copies', 'list', 'audit'):
        assert f'\n  {command} ' in out
    status, out, _err = necctl.run('complete')
    assert status == 0
    assert "cmds_show='" in out and 'copies' in out and '--problems' in out
    assert necctl.run()[1] == necctl.run('help')[1]


def test_the_directory_for_prometheus(site: Site, tmp_path: Path) -> None:
    site.sections[GOLD]['nec_metrics_dir'] = tmp_path / 'metrics'
    [row] = [r for r in site.check() if r['Check'] == 'metrics-dir']
    assert (row['Level'], row['Finding']) == (
        'warning', f'{tmp_path}/metrics is not there.')
    (tmp_path / 'metrics').mkdir()
    assert levels(site.check())['metrics-dir'] == 'ok'


def test_a_pyparsing_that_breaks_the_scheduler(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('pyparsing.__version__', '3.3.3')
    report = Report(GOLD)
    check_figures.check_figures(types.SimpleNamespace(config=None), report)
    [finding] = report.findings
    assert finding.check.id == 'functions'
    assert 'DriverFilter' in finding.meaning
