# SPDX-License-Identifier: Apache-2.0
"""Who belongs to whom on an array: pairs and generations, by asking.

The configuration shows the role of an LD (MV, RV, BV, SV), but not its
partner.  One question for each MV and each BV tells all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import functools
from typing import TypeVar

from cinder_nec import errors
from cinder_nec.assembly import Array
from cinder_nec.cli.reading import ask
from cinder_nec.ismcli.commands import PairRole
from cinder_nec.model import (
    ArrayConfig,
    LogicalDisk,
    PairStatus,
    RplAttribute,
    SnapStatus,
)

_Status = TypeVar('_Status', PairStatus, SnapStatus)


@dataclasses.dataclass(frozen=True)
class Relations:
    """Pairs by the label of their RV, generations by that of their SV.

    :param problems: what could not be asked, one line each
    """

    pairs: Mapping[str, PairStatus]
    generations: Mapping[str, SnapStatus]
    problems: tuple[str, ...] = ()

    @functools.cached_property
    def pair_counts(self) -> Mapping[str, int]:
        """How many RVs an MV has, by its label."""
        return Counter(pair.mv for pair in self.pairs.values())

    @functools.cached_property
    def generation_counts(self) -> Mapping[str, int]:
        """How many generations a BV has, by its label."""
        return Counter(one.bv for one in self.generations.values())


def pairs_on(array: Array, config: ArrayConfig) -> Relations:
    """Return the pairs of an array."""
    return _gathered(*_ask_pairs(array, config), (), ())


def relations_on(array: Array, config: ArrayConfig) -> Relations:
    """Return the pairs and the generations of an array."""
    return _gathered(*_ask_pairs(array, config),
                     *_ask_generations(array, config))


def _ask_pairs(array: Array, config: ArrayConfig
               ) -> tuple[list[PairStatus], list[str]]:
    sources = _with(config, RplAttribute.MV)
    pairs, problems = _ask(
        sources, lambda label: array.client.rc_query(label, PairRole.MV))
    # An MV may not be shown by its name (a snapshot that is copied).
    seen = {pair.rv for pair in pairs}
    targets = [ld for ld in _with(config, RplAttribute.RV)
               if ld.name.label not in seen]
    more, others = _ask(
        targets, lambda label: array.client.rc_query(label, PairRole.RV))
    return [*pairs, *more], [*problems, *others]


def _ask_generations(array: Array, config: ArrayConfig
                     ) -> tuple[list[SnapStatus], list[str]]:
    return _ask(_with(config, RplAttribute.BV),
                array.client.sc_query_of_bv)


def _with(config: ArrayConfig, role: RplAttribute) -> list[LogicalDisk]:
    return [ld for ld in config.logical_disks.values()
            if ld.has(role) and ld.name.label]


def _ask(lds: Sequence[LogicalDisk],
         question: Callable[[str], Sequence[_Status]]
         ) -> tuple[list[_Status], list[str]]:
    """Ask for each LD; a refusal or an odd answer is one LD's problem.

    It may be true: what was an MV in the dump may be none by now.

    :raises errors.TransportError: the array does not answer
    """
    def one(ld: LogicalDisk) -> Sequence[_Status] | str:
        try:
            return question(ld.name.label)
        except errors.TransportError:
            raise
        except errors.NecError as error:
            return f'{ld.name}: {error}'

    answers = ask(lds, one)
    return ([found for answer in answers if not isinstance(answer, str)
             for found in answer],
            [answer for answer in answers if isinstance(answer, str)])


def _gathered(pairs: Iterable[PairStatus], problems: Iterable[str],
              generations: Iterable[SnapStatus],
              others: Iterable[str]) -> Relations:
    return Relations({pair.rv: pair for pair in pairs},
                     {snap.sv: snap for snap in generations},
                     (*problems, *others))
