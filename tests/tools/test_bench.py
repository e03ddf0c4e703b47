# SPDX-License-Identifier: Apache-2.0
"""tools/bench in a short form: what it counts, never what it times."""

from __future__ import annotations

import json
import os
from pathlib import Path
import subprocess
import sys

from bench_suite import figures, main, report, settings, tally
from bench_suite.figures import Figure, Outcome
import pytest

from harness.terminal import Screen

ROOT = Path(__file__).resolve().parents[2]
PARALLEL = 5


def entry(kind, start, end, status=0, message_id='', command=''):
    return {'kind': kind, 'start': start, 'end': end, 'status': status,
            'message_id': message_id, 'command': command}


# -- what is counted --------------------------------------------------------

def test_commands_are_counted_by_what_they_are():
    counts = tally.count([
        entry('DUMP', 0, 2), entry('READ', 0, 1),
        entry('CHANGE', 0, 1), entry('CHANGE', 1, 3),
        entry('CHANGE', 1, 1, 1, 'iSM31005'),
        entry('CHANGE', 1, 2, 1, 'iSM31901')])
    assert (counts.dumps, counts.reads, counts.changes) == (1, 1, 2)
    assert (counts.busy, counts.refused) == (1, 1)
    assert counts.change_seconds == 3


def test_time_that_commands_cover_is_counted_once():
    entries = [entry('READ', 1, 3), entry('READ', 2, 4),
               entry('READ', 6, 9)]
    assert tally.covered(entries, 0, 8) == 5
    assert tally.covered([], 0, 8) == 0


def test_changes_until_one_counts_the_one_that_was_under_way():
    entries = [entry('CHANGE', 0, 2), entry('CHANGE', 2, 4, 1, 'iSM31005'),
               entry('CHANGE', 3, 5), entry('CHANGE', 5, 6, command='me'),
               entry('CHANGE', 6, 7)]
    assert tally.changes_until(entries, 3.0, 'me') == 2
    assert tally.changes_until(entries, 1.0, 'me') == 3
    assert tally.changes_until(entries, 1.0, 'absent') is None


def figure(elapsed, limit, **values):
    return Figure('driver', 4, elapsed, limit, tally.Tally(), **values)


def test_a_shortened_in_tree_run_counts_for_what_it_did():
    outcome = Outcome('x', 'x', 'eventlet', figure(10.0, 10.0),
                      figure(6.0, 2.0))
    assert outcome.ratio == 3.0


def test_an_in_tree_run_that_failed_is_no_comparison():
    outcome = Outcome('x', 'x', 'eventlet', figure(10.0, 10.0),
                      figure(6.0, 2.0, errors=['create_volume: no']))
    assert outcome.ratio is None


@pytest.mark.parametrize('bar, held', [
    (figures.at_most('x', 2.0, 2.0), True),
    (figures.at_most('x', 2.1, 2.0), False),
    (figures.at_most('x', None, 2.0), None),
    (figures.at_least('x', 2.0, 2.0), True),
    (figures.at_least('x', 1.9, 2.0), False),
    (figures.none('x', 0), True),
    (figures.none('x', 1), False)])
def test_bars(bar, held):
    assert bar.held is held


def test_a_failure_is_never_held():
    bars = figures.failures(figure(1.0, 1.0, errors=['a: b']))
    assert not Outcome('x', 'x', 'eventlet', bars=bars).held
    bars = figures.failures(figure(1.0, 1.0, unfinished=1))
    assert not Outcome('x', 'x', 'eventlet', bars=bars).held
    assert not Outcome('x', 'x', 'eventlet', problem='no driver').held


def test_the_table_tells_a_slow_simulator_from_a_slow_driver(capsys):
    slow = figure(10.0, 5.0, simulator_cpu_seconds=9.0)
    outcome = Outcome('x', 'some work', 'eventlet', slow)
    where = {'revision': 'abc', 'cinder': '29', 'python': '3',
             'cores': 2, 'load': 0.0}
    found = report.document([outcome], settings.Settings(), where, 1.0)
    report.show(found, Screen())
    shown = capsys.readouterr().out
    assert 'some work' in shown
    assert 'the simulator computed for 90%' in shown


# -- the command line -------------------------------------------------------

@pytest.mark.parametrize('arguments', [
    ['--lds', '9000'], ['--parallel', '0'], ['--only', 'nothing'],
    ['--latency', 'speed=1'], ['--latency', 'change=-1']])
def test_wrong_options_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main.parse(arguments)
    assert caught.value.code == 2
    assert 'usage: tools/bench' in capsys.readouterr().err


def test_options_go_before_the_quick_form():
    options = main.parse(['--quick', '--lds', '7,9', '--latency',
                          'change=0.3'])
    found = main.settings_of(options)
    assert found.lds == (7, 9)
    assert found.latency == {**settings.QUICK_LATENCY, 'change': 0.3}
    assert found.parallel == main.QUICK['parallel']


# -- short runs -------------------------------------------------------------

