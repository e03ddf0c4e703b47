# SPDX-License-Identifier: Apache-2.0
"""The one-process Cinder, with a driver that needs no array."""

from __future__ import annotations

from collections.abc import Iterator
import json
import os
from pathlib import Path
import signal
import subprocess
import sys

from cinderclient import exceptions
import pytest

from allinone import CinderError, CinderProcess, process, trial, wait_for
from harness import cli, venvs
from harness.stage import TEMPLATES

pytestmark = [pytest.mark.service, pytest.mark.oldest]

FAKE = {'volume_driver': 'cinder.tests.fake_driver.FakeLoggingVolumeDriver'}


def modes() -> list[bool]:
    return [False, True] if process.release() >= 29 else [False]


@pytest.fixture(scope='module', params=modes(),
                ids=lambda native: 'threads' if native else 'eventlet')
def cinder(request: pytest.FixtureRequest,
           tmp_path_factory: pytest.TempPathFactory
           ) -> Iterator[CinderProcess]:
    state = tmp_path_factory.mktemp('cinder')
    with CinderProcess(state, {'one': FAKE, 'two': FAKE},
                       native_threads=request.param,
                       default={'service_down_time': 7,
                                'report_interval': 2},
                       template_dir=TEMPLATES) as running:
        yield running


def test_every_back_end_is_known(cinder: CinderProcess):
    assert cinder.up == {'one': True, 'two': True}
    pools = cinder.client().pools.list(detailed=True)
    assert {pool.name for pool in pools} == {
        'demo@one#fake', 'demo@two#fake'}


def test_more_volumes_than_the_default_quota(cinder: CinderProcess):
    client = cinder.client()
    volumes = [client.volumes.create(1) for _ in range(15)]
    for volume in volumes:
        wait_for('volume available', lambda: client.volumes.get(
            volume.id).status == 'available')  # noqa: B023


@pytest.mark.slow
def test_every_service_keeps_its_heartbeat(cinder: CinderProcess):
    """Also after service_down_time, for all of them."""
    client = cinder.client()

    def beats() -> dict[str, str]:
        return {s.host + s.binary: s.updated_at
                for s in client.services.list()}
    first = beats()
    wait_for('a second heartbeat of every service', lambda: all(
        first[name] != beat for name, beat in beats().items()), 20)
    assert {s.state for s in client.services.list()} == {'up'}


def test_clients_of_the_command_line(cinder: CinderProcess):
    assert cli.rows(cli.CinderCli(cinder.env()).run('service-list'))
    with pytest.raises(cli.CliError, match='No volume'):
        cli.CinderCli(cinder.env()).run('show', 'absent')
    openstack = Path(sys.executable).with_name('openstack')
    done = subprocess.run(
        [str(openstack), *cinder.openstack_options(),
         'volume', 'list', '-f', 'json'],
        env={k: v for k, v in os.environ.items()
             if not k.startswith('OS_')},
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), list)


def test_a_sdk_finds_its_way(cinder: CinderProcess):
    import openstack

    from allinone import PROJECT_ID
    cloud = openstack.connect(
        load_yaml_config=False, load_envvars=False,
        auth_type='admin_token',
        auth={'endpoint': cinder.endpoint, 'token': f'admin:{PROJECT_ID}'})
    assert isinstance(list(cloud.block_storage.volumes()), list)


def test_an_error_of_a_service_reaches_the_client(cinder: CinderProcess):
    with pytest.raises(exceptions.NotFound):
        cinder.client().volumes.get('00000000-0000-0000-0000-000000000000')


def test_restart_keeps_volumes_and_port(tmp_path: Path):
    with CinderProcess(tmp_path / 'c', {'one': FAKE},
                       template_dir=TEMPLATES) as cinder:
        before = cinder.endpoint
        volume = cinder.client().volumes.create(1)
        for again in (cinder.restart, cinder.kill):
            again()
            if not cinder.pid:
                cinder.start()
            assert cinder.endpoint == before
            assert cinder.client().volumes.get(volume.id)


def test_a_back_end_that_fails_leaves_the_others(tmp_path: Path):
    with CinderProcess(tmp_path / 'c', {
            'good': FAKE, 'bad': {'volume_driver': 'no.such.Driver'}},
            template_dir=TEMPLATES) as cinder:
        assert cinder.up == {'good': True, 'bad': False}
        assert 'Volume service bad failed to start' in cinder.log()


def test_a_broken_configuration_says_so(tmp_path: Path):
    broken = CinderProcess(tmp_path / 'c', {'one': FAKE}, sections={
        'database': {'connection': 'nosuchdb:///here'}})
    with pytest.raises(CinderError, match='nosuchdb'):
        broken.start()
    assert broken.pid is None


def test_private_files(cinder: CinderProcess):
    layout = cinder.layout
    assert layout.state.stat().st_mode & 0o777 == 0o700
    assert layout.conf.stat().st_mode & 0o777 == 0o600


def test_it_ends_with_its_parent(tmp_path: Path):
    code = ('import sys, time; from allinone import CinderProcess; '
            f'c = CinderProcess({str(tmp_path / "c")!r}, '
            f'{{"one": {FAKE!r}}}, template_dir={str(TEMPLATES)!r}); '
            'c.start(); print(c.pid, flush=True); time.sleep(60)')
    tools = str(Path(process.__file__).parents[1])
    with subprocess.Popen([sys.executable, '-c', code],
                          stdout=subprocess.PIPE, text=True,
                          env={**os.environ, 'PYTHONPATH': tools}) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    wait_for('the child ended', lambda: not Path(f'/proc/{child}').exists(),
             20)


def test_a_cloud_of_ones_own_wants_a_configuration(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        trial.main(['--state', str(tmp_path / 'state'), '--config-file',
                    str(tmp_path / 'missing.conf')])
    assert ended.value.code == 2
    assert 'missing.conf: no such file' in capsys.readouterr().err
    assert not (tmp_path / 'state').exists()


def test_a_cloud_of_ones_own_says_which_back_end_did_not_come_up(
        tmp_path: Path):
    (tmp_path / 'mine.conf').write_text(
        '[DEFAULT]\nenabled_backends = good,bad\n'
        f'[good]\nvolume_driver = {FAKE["volume_driver"]}\n'
        '[bad]\nvolume_driver = cinder.no.such.Driver\n')
    with subprocess.Popen(
            [sys.executable, str(venvs.ROOT / 'tools' / 'cloud'),
             '--state', str(tmp_path / 'state'), '--config-file',
             str(tmp_path / 'mine.conf'), '--parent', str(os.getpid())],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline(), running.stdout.readline()]
        running.terminate()
        assert running.wait(60) == 0
    openrc = tmp_path / 'state' / 'openrc'
    assert 'bad did not come up' in lines[0]
    assert f'. {openrc}' in lines[1]
    assert openrc.stat().st_mode & 0o077 == 0
    assert 'OS_AUTH_TYPE' in openrc.read_text()
