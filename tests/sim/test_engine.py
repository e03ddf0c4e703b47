# SPDX-License-Identifier: Apache-2.0
"""The busy rule, time, the journal, faults."""

import threading

import pytest

from ismsim.faults import Action, fault_from
from ismsim.grammar import Kind
from ismsim.messages import BUSY_IDS, Id

BIND = 'iSMcfg ldbind -poolnumber 0 -ldn {} -capacity 1 -immediate'
DUMP = 'iSMquery -cinder -xml -all'
GIB = 1 << 30


class Background:
    """A command in a thread of its own, on the manual clock."""

    def __init__(self, bench, command, sleepers=1):
        self.outcome = None
        self._bench = bench
        self._thread = threading.Thread(
            target=self._run, args=(command,), daemon=True)
        self._thread.start()
        assert bench.clock.wait_for_sleepers(sleepers)

    def _run(self, command):
        self.outcome = self._bench.engine.execute(command)

    @property
    def is_running(self):
        return self._thread.is_alive()

    def result(self):
        self._thread.join(10)
        assert not self.is_running
        return self.outcome.reply


# -- one change at a time, and time ------------------------------------------

def test_a_second_change_is_busy(bench):
    bench.timing.change = 0.5
    first = Background(bench, BIND.format(0))
    bench.refused(BIND.format(1), Id.BUSY_31005)
    assert first.is_running
    bench.clock.advance(0.5)
    assert first.result().status == 0
    assert 1 not in bench.array.store.lds


@pytest.mark.parametrize('command, ident', [
    (BIND.format(1), Id.BUSY_31005),
    ('iSMioc setlimit -ldname LX:a -upperlimit 10', Id.BUSY_42408),
    ('iSMrc_pair -pair -mv a -mvflg ld -rv b -rvflg ld', Id.BUSY_31015),
    ('iSMrc_separate -mv a -mvflg ld -rv b -rvflg ld -rvacc ro '
     '-rvuse complete -nowait', Id.BUSY_42412),
    ('iSMsc_create -bv a -bvflg ld -sv s -svflg ld', Id.BUSY_19411)])
def test_the_five_busy_ids(bench, command, ident):
    bench.timing.change = 0.5
    first = Background(bench, BIND.format(0))
    bench.refused(command, ident)
    bench.clock.advance(1)
    first.result()


def test_reads_run_beside_a_change(bench):
    bench.timing.change = 0.5
    first = Background(bench, BIND.format(0))
    # What is not applied yet is not in the dump.
    assert 'iSM' not in bench.ok('iSMview -d')
    assert '"LDN(h)">0000<' not in bench.ok(DUMP)
    bench.clock.advance(0.5)
    first.result()


def test_busy_can_be_switched_off(make_bench):
    bench = make_bench(rules={'busy': False})
    bench.timing.change = 0.5
    first = Background(bench, BIND.format(0))
    second = threading.Thread(
        target=bench.engine.execute, args=(BIND.format(1),), daemon=True)
    second.start()
    bench.clock.advance(0.5)
    first.result()
    assert bench.clock.wait_for_sleepers(1)
    bench.clock.advance(0.5)
    second.join(10)
    assert {0, 1} <= set(bench.array.store.lds)


def test_a_dump_takes_longer_with_more_lds(bench):
    for ldn in range(8):
        bench.ok(BIND.format(ldn))
    bench.timing.dump, bench.timing.dump_per_ld = 1.0, 0.1
    dump = Background(bench, DUMP)
    bench.clock.advance(1.9)
    assert dump.is_running
    bench.clock.advance(0.1)
    dump.result()
    entry = bench.engine.journal.since()[-1]
    assert entry.end - entry.start == pytest.approx(2.0)


def test_a_dump_is_as_old_as_its_beginning(bench):
    bench.timing.dump = 1.0
    dump = Background(bench, DUMP)
    bench.bind('new', 0)
    bench.clock.advance(1)
    assert b'>new<' not in dump.result().stdout


def test_a_change_is_applied_at_its_end(bench):
    bench.timing.change = 0.5
    change = Background(bench, BIND.format(0))
    assert 0 not in bench.array.store.lds
    bench.clock.advance(0.5)
    change.result()
    assert 0 in bench.array.store.lds


def test_latencies_by_kind(bench):
    bench.timing.query = 0.2
    query = Background(bench, 'iSMview -d')
    bench.clock.advance(0.2)
    query.result()
    bench.timing.change = 0.0
    bench.bind('bv', 0)
    bench.generation('bv', 'sv')
    bench.timing.sc_create = 35.0
    create = Background(
        bench, 'iSMsc_create -bv bv -bvflg ld -sv sv -svflg ld')
    bench.clock.advance(34)
    assert create.is_running
    bench.clock.advance(1)
    create.result()


# -- the journal -------------------------------------------------------------

def test_the_journal(bench):
    bench.ok(BIND.format(0))
    bench.run(BIND.format(0))
    bench.ok(DUMP)
    bench.ok('iSMview -d')
    bench.run('reboot')
    entries = bench.engine.journal.since()
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.kind for entry in entries] == [
        Kind.CHANGE, Kind.CHANGE, Kind.DUMP, Kind.READ, Kind.UNKNOWN]
    assert [entry.status for entry in entries] == [0, 1, 0, 0, 127]
    assert entries[1].message_id == 'iSM31077'
    assert bench.engine.journal.since(3) == entries[3:]


