# SPDX-License-Identifier: Apache-2.0
"""The dump and the text views."""

import xml.etree.ElementTree as ElementTree

import pytest

from ismsim.messages import Id

DUMP = 'iSMquery -cinder -xml -all'
GIB = 1 << 30


def dump(bench, command=DUMP):
    return ElementTree.fromstring(bench.ok(command))


def units(section):
    return {unit.get('name'): unit.text for unit in section}


def sections(root, chapter, obj, name):
    return [units(section) for section in root.findall(
        f'CMD_REQUEST/CHAPTER[@name="{chapter}"]/OBJECT[@name="{obj}"]/'
        f'SECTION[@name="{name}"]')]


def lds(root):
    return {ld['LDN(h)']: ld for ld in sections(
        root, 'Logical Disk', 'Logical Disk', 'LD Detail Information')}


def test_frame(make_bench):
    root = dump(make_bench('default'))
    request = root.find('CMD_REQUEST')
    assert root.tag == 'REQUEST'
    assert request.get('cmd_name') == (
        '/opt/iSMCliGateway/impl/query/iSMquery')
    assert request.get('version') == 'Version 9.4.001'
    assert [child.tag for child in request] == (
        ['CHAPTER'] * 5 + ['RETURN_MSG', 'RETURN_CODE'])
    assert request.find('RETURN_MSG').text == (
        'Command Completed Successfully!!')
    assert request.find('RETURN_CODE').text == '0'
    assert sections(root, 'Disk Array', 'Disk Array',
                    'Disk Array Detail Information') == [
                        {'Product ID': 'M310'}]


def test_lds(make_bench):
    bench = make_bench('default')
    bench.bind('a', 10, size=2)
    bench.ok('iSMcfg ldbind -poolnumber 0 -ldn 11 -capacity 1 -immediate')
    found = lds(dump(bench))
    assert found['000a'] == {
        'LDN(h)': '000a', 'OS Type': 'LX', 'LD Name': 'a',
        'LD Capacity': str(2 * GIB), 'Pool No.(h)': '0000',
        'Purpose': '---', 'RPL Attribute': 'IV'}
    assert found['000b']['OS Type'] == '  '
    assert found['000b']['LD Name'] == '2000000991000316000B'
    assert found['0fff']['LD Name'] == 'Pool0000_SYV0FFF'
    assert found['0fff']['RPL Attribute'] == '---'
    assert found['0fff']['Purpose'] == '(invalid attribute)'
    assert found['0ffd']['Purpose'] == 'RPL'
    assert found['0ffe']['Purpose'] == '(invalid attribute)'
    assert list(found) == sorted(found)


def test_attributes_of_snapshots_and_pairs(bench):
    for ldn, name in enumerate(('bv', 'mv', 'rv')):
        bench.bind(name, ldn)
    bench.snapshot('bv', 'sv')
    bench.pair('mv', 'rv')
    found = {ld['LD Name']: (ld['RPL Attribute'], ld['Purpose'])
             for ld in lds(dump(bench)).values()}
    assert found['bv'] == ('BV', '(invalid attribute)')
    assert found['sv'] == ('SV', '(invalid attribute)')
    assert found['mv'] == ('MV', '---')
    assert found['rv'] == ('RV', '---')


def test_a_bv_that_is_an_mv(bench):
    bench.bind('bv', 0)
    bench.bind('rv', 1)
    bench.snapshot('bv', 'sv')
    bench.pair('bv', 'rv')
    assert lds(dump(bench))['0000']['RPL Attribute'] == 'MV/BV'


def test_pools(make_bench):
    bench = make_bench('default')
    root = dump(bench)
    found = sections(root, 'Pool', 'Pool', 'Pool Detail Information')
    by_number = {pool['Pool No.(h)']: pool for pool in found}
    assert by_number['0000']['Pool Capacity'] == str(10 << 40)
    used = (8 + 8 + 100 + 50) * GIB
    assert by_number['0000']['Used Pool Capacity'] == str(used)
    assert by_number['0000']['Free Pool Capacity'] == str(
        (10 << 40) - used)
    # As in the sample dump: wrapped, and more free than there is.
    assert by_number['0002']['Used Pool Capacity'] == (
        '18446744073441116160')
    assert int(by_number['0002']['Free Pool Capacity']) > 2 << 40
    thin = sections(root, 'Pool', 'Pool',
                    'Virtual Capacity Pool Information')
    assert thin == [{'Actual Capacity': str(2 << 40)}]
    assert by_number['0003']['Pool Capacity'] == str(8 << 40)


