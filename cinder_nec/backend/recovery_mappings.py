# SPDX-License-Identifier: Apache-2.0
"""Mappings that this service has made and no attachment of Cinder's knows.

The journal proves who made them, Cinder's records tell who uses them.  What
is not certain, as while a volume is being copied, is looked at again with
the next stats.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
import functools
import logging

from cinder_nec import naming
from cinder_nec.backend.access.attachments import Use, Users
from cinder_nec.backend.access.base import AccessProtocol
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.journal import Entry, Journal, Kind, Left
from cinder_nec.model import ArrayConfig, LdName

LOG = logging.getLogger(__name__)

UsersOf = Callable[[LdName], Users]
Each = Callable[[str, Callable[[], object]], None]


class LeftMappings:
    """Takes out of LD Sets what was put there for nobody.

    :param late_seconds: so long the array may take to carry out what a
        service has asked for that was killed then
    """

    def __init__(self, inventory: Inventory, journal: Journal,
                 access: AccessProtocol, each: Each,
                 late_seconds: float) -> None:
        self._inventory = inventory
        self._journal = journal
        self._access = access
        self._each = each
        self._late_seconds = late_seconds
        # Of mappings that are used; a detach will end them.
        self._used: set[str] = set()

    def start(self, users: Mapping[LdName, Users],
              hidden: Collection[LdName]) -> None:
        """Look at all mappings of the last run.

        :param users: of this service's volumes
        :param hidden: snapshots, and LDs that show them; one stays in the
            journal only until its attach answers
        """
        config = self._inventory.current()
        for left in self._journal.left(Kind.MAP):
            name = left.entry.name
            found = Users() if name in hidden else users.get(name)
            if self._is_there(config, left) and found is not None:
                self._end(left.entry, functools.partial(_same, found))

    def go_on(self, users_of: UsersOf) -> None:
        """Look again at those of volumes of which it was not certain.

        :param users_of: reads who uses a volume
        """
        config = self._inventory.current()
        for left in self._journal.left(Kind.MAP, besides=self._used):
            if (self._is_there(config, left)
                    and naming.find_uuid(left.entry.name.label) is not None
                    and not naming.split_suffix(left.entry.name.label)[1]):
                self._end(left.entry, users_of)

    def _is_there(self, config: ArrayConfig, left: Left) -> bool:
        """Tell whether a mapping exists; one that does not is forgotten."""
        if _is_mapped(config, left.entry):
            return True
        if left.age_seconds >= self._late_seconds:
            self._journal.end(left.entry)
        return False

    def _end(self, entry: Entry, users_of: UsersOf) -> None:
        self._each(f'the mapping of `{entry.name}`', functools.partial(
            self._end_one, entry, users_of))

    def _end_one(self, entry: Entry, users_of: UsersOf) -> None:
        assert entry.ld_set is not None
        config = self._inventory.current()
        use = self._access.take_back(
            config.get_ld(entry.name), config.ld_sets[entry.ld_set],
            functools.partial(users_of, entry.name))
        if use is Use.USED:
            self._used.add(entry.key)
        elif use is Use.UNUSED:
            LOG.info('`%s` is not in LD Set `%s` any more: no attachment of '
                     'it is known to Cinder.', entry.name, entry.ld_set)


def _same(users: Users, _name: LdName) -> Users:
    return users


def _is_mapped(config: ArrayConfig, entry: Entry) -> bool:
    ld = config.find_ld(entry.name)
    return ld is not None and any(
        s.name == entry.ld_set for s in config.mapped_to(ld.ldn))
