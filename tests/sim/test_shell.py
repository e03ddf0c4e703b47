# SPDX-License-Identifier: Apache-2.0
"""The grammar of the shell: known forms, and nothing else."""

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from ismsim.grammar import Kind
from ismsim.shell import Filter, Hostile, split

PIPE = ('{} | while builtin read line;do if [[ "$line" =~ "{}" ]]; '
        'then builtin echo {};fi;done')
QUERY = 'iSMrc_query -mv mv -mvflg ld'
META = ';|&$`"\'\\<>(){}[]*?!#~^\n\r\t\0'


def last(bench):
    return bench.engine.journal.since()[-1]


def check_hostile(bench, command):
    version = bench.array.store.version
    reply = bench.run(command)
    assert reply.status == 2
    assert last(bench).hostile
    assert last(bench).kind is Kind.UNKNOWN
    assert bench.array.store.version == version


@pytest.mark.parametrize('command', [
    'iSMview -d; reboot', 'iSMview -d && reboot', 'iSMview -d | cat',
    'iSMview $(reboot)', 'iSMview `reboot`', 'iSMview -d > /etc/passwd',
    'iSMview -d\nreboot', 'iSMview -d\r', 'iSMview -d &', 'iSMview "-d"',
    "iSMview '-d'", 'iSMview \\-d', 'iSMview -d\0', 'iSMview\t-d',
    'iSMview -*', 'iSMview ~', 'iSMview #', 'iSMview ${IFS}-d',
    'iSMview -d\u2028', 'iSMview -ü', '(iSMview -d)', '! iSMview -d',
    'clioutmsg xml; iSMview -all; reboot', 'clioutmsg xml;iSMview -all',
    'clioutmsg text; iSMview -all',
    'clioutmsg xml; clioutmsg xml; iSMview -all',
    'iSMview -d ' + 'x' * 5000,
])
def test_hostile_lines(bench, command):
    check_hostile(bench, command)


@pytest.mark.parametrize('letter', META)
@pytest.mark.parametrize('template', [
    'iSMcfg addldset -ldset LX:{} -type iscsi',
    'iSMcfg addldset -ldset LX:a{}b -type iscsi',
    'iSMcfg addldset -ldset LX:host1 -type iscsi{}',
    '{}iSMcfg addldset -ldset LX:host1 -type iscsi'])
def test_no_special_letter_anywhere(bench, letter, template):
    check_hostile(bench, template.format(letter))


@pytest.mark.parametrize('pipe', [
    PIPE.format(QUERY, 'Sync State', '${line:10}') + ';reboot',
    PIPE.format(QUERY, '$(reboot)', '${line:10}'),
    PIPE.format(QUERY, 'Sync State', '$(reboot)'),
    PIPE.format(QUERY, 'Sync State', '$line'),
    PIPE.format(QUERY, 'x" ]]; then reboot;fi; if [[ "', '"$line"'),
    PIPE.format(QUERY, 'Sync State', '"$line"').replace('builtin', ''),
    PIPE.format(QUERY + '; reboot', 'Sync State', '"$line"'),
])
def test_pipes_that_are_not_the_known_one(bench, pipe):
    check_hostile(bench, pipe)


@pytest.mark.parametrize('command, status', [
    ('', 127), ('   ', 127), ('reboot', 127), ('iSMls', 127),
    ('iSMsc_lvinfo -lv lv -lvflg ld', 127), ('iSMview', 1),
    ('iSMcfg', 1), ('iSMcfg delldset -ldset LX:a', 1),
    ('iSMrc_restore -mv a -mvflg ld -rv b -rvflg ld', 127),
    ('iSMrc_wait -mv a -mvflg ld', 127), ('iSMrc_change', 127),
    ('iSMrc_query -mv a -mvflg atg', 1), ('iSMview -x', 1),
    ('iSMquery -cinder -xml', 1), ('iSMquery -cinder -xml -all -all', 1),
    # Known options, but not as somebody has used them.
    ('iSMcfg ldbind -poolnumber 0 -ldn 1 -capacity 1', 1),
    ('iSMcfg ldbind -poolnumber 0 -ldn 1h -capacity 1 -immediate', 1),
    ('iSMcfg ldbind -poolnumber 0 -ldn -1 -capacity 1 -immediate', 1),
    ('iSMcfg ldbind -poolnumber 0 -ldn 1 -capacity 1 -unit tb -immediate',
     1),
    ('iSMcfg ldbind -poolnumber 0 -ldn 1 -ldn 2 -capacity 1 -immediate', 1),
    ('iSMcfg addldset -ldset LX:a -type fc -multitarget on', 1),
    ('iSMcfg addldset -ldset LX:a -type nvme', 1),
    ('iSMcfg addldset -ldset -type fc', 1),
    ('iSMcfg generationadd -bvname LX:a -poolnumber 1 -count 2 -svname s',
     1),
    ('iSMrc_pair -pair -unpair -mv a -mvflg ld -rv b -rvflg ld', 1),
    ('iSMrc_pair -mv a -mvflg ld -rv b -rvflg ld', 1),
    ('iSMrc_replicate -mv a -mvflg ld -rv b -rvflg ld -cpmode bg', 1),
    ('iSMsc_restore -bv a -bvflg ld -sv b -svflg ld -nowait', 1),
    ('clioutmsg xml; iSMcfg ldunbind -ldname LX:a', 1),
    ('clioutmsg xml; iSMquery -cinder -xml -all', 1),
    (PIPE.format('iSMcfg ldunbind -ldname LX:a', 'x', '"$line"'), 0),
])
def test_unknown_commands(bench, command, status):
    version = bench.array.store.version
    reply = bench.run(command)
    assert reply.status == status
    entry = last(bench)
    assert (entry.kind, entry.hostile) == (Kind.UNKNOWN, False)
    assert entry.note.startswith('unknown command')
    assert bench.array.store.version == version


def test_options_in_any_order(bench):
    bench.ok('iSMcfg ldbind -immediate -capacity 1 -ldn 5 -poolnumber 0')
    bench.ok('iSMcfg  nickname -newname LX:a -ldn 5  -immediate ')


def test_the_filter_works_as_bash_does():
    text = (b'  Sync State            rpl/exec\n'
            b'  LD Name               a  b\nother\n')
    assert Filter('Sync State', 10).apply(text) == b'rpl/exec\n'
    assert Filter('LD Name', 7).apply(text) == b'a b\n'
    # Quoted, the blanks within the line stay.
    assert Filter('LD Name', None).apply(text) == (
        b'LD Name               a  b\n')
    assert Filter('nothing', None).apply(text) == b''


def test_the_known_pipe():
    line = split(PIPE.format(QUERY, 'Sync State', '${line:10}'))
    assert line.words == tuple(QUERY.split())
    assert line.filter == Filter('Sync State', 10)


@settings(max_examples=300)
@given(st.text(max_size=60))
def test_any_text_is_words_or_hostile(text):
    try:
        words = split(text).words
    except Hostile:
        return
    for word in words:
        assert not set(word) & set(META)
        assert word.isascii()


@settings(max_examples=300)
@given(st.text(alphabet=META + 'ab ', min_size=1, max_size=20).filter(
    lambda text: set(text) & set(META)))
def test_nothing_gets_past_a_name(text):
    with pytest.raises(Hostile):
        split(f'iSMcfg addldset -ldset LX:{text} -type iscsi')
