# SPDX-License-Identifier: Apache-2.0
"""The password is nowhere but in cinder.conf; files are their owner's.

A real Cinder at debug level, with an array that fails in every way; then
all that came of it is searched: logs, every file, the process list, the
process's environment, and what the API tells.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
import contextlib
import json
import os
from pathlib import Path
import stat
import subprocess
import urllib.parse

from cinderclient import exceptions
import pytest

from allinone import process, wait_for
from harness import drivers
from harness.array import PASSWORD
from harness.drivers import Driver
from harness.stage import BACKEND, Stage
from harness.tally import wants_all
from tests.system.cloud import PATIENCE, Cloud
from tests.system.conftest import QUIET

pytestmark = [pytest.mark.slow, pytest.mark.skipif(
    process.release() < 29, reason='on the newest Cinder only: what is '
    'searched comes from the driver, which is the same')]

WRONG = 'never-Passw0rd'
FAULTS = (('busy', {}), ('refuse', {}), ('drop_before', {}),
          ('drop_after', {}), ('truncate', {'keep': 0.5}), ('garble', {}))
CHOSEN = drivers.READY if wants_all() else drivers.READY[:1]


def spellings(secret: str) -> list[bytes]:
    """Return the ways in which a secret may stand somewhere."""
    plain = secret.encode()
    return [plain, plain.hex().encode(), base64.b64encode(plain)[:-2],
            urllib.parse.quote(secret, safe='').encode(),
            json.dumps(secret).strip('"').encode(), plain[::-1]]


@pytest.fixture(scope='module', params=CHOSEN)
def worn(request: pytest.FixtureRequest,
         tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage after a run with faults, at debug level."""
    state = tmp_path_factory.mktemp('secrets')
    scratch = state / 'tmp'
    scratch.mkdir()
    backends = {BACKEND: {}, 'wrong': {'nec_ismcli_password': WRONG,
                                       'nec_ismcli_user': 'operator'}}
    with Stage(state / 'stage', drivers.find(request.param), debug=True,
               backends=backends, default=QUIET,
               env={'TMPDIR': str(scratch)}) as stage:
        assert stage.cinder.up == {BACKEND: True, 'wrong': False}
        stage.cinder.ensure_type('good', backend=BACKEND)
        wear(stage)
        yield stage


def wear(stage: Stage) -> None:
    """Use everything while the array fails; errors are expected."""
    cloud = Cloud(stage)
    attach_and_look(stage, cloud)
    for action, values in FAULTS:
        stage.array.control.add_fault(action, nth=2, **values)
        stage.array.control.drop_connections()
        settle(cloud, cloud.client.volumes.create(
            1, volume_type='good').id)
        stage.array.control.clear_faults()
    stage.array.control.refuse_ssh(2)
    stage.array.control.drop_connections()
    settle(cloud, cloud.client.volumes.create(1, volume_type='good').id)
    with contextlib.suppress(exceptions.ClientException):
        cloud.client.volumes.manage(
            f'demo@{BACKEND}#{BACKEND}', {'source-name': 'nosuchld'})


def attach_and_look(stage: Stage, cloud: Cloud) -> None:
    volume = cloud.create(1, volume_type='good')
    stage.attachment = cloud.attach(volume)  # type: ignore[attr-defined]
    stage.cloud = cloud  # type: ignore[attr-defined]


def settle(cloud: Cloud, volume: str) -> None:
    wait_for('the volume to come to rest', lambda: cloud.volume_status(
        volume) in ('available', 'error'), PATIENCE)


def files_below(top: Path) -> Iterator[Path]:
    for path in sorted(top.rglob('*')):
        if path.is_file() and not path.is_socket():
            yield path


def found_in(data: bytes) -> list[str]:
    return [word for secret in (PASSWORD, WRONG)
            for spelling in spellings(secret)
            if spelling in data for word in [spelling.decode()]]


