# SPDX-License-Identifier: Apache-2.0
"""The answers of iSMrc_query and iSMsc_query (ISMCLI.md A.5, A.6, I)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
import pytest

from cinder_nec import errors
from cinder_nec.ismcli import status_text
from cinder_nec.ismcli.commands import PairRole
from cinder_nec.model import PairState, PairStatus, SnapState, SnapStatus
from tests.helpers import fixture_text

MV = '6NSjtgPWTieAMhvsJspHA6'
RV = '4q7I6V6T8c8BVFuE8UfWVP'


# -- pairs ------------------------------------------------------------------

def test_one_pair_by_mv() -> None:
    assert status_text.parse_pairs(
        fixture_text('rc_query_mv_one.txt'), MV, PairRole.MV) == (
        PairStatus(MV, RV, PairState.SEPARATING, 2 << 20, 1 << 30),)


def test_several_pairs_by_mv() -> None:
    """W16: the states of two pairs were read as one text."""
    assert status_text.parse_pairs(
        fixture_text('rc_query_mv_three.txt'), MV, PairRole.MV) == (
        PairStatus(MV, 'rv-one', PairState.SEPARATED, 0, None),
        # A remote RV with the name of its MV stays as it is (RDR).
        PairStatus(MV, MV, PairState.SYNCHRONIZED, None, 0),
        PairStatus(MV, 'rv-three', PairState.UNRECOGNIZED, None, None))


def test_by_rv() -> None:
    text = fixture_text('rc_query_rv.txt')
    wanted = (PairStatus(MV, RV, PairState.REPLICATING, 0, None),)
    assert status_text.parse_pairs(text, RV, PairRole.RV) == wanted
    lines = text.splitlines()
    swapped = '\n'.join([lines[1], lines[0], *lines[2:]])
    assert status_text.parse_pairs(swapped, RV, PairRole.RV) == wanted


def test_layout_of_2004() -> None:
    text = fixture_text('rc_query_host_2004.txt')
    wanted = (PairStatus('master01', 'copy01', PairState.CANCELLED,
                         12 << 10, 0),)
    assert status_text.parse_pairs(
        text, 'master01', PairRole.MV) == wanted
    assert status_text.parse_pairs(text, 'copy01', PairRole.RV) == wanted


@pytest.mark.parametrize('form', [
    '{} {}', '   {}\t{}  ', '{} : {}', '{}:{}', '{}       :   {}',
    # The value may follow the label directly (ISMCLI.md A.5).
    '{}{}'])
@pytest.mark.parametrize('end', ['\n', '\r\n'])
def test_forms_of_a_line(form: str, end: str) -> None:
    text = end.join(form.format(*pair) for pair in [
        ('LD Name', 'm'), ('LD Name', 'r'), ('Type', 'LX'),
        ('Sync State', 'separated'), ('Separate Diff', '3KB'),
        ('Copy Diff', '4 KB')])
    assert status_text.parse_pairs(text, 'm', PairRole.MV) == (
        PairStatus('m', 'r', PairState.SEPARATED, 3072, 4096),)


@pytest.mark.parametrize(('word', 'state'), [
    ('rpl/exec', PairState.REPLICATING),
    ('rpl/sync', PairState.SYNCHRONIZED),
    ('sep/exec', PairState.SEPARATING),
    ('separated', PairState.SEPARATED),
    ('Separated', PairState.SEPARATED),
    ('cancel', PairState.CANCELLED),
    ('fault', PairState.FAULT),
    ('rst/exec', PairState.RESTORING),
    ('rst/sync', PairState.RESTORED),
    # D2: what is not known is never taken for done.
    ('separate/exec', PairState.UNRECOGNIZED),
    ('separated (partly)', PairState.UNRECOGNIZED),
    ('separated separated', PairState.UNRECOGNIZED),
    ('separate', PairState.UNRECOGNIZED),
    ('?', PairState.UNRECOGNIZED),
    ('', PairState.UNRECOGNIZED),
])
def test_pair_states(word: str, state: PairState) -> None:
    text = f'LD Name m\nLD Name r\nSync State {word}\n'
    assert status_text.parse_pairs(
        text, 'm', PairRole.MV)[0].state is state


@pytest.mark.parametrize('diff', ['', '-', '---', '12', '12MB', 'KB',
                                  '-1KB', '1.5KB', '1KB2KB'])
def test_a_difference_that_is_no_size_is_not_told(diff: str) -> None:
    text = f'LD Name m\nLD Name r\nSync State fault\nSeparate Diff {diff}'
    assert status_text.parse_pairs(
        text, 'm', PairRole.MV)[0].separate_diff_bytes is None


def test_all_names_before_all_states() -> None:
    text = ('LD Name m\nLD Name r1\nLD Name r2\n'
            'Sync State rpl/sync\nSync State separated\n')
    assert status_text.parse_pairs(text, 'm', PairRole.MV) == (
        PairStatus('m', 'r1', PairState.SYNCHRONIZED),
        PairStatus('m', 'r2', PairState.SEPARATED))


@pytest.mark.parametrize('text', [
    # D3: an answer that was lost arrived as an empty one.
    '', '\n\n', ' ', 'Pair Information\n', 'iSM13000: not paired',
    'LD Name m', 'LD Name m\nType LX\n', 'Sync State separated',
    'LD Name m\nSync State separated',
    'LD Name m\nLD Name r', 'LD Name\nLD Name\nSync State separated',
    'LD Name m\nLD Name\nSync State separated',
    'LD Name m\nLD Name r1\nLD Name r2\nSync State separated',
    'LD Name m\nLD Name r1\nSync State separated\nLD Name r2',
    'LD Name m\nLD Name r1\nSync State separated\nSync State separated',
    # About another LD, one whose name only begins alike.
    'LD Name m2\nLD Name r\nSync State separated',
    'LD Name x\nLD Name r\nSync State separated',
    'LD Name r\nSync State separated',
    'LD Name r\nSync State separated\nLD Name m\nLD Name s\n'
    'Sync State separated',
])
def test_an_answer_without_pairs_is_an_error(text: str) -> None:
    with pytest.raises(errors.ParseError) as caught:
        status_text.parse_pairs(text, 'm', PairRole.MV)
    assert 'iSMrc_query by MV m' in str(caught.value)


def test_an_rv_has_one_mv() -> None:
    text = ('LD Name r\nLD Name m1\nSync State separated\n'
            'LD Name m2\nSync State separated\n')
    with pytest.raises(errors.ParseError):
        status_text.parse_pairs(text, 'r', PairRole.RV)


@pytest.mark.parametrize('name', ['rc_query_mv_one.txt',
                                  'rc_query_mv_three.txt'])
def test_a_cut_answer_is_no_shorter_list_of_whole_states(
        name: str) -> None:
    """Lines that were lost are an error or fewer pairs, never others."""
    lines = fixture_text(name).splitlines()
    whole = status_text.parse_pairs('\n'.join(lines), MV, PairRole.MV)
    for count in range(len(lines)):
        try:
            pairs = status_text.parse_pairs(
                '\n'.join(lines[:count]), MV, PairRole.MV)
        except errors.ParseError:
            continue
        assert [(p.rv, p.state) for p in pairs] == [
            (p.rv, p.state) for p in whole[:len(pairs)]]


# -- snapshots --------------------------------------------------------------

def test_summary_rows() -> None:
    rows = status_text.parse_snapshots(fixture_text('sc_query_summary.txt'))
    assert rows == (
        SnapStatus(MV, 'snap1', -1, SnapState.ACTIVE, linked=True),
        SnapStatus(MV, 'snap', -2, SnapState.ACTIVE),
        SnapStatus(MV, 'snap10', -12, SnapState.DELETING),
        SnapStatus(MV, 'snap11', -13, SnapState.RESTORING),
        # The name of an SV is no link.
        SnapStatus(MV, 'link', -14, SnapState.UNRECOGNIZED),
        SnapStatus(MV, 'empty', -15, SnapState.NO_DATA))


@pytest.mark.parametrize(('sv', 'generation', 'state'), [
    ('snap', -2, SnapState.ACTIVE), ('snap1', -1, SnapState.ACTIVE),
    ('snap10', -12, SnapState.DELETING)])
def test_a_name_that_begins_another(sv: str, generation: int,
                                    state: SnapState) -> None:
    found = status_text.parse_snapshot(
        fixture_text('sc_query_summary.txt'), MV, sv)
    assert (found.sv, found.generation, found.state) == (
        sv, generation, state)


def test_by_sv() -> None:
    text = fixture_text('sc_query_sv.txt')
    assert status_text.bv_of(text) == 'base0'
    assert status_text.parse_snapshot(text, 'base0', RV) == SnapStatus(
        'base0', RV, -1, SnapState.FAULT)


def test_detail() -> None:
    assert status_text.parse_snapshots(
        fixture_text('sc_query_detail.txt')) == (
        SnapStatus('base0', 'base0_SV0007', -1, SnapState.ACTIVE, True),
        SnapStatus('base0', 'base0_SV0008', -2, SnapState.DELETING))


HEAD = 'BV Information\nLD Name : b\nSV Information\n'


@pytest.mark.parametrize(('row', 'state', 'linked'), [
    ('LX:s ( -1) snap/active [2016/01/02 03:04:05] [link]',
     SnapState.ACTIVE, True),
    ('LX:s (-256) snap/active [2016/01/02 03:04:05] link (LX:l)',
     SnapState.ACTIVE, True),
    ('  LX:s(-1) snap/active', SnapState.ACTIVE, False),
    ('  :s ( -1) rst/exec [2016/01/02 03:04:05]',
     SnapState.RESTORING, False),
    ('LX:s ( -1) [2016/01/02 03:04:05]', SnapState.UNRECOGNIZED, False),
    ('LX:s ( -1) link', SnapState.UNRECOGNIZED, False),
    ('LX:s ( -1)', SnapState.NO_DATA, False),
    ('LX:s ( -1) -', SnapState.NO_DATA, False),
    ('LX:s ( -1) --- [2016/01/02 03:04:05]', SnapState.NO_DATA, False),
    ('LX:s ( -1) snap/active2', SnapState.UNRECOGNIZED, False),
    ('LX:s ( -1) snap/activating', SnapState.UNRECOGNIZED, False),
])
def test_forms_of_a_row(row: str, state: SnapState, linked: bool) -> None:
    found = status_text.parse_snapshot(HEAD + row + '\r\n', 'b', 's')
    assert (found.state, found.linked) == (state, linked)


@pytest.mark.parametrize('text', [
    '', '\n', 'iSM19999: no such SV', 'BV Information\n',
    'BV Information\nLD Name :\nSV Information\nLX:s ( -1) snap/active',
    # The heading is missing, so whose name it is is not known.
    'LD Name : b\nSV Information\nLX:s ( -1) snap/active',
    'BV Information\nLD Name : b\nLX:s ( -1) snap/active',
    HEAD, HEAD + 'LX:t ( -1) snap/active', HEAD + 'LX:S ( -1) snap/active',
    HEAD + 'LX:s_l ( -1) snap/active', HEAD + 'LX:s',
    HEAD + 'LX:s ( x) snap/active', HEAD + 'LX:s ( -1',
    HEAD + 'LX:s ( -1) snap/active\nLX:s ( -2) snap/active',
    # One row that is cut off spoils the answer.
    HEAD + 'LX:s ( -1) snap/active\nLX:t ( -',
    HEAD.replace(': b', ': b2') + 'LX:s ( -1) snap/active',
])
def test_no_such_generation_is_an_error(text: str) -> None:
    with pytest.raises(errors.ParseError):
        status_text.parse_snapshot(text, 'b', 's')


def test_a_detail_block_that_is_not_whole() -> None:
    text = fixture_text('sc_query_detail.txt')
    for lost in ('Snap State             : snap/deleting',
                 '-2(normal)', 'LD Name                : base0_SV0008'):
        with pytest.raises(errors.ParseError):
            # Without its name a block has that of the LV before.
            status_text.parse_snapshot(
                text.replace(lost, ''), 'base0', 'base0_SV0008')


# -- anything at all --------------------------------------------------------

_WORDS = st.sampled_from([
    'LD Name', 'Sync State', 'Separate Diff', ' : ', ' ', '\n', 'm', 'r',
    'separated', '1KB', 'BV Information\n', 'SV Information\n',
    'Pair Information\n', 'LX:', 's', '( -1)', 'snap/active', '[link]',
    'Generation(Attribute)', '-1(normal)', 'Snap State', '\0', 'é'])


@given(st.one_of(st.text(), st.lists(_WORDS).map(''.join)))
def test_any_text(text: str) -> None:
    for role in PairRole:
        try:
            pairs = status_text.parse_pairs(text, 'm', role)
        except errors.ParseError:
            continue
        assert pairs
        assert all('m' in (p.mv, p.rv) for p in pairs)
    try:
        assert status_text.parse_snapshot(text, 'm', 's').sv == 's'
    except errors.ParseError as error:
        assert len(str(error)) < 300
