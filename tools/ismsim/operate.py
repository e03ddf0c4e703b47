# SPDX-License-Identifier: Apache-2.0
"""What an operator, a failure or a test can do, but no command.

Each function is one request of the control socket; README.md lists them.
All are called under the array's lock.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from ismsim import loader
from ismsim.array import Array
from ismsim.commands.common import add_ld, remove_ld
from ismsim.copying import (
    copy_left,
    is_accessible_rv,
    lose_snapshot,
    separate_difference,
    set_abnormal,
)
from ismsim.entities import (
    LdKind,
    LogicalDisk,
    Pair,
    PairState,
    Protocol,
    RemotePair,
    SnapState,
)

Values = dict[str, Any]
Operation = Callable[[Array, Values], Any]
OPERATIONS: dict[str, Operation] = {}


class OperateError(ValueError):
    """The request makes no sense."""


def operation(function: Operation) -> Operation:
    """Register a request under the name of its function."""
    OPERATIONS[function.__name__] = function
    return function


def _ld(array: Array, values: Values, key: str = 'ld') -> LogicalDisk:
    """An LD by name, with or without OS type, or by number."""
    wanted = values[key]
    if isinstance(wanted, int):
        found = array.store.lds.get(wanted)
    else:
        found = array.store.find_ld(str(wanted).rpartition(':')[2])
    if found is None:
        raise OperateError(f'no LD {wanted}')
    return found


def _pair(array: Array, values: Values) -> Pair:
    pair = array.store.pair_of_rv(_ld(array, values, 'rv').ldn)
    if pair is None:
        raise OperateError(f'{values["rv"]} is no RV')
    return pair


# -- looking -----------------------------------------------------------------

def describe_ld(array: Array, ld: LogicalDisk) -> Values:
    """Everything about an LD."""
    store = array.store
    result = {
        'ldn': ld.ldn, 'name': ld.name, 'platform': ld.platform,
        'full_name': ld.full_name, 'pool': ld.pool,
        'capacity': ld.capacity, 'kind': ld.kind.value, 'owner': ld.owner,
        'limit': asdict(ld.limit), 'rpl_attribute': array.rpl_attribute(ld),
        'purpose': array.purpose(ld), 'ldsets': store.ldsets_of(ld.ldn),
        'path': str(array.backing.path(ld.ldn))}
    generation = store.generations.get(ld.ldn)
    if generation is not None:
        result['bv'] = store.lds[generation.bv].name
        result['snap_state'] = generation.state.value
        result['taken'] = generation.taken
    link = store.links.get(ld.ldn)
    if link is not None:
        result['bv'] = store.lds[link.bv].name
        result['sv'] = (None if link.sv is None
                        else store.lds[link.sv].name)
        result['access'] = link.access
    return result


def _describe_pair(array: Array, pair: Pair) -> Values:
    lds = array.store.lds
    return {'mv': lds[pair.mv].name, 'rv': lds[pair.rv].name,
            'state': pair.state.value, 'activity': pair.activity,
            'rv_access': pair.rv_access, 'tracked': pair.tracked,
            'copy_ends': pair.copy_ends,
            'copy_left': copy_left(array, pair),
            'separate_diff': separate_difference(array, pair)}


def _describe_ldset(array: Array, key: str) -> Values:
    item = array.store.ldsets[key]
    lds = array.store.lds
    return {
        'name': item.key, 'type': item.protocol.value,
        'mode': None if item.mode is None else item.mode.value,
        'full_access': item.full_access, 'portals': list(item.portals),
        'portal_port': array.iscsi_port,
        'initiators': list(item.initiators), 'paths': list(item.paths),
        'target_count': item.target_count,
        'luns': [{'slot': slot, 'lun': mapping.lun, 'ldn': mapping.ldn,
                  'ld': lds[mapping.ldn].name,
                  'target': (None if item.protocol is Protocol.FC
                             else item.target(slot if item.mode
                                              and item.mode.value
                                              == 'Multi-Target' else 0))}
                 for slot, mapping in sorted(item.maps.items())]}


@operation
def state(array: Array, values: Values) -> Values:
    """The entire state."""
    store = array.store
    return {
        'array': asdict(array.settings), 'limits': asdict(array.limits),
        'lds': [describe_ld(array, store.lds[ldn])
                for ldn in sorted(store.lds)],
        'pools': [{**asdict(pool), 'used': array.used(pool),
                   'free': array.free(pool)}
                  for pool in store.pools.values()],
        'ports': [{'port': port.key, **asdict(port),
                   'protocol': port.protocol.value}
                  for port in store.ports.values()],
        'ldsets': [_describe_ldset(array, key)
                   for key in sorted(store.ldsets)],
        'pairs': [_describe_pair(array, pair)
                  for pair in store.pairs.values()],
        'remote_pairs': [{'mv': store.lds[pair.mv].name,
                          'rv': pair.rv_name, 'state': pair.state.value}
                         for pair in store.remote_pairs.values()],
        'sras': [asdict(sra) for sra in store.sras.values()]}


@operation
def ld(array: Array, values: Values) -> Values | None:
    """One LD, or null."""
    try:
        return describe_ld(array, _ld(array, values))
    except OperateError:
        return None


@operation
def ldset(array: Array, values: Values) -> Values | None:
    """One LD Set by its name with OS type, or null."""
    if values['ldset'] not in array.store.ldsets:
        return None
    return _describe_ldset(array, values['ldset'])


# -- bytes -------------------------------------------------------------------

def _readable(array: Array, values: Values) -> LogicalDisk:
    """An LD that has bytes: an LV has them only while it is linked."""
    found = _ld(array, values)
    if found.kind is LdKind.LV:
        sv = array.store.links[found.ldn].sv
        if sv is None or not array.backing.path(found.ldn).exists():
            raise OperateError(f'{found.name} shows no snapshot')
    return found


def _is_writable(array: Array, found: LogicalDisk) -> bool:
    link = array.store.links.get(found.ldn)
    if link is not None:
        return link.access == 'rw'
    pair = array.store.pair_of_rv(found.ldn)
    return pair is None or (is_accessible_rv(pair)
                            and pair.rv_access == 'rw')


@operation
def ld_path(array: Array, values: Values) -> str:
    """The LD's backing file, made if it is not there yet."""
    found = _readable(array, values)
    if found.kind is LdKind.LV:
        return str(array.backing.path(found.ldn))
    return str(array.backing.ensure(found.ldn, found.capacity))