def test_there_was_something_to_hide(worn: Stage):
    """The search itself finds it where it has to be."""
    assert len(found_in(worn.cinder.layout.conf.read_bytes())) >= 2
    log = worn.cinder.log()
    assert ' DEBUG ' in log and 'paramiko' in log
    assert 'nec_ismcli_password' in log, 'the options were not logged'
    for word in ('iSM99905', 'was lost', 'not understood', 'password'):
        assert word in log, word


def test_no_password_in_any_file(worn: Stage):
    conf = worn.cinder.layout.conf
    searched = list(files_below(worn.state.parent))
    assert worn.cinder.layout.log in searched
    for path in searched:
        if path != conf:
            assert not found_in(path.read_bytes()), path


def test_no_password_in_the_process_list(worn: Stage):
    """The simulated array is told its own by its command line."""
    pid = worn.cinder.pid
    shown = subprocess.run(
        ['ps', '-e', '-ww', '-o', 'pid=,ppid=,args='],
        capture_output=True, text=True, check=True).stdout.splitlines()
    of_cinder = [line for line in shown if 'allinone' in line
                 and str(worn.state) in line]
    assert of_cinder
    for line in of_cinder:
        assert not found_in(line.encode()), line
    assert not found_in(Path(f'/proc/{pid}/environ').read_bytes())
    assert not found_in(Path(f'/proc/{pid}/cmdline').read_bytes())


def test_no_password_through_the_api(worn: Stage):
    client = worn.cloud.client  # type: ignore[attr-defined]
    told = [volume.to_dict() for volume in client.volumes.list(
        search_opts={'all_tenants': 1})]
    told += [message.to_dict() for message in client.messages.list()]
    told += [pool.to_dict() for pool in client.pools.list(detailed=True)]
    told.append(worn.attachment)  # type: ignore[attr-defined]
    assert len(told) > len(FAULTS)
    assert not found_in(json.dumps(told, default=str).encode())


def test_the_drivers_files_are_their_owners(worn: Stage):
    """All below Cinder's state path; nothing in a shared directory."""
    journal = worn.cinder.layout.state / 'nec-journal'
    written = list(files_below(journal))
    assert written, 'the mapping should be in the journal'
    for path in written:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700, path
    assert not list(files_below(worn.state.parent / 'tmp'))


def test_nothing_is_open_elsewhere(worn: Stage):
    """What the process has open to write is below its own directory."""
    for link in Path(f'/proc/{worn.cinder.pid}/fd').iterdir():
        with contextlib.suppress(FileNotFoundError):
            target = os.readlink(link)
            if target.startswith('/') and not target.startswith('/dev/'):
                flags = int(dict(line.split(':\t') for line in Path(
                    f'/proc/{worn.cinder.pid}/fdinfo/{link.name}'
                ).read_text().splitlines() if ':\t' in line)['flags'], 8)
                if flags & os.O_ACCMODE != os.O_RDONLY:
                    assert target.startswith(str(worn.state)), target


def test_a_changed_host_key_is_refused(state: Path):
    """Also after it was known; the message says what to do about it."""
    driver: Driver = drivers.find(drivers.READY[0])
    with Stage(state, driver, default=QUIET) as stage:
        known = stage.state / 'known_hosts'
        kind, _blob = known.read_text().split()[1:3]
        name = known.read_text().split()[0]
        other = stage.state / 'other'
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f',
                        str(other)], check=True)
        changed = other.with_suffix('.pub').read_text().split()[:2]
        known.write_text(f'{name} {changed[0]} {changed[1]}\n')
        mark = stage.array.mark()
        stage.cinder.restart()
        assert not any(stage.cinder.up.values())
        assert not stage.array.journal(mark)
        refused = [line for line in stage.cinder.log().splitlines()
                   if ' ERROR ' in line and str(known) in line
                   and 'SHA256:' in line]
        assert refused, (kind, stage.errors())
