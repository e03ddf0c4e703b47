# SPDX-License-Identifier: Apache-2.0
"""Carrying a change out when its answer may get lost."""

from __future__ import annotations

from collections.abc import Callable
import logging

from cinder_nec import errors

LOG = logging.getLogger(__name__)

_TRIES = 3


def carry_out(change: Callable[[], object],
              happened: Callable[[], bool]) -> None:
    """Run a change, and go on from what is true (DESIGN.md section 4).

    When the array refuses or no answer comes, ``happened`` reads the array
    again.  If the change is there, by an earlier try or by a peer, that is
    a success.  A refusal is final otherwise; a change whose answer was lost
    is sent again, at most three times in all.

    :raises errors.CommandFailed: refused, and not there
    :raises errors.OutcomeUnknown: three answers were lost
    """
    for remaining in reversed(range(_TRIES)):
        try:
            change()
            return
        except (errors.CommandFailed, errors.OutcomeUnknown) as error:
            if happened():
                LOG.debug('Already true: %s', error)
                return
            if isinstance(error, errors.CommandFailed) or not remaining:
                raise
            LOG.warning('The array does not show the change; sending it '
                        'again: %s', error)
