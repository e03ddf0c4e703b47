# SPDX-License-Identifier: Apache-2.0
"""Message ids, and what a refusal looks like on the two streams.

`DOCUMENTED` ids are those of ISMCLI.md D.2 and H. Every other id is the
simulator's own: nobody documents what an array says there, so a driver
must not branch on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Id(str, Enum):
    """What can be said. The value is the message id."""

    # Documented (ISMCLI.md D.2, H; driver manual appendix F).
    LDN_USED = 'iSM31077'
    NOT_IN_LDSET = 'iSM31065'
    IN_LDSET = 'iSM31091'
    SNAPSHOT_CREATED = 'iSM19010'
    LINKED = 'iSM20020'
    UNLINKED = 'iSM20030'
    # Documented as transient; their texts are not (ISMCLI.md D.2, G.2).
    BUSY_31005 = 'iSM31005'
    BUSY_31015 = 'iSM31015'
    BUSY_42408 = 'iSM42408'
    BUSY_42412 = 'iSM42412'
    BUSY_19411 = 'iSM19411'

    # The simulator's own from here on: iSMn99xx.
    DONE = 'iSM99900'
    SYNTAX = 'iSM99901'
    NO_LICENCE = 'iSM99902'
    BAD_NAME = 'iSM99903'
    BAD_VALUE = 'iSM99904'
    INJECTED = 'iSM99905'
    NO_LD = 'iSM31901'
    NO_POOL = 'iSM31902'
    NO_LDSET = 'iSM31903'
    NAME_USED = 'iSM31904'
    LDN_RANGE = 'iSM31905'
    POOL_FULL = 'iSM31906'
    POOL_LDS = 'iSM31907'
    LD_LIMIT = 'iSM31908'
    LD_MAPPED = 'iSM31909'
    LD_PAIRED = 'iSM31910'
    LD_GENERATIONS = 'iSM31911'
    LD_KIND = 'iSM31912'
    NOT_LARGER = 'iSM31913'
    LD_BUSY = 'iSM31914'
    MODEL = 'iSM31915'
    POOL_USED = 'iSM31916'
    LDSET_USED = 'iSM31920'
    LDSET_PROTOCOL = 'iSM31921'
    INITIATOR_USED = 'iSM31922'
    INITIATOR_LIMIT = 'iSM31923'
    PATH_USED = 'iSM31924'
    PATH_LIMIT = 'iSM31925'
    LUN_USED = 'iSM31926'
    LUN_MULTI = 'iSM31927'
    LUN_ZERO_LV = 'iSM31928'
    LUN_RANGE = 'iSM31929'
    LDSET_FULL = 'iSM31930'
    PORTAL_USED = 'iSM31931'
    PORTAL_ABSENT = 'iSM31932'
    PORTAL_LIMIT = 'iSM31933'
    NO_PORT = 'iSM31934'
    FULL_ACCESS = 'iSM31935'
    NO_INITIATOR = 'iSM31936'
    ACCESS_OFF = 'iSM31937'
    NOT_READY = 'iSM31938'
    NO_SRA = 'iSM31940'
    SRA_USED = 'iSM31941'
    GENERATION_LIMIT = 'iSM31942'
    NO_FREE_GENERATION = 'iSM31943'
    LINK_LEFT = 'iSM31944'
    LIMIT_RANGE = 'iSM42901'
    NO_RSV = 'iSM13901'
    NOT_PAIRED = 'iSM13902'
    PAIRED_ALREADY = 'iSM13903'
    PAIR_LIMIT = 'iSM13904'
    PAIR_SIZE = 'iSM13905'
    PAIR_STATE = 'iSM13906'
    PAIR_ATTRIBUTE = 'iSM13907'
    PAIR_MAPPED = 'iSM13908'
    NO_SV = 'iSM19901'
    SNAP_STATE = 'iSM19902'
    SRA_FULL = 'iSM19903'
    SV_LINKED = 'iSM19904'
    SV_PAIRED = 'iSM19905'
    LV_LINKED = 'iSM19906'
    LV_NOT_LINKED = 'iSM19907'
    BV_STATE = 'iSM19908'


BUSY_IDS = (Id.BUSY_31005, Id.BUSY_31015, Id.BUSY_42408, Id.BUSY_42412,
            Id.BUSY_19411)

TEXTS: dict[Id, str] = {
    Id.LDN_USED: 'Specified LDN is already used.',
    Id.NOT_IN_LDSET: 'Specified LD is not assigned to LD Set.',
    Id.IN_LDSET: 'Specified LD is assigned to LD Set.',
    Id.SNAPSHOT_CREATED: 'Snapshot creation has completed normally.',
    Id.LINKED: 'LV link has completed normally.',
    Id.UNLINKED: 'LV unlink has completed normally.',
    **dict.fromkeys(BUSY_IDS, 'Another configuration change is running.'),
    Id.DONE: 'Command has completed normally.',
    Id.SYNTAX: 'Invalid command line.',
    Id.NO_LICENCE: 'The licence of the function is not released.',
    Id.BAD_NAME: 'Specified name is invalid.',
    Id.BAD_VALUE: 'Specified value is invalid.',
    Id.INJECTED: 'The command failed.',
    Id.NO_LD: 'Specified LD does not exist.',
    Id.NO_POOL: 'Specified pool does not exist.',
    Id.NO_LDSET: 'Specified LD Set does not exist.',
    Id.NAME_USED: 'Specified LD name is already used.',
    Id.LDN_RANGE: 'Specified LDN is out of range.',
    Id.POOL_FULL: 'Pool free capacity is insufficient.',
    Id.POOL_LDS: 'The pool has the maximum number of LDs.',
    Id.LD_LIMIT: 'The disk array has the maximum number of LDs.',
    Id.LD_MAPPED: 'Specified LD is assigned to an LD Set.',
    Id.LD_PAIRED: 'Specified LD is paired.',
    Id.LD_GENERATIONS: 'Specified BV has generations.',
    Id.LD_KIND: 'The operation is not possible on this kind of LD.',
    Id.NOT_LARGER: 'The capacity is not larger than the present one.',
    Id.LD_BUSY: 'Specified LD is being copied.',
    Id.MODEL: 'The disk array does not support the operation.',
    Id.POOL_USED: 'Specified pool number is already used.',
    Id.LDSET_USED: 'Specified LD Set name is already used.',
    Id.LDSET_PROTOCOL: 'The LD Set is of another type.',
    Id.INITIATOR_USED: 'Specified initiator is already registered.',
    Id.INITIATOR_LIMIT: 'The LD Set has the maximum number of initiators.',
    Id.PATH_USED: 'Specified path is already registered.',
    Id.PATH_LIMIT: 'The LD Set has the maximum number of paths.',
    Id.LUN_USED: 'Specified LUN is already used.',
    Id.LUN_MULTI: 'LUN cannot be specified in multi-target mode.',
    Id.LUN_ZERO_LV: 'LUN 0 cannot be assigned to an LV.',
    Id.LUN_RANGE: 'Specified LUN is out of range.',
    Id.LDSET_FULL: 'The LD Set has the maximum number of LDs.',
    Id.PORTAL_USED: 'Specified portal is already registered.',
    Id.PORTAL_ABSENT: 'Specified portal is not registered.',
    Id.PORTAL_LIMIT: 'The LD Set has the maximum number of portals.',
    Id.NO_PORT: 'No iSCSI port has the specified IP address.',
    Id.FULL_ACCESS: 'The full access mode does not allow the operation.',
    Id.NO_INITIATOR: 'Specified initiator is not registered.',
    Id.ACCESS_OFF: 'Access control has not been started.',
    Id.NOT_READY: 'Specified LD cannot be accessed now.',
    Id.NO_SRA: 'The pool has no snapshot reserve area.',
    Id.SRA_USED: 'The pool already has a snapshot reserve area.',
    Id.GENERATION_LIMIT: 'The BV has the maximum number of generations.',
    Id.NO_FREE_GENERATION: 'Every generation holds snapshot data.',
    Id.LINK_LEFT: 'The BV still has an LV.',
    Id.LIMIT_RANGE: 'The I/O limit is out of range.',
    Id.NO_RSV: 'There is no replication reserved volume.',
    Id.NOT_PAIRED: 'Specified volume is not paired.',
    Id.PAIRED_ALREADY: 'Specified volume is already paired.',
    Id.PAIR_LIMIT: 'The MV has the maximum number of RVs.',
    Id.PAIR_SIZE: 'The capacities of MV and RV differ.',
    Id.PAIR_STATE: 'The pair is not in a state for the operation.',
    Id.PAIR_ATTRIBUTE: 'The attribute of the volume is invalid.',
    Id.PAIR_MAPPED: 'The RV is assigned to an LD Set.',
    Id.NO_SV: 'Specified SV does not belong to the BV.',
    Id.SNAP_STATE: 'The snapshot is not in a state for the operation.',
    Id.SRA_FULL: 'The snapshot reserve area is exhausted.',
    Id.SV_LINKED: 'Specified SV is linked to an LV.',
    Id.SV_PAIRED: 'Specified SV is paired.',
    Id.LV_LINKED: 'Specified LV is already linked.',
    Id.LV_NOT_LINKED: 'Specified LV is not linked.',
    Id.BV_STATE: 'The BV is not in a state for the operation.',
}


class Refusal(Exception):
    """The array refuses a command."""

    def __init__(self, ident: Id, detail: str = '') -> None:
        super().__init__(ident.value, detail)
        self.ident = ident
        self.detail = detail


@dataclass(frozen=True)
class Reply:
    """What a command answers."""

    stdout: bytes = b''
    stderr: bytes = b''
    status: int = 0
    message_id: str = ''


def refusal_reply(program: str, verb: str, ident: str, text: str,
                  stream: str = 'stderr') -> Reply:
    """A refusal as the array words it.

    iSMcfg: the one captured sample (driver manual appendix F) has the
    message on stderr and `ExitStatus:1` as the last line of stdout.
    ASSUMED: iSMioc does the same; the iSMrc_* and iSMsc_* commands use
    the line shape of ISMCLI.md A.1, also on stderr.
    """
    if program in ('iSMcfg', 'iSMioc'):
        line = f'{ident}:[ {verb} ]{text}\n'
        closing = 'ExitStatus:1\n'
    else:
        line = f'{program}:Error: {ident}: {text}\n'
        closing = ''
    if stream == 'stdout':
        return Reply((line + closing).encode(), b'', 1, ident)
    return Reply(closing.encode(), line.encode(), 1, ident)


def success_reply(program: str, ident: Id = Id.DONE,
                  body: str = '') -> Reply:
    """A success (line shape: ISMCLI.md A.1; iSMcfg's text is ASSUMED)."""
    line = f'{program}:Info: {ident.value}: {TEXTS[ident]}\n'
    if program in ('iSMcfg', 'iSMioc'):
        line += 'ExitStatus:0\n'
    return Reply((line + body).encode(), b'', 0, ident.value)


def busy_id(program: str) -> Id:
    """Which of the five retry ids a program answers when it is busy.

    ASSUMED from the number ranges (ISMCLI.md D.2); all five are used, so
    that a driver has to know all five.
    """
    return {'iSMcfg': Id.BUSY_31005, 'iSMioc': Id.BUSY_42408,
            'iSMrc_pair': Id.BUSY_31015}.get(
                program, Id.BUSY_19411 if program.startswith('iSMsc')
                else Id.BUSY_42412)
