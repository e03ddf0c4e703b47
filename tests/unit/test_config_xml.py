# SPDX-License-Identifier: Apache-2.0
"""The dump of the configuration: whole, odd, cut, hostile, large.

The fixtures are written by hand after ISMCLI.md A.2.
"""

from __future__ import annotations

from collections.abc import Callable
import time

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
import pytest

from cinder_nec import errors
from cinder_nec.ismcli import config_xml
from cinder_nec.model import (
    ArrayConfig,
    HostPort,
    LdMapping,
    LdName,
    LdSetName,
    LinkState,
    LogicalDisk,
    Pool,
    Portal,
    Protocol,
    Purpose,
    RplAttribute,
    TargetMode,
    Wwpn,
)
from tests.helpers import fixture_bytes, fixture_text

WHOLE = ('iscsi_multitarget.xml', 'iscsi_normal.xml', 'fc.xml', 'odd.xml',
         'legacy_exitstatus.txt')
TARGET = ('iqn.2001-03.jp.nec:storage01:ist-m000-sn-0000:'
          'lx-openstack0:target000')


def parse(name: str) -> ArrayConfig:
    return config_xml.parse(fixture_bytes(name))


def ld_section(ldn: int | str, label: str = 'x', **changes: str) -> str:
    units = {'LDN(h)': ldn if isinstance(ldn, str) else f'{ldn:04x}',
             'OS Type': 'LX', 'LD Name': label,
             'LD Capacity': str(1 << 30), 'Pool No.(h)': '0000',
             'Purpose': '---', 'RPL Attribute': 'IV'}
    units.update({key.replace('_', ' '): value
                  for key, value in changes.items()})
    return section('LD Detail Information', units)


def section(name: str, units: dict[str, str]) -> str:
    return (f'<SECTION name="{name}">\n'
            + ''.join(f'<UNIT name="{unit}">{value}</UNIT>\n'
                      for unit, value in units.items())
            + '</SECTION>\n')


def dump(disks: str = '', *, pools: str = '', rest: str = '',
         end: str = '<RETURN_CODE>0</RETURN_CODE>') -> str:
    """Return a small dump around what a test is about."""
    return (
        '<REQUEST><CMD_REQUEST version="Version 9.4.001">'
        '<CHAPTER name="Disk Array"><OBJECT name="Disk Array">'
        + section('Disk Array Detail Information', {'Product ID': 'M110'})
        + '</OBJECT></CHAPTER><CHAPTER name="Logical Disk">'
        f'<OBJECT name="Logical Disk">{disks}</OBJECT></CHAPTER>'
        '<CHAPTER name="Pool"><OBJECT name="Pool">'
        + section('Pool Detail Information', {
            'Pool No.(h)': '0000', 'Pool Capacity': str(1 << 40),
            'Used Pool Capacity': '0',
            'Free Pool Capacity': str(1 << 40)})
        + f'</OBJECT>{pools}</CHAPTER>{rest}{end}'
        '</CMD_REQUEST></REQUEST>')


def iscsi_set(sections: str) -> str:
    return ('<CHAPTER name="Access Control"><OBJECT name="LD Set(iSCSI)">'
            + section('LD Set(iSCSI) Information', {
                'Platform': 'LX', 'LD Set Name': 'set',
                'Target Mode': 'Multi-Target'})
            + sections + '</OBJECT></CHAPTER>')


def large_dump(count: int, units_per_ld: int) -> bytes:
    filler = {f'Some unit of no interest {n:02}': f'value {n}'
              for n in range(units_per_ld - 7)}
    return dump(''.join(
        ld_section(ldn, f'{ldn:022d}', **filler)
        for ldn in range(count))).encode()


def what_is_odd(config: ArrayConfig) -> str:
    return '\n'.join(config.unrecognized)


# -- whole dumps ------------------------------------------------------------

def test_the_array_itself() -> None:
    config = parse('iscsi_multitarget.xml')
    assert config.product_id == 'M310'
    assert config.version == '9.4.001'
    assert config.max_ld_count == 4096
    assert config.unrecognized == ()


