# SPDX-License-Identifier: Apache-2.0
"""Fibre Channel: LD Sets by WWPN, array ports, the map for the zones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
import logging
import typing
from typing import Any

from cinder_nec import errors
from cinder_nec.backend import changes, placement
from cinder_nec.backend.access.base import AccessProtocol
from cinder_nec.backend.access.connector import AccessOptions, Connector
from cinder_nec.backend.claims import Claims
from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.outcome import carry_out
from cinder_nec.backend.volumes import Volumes
from cinder_nec.ismcli import commands
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.model import (
    ArrayConfig,
    LdMapping,
    LdSet,
    LdSetName,
    LogicalDisk,
    Protocol,
    Wwpn,
)
from cinder_nec.models import MAX_WWPNS_PER_LD_SET

LOG = logging.getLogger(__name__)

Paths = dict[Wwpn, tuple[Wwpn, ...]]


class FabricLookup(typing.Protocol):
    """What Cinder's zone manager knows of the fabrics."""

    def get_device_mapping_from_network(
            self, initiator_list: list[str], target_list: list[str]
    ) -> Mapping[str, Mapping[str, Collection[str]]] | None:
        """Return who of them is logged in, by fabric, under the keys
        ``initiator_port_wwn_list`` and ``target_port_wwn_list``."""


