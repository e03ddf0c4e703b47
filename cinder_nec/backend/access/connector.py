# SPDX-License-Identifier: Apache-2.0
"""Hosts as Cinder describes them, and the options that concern access."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import re
from typing import Any

from cinder_nec import errors
from cinder_nec.model import InitiatorName, LdSetName, Protocol, Wwpn
from cinder_nec.models import MAX_WWPNS_PER_LD_SET

# What the log shows of a connector; other values may be secrets.
_SHOWN = ('host', 'ip', 'initiator', 'wwpns', 'multipath')
_SHOWN_CHARACTERS = 80
_SHOWN_NAMES = 8
_PLAIN = re.compile(r'[0-9A-Za-z][0-9A-Za-z_.:-]*')
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
    if not isinstance(value, (list, tuple)) or (
            len(value) > MAX_WWPNS_PER_LD_SET):
        raise errors.InvalidConnector(
            'wwpns', 'wwpns is not a list of at most '
            f'{MAX_WWPNS_PER_LD_SET} names.')
    try:
        return tuple(dict.fromkeys(Wwpn.parse(name) for name in value))
    except errors.InvalidInput as error:
        raise errors.InvalidConnector('wwpns', str(error)) from None


def describe(raw: object) -> str:
    """Return a connector for the log: one short line without secrets."""
    if not isinstance(raw, Mapping):
        return 'all hosts' if not raw else _shown(raw)
    return '{' + ', '.join(f"'{key}': {_shown(raw[key])}"
                           for key in _SHOWN if key in raw) + '}'


def describe_names(raw: object, protocol: Protocol) -> str:
    """Return how the array knows a host, for the log (appendix D)."""
    values = raw if isinstance(raw, Mapping) else {}
    if protocol is Protocol.ISCSI:
        return f'Initiator Name = {_shown(values.get("initiator"))}'
    return f'Initiator WWPNs = {_shown(values.get("wwpns"))}'


def _shown(value: object) -> str:
    """Return a value with nothing in it that could start a line.

    A name that is one stands for itself, all else is put in quotes.
    """
    if isinstance(value, (list, tuple)):
        more = ['...'] if len(value) > _SHOWN_NAMES else []
        return '[' + ', '.join([*(
            _shown(name) if isinstance(name, str) else _kind(name)
            for name in value[:_SHOWN_NAMES]), *more]) + ']'
    if not isinstance(value, str):
        return _kind(value)
    if len(value) > _SHOWN_CHARACTERS:
        value = value[:_SHOWN_CHARACTERS] + '...'
    return value if _PLAIN.fullmatch(value) else repr(value)


def _kind(value: object) -> str:
    if value is None or isinstance(value, bool):
        return str(value)
    return f'<{type(value).__name__}>'


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