def test_logical_disks() -> None:
    config = parse('iscsi_multitarget.xml')
    assert sorted(config.logical_disks) == [
        0x0, 0xa, 0xb, 0x10, 0xffe, 0xfff]
    assert config.logical_disks[0xa] == LogicalDisk(
        10, LdName('LX', '4q7I6V6T8c8BVFuE8UfWVP'), 1, 1610612736,
        frozenset({RplAttribute.MV, RplAttribute.BV}), Purpose.ORDINARY)
    # 1.5 GiB is 2 GiB for Cinder, never 1.
    assert config.logical_disks[0xa].capacity_gib == 2
    assert config.logical_disks[0xfff].purpose is Purpose.RPL
    assert config.logical_disks[0xfff].attributes == {
        RplAttribute.NOT_USABLE}
    assert (config.logical_disks[0xffe].purpose
            is Purpose.INVALID_ATTRIBUTE)
    # No OS type is an LD as the array made it, and nothing odd.
    assert config.logical_disks[0x10].name == LdName(
        '', '200000255C3A00010010')
    found = config.find_ld(LdName('LX', '4q7I6V6T8c8BVFuE8UfWVP_l'))
    assert found is not None and found.ldn == 0xb


def test_only_the_detail_section_makes_an_ld() -> None:
    config = parse('iscsi_multitarget.xml')
    assert config.logical_disks[0].capacity_bytes == 10 << 30


def test_one_label_under_two_platforms() -> None:
    config = parse('iscsi_normal.xml')
    assert config.get_ld(LdName('WN', 'data5')).ldn == 5
    assert config.get_ld(LdName('LX', 'data5')).ldn == 6
    assert config.unrecognized == ()


def test_pools() -> None:
    config = parse('iscsi_multitarget.xml')
    assert config.pools[1] == Pool(1, 1 << 40, 20 << 30, 1078036791296)
    assert not config.pools[1].is_thin
    assert config.pools[31].actual_bytes == 2 << 40
    assert sorted(config.pools) == [1, 2, 31]


def test_host_ports_of_iscsi() -> None:
    assert parse('iscsi_multitarget.xml').host_ports == (
        HostPort(0, 0, Protocol.ISCSI, ip='192.168.1.90',
                 link=LinkState.UP),
        HostPort(1, 10, Protocol.ISCSI, ip='fd00::a:1',
                 link=LinkState.DOWN))


def test_ld_set_in_multi_target_mode() -> None:
    config = parse('iscsi_multitarget.xml')
    ld_set = config.ld_sets[LdSetName('LX', 'OpenStack0')]
    assert ld_set.protocol is Protocol.ISCSI
    assert ld_set.target_mode is TargetMode.MULTI_TARGET
    # The portal 0.0.0.0 is not configured; the order is the array's.
    assert ld_set.portals == (Portal('192.168.1.90', 3260),
                              Portal('fd00::a:1', 3260))
    assert ld_set.initiators == {'iqn.1994-05.com.redhat:compute-1',
                                 'iqn.1994-05.com.redhat:compute-2'}
    # A target without an LD behind it is no mapping.
    assert ld_set.mappings == {
        0xa: LdMapping(0xa, 0, TARGET + '0'),
        0x0: LdMapping(0x0, 0, TARGET + '2')}
    assert [s.name.label for s in config.mapped_to(0xa)] == ['OpenStack0']


def test_an_ld_set_does_not_inherit_from_the_one_before() -> None:
    ld_set = parse('iscsi_multitarget.xml').ld_sets[
        LdSetName('LX', 'OpenStack1')]
    assert not ld_set.portals and not ld_set.initiators
    assert not ld_set.mappings


@pytest.mark.parametrize('changes', [
    {'LUN(h)': '-'}, {'LDN(h)': '-'}, {'LUN(h)': '-', 'LDN(h)': '----'}])
