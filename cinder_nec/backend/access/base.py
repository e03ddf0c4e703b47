# SPDX-License-Identifier: Apache-2.0
"""What both access protocols share: map and unmap."""

from __future__ import annotations

import abc
from collections.abc import Callable, Hashable, Iterator, Sequence
import contextlib
import logging
from typing import Any

from cinder_nec import errors
from cinder_nec.backend import changes, placement
from cinder_nec.backend.access.attachments import (
    Attachments,
    Records,
    Use,
    Users,
)
from cinder_nec.backend.access.connector import AccessOptions, Connector
from cinder_nec.backend.access.ld_sets import HostLdSets
from cinder_nec.backend.claims import Claims
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.journal import Entry, Kind
from cinder_nec.backend.outcome import carry_out
from cinder_nec.backend.undo import Undo
from cinder_nec.backend.volumes import Volumes
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.model import (
    ArrayConfig,
    LdMapping,
    LdName,
    LdSet,
    LdSetName,
    LogicalDisk,
    TargetMode,
)

LOG = logging.getLogger(__name__)

_MAP_TRIES = 8
# The greatest LUN that every way of addressing knows.
_MAX_PLAIN_LUN = 255
# os-brick's word (os_brick.constants) for LUNs below 256 as they are and
# greater ones in flat space addressing.
_ADDRESSING_MODE = 'SAM2'


