# SPDX-License-Identifier: Apache-2.0
"""Message ids of the array and what they mean to the driver.

Only ids that ISMCLI.md sections D and H document are branched on.  Every
other id ends as a plain :class:`errors.CommandFailed`, after which a
workflow reads the configuration again to learn what is true.
"""

from __future__ import annotations

import re

from cinder_nec import errors
from cinder_nec.ismcli.transport import CommandResult

# A word of its own: names come back in answers too.
_MESSAGE_ID = re.compile(r'(?<![\w/.-])iSM[0-9]{5}(?!\w)')
_DETAIL_CHARACTERS = 300

# Meaning not published; the array's own drivers wait and try again.
BUSY_IDS = frozenset({
    'iSM31005', 'iSM31015', 'iSM42408', 'iSM42412', 'iSM19411'})

_CLASS_BY_ID: dict[str, type[errors.CommandFailed]] = {
    **dict.fromkeys(BUSY_IDS, errors.ArrayBusy),
    'iSM31077': errors.LdnInUse,
    'iSM31091': errors.AlreadyMapped,
    'iSM31065': errors.NotMapped,
}


def failure(command_line: str,
            result: CommandResult) -> errors.CommandFailed:
    """Return the error that a refused command stands for."""
    text = result.text()
    ids = _MESSAGE_ID.findall(text)
    known = [i for i in ids if i in _CLASS_BY_ID]
    message_id = (known or ids or [''])[0]
    error_class = _CLASS_BY_ID.get(message_id, errors.CommandFailed)
    return error_class(command_line, result.status, message_id,
                       _short(result.stdout), _short(result.stderr))


def _short(stream: bytes) -> str:
    """Return the beginning of a stream; a dump never gets into a log."""
    text = stream[:4 * _DETAIL_CHARACTERS].decode('utf-8', 'replace')
    return ' '.join(text.split())[:_DETAIL_CHARACTERS]
