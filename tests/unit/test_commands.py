# SPDX-License-Identifier: Apache-2.0
"""Command lines: their exact text, and what never gets into one."""

from __future__ import annotations

from collections.abc import Callable
import inspect
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from cinder_nec import errors
from cinder_nec.ismcli import commands
from cinder_nec.ismcli.commands import (
    Command,
    CopyRange,
    Effect,
    PairRole,
    RvUse,
    VolumeAccess,
)
from cinder_nec.model import InitiatorName, LdName, LdSetName, Wwpn

LD = LdName('LX', '6NSjtgPWTieAMhvsJspHA6')
OLD = LdName('LX', '6NSjtgPWTieAMhvsJspHA6_m')
SET = LdSetName('LX', 'OpenStack0')
IQN = InitiatorName.parse('iqn.1994-05.com.redhat:compute-1')
WWPN = Wwpn.parse('10:00:00:90:fa:a0:78:6b')

# Forms: ISMCLI.md A.2 to A.6, and H for the LD Set in multi-target mode.
GOLDEN: dict[str, list[tuple[Command, str]]] = {
    'query_all': [(
        commands.query_all(), 'iSMquery -cinder -xml -all')],
    'legacy_view_all': [
        (commands.legacy_view_all(False), 'clioutmsg xml; iSMview -all'),
        (commands.legacy_view_all(True),
         'clioutmsg xml; iSMview --alloptimize')],
    'view_access': [(commands.view_access(), 'iSMview -a')],
    'view_ld_set': [(
        commands.view_ld_set(SET), 'iSMview -ac LX:OpenStack0')],
    'ldbind': [(
        commands.ldbind(31, 10, 100),
        'iSMcfg ldbind -poolnumber 31 -ldn 10 -capacity 100 -immediate')],
    'ldbind_control_volume': [(
        commands.ldbind_control_volume(0, 4095),
        'iSMcfg ldbind -poolnumber 0 -ldattr cv -ldn 4095')],
    'ldunbind': [(
        commands.ldunbind(LD),
        'iSMcfg ldunbind -ldname LX:6NSjtgPWTieAMhvsJspHA6')],
    'ldexpand': [(
        commands.ldexpand(10, 200),
        'iSMcfg ldexpand -ldn 10 -capacity 200 -unit gb')],
    'nickname_of_ldn': [(
        commands.nickname_of_ldn(10, LD),
        'iSMcfg nickname -ldn 10 -newname LX:6NSjtgPWTieAMhvsJspHA6 '
        '-immediate')],
    'nickname': [(
        commands.nickname(OLD, LD),
        'iSMcfg nickname -ldname LX:6NSjtgPWTieAMhvsJspHA6_m '
        '-newname LX:6NSjtgPWTieAMhvsJspHA6')],
    'setlimit': [
        (commands.setlimit(LD, 5000, 200, True),
         'iSMioc setlimit -ldname LX:6NSjtgPWTieAMhvsJspHA6 '
         '-upperlimit 5000 -lowerlimit 200 -upperreport on'),
        (commands.setlimit(LD, 0, None, None),
         'iSMioc setlimit -ldname LX:6NSjtgPWTieAMhvsJspHA6 '
         '-upperlimit 0'),
        (commands.setlimit(LD, None, None, False),
         'iSMioc setlimit -ldname LX:6NSjtgPWTieAMhvsJspHA6 '
         '-upperreport off')],
    'addldset_iscsi': [(
        commands.addldset_iscsi(SET),
        'iSMcfg addldset -ldset LX:OpenStack0 -type iscsi '
        '-multitarget on')],
    'addldset_fc': [(
        commands.addldset_fc(SET),
        'iSMcfg addldset -ldset LX:OpenStack0 -type fc')],
    'addldsetinitiator': [(
        commands.addldsetinitiator(SET, IQN),
        'iSMcfg addldsetinitiator -ldset LX:OpenStack0 '
        '-initiatorname iqn.1994-05.com.redhat:compute-1')],
    'addldsetpath': [(
        commands.addldsetpath(SET, WWPN),
        'iSMcfg addldsetpath -ldset LX:OpenStack0 '
        '-path 1000-0090-FAA0-786B')],
    'addldsetld': [
        (commands.addldsetld(SET, LD, None),
         'iSMcfg addldsetld -ldset LX:OpenStack0 '
         '-ldname LX:6NSjtgPWTieAMhvsJspHA6'),
        (commands.addldsetld(SET, LD, 0),
         'iSMcfg addldsetld -ldset LX:OpenStack0 '
         '-ldname LX:6NSjtgPWTieAMhvsJspHA6 -lun 0'),
        (commands.addldsetld(SET, LD, 255),
         'iSMcfg addldsetld -ldset LX:OpenStack0 '
         '-ldname LX:6NSjtgPWTieAMhvsJspHA6 -lun 255')],
    'delldsetld': [(
        commands.delldsetld(SET, LD),
        'iSMcfg delldsetld -ldset LX:OpenStack0 '
        '-ldname LX:6NSjtgPWTieAMhvsJspHA6')],
    'rc_pair': [(
        commands.rc_pair('m', 'r'),
        'iSMrc_pair -pair -mv m -mvflg ld -rv r -rvflg ld')],
    'rc_unpair': [
        (commands.rc_unpair('m', 'r', force=False),
         'iSMrc_pair -unpair -mv m -mvflg ld -rv r -rvflg ld'),
        (commands.rc_unpair('m', 'r', force=True),
         'iSMrc_pair -unpair -mv m -mvflg ld -rv r -rvflg ld '
         '-force all')],
    'rc_replicate': [
        (commands.rc_replicate('m', 'r', CopyRange.FULL),
         'iSMrc_replicate -mv m -mvflg ld -rv r -rvflg ld -nowait '
         '-cprange full -cpmode bg'),
        (commands.rc_replicate('m', 'r', CopyRange.DIFFERENCE),
         'iSMrc_replicate -mv m -mvflg ld -rv r -rvflg ld -nowait '
         '-cpmode bg')],
    'rc_separate': [
        (commands.rc_separate('m', 'r', VolumeAccess.READ_WRITE,
                              RvUse.IMMEDIATE),
         'iSMrc_separate -mv m -mvflg ld -rv r -rvflg ld '
         '-rvacc rw -rvuse immediate -nowait'),
        (commands.rc_separate('m', 'r', VolumeAccess.READ_ONLY,
                              RvUse.COMPLETE),
         'iSMrc_separate -mv m -mvflg ld -rv r -rvflg ld '
         '-rvacc ro -rvuse complete -nowait')],
    'rc_query': [
        (commands.rc_query('m', PairRole.MV),
         'iSMrc_query -mv m -mvflg ld'),
        (commands.rc_query('r', PairRole.RV),
         'iSMrc_query -rv r -rvflg ld')],
    'generationadd': [(
        commands.generationadd(LD, 3, 'sv'),
        'iSMcfg generationadd -bvname LX:6NSjtgPWTieAMhvsJspHA6 '
        '-poolnumber 3 -count 1 -svname sv')],
    'generationdel': [(
        commands.generationdel(LD),
        'iSMcfg generationdel -bvname LX:6NSjtgPWTieAMhvsJspHA6 '
        '-count 1')],
    'sc_create': [(
        commands.sc_create('b', 's'),
        'iSMsc_create -bv b -bvflg ld -sv s -svflg ld')],
    'sc_delete': [(
        commands.sc_delete('b', 's'),
        'iSMsc_delete -bv b -bvflg ld -sv s -svflg ld')],
    'sc_restore': [(
        commands.sc_restore('b', 's'),
        'iSMsc_restore -bv b -bvflg ld -sv s -svflg ld '
        '-derivsv keep -nowait')],
    'sc_query': [(
        commands.sc_query('b', 's'),
        'iSMsc_query -bv b -bvflg ld -sv s -svflg ld -summary')],
    'sc_query_by_sv': [(
        commands.sc_query_by_sv('s'),
        'iSMsc_query -sv s -svflg ld -summary')],
    'sc_query_of_bv': [(
        commands.sc_query_of_bv('b'),
        'iSMsc_query -bv b -bvflg ld -detail')],
    'lvbind': [(
        commands.lvbind(LD, 12, 'lv'),
        'iSMcfg lvbind -bvname LX:6NSjtgPWTieAMhvsJspHA6 -lvn 12 '
        '-lvname lv')],
    'lvunbind': [(
        commands.lvunbind(LD),
        'iSMcfg lvunbind -ldname LX:6NSjtgPWTieAMhvsJspHA6')],
    'sc_link': [(
        commands.sc_link('l', 's', VolumeAccess.READ_ONLY),
        'iSMsc_link -lv l -lvflg ld -sv s -svflg ld -lvacc ro')],
    'sc_unlink': [(
        commands.sc_unlink('l'), 'iSMsc_unlink -lv l -lvflg ld')],
}
BUILDERS: dict[str, Callable[..., Command]] = {
    name: builder for name, builder in inspect.getmembers(
        commands, inspect.isfunction)
    if not name.startswith('_')}
