# SPDX-License-Identifier: Apache-2.0
"""What is checked when a back end starts (manual appendix F)."""

from __future__ import annotations

from collections.abc import Sequence
import logging

from cinder_nec import errors
from cinder_nec.backend.inventory import Inventory
from cinder_nec.model import ArrayConfig

LOG = logging.getLogger(__name__)


def check_backend(inventory: Inventory, pools: Sequence[int],
                  backup_pools: Sequence[int]) -> None:
    """Log in, read the configuration, and find the pools of the options.

    :raises errors.ConfigError: a pool does not exist
    :raises errors.NecError: the array cannot be reached or read
    """
    config = inventory.refresh()
    _check_pools(config, 'nec_pools', pools)
    _check_pools(config, 'nec_backup_pools', backup_pools)
    if not config.pools:
        raise errors.ConfigError(
            'nec_pools', 'No available pools found: the array has none.',
            'Create a pool on the array (iSMcfg poolbind).')
    if not backup_pools:
        LOG.warning('backup_pools is not set: snapshots cannot be created '
                    'until nec_backup_pools names a pool.')
    LOG.info('The array is a %s with %s; %d of %d logical disks are in '
             'use.', config.product_id, config.version,
             len(config.logical_disks), config.max_ld_count)


def _check_pools(config: ArrayConfig, option: str,
                 numbers: Sequence[int]) -> None:
    missing = [n for n in numbers if n not in config.pools]
    if missing:
        there = ', '.join(f'{n} ({n:x}h)' for n in sorted(config.pools))
        names = ', '.join(f'{n} ({n:x}h)' for n in missing)
        raise errors.ConfigError(
            option, f'No available pools found: {option} names {names}, '
            'which the array does not have.',
            f'Correct {option} in cinder.conf; the array has the pools '
            f'{there or "none"}.')
