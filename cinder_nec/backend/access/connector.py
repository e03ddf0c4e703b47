# SPDX-License-Identifier: Apache-2.0
"""Hosts as Cinder describes them, and the options that concern access."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any

from cinder_nec import errors
from cinder_nec.model import InitiatorName, LdSetName, Protocol, Wwpn

_MAX_WWPNS = 64
# Cinder's own client sends words.
_YES = frozenset({'true', '1', 'yes', 'on'})


@dataclasses.dataclass(frozen=True)
class Connector:
    """A host, checked value by value: connectors come from tenants.

    :param host: the host's name, used for comparison only
    """

    initiator: InitiatorName | None
    wwpns: tuple[Wwpn, ...]
    host: str
    multipath: bool

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Connector:
        """Read Cinder's connector dictionary.

        :raises errors.InvalidConnector: a value is not what it should be
        """
        if not isinstance(raw, Mapping):
            raise errors.InvalidConnector(
                'connector', 'The connector is not a dictionary.')
        return cls(_initiator(raw.get('initiator')),
                   _wwpns(raw.get('wwpns')),
                   str(raw.get('host') or '')[:255],
                   str(raw.get('multipath')).lower() in _YES)

    def is_host_of(self, other: Connector, protocol: Protocol) -> bool:
        """Tell whether both are one host to the array.

        A host may have got or lost an HBA meanwhile.
        """
        if protocol is Protocol.FC:
            return not set(self.wwpns).isdisjoint(other.wwpns)
        return (self.initiator is not None
                and self.initiator == other.initiator)


def _initiator(value: object) -> InitiatorName | None:
    if value is None or value == '':
        return None
    try:
        return InitiatorName.parse(value)  # type: ignore[arg-type]
    except errors.InvalidInput as error:
        raise errors.InvalidConnector('initiator', str(error)) from None


def _wwpns(value: object) -> tuple[Wwpn, ...]:
    if not value:
        return ()
    if not isinstance(value, (list, tuple)) or len(value) > _MAX_WWPNS:
        raise errors.InvalidConnector(
            'wwpns', f'wwpns is not a list of at most {_MAX_WWPNS} names.')
    try:
        return tuple(dict.fromkeys(Wwpn.parse(name) for name in value))
    except errors.InvalidInput as error:
        raise errors.InvalidConnector('wwpns', str(error)) from None


@dataclasses.dataclass(frozen=True)
class AccessOptions:
    """The options of ``cinder.conf`` that concern access.

    :param ld_set: ``nec_ldset``, None to choose by the host
    :param controller_ld_set: ``nec_ldset_for_controller_node``
    :param controller_hosts: names this controller node goes by
    :param automatic: ``nec_auto_accesscontrol``
    :param portals_per_controller: ``nec_iscsi_portals_per_cont``
    """

    ld_set: LdSetName | None = None
    controller_ld_set: LdSetName | None = None
    controller_hosts: frozenset[str] = frozenset()
    automatic: bool = True
    portals_per_controller: int = 1
