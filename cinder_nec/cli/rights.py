# SPDX-License-Identifier: Apache-2.0
"""What the service's user may read, when root looks.

Root can read everything, so that all is well for root proves nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
import pwd
import stat

SERVICE_USER = 'cinder'


def service_can_read(path: str) -> bool:
    """Tell whether the service's user may read a file, as far as known.

    By owner, group and mode of the file and the directories above it. True
    where nothing is known: without such a user, or if it is not root who
    asks.
    """
    if os.geteuid() != 0:
        return True
    try:
        user = pwd.getpwnam(SERVICE_USER)
        groups = set(os.getgrouplist(user.pw_name, user.pw_gid))
        file = Path(path).expanduser().resolve()
        return _has(file.stat(), user.pw_uid, groups, 4) and all(
            _has(above.stat(), user.pw_uid, groups, 1)
            for above in file.parents)
    except (KeyError, OSError):
        return True


def _has(found: os.stat_result, uid: int, groups: set[int],
         bit: int) -> bool:
    """Tell whether somebody has a bit (4: read, 1: enter)."""
    mode = stat.S_IMODE(found.st_mode)
    if uid == 0:
        return True
    if found.st_uid == uid:
        return bool(mode & bit << 6)
    if found.st_gid in groups:
        return bool(mode & bit << 3)
    return bool(mode & bit)
