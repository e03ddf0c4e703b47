# SPDX-License-Identifier: Apache-2.0
"""iSMsc_*: snapshots (ISMCLI.md A.6, B.6)."""

from __future__ import annotations

from dataclasses import replace

from ismsim import render_text
from ismsim.array import Array
from ismsim.commands.common import need_kind, need_unmapped
from ismsim.copying import RESTING, copy_end, is_copying
from ismsim.entities import Generation, LdKind, Link, LogicalDisk, SnapState
from ismsim.grammar import Args, Kind, command, flag, one_of, text
from ismsim.messages import Id, Refusal, Reply, success_reply

_LD = one_of('ld')
_BV = {'-bv': text(), '-bvflg': _LD}
_SV = {'-sv': text(), '-svflg': _LD}
_LV = {'-lv': text(), '-lvflg': _LD}


def _get_generation(array: Array, name: str) -> Generation:
    sv = array.get_bare_ld(name)
    need_kind(sv, LdKind.SV)
    return array.store.generations[sv.ldn]


def _get_both(array: Array, args: Args) -> tuple[LogicalDisk, Generation]:
    bv = array.get_bare_ld(args['-bv'])
    generation = _get_generation(array, args['-sv'])
    if generation.bv != bv.ldn:
        raise Refusal(Id.NO_SV, f'{args["-bv"]} {args["-sv"]}')
    return bv, generation


def _need_bv_at_rest(array: Array, bv: LogicalDisk) -> None:
    # ASSUMED: neither a restore of this BV nor a copy to it is running.
    if any(generation.state is SnapState.RESTORING
           for generation in array.store.generations_of(bv.ldn)):
        raise Refusal(Id.BV_STATE, bv.name)
    own = array.store.pair_of_rv(bv.ldn)
    if own is not None and own.state not in RESTING:
        raise Refusal(Id.BV_STATE, bv.name)


def _need_sv_free(array: Array, generation: Generation) -> None:
    name = array.store.lds[generation.sv].name
    # ASSUMED: the OEM procedure unlinks first; whether the array insists
    # is not known (ISMCLI.md B.6).
    if array.store.link_to(generation.sv) is not None:
        raise Refusal(Id.SV_LINKED, name)
    # ASSUMED: an SV that is an MV has to be unpaired first.
    if array.store.pairs_of_mv(generation.sv):
        raise Refusal(Id.SV_PAIRED, name)


@command('iSMsc_create', '', Kind.CHANGE, {**_BV, **_SV},
         latency='sc_create')
def create(array: Array, args: Args) -> Reply:
    """Freeze the BV's content in the SV; synchronous (A.6)."""
    store = array.store
    array.need_licence('Snapshot')
    bv, generation = _get_both(array, args)
    sv = store.lds[generation.sv]
    # B.6: an SV that already holds data takes the snapshot anew.
    if generation.state not in (SnapState.NONE, SnapState.ACTIVE):
        raise Refusal(Id.SNAP_STATE, generation.state.value)
    _need_sv_free(array, generation)
    _need_bv_at_rest(array, bv)
    sra = store.sras[sv.pool]
    needed = array.rules.sra_per_snapshot
    taken = sum(other.sra_bytes for other in store.generations.values()
                if store.lds[other.sv].pool == sv.pool
                and other.sv != sv.ldn)
    # ISMCLI.md B.6, F; manual appendix A.
    if sra.exhausted or taken + needed > sra.capacity:
        raise Refusal(Id.SRA_FULL, f'{sv.pool:04x}')
    array.backing.copy(bv.ldn, sv.ldn, bv.capacity)
    taken_at = array.clock.now()
    store.put(replace(
        generation, state=SnapState.ACTIVE, taken=taken_at,
        order=store.next_sequence(), sra_bytes=needed))
    body = render_text.snapshot_created(bv, sv, taken_at)
    return success_reply('iSMsc_create', Id.SNAPSHOT_CREATED, body)


@command('iSMsc_delete', '', Kind.CHANGE, {**_BV, **_SV})
def delete(array: Array, args: Args) -> Reply:
    """Begin to delete the snapshot data: snap/deleting (A.6)."""
    array.need_licence('Snapshot')
    _bv, generation = _get_both(array, args)
    # ASSUMED: data in any other state cannot be deleted, or is gone.
    if generation.state is not SnapState.ACTIVE:
        raise Refusal(Id.SNAP_STATE, generation.state.value)
    _need_sv_free(array, generation)
    array.store.put(replace(
        generation, state=SnapState.DELETING,
        ends=array.clock.now() + array.timing.sc_delete))
    return success_reply('iSMsc_delete')


@command('iSMsc_restore', '', Kind.CHANGE, {
    **_BV, **_SV, '-derivsv': one_of('keep'), '-nowait': flag(True)})
