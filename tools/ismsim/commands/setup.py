# SPDX-License-Identifier: Apache-2.0
"""iSMcfg, what an operator does once (ISMCLI.md A.3, H).

Only the names of these commands are evidenced; their options are ASSUMED.
A driver has no business here.
"""

from __future__ import annotations

from dataclasses import replace

from ismsim.array import Array
from ismsim.commands.common import UNIT, add_ld
from ismsim.entities import LdKind, LogicalDisk, Pool, Protocol, Sra
from ismsim.grammar import Args, Kind, command, number, one_of, text
from ismsim.messages import Id, Refusal, Reply, success_reply

LICENCES = ('DynamicDataReplication', 'Snapshot', 'IOLoadManager',
            'AccessControl', 'ThinProvisioning')
_GB = one_of('gb', required=False)


@command('iSMcfg', 'licenserelease', Kind.CHANGE, {'-key': text()})
def licenserelease(array: Array, args: Args) -> Reply:
    """Release a licence; here the key is the licence's name."""
    settings = array.settings
    if args['-key'] not in LICENCES:
        raise Refusal(Id.BAD_VALUE, args['-key'])
    if args['-key'] not in settings.licences:
        array.store.put(replace(settings, licences=(
            *settings.licences, args['-key'])))
    return success_reply('iSMcfg')


@command('iSMcfg', 'poolbind', Kind.CHANGE, {
    '-poolnumber': number(), '-poolname': text(), '-capacity': number(),
    '-unit': _GB})
def poolbind(array: Array, args: Args) -> Reply:
    """Make a pool."""
    pool = int(args['-poolnumber'])
    if pool in array.store.pools:
        raise Refusal(Id.POOL_USED, args['-poolnumber'])
    array.store.put(Pool(pool, args['-poolname'],
                         int(args['-capacity']) * UNIT))
    return success_reply('iSMcfg')


@command('iSMcfg', 'srabind', Kind.CHANGE, {
    '-poolnumber': number(), '-capacity': number(), '-unit': _GB})
def srabind(array: Array, args: Args) -> Reply:
    """Make the SRA of a snapshot pool, with its SDV."""
    array.need_licence('Snapshot')
    pool = array.get_pool(args['-poolnumber'])
    if pool.number in array.store.sras:
        raise Refusal(Id.SRA_USED, args['-poolnumber'])
    bind_sra(array, pool, int(args['-capacity']) * UNIT)
    return success_reply('iSMcfg')


def bind_sra(array: Array, pool: Pool, size: int,
             ldn: int | None = None) -> None:
    """Put an SRA and its SDV into a pool."""
    array.need_room(pool, size)
    if ldn is None:
        ldn = array.store.free_ldn(array.limits.lds)
    if ldn is None:
        raise Refusal(Id.LD_LIMIT)
    # The sample dump has a `backup_SDV0001` without an OS type.
    add_ld(array, LogicalDisk(ldn, '', f'backup_SDV{ldn:04X}',
                              pool.number, size, LdKind.SDV))
    array.store.put(Sra(pool.number, size, ldn))


@command('iSMcfg', 'sraexpand', Kind.CHANGE, {
    '-poolnumber': number(), '-capacity': number(), '-unit': _GB})
def sraexpand(array: Array, args: Args) -> Reply:
    """Make an SRA larger (manual appendix A); capacity = new total."""
    store = array.store
    pool = array.get_pool(args['-poolnumber'])
    sra = store.sras.get(pool.number)
    if sra is None:
        raise Refusal(Id.NO_SRA, args['-poolnumber'])
    size = int(args['-capacity']) * UNIT
    if size <= sra.capacity:
        raise Refusal(Id.NOT_LARGER)
    array.need_room(pool, size - sra.capacity)
    store.put(replace(store.lds[sra.sdv], capacity=size))
    store.put(replace(sra, capacity=size, exhausted=False))
    return success_reply('iSMcfg')


@command('iSMcfg', 'startacc', Kind.CHANGE)
def startacc(array: Array, args: Args) -> Reply:
    """Turn access control on."""
    array.store.put(replace(array.settings, access_control=True))
    return success_reply('iSMcfg')


@command('iSMcfg', 'setiscsiport', Kind.CHANGE, {
    '-port': text(), '-ipaddress': text()})
def setiscsiport(array: Array, args: Args) -> Reply:
    """Set the address of an iSCSI port."""
    port = array.store.ports.get(args['-port'])
    if port is None or port.protocol is not Protocol.ISCSI:
        raise Refusal(Id.NO_PORT, args['-port'])
    array.store.put(replace(port, ip=args['-ipaddress']))
    return success_reply('iSMcfg')
