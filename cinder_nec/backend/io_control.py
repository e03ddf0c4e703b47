# SPDX-License-Identifier: Apache-2.0
"""I/O limits of LDs (manual 7.3.5; ISMCLI.md A.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import dataclasses

from cinder_nec.backend.inventory import Inventory
from cinder_nec.backend.outcome import carry_out
from cinder_nec.backend.undo import Undo
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.model import LdName


@dataclasses.dataclass(frozen=True)
class IoLimits:
    """Limits to set; None leaves what the array has.

    A new LD has the initial values of ``iSMioc setdfllimit``, so None
    respects them and 0 overrides them (manual 7.3.5, *1 and *2).
    """

    upper: int | None = None
    lower: int | None = None
    report: bool | None = None

    def is_empty(self) -> bool:
        """Tell whether there is nothing to set."""
        return self == IoLimits()

    def replacing(self, old: IoLimits) -> IoLimits:
        """Return what turns the limits of another type into these.

        What only the old type states is taken off, by 0 and ``off``.  The
        array does not show its initial values, so they cannot be put
        back; an operator who uses them states them in the type as well.
        """
        return IoLimits(
            0 if self.upper is None and old.upper is not None
            else self.upper,
            0 if self.lower is None and old.lower is not None
            else self.lower,
            False if self.report is None and old.report is not None
            else self.report)


class IoControl:
    """Sets limits; an LD never goes because of it, unless it is new."""

    def __init__(self, client: IsmClient, inventory: Inventory) -> None:
        self._client = client
        self._inventory = inventory

    def set(self, name: LdName, limits: IoLimits) -> None:
        """Set the limits of an LD, mapped or not.

        Precondition: the LD exists.
        Re-entry: setting them twice does no harm.
        Undo: nothing to undo; the LD stays in any case.
        Crash leaves: the old or the new limits.
        """
        if limits.is_empty():
            return
        # The array does not show an LD's limits: what was lost is sent
        # again.
        carry_out(lambda: self._client.setlimit(
            name, limits.upper, limits.lower, limits.report),
            happened=lambda: False)

    @contextlib.contextmanager
    def on_new(self, name: LdName, limits: IoLimits,
               remove: Callable[[LdName], object]) -> Iterator[None]:
        """Set the limits of the LD that the block makes.

        Precondition: the block makes the LD, or finds its own earlier try.
        Re-entry: an LD that was there before is limited, never removed.
        Undo: the new LD is removed when it cannot be limited.
        Crash leaves: the LD with the array's initial values; Cinder has
        the volume in error then.

        :param remove: how to remove a new LD, with pairs it may be in
        """
        is_new = self._inventory.current().find_ld(name) is None
        yield
        with Undo() as undo:
            if is_new:
                undo.push(f'{name}: iSMcfg ldunbind -ldname {name}',
                          lambda: remove(name))
            self.set(name, limits)
