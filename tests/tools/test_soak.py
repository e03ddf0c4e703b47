# SPDX-License-Identifier: Apache-2.0
"""tools/soak: one minute of it, and what it takes for an error."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
import random
import subprocess
import sys
import threading
import time
import types

import pytest
from soak_suite import actions, causes, judge, services, weather
from soak_suite import api as soak_api
from soak_suite.actions import Actions, WrongData
from soak_suite.api import Failed, Hangs, Interrupted, NotPlaced, Refused
from soak_suite.main import parse
from soak_suite.things import Snapshot, Things, Volume, Windows
from soak_suite.worker import Diary, Result

from harness import tally

ROOT = Path(__file__).resolve().parents[2]


def run(directory: Path, *arguments: str) -> str:
    """Run a soak; returns what it printed."""
    done = subprocess.run(
        [sys.executable, '-m', 'soak_suite.main', '--state',
         str(directory / 'soak'), *arguments],
        env={**os.environ, 'PYTHONPATH': str(ROOT / 'tools')},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    assert ('0 differences, 0 with other data, 0 unexplained errors'
            in done.stdout)
    return done.stdout


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_one_minute_of_it(tmp_path: Path):
    """Its own choices differ from run to run: so many more are tried."""
    run(tmp_path, '--minutes', '1', '--workers', '4')


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_on_an_array_that_works_well_nothing_fails(tmp_path: Path):
    """Whatever fails, or is refused, is unexplained then."""
    run(tmp_path, '--minutes', '0.5', '--workers', '8', '--no-faults',
        '--no-restarts')
    entries = [json.loads(line) for line in
               (tmp_path / 'soak' / 'actions.jsonl').open()]
    assert len(entries) >= 8
    assert {entry['result'] for entry in entries} == {Result.DONE.value}


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_minute_of_a_cluster(tmp_path: Path):
    if not tally.wants_all():
        pytest.skip('runs with tools/test --all')
    if services.missing():
        pytest.skip('Debian packages are missing: '
                    + ' '.join(services.missing()))
    run(tmp_path, '--minutes', '1', '--workers', '4', '--cluster')


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

ID = '2f9b4f1c-2d0b-4c8c-9f63-1b6f6e8a7c01'
FAILED = f'volume {ID} went to error'
BUSY = f'Failed to Create Volume (Volume ID = {ID}) (iSM31005: busy)'


def fail(error: Exception):
    def work() -> str:
        raise error
    return work


class Logged:
    """Faults, and a log whose lines are of now or of a minute ago."""

    def __init__(self, *lines: str, seconds: float = 0.0) -> None:
        stamp = time.strftime('%Y-%m-%d %H:%M:%S',
                              time.localtime(time.time() - seconds))
        self.lines = [f'{stamp}.123 ERROR {line}' for line in lines]
        self.windows = Windows()
        self.diary = Diary(causes.Causes(self.windows, self.log_of))

    def log_of(self, key: str) -> list[str]:
        return [line for line in self.lines if key in line]

    def result_of(self, error: Exception, *faults: str) -> Result:
        with contextlib.ExitStack() as stack:
            for name in faults:
                stack.enter_context(self.windows.open(name))
            self.diary.note('create', fail(error))
        return self.diary.entries[-1].result


def test_an_error_without_a_fault_is_unexplained():
    cinder = Logged(BUSY)
    with cinder.windows.open('busy for a while'):
        pass
    cinder.result_of(Failed(FAILED))
    entry, = cinder.diary.unexplained()
    assert entry.action == 'create'
    assert 'iSM31005' in entry.told[-1]


def test_the_fault_of_which_the_log_tells_explains_an_error():
    cinder = Logged(BUSY)
    assert cinder.result_of(Failed(FAILED), 'slow',
                            'busy for a while') is Result.EXPLAINED
    assert cinder.diary.entries[-1].faults == ('busy for a while',)


@pytest.mark.parametrize('log, fault', [
    ((), 'busy for a while'), ((BUSY,), 'dropped after'),
    ((BUSY,), 'slow'), ((BUSY.replace(ID, ID[::-1]),), 'busy for a while')])
def test_a_fault_of_which_nothing_tells_explains_nothing(log, fault):
    assert Logged(*log).result_of(
        Failed(FAILED), fault) is Result.UNEXPLAINED


def test_what_was_logged_before_the_action_explains_nothing():
    assert Logged(BUSY, seconds=60.0).result_of(
        Failed(FAILED), 'busy for a while') is Result.UNEXPLAINED


def test_a_request_is_found_in_the_log_by_its_own_id():
    request = f'req-{ID}'
    assert Logged(f'[{request}] (iSM31005: busy)').result_of(
        Failed(f'HTTP 500 (Request-ID: {request})'),
        'busy for a while') is Result.EXPLAINED


@pytest.mark.parametrize('error', (
    Hangs(f'volume {ID} stays in creating'), Refused('HTTP 400'),
    Interrupted('no answer')))
def test_only_a_restart_explains_what_hangs_or_is_refused(error):
    cinder = Logged(BUSY)
    assert cinder.result_of(
        error, 'busy for a while') is Result.UNEXPLAINED
    assert cinder.result_of(error, causes.RESTART) is not (
        Result.UNEXPLAINED)


def test_a_restart_explains_nothing_where_the_driver_has_told_why():
    told = f'cinder_nec.translate {BUSY}'
    assert Logged(told).result_of(
        Failed(FAILED), causes.RESTART) is Result.UNEXPLAINED
    cinder = Logged(told)
    assert cinder.result_of(Failed(FAILED), causes.RESTART,
                            'busy for a while') is Result.EXPLAINED
    assert cinder.diary.entries[-1].faults == ('busy for a while',)


def test_every_kind_of_fault_but_a_delay_has_words():
    assert [name for name, kind in weather.FAULTS.items()
            if not kind.causes] == ['slow']


@pytest.mark.parametrize('error, told', [
    (NotPlaced('no back end has it'), ()),
    (Failed(FAILED), (f'Failed to schedule_create_snapshot: Cannot place '
                      f'snapshot {ID} on node@gold#Gold',)),
    (Failed(FAILED), (f'Failed to schedule_extend_volume: Cannot place '
                      f'volume {ID} on node@gold#Gold',)),
    (Failed(FAILED), ('Failed to schedule_retype: No valid backend was '
                      f'found. No valid backends for volume {ID}',))])
@pytest.mark.parametrize('fault, result', [
    ('pool full', Result.EXPLAINED), (causes.RESTART, Result.EXPLAINED),
    ('busy for a while', Result.UNEXPLAINED)])
def test_the_scheduler_may_know_the_stats_of_a_fault_that_is_over(
        monkeypatch, fault, result, error, told):
    cinder = Logged(*told)
    with cinder.windows.open(fault):
        pass
    assert cinder.result_of(error) is result
    monkeypatch.setattr(causes, 'STATS_SECONDS', 0.0)
    assert cinder.result_of(error) is Result.UNEXPLAINED


def test_a_driver_that_did_not_start_at_once_is_the_restarts(monkeypatch):
    cinder = Logged(f'{ID}: Volume driver not ready.')
    with cinder.windows.open(causes.RESTART):
        pass
    assert cinder.result_of(Failed(FAILED)) is Result.EXPLAINED
    monkeypatch.setattr(causes, 'STARTING_SECONDS', 0.0)
    assert cinder.result_of(Failed(FAILED)) is Result.UNEXPLAINED


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
    assert Logged(BUSY).result_of(
        error, causes.RESTART, 'busy for a while') is Result.UNEXPLAINED


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


# -- what is looked at ----------------------------------------------------

class Disks:
    """An array with some bytes, and with hosts that see a volume."""

    def __init__(self, *hosts: int, **content: bytes) -> None:
        self.content = content
        self.hosts = hosts

    def read(self, ident: str, offset: int, length: int) -> bytes:
        return self.content[ident][offset:offset + length]

    def sets_of(self, _ident: str) -> list[types.SimpleNamespace]:
        return [types.SimpleNamespace(hosts={
            f'iqn.1994-05.com.redhat:host{number}'})
            for number in self.hosts]


def read_all(volume: Volume, disks: Disks) -> judge.Verdict:
    """Read at the end what a volume and its snapshots hold."""
    things = Things()
    things.add(volume)
    judging = object.__new__(judge.Judge)
    judging._things = things
    judging._cloud = types.SimpleNamespace(array=disks)
    verdict = judge.Verdict()
    judging._read_all(verdict)
    return verdict


def test_a_clone_that_goes_wrong_while_it_settles_is_found_at_the_end():
    volume = Volume('a', 'iscsi', 1, b'old', snapshots=[
        Snapshot('s', 1, b'older')])
    right = read_all(volume, Disks(a=b'old', s=b'older'))
    assert (right.read, right.wrong) == (2, [])
    assert right.held
    for disks in (Disks(a=b'new', s=b'older'), Disks(a=b'old', s=b'new')):
        verdict = read_all(volume, disks)
        assert len(verdict.wrong) == 1
        assert not verdict.held


@pytest.mark.parametrize('volume', (
    Volume('a', 'iscsi', 1), Volume('a', 'iscsi', 1, b'x', spoiled='yes')))
def test_what_nobody_knows_of_is_not_read(volume):
    assert read_all(volume, Disks()).read == 0


@pytest.mark.parametrize('seen, is_right', (
    ((1, 2), True), ((1,), False), ((1, 2, 3), False), ((), False)))
def test_the_hosts_that_see_a_volume_are_those_that_have_it(seen, is_right):
    shared = Volume('a', 'iscsi', 1, shared=True,
                    attachments={'x': 1, 'y': 2})
    cloud = types.SimpleNamespace(array=Disks(*seen))
    actions = Actions(cloud, types.SimpleNamespace(client=None), Things(),
                      random.Random(0), 1)
    with contextlib.nullcontext() if is_right else pytest.raises(WrongData):
        actions._check_hosts(shared)


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


@pytest.mark.parametrize('seconds, can', (
    (('T10:00:01',), True), (('T10:00:01', 'T10:00:02'), True),
    (('T10:00:02', 'T10:00:02'), False), ((), False)))
def test_nobody_goes_back_where_cinder_may_not_know_the_latest(seconds, can):
    volume = Volume('a', 'iscsi', 1, snapshots=[
        Snapshot(str(n), 1, b'x', second=second)
        for n, second in enumerate(seconds)])
    assert actions._can_go_back(volume) is can
