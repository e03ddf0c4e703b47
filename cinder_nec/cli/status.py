# SPDX-License-Identifier: Apache-2.0
"""What ``cinder-nec`` ends with, for scripts.

As monitoring plugins have it: 0 ok, 1 warning, 2 critical, 3 unknown.
"""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """Exit status of every command of ``cinder-nec``."""

    OK = 0
    """Done; nothing was found."""

    WARNING = 1
    """Something was found that works, but should be looked at."""

    ERROR = 2
    """Something does not work, or a back end did not answer."""

    NOT_RUN = 3
    """Nothing can be said: wrong arguments, no readable cinder.conf."""


class NotRun(Exception):
    """The command cannot be run at all; the text says why and what to do."""
