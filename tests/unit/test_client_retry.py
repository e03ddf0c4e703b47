# SPDX-License-Identifier: Apache-2.0
"""How long the client goes on with an array that cannot be reached."""

from __future__ import annotations

import pytest

from cinder_nec import errors, retry
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.ismcli.gate import ChangeGate
from cinder_nec.ismcli.transport import CommandResult
from cinder_nec.model import ArrayConfig
from tests.backend.arrays import Time

KNOWN = ArrayConfig('M310', '9.4', {}, {}, {})


class Unreachable:
    """An array that refuses connections until some time."""

    def __init__(self, clock: Time, until: float = float('inf')) -> None:
        self._clock, self._until = clock, until

    def run(self, command_line: str,
            timeout_seconds: float) -> CommandResult:
        if self._clock.now() < self._until:
            raise errors.ConnectFailed('refused')
        return CommandResult(b'<not a dump/>', b'', 0)

    def close(self) -> None:
        pass


def seconds_until_given_up(known: ArrayConfig | None,
                           **policies: retry.RetryPolicy) -> float:
    clock = Time()
    client = IsmClient(Unreachable(clock), ChangeGate(clock=clock),
                       clock=clock, **policies)
    with pytest.raises(errors.ConnectFailed):
        client.query_all(known)
    return clock.slept_seconds


def test_a_service_that_runs_waits_for_its_array():
    assert 45 <= seconds_until_given_up(KNOWN) <= 75


def test_a_start_is_given_up_soon():
    """Cinder repeats it; other back ends of the process wait."""
    assert 10 <= seconds_until_given_up(None) <= 20


def test_a_start_never_takes_longer_than_all_else():
    short = retry.RetryPolicy(within_seconds=2.0)
    assert seconds_until_given_up(None, link_retry=short) <= 4


def test_a_start_outlasts_ten_seconds():
    clock = Time()
    array = Unreachable(clock, clock.now() + 10)
    client = IsmClient(array, ChangeGate(clock=clock), clock=clock)
    with pytest.raises(errors.ParseError):
        client.query_all()