@operation
def ld_read(array: Array, values: Values) -> str:
    """Bytes of an LD, in base 64."""
    found = _readable(array, values)
    return base64.b64encode(array.backing.read(
        found.ldn, int(values.get('offset', 0)), int(values['length']),
        found.capacity)).decode()


@operation
def ld_write(array: Array, values: Values) -> None:
    """Write bytes (base 64) to an LD, as a host does.

    Refused where a host could not write: to an LV linked read-only, to an
    RV that is copied to or was separated read-only (ISMCLI.md B.3).
    """
    found = _readable(array, values)
    if not _is_writable(array, found):
        raise OperateError(f'{found.name} is not writable now')
    array.backing.write(found.ldn, int(values.get('offset', 0)),
                        base64.b64decode(values['data']), found.capacity)


# -- failures of the state ---------------------------------------------------

@operation
def pair_state(array: Array, values: Values) -> None:
    """Put a pair into `fault` or `cancel`, or heal it: `separated`."""
    pair = _pair(array, values)
    wanted = PairState(values['state'])
    if wanted in (PairState.FAULT, PairState.CANCEL):
        set_abnormal(array, pair, wanted)
    elif wanted is PairState.SEPARATED:
        array.store.put(replace(pair, state=wanted, copy_ends=None))
    else:
        raise OperateError('state must be fault, cancel or separated')


@operation
def snap_state(array: Array, values: Values) -> None:
    """`snap/fault`, or `---`: the snapshot lost its data."""
    found = _ld(array, values, 'sv')
    generation = array.store.generations.get(found.ldn)
    wanted = SnapState(values['state'])
    if generation is None or wanted not in (SnapState.FAULT,
                                            SnapState.NONE):
        raise OperateError('an SV, and snap/fault or ---, are needed')
    if wanted is SnapState.NONE:
        generation = replace(generation, taken=None)
    lose_snapshot(array, generation, wanted)