def run(tmp_path, *arguments):
    """Run rows on a quick array; return them by key."""
    kept = tmp_path / 'bench.json'
    done = subprocess.run(
        [sys.executable, '-m', 'bench_suite.main', '--quick', '--latency',
         'dump=0.01,dump_per_ld=0,change=0.02,query=0.01', '--lds', '40',
         '--parallel', str(PARALLEL), '--json', str(kept), *arguments],
        cwd=ROOT, env={**os.environ, 'PYTHONPATH': str(ROOT / 'tools')},
        capture_output=True, text=True, timeout=150)
    # 1: a bar about time was not held, which is no matter here.
    assert done.returncode in (0, 1), done.stderr
    rows = {row['key']: row for row in json.loads(kept.read_text())['rows']}
    assert not [row['problem'] for row in rows.values() if row['problem']]
    for row in rows.values():
        assert row['title'] in done.stdout
    return rows


def rows_of(*names):
    return [word for name in names for word in ('--only', name)]


@pytest.mark.service
@pytest.mark.parametrize('mode', [[], ['--native-threads']])
def test_counts_of_this_driver(tmp_path, mode):
    if mode:
        pytest.importorskip('cinder.monkey_patch')
    rows = run(tmp_path, '--no-in-tree', *mode, *rows_of(
        'creates', 'attach-fc', 'attach-iscsi', 'mixed', 'attach-first'))
    counts = {key: row['ours']['tally'] for key, row in rows.items()}
    for key, row in rows.items():
        assert row['ours']['errors'] == [], key
        assert row['ours']['unfinished'] == 0, key
        assert counts[key]['busy'] == 0, key
        assert counts[key]['unknown'] == 0, key
    assert counts['creates-40']['changes'] == 2 * PARALLEL
    assert counts['creates-40']['commands'] == 2 * PARALLEL
    assert counts['attach-fc']['changes'] == PARALLEL
    assert counts['attach-fc']['commands'] == PARALLEL
    assert counts['attach-iscsi']['changes'] == PARALLEL
    assert 1 <= counts['attach-iscsi']['dumps'] <= PARALLEL
    # One each of create, attach, detach, delete, snapshot.
    assert counts['mixed']['changes'] == 2 + 1 + 1 + 1 + 2
    assert rows['mixed']['ours']['limit'] == pytest.approx(7 * 0.02)
    urgent, = (bar for bar in rows['attach-first']['bars']
               if bar['text'].startswith('changes until'))
    assert urgent['held']


@pytest.mark.service
def test_two_services_make_nothing_twice(tmp_path):
    row = run(tmp_path, '--no-in-tree', *rows_of('two-processes'))[
        'two-processes']
    assert row['ours']['errors'] == []
    held = {bar['text']: bar['held'] for bar in row['bars']}
    assert held['each volume once']
    assert held['no LD without a name']


@pytest.mark.service
def test_the_in_tree_driver_runs_beside(tmp_path):
    row = run(tmp_path, '--in-tree-operations', '3',
              *rows_of('creates'))['creates-40']
    theirs = row['in_tree']
    assert theirs['driver'].startswith('cinder.volume.drivers.nec.')
    assert theirs['errors'] == []
    assert (theirs['operations'], theirs['tally']['dumps'],
            theirs['tally']['changes']) == (3, 3, 6)
    assert row['ours']['driver'].startswith('cinder_nec.')
    assert row['ratio'] is not None


@pytest.mark.service
def test_a_dump_and_an_idle_back_end(tmp_path):
    rows = run(tmp_path, '--no-in-tree', *rows_of('dump', 'idle'))
    for dump in rows['dump']['values']['ours']:
        assert dump['looks'] > 0
        assert dump['cpu_seconds'] > 0
    assert rows['idle']['values']['commands'] == 0
    assert rows['stats']['values']['after_a_dump']['commands'] == 0


# -- what was kept ----------------------------------------------------------

def kept(path, elapsed, **changes):
    """A document of one row, in a file."""
    bars = [figures.at_most('x limit', elapsed / 10.0, 1.15)]
    outcome = Outcome('x', 'some work', 'eventlet',
                      figure(elapsed, 10.0), bars=bars)
    where = {'revision': f'r{elapsed:g}', 'python': '3', 'cinder': '29',
             'cores': 2, 'load': 0.0}
    found = report.document([outcome], settings.Settings(**changes), where,
                            elapsed)
    path.write_text(json.dumps(found))
    return path


def test_kept_runs_are_shown_again_and_later_ones_count(tmp_path, capsys):
    files = [kept(tmp_path / 'a', 20.0), kept(tmp_path / 'b', 11.0)]
    table = tmp_path / 'table.rst'
    arguments = [f'--from={path}' for path in files]
    assert main.main([*arguments, f'--rst={table}']) == 0
    shown = capsys.readouterr().out
    assert '11.00 s' in shown and '20.00 s' not in shown
    assert '1 of 1 rows held' in shown
    text = table.read_text()
    assert '   * - some work (eventlet)\n     - 11.00 s\n' in text
    assert 'x limit: at most 1.15: 1.1\n' in text
    assert 'r20, r11' in text
    assert main.main([f'--from={files[0]}', f'--rst={table}']) == 1
    assert '**2, not held**' in table.read_text()


def test_runs_on_arrays_of_different_speed_are_not_joined(tmp_path, capsys):
    files = [kept(tmp_path / 'a', 10.0),
             kept(tmp_path / 'b', 10.0, copy_rate='2GiB')]
    assert main.main([f'--from={path}' for path in files]) == 2
    assert 'different speed' in capsys.readouterr().err