class AccessProtocol(HostLdSets):
    """Mapping LDs to hosts over one protocol."""

    # What Cinder and os-brick call the protocol.
    volume_type: str

    def __init__(self, client: IsmClient, inventory: Inventory,
                 volumes: Volumes, claims: Claims,
                 options: AccessOptions) -> None:
        super().__init__(client, inventory, claims, options)
        self._volumes = volumes
        self._journal = volumes.journal
        self._attachments = Attachments(self.protocol)

    # -- what the protocols differ in ----------------------------------

    @abc.abstractmethod
    def _connection(self, config: ArrayConfig, ld_set: LdSet,
                    ld: LogicalDisk, mapping: LdMapping,
                    connector: Connector) -> dict[str, Any]:
        """Return Cinder's connection information."""

    # -- attach --------------------------------------------------------

    def attach(self, name: LdName, connector: Connector,
               connected: Callable[[dict[str, Any]], object] = lambda _: None,
               *, records: Callable[[], Records] | None = None
               ) -> dict[str, Any]:
        """Show an LD to a host and tell how the host reaches it.

        ``connected`` is given the answer first; when it fails, a mapping
        that was made here is taken back.

        :param records: reads the attachments Cinder has of the volume;
            None where Cinder has none that tells of this host

        Precondition: the LD exists.
        Re-entry: an LD that the host sees already stays where it is.
        Undo: the mapping, if it was made here.  An LD Set that was created
        for the host stays: its next attach uses it.
        Crash leaves: perhaps an LD Set without LDs, which the host's next
        attach uses, or the mapping: the next start takes it out when the
        journal has it and no attachment of Cinder's does; where that is not
        certain then, the stats look again.

        :raises errors.NotFound: no such LD, or no LD Set for the host
        :raises errors.NoCapacity: no LUN is free
        """
        self.check(connector)
        for _ in range(_MAP_TRIES):
            ld = self._volumes.get(name)
            ld_set = self.ensure_ld_set(connector, ld.ldn)
            with self._claims.of(_mapping(name, ld_set)), Undo() as undo:
                mapping = self._map(ld, ld_set, undo)
                if mapping is not None:
                    info = self._answer(ld, ld_set, mapping, connector)
                    connected(info)
                    if records is None:
                        # From now on a host may use it.
                        self._journal.end_map(ld.name, ld_set.name)
                    else:
                        self._attachments.answered(name, records(),
                                                   connector)
                    return info
        raise errors.NoCapacity(
            f'Logical Disk `{name}` could not be put in an LD Set in '
            f'{_MAP_TRIES} tries.',
            'Another program changes the LD Sets at the same time; try '
            'again.')

    def _answer(self, ld: LogicalDisk, ld_set: LdSet, mapping: LdMapping,
                connector: Connector) -> dict[str, Any]:
        config = self._inventory.current()
        info = self._connection(
            config, config.ld_sets.get(ld_set.name, ld_set), ld, mapping,
            connector)
        if mapping.lun > _MAX_PLAIN_LUN:
            info['data']['addressing_mode'] = _ADDRESSING_MODE
        return info

    def _map(self, ld: LogicalDisk, ld_set: LdSet,
             undo: Undo) -> LdMapping | None:
        """Put an LD in an LD Set; None if things were not as known."""
        if ld_set.target_mode is TargetMode.MULTI_TARGET:
            return self._map_multi_target(ld, ld_set, undo)
        known = ld_set.mappings.get(ld.ldn)
        if known is not None:
            return self._map_at(ld, ld_set, known.lun, undo)
        with self._inventory.reservations.lun(ld_set) as lun:
            return self._map_at(ld, ld_set, lun, undo)

    def _map_at(self, ld: LogicalDisk, ld_set: LdSet, lun: int,
                undo: Undo) -> LdMapping | None:
        try:
            self._add(ld, ld_set, lun)
        except (errors.CommandFailed, errors.OutcomeUnknown) as error:
            return self._found_after(error, ld, ld_set)
        self._push_unmap(ld, ld_set, undo)
        mapping = LdMapping(ld.ldn, lun)
        self._inventory.record(changes.mapped(ld_set.name, mapping))
        return mapping

    def _add(self, ld: LogicalDisk, ld_set: LdSet,
             lun: int | None = None) -> None:
        """Put an LD in an LD Set; the journal knows that it was us."""
        entry = _entry(ld, ld_set)
        is_new = self._journal.begin(entry)
        try:
            self._client.addldsetld(ld_set.name, ld.name, lun)
        except errors.OutcomeUnknown:
            raise
        except errors.NecError:
            if is_new:
                self._journal.end(entry)
            raise

    def _push_unmap(self, ld: LogicalDisk, ld_set: LdSet,
                    undo: Undo) -> None:
        undo.push(f'{ld.name} in LD Set {ld_set.name}: iSMcfg delldsetld '
                  f'-ldset {ld_set.name} -ldname {ld.name}',
                  lambda: self._undo_map(ld, ld_set))

    def _undo_map(self, ld: LogicalDisk, ld_set: LdSet) -> None:
        with self._journal.taking_back(_entry(ld, ld_set)):
            self._unmap(ld, ld_set)

    def _map_multi_target(self, ld: LogicalDisk, ld_set: LdSet,
                          undo: Undo) -> LdMapping | None:
        """The array gives the LD a target of its own; read which.

        The mapping is read even when it was known: another service may
        have taken the LD out and put it back under another target.
        """
        try:
            self._add(ld, ld_set)
        except (errors.CommandFailed, errors.OutcomeUnknown) as error:
            return self._found_after(error, ld, ld_set)
        self._push_unmap(ld, ld_set, undo)
        return self._read_mapping(ld, ld_set, self._inventory.mark())

    def _read_mapping(self, ld: LogicalDisk, ld_set: LdSet,
                      after: int) -> LdMapping | None:
        config = self._inventory.refresh(after)
        found = config.ld_sets.get(ld_set.name)
        return None if found is None else found.mappings.get(ld.ldn)

    def _found_after(self, error: errors.NecError, ld: LogicalDisk,
                     ld_set: LdSet) -> LdMapping | None:
        """Look what is true after a mapping was refused or lost."""
        mapping = self._read_mapping(ld, ld_set, self._inventory.mark())
        if mapping is not None:
            LOG.info('`%s` is in LD Set `%s` already.', ld.name,
                     ld_set.name)
            return mapping
        config = self._inventory.current()
        found = config.find_ld(ld.name)
        known = config.ld_sets.get(ld_set.name)
        as_known = (found is not None and found.ldn == ld.ldn
                    and known is not None
                    and known.luns() <= ld_set.luns())
        if isinstance(error, errors.AlreadyMapped):
            # A peer has taken it out since.
            return None
        if as_known and isinstance(error, errors.CommandFailed):
            placement.check_not_full(config, ld_set.name, error)
            raise error
        return None

    # -- detach --------------------------------------------------------

    @contextlib.contextmanager
    def detaching(self, name: LdName, connector: Connector,
                  records: Callable[[], Records] = dict
                  ) -> Iterator[list[LdSetName]]:
        """Take an LD away from a host; yield the LD Sets it was in.

        It stays where another attachment of the same volume uses the same
        LD Set.  The attachment has ended when the block, which does the
        rest, has.

        :param records: reads the attachments Cinder has of the volume

        Precondition: none.
        Re-entry: an LD that the host does not see is a success.
        Undo: nothing to undo.
        Crash leaves: the mapping or not.
        """
        ld = self._volumes.find(name)
        if ld is None:
            LOG.info('Logical Disk `%s` has unbound already.', name)
            yield []
            return
        ld_sets = sorted(self._find_ld_sets_to_leave(connector, ld.ldn),
                         key=lambda s: s.name)
        if not ld_sets:
            LOG.info('Host %.80r has no LD Set; nothing to detach.',
                     connector.host)
        with contextlib.ExitStack() as claims:
            for ld_set in ld_sets:
                claims.enter_context(self._claims.of(_mapping(name, ld_set)))
            known = records()
            others = self._attachments.others(name, known, connector)
            yield self._leave(ld, ld_sets, others)
            self._attachments.ended(name, known, connector)

    def _leave(self, ld: LogicalDisk, ld_sets: Sequence[LdSet],
               others: Sequence[Connector]) -> list[LdSetName]:
        """Take an LD out of the LD Sets that none of the others uses."""
        config = self._inventory.current()
        shared = {s.name for other in others
                  for s in self._ld_sets_showing(config, other, ld.ldn)}
        left = []
        for ld_set in ld_sets:
            if ld_set.name in shared:
                LOG.info('`%s` stays in LD Set `%s` for another '
                         'attachment.', ld.name, ld_set.name)
                continue
            self._unmap(ld, ld_set)
            left.append(ld_set.name)
        return left

    def detach(self, name: LdName, connector: Connector,
               records: Callable[[], Records] = dict) -> list[LdSetName]:
        """See :meth:`detaching`; there is no rest to do."""
        with self.detaching(name, connector, records) as left:
            return left

    def detach_all(self, name: LdName) -> list[LdSetName]:
        """Take an LD away from all hosts (forced detach).

        The array is read first: what other services mapped counts too.
        Returns the LD Sets it was in.
        """
        ld = self._inventory.refresh().find_ld(name)
        if ld is None:
            LOG.info('Logical Disk `%s` has unbound already.', name)
            return []
        ld_sets = self._inventory.current().mapped_to(ld.ldn)
        for ld_set in ld_sets:
            self._unmap(ld, ld_set)
        return [ld_set.name for ld_set in ld_sets]

    def take_back(self, ld: LogicalDisk, ld_set: LdSet,
                  users: Callable[[], Users]) -> Use:
        """Take an LD out of an LD Set that nobody uses it through.

        An attach of a peer that begins meanwhile waits, and finds the LD
        unmapped then; it has a record without a connector before.

        :param users: reads who uses the LD
        """
        if (use := self._use_of(ld, ld_set, users())) is not Use.UNUSED:
            return use
        with self._claims.of(_mapping(ld.name, ld_set)):
            if (use := self._use_of(ld, ld_set, users())) is Use.UNUSED:
                self._unmap(ld, ld_set)
            return use

    def _use_of(self, ld: LogicalDisk, ld_set: LdSet, users: Users) -> Use:
        config = self._inventory.current()
        if any(ld_set.name in (s.name for s in self._ld_sets_showing(
                config, host, ld.ldn)) for host in users.hosts):
            return Use.USED
        return Use.UNSURE if users.may_be_more else Use.UNUSED

    def ended(self, ld_sets: Sequence[LdSetName],
              connector: Connector | None = None) -> dict[str, Any]:
        """Tell what a detach ended, in the form of an attach's answer.

        :param ld_sets: what the detach returned
        :param connector: the host, None for a forced detach
        """
        return {'driver_volume_type': self.volume_type, 'data': {}}

    def _find_ld_sets_to_leave(self, connector: Connector,
                               ldn: int) -> list[LdSet]:
        for config in self._known_then_read():
            found = self._ld_sets_showing(config, connector, ldn)
            if found:
                return found
        return []

    def _ld_sets_showing(self, config: ArrayConfig, connector: Connector,
                         ldn: int) -> list[LdSet]:
        """Return where a host sees an LD, else where it would.

        An LD Set that was configured when the LD was attached may be
        another one than now, and need not list any host (full access).
        """
        usual = self._find_ld_set(config, connector, ldn)
        listed = self._ld_sets_of(config, connector)
        if usual is not None and usual not in listed:
            listed.append(usual)
        showing = [s for s in listed if ldn in s.mappings] or [
            s for s in config.mapped_to(ldn)
            if self._fits(s) and not (s.initiators or s.paths)]
        return showing or ([] if usual is None else [usual])

    def _known_then_read(self) -> Iterator[ArrayConfig]:
        yield self._inventory.current()
        yield self._inventory.refresh()

    def _unmap(self, ld: LogicalDisk, ld_set: LdSet) -> None:
        def gone() -> bool:
            config = self._inventory.refresh()
            found = config.ld_sets.get(ld_set.name)
            return found is None or ld.ldn not in found.mappings

        def delete() -> None:
            try:
                self._client.delldsetld(ld_set.name, ld.name)
            except errors.NotMapped:
                LOG.info('`%s` was not in LD Set `%s`.', ld.name,
                         ld_set.name)

        carry_out(delete, happened=gone)
        mapping = ld_set.mappings.get(ld.ldn)
        if mapping is not None:
            self._inventory.reservations.release_lun(
                ld_set.name, mapping.lun)
        self._inventory.record(changes.unmapped(ld_set.name, ld.ldn))
        self._journal.end_map(ld.name, ld_set.name)


def _entry(ld: LogicalDisk, ld_set: LdSet) -> Entry:
    return Entry(Kind.MAP, ld.ldn, ld.name, ld_set=ld_set.name)


def _mapping(name: LdName, ld_set: LdSet) -> Hashable:
    """What attach and detach of one LD through one LD Set claim."""
    return 'mapping', name, ld_set.name
