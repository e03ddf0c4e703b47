# SPDX-License-Identifier: Apache-2.0
"""``cinder-nec`` beside a real Cinder, on its own cinder.conf."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness import drivers, names
from tests import docblocks, necctl
from tests.system.cloud import Cloud
from tests.system.conftest import Stages, user_of

NOBODY = 'a1b2c3d4-0000-4000-8000-00000000000a'


@pytest.fixture
def cloud(request: pytest.FixtureRequest,
          stages: Stages) -> Iterator[Cloud]:
    """The driver of the first of the chosen classes, or of a named one."""
    name = getattr(request, 'param', drivers.READY[0])
    with user_of(stages(drivers.find(name))) as user:
        yield user


def run(cloud: Cloud, *arguments: str, asks_cinder: bool = True,
        typed: str | Callable[[], str] | None = None
        ) -> tuple[int, str, str]:
    """Run the command on the cloud's cinder.conf."""
    return necctl.run(
        *arguments, '--config-file', str(cloud.stage.cinder.layout.conf),
        env=cloud.stage.cinder.env() if asks_cinder else {}, typed=typed)


def rows(cloud: Cloud, *arguments: str, status: int = 0,
         asks_cinder: bool = True) -> list[dict[str, Any]]:
    """Return what the command shows to programs."""
    return necctl.rows(
        *arguments, '--config-file', str(cloud.stage.cinder.layout.conf),
        env=cloud.stage.cinder.env() if asks_cinder else {}, status=status)


def differences(cloud: Cloud, status: int) -> dict[str, dict[str, Any]]:
    """Return what the audit calls a difference, by object."""
    return {row['Object']: row for row in rows(cloud, 'audit',
                                               status=status)
            if row['Standing'] == 'difference'}


@pytest.mark.parametrize('cloud', [drivers.READY[0], drivers.READY[-1]],
                         indirect=True)
def test_list_and_audit(cloud: Cloud) -> None:
    """A volume with a snapshot, on both sides, and LDs of nobody."""
    volume = cloud.create(1, name='data')
    snapshot = cloud.snapshot(volume)
    cloud.attach(volume)

    for asks_cinder in (True, False):
        found = {row['ID']: row for row in rows(
            cloud, 'list', asks_cinder=asks_cinder)}
        assert set(found) == {volume, snapshot}
        assert [found[i]['Type'] for i in (volume, snapshot)] == [
            'volume', 'snapshot']
        assert found[volume]['Name'] == ('data' if asks_cinder else '')
        assert found[volume]['Status'] == ('in-use' if asks_cinder else '')
        assert found[volume]['LDN'] == (
            f'{cloud.array.ld(volume).ldn:04x}h')
        assert found[volume]['LD name'] == cloud.array.ld(volume).full_name
        (ld_set,) = cloud.array.sets_of(volume)
        assert found[volume]['Mapped to'] == ld_set.name
        assert names.label(volume) in found[snapshot]['Belongs to']
    assert differences(cloud, 0) == {}


