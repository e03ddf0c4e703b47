# SPDX-License-Identifier: Apache-2.0
"""Showing snapshots to hosts, for backups.

A host cannot see an SV.  With the snapshot method a link volume shows it;
an RV of the data replication method is an LD like others.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
import functools
import logging
from typing import Any

from cinder_nec import errors
from cinder_nec.backend.access.base import AccessProtocol
from cinder_nec.backend.access.connector import Connector
from cinder_nec.backend.access.control_volume import ControlVolumes
from cinder_nec.backend.claims import Claims
from cinder_nec.backend.copying.links import Links, link_name
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.undo import Undo
from cinder_nec.model import LdName, LdSetName

LOG = logging.getLogger(__name__)

Connected = Callable[[dict[str, Any]], object]


class SnapshotAccess(abc.ABC):
    """Attach and detach of snapshots; hosts may only read them."""

    def __init__(self, access: AccessProtocol) -> None:
        self._access = access

    def attach(self, source: LdName, snapshot: LdName,
               connector: Connector, connected: Connected) -> dict[str, Any]:
        """Show a snapshot to a host and tell how the host reaches it.

        :param connected: see :meth:`AccessProtocol.attach`
        """
        self._access.check(connector)
        info = self._attach(source, snapshot, connector, connected)
        info['data']['access_mode'] = 'ro'
        return info

    @abc.abstractmethod
    def _attach(self, source: LdName, snapshot: LdName,
                connector: Connector, connected: Connected
                ) -> dict[str, Any]:
        """Do that."""

    @abc.abstractmethod
    def detach(self, source: LdName, snapshot: LdName,
               connector: Connector | None) -> list[LdSetName]:
        """Take a snapshot away from a host, from all if it is None.

        Returns the LD Sets that it was in.
        """

    @abc.abstractmethod
    def release(self, source: LdName, snapshot: LdName) -> None:
        """Take back what only hosts need that see the snapshot.

        It stays while there is one that does.
        """


    @abc.abstractmethod
    def end(self, source: LdName, snapshot: LdName) -> None:
        """Hide a snapshot that is about to be deleted.

        Cinder deletes none that a backup uses: who sees it has died.
        """


class ReplicaAccess(SnapshotAccess):
    """Of the data replication method: the RV is what the host sees.

    The array keeps hosts from writing to it (``-rvacc ro``).
    """

    def _attach(self, source: LdName, snapshot: LdName,
                connector: Connector, connected: Connected
                ) -> dict[str, Any]:
        """See :meth:`AccessProtocol.attach`."""
        return self._access.attach(snapshot, connector, connected)

    def detach(self, source: LdName, snapshot: LdName,
               connector: Connector | None) -> list[LdSetName]:
        """See :meth:`AccessProtocol.detach`."""
        if connector is None:
            return self._access.detach_all(snapshot)
        return self._access.detach(snapshot, connector)

    def release(self, source: LdName, snapshot: LdName) -> None:
        """Nothing was made."""

    def end(self, source: LdName, snapshot: LdName) -> None:
        """Nothing was made; the delete takes it out of LD Sets."""


class LinkAccess(SnapshotAccess):
    """Of the snapshot method: a link volume is what the host sees."""

    def __init__(self, access: AccessProtocol, links: Links,
                 controls: ControlVolumes, inventory: Inventory,
                 claims: Claims) -> None:
        super().__init__(access)
        self._links = links
        self._controls = controls
        self._inventory = inventory
        self._claims = claims

    def _attach(self, source: LdName, snapshot: LdName,
                connector: Connector, connected: Connected
                ) -> dict[str, Any]:
        """Bind and link an LV, put something on LUN 0, map the LV.

        Precondition: the snapshot has its data.
        Re-entry: what is there already is used as it is.
        Undo: the mapping, the control volume, the link and the LV, as far
        as they were made here.
        Crash leaves: some of them.  The next start removes what no host can
        use yet; the detach or the delete of the snapshot takes all.

        :raises errors.UnexpectedState: the snapshot has no data
        :raises errors.InUse: another LV is linked to the snapshot
        """
        with self._claims.of(('link', snapshot)), Undo() as undo:
            name = self._links.ensure(source, snapshot, undo)
            lv = self._inventory.current().get_ld(name)
            ld_set = self._access.ensure_ld_set(connector, lv.ldn)
            with self._controls.steady(ld_set.name), Undo() as undo_lun:
                self._controls.ensure(ld_set, lv.pool, undo_lun)
                return self._access.attach(name, connector, connected)

    def detach(self, source: LdName, snapshot: LdName,
               connector: Connector | None) -> list[LdSetName]:
        """Unmap the LV; when no host sees it, unlink and unbind it.

        Each step is taken even if one before it has failed, as far as the
        array allows; the first failure is reported in the end.

        Precondition: none.
        Re-entry: steps that were taken already are passed by.
        Undo: nothing to undo.
        Crash leaves: some of it; a second try takes the rest.
        """
        failures: list[errors.NecError] = []
        left: list[LdSetName] = []
        with self._claims.of(('link', snapshot)):
            lv = self._links.find(source, snapshot)
            if lv is None:
                LOG.info('Logical Disk `%s` is already unexported.',
                         link_name(source, snapshot))
            else:
                left = self._unmap(lv.name, connector)
                _go_on(failures, lambda: self._remove(source, snapshot))
            for ld_set in self._concerned(connector, left):
                _go_on(failures, functools.partial(self._tidy, ld_set))
        if failures:
            raise failures[0]
        return left

    def _unmap(self, name: LdName,
               connector: Connector | None) -> list[LdSetName]:
        if connector is None:
            return self._access.detach_all(name)
        return self._access.detach(name, connector)

    def _concerned(self, connector: Connector | None,
                   left: list[LdSetName]) -> list[LdSetName]:
        """Return where a control volume may be idle now.

        Also where an earlier try has taken the LV out.
        """
        found = list(left)
        if connector is not None:
            found += self._access.ld_sets_for(connector)
        return list(dict.fromkeys(found))

    def _tidy(self, ld_set: LdSetName) -> None:
        with self._controls.steady(ld_set):
            self._controls.remove_idle(ld_set)

    def end(self, source: LdName, snapshot: LdName) -> None:
        """See :meth:`SnapshotAccess.end`; what is not known stays."""
        if self._links.is_known(source, snapshot):
            LOG.warning('`%s` is left of a backup that was broken off; it is '
                        'removed.', link_name(source, snapshot))
            self.detach(source, snapshot, None)

    def _remove(self, source: LdName, snapshot: LdName) -> None:
        """Remove an LV that no host sees, whoever mapped it."""
        lv = self._inventory.refresh().find_ld(link_name(source, snapshot))
        if lv is None:
            return
        sets = self._inventory.current().mapped_to(lv.ldn)
        if sets:
            LOG.info('`%s` stays: it is in LD Set %s.', lv.name,
                     ', '.join(str(s.name) for s in sets))
            return
        self._links.remove(source, snapshot)

    def release(self, source: LdName, snapshot: LdName) -> None:
        """Unlink and unbind an LV that no host sees.

        Precondition: none.
        Re-entry: one that is gone already is a success.
        Undo: nothing to undo.
        Crash leaves: the LV without its link; a second try removes it.
        """
        with self._claims.of(('link', snapshot)):
            self._remove(source, snapshot)


def _go_on(failures: list[errors.NecError],
           step: Callable[[], None]) -> None:
    """Take a step whose failure must not keep others from being taken."""
    try:
        step()
    except errors.NecError as error:
        LOG.error('Detaching a snapshot: %s', error)
        failures.append(error)
