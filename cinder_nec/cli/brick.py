# SPDX-License-Identifier: Apache-2.0
"""Asks os-brick for the names of this host, in a process of its own.

os-brick brings eventlet, its own log and its own way to become root along,
none of which belongs into the command.  No sudo is tried: it reads what
whoever runs the command may read.
"""

from __future__ import annotations

import functools
import json
import logging
import subprocess
import sys
from typing import Any

from cinder_nec import errors
from cinder_nec.model import Protocol

_SECONDS = 60
# Nothing is imported from the current directory, which may be anybody's.
_PROGRAM = ('import sys; sys.path[:] = sys.argv[2:]; '
            'from cinder_nec.cli import brick; brick.main(sys.argv[1])')


@functools.cache
def ask_brick(protocol: Protocol) -> dict[str, Any]:
    """Return the connector properties of this host for a protocol.

    :raises errors.NotFound: os-brick cannot tell
    """
    try:
        done = subprocess.run(
            [sys.executable, '-I', '-c', _PROGRAM, protocol.value,
             *filter(None, sys.path)],
            capture_output=True, text=True, timeout=_SECONDS, check=True,
            stdin=subprocess.DEVNULL)
        found: dict[str, Any] = json.loads(done.stdout)
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines()
        raise _unknown(said[-1] if said else 'no reason given') from None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise _unknown(str(error)) from None
    return found


def _unknown(reason: str) -> errors.NotFound:
    return errors.NotFound(
        f'os-brick cannot tell the names of this host: {reason}.')


def main(protocol: str) -> None:
    """Print what os-brick says."""
    logging.disable(logging.CRITICAL)
    from os_brick import privileged
    from os_brick.initiator.connectors import fibre_channel, iscsi

    privileged.default.set_client_mode(False)
    asked = (iscsi.ISCSIConnector if protocol == Protocol.ISCSI.value
             else fibre_channel.FibreChannelConnector)
    found = asked.get_connector_properties(None) or {}
    sys.stdout.write(json.dumps(found) + '\n')