class FcAccess(AccessProtocol):
    """One LUN for all ports; zones are Cinder's zone manager's business.

    An LD Set of ``nec_ldset`` is the operator's: its WWPNs are not
    changed.  Others are completed if ``nec_auto_accesscontrol`` is set, and
    only while they show no LD: a connector is a tenant's word, and whoever
    names a WWPN of a host beside his own would get to see that host's LDs.

    :param fabric: there only where Cinder manages zones
    """

    protocol = Protocol.FC
    volume_type = 'fibre_channel'

    def __init__(self, client: IsmClient, inventory: Inventory,
                 volumes: Volumes, claims: Claims, options: AccessOptions,
                 fabric: FabricLookup | None = None) -> None:
        super().__init__(client, inventory, volumes, claims, options)
        self._fabric = fabric

    def check(self, connector: Connector) -> None:
        if not connector.wwpns:
            raise errors.InvalidConnector(
                'wwpns', 'The connector has no wwpns.',
                'Has the host an HBA, and is its state Online?')

    # -- LD Sets -------------------------------------------------------

    def _identifier(self, connector: Connector) -> str:
        self.check(connector)
        return min(connector.wwpns).digits

    def _admits(self, ld_set: LdSet, connector: Connector) -> bool:
        if self._configured(connector) == ld_set.name:
            return _is_of_ports(ld_set) or bool(
                self._names_in(ld_set, connector))
        return bool(self._names_in(ld_set, connector)) and not (
            self._to_add(ld_set, connector))

    def _names_in(self, ld_set: LdSet, connector: Connector) -> int:
        return len(ld_set.paths.intersection(connector.wwpns))

    def _to_add(self, ld_set: LdSet,
                connector: Connector) -> list[Wwpn]:
        """Return what an LD Set lacks of a host and can take.

        A WWPN that another LD Set lists is left there.
        """
        if ld_set.mappings or not self._options.automatic:
            return []
        missing = set(connector.wwpns) - ld_set.paths
        for other in self._inventory.current().ld_sets.values():
            if other.name != ld_set.name:
                missing -= other.paths
        room = max(0, MAX_WWPNS_PER_LD_SET - len(ld_set.paths))
        return sorted(missing)[:room]

    def _is_vacant(self, ld_set: LdSet) -> bool:
        return not (ld_set.paths or ld_set.port_paths or ld_set.mappings)

    def _create_ld_set(self, name: LdSetName) -> None:
        carry_out(lambda: self._client.addldset_fc(name),
                  happened=lambda: self._exists(name))
        self._inventory.record(changes.ld_set_added(
            LdSet(name, Protocol.FC)))

    def _admit(self, ld_set: LdSet, connector: Connector) -> LdSet:
        if self._configured(connector) == ld_set.name:
            raise errors.NotFound(
                f'LD Set `{ld_set.name}` has no WWPN of host '
                f'{connector.host!r:.80}.',
                'Register them with iSMcfg addldsetpath (manual chapter '
                '3.1), or correct nec_ldset (or '
                'nec_ldset_for_controller_node) in cinder.conf.')
        for wwpn in self._to_add(ld_set, connector):
            ld_set = self._add_path(ld_set, wwpn)
        return ld_set

    def _add_path(self, ld_set: LdSet, wwpn: Wwpn) -> LdSet:
        def added() -> bool:
            found = self._inventory.refresh().ld_sets.get(ld_set.name)
            return found is not None and wwpn in found.paths

        carry_out(lambda: self._client.addldsetpath(ld_set.name, wwpn),
                  happened=added)
        self._inventory.record(changes.path_admitted(ld_set.name, wwpn))
        return self._inventory.current().ld_sets.get(ld_set.name, ld_set)

    # -- the answer to an attach ---------------------------------------

    def _connection(self, config: ArrayConfig, ld_set: LdSet,
                    ld: LogicalDisk, mapping: LdMapping,
                    connector: Connector) -> dict[str, Any]:
        targets = placement.fc_targets(config, ld_set, ld.pool)
        if not targets:
            raise errors.NotFound(
                f'LD Set `{ld_set.name}` has no Fibre Channel ports.',
                'Has the array FC ports, and are those in the Path List '
                'of the LD Set among them?')
        initiators = self._initiators(ld_set, connector)
        paths = self._within_fabrics(
            dict.fromkeys(initiators, targets))
        return {'driver_volume_type': self.volume_type, 'data': {
            'target_discovered': True, 'target_lun': mapping.lun,
            **_path_data(paths, targets)}}

    @staticmethod
    def _initiators(ld_set: LdSet, connector: Connector) -> list[Wwpn]:
        """Return the WWPNs of a host that the LD Set lets in."""
        if _is_of_ports(ld_set):
            return list(connector.wwpns)
        left_out = [w for w in connector.wwpns if w not in ld_set.paths]
        if left_out:
            LOG.warning(
                'Host %.80r has no path through %s: LD Set `%s` does not '
                'list it, and is not given it on a connector\'s word while '
                'it shows LDs, nor if another LD Set lists it or this one '
                'has %d. If it is the host\'s: %s', connector.host,
                ', '.join(map(str, left_out)), ld_set.name,
                MAX_WWPNS_PER_LD_SET, '; '.join(
                    commands.addldsetpath(ld_set.name, wwpn).text
                    for wwpn in left_out))
        return [w for w in connector.wwpns if w in ld_set.paths]

    def _within_fabrics(self, paths: Paths) -> Paths:
        """Leave only the pairs of ports that share a fabric.

        A lookup that fails or finds nothing changes nothing: zones that
        are too many do no harm.
        """
        if self._fabric is None:
            return paths
        targets = list(dict.fromkeys(t for ts in paths.values() for t in ts))
        try:
            fabrics = self._fabric.get_device_mapping_from_network(
                [str(initiator) for initiator in paths],
                [str(target) for target in targets]) or {}
            seen: dict[Wwpn, set[Wwpn]] = {}
            for ports in fabrics.values():
                near = {Wwpn.parse(t) for t in ports['target_port_wwn_list']}
                for initiator in ports['initiator_port_wwn_list']:
                    seen.setdefault(Wwpn.parse(initiator), set()).update(near)
        except Exception as error:
            LOG.warning('The fabric lookup failed; all ports are taken: %s',
                        error)
            return paths
        within = {initiator: tuple(t for t in ts
                                   if t in seen.get(initiator, ()))
                  for initiator, ts in paths.items()}
        within = {initiator: ts for initiator, ts in within.items() if ts}
        if not within:
            LOG.warning('No fabric has ports of the host and of the array; '
                        'all ports are taken.')
        return within or paths

    # -- the answer to a detach ----------------------------------------

    def ended(self, ld_sets: Sequence[LdSetName],
              connector: Connector | None = None) -> dict[str, Any]:
        """Name the paths that are not needed any more.

        Paths go with the last LUN only.  Where Cinder manages zones the
        array is read before it is believed that none is left: another
        service may have mapped one.
        """
        paths = self._idle_paths(self._inventory.current(), ld_sets,
                                 connector)
        if paths and self._fabric is not None:
            try:
                paths = self._idle_paths(self._inventory.refresh(),
                                         ld_sets, connector)
            except errors.NecError as error:
                LOG.warning('The zones of the host are kept, because the '
                            'array could not be read: %s', error)
                paths = {}
        answer = super().ended(ld_sets, connector)
        if paths:
            answer['data'] = _path_data(paths)
        return answer

    def _idle_paths(self, config: ArrayConfig,
                    ld_sets: Sequence[LdSetName],
                    connector: Connector | None) -> Paths:
        """Return the paths through LD Sets that have no LDs now.

        To all ports, also those that are down: they had zones while they
        were up.  For the same reason the fabrics are not asked.
        """
        needed = {wwpn for s in config.ld_sets.values() if s.mappings
                  for wwpn in s.paths}
        paths: Paths = {}
        for name in ld_sets:
            ld_set = config.ld_sets.get(name, LdSet(name, Protocol.FC))
            if ld_set.mappings or not self._fits(ld_set):
                continue
            hosts = {*ld_set.paths, *(connector.wwpns if connector else ())}
            targets = placement.fc_ports(config, ld_set)
            if targets:
                paths.update(dict.fromkeys(sorted(hosts - needed), targets))
        return paths


def _is_of_ports(ld_set: LdSet) -> bool:
    """Tell whether ports, and not WWPNs, decide who is let in."""
    return bool(ld_set.port_paths) and not ld_set.paths


def _path_data(paths: Paths, order: Sequence[Wwpn] = ()) -> dict[str, Any]:
    """Return paths as connection data; ``order`` puts the best one first."""
    used = {target for targets in paths.values() for target in targets}
    return {
        'target_wwn': [str(t) for t in order or sorted(used) if t in used],
        'initiator_target_map': {
            str(initiator): [str(target) for target in targets]
            for initiator, targets in paths.items()}}
