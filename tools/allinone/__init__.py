# SPDX-License-Identifier: Apache-2.0
"""A real Cinder in one process: API, scheduler and any volume back ends.

No broker, no keystone, no sudo. See README.md beside this file.
"""

from allinone.config import PROJECT_ID, Layout, write_config
from allinone.process import CinderError, CinderProcess
from allinone.waiting import WaitTimeout, wait_for

__all__ = [
    'CinderError',
    'CinderProcess',
    'Layout',
    'PROJECT_ID',
    'WaitTimeout',
    'wait_for',
    'write_config',
]
