# SPDX-License-Identifier: Apache-2.0
"""Control volumes: LUN 0 for hosts that see link volumes.

LUN 0 is reserved for controlling the storage, and an LV cannot take it
(ISMCLI.md F).  Where nothing has it, a control volume is put there before
the first LV of an LD Set, and goes with the last one.  In multi-target
mode each LV has a target of its own, whose LUNs the array chooses.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import logging
import re

from cinder_nec import errors, naming
from cinder_nec.backend import changes
from cinder_nec.backend.claims import Claims
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.journal import Entry, Kind
from cinder_nec.backend.outcome import carry_out
from cinder_nec.backend.undo import Undo
from cinder_nec.backend.volumes import Volumes, unnamed
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.model import (
    ArrayConfig,
    LdMapping,
    LdName,
    LdSet,
    LdSetName,
    LogicalDisk,
    RplAttribute,
    TargetMode,
)

LOG = logging.getLogger(__name__)

_BIND_TRIES = 16
_LUN = 0


class ControlVolumes:
    """One control volume for each LD Set that needs one.

    :param name_format: ``nec_cv_ldname_format``, ``%x`` for the LDN
    """

    def __init__(self, client: IsmClient, inventory: Inventory,
                 volumes: Volumes, claims: Claims,
                 name_format: str) -> None:
        self._client = client.urgent()
        self._inventory = inventory
        self._volumes = volumes
        self._claims = claims
        self._name_format = name_format
        # Out of their LD Set perhaps, but not unbound yet.
        self._going: dict[LdSetName, LogicalDisk] = {}
        before, _, after = name_format.partition('%x')
        self._name = re.compile(re.escape(before) + '[0-9a-f]{1,4}'
                                + re.escape(after))

    @contextlib.contextmanager
    def steady(self, ld_set: LdSetName) -> Iterator[None]:
        """LUN 0 of an LD Set does not come or go during the block."""
        with self._claims.of(('LUN 0', ld_set)):
            yield

    # -- before the first LV -------------------------------------------

    def ensure(self, ld_set: LdSet, pool: int, undo: Undo) -> None:
        """See that something is on LUN 0 of an LD Set.

        Precondition: :meth:`steady`.
        Re-entry: whatever has LUN 0 stays there.
        Undo: pushed to ``undo``.
        Crash leaves: a control volume, perhaps without a name or in no
        LD Set; the journal has its number, and the next start unbinds it
        (:mod:`cinder_nec.backend.recovery`).
        """
        if (ld_set.target_mode is TargetMode.MULTI_TARGET
                or self._control_in(self._inventory.current(), ld_set)):
            return
        # A volume may have left LUN 0 by another service.
        ld_set = self._inventory.refresh().ld_sets.get(ld_set.name, ld_set)
        if _LUN in ld_set.luns():
            return
        ld = self._bind(pool)
        undo.push(f'{ld.name}: iSMcfg ldunbind -ldname {ld.name}',
                  lambda: self._unbind(ld))
        if not self._map(ld, ld_set):
            self._unbind(ld)

    def _unbind(self, ld: LogicalDisk) -> None:
        self._volumes.unbind(ld.name)
        self._volumes.journal.end_control(ld.ldn)

    def _bind(self, pool: int) -> LogicalDisk:
        for _ in range(_BIND_TRIES):
            with self._inventory.free_ldn() as ldn:
                ld = LogicalDisk(ldn, unnamed(ldn), pool, 0,
                                 frozenset({RplAttribute.NOT_USABLE}))
                if not self._try_bind(ld):
                    continue
                self._inventory.record(changes.bound(ld))
            try:
                return self._volumes.name_new(ld, self.name_of(ldn))
            except errors.RollbackFailed:
                # It is there without a name; it is looked at again later.
                self._volumes.journal.leave(self._entry(ld))
                raise
            except errors.NecError:
                self._volumes.journal.end_control(ldn)
                raise
        raise errors.NoCapacity(
            f'No LD number could be had in {_BIND_TRIES} tries.',
            'Another program binds logical disks at the same time; try '
            'again.')

    def _try_bind(self, ld: LogicalDisk) -> bool:
        """Bind with a reserved LDN; False: look again and choose anew.

        The journal keeps the number until it is unbound.
        """
        entry = self._entry(ld)
        self._volumes.journal.begin(entry)
        try:
            self._client.ldbind_control_volume(ld.pool, ld.ldn)
        except errors.OutcomeUnknown as error:
            LOG.warning('It is not known whether LD %d was bound; reading '
                        'the array again: %s', ld.ldn, error)
            if not self._volumes.stays_nameless(
                    ld, lambda found: found.has(RplAttribute.NOT_USABLE)):
                self._volumes.journal.end(entry)
                return False
        except errors.NecError as error:
            self._volumes.journal.end(entry)
            if not isinstance(error, errors.LdnInUse):
                raise
            self._inventory.refresh()
            return False
        return True

    def _entry(self, ld: LogicalDisk) -> Entry:
        return Entry(Kind.CONTROL, ld.ldn, self.name_of(ld.ldn), ld.pool)

    def name_of(self, ldn: int) -> LdName:
        """Return what the control volume of a number is called."""
        platform, _, label = (self._name_format % ldn).partition(':')
        return LdName(platform, label)

    def _map(self, ld: LogicalDisk, ld_set: LdSet) -> bool:
        """Put a control volume on LUN 0; False if it is taken now."""
        def found() -> LdSet | None:
            return self._inventory.refresh().ld_sets.get(ld_set.name)

        def mapped() -> bool:
            now = found()
            return now is not None and ld.ldn in now.mappings

        try:
            carry_out(lambda: self._client.addldsetld(
                ld_set.name, ld.name, _LUN), happened=mapped)
        except errors.CommandFailed:
            now = self._inventory.current().ld_sets.get(ld_set.name)
            if now is not None and _LUN in now.luns():
                return False
            raise
        self._inventory.record(changes.mapped(
            ld_set.name, LdMapping(ld.ldn, _LUN)))
        return True

    # -- after the last LV ---------------------------------------------

    def remove_idle(self, ld_set: LdSetName) -> None:
        """Remove the control volume of an LD Set that has no LV any more.

        Precondition: :meth:`steady`.
        Re-entry: one that is gone already is a success.
        Undo: nothing to undo.
        Crash leaves: the control volume in the LD Set, or in none; the
        next start unbinds it if this service has bound it.
        """
        if self._idle(self._inventory.current(), ld_set) is not None:
            # Another service may have mapped an LV.
            ld = self._idle(self._inventory.refresh(), ld_set)
            if ld is not None:
                LOG.info('`%s` is not needed in LD Set `%s` any more.',
                         ld.name, ld_set)
                self._going[ld_set] = ld
        going = self._going.get(ld_set)
        if going is not None:
            self._unbind(going)
            del self._going[ld_set]

    def is_idle(self, ld: LogicalDisk) -> bool:
        """Tell whether a control volume of this service has no use."""
        config = self._inventory.refresh()
        sets = config.mapped_to(ld.ldn)
        return all(self._idle(config, s.name) is not None for s in sets)

    def _idle(self, config: ArrayConfig,
              name: LdSetName) -> LogicalDisk | None:
        """Return the control volume of an LD Set without LVs."""
        ld_set = config.ld_sets.get(name)
        if ld_set is None:
            return None
        disks = [config.logical_disks[ldn] for ldn in ld_set.mappings
                 if ldn in config.logical_disks]
        if any(ld.has(RplAttribute.LV)
               or ld.name.label.endswith(naming.SUFFIX_LINK)
               for ld in disks):
            return None
        control = self._control_in(config, ld_set)
        if control is None or len(config.mapped_to(control.ldn)) > 1:
            return None
        return control

    def _control_in(self, config: ArrayConfig,
                    ld_set: LdSet) -> LogicalDisk | None:
        """Return what of this kind is on LUN 0; others' are not."""
        for mapping in ld_set.mappings.values():
            ld = config.logical_disks.get(mapping.ldn)
            if (mapping.lun == _LUN and ld is not None
                    and self._name.fullmatch(str(ld.name))):
                return ld
        return None
