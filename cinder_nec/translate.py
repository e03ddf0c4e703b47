# SPDX-License-Identifier: Apache-2.0
"""From this package's errors to Cinder's, and from results to the log.

One table; Cinder's manager acts on some of the classes (a busy volume
becomes available again, an invalid connector is the caller's fault).
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib

from cinder import exception
from oslo_log import log as logging

from cinder_nec import errors

LOG = logging.getLogger(__name__)

_TABLE: tuple[tuple[type[errors.NecError], type[Exception]], ...] = (
    (errors.InvalidConnector, exception.InvalidConnectorException),
    (errors.InvalidInput, exception.InvalidInput),
    (errors.ConfigError, exception.VolumeDriverException),
    (errors.PairLimit, exception.SnapshotLimitReached),
    (errors.InUse, exception.VolumeIsBusy),
    (errors.NecError, exception.VolumeBackendAPIException),
)


def to_cinder(error: errors.NecError,
              busy: type[Exception] = exception.VolumeIsBusy) -> Exception:
    """Return the exception of Cinder that stands for an error.

    :param busy: what :class:`errors.InUse` becomes; Cinder has a class for
        volumes and one for snapshots
    """
    for ours, theirs in _TABLE:
        if isinstance(error, ours):
            chosen = busy if ours is errors.InUse else theirs
            return chosen(str(error))
    raise AssertionError('the table ends with the base class')


@contextlib.contextmanager
def reporting(done: str, task: str, detail: str,
              busy: type[Exception] = exception.VolumeIsBusy
              ) -> Iterator[None]:
    """Log the outcome of an operation as the manual's appendix D has it.

    What is wrong on the array is an error (D.1); that the operation failed
    is a warning (D.2), and all there is of a caller's mistake.

    :param done: such as ``Created Volume``
    :param task: such as ``Create Volume``
    :param detail: which object, such as ``Volume ID = …, Size = 1GB``
    """
    try:
        with step(task, detail):
            yield
    except errors.NecError as error:
        raise to_cinder(error, busy) from error
    except Exception:
        LOG.warning('Failed to %s (%s)', task, detail)
        raise
    LOG.info('%s (%s)', done, detail)


@contextlib.contextmanager
def step(task: str, detail: str) -> Iterator[None]:
    """Log that a part of an operation failed; its error goes on."""
    try:
        yield
    except errors.NecError as error:
        if not isinstance(error, errors.InvalidInput) and not error.logged:
            LOG.error('%s', error)
            error.logged = True
        LOG.warning('Failed to %s (%s) (%s)', task, detail, error)
        raise