READS = {'query_all', 'legacy_view_all', 'view_access', 'view_ld_set',
         'rc_query', 'sc_query',
         'sc_query_by_sv', 'sc_query_of_bv'}


@pytest.mark.parametrize('name', sorted(GOLDEN))
def test_golden_text(name: str) -> None:
    for command, text in GOLDEN[name]:
        assert command.text == text


def test_every_builder_has_a_golden_text() -> None:
    assert sorted(BUILDERS) == sorted(GOLDEN)


@pytest.mark.parametrize('name', sorted(GOLDEN))
def test_only_displays_are_reads(name: str) -> None:
    """A CHANGE taken for a READ would be repeated blindly (D9)."""
    for command, _text in GOLDEN[name]:
        assert (command.effect is Effect.READ) == (name in READS)
        assert command.timeout_seconds >= 60


# -- hostile values ---------------------------------------------------------

_GOOD: dict[str, Any] = {
    'bool': True, 'bool | None': True, 'int': 1, 'int | None': 1,
    'str': 'label', 'LdName': LD, 'LdSetName': SET,
    'InitiatorName': IQN, 'Wwpn': WWPN, 'CopyRange': CopyRange.FULL,
    'RvUse': RvUse.COMPLETE, 'VolumeAccess': VolumeAccess.READ_ONLY,
    'PairRole': PairRole.MV}
