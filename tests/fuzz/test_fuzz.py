# SPDX-License-Identifier: Apache-2.0
"""tools/fuzz itself: two minutes of it, and that it finds something."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fuzz_suite import main
from harness.venvs import ROOT

pytestmark = [
    pytest.mark.service,
    pytest.mark.skipif(bool(main.missing()), reason=main.missing() or '-')]
MINUTES = 2.0
BROKEN = '''
from fuzz_suite import targets
def names(data):
    assert b'NEC-M-series' not in data
targets.TARGETS['names'] = names
from fuzz_suite import worker
import sys
worker.main(sys.argv)
'''


def fuzz(*arguments, **more):
    return subprocess.run(
        [sys.executable, '-m', 'fuzz_suite.main', *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT / 'tools')}, **more)


@pytest.mark.xdist_group('fuzz')
@pytest.mark.timeout(MINUTES * 60 + 120)
def test_nothing_is_broken_in_two_minutes(tmp_path):
    done = fuzz('--minutes', str(MINUTES), '--crashers', str(tmp_path))
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(':')[0] for line in lines] == list(main.TARGETS)
    assert all(' 0 inputs' not in line for line in lines)


def test_what_breaks_is_kept(tmp_path, monkeypatch):
    """A target that is broken by a word of its dictionary."""
    worker = tmp_path / 'broken.py'
    worker.write_text(BROKEN)
    run = subprocess.run

    def instead(command, **more):
        at = command.index('fuzz_suite.worker')
        return run([command[0], str(worker), *command[at + 1:]], **more)
    monkeypatch.setattr(main.subprocess, 'run', instead)
    outcome = main.run('names', 20, tmp_path / 'crashers')
    [kept] = outcome.crashers
    assert b'NEC-M-series' in kept.read_bytes()
    assert 'BROKEN by' in main.in_words(outcome)


def test_what_reaches_new_code_becomes_a_seed(tmp_path, monkeypatch):
    seeds = tmp_path / 'seeds' / 'names'
    seeds.mkdir(parents=True)
    (seeds / 'poor').write_bytes(b'x')
    monkeypatch.setattr(main, 'SEEDS', tmp_path / 'seeds')
    main.run('names', 5, tmp_path / 'crashers', keep=True)
    assert len(list(seeds.iterdir())) > 1