def test_a_target_without_an_ld_is_nothing_odd(
        changes: dict[str, str]) -> None:
    name = 'Target Information For Multi-Target Mode'
    config = config_xml.parse(dump(rest=iscsi_set(section(name, {
        'Target Name': 'iqn.x', 'LUN(h)': '0000', 'LDN(h)': '0001',
        **changes}))))
    assert config.ld_sets[LdSetName('LX', 'set')].mappings == {}
    assert config.unrecognized == ()


@pytest.mark.parametrize('portal', [
    '0.0.0.0:3260', '0.0.0.0:', '0.0.0.0:-', '[::]:3260', '-', ''])
def test_a_portal_that_is_not_configured(portal: str) -> None:
    config = config_xml.parse(dump(rest=iscsi_set(
        section('Portal', {'Portal': portal}))))
    assert config.ld_sets[LdSetName('LX', 'set')].portals == ()
    assert config.unrecognized == ()


def test_ld_set_in_normal_mode() -> None:
    config = parse('iscsi_normal.xml')
    ld_set = config.ld_sets[LdSetName('WN', 'WinHost')]
    assert ld_set.target_mode is TargetMode.NORMAL
    assert ld_set.target_name.endswith(':wn-winhost:normal0000')
    assert ld_set.portals == (Portal('10.0.0.1', 3260),
                              Portal('10.0.0.2', 3260))
    # LUNs and LDNs are hexadecimal.
    assert ld_set.mappings == {0: LdMapping(0, 0), 5: LdMapping(5, 255)}
    assert ld_set.luns() == {0, 255}
    assert config.version == '8.7.002'


def test_fibre_channel() -> None:
    config = parse('fc.xml')
    ld_set = config.ld_sets[LdSetName('LX', '0090FAA0786B')]
    assert ld_set.protocol is Protocol.FC
    assert ld_set.target_mode is None
    assert ld_set.paths == {Wwpn('10000090faa0786b'),
                            Wwpn('10000090faa0786a')}
    assert ld_set.mappings == {0x1fff: LdMapping(0x1fff, 0x10)}
    assert config.host_ports == (
        HostPort(0, 0, Protocol.FC, wwpn=Wwpn('210000255c3a0001'),
                 link=LinkState.UP),
        HostPort(1, 0, Protocol.FC, wwpn=Wwpn('290000255c3a0001')))


def test_a_path_with_a_bracket_is_a_port() -> None:
    ld_set = parse('fc.xml').ld_sets[LdSetName('LX', 'PortMode')]
    assert ld_set.port_paths == {'00-00(2100-0025-5C3A-0001)'}
    assert not ld_set.paths


@pytest.mark.parametrize(('text', 'wanted'), [
    ('IV', {'IV'}), ('MV', {'MV'}), ('RV', {'RV'}), ('SV', {'SV'}),
    ('LV', {'LV'}), ('BV', {'BV'}), ('---', {'---'}),
    ('MV,BV', {'MV', 'BV'}), ('MV/BV', {'MV', 'BV'}),
    ('MV BV', {'MV', 'BV'}), ('MVBV', {'MV', 'BV'}),
    ('RV, BV', {'RV', 'BV'}),
    # A role is seen beside what is not known, and that is seen too.
    ('BV(mixed)', {'BV', '?'}), ('xBVx', {'BV', '?'}),
    ('QV', {'?'}), ('', {'?'}),
])
def test_rpl_attribute(text: str, wanted: set[str]) -> None:
    config = config_xml.parse(dump(ld_section(1, RPL_Attribute=text)))
    assert {a.value for a in config.logical_disks[1].attributes} == wanted
    assert bool(config.unrecognized) == ('?' in wanted)


def test_sections_of_many_lds_in_one_object_and_one_each_are_alike() -> None:
    one = ld_section(1, 'a') + ld_section(2, 'b')
    each = (ld_section(1, 'a') + '</OBJECT><OBJECT name="Logical Disk">'
            + ld_section(2, 'b'))
    assert config_xml.parse(dump(one)) == config_xml.parse(dump(each))


