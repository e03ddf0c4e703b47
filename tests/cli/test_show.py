# SPDX-License-Identifier: Apache-2.0
"""``cinder-nec show``, ``copies`` and ``list`` from the array alone."""

from __future__ import annotations

import csv
import io

import pytest

from cinder_nec import naming
from tests.cli.conftest import BASE, CLONE, IDS, SNAPSHOT, VOLUME
from tests.cli.site import GOLD, SILVER, Site

TIB = 1 << 40


def test_pools(site: Site) -> None:
    found = {(r['Back end'], r['Pool']): r
             for r in site.rows('show', 'pools')}
    volumes, snapshots = found[GOLD, '0 (0h)'], found[GOLD, '1 (1h)']
    assert (volumes['For'], snapshots['For']) == ('volumes', 'snapshots')
    assert volumes['Capacity'] == 10 * TIB
    assert volumes['Free'] == site.array.pool_free(0)
    assert volumes['LDs'] == sum(
        ld.pool == 0 for ld in site.array.lds().values())
    thin = found[SILVER, '3 (3h)']
    assert (thin['Actual capacity'], thin['For']) == (2 * TIB, 'volumes')
    # More free than there is, as arrays may say: not less than nothing.
    assert found[GOLD, '2 (2h)']['Used'] == 0


def test_limits(site: Site) -> None:
    site.sections[GOLD]['nec_backend_max_ld_count'] = 20
    found = {r['What']: r for r in site.rows('show', 'limits', '--backend',
                                             GOLD)}
    lds = found['logical disks of the array']
    assert (lds['Count'], lds['Limit']) == (len(site.array.lds()), 4096)
    own = found['nec_backend_max_ld_count']
    assert own['Limit'] == 20 and own['Used'] == 100 * own['Count'] / 20
    assert found['initiators in LX:compute1']['Limit'] == 16


def test_ld_sets_and_ports(site: Site) -> None:
    found = {r['LD Set']: r for r in site.rows('show', 'ld-sets',
                                               '--backend', GOLD)}
    one = found['LX:compute1']
    assert one['Hosts'] == 'iqn.1994-05.com.redhat:compute1'
    assert (one['LDs'], one['Mode']) == (1, 'Multi-Target')
    assert one['Portals'].split(',')[0] == '127.0.0.11:3260'
    assert found['WN:Exchange']['Hosts'].split(',') == [
        '10000090faa07861', '10000090faa07862']
    ports = {r['Port']: r for r in site.rows('show', 'ports', '--backend',
                                             GOLD)}
    assert ports['00-02']['Link'] == 'up'
    assert ports['01-01']['Link'] == 'down'


def test_overview(site: Site) -> None:
    status, out, err = site.run('show', '--backend', GOLD)
    assert (status, err) == (0, '')
    for word in ('Pools', 'Limits', 'LD Sets', 'Host ports', '█', 'M310'):
        assert word in out
    rows = site.rows('show', '--backend', GOLD)
    assert {r['Table'] for r in rows} == {'pools', 'limits', 'ld-sets',
                                          'ports'}


def test_one_dump_for_two_back_ends_on_one_array(site: Site) -> None:
    mark = site.array.mark()
    site.rows('show', 'pools')
    assert [c.text for c in site.array.journal(mark)] == [
        'iSMquery -cinder -xml -all']


@pytest.mark.parametrize('command', [
    ('show',), ('show', 'pools'), ('copies',), ('list',)])
def test_the_one_that_does_not_answer(site: Site,
                                      command: tuple[str, ...]) -> None:
    site.sections[SILVER].update(nec_ssh_pool_port_number=1)
    status, out, err = site.run(*command, '-f', 'csv')
    rows = list(csv.DictReader(io.StringIO(out)))
    assert status == 2 and rows
    assert {r['Back end'] for r in rows} == {GOLD}
    assert err.startswith('cinder-nec: silver: Connection with the disk')


@pytest.mark.parametrize('form', ['json', 'yaml', 'csv', 'value'])
def test_formats(site: Site, form: str) -> None:
    status, out, _err = site.run('list', '--backend', GOLD, '-f', form,
                                 '-c', 'ID', '-c', 'LDN')
    assert status == 0 and IDS[0] in out and '0014h' in out


# -- copies -----------------------------------------------------------------

def test_copies(site: Site) -> None:
    """4 GiB at 20 MiB/s, and two minutes have passed."""
    (row,) = site.rows('copies')
    assert (row['From'], row['To']) == (VOLUME, CLONE)
    assert (row['From ID'], row['To ID']) == (IDS[0], IDS[1])
    assert (row['State'], row['Kind']) == ('sep/exec', 'copy')
    # The array shows KB.
    assert row['Left'] >> 20 == 4096 - 120 * 20 - 1
    assert row['Done'] == 58
    # The other back end has nothing to do with it.
    assert row['Back end'] == GOLD


def test_copies_all_and_watch(site: Site) -> None:
    status, _out, err = site.run('copies', '--watch', '-f', 'json')
    assert status == 3 and 'table only' in err


# -- list -------------------------------------------------------------------

def test_list(site: Site) -> None:
    found = {r['ID']: r for r in site.rows('list')}
    assert set(found) == set(IDS[:4])
    assert {r['Back end'] for r in found.values()} == {GOLD}
    volume, clone, base, snapshot = (found[i] for i in IDS[:4])
    assert volume['Mapped to'] == 'LX:compute1'
    assert volume['Belongs to'] == 'MV of 1'
    assert clone['Belongs to'] == f'RV of {VOLUME} (sep/exec)'
    assert (clone['LDN'], clone['Pool'], clone['Size']) == (
        '0015h', 0, 4 << 30)
    assert base['Belongs to'] == 'BV of 1'
    assert snapshot['Belongs to'] == (
        f'generation -1 of {BASE} (snap/active)')
    assert (snapshot['Type'], snapshot['LD name']) == (
        'snapshot', f'LX:{SNAPSHOT}')
    assert volume['LD name'] == f'LX:{naming.ld_name(IDS[0])}'


def test_quick_list_asks_for_nothing_more(site: Site) -> None:
    mark = site.array.mark()
    assert len(site.rows('list', '--quick', '--backend', GOLD)) == 4
    assert len(site.array.journal(mark)) == 1


def test_list_with_a_cloud_that_does_not_answer(site: Site) -> None:
    status, out, err = site.run(
        'list', '--backend', GOLD, '-f', 'value', env={
            'OS_AUTH_TYPE': 'noauth', 'OS_USER_ID': 'u',
            'OS_PROJECT_ID': 'a' * 32,
            'CINDER_ENDPOINT': 'http://127.0.0.1:1/v3'})
    assert status == 2 and IDS[0] in out
    assert 'from the array alone' in err
    status, out, err = site.run(
        'list', '--backend', GOLD, '-f', 'value', '--array-only', env={
            'OS_AUTH_TYPE': 'noauth'})
    assert (status, err) == (0, '') and IDS[0] in out
