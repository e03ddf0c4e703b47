# SPDX-License-Identifier: Apache-2.0
"""tools/soak: one minute of it, and what it takes for an error."""

from __future__ import annotations

import os
from pathlib import Path
import random
import subprocess
import sys
import threading
import types

import pytest
from soak_suite import api as soak_api
from soak_suite import services, worker
from soak_suite.actions import WrongData
from soak_suite.api import Failed, NotPlaced
from soak_suite.main import parse
from soak_suite.things import Things, Volume, Windows
from soak_suite.worker import Diary, Result

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_one_minute_of_it(tmp_path: Path):
    """Its own choices differ from run to run: so many more are tried."""
    done = subprocess.run(
        [sys.executable, '-m', 'soak_suite.main', '--minutes', '1',
         '--workers', '4', '--state', str(tmp_path / 'soak')],
        env={**os.environ, 'PYTHONPATH': str(ROOT / 'tools')},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    assert '0 differences, 0 unexplained errors' in done.stdout


def test_a_state_directory_that_is_in_use_is_refused(tmp_path: Path):
    (tmp_path / 'cinder.conf').touch()
    with pytest.raises(SystemExit):
        parse(['--state', str(tmp_path)])


@pytest.mark.parametrize('arguments', (['--minutes', '0'],
                                       ['--workers', 'x']))
def test_what_makes_no_sense_is_refused(arguments):
    with pytest.raises(SystemExit):
        parse(arguments)


# -- what explains an error ---------------------------------------------

def fail(error: Exception):
    def work() -> str:
        raise error
    return work


def test_an_error_without_a_fault_is_unexplained():
    windows = Windows()
    with windows.open('busy'):
        pass
    diary = Diary(windows)
    diary.note('create', fail(Failed('volume went to error')))
    entry, = diary.unexplained()
    assert entry.action == 'create'


def test_an_error_in_the_time_of_a_fault_is_explained():
    windows = Windows()
    diary = Diary(windows)
    with windows.open('busy'):
        diary.note('create', fail(Failed('volume went to error')))
    entry, = diary.entries
    assert entry.result is Result.EXPLAINED
    assert entry.faults == ('busy',)


def test_the_scheduler_may_know_the_stats_of_a_fault_that_is_over(
        monkeypatch):
    windows = Windows()
    diary = Diary(windows)
    with windows.open('pool full'):
        pass
    diary.note('create', fail(NotPlaced('no back end has it')))
    entry, = diary.entries
    assert entry.result is Result.EXPLAINED
    monkeypatch.setattr(worker, 'STATS_SECONDS', 0.0)
    diary.note('create', fail(NotPlaced('no back end has it')))
    assert len(diary.unexplained()) == 1


class OneVolume:
    """A client of a Cinder with one volume."""

    def __init__(self, host: str | None) -> None:
        self.volumes = types.SimpleNamespace(
            get=lambda _id: types.SimpleNamespace(
                status='error', **{'os-vol-host-attr:host': host}))


@pytest.mark.parametrize('host, kind', (
    (None, NotPlaced), ('node@gold#Gold', Failed)))
def test_a_volume_without_a_back_end_was_not_placed(host, kind):
    cloud = Restarting()
    cloud.client = lambda: OneVolume(host)
    with pytest.raises(Failed) as caught:
        soak_api.Api(cloud).wait_volume('id', 'available')
    assert type(caught.value) is kind


@pytest.mark.parametrize('error', (WrongData('other bytes'),
                                   KeyError('a bug')))
def test_no_fault_explains_wrong_bytes_or_a_bug(error):
    windows = Windows()
    diary = Diary(windows)
    with windows.open('busy'):
        diary.note('clone', fail(error))
    assert len(diary.unexplained()) == 1


class Restarting:
    """A Cinder that goes away while it is asked for something."""

    def __init__(self) -> None:
        self.up = threading.Event()
        self.up.set()
        self.starts = 0

    def client(self) -> None:
        pass

    def restart(self) -> None:
        self.starts += 1


def test_what_a_restart_has_interrupted_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(soak_api, 'AFTER_RESTART_SECONDS', 0.0)
    cloud = Restarting()
    api = soak_api.Api(cloud)
    monkeypatch.setattr(api, 'snapshot_status', lambda ident: 'creating')
    api.change(cloud.restart)
    with pytest.raises(soak_api.Hangs, match='snapshot s stays in creating'):
        api.wait_snapshot('s', 'available')


# -- who works on what --------------------------------------------------

def test_a_volume_is_lent_to_one_alone_or_to_several():
    things, rng = Things(), random.Random(0)
    volume = things.add(Volume('a', 'iscsi', 1))

    def lend(alone: bool):
        return things.lend(lambda _: True, rng, alone=alone)
    with lend(alone=False) as first, lend(alone=False) as second:
        assert first is second is volume
        with lend(alone=True) as third:
            assert third is None
    with lend(alone=True) as first, lend(alone=False) as second:
        assert first is volume
        assert second is None


def test_a_snapshot_that_is_being_taken_counts():
    things, rng = Things(), random.Random(0)
    things.add(Volume('a', 'iscsi', 1))

    def lend():
        return things.lend(lambda v: v.points < 2, rng, alone=False,
                           for_snapshot=True)
    with lend() as first, lend() as second, lend() as third:
        assert first is second is not None
        assert third is None
    assert first.points == 0


def test_windows_that_are_open_count():
    windows = Windows()
    opened = threading.Event()
    with windows.open('a'):
        opened.set()
        assert windows.during(0, float('inf')) == ['a']
    assert [w.what for w in windows.all()] == ['a']


# -- a cluster ------------------------------------------------------------

def test_a_missing_package_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr(services.shutil, 'which', lambda name, path: (
        None if name in ('etcd', 'mariadbd') else name))
    with pytest.raises(services.ServiceError) as caught:
        services.check()
    assert str(caught.value).endswith(
        'apt-get install --no-install-recommends etcd-server '
        'mariadb-server')
    assert '\n' not in str(caught.value)
