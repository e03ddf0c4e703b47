# SPDX-License-Identifier: Apache-2.0
"""iSMcfg, the part about LDs (ISMCLI.md A.3)."""

from __future__ import annotations

from dataclasses import replace

from ismsim.array import Array
from ismsim.commands.common import (
    UNIT,
    add_ld,
    need_kind,
    need_unmapped,
    need_unpaired,
    remove_ld,
)
from ismsim.copying import RESTING
from ismsim.entities import Generation, LdKind, Link, LogicalDisk, SnapState
from ismsim.grammar import Args, Kind, command, flag, number, one_of, text
from ismsim.messages import Id, Refusal, Reply, success_reply

# ASSUMED: ISMCLI.md A.3 says that a control volume takes no capacity.
_CV_CAPACITY = 65536


@command('iSMcfg', 'ldbind', Kind.CHANGE, {
    '-poolnumber': number(), '-ldn': number(), '-capacity': number(),
    '-unit': one_of('gb', required=False), '-immediate': flag(True)})
def ldbind(array: Array, args: Args) -> Reply:
    """Make an LD with a blank OS type and the factory name."""
    pool = array.get_pool(args['-poolnumber'])
    ldn = array.need_ldn(args['-ldn'])
    size = int(args['-capacity']) * UNIT
    if not size:
        raise Refusal(Id.BAD_VALUE, '-capacity')
    array.need_ld_slot(pool)
    array.need_room(pool, size)
    add_ld(array, LogicalDisk(
        ldn, '', array.factory_name(ldn), pool.number, size,
        # Manual 7.3.5 (*1): the initial value of I/O control applies.
        limit=array.settings.default_limit))
    return success_reply('iSMcfg')


@command('iSMcfg', 'ldbind', Kind.CHANGE, {
    '-poolnumber': number(), '-ldn': number(), '-ldattr': one_of('cv')})
def ldbind_cv(array: Array, args: Args) -> Reply:
    """Make a control volume."""
    pool = array.get_pool(args['-poolnumber'])
    ldn = array.need_ldn(args['-ldn'])
    array.need_ld_slot(pool)
    add_ld(array, LogicalDisk(ldn, '', array.factory_name(ldn),
                              pool.number, _CV_CAPACITY, LdKind.CV))
    return success_reply('iSMcfg')


@command('iSMcfg', 'ldunbind', Kind.CHANGE, {'-ldname': text()})
def ldunbind(array: Array, args: Args) -> Reply:
    """Remove an LD that nothing uses (ISMCLI.md B.5, B.6)."""
    ld = array.get_ld(args['-ldname'])
    # ASSUMED: SVs and LVs go by generationdel and lvunbind only, system
    # volumes not at all.
    need_kind(ld, LdKind.ORDINARY, LdKind.CV)
    need_unmapped(array, ld)
    need_unpaired(array, ld)
    if (array.store.generations_of(ld.ldn)
            or array.store.links_of(ld.ldn)):
        raise Refusal(Id.LD_GENERATIONS, ld.full_name)
    remove_ld(array, ld)
    return success_reply('iSMcfg')


@command('iSMcfg', 'ldexpand', Kind.CHANGE, {
    '-ldn': number(), '-capacity': number(), '-unit': one_of('gb')})
def ldexpand(array: Array, args: Args) -> Reply:
    """Make an LD larger; the capacity is the new total."""
    store = array.store
    ld = array.get_ld_by_number(args['-ldn'])
    need_kind(ld, LdKind.ORDINARY)
    size = int(args['-capacity']) * UNIT
    if size <= ld.capacity:
        raise Refusal(Id.NOT_LARGER, ld.full_name)
    # Manual 7.3.3 note 2.
    if store.generations_of(ld.ldn) or store.links_of(ld.ldn):
        raise Refusal(Id.LD_GENERATIONS, ld.full_name)
    pairs = store.pairs_of_mv(ld.ldn)
    own = store.pair_of_rv(ld.ldn)
    if own is not None:
        pairs.append(own)
    # Manual 7.3.3 note 1, and ISMCLI.md B.5: every pair separated.
    if pairs and not array.limits.expand_paired:
        raise Refusal(Id.MODEL, array.settings.product_id)
    if any(pair.state not in RESTING for pair in pairs):
        raise Refusal(Id.LD_BUSY, ld.full_name)
    array.need_room(array.get_pool(str(ld.pool)), size - ld.capacity)
    array.backing.grow(ld.ldn, size)
    store.put(replace(ld, capacity=size))
    return success_reply('iSMcfg')


def _rename(array: Array, ld: LogicalDisk, new: str) -> Reply:
    # ASSUMED: the volumes that the array made for itself keep their names.
    if ld.kind in (LdKind.SYV, LdKind.SDV, LdKind.RSV):
        raise Refusal(Id.LD_KIND, ld.full_name)
    platform, name = new.partition(':')[::2]
    if ld.name != name:
        platform, name = array.new_ld_name(new)
    elif ld.platform == platform:
        raise Refusal(Id.NAME_USED, new)
    array.store.put(replace(ld, platform=platform, name=name))
    return success_reply('iSMcfg')


@command('iSMcfg', 'nickname', Kind.CHANGE, {
    '-ldn': number(), '-newname': text(), '-immediate': flag(True)})
