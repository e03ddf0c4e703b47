# SPDX-License-Identifier: Apache-2.0
"""iSCSI: LD Sets by initiator name, targets and portals."""

from __future__ import annotations

from typing import Any

from cinder_nec import errors
from cinder_nec.backend import changes, placement
from cinder_nec.backend.access.base import AccessProtocol
from cinder_nec.backend.access.connector import Connector
from cinder_nec.backend.outcome import carry_out
from cinder_nec.model import (
    ArrayConfig,
    InitiatorName,
    LdMapping,
    LdSet,
    LdSetName,
    LogicalDisk,
    Protocol,
    TargetMode,
)


class IscsiAccess(AccessProtocol):
    """Normal mode (one target, LUN chosen here) and multi-target mode
    (a target for each LD, LUN 0): ISMCLI.md section F."""

    protocol = Protocol.ISCSI
    volume_type = 'iscsi'

    def check(self, connector: Connector) -> None:
        _initiator(connector)

    def _identifier(self, connector: Connector) -> str:
        return _initiator(connector).name

    def _admits(self, ld_set: LdSet, connector: Connector) -> bool:
        if self._configured(connector) == ld_set.name:
            # Full access mode lists no initiator (manual appendix C): who
            # may use a configured LD Set is the operator's business.
            return True
        return bool(self._names_in(ld_set, connector))

    def _names_in(self, ld_set: LdSet, connector: Connector) -> int:
        initiator = connector.initiator
        return int(initiator is not None
                   and initiator.name in ld_set.initiators)

    def _is_vacant(self, ld_set: LdSet) -> bool:
        return not ld_set.initiators and not ld_set.mappings

    def _create_ld_set(self, name: LdSetName) -> None:
        carry_out(lambda: self._client.addldset_iscsi(name),
                  happened=lambda: self._exists(name))
        self._inventory.record(changes.ld_set_added(
            LdSet(name, Protocol.ISCSI, TargetMode.MULTI_TARGET)))

    def _admit(self, ld_set: LdSet, connector: Connector) -> LdSet:
        initiator = _initiator(connector)

        def admitted() -> bool:
            found = self._inventory.refresh().ld_sets.get(ld_set.name)
            return found is not None and initiator.name in found.initiators

        carry_out(
            lambda: self._client.addldsetinitiator(ld_set.name, initiator),
            happened=admitted)
        self._inventory.record(changes.initiator_admitted(
            ld_set.name, initiator.name))
        return self._inventory.current().ld_sets.get(ld_set.name, ld_set)

    def _connection(self, config: ArrayConfig, ld_set: LdSet,
                    ld: LogicalDisk, mapping: LdMapping,
                    connector: Connector) -> dict[str, Any]:
        target = mapping.target_name or ld_set.target_name
        portals = placement.iscsi_portals(
            config, ld_set, ld.pool, ld.ldn,
            self._options.portals_per_controller)
        if not portals:
            raise errors.NotFound(
                f'LD Set `{ld_set.name}` has no portals.',
                'Add one with iSMcfg addldsetportal (manual chapter 2.2) '
                'or configure the iSCSI ports of the array.')
        if not target:
            raise errors.UnexpectedState(
                f'LD Set `{ld_set.name}` has no target for `{ld.name}`.',
                wanted='a target name', actual='none',
                hint='Look at the target mode of the LD Set.')
        data: dict[str, Any] = {
            'target_discovered': False,
            'target_portal': str(portals[0]),
            'target_iqn': target,
            'target_lun': mapping.lun,
        }
        if connector.multipath:
            data['target_portals'] = [str(portal) for portal in portals]
            data['target_iqns'] = [target] * len(portals)
            data['target_luns'] = [mapping.lun] * len(portals)
        return {'driver_volume_type': self.volume_type, 'data': data}


def _initiator(connector: Connector) -> InitiatorName:
    if connector.initiator is None:
        raise errors.InvalidConnector(
            'initiator', 'The connector has no initiator name.',
            'Is open-iscsi installed on the host?')
    return connector.initiator
