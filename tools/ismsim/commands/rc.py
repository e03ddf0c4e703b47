# SPDX-License-Identifier: Apache-2.0
"""iSMrc_*: data replication (ISMCLI.md A.5, B.1 to B.5).

iSMrc_restore, iSMrc_wait and iSMrc_change are not evidenced (ISMCLI.md G)
and therefore unknown commands.
"""

from __future__ import annotations

from ismsim import render_text
from ismsim.array import Array
from ismsim.commands.common import need_unmapped
from ismsim.copying import (
    REPLICATING,
    RESTING,
    start_replicate,
    start_separate,
)
from ismsim.entities import LdKind, LogicalDisk, Pair, PairState, SnapState
from ismsim.grammar import Args, Kind, command, flag, one_of, text
from ismsim.messages import Id, Refusal, Reply, success_reply

_LD = one_of('ld')
_BOTH = {'-mv': text(), '-mvflg': _LD, '-rv': text(), '-rvflg': _LD}
_LICENCE = 'DynamicDataReplication'


def _get_pair(array: Array, args: Args) -> Pair:
    mv = array.get_bare_ld(args['-mv'])
    rv = array.get_bare_ld(args['-rv'])
    pair = array.store.pair_of_rv(rv.ldn)
    if pair is None or pair.mv != mv.ldn:
        raise Refusal(Id.NOT_PAIRED, f'{mv.name} {rv.name}')
    return pair


@command('iSMrc_pair', '', Kind.CHANGE, {'-pair': flag(True), **_BOTH})
def pair_volumes(array: Array, args: Args) -> Reply:
    """Pair an MV with an RV: unpaired -> separated (B.3.1)."""
    store = array.store
    array.need_licence(_LICENCE)
    mv = array.get_bare_ld(args['-mv'])
    rv = array.get_bare_ld(args['-rv'])
    # ISMCLI.md F: a Replication Reserved Volume must exist.
    if not any(ld.kind is LdKind.RSV for ld in store.lds.values()):
        raise Refusal(Id.NO_RSV)
    if mv.ldn == rv.ldn:
        raise Refusal(Id.PAIR_ATTRIBUTE, mv.name)
    _need_mv(array, mv)
    _need_rv(array, rv)
    if mv.capacity != rv.capacity:
        # ISMCLI.md B.5: the clone sequence binds an RV of the same size.
        raise Refusal(Id.PAIR_SIZE, f'{mv.capacity} {rv.capacity}')
    remote = sum(1 for other in store.remote_pairs.values()
                 if other.mv == mv.ldn)
    if (len(store.pairs_of_mv(mv.ldn)) + remote
            >= array.limits.rvs_per_mv):
        raise Refusal(Id.PAIR_LIMIT, mv.name)
    now = array.clock.now()
    store.put(Pair(mv.ldn, rv.ldn, PairState.SEPARATED, started=now,
                   ended=now))
    return success_reply('iSMrc_pair')


def _need_mv(array: Array, mv: LogicalDisk) -> None:
    store = array.store
    if mv.kind is LdKind.SV:
        # B.1: an SV may be an MV; B.6: only with valid snapshot data.
        if store.generations[mv.ldn].state is not SnapState.ACTIVE:
            raise Refusal(Id.SNAP_STATE, mv.name)
    elif mv.kind is not LdKind.ORDINARY:
        raise Refusal(Id.PAIR_ATTRIBUTE, mv.name)
    # ASSUMED: no cascades (manual 10.3.1 unpairs an RV before it becomes
    # an MV).
    if store.pair_of_rv(mv.ldn) is not None:
        raise Refusal(Id.PAIR_ATTRIBUTE, mv.name)
    _need_no_restore(array, mv)


def _need_no_restore(array: Array, bv: LogicalDisk) -> None:
    if any(generation.state is SnapState.RESTORING
           for generation in array.store.generations_of(bv.ldn)):
        raise Refusal(Id.BV_STATE, bv.name)


def _need_rv(array: Array, rv: LogicalDisk) -> None:
    store = array.store
    # ASSUMED: an RV is an ordinary LD that is nothing else: not paired,
    # without generations, and not seen by any host.
    if rv.kind is not LdKind.ORDINARY:
        raise Refusal(Id.PAIR_ATTRIBUTE, rv.name)
    if store.pair_of_rv(rv.ldn) is not None:
        raise Refusal(Id.PAIRED_ALREADY, rv.name)
    if store.pairs_of_mv(rv.ldn) or store.generations_of(rv.ldn) or any(
            remote.mv == rv.ldn for remote in store.remote_pairs.values()):
        raise Refusal(Id.PAIR_ATTRIBUTE, rv.name)
    need_unmapped(array, rv, Id.PAIR_MAPPED)


