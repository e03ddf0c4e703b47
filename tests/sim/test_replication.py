# SPDX-License-Identifier: Apache-2.0
"""Data replication: transitions, refusals, bytes at the right time."""

import pytest

from ismsim.copying import set_abnormal
from ismsim.entities import PairState
from ismsim.messages import Id

GIB = 1 << 30
BOTH = '-mv mv -mvflg ld -rv rv -rvflg ld'
PAIR = f'iSMrc_pair -pair {BOTH}'
UNPAIR = f'iSMrc_pair -unpair {BOTH}'
FORCE = f'iSMrc_pair -unpair {BOTH} -force all'
FULL = f'iSMrc_replicate {BOTH} -nowait -cprange full -cpmode bg'
DIFF = f'iSMrc_replicate {BOTH} -nowait -cpmode bg'
COMPLETE = (f'iSMrc_separate {BOTH} -rvacc ro -rvuse complete -nowait')
IMMEDIATE = (f'iSMrc_separate {BOTH} -rvacc rw -rvuse immediate -nowait')
EXPAND_MV = 'iSMcfg ldexpand -ldn 0 -capacity 2 -unit gb'
EXPAND_RV = 'iSMcfg ldexpand -ldn 1 -capacity 2 -unit gb'
UNBIND_RV = 'iSMcfg ldunbind -ldname LX:rv'
MAP_RV = 'iSMcfg addldsetld -ldset LX:host1 -ldname LX:rv'
SNAP_RV = ('iSMcfg generationadd -bvname LX:rv -poolnumber 1 -count 1 '
           '-svname sv')
OK = None

COMMANDS = [PAIR, UNPAIR, FORCE, FULL, DIFF, COMPLETE, IMMEDIATE,
            EXPAND_MV, EXPAND_RV, UNBIND_RV, MAP_RV, SNAP_RV]
P, S, B = Id.PAIRED_ALREADY, Id.PAIR_STATE, Id.LD_BUSY
N, U, R, A = (Id.NOT_PAIRED, Id.LD_PAIRED, Id.NOT_READY,
              Id.PAIR_ATTRIBUTE)
# What each command meets in each state, in the order of COMMANDS.
TABLE = {
    'unpaired': [OK, N, N, N, N, N, N, OK, OK, OK, OK, OK],
    'separated': [P, OK, OK, OK, OK, S, S, OK, OK, U, OK, A],
    'rpl/exec': [P, S, S, S, S, OK, OK, B, B, U, R, A],
    'rpl/sync': [P, S, S, S, S, OK, OK, B, B, U, R, A],
    'sep/exec': [P, S, S, S, S, S, S, B, B, U, R, A],
    'sep/exec immediate': [P, S, S, S, S, S, S, B, B, U, OK, A],
    'cancel': [P, OK, OK, OK, S, S, S, OK, OK, U, OK, A],
    'fault': [P, S, OK, OK, S, S, S, OK, OK, U, OK, A],
}
CASES = [(state, command, expected)
         for state, row in TABLE.items()
         for command, expected in zip(COMMANDS, row, strict=True)]


@pytest.fixture
def pair(bench):
    """An MV and an RV of 1 GiB, and a copy that takes 10 seconds."""
    bench.bind('mv', 0)
    bench.bind('rv', 1)
    bench.ldset()
    bench.timing.copy_rate = GIB / 10
    return bench


def bring_to(bench, state):
    """Bring the pair to a state by the way that leads there."""
    if state == 'unpaired':
        return
    bench.pair('mv', 'rv')
    if state in ('cancel', 'fault'):
        store = bench.array.store
        set_abnormal(bench.array, store.pair_of_rv(1), PairState(state))
    elif state != 'separated':
        bench.replicate('mv', 'rv')
        if state == 'rpl/sync':
            bench.clock.advance(10)
        elif state == 'sep/exec':
            bench.separate('mv', 'rv')
        elif state == 'sep/exec immediate':
            bench.separate('mv', 'rv', 'immediate')
    assert bench.sync_state('rv') == state.partition(' ')[0]


