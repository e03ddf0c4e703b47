# SPDX-License-Identifier: Apache-2.0
"""Wrong configuration: one clear message each, nothing left on the array.

All wrong back ends of a driver class run in one Cinder, each with one
mistake; a message must name the option and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
import re
import subprocess

from cinderclient import exceptions
import pytest

from allinone import wait_for
from allinone.config import Value
from harness import drivers
from harness.array import Array
from harness.drivers import Driver
from harness.stage import Stage
from tests.system.cloud import Cloud
from tests.system.conftest import QUIET, user_of

pytestmark = pytest.mark.oldest

CLOSED_PORT = 1


@dataclass(frozen=True)
class Mistake:
    """Options that are wrong, and what the message must contain."""

    options: dict[str, Value]
    words: tuple[str, ...]


MISTAKES = {
    'no_address': Mistake(
        {'nec_ismcli_fip': None}, ('nec_ismcli_fip',)),
    'no_user': Mistake(
        {'nec_ismcli_user': None}, ('nec_ismcli_user',)),
    'no_password_and_no_key': Mistake(
        {'nec_ismcli_password': None},
        ('nec_ismcli_password', 'nec_ismcli_privkey')),
    'wrong_password': Mistake(
        {'nec_ismcli_user': 'operator', 'nec_ismcli_password': 'wrong'},
        ('nec_ismcli_password', 'operator')),
    'no_key_file': Mistake(
        {'nec_ismcli_privkey': '{keys}/absent'},
        ('nec_ismcli_privkey', '{keys}/absent')),
    'encrypted_key': Mistake(
        {'nec_ismcli_privkey': '{keys}/encrypted'},
        ('nec_ismcli_privkey', '{keys}/encrypted', 'encrypted')),
    'no_key_in_file': Mistake(
        {'nec_ismcli_privkey': '{keys}/garbage'},
        ('nec_ismcli_privkey', '{keys}/garbage')),
    'unknown_key': Mistake(
        {'nec_ismcli_privkey': '{keys}/stranger',
         'nec_ismcli_password': None},
        ('nec_ismcli_privkey', 'registered', 'sysadmin')),
    'absent_pool': Mistake(
        {'nec_pools': '77'}, ('nec_pools', '77|4dh|004dh|004d')),
    'absent_backup_pool': Mistake(
        {'nec_backup_pools': '4eh'},
        ('nec_backup_pools', '78|4eh|004eh|004e')),
    'no_pool_number': Mistake(
        {'nec_pools': 'gold'}, ('nec_pools', 'gold')),
    'ldset_without_platform': Mistake(
        {'nec_ldset': 'nosuchset'}, ('nec_ldset', 'nosuchset')),
    'name_format': Mistake(
        {'nec_ldname_format': 'LX:volume'},
        ('nec_ldname_format', 'LX:volume')),
}


@pytest.fixture(scope='module')
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key files that a driver cannot use."""
    directory = tmp_path_factory.mktemp('keys')
    write_keys(directory)
    return directory


def write_keys(directory: Path) -> None:
    import paramiko
    key = paramiko.RSAKey.generate(2048)
    key.write_private_key_file(str(directory / 'encrypted'), 'secret')
    key.write_private_key_file(str(directory / 'stranger'))
    (directory / 'garbage').write_text('no key\n')


