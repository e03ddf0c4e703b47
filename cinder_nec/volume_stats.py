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
from cinder_nec.backend.load import LoadFigures
from cinder_nec.backend.stats import PoolStats, roomiest
from cinder_nec.ismcli.meter import Kind
from cinder_nec.model import Protocol
from cinder_nec.translate import to_cinder

LOG = logging.getLogger(__name__)

# In the language of Cinder's scheduler (cinder/scheduler/evaluator): no digits
# in names, few operators (it parses a function for each volume and pool), and
# a name that is not there is an error.  A request for a snapshot has no
# volume.status; it is asked for on a full back end only.
_FILTER = ('capabilities.nec_ld_count < capabilities.nec_ld_limit'
           ' ? 1 : volume.status != "creating"')
_GOODNESS = ('capabilities.nec_goodness * stats.free_capacity_gb'
             ' / stats.total_capacity_gb')
# What halves the goodness of an array: so many changes or copies at work, or
# changes that take so long.
_MANY = 8
_LONG_SECONDS = 4
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
    _users_of: Any
    _driver_name: str
    get_filter_function: Any
    get_goodness_function: Any
    _stats: dict[str, Any]

    def get_pool(self, volume):
        """Return the name of the reported pool that a volume is in."""
        config = self.backend.config
        if not config.report_pools:
            return config.backend_name
        try:
            ld = self.backend.volumes.get(self._ld_name(volume))
        except errors.NecError as error:
            LOG.warning('The pool of volume %s is not known: %s', volume.id,
                        error)
            raise to_cinder(error) from error
        return _name(ld.pool)

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
        pools = None
        try:
            pools = self.backend.stats.read()
            load = self.backend.stats.load.read()
            stats |= (self._each_pool(pools, load) if config.report_pools
                      else self._one_pool(pools, load))
            stats['backend_state'] = 'up'
            self.backend.tidy(self._users_of)
        except errors.NecError as error:
            LOG.error('%s: the array cannot be read: %s',
                      self._driver_name, error)
            load = self.backend.stats.load.read()
            stats |= {**self._functions(),
                      **_burden(roomiest(()), load, load.copies),
                      'backend_state': 'down', 'total_capacity_gb': 0,
                      'free_capacity_gb': 0, 'nec_goodness': 0.0}
        self._stats = stats
        self.backend.metrics.write(pools, load)

    def _one_pool(self, pools: tuple[PoolStats, ...],
                  load: LoadFigures) -> dict[str, Any]:
        figures = roomiest(pools)
        return {**self._abilities(), **_figures(figures),
                **_burden(figures, load, load.copies),
                'location_info': str(self.backend.location)}

    def _each_pool(self, pools: tuple[PoolStats, ...],
                   load: LoadFigures) -> dict[str, Any]:
        """Each pool is a place of its own to move volumes to and from."""
        return {**self._functions(), 'pools': [{
            'pool_name': _name(figures.number),
            **self._abilities(), **_figures(figures),
            **_burden(figures, load,
                      load.copies_in.get(figures.number, 0)),
            'location_info': str(dataclasses.replace(
                self.backend.location, pools=(figures.number,))),
        } for figures in pools]}

    def get_default_filter_function(self):
        """Pass where one more logical disk can be made.

        Where there is one already (retype, manage) none is needed.
        Capacity is for Cinder's CapacityFilter, which allows for thin
        pools and for what is reserved.
        """
        return _FILTER

    def get_default_goodness_function(self):
        """Prefer where most is left, of capacity and of LDs, and idle.

        Percent of the capacity that is free, times that of the LDs, less
        for an array that is busy (:func:`_burden`).
        """
        return _GOODNESS

    def _functions(self) -> dict[str, Any]:
        """The operator's functions, or ours."""
        return {'filter_function': self.get_filter_function(),
                'goodness_function': self.get_goodness_function()}

    def _abilities(self) -> dict[str, Any]:
        option = self.configuration.safe_get
        return {
            'reserved_percentage': option('reserved_percentage') or 0,
            'max_over_subscription_ratio': option(
                'max_over_subscription_ratio'),
            'QoS_support': True,
            'multiattach': True,
            'online_extend_support': True,
            **self._functions(),
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


def _burden(figures: PoolStats, load: LoadFigures,
            copies: int) -> dict[str, Any]:
    """Return what the functions of the scheduler use, beside capacity.

    :param copies: of the pool, or of the back end
    """
    seconds = load.commands.timings[Kind.CHANGE]
    queue = load.queue.mean_length
    left = 1 - figures.lds_counted / max(1, figures.ld_limit)
    burden = (queue / _MANY + copies / _MANY
              + seconds.mean_seconds / _LONG_SECONDS)
    return {
        'nec_ld_count': figures.lds_counted,
        'nec_ld_limit': figures.ld_limit,
        'nec_command_seconds': round(seconds.mean_seconds, 3),
        'nec_command_seconds_longest': round(seconds.longest_seconds, 3),
        'nec_queue_length': round(queue, 2),
        'nec_queue_longest': load.queue.longest,
        'nec_copies_running': copies,
        'nec_goodness': round(100 * max(0.0, left) / (1 + burden), 1),
    }
