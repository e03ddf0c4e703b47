# SPDX-License-Identifier: Apache-2.0
"""Choices, as pure functions: which pool, which ports in which order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
import re

from cinder_nec import errors
from cinder_nec.model import (
    GIB,
    ArrayConfig,
    HostPort,
    LdSet,
    LdSetName,
    LinkState,
    Pool,
    Portal,
    Protocol,
    Wwpn,
)

_PORT_PATH = re.compile(r'([0-9A-Fa-f]{1,4})-([0-9A-Fa-f]{1,4})h?\s*\(')


def usable_pools(config: ArrayConfig,
                 numbers: Collection[int]) -> tuple[Pool, ...]:
    """Return the pools with these numbers; all if none is given.

    Numbers that the array does not have are left out.
    """
    return tuple(pool for number, pool in sorted(config.pools.items())
                 if not numbers or number in numbers)


def choose_pool(config: ArrayConfig, numbers: Collection[int],
                size_gib: int) -> Pool:
    """Return the pool with the fewest LDs of those with enough room.

    The rule of the manual, chapter 6 (``nec_pools``); of pools alike the
    one with more free capacity, then the lowest number.

    :raises errors.NoCapacity: no pool has ``size_gib`` free
    """
    pools = usable_pools(config, numbers)
    roomy = [p for p in pools if p.free_bytes >= size_gib * GIB]
    if not roomy:
        free = ', '.join(f'pool {p.number}: {p.free_bytes // GIB} GiB free'
                         for p in pools) or 'no such pool on the array'
        raise errors.NoCapacity(
            f'No available pools found for {size_gib} GiB ({free}).',
            'Delete volumes, extend a pool, or add a pool to nec_pools '
            '(snapshots: nec_backup_pools).')
    counts = config.ld_counts()
    return min(roomy, key=lambda p: (counts[p.number], -p.free_bytes,
                                     p.number))


def iscsi_portals(config: ArrayConfig, ld_set: LdSet, pool: int, ldn: int,
                  per_controller: int) -> tuple[Portal, ...]:
    """Return the portals a host should use, the best one first.

    Portals whose link is up; if there is none, all of them, so that a host
    can log in as soon as one recovers.  First those of the controller that
    owns the LD: CONT0 for an even pool number, CONT1 for an odd one
    (manual appendix B).  Within a controller the LDs take turns.

    :param per_controller: ``nec_iscsi_portals_per_cont``; 0 for all
    """
    ports = {p.ip: p for p in config.host_ports
             if p.protocol is Protocol.ISCSI}

    def is_up(portal: Portal) -> bool:
        port = ports.get(portal.ip)
        return port is not None and port.link is LinkState.UP

    candidates = [p for p in ld_set.portals if is_up(p)]
    candidates = candidates or list(ld_set.portals)
    by_controller: dict[int, list[Portal]] = {}
    for portal in candidates:
        controller = _controller(ports.get(portal.ip))
        by_controller.setdefault(controller, []).append(portal)
    chosen: list[Portal] = []
    for controller in sorted(by_controller,
                             key=lambda c: (c != pool % 2, c)):
        portals = _rotated(by_controller[controller], ldn)
        chosen.extend(portals[:per_controller] if per_controller
                      else portals)
    return tuple(chosen)


def fc_ports(config: ArrayConfig, ld_set: LdSet) -> tuple[Wwpn, ...]:
    """Return the array's ports that an LD Set is seen through.

    All FC ports, or those that the LD Set lists.
    """
    return tuple(p.wwpn for p in _fc_ports(config, ld_set) if p.wwpn)


def fc_targets(config: ArrayConfig, ld_set: LdSet,
               pool: int) -> tuple[Wwpn, ...]:
    """Return the ports a host should use, the best ones first.

    A link that is not known counts as up.  If none is up, all, so that a
    host finds the LD as soon as one recovers.  First those of the
    controller that owns the LD (see :func:`iscsi_portals`).
    """
    ports = _fc_ports(config, ld_set)
    ports = [p for p in ports if p.link is not LinkState.DOWN] or ports
    ports.sort(key=lambda p: _controller(p) != pool % 2)
    return tuple(p.wwpn for p in ports if p.wwpn)


def _fc_ports(config: ArrayConfig, ld_set: LdSet) -> list[HostPort]:
    listed = {_port_of(path) for path in ld_set.port_paths}
    return [p for p in sorted(config.host_ports,
                              key=lambda p: (p.director, p.number))
            if p.protocol is Protocol.FC
            and (not listed or (p.director, p.number) in listed)]


def _port_of(path: str) -> tuple[int, int] | None:
    """Read a path such as ``00-01(HD0-P1)``: director and port."""
    found = _PORT_PATH.match(path)
    return found and (int(found[1], 16), int(found[2], 16))


def _controller(port: HostPort | None) -> int:
    return -1 if port is None else port.director % 2


def check_not_full(config: ArrayConfig, name: LdSetName,
                   refusal: errors.CommandFailed) -> None:
    """See whether an LD was refused because its LD Set is full.

    :raises errors.NoCapacity: the LD Set has all LDs that it can have
    """
    limit = config.limits.lds_per_ld_set
    ld_set = config.ld_sets.get(name)
    if ld_set is not None and len(ld_set.mappings) >= limit:
        raise errors.NoCapacity(
            f'LD Set `{name}` has {limit} logical disks, as many as it can '
            f'have on a disk array {config.product_id} (manual 2.4).',
            'Detach volumes from its hosts, or use more LD Sets.'
        ) from refusal


def _rotated(portals: Sequence[Portal], ldn: int) -> list[Portal]:
    turn = ldn % len(portals)
    return [*portals[turn:], *portals[:turn]]
