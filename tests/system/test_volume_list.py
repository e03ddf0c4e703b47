# SPDX-License-Identifier: Apache-2.0
"""The manual's chapter 8 against a real Cinder and a real array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import json
import os
from pathlib import Path
import subprocess
import sys

import pytest

from allinone.config import PROJECT_ID
import cinder_nec
from harness import drivers, names
from tests.system.cloud import Cloud
from tests.system.conftest import Stages, user_of

SCRIPT = Path(cinder_nec.__file__).with_name('volume_list.py')
OTHER_PROJECT = 'fedcba9876543210fedcba9876543210'


@pytest.fixture
def cloud(stages: Stages) -> Iterator[Cloud]:
    """The command does not depend on the class of the driver."""
    with user_of(stages(drivers.find(drivers.READY[0]))) as user:
        yield user


def noauth(cloud: Cloud) -> dict[str, str]:
    return cloud.stage.cinder.env()


def admin_token(cloud: Cloud) -> dict[str, str]:
    return {'OS_AUTH_TYPE': 'admin_token',
            'OS_ENDPOINT': cloud.stage.cinder.endpoint,
            'OS_TOKEN': f'admin:{PROJECT_ID}'}


def clouds_yaml(cloud: Cloud) -> dict[str, str]:
    """JSON is YAML as well."""
    file = cloud.stage.state / 'clouds.yaml'
    file.write_text(json.dumps({'clouds': {'site': {
        'auth_type': 'admin_token', 'auth': {
            'endpoint': cloud.stage.cinder.endpoint,
            'token': f'admin:{PROJECT_ID}'}}}}))
    return {'OS_CLIENT_CONFIG_FILE': str(file), 'OS_CLOUD': 'site'}


def run(env: dict[str, str], *arguments: str,
        script: bool = True) -> tuple[int, str, str]:
    """Run the command, as a script or as a module."""
    what = [str(SCRIPT)] if script else ['-m', 'cinder_nec.volume_list']
    clean = {key: value for key, value in os.environ.items()
             if not key.startswith(('OS_', 'CINDER_'))}
    done = subprocess.run(
        [sys.executable, *what, *arguments], env={**clean, **env},
        check=False, capture_output=True, text=True,
        cwd=SCRIPT.parent.parent)
    return done.returncode, done.stdout, done.stderr


def pairs(shown: str) -> list[tuple[str, str]]:
    """The rows of a table."""
    rows = [line.split() for line in shown.splitlines()]
    return [(row[1], row[3]) for row in rows[3:-1]]


@pytest.mark.parametrize(('environment', 'script'), [
    (noauth, True), (noauth, False), (admin_token, False),
    (clouds_yaml, False)])
def test_lists(cloud: Cloud, environment: Callable[[Cloud], dict[str, str]],
               script: bool):
    volume = cloud.create()
    snapshot = cloud.snapshot(volume)
    env = environment(cloud)
    for arguments, uuid in (((), volume), (('list',), volume),
                            (('snapshot-list',), snapshot)):
        status, shown, complaint = run(env, *arguments, script=script)
        assert (status, complaint) == (0, '')
        [(shown_uuid, label)] = pairs(shown)
        assert shown_uuid == uuid
        # It is the name of a disk that is there.
        assert f'LX:{label}' in cloud.array.lds()
        assert label == names.label(uuid)


def test_nothing_to_list(cloud: Cloud):
    assert run(noauth(cloud)) == (0, """\
+----+---------+
| ID | LD Name |
+----+---------+
+----+---------+
""", '')


def test_of_all_tenants(cloud: Cloud):
    volume = cloud.create()
    elsewhere = {**noauth(cloud), 'OS_PROJECT_ID': OTHER_PROJECT}
    assert pairs(run(elsewhere, 'list')[1]) == []
    status, shown, _ = run(elsewhere, '--all-tenants')
    assert (status, pairs(shown)) == (0, [(volume, names.label(volume))])


def test_os_cloud(cloud: Cloud):
    volume = cloud.create()
    env = {'OS_CLIENT_CONFIG_FILE':
           clouds_yaml(cloud)['OS_CLIENT_CONFIG_FILE']}
    assert run(env, '--os-cloud', 'site', '-f', 'value') == (
        0, f'{volume} {names.label(volume)}\n', '')


def test_cinder_does_not_answer(cloud: Cloud):
    env = {**noauth(cloud), 'CINDER_ENDPOINT': 'http://127.0.0.1:1/v3'}
    status, shown, complaint = run(env, 'list')
    assert (status, shown) == (1, '')
    assert complaint.startswith('Cinder could not be asked: ')
    assert complaint.count('\n') == 1