@command('iSMrc_pair', '', Kind.CHANGE, {
    '-unpair': flag(True), **_BOTH, '-force': one_of('all',
                                                     required=False)})
def unpair_volumes(array: Array, args: Args) -> Reply:
    """Separated or forced separated -> unpaired (B.3.5, B.5).

    ASSUMED: a pair in `fault` needs `-force all`.
    """
    array.need_licence(_LICENCE)
    pair = _get_pair(array, args)
    allowed = {PairState.SEPARATED, PairState.CANCEL}
    if '-force' in args:
        allowed = RESTING
    if pair.state not in allowed:
        raise Refusal(Id.PAIR_STATE, pair.state.value)
    array.backing.drop_frozen(pair.mv, pair.rv)
    array.store.drop(pair)
    return success_reply('iSMrc_pair')


@command('iSMrc_replicate', '', Kind.CHANGE, {
    **_BOTH, '-nowait': flag(True),
    '-cprange': one_of('full', required=False), '-cpmode': one_of('bg')})
def replicate(array: Array, args: Args) -> Reply:
    """Separated -> rpl/exec -> rpl/sync (B.3.2)."""
    store = array.store
    array.need_licence(_LICENCE)
    pair = _get_pair(array, args)
    full = '-cprange' in args
    # ASSUMED: after `fault` and `cancel` the difference is not reliable.
    if pair.state not in RESTING or (
            pair.state is not PairState.SEPARATED and not full):
        raise Refusal(Id.PAIR_STATE, pair.state.value)
    mv, rv = store.lds[pair.mv], store.lds[pair.rv]
    # ASSUMED: one of the two was expanded and the other one not yet.
    if mv.capacity != rv.capacity:
        raise Refusal(Id.PAIR_SIZE, f'{mv.capacity} {rv.capacity}')
    if (mv.kind is LdKind.SV and store.generations[mv.ldn].state
            is not SnapState.ACTIVE):
        raise Refusal(Id.SNAP_STATE, mv.name)
    _need_no_restore(array, mv)
    # B.3: hosts cannot use the RV while it is copied to; ASSUMED: so none
    # may see it.
    need_unmapped(array, rv, Id.PAIR_MAPPED)
    start_replicate(array, pair, full)
    return success_reply('iSMrc_replicate')


@command('iSMrc_separate', '', Kind.CHANGE, {
    **_BOTH, '-rvacc': one_of('ro', 'rw'),
    '-rvuse': one_of('complete', 'immediate'), '-nowait': flag(True)})
def separate(array: Array, args: Args) -> Reply:
    """rpl/exec or rpl/sync -> sep/exec -> separated (B.3.3)."""
    array.need_licence(_LICENCE)
    pair = _get_pair(array, args)
    if pair.state not in REPLICATING:
        raise Refusal(Id.PAIR_STATE, pair.state.value)
    start_separate(array, pair, args['-rvacc'],
                   args['-rvuse'] == 'immediate')
    return success_reply('iSMrc_separate')


@command('iSMrc_query', '', Kind.READ, {'-mv': text(), '-mvflg': _LD})
def query_mv(array: Array, args: Args) -> Reply:
    """Show an MV with its RVs; refused if there is none (B.5)."""
    mv = array.get_bare_ld(args['-mv'])
    pairs = array.store.pairs_of_mv(mv.ldn)
    remotes = [remote for remote in array.store.remote_pairs.values()
               if remote.mv == mv.ldn]
    if not pairs and not remotes:
        raise Refusal(Id.NOT_PAIRED, mv.name)
    return Reply(render_text.pairs_of_mv(array, mv, pairs, remotes))


@command('iSMrc_query', '', Kind.READ, {'-rv': text(), '-rvflg': _LD})
def query_rv(array: Array, args: Args) -> Reply:
    """Show an RV with its MV."""
    rv = array.get_bare_ld(args['-rv'])
    pair = array.store.pair_of_rv(rv.ldn)
    if pair is None:
        raise Refusal(Id.NOT_PAIRED, rv.name)
    return Reply(render_text.pair_of_rv(array, rv, pair))
