# SPDX-License-Identifier: Apache-2.0
"""``cinder-nec copies --watch`` until the copy has ended."""

from __future__ import annotations

import pytest

from cinder_nec.cli.copies import Copies
from harness.array import Array
from tests.cli.conftest import CLONE, VOLUME
from tests.cli.site import GOLD, Site


class Time:
    """A clock on which each sleep takes 40 s, for the array as well."""

    def __init__(self, array: Array) -> None:
        self._array = array
        self.slept: list[float] = []

    def now(self) -> float:
        return 40.0 * len(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._array.control.advance(40)


def test_watch(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time(site.array)
    monkeypatch.setattr(Copies, 'clock', time)
    status, out, err = site.run('copies', '--backend', GOLD, '--watch', '5')
    assert (status, err) == (0, '')
    # 1,696 of 4,096 MiB are left, 800 of which go with each look.
    looks = out.split('\n\n')
    assert [f'{n}%' in look for n, look in zip(
        (58, 78, 97), looks, strict=False)] == [True] * 3
    assert '20 MiB/s' in looks[1] and '0:00:45' in looks[1]
    assert 'Rate' not in looks[0]
    assert out.endswith('No copy runs.\n')
    assert time.slept == [5.0] * 3
    # At rest it is shown only if all are wanted.
    assert site.rows('copies') == []
    (row,) = site.rows('copies', '--all', '--backend', GOLD)
    assert row['State'] == 'separated'


def test_watch_on_a_terminal(site: Site,
                             monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look in the place of the last one; at the end one line stays."""
    pair = f'-mv {VOLUME} -mvflg ld -rv {CLONE} -rvflg ld'
    site.array.run(f'iSMrc_replicate {pair} -nowait -cprange full '
                   '-cpmode bg')
    site.array.run(f'iSMrc_separate {pair} -rvacc rw -rvuse immediate '
                   '-nowait')
    time = Time(site.array)
    monkeypatch.setattr(Copies, 'clock', time)
    status, out, err = site.run('copies', '--backend', GOLD, '--watch',
                                terminal=True)
    assert (status, err) == (0, '')
    assert len(time.slept) == 6 and '\x1b[' in out
    assert out.endswith('No copy runs.\n')
    assert '20.0 MiB/s' in out and '█' in out
