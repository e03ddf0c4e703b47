# SPDX-License-Identifier: Apache-2.0
"""How tools end that have started servers."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'

TOOL = """
import os, pathlib, signal, sys
from harness import ending
from harness.terminal import Screen

def work(directory):
    (directory / 'log').write_text('words')
    try:
        {what}
    finally:
        os.kill(os.getpid(), signal.{again})
        (pathlib.Path(sys.argv[1]) / 'cleaned').write_text('')

given = pathlib.Path(sys.argv[2]) if sys.argv[2:] else None
sys.exit(ending.run_in_directory(
    work, Screen(), given=given, prefix='nec-ending-'))
"""
INTERRUPT = 'os.kill(os.getpid(), signal.{})'


@pytest.fixture
def run(tmp_path):
    def run(what: str, again: str = 'SIGWINCH', given: Path | None = None):
        (tmp_path / 'scratch').mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, '-c', TOOL.format(what=what, again=again),
             str(tmp_path), *([str(given)] if given else [])],
            capture_output=True, text=True, check=False, cwd=TOOLS,
            env={'TMPDIR': str(tmp_path / 'scratch')})
    return run


def left(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / 'scratch').iterdir()]


@pytest.mark.parametrize('name', ['SIGINT', 'SIGTERM', 'SIGHUP'])
def test_a_signal_cleans_up_even_if_it_comes_twice(run, tmp_path, name):
    done = run(INTERRUPT.format(name), again=name)
    assert (tmp_path / 'cleaned').exists(), done.stderr
    assert done.returncode == 130
    assert done.stdout.split() == ['interrupted']
    assert left(tmp_path) == []


def test_what_went_well_leaves_nothing(run, tmp_path):
    done = run('return 0')
    assert (done.returncode, done.stdout, left(tmp_path)) == (0, '', [])


@pytest.mark.parametrize(('what', 'status'), [
    ('return 1', 1), ('return 2', 2), ('raise ValueError("odd")', 1)])
def test_what_went_wrong_leaves_its_logs_and_names_them(
        run, tmp_path, what, status):
    done = run(what)
    (name,) = left(tmp_path)
    assert done.returncode == status
    assert f'configuration and logs: {tmp_path}/scratch/{name}' in done.stdout


def test_a_directory_of_the_users_own_stays(run, tmp_path):
    given = tmp_path / 'mine'
    given.mkdir()
    done = run('return 0', given=given)
    assert done.returncode == 0
    assert f'configuration and logs: {given}' in done.stdout
    assert (given / 'log').read_text() == 'words'
    assert left(tmp_path) == []
