# SPDX-License-Identifier: Apache-2.0
"""Undoing the first steps of a workflow whose later step failed."""

from __future__ import annotations

from collections.abc import Callable
import logging
from types import TracebackType

from cinder_nec import errors

LOG = logging.getLogger(__name__)


class Undo:
    """Steps to take back when the ``with`` block fails, last one first.

    Steps that were taken back before another one failed stay taken back;
    what cannot be is named in :class:`errors.RollbackFailed`, each with the
    command for the operator.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[str, Callable[[], object]]] = []

    def push(self, leftover: str, step: Callable[[], object]) -> None:
        """Remember how to take the last step back.

        :param leftover: what stays if that fails, and the command that
            removes it
        """
        self._steps.append((leftover, step))

    def forget(self) -> None:
        """Nothing is taken back from here on."""
        self._steps.clear()

    def __enter__(self) -> Undo:
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 _traceback: TracebackType | None) -> None:
        if error is None:
            return
        leftovers = []
        while self._steps:
            leftover, step = self._steps.pop()
            try:
                step()
            except errors.NecError as failure:
                LOG.warning('Could not undo a step: %s', failure)
                leftovers.append(leftover)
        if leftovers and isinstance(error, errors.NecError):
            raise errors.RollbackFailed(error, leftovers) from error
        for leftover in leftovers:
            LOG.error('Left on the array: %s', leftover)
