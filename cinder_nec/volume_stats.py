# SPDX-License-Identifier: Apache-2.0
"""Stats and pools, the part of the driver that the scheduler sees."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from cinder.common import constants
from cinder.volume import volume_utils
from oslo_log import log as logging

from cinder_nec import __version__, errors
from cinder_nec.backend.stats import PoolStats
from cinder_nec.model import Protocol

LOG = logging.getLogger(__name__)

_POOL_NAME = re.compile(r'pool([0-9]{1,5})')


class StatsMixin:
    """Methods of the driver that concern where a volume fits.

    By default one pool is reported, under the back end's own name, as the
    manual's chapter 11 has it; with ``nec_report_pools`` each pool is.
    """

    backend: Any
    configuration: Any
    PROTOCOL: Protocol
    _backend: Any
    _ld_name: Any
    _driver_name: str
    _stats: dict[str, Any]

    def get_pool(self, volume):
        """Return the name of the reported pool that a volume is in."""
        config = self.backend.config
        if not config.report_pools:
            return config.backend_name
        return _name(self.backend.volumes.get(self._ld_name(volume)).pool)

    def _pools_for(self, volume) -> tuple[int, ...]:
        """Return the pools in which a new volume may be bound.

        That is the one the scheduler chose, if it was asked for one.
        """
        config = self.backend.config
        chosen = volume_utils.extract_host(volume.host or '', 'pool')
        found = _POOL_NAME.fullmatch(chosen or '')
        if not config.report_pools or found is None:
            return config.pools
        return (int(found[1]),)

    def _update_volume_stats(self):
        """Collect what the scheduler needs (manual chapter 11)."""
        if self._backend is None:
            return
        config = self.backend.config
        stats = {
            'volume_backend_name': config.backend_name,
            'vendor_name': 'NEC',
            'driver_version': __version__,
            'storage_protocol': (
                constants.ISCSI if self.PROTOCOL is Protocol.ISCSI
                else constants.FC),
        }
        try:
            stats |= (self._each_pool() if config.report_pools
                      else self._one_pool())
            stats['backend_state'] = 'up'
        except errors.NecError as error:
            LOG.error('%s: the array cannot be read: %s',
                      self._driver_name, error)
            stats |= {'backend_state': 'down', 'total_capacity_gb': 0,
                      'free_capacity_gb': 0}
        self._stats = stats

    def _one_pool(self) -> dict[str, Any]:
        figures = self.backend.stats.read_roomiest()
        return {**self._abilities(), **_figures(figures),
                'location_info': str(self.backend.location)}

    def _each_pool(self) -> dict[str, Any]:
        """Each pool is a place of its own to move volumes to and from."""
        return {'pools': [{
            'pool_name': _name(figures.number),
            **self._abilities(), **_figures(figures),
            'location_info': str(dataclasses.replace(
                self.backend.location, pools=(figures.number,))),
        } for figures in self.backend.stats.read()]}

    def _abilities(self) -> dict[str, Any]:
        option = self.configuration.safe_get
        return {
            'reserved_percentage': option('reserved_percentage') or 0,
            'max_over_subscription_ratio': option(
                'max_over_subscription_ratio'),
            'QoS_support': True,
            'multiattach': True,
            'online_extend_support': True,
        }


def _name(number: int) -> str:
    return f'pool{number}'


def _figures(figures: PoolStats) -> dict[str, Any]:
    return {
        'total_capacity_gb': figures.total_gib,
        'free_capacity_gb': figures.free_gib,
        'provisioned_capacity_gb': figures.provisioned_gib,
        'total_volumes': figures.ld_count,
        'thin_provisioning_support': figures.is_thin,
        'thick_provisioning_support': not figures.is_thin,
    }