def test_what_has_not_changed_is_taken_from_the_older_dump() -> None:
    """No new objects, so no garbage for a full collection."""
    before = config_xml.parse(dump(
        ld_section(1, 'same') + ld_section(2, 'old')
        + ld_section(3, 'gone')))
    text = dump(ld_section(1, 'same') + ld_section(2, 'new')
                + ld_section(4, 'more'))
    after = config_xml.parse(text, known=before)
    assert after == config_xml.parse(text)
    assert after.logical_disks[1] is before.logical_disks[1]
    assert after.logical_disks[2].name.label == 'new'
    assert set(after.logical_disks) == {1, 2, 4}
    kept = {id(name) for name in after._ldn_by_name}
    assert id(before.logical_disks[1].name) in kept


def test_virtual_capacity_before_the_detail_section() -> None:
    thin = section('Virtual Capacity Pool Information',
                   {'Actual Capacity': '4096'})
    detail = section('Pool Detail Information', {
        'Pool No.(h)': '0007', 'Pool Capacity': '8192',
        'Used Pool Capacity': '1', 'Free Pool Capacity': '2'})
    for both in (thin + detail, detail + thin):
        config = config_xml.parse(
            dump(pools=f'<OBJECT name="Pool">{both}</OBJECT>'))
        assert config.pools[7].actual_bytes == 4096
        assert config.pools[0].actual_bytes is None


# -- what stands around the document ----------------------------------------

def test_the_legacy_answer_is_the_same_array() -> None:
    assert parse('legacy_exitstatus.txt') == parse('fc.xml')


@pytest.mark.parametrize('before', [
    '', 'ExitStatus:0\n', 'clioutmsg xml ExitStatus:0\r\n', '\ufeff',
    'iSM19999: 1 < 2 & more\n'])
@pytest.mark.parametrize('after', [
    '', '\n', 'ExitStatus:0\n', '\niSM00000: ]]> <done>\nExitStatus 0'])
def test_noise_around_the_document(before: str, after: str) -> None:
    text = before + fixture_text('fc.xml') + after
    assert config_xml.parse(text) == parse('fc.xml')
    assert config_xml.parse(text.encode()) == parse('fc.xml')


def test_text_and_bytes_are_alike() -> None:
    for name in WHOLE:
        assert config_xml.parse(fixture_text(name)) == parse(name)