ALLOWED = frozenset('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
                    '0123456789_/.:- ')


def _places(kinds: set[str]) -> list[tuple[str, str]]:
    """Return (builder, parameter) of all parameters of these types."""
    return [(name, parameter.name)
            for name, builder in sorted(BUILDERS.items())
            for parameter in inspect.signature(builder).parameters.values()
            if parameter.annotation in kinds]


def _build(name: str, /, **changes: object) -> Command:
    builder = BUILDERS[name]
    values = {p.name: _GOOD[str(p.annotation)]
              for p in inspect.signature(builder).parameters.values()}
    return builder(**{**values, **changes})


LABELS = _places({'str'})
NAMES = _places({'LdName', 'LdSetName'})
NUMBERS = _places({'int', 'int | None'})

METACHARACTERS = ';&|<>()$`\\"\' \t\n\r\0*?[]#~=%!{}^,+@:\x1b\x7f'
hostile = st.one_of(
    st.builds('{}{}{}'.format, st.text(max_size=8),
              st.sampled_from(METACHARACTERS), st.text(max_size=8)),
    st.sampled_from([
        '', ' ', '-mv', '-', '--help', '$(reboot)', '`reboot`', 'a;reboot',
        'a\nreboot', 'a\0', 'a' * 65536, 'a' * 33, 'é', '表', '\u202e', 'ａ',
        '٣', 'a\u2028b', '>/tmp/x;echo', '&& reboot', 'a\n']))


def test_every_parameter_is_of_a_known_type() -> None:
    kinds = {str(parameter.annotation) for builder in BUILDERS.values()
             for parameter in inspect.signature(builder).parameters.values()}
    assert kinds <= set(_GOOD)
    assert len(LABELS) >= 20 and len(NAMES) >= 10 and len(NUMBERS) >= 8
    for name in BUILDERS:
        assert _build(name).text


def _kind(name: str, parameter: str) -> type[LdName] | type[LdSetName]:
    annotation = inspect.signature(
        BUILDERS[name]).parameters[parameter].annotation
    return LdSetName if annotation == 'LdSetName' else LdName


def _refused_or_harmless(build: Callable[[], Command],
                         value: str) -> None:
    try:
        text = build().text
    except errors.InvalidInput as error:
        assert len(str(error)) < 400
    else:
        assert set(text) <= ALLOWED
        assert not set(value) & set(METACHARACTERS)


@pytest.mark.parametrize(('name', 'parameter'), LABELS)
@given(value=hostile)
def test_hostile_labels(name: str, parameter: str, value: str) -> None:
    _refused_or_harmless(lambda: _build(name, **{parameter: value}), value)


@pytest.mark.parametrize(('name', 'parameter'), NAMES)
@given(value=hostile)
def test_hostile_names(name: str, parameter: str, value: str) -> None:
    kind = _kind(name, parameter)
    _refused_or_harmless(lambda: _build(
        name, **{parameter: kind('LX', value)}), value)
    _refused_or_harmless(lambda: _build(
        name, **{parameter: kind(value, 'x')}), value)


