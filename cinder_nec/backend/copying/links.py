# SPDX-License-Identifier: Apache-2.0
"""Link volumes: what hosts can see of a snapshot (ISMCLI.md B.6).

The LV of a snapshot is named after it, ``<snapshot>_l``.
"""

from __future__ import annotations

from collections.abc import Callable
import logging

from cinder_nec import errors, naming
from cinder_nec.backend import changes
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.outcome import carry_out
from cinder_nec.backend.undo import Undo
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.ismcli.commands import VolumeAccess
from cinder_nec.model import (
    LdName,
    LogicalDisk,
    RplAttribute,
    SnapState,
    SnapStatus,
)

LOG = logging.getLogger(__name__)

_BIND_TRIES = 16


def link_name(source: LdName, snapshot: LdName) -> LdName:
    """Return the name of a snapshot's LV; its OS type is the BV's."""
    return LdName(source.platform, snapshot.label + naming.SUFFIX_LINK)


class Links:
    """Binds, links, unlinks and unbinds LVs."""

    def __init__(self, client: IsmClient, inventory: Inventory) -> None:
        self._client = client
        self._inventory = inventory

    # -- link ----------------------------------------------------------

    def ensure(self, source: LdName, snapshot: LdName,
               undo: Undo) -> LdName:
        """Let an LV show a snapshot, to be read only; return its name.

        Precondition: the snapshot has its data.
        Re-entry: an LV that is there and linked stays as it is.
        Undo: pushed to ``undo``; what was there before is not undone.
        Crash leaves: the LV, perhaps not linked; :meth:`remove` takes it.

        :raises errors.UnexpectedState: the snapshot has no data
        :raises errors.InUse: somebody else's LV is linked to it
        """
        status = self._client.sc_query(source.label, snapshot.label)
        if status.state is not SnapState.ACTIVE:
            raise errors.UnexpectedState(
                f'Logical Disk ({snapshot}) is invalid snapshot.',
                wanted=SnapState.ACTIVE.value, actual=status.state.value,
                hint='Was the snapshot reserve area exhausted?')
        name = link_name(source, snapshot)
        is_new = self._bind(source, name, undo)
        if not status.linked:
            self._link(source, snapshot, name, undo)
        elif is_new:
            raise errors.InUse(
                f'Snapshot `{snapshot}` of `{source}` is linked to another '
                f'link volume than `{name}`.',
                'Unlink that one on the array first.')
        return name

    def _bind(self, source: LdName, name: LdName, undo: Undo) -> bool:
        """See that there is an LV; tell whether it was bound here."""
        if self._inventory.current().find_ld(name) is not None:
            return False
        for _ in range(_BIND_TRIES):
            with self._inventory.free_ldn() as ldn:
                if not self._try_bind(source, ldn, name):
                    if self._inventory.current().find_ld(name) is None:
                        continue
                    return False
                bv = self._inventory.current().get_ld(source)
                self._inventory.record(changes.bound(LogicalDisk(
                    ldn, name, bv.pool, bv.capacity_bytes,
                    frozenset({RplAttribute.LV}))))
            undo.push(f'{name}: iSMcfg lvunbind -ldname {name}',
                      lambda: self._unbind(name))
            return True
        raise errors.NoCapacity(
            f'No LD number could be had in {_BIND_TRIES} tries.',
            'Another program binds logical disks at the same time; try '
            'again.')

    def _try_bind(self, source: LdName, ldn: int, name: LdName) -> bool:
        """Bind with a reserved LDN; False: look again and try anew."""
        try:
            self._client.lvbind(source, ldn, name.label)
        except (errors.CommandFailed, errors.OutcomeUnknown) as error:
            config = self._inventory.refresh()
            found = config.find_ld(name)
            if found is not None:
                return found.ldn == ldn
            if (isinstance(error, errors.CommandFailed)
                    and ldn not in config.logical_disks):
                raise
            LOG.info('`%s` was not bound as LD %d: %s', name, ldn, error)
            return False
        return True

    def _link(self, source: LdName, snapshot: LdName, name: LdName,
              undo: Undo) -> None:
        carry_out(
            lambda: self._client.sc_link(name.label, snapshot.label,
                                         VolumeAccess.READ_ONLY),
            happened=lambda: self._is_linked(source, snapshot))
        undo.push(f'the link of {name}: iSMsc_unlink -lv {name.label} '
                  '-lvflg ld', lambda: self._unlink(source, snapshot, name))

    def _is_linked(self, source: LdName, snapshot: LdName) -> bool:
        status = self._find(source, snapshot)
        return status is not None and status.linked

    def _find(self, source: LdName, snapshot: LdName) -> SnapStatus | None:
        try:
            return self._client.sc_query(source.label, snapshot.label)
        except errors.CommandFailed as error:
            LOG.debug('%s of %s is gone: %s', snapshot, source, error)
            return None

    # -- unlink --------------------------------------------------------

    def find(self, source: LdName, snapshot: LdName) -> LogicalDisk | None:
        """Return the LV of a snapshot; reads before it says None."""
        name = link_name(source, snapshot)
        ld = self._inventory.current().find_ld(name)
        return ld or self._inventory.refresh().find_ld(name)

    def is_known(self, source: LdName, snapshot: LdName) -> bool:
        """Tell, without asking the array, whether there is an LV."""
        name = link_name(source, snapshot)
        return self._inventory.current().find_ld(name) is not None

    def remove(self, source: LdName, snapshot: LdName) -> None:
        """Unlink and unbind the LV of a snapshot.

        Precondition: no host sees it.
        Re-entry: an LV that is not linked, or gone, is a success.
        Undo: nothing to undo.
        Crash leaves: the LV without its link; a second try removes it.

        :raises errors.CommandFailed: the array refuses it
        """
        ld = self.find(source, snapshot)
        if ld is None:
            LOG.info('Logical Disk `%s` is already unexported.',
                     link_name(source, snapshot))
            return
        self._unlink(source, snapshot, ld.name)
        self._unbind(ld.name)

    def clear(self, source: LdName, snapshot: LdName,
              unmap: Callable[[LogicalDisk], object] | None = None) -> None:
        """Remove the LV that a broken off backup has left.

        :param unmap: takes an LD out of all LD Sets; without it, an LV
            that hosts see stays
        :raises errors.InUse: hosts see the LV, or it is not this driver's
        """
        ld = self._inventory.refresh().find_ld(link_name(source, snapshot))
        sets = () if ld is None else (
            self._inventory.current().mapped_to(ld.ldn))
        if ld is None and not self._is_linked(source, snapshot):
            return
        if ld is None or (sets and unmap is None):
            where = ', '.join(str(s.name) for s in sets) or 'none of ours'
            raise errors.InUse(
                f'Snapshot `{snapshot}` of `{source}` is in use: a link '
                f'volume shows it (LD Set: {where}).',
                'Wait for the backup that uses it, or unlink it on the '
                'array.')
        LOG.warning('`%s` is left of an operation that was broken off; it '
                    'is removed.', ld.name)
        if unmap is not None:
            unmap(ld)
        self.remove(source, snapshot)

    def _unlink(self, source: LdName, snapshot: LdName,
                name: LdName) -> None:
        carry_out(lambda: self._client.sc_unlink(name.label),
                  happened=lambda: not self._is_linked(source, snapshot))

    def _unbind(self, name: LdName) -> None:
        carry_out(lambda: self._client.lvunbind(name),
                  happened=lambda: self._inventory.refresh().find_ld(
                      name) is None)
        ld = self._inventory.current().find_ld(name)
        if ld is not None:
            # A dump does not tell that it is an LV, which takes no room.
            self._inventory.record(
                changes.attributes(ld.ldn, RplAttribute.LV))
            self._inventory.record(changes.unbound(name))