@pytest.mark.parametrize('size', [1, 7, 64, 1021])
def test_where_the_pieces_are_cut_does_not_matter(
        size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = parse('iscsi_multitarget.xml')
    monkeypatch.setattr(config_xml, 'CHUNK_BYTES', size)
    assert parse('iscsi_multitarget.xml') == whole
    assert config_xml.parse(fixture_text('iscsi_multitarget.xml')) == whole


@pytest.mark.parametrize(('declared', 'codec'), [
    ('UTF-8', 'utf-8'), ('Shift_JIS', 'cp932'), ('EUC-JP', 'euc-jp')])
@pytest.mark.parametrize('size', [5, 65536])
def test_names_in_japanese(declared: str, codec: str, size: int,
                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_xml, 'CHUNK_BYTES', size)
    text = (f'<?xml version="1.0" encoding="{declared}"?>'
            + dump(ld_section(1, '表示')))
    config = config_xml.parse(text.encode(codec))
    assert config.logical_disks[1].name.label == '表示'


def test_a_name_in_a_wrong_encoding_is_one_odd_name() -> None:
    raw = dump(ld_section(1, 'NAME') + ld_section(2, 'good')).encode()
    config = config_xml.parse(raw.replace(b'NAME', '表'.encode('cp932')))
    assert config.get_ld(LdName('LX', 'good')).ldn == 2
    assert 1 in config.logical_disks


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(errors.ParseError, match='encoding'):
        config_xml.parse('<?xml version="1.0" encoding="UTF-7"?>'.encode()
                         + dump().encode())


# -- one odd object ---------------------------------------------------------

def test_odd_objects_take_nothing_else_down() -> None:
    config = parse('odd.xml')
    assert config.get_ld(LdName('LX', 'after-all-that')).ldn == 7
    assert sorted(config.pools) == [1, 4]
    assert [p.ip for p in config.host_ports] == ['10.0.0.4']
    assert config.host_ports[0].link is LinkState.UNRECOGNIZED
    assert [str(n) for n in config.ld_sets] == ['LX:strange', 'LX:last']


def test_a_readable_ldn_is_never_free() -> None:
    config = parse('odd.xml')
    assert sorted(config.logical_disks) == [1, 2, 3, 4, 5, 6, 7]
    assert [ldn for ldn, _ in zip(config.free_ldns(), range(3),
                                  strict=False)] == [0, 8, 9]


def test_what_is_odd_is_told_in_one_line_each() -> None:
    config = parse('odd.xml')
    for line in config.unrecognized:
        assert '\n' not in line and len(line) < 160
    told = what_is_odd(config)
    for wanted in (
            'LD 0002h: UNIT[@name="OS Type"] not found',
            'LD 0002h: it has no LD Name',
            'LD 0002h: UNIT[@name="LD Capacity"] not found',
            'LD 0002h: UNIT[@name="Pool No.(h)"] not found',
            'LD 0002h: UNIT[@name="Purpose"] not found',
            'LD 0002h: UNIT[@name="RPL Attribute"] not found',
            'an LD: UNIT[@name="LDN(h)"] not found',
            "an LD: the unit 'LDN(h)' has the unknown value '0xZZ'",
            'LD 0003h: it has no LD Name',
            "LD 0004h: the unit 'LD Capacity' has the unknown value '-1'",
            "LD 0004h: the unit 'Purpose' has the unknown value 'dedup'",
            "LD 0004h: the unit 'RPL Attribute' has the unknown value 'QV'",
            'pool 00eeh: it is not listed and holds the LD 0005h',
            'LD 0006h: its name is that of LD 0001h',
            'LD 0001h: it is listed twice',
            "pool 0001h: the unit 'Used Pool Capacity' is below zero",
            "pool 0002h: the unit 'Pool Capacity' has the unknown value",
            'pool 0003h: UNIT[@name="Used Pool Capacity"] not found',
            "pool 0004h: the unit 'Actual Capacity' has the unknown value",
            'pool 0001h: it is listed twice',
            "host port 'front'", "host port '00-01'", "host port '00-02'",
            "host port '00-03': it has neither",
            'an LD Set (iSCSI): its information section is missing',
            "LD Set LX:strange: the unit 'Target Mode' has the unknown",
            "LD Set LX:strange: in 'Portal' the unit 'Portal' has",
            "LD Set LX:strange: in 'LUN/LD List' UNIT[@name",
            "LD Set LX:strange: in 'LUN/LD List' the unit 'LUN(h)' has",
            'LD Set LX:strange: it is listed twice',
            'an LD Set (FC): UNIT[@name="LD Set Name"] not found',
            "LD Set LX:last: in 'Path List' the unit 'Path' has",
            'the disk array: its product id is missing'):
        assert wanted in told


def test_the_first_of_two_counts() -> None:
    config = parse('odd.xml')
    assert config.get_ld(LdName('LX', 'whole')).ldn == 1
    assert config.logical_disks[1].name.label == 'whole'
    assert config.find_ld(LdName('LX', 'number-twice')) is None
    assert config.logical_disks[6].name == LdName('LX', 'whole')
    assert config.pools[1].capacity_bytes == 1 << 40
    strange = config.ld_sets[LdSetName('LX', 'strange')]
    assert strange.target_mode is TargetMode.UNRECOGNIZED
    assert strange.portals == (Portal('10.0.0.4', 3260),)
    assert strange.mappings == {7: LdMapping(7, 2)}


def test_unknown_words_are_unrecognized() -> None:
    disk = parse('odd.xml').logical_disks[4]
    assert disk.purpose is Purpose.UNRECOGNIZED
    assert disk.attributes == {RplAttribute.UNRECOGNIZED}
    assert disk.capacity_bytes == 0


def test_a_used_capacity_below_zero_counts_as_nothing() -> None:
    """W10: the wrapped number made the free capacity hugely negative."""
    pool = parse('fc.xml').pools[0]
    assert pool.used_bytes == 0
    # Free is what the array says, more than all of it or not.
    assert pool.free_bytes == 288031244288 > pool.capacity_bytes


def test_a_pool_that_is_not_listed_is_one_line_whatever_it_holds() -> None:
    """W23: an LD in such a pool broke every operation."""
    config = config_xml.parse(dump(''.join(
        ld_section(n, f'n{n}', **{'Pool No.(h)': '00ee'})
        for n in range(500))))
    assert len(config.logical_disks) == 500
    assert config.unrecognized == (
        'pool 00eeh: it is not listed and holds the LD 0000h and 499 more',)


def test_the_number_of_lines_is_bounded() -> None:
    config = config_xml.parse(dump(''.join(
        ld_section('zz', f'n{n}') for n in range(3000))))
    assert len(config.unrecognized) == 1001
    assert config.unrecognized[-1] == 'and 2000 more'


def test_unnamed_lds_are_not_found_by_an_empty_name() -> None:
    config = config_xml.parse(dump(
        ld_section(1, '', OS_Type=' ') + ld_section(2, '', OS_Type=' ')))
    assert config.find_ld(LdName('', '')) is None
    assert sorted(config.logical_disks) == [1, 2]


@pytest.mark.parametrize('ldn', ['-1', '10000', '0x1', '1_0', '+1', '١',
                                 '', 'h', '12 34'])
def test_numbers_are_plain_hexadecimal(ldn: str) -> None:
    config = config_xml.parse(dump(ld_section(ldn)))
    assert not config.logical_disks
    assert len(config.unrecognized) == 1


def test_a_dump_without_access_control_or_ports() -> None:
    """W11: an array without any LD Set is an array."""
    config = config_xml.parse(dump(ld_section(1)))
    assert not config.ld_sets and not config.host_ports
    assert config.unrecognized == ()


def test_values_in_notes_are_cut() -> None:
    config = config_xml.parse(dump(ld_section(1, Purpose='y' * 5000)))
    assert len(what_is_odd(config)) < 120


# -- dumps that are not whole -----------------------------------------------

def test_a_cut_dump_is_never_a_small_array() -> None:
    """D8: an answer was cut at a packet and taken as it was."""
    with pytest.raises(errors.ParseError, match='end is missing'):
        parse('truncated.xml')
    for name in ('fc.xml', 'iscsi_multitarget.xml'):
        whole = fixture_bytes(name).rstrip()
        for length in range(len(whole)):
            with pytest.raises(errors.ParseError):
                config_xml.parse(whole[:length])


@pytest.mark.parametrize('chapter', ['Disk Array', 'Logical Disk', 'Pool'])
def test_a_needed_chapter_is_missing(chapter: str) -> None:
    text = fixture_text('fc.xml').replace(
        f'<CHAPTER name="{chapter}">', '<CHAPTER name="Other">')
    with pytest.raises(errors.ParseError, match=f"'{chapter}' is missing"):
        config_xml.parse(text)


@pytest.mark.parametrize('end', [
    '', '<RETURN_CODE></RETURN_CODE>', '<RETURN_CODE>1</RETURN_CODE>',
    '<RETURN_CODE>-1</RETURN_CODE>', '<RETURN_CODE>²</RETURN_CODE>',
    '<RETURN_CODE>0x0</RETURN_CODE>',
    '<RETURN_CODE>0</RETURN_CODE><RETURN_CODE>3</RETURN_CODE>'])
def test_the_return_code_must_be_zero(end: str) -> None:
    with pytest.raises(errors.ParseError, match=r'(?i)return.code'):
        config_xml.parse(dump(ld_section(1), end=end))


def test_the_message_of_the_array_is_told() -> None:
    with pytest.raises(errors.ParseError) as caught:
        config_xml.parse(dump(
            ld_section(1),
            end='<RETURN_MSG>iSM42408: busy\n now</RETURN_MSG>'
                '<RETURN_CODE>12</RETURN_CODE>'))
    assert "'12'" in str(caught.value)
    assert "'iSM42408: busy now'" in str(caught.value)


@pytest.mark.parametrize('text', [
    '', 'ExitStatus:1\n', 'iSM31005: please wait', '<REQUEST/>',
    '</REQUEST><REQUEST>', '<REQUEST>', '<REQUEST></REQUEST>',
    '<REQUEST></REQUEST', '<html></html>', '\0', '<REQUEST>\0</REQUEST>'])
def test_what_is_no_dump(text: str) -> None:
    with pytest.raises(errors.ParseError):
        config_xml.parse(text)
    with pytest.raises(errors.ParseError):
        config_xml.parse(text.encode())


def test_two_documents_are_refused() -> None:
    with pytest.raises(errors.ParseError):
        config_xml.parse(fixture_bytes('fc.xml') * 2)


def test_errors_never_show_the_dump() -> None:
    """S5: whole dumps were put into the log."""
    secret = 'SECRET' * 10
    for text in (dump(ld_section(1, secret))[:-20],
                 dump(ld_section(1, secret) + '</BROKEN>'),
                 dump(f'<{secret}>'),
                 dump(ld_section(1, secret), end=''),
                 dump(ld_section(1, secret + '&undefined;'))):
        with pytest.raises(errors.ParseError) as caught:
            config_xml.parse(text)
        assert 'SECRET' not in str(caught.value)
        assert caught.value.__cause__ is None
        assert len(str(caught.value)) < 300


# -- hostile XML ------------------------------------------------------------

@pytest.mark.parametrize('doctype', [
    '<!DOCTYPE REQUEST [<!ENTITY a "LX">]>',
    '<!DOCTYPE REQUEST SYSTEM "file:///etc/passwd">',
    '<!DOCTYPE REQUEST [<!ENTITY a "<REQUEST>">]>',
    '<?xml version="1.0"?>\n<!-- x --><!DOCTYPE REQUEST>',
])
def test_a_doctype_is_refused(doctype: str) -> None:
    with pytest.raises(errors.ParseError):
        config_xml.parse(doctype + dump(ld_section(1)))


def test_entities_are_not_expanded() -> None:
    levels = ''.join(
        f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 9))
    text = (f'<!DOCTYPE REQUEST [<!ENTITY e0 "ha">{levels}]>'
            + dump(ld_section(1, '&e8;')))
    with pytest.raises(errors.ParseError, match='DOCTYPE'):
        config_xml.parse(text)
    # Inside the document a declaration is not XML, a reference undefined.
    for inside in ('<!DOCTYPE a [<!ENTITY e8 "x">]>', '&e8;',
                   '<!ENTITY e8 "x">'):
        with pytest.raises(errors.ParseError):
            config_xml.parse(dump(inside + ld_section(1)))