def test_a_running_command_is_in_the_journal(bench):
    bench.timing.change = 0.5
    change = Background(bench, BIND.format(0))
    entry, = bench.engine.journal.since()
    assert (entry.end, entry.status) == (None, None)
    bench.clock.advance(0.5)
    change.result()
    assert bench.engine.journal.since()[0].status == 0


def test_every_dump_form_counts_as_one(bench):
    for command in (DUMP, 'clioutmsg xml; iSMview -all',
                    'clioutmsg xml; iSMview --alloptimize',
                    'iSMview -all', 'iSMview -all 2000000991000316'):
        bench.ok(command)
        assert bench.engine.journal.since()[-1].kind is Kind.DUMP


# -- faults ------------------------------------------------------------------

def fault(bench, action, **values):
    return bench.engine.faults.add(fault_from(
        {'action': action, **values}))


def test_busy_n_times(bench):
    fault(bench, 'busy', prefix='iSMcfg ldbind', times=2)
    bench.refused(BIND.format(0), Id.BUSY_31005)
    bench.ok('iSMview -d')
    bench.refused(BIND.format(0), Id.BUSY_31005)
    bench.ok(BIND.format(0))


@pytest.mark.parametrize('ident', BUSY_IDS)
def test_busy_with_any_of_the_ids(bench, ident):
    fault(bench, 'busy', message_id=ident.value)
    bench.refused(BIND.format(0), ident)


def test_busy_for_ever(bench):
    ident = fault(bench, 'busy', kind='CHANGE', times=None)
    for _ in range(70):
        bench.refused(BIND.format(0), Id.BUSY_31005)
    bench.ok(DUMP)
    bench.engine.faults.clear(ident)
    bench.ok(BIND.format(0))


def test_the_nth_command_from_now(bench):
    bench.ok(BIND.format(0))
    fault(bench, 'refuse', kind='CHANGE', nth=2, message_id='iSM00001',
          text='No.', stream='stdout', status=7)
    bench.ok(BIND.format(1))
    reply = bench.run(BIND.format(2))
    assert reply.status == 7
    assert b'iSM00001:[ ldbind ]No.' in reply.stdout
    assert reply.stderr == b''
    bench.ok(BIND.format(2))
    entry = bench.engine.journal.since()[-2]
    assert (entry.fault, entry.message_id) == ('refuse', 'iSM00001')


def test_a_regular_expression(bench):
    fault(bench, 'refuse', regex=r'-ldn [12]\b', times=None)
    bench.ok(BIND.format(0))
    bench.refused(BIND.format(1), Id.INJECTED)
    bench.refused(BIND.format(2), Id.INJECTED)
    bench.ok(BIND.format(3))


@pytest.mark.parametrize('action, applied', [
    ('drop_before', False), ('drop_after', True)])
def test_dropped(bench, action, applied):
    fault(bench, action)
    outcome = bench.engine.execute(BIND.format(0))
    assert outcome.drop
    assert (0 in bench.array.store.lds) is applied
    entry = bench.engine.journal.since()[-1]
    assert (entry.status, entry.fault) == (None, action)


@pytest.mark.parametrize('action, applied', [
    ('hang_before', False), ('hang_after', True)])
def test_hangs_until_the_client_leaves(bench, action, applied):
    fault(bench, action)
    looks = []

    def gone():
        looks.append(0 in bench.array.store.lds)
        return len(looks) > 2

    assert bench.engine.execute(BIND.format(0), 1, gone).drop
    assert looks == [applied] * 3


def test_clearing_lets_hangs_go(bench):
    fault(bench, 'hang_after')
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(
        bench.engine.execute(BIND.format(0))), daemon=True)
    thread.start()
    while not bench.engine.faults.list()[0]['hits']:
        pass
    bench.engine.faults.clear()
    thread.join(10)
    assert outcomes[0].drop


def test_truncated(bench):
    whole = bench.ok(DUMP)
    fault(bench, 'truncate', kind='DUMP', keep=0.25)
    assert bench.ok(DUMP) == whole[:len(whole) // 4]
    assert bench.ok(DUMP) == whole


def test_garbled(bench):
    whole = bench.run(DUMP).stdout
    fault(bench, 'garble', times=2)
    spoilt = bench.run(DUMP).stdout
    assert len(spoilt) == len(whole) and spoilt != whole
    assert bench.run(DUMP).stdout == spoilt
    assert bench.run(DUMP).stdout == whole


def test_delayed(bench):
    fault(bench, 'delay', seconds=30)
    change = Background(bench, BIND.format(0))
    bench.clock.advance(30)
    assert change.result().status == 0


def test_the_pipe_hides_an_injected_refusal(bench):
    fault(bench, 'busy', prefix='iSMrc_query')
    reply = bench.run('iSMrc_query -mv a -mvflg ld | while builtin read '
                      'line;do if [[ "$line" =~ "Sync State" ]]; then '
                      'builtin echo ${line:10};fi;done')
    assert (reply.status, reply.stdout) == (0, b'')
    assert b'iSM42412' in reply.stderr


@pytest.mark.parametrize('values', [
    {}, {'action': 'explode'}, {'action': 'busy', 'frob': 1},
    {'action': 'busy', 'regex': '('}])
def test_faults_that_make_no_sense(values):
    with pytest.raises((ValueError, Exception), match=r'.'):
        fault_from(values)


def test_faults_are_counted(bench):
    fault(bench, 'busy', prefix='iSMcfg', nth=2)
    bench.ok(BIND.format(0))
    bench.run(BIND.format(1))
    bench.ok(BIND.format(1))
    only, = bench.engine.faults.list()
    assert (only['seen'], only['hits']) == (2, 1)
    assert only['action'] == Action.BUSY.value