def test_ports(make_bench):
    found = sections(dump(make_bench('default')), 'Controller',
                     'Host Port', 'Host Director/Host Port Information')
    by_number = {port['Port No.(h)']: port for port in found}
    assert by_number['00-00'] == {'Port No.(h)': '00-00',
                                  'WWPN': '2100000991020012'}
    assert by_number['00-02'] == {
        'Port No.(h)': '00-02', 'IP Address': '127.0.0.11',
        'Link Status': 'Link Up'}
    assert by_number['01-04']['IP Address'] == '0.0.0.0'
    assert by_number['01-04']['Link Status'] == 'Link Down'
    assert by_number['01-01']['Link Status'] == 'Link Down'


def test_fc_set(make_bench):
    bench = make_bench('default')
    root = dump(bench)
    found = sections(root, 'Access Control', 'LD Set(FC)',
                     'LD Set(FC) Information')
    assert found == [
        {'Platform': 'WN', 'LD Set Name': 'Exchange'},
        {'Platform': 'LX', 'LD Set Name': 'PortMode'}]
    paths = sections(root, 'Access Control', 'LD Set(FC)', 'Path List')
    assert paths == [{'Path': '1000-0090-FAA0-7861'},
                     {'Path': '1000-0090-FAA0-7862'},
                     {'Path': '00-00(HD0-P0)'}]
    assert sections(root, 'Access Control', 'LD Set(FC)',
                    'LUN/LD List') == [{'LUN(h)': '0000',
                                        'LDN(h)': '0001'}]


def test_normal_iscsi_set(bench):
    bench.bind('a', 10)
    bench.ldset()
    bench.ok('iSMcfg addldsetinitiator -ldset LX:host1 -initiatorname '
             'iqn.1994-05.com.redhat:a')
    bench.map('a', lun=255)
    root = dump(bench)
    info, = sections(root, 'Access Control', 'LD Set(iSCSI)',
                     'LD Set(iSCSI) Information')
    assert info['Target Mode'] == 'Normal'
    assert info['Target Name'].startswith('iqn.2001-03.')
    assert sections(root, 'Access Control', 'LD Set(iSCSI)', 'Portal') == [
        {'Portal': f'127.0.0.1{number}:3260'} for number in (1, 2, 3, 4)]
    assert sections(root, 'Access Control', 'LD Set(iSCSI)',
                    'Initiator List') == [
                        {'Initiator List': 'iqn.1994-05.com.redhat:a'}]
    assert sections(root, 'Access Control', 'LD Set(iSCSI)',
                    'LUN/LD List') == [{'LUN(h)': '00ff',
                                        'LDN(h)': '000a'}]


def test_multi_target_iscsi_set(bench):
    bench.bind('a', 10)
    bench.ldset(options=' -multitarget on')
    bench.map('a')
    root = dump(bench)
    info, = sections(root, 'Access Control', 'LD Set(iSCSI)',
                     'LD Set(iSCSI) Information')
    assert info['Target Mode'] == 'Multi-Target'
    assert 'Target Name' not in info
    targets = sections(root, 'Access Control', 'LD Set(iSCSI)',
                       'Target Information For Multi-Target Mode')
    assert len(targets) == 16
    assert (targets[0]['LUN(h)'], targets[0]['LDN(h)']) == ('0000', '000a')
    assert (targets[1]['LUN(h)'], targets[1]['LDN(h)']) == ('----', '----')
    assert len({target['Target Name'] for target in targets}) == 16


def test_ipv6_portals(make_bench):
    bench = make_bench('ipv6')
    bench.ldset()
    portals = sections(dump(bench), 'Access Control', 'LD Set(iSCSI)',
                       'Portal')
    assert {'Portal': '[fd00:6e65::11]:3260'} in portals
    assert {'Portal': '127.0.0.14:3260'} in portals


def test_a_full_access_set_lists_no_initiator(bench):
    bench.ldset(options=' -multitarget on -fullaccess')
    bench.ok('iSMcfg addinitiator -initiatorname iqn.1994-05.com.x:a')
    assert sections(dump(bench), 'Access Control', 'LD Set(iSCSI)',
                    'Initiator List') == []


@pytest.mark.parametrize('option', ['-all', '--alloptimize'])
def test_the_legacy_form(make_bench, option):
    bench = make_bench('default')
    text = bench.ok(f'clioutmsg xml; iSMview {option}')
    body, separator, rest = text.partition('ExitStatus:0\n')
    assert separator and not rest
    assert lds(ElementTree.fromstring(body)) == lds(dump(bench))


