# SPDX-License-Identifier: Apache-2.0
"""The LD Sets of hosts: which one a host uses, and making it."""

from __future__ import annotations

import abc
import logging

from cinder_nec import errors, naming
from cinder_nec.backend.access.connector import AccessOptions, Connector
from cinder_nec.backend.claims import Claims
from cinder_nec.backend.inventory import Inventory
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.model import (
    DEFAULT_PLATFORM,
    ArrayConfig,
    LdSet,
    LdSetName,
    Protocol,
)

LOG = logging.getLogger(__name__)

# What no LD has as its number.
_NO_LDN = -1


class HostLdSets(abc.ABC):
    """LD Sets by the names of a host in one protocol."""

    protocol: Protocol

    def __init__(self, client: IsmClient, inventory: Inventory,
                 claims: Claims, options: AccessOptions) -> None:
        self._client = client.urgent()
        self._inventory = inventory
        self._claims = claims
        self._options = options

    # -- what the protocols differ in ----------------------------------

    @abc.abstractmethod
    def check(self, connector: Connector) -> None:
        """:raises errors.InvalidConnector: the protocol needs more"""

    @abc.abstractmethod
    def _identifier(self, connector: Connector) -> str:
        """Return what an LD Set of the host is named after."""

    @abc.abstractmethod
    def _admits(self, ld_set: LdSet, connector: Connector) -> bool:
        """Tell whether a host may use an LD Set as it is."""

    @abc.abstractmethod
    def _names_in(self, ld_set: LdSet, connector: Connector) -> int:
        """Return how many of a host's names an LD Set lists."""

    @abc.abstractmethod
    def _is_vacant(self, ld_set: LdSet) -> bool:
        """Tell whether an LD Set admits nobody yet."""

    @abc.abstractmethod
    def _create_ld_set(self, name: LdSetName) -> None:
        """Create an LD Set that admits nobody yet."""

    @abc.abstractmethod
    def _admit(self, ld_set: LdSet, connector: Connector) -> LdSet:
        """Let a host use an LD Set; return the LD Set as it is then."""

    # -- the LD Set of a host ------------------------------------------

    def ensure_ld_set(self, connector: Connector, ldn: int) -> LdSet:
        """Return the LD Set through which a host is to see an LD.

        One that is missing is created, unless that is the operator's
        business.
        """
        ld_set = self._find_ld_set(self._inventory.current(), connector,
                                   ldn)
        if ld_set is not None and self._admits(ld_set, connector):
            return ld_set
        # Hosts whose names end alike would get LD Sets of one name.
        with self._claims.of(('new LD Set', self._labels(connector)[0])):
            config = self._inventory.current()
            try:
                return self._find_or_make_ld_set(config, connector, ldn)
            except (errors.CommandFailed, errors.NotFound) as error:
                # An operator or a peer may have made one meanwhile.
                LOG.info('Looking for the LD Set of host %.80r once more: '
                         '%s', connector.host, error)
                config = self._inventory.refresh()
                return self._find_or_make_ld_set(config, connector, ldn)

    def _find_or_make_ld_set(self, config: ArrayConfig,
                             connector: Connector, ldn: int) -> LdSet:
        ld_set = self._find_ld_set(config, connector, ldn)
        if ld_set is None:
            ld_set = self._new_ld_set(config, connector)
        if self._admits(ld_set, connector):
            return ld_set
        return self._admit(ld_set, connector)

    def _find_ld_set(self, config: ArrayConfig, connector: Connector,
                     ldn: int) -> LdSet | None:
        """Return the LD Set through which a host is to see an LD.

        The configured one, or one of its own: where the LD is already,
        else the one that lists most of the host's names.
        """
        name = self._configured(connector)
        if name is not None:
            found = config.ld_sets.get(name)
            return found if self._fits(found) else None
        return min(self._ld_sets_of(config, connector), default=None,
                   key=lambda s: (ldn not in s.mappings,
                                  -self._names_in(s, connector), s.name))

    def _ld_sets_of(self, config: ArrayConfig,
                    connector: Connector) -> list[LdSet]:
        """Return the LD Sets that list a host."""
        return [s for s in config.ld_sets.values()
                if self._fits(s) and self._names_in(s, connector)]

    def ld_sets_for(self, connector: Connector) -> list[LdSetName]:
        """Return the LD Sets that are known to be a host's."""
        config = self._inventory.current()
        names = [s.name for s in self._ld_sets_of(config, connector)]
        configured = self._configured(connector)
        if configured is not None and configured not in names:
            names.append(configured)
        return names

    def _fits(self, ld_set: LdSet | None) -> bool:
        return ld_set is not None and ld_set.protocol is self.protocol

    def _configured(self, connector: Connector) -> LdSetName | None:
        if (self._options.controller_ld_set is not None
                and connector.host in self._options.controller_hosts):
            return self._options.controller_ld_set
        return self._options.ld_set

    def planned(self, connector: Connector) -> tuple[LdSetName, bool]:
        """Return the LD Set a host would get, and whether it is there.

        Nothing is changed.

        :raises errors.NotFound: it would get none
        """
        self.check(connector)
        config = self._inventory.current()
        found = self._find_ld_set(config, connector, _NO_LDN)
        if found is None:
            return self._name_for_new(config, connector), False
        if (self._configured(connector) == found.name
                and not self._admits(found, connector)):
            raise errors.NotFound(
                f'LD Set `{found.name}` lists no name of host '
                f'{connector.host!r:.80}.', 'Register them on the array.')
        return found.name, True

    def _new_ld_set(self, config: ArrayConfig,
                    connector: Connector) -> LdSet:
        name = self._name_for_new(config, connector)
        if name not in config.ld_sets:
            self._create_ld_set(name)
            config = self._inventory.current()
        found = config.ld_sets.get(name)
        if found is not None and self._fits(found) and (
                self._is_vacant(found) or self._names_in(found, connector)):
            return found
        raise errors.NotFound(
            f'LD Set `{name}` was made for another host at the same time.',
            'Try again.')

    def _name_for_new(self, config: ArrayConfig,
                      connector: Connector) -> LdSetName:
        """Return a name that is free, or of an LD Set that is nobody's."""
        configured = self._configured(connector)
        if configured is not None:
            raise errors.NotFound(
                f'LD Set `{configured}` not found.',
                'Create it on the array, or correct nec_ldset (or '
                'nec_ldset_for_controller_node) in cinder.conf.')
        if not self._options.automatic:
            raise errors.NotFound(
                'Logical Disk Set could not be found.',
                'Create an LD Set with the '
                f'{self.protocol.value} names of host '
                f'{connector.host!r:.80} on the array, or set '
                'nec_auto_accesscontrol = True.')
        for label in self._labels(connector):
            name = LdSetName(DEFAULT_PLATFORM, label)
            known = config.ld_sets.get(name)
            if known is None or self._fits(known) and self._is_vacant(known):
                return name
        raise errors.NotFound(
            f'No LD Set can be made for host {connector.host!r:.80}: the '
            'names it could have are taken.',
            'Create an LD Set for the host on the array by hand.')

    def _labels(self, connector: Connector) -> tuple[str, ...]:
        return naming.ld_set_name_candidates(self._identifier(connector))

    def _exists(self, name: LdSetName) -> bool:
        return name in self._inventory.refresh().ld_sets