def test_files_are_not_read(tmp_path: object) -> None:
    text = ('<!DOCTYPE REQUEST [<!ENTITY f SYSTEM "file:///etc/hostname">]>'
            + dump(ld_section(1, '&f;')))
    with pytest.raises(errors.ParseError):
        config_xml.parse(text)


def test_an_answer_over_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config_xml.MAX_DUMP_BYTES == 64 << 20
    text = dump(ld_section(1))
    monkeypatch.setattr(config_xml, 'MAX_DUMP_BYTES', len(text))
    config_xml.parse(text)
    with pytest.raises(errors.ParseError, match='longer than'):
        config_xml.parse(text + '\n')


@pytest.mark.parametrize('piece', ['<A/>', '<A>', '<A b="', 'a'])
def test_what_goes_on_without_an_end_is_given_up(piece: str) -> None:
    """Neither depth, nor length, nor breadth fills the memory."""
    pieces = 0

    def count() -> None:
        nonlocal pieces
        pieces += 1

    text = dump(piece * (12 * 2 ** 20 // len(piece)))
    with pytest.raises(errors.ParseError):
        config_xml.parse(text, breathe=count)
    assert pieces * config_xml.CHUNK_BYTES <= 4 << 20


# -- size and turns ---------------------------------------------------------

def test_a_full_array_is_read_in_small_pieces() -> None:
    text = large_dump(8192, 47)
    assert len(text) > 16 << 20
    pieces = 0

    def count() -> None:
        nonlocal pieces
        pieces += 1

    config = config_xml.parse(text, breathe=count)
    assert len(config.logical_disks) == 8192
    assert len(config.ldn_by_name) == 8192
    # 64 KiB are 2 ms: others are never held for 50 ms.
    assert pieces >= len(text) // (64 << 10)


def test_the_tree_does_not_grow_with_the_array(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been read is dropped at once."""
    drop = config_xml._drop
    sizes = []

    def drop_and_count(element: etree._Element) -> None:
        drop(element)
        if element.tag == 'OBJECT':
            sizes.append(sum(1 for _ in element.getroottree().iter()))

    monkeypatch.setattr(config_xml, '_drop', drop_and_count)
    monkeypatch.setattr(config_xml, 'CHUNK_BYTES', 4096)
    each = '</OBJECT><OBJECT name="Logical Disk">'
    config_xml.parse(dump(each.join(
        ld_section(ldn, f'n{ldn}') for ldn in range(1000))))
    assert len(sizes) > 1000
    # A piece of 4 KiB holds some ten LDs of eight elements.
    assert max(sizes) < 200


def test_others_get_their_turn_by_default(
        monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, 'sleep', slept.append)
    text = large_dump(200, 47)
    config_xml.parse(text)
    assert len(slept) >= len(text) // (64 << 10)
    assert set(slept) == {0}


def test_an_error_of_breathe_ends_the_parsing() -> None:
    def killed() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        config_xml.parse(dump(), breathe=killed)


# -- anything at all --------------------------------------------------------

def _only_parse_errors(parse_it: Callable[[], ArrayConfig]) -> None:
    try:
        config = parse_it()
    except errors.ParseError as error:
        assert len(str(error)) < 400
    else:
        assert isinstance(config, ArrayConfig)
        assert all(0 <= ldn <= 0xffff for ldn in config.logical_disks)


@settings(max_examples=300)
@given(name=st.sampled_from(WHOLE), data=st.data())
def test_changed_bytes(name: str, data: st.DataObject) -> None:
    whole = bytearray(fixture_bytes(name))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        length = data.draw(st.sampled_from([0, 1, 1, 2, 40]))
        whole[at:at + length] = data.draw(st.one_of(
            st.binary(max_size=4),
            st.sampled_from([b'<', b'>', b'&', b'"', b'</UNIT>', b'-',
                             b'<SECTION name="Pool Detail Information">',
                             b'</OBJECT>', b'<!--', b'<![CDATA[', b'\0',
                             b'&#x41;', b'<?pi', '表'.encode()])))
    _only_parse_errors(lambda: config_xml.parse(bytes(whole)))


@settings(max_examples=300)
@given(name=st.sampled_from(WHOLE), data=st.data())
def test_changed_values(name: str, data: st.DataObject) -> None:
    text = fixture_text(name)
    pieces = text.split('>')
    values = [n for n, piece in enumerate(pieces)
              if piece.endswith('</UNIT')]
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.sampled_from(values))
        value = data.draw(st.text(max_size=30))
        value = value.replace('&', '&amp;').replace('<', '&lt;')
        pieces[at] = value.replace('>', '') + '</UNIT'
    _only_parse_errors(lambda: config_xml.parse('>'.join(pieces)))


@given(st.one_of(st.binary(), st.text()))
def test_any_content(content: bytes | str) -> None:
    _only_parse_errors(lambda: config_xml.parse(content))
    if isinstance(content, str):
        _only_parse_errors(lambda: config_xml.parse(dump(content)))
        _only_parse_errors(lambda: config_xml.parse(
            f'<REQUEST>{content}</REQUEST>'))