BAD_LABELS = ('', '-a', '--', 'a b', 'a;b', 'a\n', '\na', 'a' * 33, 'é',
              'a:b', 'a$')


@pytest.mark.parametrize(('name', 'parameter'), LABELS)
def test_labels_that_are_refused(name: str, parameter: str) -> None:
    """An option in the place of a name would change the command."""
    for label in (*BAD_LABELS, 'a' * 25):
        with pytest.raises(errors.InvalidInput):
            _build(name, **{parameter: label})


@pytest.mark.parametrize(('name', 'parameter'), NAMES)
def test_names_that_are_refused(name: str, parameter: str) -> None:
    kind = _kind(name, parameter)
    for label in BAD_LABELS:
        with pytest.raises(errors.InvalidInput):
            _build(name, **{parameter: kind('LX', label)})
    for platform in ('', ' ', 'lx', 'LXX', 'L', 'LX\n', 'L X', '-X', 'L;',
                     '1X', 'ЛХ'):
        with pytest.raises(errors.InvalidInput):
            _build(name, **{parameter: kind(platform, 'x')})


@pytest.mark.parametrize('platform', ['LX', 'WN', 'A2', 'NX'])
def test_platforms_of_the_array(platform: str) -> None:
    assert commands.ldunbind(LdName(platform, 'a/b.c-d_e')).text == (
        f'iSMcfg ldunbind -ldname {platform}:a/b.c-d_e')


@pytest.mark.parametrize(('name', 'parameter'), NUMBERS)
def test_numbers_that_are_refused(name: str, parameter: str) -> None:
    for value in (-1, True, 1.0, '1', '1;reboot', b'1', [1], float('nan')):
        with pytest.raises(errors.InvalidInput):
            _build(name, **{parameter: value})


@given(hostile)
def test_hostile_initiators(value: str) -> None:
    """S1: a tenant's connector reached the array's shell."""
    with pytest.raises(errors.InvalidInput):
        InitiatorName.parse(value)
    try:
        initiator = InitiatorName.parse('iqn.1994-05.com.redhat:' + value)
    except errors.InvalidInput:
        return
    _refused_or_harmless(
        lambda: commands.addldsetinitiator(SET, initiator),
        # A colon is part of many names.
        value.replace(':', ''))


@given(hostile)
def test_hostile_wwpns(value: str) -> None:
    for text in (value, '10000090faa0786' + value, value + '0' * 16):
        try:
            wwpn = Wwpn.parse(text)
        except errors.InvalidInput:
            continue
        command = commands.addldsetpath(SET, wwpn)
        assert command.text.rpartition(' ')[2].replace('-', '').isalnum()
        assert set(command.text) <= ALLOWED


@pytest.mark.parametrize('value', [None, 1, b'iqn.1994-05.com.x:y', [], {}])
def test_values_that_are_no_text(value: Any) -> None:
    with pytest.raises(errors.InvalidInput):
        InitiatorName.parse(value)
    with pytest.raises(errors.InvalidInput):
        Wwpn.parse(value)


def test_wwpn_forms() -> None:
    for text in ('10000090FAA0786B', '10:00:00:90:fa:a0:78:6b',
                 '1000-0090-FAA0-786B', '10000090faa0786b'):
        assert Wwpn.parse(text) == Wwpn('10000090faa0786b')
    for text in ('', '1000', '10000090FAA0786', '10000090FAA0786BC',
                 '10000090FAA0786G', '10000090faa0786b\n', '٣' * 16):
        with pytest.raises(errors.InvalidInput):
            Wwpn.parse(text)


def test_a_change_is_known_again() -> None:
    for name, built in GOLDEN.items():
        for command, text in built:
            if name in READS or name == 'setlimit':
                with pytest.raises(errors.InvalidInput):
                    Command.change_again(text)
            else:
                again = Command.change_again(text)
                assert (again.text, again.effect) == (text, command.effect)


@pytest.mark.parametrize('text', [
    'reboot', 'iSMcfg', 'iSMcfg ldunbind', 'iSMquery -cinder -xml -all',
    'iSMcfg ldunbind -ldname LX:a; reboot',
    'iSMcfg ldunbind -ldname $(reboot)', 'iSMcfg ldunbind  -ldname LX:a',
    'iSMcfg ldunbind -ldname LX:a\n', ' iSMcfg ldunbind -ldname LX:a'])
def test_what_is_no_change_is_not_run_again(text: str) -> None:
    with pytest.raises(errors.InvalidInput):
        Command.change_again(text)
