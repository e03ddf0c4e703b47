# SPDX-License-Identifier: Apache-2.0
"""Several services that are one: active-active, the part of Cinder.

The services of a cluster take requests for the same volumes.  Cinder keeps
them from working on one volume at the same time, but not from taking two
snapshots of it, or from making an LD Set for the same host.  For that they
share the locks of Cinder's coordination back end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib

from cinder import coordination
from oslo_config import cfg
from oslo_log import log as logging

from cinder_nec import errors

LOG = logging.getLogger(__name__)

_LOCAL = 'file:'


def lock_of(address: str) -> Callable[
        [str], contextlib.AbstractContextManager[object]]:
    """Return what locks a thing of an array in all services.

    :param address: of the array, the same in all services of a cluster
    """
    url = cfg.CONF.coordination.backend_url
    if url.startswith(_LOCAL):
        LOG.warning('[coordination] backend_url is %s: its locks hold on '
                    'this node only. Services of a cluster on several nodes '
                    'need one that all of them reach, such as '
                    'etcd3+http://controller:2379.', url)

    def lock(name: str) -> contextlib.AbstractContextManager[object]:
        return _held(f'nec-{address}-{name}')
    return lock


@contextlib.contextmanager
def _held(name: str) -> Iterator[None]:
    """Hold a lock for the time of the block.

    :raises errors.StateError: the coordination back end cannot be used
    """
    try:
        lock = coordination.COORDINATOR.get_lock(name)
        lock.acquire()
    except Exception as error:
        raise errors.StateError(
            'The lock that the services of this cluster share cannot be '
            f'had: {error}',
            'See to the back end that [coordination] backend_url of '
            'cinder.conf names.') from error
    try:
        yield
    finally:
        try:
            lock.release()
        except Exception as error:
            # What it was held for is done; the lock ends by itself.
            LOG.warning('Lock %s could not be given back: %s', name, error)