@pytest.fixture(scope='module', params=drivers.READY)
def wrong(request: pytest.FixtureRequest, keys: Path,
          tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One Cinder with a back end for every mistake."""
    backends = {
        name: {key: fill(value, keys)
               for key, value in mistake.options.items()}
        for name, mistake in MISTAKES.items()}
    state = tmp_path_factory.mktemp('wrong')
    with Stage(state, drivers.find(request.param),
               backends=backends) as stage:
        yield stage


def fill(value: Value, keys: Path) -> Value:
    return value.format(keys=keys) if isinstance(value, str) else value


def messages(stage: Stage, words: tuple[str, ...], keys: Path) -> list[str]:
    """ERROR lines of the log with all words ('|' separates choices)."""
    patterns = ['|'.join(re.escape(str(fill(choice, keys)))
                         for choice in word.split('|')) for word in words]
    return [line for line in stage.cinder.log().splitlines()
            if re.search(r' (ERROR|CRITICAL) ', line)
            and all(re.search(p, line, re.IGNORECASE) for p in patterns)]


@pytest.mark.parametrize('name', MISTAKES)
def test_a_mistake_is_named(wrong: Stage, keys: Path, name: str):
    assert not wrong.cinder.up[name]
    found = messages(wrong, MISTAKES[name].words, keys)
    assert found, wrong.errors()


def test_nothing_was_changed_on_the_array(wrong: Stage):
    assert not [c for c in wrong.array.journal(0) if c.is_change]


def test_no_secret_in_the_messages(wrong: Stage):
    log = wrong.cinder.log()
    assert wrong.array.password not in log
    assert 'PRIVATE KEY' not in log


@pytest.mark.slow
def test_unreachable(state: Path):
    """The driver waits a minute for an array that does not answer.

    That is once enough: all classes share the code.
    """
    with Stage(state, drivers.find(drivers.READY[0]), options={
            'nec_ssh_pool_port_number': CLOSED_PORT}) as stage:
        assert not any(stage.cinder.up.values())
        assert messages(stage, ('127.0.0.1', 'nec_ismcli_fip'), state)


def test_unknown_host_key(driver: Driver, state: Path, tmp_path: Path):
    """Refused, and the message says how to accept it."""
    known = tmp_path / 'known_hosts'
    subprocess.run(['touch', str(known)], check=True)
    with Stage(state, driver,
               default={'ssh_hosts_key_file': str(known)}) as stage:
        assert not any(stage.cinder.up.values())
        assert messages(stage, ('ssh_hosts_key_file', str(known),
                                'ssh-keyscan'), tmp_path)
        assert not known.read_text()
        assert not stage.array.journal(0)


def test_absent_ldset(driver: Driver, state: Path):
    """Found at the first attach: an operator may make it until then."""
    with Stage(state, driver,
               options={'nec_ldset': 'LX:nosuchset'}) as stage:
        with user_of(stage) as user:
            volume = user.create()
            refused_attach(user, volume)
            assert not stage.array.sets_of(volume)
        assert messages(stage, ('LX:nosuchset', 'nec_ldset'), state)


def refused_attach(user: Cloud, volume: str) -> None:
    """Cinder tells the client that it failed; clean up after it."""
    with pytest.raises(exceptions.ClientException):
        user.client.attachments.create(volume, user.connector(), None)
    for left in user.client.attachments.list():
        user.client.attachments.delete(left.id)
    user.wait_volume(volume, 'available')


def test_no_capacity(driver: Driver, state: Path):
    """The pool filled up since the scheduler last heard of it."""
    with Stage(state, driver, default=QUIET) as stage:
        array = stage.array
        free = array.pool_free(0) >> 30
        array.run('iSMcfg ldbind -poolnumber 0 -ldn 4000 '
                  f'-capacity {free - 1} -immediate')
        before = array.contents()
        client = stage.cinder.client()
        volume = client.volumes.create(5)
        wait_for('volume error', lambda: client.volumes.get(
            volume.id).status == 'error', 60)
        assert array.contents() == before
        assert messages(stage, ('capacity|room|space', 'pool'), state)


def test_no_portals(driver: Driver, state: Path):
    """An LD Set through which no port can be reached."""
    if driver.protocol != drivers.ISCSI:
        pytest.skip('portals are of iSCSI')
    with Stage(state, driver) as stage, user_of(stage) as user:
        user.detach(user.attach(user.create()))
        remove_portals(stage.array)
        stage.cinder.restart()
        volume = user.create()
        refused_attach(user, volume)
        assert not stage.array.sets_of(volume)
        assert messages(stage, ('portal',), state)


def remove_portals(array: Array) -> None:
    for found in array.ld_sets():
        for portal in found.portals:
            array.run(f'iSMcfg delldsetportal -ldset {found.name} '
                      f'-ipaddress {portal.rpartition(":")[0]}')
