# SPDX-License-Identifier: Apache-2.0
"""Checks and steps that several commands share."""

from __future__ import annotations

from ismsim.array import Array
from ismsim.entities import LdKind, LogicalDisk
from ismsim.messages import Id, Refusal

UNIT = 1 << 30


def add_ld(array: Array, ld: LogicalDisk) -> None:
    """Make an LD; its number may have belonged to another one before."""
    array.backing.remove(ld.ldn)
    array.store.put(ld)


def remove_ld(array: Array, ld: LogicalDisk) -> None:
    """Remove an LD with its bytes."""
    array.backing.remove(ld.ldn)
    array.store.drop(ld)


def need_kind(ld: LogicalDisk, *kinds: LdKind) -> None:
    """Refuse an operation that this kind of LD does not allow."""
    if ld.kind not in kinds:
        raise Refusal(Id.LD_KIND, f'{ld.full_name} {ld.kind.value}')


def need_unmapped(array: Array, ld: LogicalDisk,
                  ident: Id = Id.LD_MAPPED) -> None:
    """Refuse while the LD is in an LD Set (ISMCLI.md B.5)."""
    if array.store.ldsets_of(ld.ldn):
        raise Refusal(ident, ld.full_name)


def need_unpaired(array: Array, ld: LogicalDisk) -> None:
    """Refuse while the LD is paired (ISMCLI.md B.5)."""
    store = array.store
    if (store.pairs_of_mv(ld.ldn) or store.pair_of_rv(ld.ldn) is not None
            or any(remote.mv == ld.ldn
                   for remote in store.remote_pairs.values())):
        raise Refusal(Id.LD_PAIRED, ld.full_name)
