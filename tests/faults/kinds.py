# SPDX-License-Identifier: Apache-2.0
"""The ways in which a command can fail.

A kind strikes right before the command, and is over when it is healed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
import dataclasses

from ismsim.entities import Generation, Pair
from ismsim.faults import Action
from tests.backend.arrays import BACKUP_POOL, POOL
from tests.faults.rig import DEMO_POOL, Rig, Strike

SSH_REFUSED_SECONDS = 10.0
_POOLS = (POOL, BACKUP_POOL, DEMO_POOL)


def nothing(_rig: Rig) -> None:
    pass


@dataclasses.dataclass(frozen=True)
class Kind:
    """A way to fail.

    :param causes: one of these words is in the message of an operation
        that fails because of it
    :param missing: says why the fault cannot be had at a command, or ''
    :param lasts: more than one command fails, so undoing may fail as well
    :param damages: it damages pairs or snapshots: their states and what
        snapshots hold is not compared
    :param lost: snapshots lose their data for good, if there are any; the
        second try need not succeed then, but it must say so
    """

    name: str
    strike: Strike
    heal: Callable[[Rig], object] = nothing
    causes: tuple[str, ...] = ()
    missing: Callable[[Rig], str] = lambda _rig: ''
    lasts: bool = False
    damages: bool = False
    lost: bool = False


def once(action: Action, **values: float) -> Strike:
    def strike(rig: Rig, _text: str) -> None:
        rig.fault(action, **values)
    return strike


def hanging(action: Action) -> Strike:
    def strike(rig: Rig, _text: str) -> None:
        rig.transport.hangs = True
        rig.fault(action)
    return strike


def busy_for_ever(rig: Rig, text: str) -> None:
    """A read: that one; a change: all changes, the array is busy."""
    if text.startswith(('iSMcfg', 'iSMioc')) or '_query' not in text and (
            not text.startswith('iSMquery')):
        rig.fault(Action.BUSY, kind='CHANGE', times=None)
    else:
        rig.fault(Action.BUSY, prefix=text, times=None)


def over(rig: Rig) -> None:
    """End all faults of commands."""
    rig.transport.hangs = False
    rig.transport.refused_until = 0.0
    rig.engine.faults.clear()


def refuse_ssh(rig: Rig, _text: str) -> None:
    rig.transport.refused_until = rig.clock.now() + SSH_REFUSED_SECONDS


# -- of the array's state ---------------------------------------------------

def pairs_of(rig: Rig) -> list[Pair]:
    return list(rig.engine.array.store.pairs.values())


def generations_of(rig: Rig) -> list[Generation]:
    return list(rig.engine.array.store.generations.values())


def holds_snapshots(rig: Rig) -> bool:
    """Tell whether a snapshot has data that it can lose."""
    return any(one.taken is not None for one in generations_of(rig))


def no_pair(rig: Rig) -> str:
    return '' if pairs_of(rig) else 'no pair is on the array then'


def no_generation(rig: Rig) -> str:
    return ('' if generations_of(rig)
            else 'no snapshot is on the array then')


def only_with_sra(rig: Rig) -> str:
    return ('the method uses no snapshot reserve area'
            if rig.is_replication else '')


def pair_state(state: str) -> Strike:
    def strike(rig: Rig, _text: str) -> None:
        for pair in pairs_of(rig):
            rig.lab.operate('pair_state', rv=pair.rv, state=state)
    return strike


def heal_pairs(rig: Rig) -> None:
    for pair in pairs_of(rig):
        if pair.state.value in ('fault', 'cancel'):
            rig.lab.operate('pair_state', rv=pair.rv, state='separated')


def snap_state(state: str) -> Strike:
    def strike(rig: Rig, _text: str) -> None:
        for generation in generations_of(rig):
            rig.lab.operate('snap_state', sv=generation.sv, state=state)
    return strike


def pools_free(free: str, numbers: Iterable[int] = _POOLS) -> Strike:
    def strike(rig: Rig, _text: str) -> None:
        for number in numbers:
            rig.lab.operate('pool_free', pool=number, free=free)
    return strike


def sra(*, on: bool, keep: bool = True) -> Strike:
    def strike(rig: Rig, _text: str) -> None:
        rig.lab.operate('sra_exhausted', pool=BACKUP_POOL, on=on, keep=keep)
    return strike


BUSY = ('iSM31005', 'iSM31015', 'iSM42408', 'iSM42412', 'iSM19411')
LOST_ANSWER = ('connection was lost', 'not answered')
NOT_UNDERSTOOD = ('was not understood',)
PAIR = ('separated', 'fault', 'cancel', 'iSM13')
SNAPSHOT = ('snap/', '---', 'no data', 'snapshot data', 'iSM19', *PAIR)

FULL = ('No available pools', 'Not enough pool capacity', 'iSM31906')

KINDS = (
    Kind('busy once', once(Action.BUSY), over, BUSY),
    Kind('busy for ever', busy_for_ever, over, BUSY, lasts=True),
    Kind('refused', once(Action.REFUSE), over, ('iSM99905',)),
    Kind('dropped before', once(Action.DROP_BEFORE), over, LOST_ANSWER),
    Kind('dropped after', once(Action.DROP_AFTER), over, LOST_ANSWER),
    Kind('truncated', once(Action.TRUNCATE, keep=0.6), over,
         NOT_UNDERSTOOD),
    Kind('empty', once(Action.TRUNCATE, keep=0.0), over, NOT_UNDERSTOOD),
    Kind('garbled', once(Action.GARBLE), over, NOT_UNDERSTOOD),
    Kind('no answer, not done', hanging(Action.HANG_BEFORE), over,
         LOST_ANSWER),
    Kind('no answer, done', hanging(Action.HANG_AFTER), over, LOST_ANSWER),
    Kind('SSH refused', refuse_ssh, over, ('refuses',)),
    Kind('pair in fault', pair_state('fault'), heal_pairs, PAIR, no_pair,
         lasts=True, damages=True),
    Kind('pair cancelled', pair_state('cancel'), heal_pairs, PAIR, no_pair,
         lasts=True, damages=True),
    Kind('snapshot in fault', snap_state('snap/fault'), nothing, SNAPSHOT,
         no_generation, lasts=True,
         damages=True, lost=True),
    Kind('snapshot without data', snap_state('---'), nothing, SNAPSHOT,
         no_generation, lasts=True,
         damages=True, lost=True),
    Kind('pool full', pools_free('0'),
         lambda rig: pools_free('2 TiB')(rig, ''), FULL),
    Kind('SRA full', sra(on=True), lambda rig: sra(on=False)(rig, ''),
         ('iSM19903', 'reserve area'), only_with_sra),
    Kind('SRA full, snapshots lost', sra(on=True, keep=False),
         lambda rig: sra(on=False)(rig, ''), (*SNAPSHOT, 'reserve area'),
         only_with_sra, lasts=True,
         damages=True, lost=True),
)