def test_audit_mends_only_what_is_safe(cloud: Cloud) -> None:
    """An LD that was to be unbound goes; one with a name stays."""
    leave(cloud, 900, 'unbind_0384')
    leave(cloud, 901, names.label(NOBODY))
    try:
        mark = cloud.array.mark()
        found = differences(cloud, 1)
        safe, unsafe = 'LX:unbind_0384', f'LX:{names.label(NOBODY)}'
        assert set(found) == {safe, unsafe}
        assert found[safe]['Can be mended'] is True
        assert found[unsafe]['Can be mended'] is False
        assert found[safe]['Commands'] == (
            'iSMcfg ldunbind -ldname LX:unbind_0384')
        assert not [c for c in cloud.array.journal(mark) if c.is_change]

        status, _out, err = run(cloud, 'audit', '--mend')
        assert status == 3 and '--yes' in err
        status, _out, err = run(cloud, 'audit', '--mend', '--yes', '-f',
                                'json')
        assert status == 3 and 'table only' in err
        status, out, _err = run(cloud, 'audit', '--mend', typed='n\n')
        assert status == 1 and '[N]o' in out and 'is mended' not in out
        assert not [c for c in cloud.array.journal(mark) if c.is_change]
        status, out, _err = run(cloud, 'audit', '--mend', typed='y\n')
        assert status == 1 and f'{safe} is mended.' in out
        assert unsafe in out and 'Not proven safe' in out
        lds = cloud.array.lds()
        assert safe not in lds and unsafe in lds
        assert [c.text for c in cloud.array.journal(mark)
                if c.is_change] == ['iSMcfg ldunbind -ldname ' + safe]
    finally:
        for name in ('LX:unbind_0384', f'LX:{names.label(NOBODY)}'):
            if name in cloud.array.lds():
                cloud.array.run(f'iSMcfg ldunbind -ldname {name}')


def test_what_has_changed_meanwhile_is_left_alone(cloud: Cloud) -> None:
    """While somebody thinks about the answer, the LD gets another name."""
    leave(cloud, 900, 'unbind_0384')
    other = f'LX:{names.label(NOBODY)}'

    def answer() -> str:
        cloud.array.run('iSMcfg nickname -ldname LX:unbind_0384 -newname '
                        f'{other}')
        return 'y\n'

    try:
        mark = cloud.array.mark()
        status, out, _err = run(cloud, 'audit', '--mend', typed=answer)
        assert status == 1 and 'has changed meanwhile' in out
        assert other in cloud.array.lds()
        assert not [c for c in cloud.array.journal(mark) if c.is_change]
    finally:
        cloud.array.run(f'iSMcfg ldunbind -ldname {other}')


def test_a_mending_that_is_refused(cloud: Cloud) -> None:
    leave(cloud, 900, 'unbind_0384')
    cloud.array.control.add_fault('refuse', prefix='iSMcfg ldunbind',
                                  text='Not now.')
    try:
        status, out, err = run(cloud, 'audit', '--mend', '--yes')
        assert status == 2 and 'Not now.' in err
        assert 'is mended' not in out
    finally:
        cloud.array.control.clear_faults()
        cloud.array.run('iSMcfg ldunbind -ldname LX:unbind_0384')


def test_the_page_shows_an_audit(cloud: Cloud) -> None:
    leave(cloud, 900, 'unbind_0384')
    try:
        status, out, err = run(cloud, 'audit')
        assert (status, err) == (1, '')
        docblocks.check('cinder-nec audit', out)
    finally:
        cloud.array.run('iSMcfg ldunbind -ldname LX:unbind_0384')


def leave(cloud: Cloud, ldn: int, label: str) -> None:
    """Leave an LD on the array, as nobody's."""
    cloud.array.run(f'iSMcfg ldbind -poolnumber 0 -ldn {ldn} -capacity 1 '
                    '-immediate')
    cloud.array.run(f'iSMcfg nickname -ldn {ldn} -newname LX:{label} '
                    '-immediate')


def test_without_cinder_there_is_no_audit(cloud: Cloud) -> None:
    status, out, err = run(cloud, 'audit', asks_cinder=False)
    assert (status, out) == (3, '') and '--os-cloud' in err


def test_a_lost_volume_is_found(cloud: Cloud) -> None:
    """Its LD is gone behind Cinder's back; `list` and `audit` say so."""
    volume = cloud.create()
    cloud.array.run('iSMcfg ldunbind -ldname '
                    f'{cloud.array.ld(volume).full_name}')
    (row,) = rows(cloud, 'list')
    assert (row['ID'], row['Status']) == (
        volume, 'available, no LD on the array')
    ((subject, found),) = differences(cloud, 1).items()
    assert subject == f'volume {volume}'
    assert found['Can be mended'] is False
    assert found['Commands'].startswith('openstack volume set')
