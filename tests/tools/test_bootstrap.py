# SPDX-License-Identifier: Apache-2.0
"""The stamp that lets repeat runs reuse a virtual environment."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
import subprocess
import sys
import threading

import pytest

from harness import bootstrap, launch, venvs
from harness.venvs import Venv

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with nothing but the stamped files."""
    for name in venvs.STAMPED_FILES:
        (tmp_path / name).write_text(f'# {name}\n')
    return tmp_path


@pytest.fixture
def built(root: Path) -> Venv:
    """An environment that looks built."""
    venv = venvs.venv_for(root=root)
    venv.python.parent.mkdir(parents=True)
    venv.python.symlink_to(sys.executable)
    venv.stamp.write_text(json.dumps(bootstrap.fingerprint(venv, root)))
    return venv


def test_a_built_environment_is_reused(root, built, monkeypatch):
    monkeypatch.setattr(bootstrap, 'build', pytest.fail)
    assert bootstrap.ensure(root=root) == built


@pytest.mark.parametrize('name', venvs.STAMPED_FILES)
def test_a_changed_requirement_makes_it_stale(root, built, name):
    assert bootstrap.is_current(built, root)
    (root / name).write_text('changed\n')
    assert not bootstrap.is_current(built, root)


def test_a_moved_checkout_makes_it_stale(root, built, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp('elsewhere') / 'checkout'
    root.rename(elsewhere)
    moved = venvs.venv_for(root=elsewhere)
    assert moved.stamp.exists()
    assert not bootstrap.is_current(moved, elsewhere)


def test_a_damaged_environment_is_not_used(root, built):
    built.python.unlink()
    assert not bootstrap.is_current(built, root)
    built.stamp.write_text('half a st')
    assert not bootstrap.is_current(built, root)


def test_an_interrupted_build_leaves_no_stamp(root, built, monkeypatch):
    (root / 'requirements.txt').write_text('changed\n')

    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt
    monkeypatch.setattr(bootstrap, '_run', interrupted)
    with pytest.raises(KeyboardInterrupt):
        bootstrap.ensure(root=root, tell=lambda text: None)
    assert not built.stamp.exists()


def test_two_builders_take_turns(root, monkeypatch):
    builds = []

    def build(venv, checkout, tell):
        builds.append(venv)
        venv.python.parent.mkdir(parents=True)
        venv.python.symlink_to(sys.executable)
        venv.stamp.write_text(
            json.dumps(bootstrap.fingerprint(venv, checkout)))
    monkeypatch.setattr(bootstrap, 'build', build)
    said = []
    waiting = threading.Event()

    def tell(text):
        said.append(text)
        waiting.set()
    (root / '.cache').mkdir()
    with open(root / '.cache' / '.venv.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = threading.Thread(
            target=bootstrap.ensure, kwargs={'root': root, 'tell': tell})
        second.start()
        assert waiting.wait(10)
        assert not builds
        fcntl.flock(lock, fcntl.LOCK_UN)
    second.join(10)
    bootstrap.ensure(root=root, tell=tell)
    assert len(builds) == 1
    assert said == ['another run is building .venv: waiting for it']


def test_a_failing_pip_says_what_it_said(root, built):
    with pytest.raises(bootstrap.BootstrapError) as caught:
        bootstrap._run(['sh', '-c', 'echo no such package; exit 1'],
                       built, root)
    assert 'no such package' in str(caught.value)
    assert 'reachable' in str(caught.value)


def test_noise_of_pip_is_not_passed_on(root, built):
    bootstrap._run(
        ['sh', '-c', "echo \"WARNING: Location 'file:///x/' is ignored\"; "
         'echo kept'], built, root)
    log = built.log.read_text()
    assert 'kept' in log
    assert 'is ignored' not in log.replace('$ sh', '').split('\n', 1)[1]


@pytest.mark.parametrize('python, release',
                         [((3, 10), 28), ((3, 11), 29), ((3, 13), 29)])
def test_newest_cinder_of_a_python(python, release):
    assert venvs.newest(python) == release


def test_only_supported_releases():
    with pytest.raises(ValueError, match='26'):
        venvs.venv_for(26)


def test_each_release_has_its_environment():
    paths = {venvs.venv_for(r).path.name for r in venvs.CINDER_PYTHON}
    assert len(paths) == len(venvs.CINDER_PYTHON)


@pytest.mark.parametrize('tool', ['test', 'demo', 'bench'])
def test_help_of_the_tools(tool):
    done = subprocess.run([str(ROOT / 'tools' / tool), '--help'],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f'usage: tools/{tool}')


def test_an_old_python_is_told_so(monkeypatch, capsys):
    monkeypatch.setattr(launch, 'MINIMUM', (9, 9))
    monkeypatch.setattr(launch.shutil, 'which', lambda name: None)
    with pytest.raises(SystemExit) as caught:
        launch.require_python()
    assert 'needs Python 9.9 or newer' in str(caught.value)