def test_the_cache_never_shows_the_past(bench):
    assert lds(dump(bench)).keys() == {'0ffd', '0ffe'}
    bench.bind('a', 0)
    assert lds(dump(bench))['0000']['LD Name'] == 'a'
    bench.generation('a', 'sv')
    assert lds(dump(bench))['0000']['RPL Attribute'] == 'BV'
    bench.ok('iSMcfg generationdel -bvname LX:a -count 1')
    assert lds(dump(bench))['0000']['RPL Attribute'] == 'IV'
    bench.bind('rv', 1)
    assert lds(dump(bench))['0000']['RPL Attribute'] == 'IV'
    bench.pair('a', 'rv')
    assert lds(dump(bench))['0000']['RPL Attribute'] == 'MV'
    assert lds(dump(bench))['0001']['RPL Attribute'] == 'RV'
    bench.ok('iSMrc_pair -unpair -mv a -mvflg ld -rv rv -rvflg ld')
    bench.ok('iSMcfg ldexpand -ldn 0 -capacity 2 -unit gb')
    assert lds(dump(bench))['0000']['LD Capacity'] == str(2 * GIB)
    bench.ok('iSMcfg ldunbind -ldname LX:a')
    assert '0000' not in lds(dump(bench))


def test_padding(make_bench):
    bench = make_bench(dump_units_per_ld=47)
    bench.bind('a', 0)
    root = dump(bench)
    ld = lds(root)['0000']
    assert len(ld) == 47
    assert ld['LD Name'] == 'a'


def test_omitted_units(bench):
    bench.bind('a', 0)
    bench.array.omitted_units = {'RPL Attribute'}
    assert 'RPL Attribute' not in lds(dump(bench))['0000']
    bench.array.omitted_units = set()
    assert 'RPL Attribute' in lds(dump(bench))['0000']


def test_8192_lds(make_bench):
    bench = make_bench('big-8192')
    text = bench.run(DUMP).stdout
    assert text.count(b'LD Detail Information') == 8192
    assert len(text) > 18_000_000
    bench.refused('iSMcfg ldbind -poolnumber 0 -ldn 5 -capacity 1 '
                  '-immediate', Id.LDN_USED)


# -- text --------------------------------------------------------------------

def test_ld_set_as_in_the_manual(bench):
    bench.ldset('OpenStack0', options=' -multitarget on -fullaccess')
    text = bench.ok('iSMview -ac LX:OpenStack0')
    assert text == bench.ok('iSMview -ac 2000000991000316 LX:OpenStack0')
    lines = [' '.join(line.split()) for line in text.splitlines()]
    # Manual 2.1.
    assert lines == [
        '--- LD Set(iSCSI) Information ---', 'Platform : LX',
        'LD Set Name : OpenStack0', 'Configuration Change :',
        'Action mode : Normal mode', 'Full Access Mode : on',
        'Explicit ALUA : ---', 'Target Mode : Multi-Target',
        'Target Count : 16', 'Portal : 127.0.0.11:3260',
        ': 127.0.0.12:3260', ': 127.0.0.13:3260', ': 127.0.0.14:3260']


def test_access_control_as_in_the_manual(bench):
    bench.ldset('OpenStack0', options=' -multitarget on -fullaccess')
    bench.ldset('OpenStack1')
    bench.ok('iSMcfg addinitiator -initiatorname iqn.1994-05.com.x:a')
    bench.ok('iSMcfg addldsetinitiator -ldset LX:OpenStack1 '
             '-initiatorname iqn.1994-05.com.x:b')
    lines = [' '.join(line.split())
             for line in bench.ok('iSMview -a').splitlines()]
    assert 'Registered Initiator Count : 2' in lines
    # Manual C.6: 0 for a full access set.
    assert 'LX OpenStack0 0 0' in lines
    assert 'LX OpenStack1 1 0' in lines
    assert lines[-2:] == ['iqn.1994-05.com.x:a', 'iqn.1994-05.com.x:b']


def test_disk_arrays(bench):
    text = bench.ok('iSMview -d')
    assert '--- Disk Array List ---' in text
    assert text.splitlines()[-1].split() == [
        'M310', '2000000991000316', 'ready', 'running']


def test_view_all(make_bench):
    text = make_bench('default').ok('iSMview -all 2000000991000316')
    for label in ('Vendor ID', 'Product FW Revision', 'World Wide Name',
                  '--- LD Detail Information', 'RaidType',
                  '--- Pool Detail Information', 'Free Pool Capacity'):
        assert label in text


@pytest.mark.parametrize('command, ident', [
    ('iSMview -ac LX:none', Id.NO_LDSET),
    ('iSMview -ac 2000000000000000 LX:none', Id.BAD_NAME),
    ('iSMview -all 2000000000000000', Id.BAD_NAME)])
def test_views_that_are_refused(bench, command, ident):
    bench.refused(command, ident)
