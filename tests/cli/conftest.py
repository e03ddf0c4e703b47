# SPDX-License-Identifier: Apache-2.0
"""A simulated array with something on it, and a cinder.conf that names it.

Its clock stands still until a test moves it, so that what the command
shows is always the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
import socket

import pytest

from cinder_nec import errors, naming
from cinder_nec.cli import brick, rights
from harness.array import Array
from tests.cli.site import Site

IDS = [f'a1b2c3d4-0000-4000-8000-00000000000{n}' for n in range(8)]
VOLUME, CLONE, BASE, SNAPSHOT, REPLICA = map(naming.ld_name, IDS[:5])
INITIATOR = 'iqn.1994-05.com.redhat:controller1'
WWPNS = ['10000090faa00100', '10000090faa00101']


@pytest.fixture(scope='module')
def array(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Array]:
    with Array(tmp_path_factory.mktemp('array'), copy_rate='20MiB',
               extra=('--manual-clock',)) as running:
        _fill(running)
        yield running


def _fill(array: Array) -> None:
    """A clone that is copied, a snapshot, a host that sees a volume."""
    for ldn, label, pool, gib in ((20, VOLUME, 0, 4), (21, CLONE, 0, 4),
                                  (22, BASE, 0, 1)):
        array.run(f'iSMcfg ldbind -poolnumber {pool} -ldn {ldn} -capacity '
                  f'{gib} -immediate')
        array.run(f'iSMcfg nickname -ldn {ldn} -newname LX:{label} '
                  '-immediate')
    array.run(f'iSMcfg generationadd -bvname LX:{BASE} -poolnumber 1 '
              f'-count 1 -svname {SNAPSHOT}')
    array.run(f'iSMsc_create -bv {BASE} -bvflg ld -sv {SNAPSHOT} '
              '-svflg ld')
    array.run('iSMcfg addldset -ldset LX:compute1 -type iscsi '
              '-multitarget on')
    array.run('iSMcfg addldsetinitiator -ldset LX:compute1 -initiatorname '
              'iqn.1994-05.com.redhat:compute1')
    array.run(f'iSMcfg addldsetld -ldset LX:compute1 -ldname LX:{VOLUME}')
    pair = f'-mv {VOLUME} -mvflg ld -rv {CLONE} -rvflg ld'
    array.run(f'iSMrc_pair -pair {pair}')
    array.run(f'iSMrc_replicate {pair} -nowait -cprange full -cpmode bg')
    array.run(f'iSMrc_separate {pair} -rvacc rw -rvuse immediate -nowait')
    array.control.advance(120)


@pytest.fixture
def site(array: Array, tmp_path: Path) -> Iterator[Site]:
    """A site, and the proof that nothing was changed on its array."""
    mark = array.mark()
    yield Site(array, tmp_path)
    sent = array.journal(mark)
    assert not [c.text for c in sent if c.is_change or c.hostile]
    assert not [c.text for c in sent if c.kind == 'UNKNOWN']


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """This host as os-brick would show it; {} for one without names."""
    names: dict[str, object] = {'initiator': INITIATOR, 'wwpns': WWPNS}

    def ask(protocol: object) -> Mapping[str, object]:
        if 'broken' in names:
            raise errors.NotFound('os-brick cannot tell')
        return names

    monkeypatch.setattr(brick, 'ask_brick', ask)
    monkeypatch.setattr(socket, 'gethostname', lambda: 'controller1')
    # Whether this machine has the service's user does not matter.
    monkeypatch.setattr(rights, 'SERVICE_USER', 'no-such-user')
    return names