@operation
def sra_exhausted(array: Array, values: Values) -> None:
    """The SRA of a pool runs full, or (on: false) has room again.

    Every snapshot in it loses its data (manual appendix A), unless
    `keep` is set.
    """
    sra = array.store.sras[int(values['pool'])]
    on = bool(values.get('on', True))
    array.store.put(replace(sra, exhausted=on))
    if on and not values.get('keep'):
        for generation in list(array.store.generations.values()):
            if array.store.lds[generation.sv].pool == sra.pool:
                lose_snapshot(array, replace(generation, taken=None),
                              SnapState.NONE)


@operation
def pool_free(array: Array, values: Values) -> None:
    """Somebody else's data leaves a thick pool that much free."""
    pool = array.store.pools[int(values['pool'])]
    wanted = loader.parse_size(values['free'])
    allocated = array.store.allocated(pool.number)
    if pool.actual is not None:
        array.store.put(replace(pool, capacity=allocated + wanted))
    else:
        array.store.put(replace(
            pool, used_offset=pool.capacity - allocated - wanted))


@operation
def port_link(array: Array, values: Values) -> None:
    """Pull or plug the cable of a host port."""
    port = array.store.ports[values['port']]
    array.store.put(replace(port, link_up=bool(values['up'])))


@operation
def port_address(array: Array, values: Values) -> None:
    """Give an iSCSI port another address."""
    port = array.store.ports[values['port']]
    array.store.put(replace(port, ip=str(values['ip'])))


@operation
def omit_units(array: Array, values: Values) -> None:
    """Dumps lack the units of these names; an empty list ends it."""
    array.omitted_units = set(values['names'])


# -- what an operator does ---------------------------------------------------

@operation
def ldset_add(array: Array, values: Values) -> None:
    """Make an LD Set; fields as in the YAML."""
    loader.add_ldset(array, values['ldset'])


@operation
def ldset_remove(array: Array, values: Values) -> None:
    """Remove an LD Set with its mappings."""
    found = array.store.ldsets.get(values['ldset'])
    if found is None:
        raise OperateError(f'no LD Set {values["ldset"]}')
    array.store.drop(found)


@operation
def ld_add(array: Array, values: Values) -> None:
    """Make an LD; fields: ldn, name, pool, capacity, kind."""
    if int(values['ldn']) in array.store.lds:
        raise OperateError('the LDN is used')
    add_ld(array, LogicalDisk(
        int(values['ldn']), *str(values['name']).partition(':')[::2],
        int(values['pool']), loader.parse_size(values['capacity']),
        LdKind(values.get('kind', 'ordinary'))))


@operation
def ld_remove(array: Array, values: Values) -> None:
    """Remove an LD that nothing uses."""
    found = _ld(array, values)
    store = array.store
    if (store.ldsets_of(found.ldn) or store.is_mv(found.ldn)
            or store.is_rv(found.ldn) or store.is_bv(found.ldn)
            or found.kind in (LdKind.SV, LdKind.LV)):
        raise OperateError(f'{found.name} is in use')
    remove_ld(array, found)


@operation
def remote_pair_add(array: Array, values: Values) -> None:
    """Pair an LD with an RV in another array (RDR)."""
    array.store.put(RemotePair(
        _ld(array, values, 'mv').ldn, str(values['rv']),
        PairState(values.get('state', 'separated'))))


@operation
def remote_pair_remove(array: Array, values: Values) -> None:
    """End an RDR pair."""
    key = f'{_ld(array, values, "mv").ldn:04x}-{values["rv"]}'
    if key not in array.store.remote_pairs:
        raise OperateError(f'no such pair: {key}')
    array.store.drop(array.store.remote_pairs[key])


@operation
def licences(array: Array, values: Values) -> None:
    """Set which licences are released."""
    array.store.put(replace(array.settings,
                            licences=tuple(values['names'])))


@operation
def rules(array: Array, values: Values) -> None:
    """Change rules (README.md, "Configuration") while it runs."""
    loader.apply_behaviour(array, {
        'rules': values['set'],
        'dump_units_per_ld': array.dump_units_per_ld})


@operation
def limits(array: Array, values: Values) -> None:
    """Override limits of the model while it runs."""
    before = dict(array.limit_overrides)
    array.limit_overrides.update(values['set'])
    try:
        array.limits  # noqa: B018  (raises for an unknown name)
    except ValueError:
        array.limit_overrides = before
        raise
