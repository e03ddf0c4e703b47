# SPDX-License-Identifier: Apache-2.0
"""What happens by itself as time passes, and to the bytes meanwhile.

Nothing runs in the background: settle() brings the array to what it is
now, and every command calls it first. ISMCLI.md B.3 has the transitions.
"""

from __future__ import annotations

from dataclasses import replace
import math

from ismsim.array import Array
from ismsim.entities import Generation, LogicalDisk, Pair, PairState, SnapState

RESTING = {PairState.SEPARATED, PairState.CANCEL, PairState.FAULT}
REPLICATING = {PairState.RPL_EXEC, PairState.RPL_SYNC}


def settle(array: Array) -> None:
    """Let every copy and deletion that is due come to its end."""
    now = array.clock.now()
    for pair in list(array.store.pairs.values()):
        if pair.copy_ends is not None and pair.copy_ends <= now:
            _finish_copy(array, pair)
    for generation in list(array.store.generations.values()):
        if generation.ends is not None and generation.ends <= now:
            _finish_generation(array, generation)


def _finish_copy(array: Array, pair: Pair) -> None:
    done = replace(pair, copy_ends=None, ended=pair.copy_ends)
    if pair.state is PairState.RPL_EXEC:
        # B.3.2: difference 0 -> rpl/sync.
        array.store.put(replace(done, state=PairState.RPL_SYNC))
    elif pair.state is PairState.SEP_EXEC:
        # B.3.3: sep/exec -> separated. With `-rvuse complete` the RV has
        # the MV's content only from here on.
        if pair.frozen:
            array.backing.thaw(pair.mv, pair.rv, _size(array, pair.mv))
        array.store.put(replace(done, state=PairState.SEPARATED,
                                frozen=False, tracked=True))
    else:
        array.store.put(done)


def _finish_generation(array: Array, generation: Generation) -> None:
    if generation.state is SnapState.DELETING:
        array.backing.remove(generation.sv)
        array.store.put(replace(
            generation, state=SnapState.NONE, taken=None, ends=None,
            sra_bytes=0))
    elif generation.state is SnapState.RESTORING:
        # B.6: rst/exec returns to snap/active.
        array.store.put(replace(
            generation, state=SnapState.ACTIVE, ends=None))
    else:
        array.store.put(replace(generation, ends=None))


def _size(array: Array, ldn: int) -> int:
    return array.store.lds[ldn].capacity


def copy_end(array: Array, size: int) -> float:
    """When a copy of that many bytes that starts now will be done."""
    rate = array.timing.copy_rate
    seconds = 0.0 if math.isinf(rate) else size / rate
    return array.clock.now() + seconds


def start_replicate(array: Array, pair: Pair, full: bool) -> None:
    """`separated` -> rpl/exec (B.3.2)."""
    size = _size(array, pair.mv)
    now = array.clock.now()
    if not full and pair.tracked:
        # B.3, "Differential vs full": only the difference is copied.
        size = array.backing.difference(pair.mv, pair.rv)
    array.store.put(replace(
        pair, state=PairState.RPL_EXEC, activity='replicate',
        previous=pair.activity, started=now, ended=None, copy_started=now,
        copy_total=size, copy_ends=copy_end(array, size)))


def start_separate(array: Array, pair: Pair, access: str,
                   immediate: bool) -> None:
    """rpl/exec or rpl/sync -> sep/exec (B.3.3).

    The RV gets the MV's content of this moment: at once with `-rvuse
    immediate`, otherwise when what is left of the copy is done.
    """
    size = _size(array, pair.mv)
    now = array.clock.now()
    ends = now if pair.copy_ends is None else pair.copy_ends
    if immediate:
        array.backing.copy(pair.mv, pair.rv, size)
    else:
        array.backing.freeze(pair.mv, pair.rv, size)
    array.store.put(replace(
        pair, state=PairState.SEP_EXEC, activity='separate',
        previous=pair.activity, started=now, ended=None, rv_access=access,
        immediate=immediate, frozen=not immediate, copy_ends=ends))


def copy_left(array: Array, pair: Pair) -> int:
    """`Copy Diff`: what a running copy still has to do (ISMCLI.md A.5)."""
    if pair.copy_ends is None:
        return 0
    whole = pair.copy_ends - pair.copy_started
    left = pair.copy_ends - array.clock.now()
    if whole <= 0 or left <= 0:
        return 0
    return int(pair.copy_total * left / whole)


def separate_difference(array: Array, pair: Pair) -> int:
    """`Separate Diff`: what differs while separated (ISMCLI.md A.5).

    ASSUMED: a pair that was never equal differs everywhere, as after
    pairing again "difference information is lost" (manual 10.3.1 *2).
    """
    if pair.state not in RESTING:
        return 0
    if not pair.tracked:
        return _size(array, pair.mv)
    return array.backing.difference(pair.mv, pair.rv)


def is_accessible_rv(pair: Pair) -> bool:
    """Whether a host may use the RV (B.3: never while replicating)."""
    if pair.state is PairState.SEP_EXEC:
        return pair.immediate
    return pair.state in RESTING


def lose_snapshot(array: Array, generation: Generation,
                  state: SnapState) -> None:
    """Snapshot data goes away unasked (B.6; manual appendix A).

    ASSUMED: a copy that reads it breaks; a linked LV stays linked and
    shows nothing.
    """
    array.backing.remove(generation.sv)
    link = array.store.link_to(generation.sv)
    if link is not None:
        array.backing.remove(link.lv)
    for pair in array.store.pairs_of_mv(generation.sv):
        if pair.state not in RESTING:
            set_abnormal(array, pair, PairState.FAULT)
    array.store.put(replace(generation, state=state, ends=None,
                            sra_bytes=0))


def set_abnormal(array: Array, pair: Pair, state: PairState) -> None:
    """A failure (`fault`) or a forced separation (`cancel`) strikes.

    ASSUMED: an RV that was not in use yet keeps what it had; one that
    was used while it was still copied to loses what had not come. The
    record of the difference is lost in any case.
    """
    if pair.state is PairState.SEP_EXEC and pair.immediate:
        left = copy_left(array, pair)
        array.backing.lose_end(pair.rv, left, _size(array, pair.rv))
    array.backing.drop_frozen(pair.mv, pair.rv)
    array.store.put(replace(
        pair, state=state, activity='separate', previous=pair.activity,
        ended=array.clock.now(), copy_ends=None, frozen=False,
        tracked=False))


def is_copying(array: Array, ld: LogicalDisk) -> bool:
    """Whether the LD takes part in a copy that is not at rest."""
    store = array.store
    pairs = list(store.pairs_of_mv(ld.ldn))
    own = store.pair_of_rv(ld.ldn)
    if own is not None:
        pairs.append(own)
    return any(pair.state not in RESTING for pair in pairs)
