# SPDX-License-Identifier: Apache-2.0
"""A user's requests to Cinder, and waiting for what comes of them.

Cinder may be away for a while: reads are repeated until it is back.  A
change that got no answer may have been accepted, so the caller is told
that it is not known (:class:`Interrupted`).
"""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any, TypeVar

from cinderclient import exceptions
from keystoneauth1 import exceptions as transport

from soak_suite.cloud import Cloud

T = TypeVar('T')

POLL_SECONDS = 0.25
PATIENCE_SECONDS = 240.0
# How long something may stay as a restart has left it.
AFTER_RESTART_SECONDS = 20.0
GONE = 'gone'
STEADY = ('available', 'in-use', 'reserved', GONE)
ATTACHED = 'attached'
_HOST = 'os-vol-host-attr:host'


class Refused(Exception):
    """Cinder's rules do not allow it."""


class Interrupted(Exception):
    """Cinder went away before it answered."""


class Failed(Exception):
    """Cinder said so, or the object went to an error status."""


class NotPlaced(Failed):
    """The scheduler found no back end, or Cinder took a request back.

    It goes by the last stats, and they may be of the time of a fault.
    """


class Hangs(Failed):
    """It stays in a status that should pass."""


class Api:
    """Requests of one thread."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.client = cloud.client()
        # Starts of services when the last change was asked for.
        self._asked_at = cloud.starts

    # -- asking --------------------------------------------------------

    def change(self, request: Callable[[], T]) -> T:
        """Ask for a change.

        :raises Refused: Cinder's rules do not allow it
        :raises Failed: Cinder answered with an error of its own
        :raises Interrupted: no answer came
        """
        self._cloud.up.wait()
        self._asked_at = self._cloud.starts
        try:
            return request()
        except (transport.ConnectFailure, transport.ConnectTimeout,
                transport.UnknownConnectionError,
                exceptions.ConnectionError) as error:
            raise Interrupted(str(error)) from error
        except exceptions.ClientException as error:
            if 400 <= error.code < 500 and error.code != 404:
                raise Refused(str(error)) from error
            raise Failed(str(error)) from error

    def read(self, request: Callable[[], T]) -> T:
        """Ask for something until there is an answer."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            self._cloud.up.wait()
            try:
                return request()
            except exceptions.NotFound:
                raise
            except (transport.ConnectFailure, transport.ConnectTimeout,
                    transport.UnknownConnectionError,
                    exceptions.ClientException):
                if time.monotonic() > until:
                    raise
            time.sleep(POLL_SECONDS)

    # -- looking -------------------------------------------------------

    def volume(self, ident: str) -> Any | None:
        """A volume, None if there is none."""
        try:
            return self.read(lambda: self.client.volumes.get(ident))
        except exceptions.NotFound:
            return None

    def volume_status(self, ident: str) -> str:
        found = self.volume(ident)
        return GONE if found is None else str(found.status)

    def snapshot_status(self, ident: str) -> str:
        try:
            return str(self.read(
                lambda: self.client.volume_snapshots.get(ident)).status)
        except exceptions.NotFound:
            return GONE

    def named_volume(self, name: str) -> str | None:
        """The id of a volume by its name."""
        found = self.read(lambda: self.client.volumes.list(
            search_opts={'name': name}))
        return found[0].id if found else None

    def named_snapshot(self, name: str) -> str | None:
        """The id of a snapshot by its name."""
        found = self.read(lambda: self.client.volume_snapshots.list(
            search_opts={'name': name}))
        return found[0].id if found else None

    def attachments(self, volume: str) -> list[Any]:
        """The attachments of a volume."""
        found: list[Any] = self.read(lambda: self.client.attachments.list(
            search_opts={'volume_id': volume}))
        return found

    # -- waiting -------------------------------------------------------

    def wait_volume(self, ident: str, *wanted: str,
                    patience: float = PATIENCE_SECONDS) -> str:
        """Wait for one of some statuses; returns which.

        :raises Failed: it came to rest in another one
        :raises NotPlaced: it did so without a back end
        :raises Hangs: it does not come to rest
        """
        try:
            return self._wait(lambda: self.volume_status(ident), wanted,
                              f'volume {ident}', patience)
        except Failed as error:
            found = self.volume(ident)
            if found is not None and not getattr(found, _HOST, None):
                raise NotPlaced(f'{error}, and no back end has it') from None
            raise

    def wait_snapshot(self, ident: str, *wanted: str,
                      patience: float = PATIENCE_SECONDS) -> str:
        """Wait for one of some statuses; see :meth:`wait_volume`."""
        return self._wait(lambda: self.snapshot_status(ident), wanted,
                          f'snapshot {ident}', patience)

    def _wait(self, status: Callable[[], str], wanted: tuple[str, ...],
              what: str, patience: float) -> str:
        until = time.monotonic() + patience
        starts = self._asked_at
        while True:
            now = status()
            if now in wanted:
                return now
            if now.startswith('error'):
                raise Failed(f'{what} went to {now}')
            if now in STEADY and now != GONE:
                # As before: Cinder took it back.
                raise NotPlaced(f'{what} is {now} again')
            if now == GONE:
                raise Failed(f'{what} is gone')
            if starts != self._cloud.starts:
                # Nobody may go on with it after a restart.
                starts = self._cloud.starts
                until = time.monotonic() + AFTER_RESTART_SECONDS
            if time.monotonic() > until:
                raise Hangs(f'{what} stays in {now}')
            time.sleep(POLL_SECONDS)