def restore(array: Array, args: Args) -> Reply:
    """Bring the BV back: rst/exec -> snap/active (B.6).

    ASSUMED, by analogy with B.3.4: the BV shows the SV's content from the
    start, and the other generations keep their data (`-derivsv keep`).
    """
    store = array.store
    array.need_licence('Snapshot')
    bv, generation = _get_both(array, args)
    if generation.state is not SnapState.ACTIVE:
        raise Refusal(Id.SNAP_STATE, generation.state.value)
    _need_sv_free(array, generation)
    _need_bv_at_rest(array, bv)
    if is_copying(array, bv):
        raise Refusal(Id.BV_STATE, bv.name)
    # ASSUMED: not below the feet of a host.
    need_unmapped(array, bv)
    size = array.backing.difference(bv.ldn, generation.sv)
    array.backing.copy(generation.sv, bv.ldn, bv.capacity)
    store.put(replace(generation, state=SnapState.RESTORING,
                      ends=copy_end(array, size)))
    return success_reply('iSMsc_restore')


# -- link volumes ------------------------------------------------------------

def _get_link(array: Array, name: str) -> Link:
    lv = array.get_bare_ld(name)
    need_kind(lv, LdKind.LV)
    return array.store.links[lv.ldn]


@command('iSMsc_link', '', Kind.CHANGE, {
    **_LV, **_SV, '-lvacc': one_of('ro', 'rw', required=False)})
def link_volume(array: Array, args: Args) -> Reply:
    """Let an LV show an SV."""
    store = array.store
    array.need_licence('Snapshot')
    link = _get_link(array, args['-lv'])
    generation = _get_generation(array, args['-sv'])
    if link.bv != generation.bv:
        raise Refusal(Id.NO_SV, args['-sv'])
    if link.sv is not None:
        raise Refusal(Id.LV_LINKED, args['-lv'])
    # ASSUMED: one LV per SV.
    if store.link_to(generation.sv) is not None:
        raise Refusal(Id.SV_LINKED, args['-sv'])
    if generation.state is not SnapState.ACTIVE:
        raise Refusal(Id.SNAP_STATE, generation.state.value)
    array.backing.link(link.lv, generation.sv,
                       store.lds[generation.sv].capacity)
    store.put(replace(link, sv=generation.sv,
                      access=args.get('-lvacc', 'rw')))
    return success_reply('iSMsc_link', Id.LINKED)


@command('iSMsc_unlink', '', Kind.CHANGE, dict(_LV))
def unlink_volume(array: Array, args: Args) -> Reply:
    """Let an LV show nothing; it may stay mapped (B.6)."""
    link = _get_link(array, args['-lv'])
    if link.sv is None:
        raise Refusal(Id.LV_NOT_LINKED, args['-lv'])
    array.backing.remove(link.lv)
    array.store.put(replace(link, sv=None))
    return success_reply('iSMsc_unlink', Id.UNLINKED)


# -- queries -----------------------------------------------------------------

_SUMMARY = {'-summary': flag()}


@command('iSMsc_query', '', Kind.READ, {**_BV, **_SV, **_SUMMARY})
def query_both(array: Array, args: Args) -> Reply:
    """One SV of a BV."""
    bv, generation = _get_both(array, args)
    return Reply(render_text.snapshots(array, bv, [generation]))


@command('iSMsc_query', '', Kind.READ, {**_SV, **_SUMMARY})
def query_sv(array: Array, args: Args) -> Reply:
    """One SV, with its BV."""
    generation = _get_generation(array, args['-sv'])
    bv = array.store.lds[generation.bv]
    return Reply(render_text.snapshots(array, bv, [generation]))


def _bv_generations(array: Array, args: Args) -> tuple[
        LogicalDisk, list[Generation]]:
    bv = array.get_bare_ld(args['-bv'])
    generations = array.store.generations_of(bv.ldn)
    if not generations:
        raise Refusal(Id.BV_STATE, bv.name)
    return bv, generations


@command('iSMsc_query', '', Kind.READ, {**_BV, **_SUMMARY})
def query_bv(array: Array, args: Args) -> Reply:
    """All SVs of a BV."""
    bv, generations = _bv_generations(array, args)
    return Reply(render_text.snapshots(array, bv, generations))


@command('iSMsc_query', '', Kind.READ, {**_BV, '-detail': flag(True)})
def query_detail(array: Array, args: Args) -> Reply:
    """All SVs of a BV in detail."""
    bv, generations = _bv_generations(array, args)
    return Reply(render_text.snapshot_detail(array, bv, generations))


@command('iSMsc_linkinfo', '', Kind.READ, {
    '-vol': text(), '-volflg': _LD, '-lcl': flag(True)})
def linkinfo(array: Array, args: Args) -> Reply:
    """Which LV shows which SV."""
    volume = array.get_bare_ld(args['-vol'])
    store = array.store
    if volume.kind is LdKind.SV:
        link = store.link_to(volume.ldn)
    elif volume.kind is LdKind.LV:
        link = store.links[volume.ldn]
    else:
        raise Refusal(Id.LD_KIND, volume.name)
    return Reply(render_text.link_info(array, volume, link))