@pytest.mark.parametrize('state, command, expected', CASES)
def test_transitions(pair, state, command, expected):
    bring_to(pair, state)
    if expected is OK:
        pair.ok(command)
    else:
        pair.refused(command, expected)


def test_a_whole_cycle(pair):
    pair.pair('mv', 'rv')
    assert pair.sync_state('rv') == 'separated'
    pair.replicate('mv', 'rv')
    assert pair.sync_state('rv') == 'rpl/exec'
    pair.clock.advance(9.9)
    assert pair.sync_state('rv') == 'rpl/exec'
    pair.clock.advance(0.1)
    assert pair.sync_state('rv') == 'rpl/sync'
    pair.separate('mv', 'rv')
    assert pair.sync_state('rv') == 'separated'
    pair.ok(UNPAIR)
    pair.refused('iSMrc_query -mv mv -mvflg ld', Id.NOT_PAIRED)
    pair.refused('iSMrc_query -rv rv -rvflg ld', Id.NOT_PAIRED)


def test_separate_does_not_wait_for_sync(pair):
    pair.pair('mv', 'rv')
    pair.replicate('mv', 'rv')
    pair.clock.advance(4)
    pair.separate('mv', 'rv')
    pair.clock.advance(5.9)
    assert pair.sync_state('rv') == 'sep/exec'
    pair.clock.advance(0.1)
    assert pair.sync_state('rv') == 'separated'


# -- bytes -------------------------------------------------------------------

def test_complete_has_the_bytes_when_the_copy_ends(pair):
    pair.write('mv', b'first')
    pair.pair('mv', 'rv')
    pair.replicate('mv', 'rv')
    pair.write('mv', b'second')
    pair.separate('mv', 'rv', 'complete')
    pair.write('mv', b'third!')
    assert pair.read('rv', 6) == bytes(6)
    pair.clock.advance(10)
    assert pair.sync_state('rv') == 'separated'
    assert pair.read('rv', 6) == b'second'
    assert pair.read('mv', 6) == b'third!'


def test_immediate_has_the_bytes_at_once(pair):
    pair.write('mv', b'first')
    pair.pair('mv', 'rv')
    pair.replicate('mv', 'rv')
    pair.write('mv', b'second')
    pair.separate('mv', 'rv', 'immediate')
    pair.write('mv', b'third!')
    assert pair.read('rv', 6) == b'second'
    pair.write('rv', b'RV', 0)
    pair.clock.advance(10)
    assert pair.sync_state('rv') == 'separated'
    # What a host wrote meanwhile is not overwritten by the copy's end.
    assert pair.read('rv', 6) == b'RVcond'


def test_a_copy_replaces_everything_on_the_rv(pair):
    pair.write('rv', b'old data', GIB - 100)
    pair.pair('mv', 'rv')
    pair.replicate('mv', 'rv')
    pair.clock.advance(10)
    pair.separate('mv', 'rv')
    pair.sync_state('rv')
    assert pair.read('rv', 8, GIB - 100) == bytes(8)


