# SPDX-License-Identifier: Apache-2.0
"""Arrays as the command reads them: no change passes, no key is stored.

A host key that is not known is never stored: the command is often run as
root, and the file has to stay the service's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import threading
from typing import NoReturn, TypeVar

from cinder_nec import assembly, errors, retry
from cinder_nec.assembly import Array
from cinder_nec.config import BackendConfig
from cinder_nec.ismcli.gate import ChangeGate, Ticket
from cinder_nec.ismcli.ssh import HostKeyPolicy, SshSettings

# Somebody is waiting at the terminal.
NO_RETRY = retry.RetryPolicy(within_seconds=0.0)
DEFAULT_TIMEOUT_SECONDS = 10.0
DEFAULT_PATIENCE_SECONDS = 60.0
_BACKENDS_AT_A_TIME = 8
# Reads run beside one another; more would only keep the service waiting.
_QUESTIONS_AT_A_TIME = 4

_Asked = TypeVar('_Asked')
_Answer = TypeVar('_Answer')


class ClosedGate(ChangeGate):
    """Lets no change through."""

    def turn(self, ticket: Ticket) -> NoReturn:
        """:raises errors.StateError: always"""
        raise errors.StateError(
            'A change was asked for where nothing may be changed; nothing '
            'was sent.')


class Arrays:
    """The arrays of some back ends; those on one array share it.

    :param timeout_seconds: how long a connection may take to come about
    :param patience_seconds: how long one answer may take
    :param changes: let changes through; for `audit --mend` alone
    """

    def __init__(self, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
                 first_use: HostKeyPolicy = HostKeyPolicy.TRUST_ONCE, *,
                 patience_seconds: float = DEFAULT_PATIENCE_SECONDS,
                 changes: bool = False) -> None:
        self._patience_seconds = patience_seconds
        self._timeout_seconds = timeout_seconds
        self._first_use = first_use
        self._gate = ChangeGate if changes else ClosedGate
        self._clock = retry.SystemClock()
        self._lock = threading.Lock()
        self._arrays: dict[tuple[SshSettings, bool | None], Array] = {}

    def of(self, config: BackendConfig) -> Array:
        """Return the array of a back end; nothing is sent to it yet.

        :raises errors.ConfigError: the settings cannot work
        """
        config = dataclasses.replace(
            config, connect_timeout_seconds=min(
                self._timeout_seconds, config.connect_timeout_seconds))
        key = assembly.array_key(config)
        with self._lock:
            if key not in self._arrays:
                self._arrays[key] = assembly.connect(
                    config, self._clock, self._gate(clock=self._clock),
                    NO_RETRY, first_use=self._first_use,
                    patience_seconds=self._patience_seconds)
            return self._arrays[key]

    def close(self) -> None:
        """End all connections."""
        for array in self._arrays.values():
            array.client.close()

    def __enter__(self) -> Arrays:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.close()


def each(entries: Sequence[_Asked],
         work: Callable[[_Asked], _Answer]) -> list[_Answer]:
    """Return what ``work`` makes of each, in order, all at a time."""
    return _beside_one_another(entries, work, _BACKENDS_AT_A_TIME)


def ask(questions: Sequence[_Asked],
        ask_one: Callable[[_Asked], _Answer]) -> list[_Answer]:
    """Ask an array many questions, a few at a time; answers in order."""
    return _beside_one_another(questions, ask_one, _QUESTIONS_AT_A_TIME)


def _beside_one_another(items: Sequence[_Asked],
                        work: Callable[[_Asked], _Answer],
                        at_a_time: int) -> list[_Answer]:
    """Work on items in daemon threads, which Ctrl-C does not wait for.

    The first error ends it: what was not begun is left out.
    """
    answers: dict[int, _Answer] = {}
    failures: list[BaseException] = []
    waiting = iter(enumerate(items))
    lock = threading.Lock()

    def go_on() -> None:
        while not failures:
            with lock:
                at, item = next(waiting, (-1, None))
            if item is None:
                return
            try:
                answers[at] = work(item)
            except BaseException as error:  # raised in the caller's thread
                failures.append(error)

    threads = [threading.Thread(target=go_on, daemon=True)
               for _ in range(min(at_a_time, len(items)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return [answers[at] for at in range(len(items))]