def nickname_by_number(array: Array, args: Args) -> Reply:
    """Name an LD by its number."""
    return _rename(array, array.get_ld_by_number(args['-ldn']),
                   args['-newname'])


@command('iSMcfg', 'nickname', Kind.CHANGE, {
    '-ldname': text(), '-newname': text()})
def nickname_by_name(array: Array, args: Args) -> Reply:
    """Rename an LD."""
    return _rename(array, array.get_ld(args['-ldname']), args['-newname'])


@command('iSMcfg', 'ldchgattr', Kind.CHANGE, {
    '-ldname': text(), '-owner': one_of('0', '1')})
def ldchgattr(array: Array, args: Args) -> Reply:
    """Change the owner (manual appendix B; the values are ASSUMED)."""
    ld = array.get_ld(args['-ldname'])
    array.store.put(replace(ld, owner=int(args['-owner'])))
    return success_reply('iSMcfg')


# -- generations and link volumes (ISMCLI.md A.3, B.6) ----------------------

@command('iSMcfg', 'generationadd', Kind.CHANGE, {
    '-bvname': text(), '-poolnumber': number(), '-count': one_of('1'),
    '-svname': text()})
def generationadd(array: Array, args: Args) -> Reply:
    """Add a generation: an SV without data under a BV."""
    store = array.store
    array.need_licence('Snapshot')
    bv = array.get_ld(args['-bvname'])
    pool = array.get_pool(args['-poolnumber'])
    # ASSUMED: a volume that others copy to is no base for snapshots.
    need_kind(bv, LdKind.ORDINARY)
    if store.pair_of_rv(bv.ldn) is not None:
        raise Refusal(Id.PAIR_ATTRIBUTE, bv.full_name)
    if pool.number not in store.sras:
        raise Refusal(Id.NO_SRA, args['-poolnumber'])
    if (len(store.generations_of(bv.ldn))
            >= array.limits.generations_per_bv):
        raise Refusal(Id.GENERATION_LIMIT, bv.full_name)
    array.check_bare_name(args['-svname'])
    array.need_ld_slot(pool)
    # ASSUMED: the array gives the SV the lowest free LDN.
    ldn = store.free_ldn(array.limits.lds)
    if ldn is None:
        raise Refusal(Id.LD_LIMIT)
    add_ld(array, LogicalDisk(ldn, bv.platform, args['-svname'],
                              pool.number, bv.capacity, LdKind.SV))
    store.put(Generation(ldn, bv.ldn, store.next_sequence()))
    return success_reply('iSMcfg')


@command('iSMcfg', 'generationdel', Kind.CHANGE, {
    '-bvname': text(), '-count': one_of('1')})
def generationdel(array: Array, args: Args) -> Reply:
    """Take one generation away that holds no data.

    ASSUMED: one with data is never chosen (the in-tree driver deletes the
    data first); of several without data, the oldest slot.
    """
    store = array.store
    bv = array.get_ld(args['-bvname'])
    empty = [generation for generation in store.generations_of(bv.ldn)
             if generation.state in (SnapState.NONE, SnapState.FAULT)
             and not store.pairs_of_mv(generation.sv)
             and store.link_to(generation.sv) is None]
    if not empty:
        raise Refusal(Id.NO_FREE_GENERATION, bv.full_name)
    if len(store.generations_of(bv.ldn)) == 1 and store.links_of(bv.ldn):
        raise Refusal(Id.LINK_LEFT, bv.full_name)
    newest = array.rules.generationdel == 'newest'
    chosen = empty[-1 if newest else 0]
    store.drop(chosen)
    remove_ld(array, store.lds[chosen.sv])
    return success_reply('iSMcfg')


@command('iSMcfg', 'lvbind', Kind.CHANGE, {
    '-bvname': text(), '-lvn': number(), '-lvname': text()})
def lvbind(array: Array, args: Args) -> Reply:
    """Make an LV of a BV."""
    store = array.store
    array.need_licence('Snapshot')
    bv = array.get_ld(args['-bvname'])
    ldn = array.need_ldn(args['-lvn'])
    array.check_bare_name(args['-lvname'])
    # ASSUMED: there has to be something that the LV could show.
    if not store.generations_of(bv.ldn):
        raise Refusal(Id.BV_STATE, bv.full_name)
    array.need_ld_slot(array.get_pool(str(bv.pool)))
    add_ld(array, LogicalDisk(ldn, bv.platform, args['-lvname'], bv.pool,
                              bv.capacity, LdKind.LV))
    store.put(Link(ldn, bv.ldn))
    return success_reply('iSMcfg')


@command('iSMcfg', 'lvunbind', Kind.CHANGE, {'-ldname': text()})
def lvunbind(array: Array, args: Args) -> Reply:
    """Remove an LV; ASSUMED: only an unmapped, unlinked one."""
    store = array.store
    ld = array.get_ld(args['-ldname'])
    need_kind(ld, LdKind.LV)
    need_unmapped(array, ld)
    link = store.links[ld.ldn]
    if link.sv is not None:
        raise Refusal(Id.LV_LINKED, ld.full_name)
    store.drop(link)
    remove_ld(array, ld)
    return success_reply('iSMcfg')