def test_a_differential_copy_takes_as_long_as_the_difference(pair):
    pair.pair('mv', 'rv')
    pair.replicate('mv', 'rv')
    pair.clock.advance(10)
    pair.separate('mv', 'rv')
    pair.sync_state('rv')
    pair.write('mv', b'x' * (GIB // 100))
    pair.replicate('mv', 'rv', full=False)
    pair.clock.advance(0.05)
    assert pair.sync_state('rv') == 'rpl/exec'
    pair.clock.advance(0.06)
    assert pair.sync_state('rv') == 'rpl/sync'
    pair.separate('mv', 'rv')
    pair.sync_state('rv')
    assert pair.read('rv', 1) == b'x'


def test_pairing_again_loses_the_difference(pair):
    pair.pair('mv', 'rv')
    pair.replicate('mv', 'rv')
    pair.clock.advance(10)
    pair.separate('mv', 'rv')
    pair.ok(UNPAIR)
    pair.pair('mv', 'rv')
    pair.replicate('mv', 'rv', full=False)
    pair.clock.advance(9)
    assert pair.sync_state('rv') == 'rpl/exec'


def test_a_fault_in_the_middle(pair):
    pair.write('mv', b'data', GIB - 4)
    pair.pair('mv', 'rv')
    pair.replicate('mv', 'rv')
    pair.clock.advance(5)
    pair.separate('mv', 'rv', 'complete')
    set_abnormal(pair.array, pair.array.store.pair_of_rv(1),
                 PairState.FAULT)
    pair.clock.advance(100)
    assert pair.sync_state('rv') == 'fault'
    assert pair.read('rv', 4, GIB - 4) == bytes(4)
    assert not list(pair.array.backing.directory.glob('frozen*'))


def test_a_fault_takes_what_an_immediate_rv_has_not_got_yet(pair):
    pair.write('mv', b'head')
    pair.write('mv', b'tail', GIB - 4)
    pair.pair('mv', 'rv')
    pair.replicate('mv', 'rv')
    pair.clock.advance(5)
    pair.separate('mv', 'rv', 'immediate')
    assert pair.read('rv', 4, GIB - 4) == b'tail'
    set_abnormal(pair.array, pair.array.store.pair_of_rv(1),
                 PairState.FAULT)
    assert pair.read('rv', 4) == b'head'
    assert pair.read('rv', 4, GIB - 4) == bytes(4)


def test_a_snapshot_as_mv(pair):
    pair.write('mv', b'frozen')
    pair.snapshot('mv', 'sv')
    pair.write('mv', b'thawed')
    pair.pair('sv', 'rv')
    assert pair.array.rpl_attribute(pair.ld('sv')) == 'MV/SV'
    pair.replicate('sv', 'rv')
    pair.separate('sv', 'rv', 'immediate')
    assert pair.read('rv', 6) == b'frozen'


# -- refusals ----------------------------------------------------------------

def pair_command(mv, rv):
    return f'iSMrc_pair -pair -mv {mv} -mvflg ld -rv {rv} -rvflg ld'


def test_what_cannot_be_paired(pair):
    pair.bind('large', 2, size=2)
    pair.bind('other', 3)
    pair.bind('third', 4)
    pair.refused(pair_command('mv', 'none'), Id.NO_LD)
    pair.refused(pair_command('LX:mv', 'rv'), Id.NO_LD)
    pair.refused(pair_command('mv', 'mv'), Id.PAIR_ATTRIBUTE)
    pair.refused(pair_command('mv', 'large'), Id.PAIR_SIZE)
    pair.refused(pair_command('mv', 'RSV0FFD'), Id.PAIR_ATTRIBUTE)
    pair.map('rv')
    pair.refused(pair_command('mv', 'rv'), Id.PAIR_MAPPED)
    pair.ok('iSMcfg delldsetld -ldset LX:host1 -ldname LX:rv')
    pair.ok(PAIR)
    pair.refused(pair_command('other', 'rv'), Id.PAIRED_ALREADY)
    pair.refused(pair_command('other', 'mv'), Id.PAIR_ATTRIBUTE)
    pair.refused(pair_command('rv', 'other'), Id.PAIR_ATTRIBUTE)
    pair.generation('other', 'sv')
    pair.refused(pair_command('third', 'other'), Id.PAIR_ATTRIBUTE)
    pair.refused(pair_command('third', 'sv'), Id.PAIR_ATTRIBUTE)
    # An SV without snapshot data has nothing to copy.
    pair.refused(pair_command('sv', 'third'), Id.SNAP_STATE)


def test_three_rvs_per_mv(pair):
    for number in range(4):
        pair.bind(f'rv{number}', 10 + number)
    for number in range(3):
        pair.pair('mv', f'rv{number}')
    pair.refused(pair_command('mv', 'rv3'), Id.PAIR_LIMIT)


def test_the_wrong_pair(pair):
    pair.bind('other', 2)
    pair.bind('other_rv', 3)
    pair.ok(PAIR)
    pair.pair('other', 'other_rv')
    wrong = '-mv mv -mvflg ld -rv other_rv -rvflg ld'
    pair.refused(f'iSMrc_pair -unpair {wrong}', Id.NOT_PAIRED)
    pair.refused(f'iSMrc_replicate {wrong} -nowait -cprange full '
                 '-cpmode bg', Id.NOT_PAIRED)


def test_sizes_have_to_be_equal_again_before_a_copy(pair):
    pair.ok(PAIR)
    pair.ok(EXPAND_MV)
    pair.refused(FULL, Id.PAIR_SIZE)
    pair.ok(EXPAND_RV)
    pair.ok(FULL)


def test_no_copy_to_what_a_host_sees(pair):
    pair.ok(PAIR)
    pair.map('rv')
    pair.refused(FULL, Id.PAIR_MAPPED)


def test_a_mapped_rv_can_be_unpaired(pair):
    bring_to(pair, 'sep/exec immediate')
    pair.map('rv')
    pair.clock.advance(10)
    pair.ok(UNPAIR)


def test_licence_and_rsv(make_bench):
    bench = make_bench('bare')
    bench.bind('mv', 0)
    bench.bind('rv', 1)
    bench.refused(PAIR, Id.NO_LICENCE)
    bench.ok('iSMcfg licenserelease -key DynamicDataReplication')
    bench.refused(PAIR, Id.NO_RSV)


# -- queries -----------------------------------------------------------------

def values(text, label):
    return [line.strip()[len(label):].strip()
            for line in text.splitlines() if line.strip().startswith(label)]


def test_query_by_mv_lists_every_rv(pair):
    pair.bind('rv2', 2)
    pair.ok(PAIR)
    pair.pair('mv', 'rv2')
    pair.replicate('mv', 'rv2')
    text = pair.ok('iSMrc_query -mv mv -mvflg ld')
    assert values(text, 'LD Name') == ['mv', 'rv', 'rv2']
    assert values(text, 'Sync State') == ['separated', 'rpl/exec']
    assert values(text, 'Separate Diff') == ['1048576KB', '0KB']


def test_query_by_rv(pair):
    pair.ok(PAIR)
    text = pair.ok('iSMrc_query -rv rv -rvflg ld')
    assert values(text, 'LD Name') == ['mv', 'rv']


def test_the_rest_of_a_copy(pair):
    pair.ok(PAIR)
    pair.ok(FULL)
    pair.clock.advance(2.5)
    text = pair.ok('iSMrc_query -rv rv -rvflg ld')
    assert values(text, 'Copy Diff') == ['786432KB']


def test_the_difference_while_separated(pair):
    pair.timing.copy_rate = float('inf')
    pair.ok(PAIR)
    pair.ok(FULL)
    pair.separate('mv', 'rv')
    text = pair.ok('iSMrc_query -rv rv -rvflg ld')
    assert values(text, 'Separate Diff') == ['0KB']
    pair.write('mv', b'x')
    pair.write('rv', b'y', 1 << 20)
    text = pair.ok('iSMrc_query -rv rv -rvflg ld')
    assert values(text, 'Separate Diff') == ['128KB']


def test_the_pipe_hides_the_exit_status(pair):
    pipe = ('iSMrc_query -mv mv -mvflg ld | while builtin read line;do if '
            '[[ "$line" =~ "Sync State" ]]; then builtin echo '
            '${line:10};fi;done')
    reply = pair.run(pipe)
    assert (reply.status, reply.stdout) == (0, b'')
    pair.ok(PAIR)
    assert pair.ok(pipe) == 'separated\n'
