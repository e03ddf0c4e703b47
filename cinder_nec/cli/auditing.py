# SPDX-License-Identifier: Apache-2.0
"""Audits of the arrays of a site, and what mends a finding."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

from cinder_nec import assembly
from cinder_nec.assembly import Array
from cinder_nec.backend.audit import AuditScope, audit, read_array
from cinder_nec.backend.findings import Finding, Place, Standing
from cinder_nec.cli.cloud import Cloud, backend_of
from cinder_nec.cli.site import Entry
from cinder_nec.config import BackendConfig


@dataclasses.dataclass(frozen=True)
class Part:
    """The back ends of a site that are on one array."""

    entries: tuple[Entry, ...]

    @property
    def config(self) -> BackendConfig:
        """The options of one of them, to reach the array by."""
        config = self.entries[0].config
        assert config is not None
        return config

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(entry.group for entry in self.entries)

    @property
    def name(self) -> str:
        return ', '.join(self.groups)

    @property
    def scope(self) -> AuditScope:
        """All their pools; all of the array if one of them has all."""
        configs = [e.config for e in self.entries if e.config is not None]
        pools = {n for c in configs for n in c.pools}
        if not all(c.pools for c in configs):
            pools = set()
        return AuditScope.of(
            pools, {n for c in configs for n in c.backup_pools},
            self.config.platform, self.config.control_volume_format)

    def audit(self, array: Array, cloud: Cloud) -> list[Finding]:
        """Compare the array with Cinder, as they are now.

        Cinder is read before and after the array: what changes meanwhile
        is not called wrong.

        :raises errors.NecError: the array cannot be read
        :raises NotRun: Cinder cannot be asked
        """
        before = cloud.state(self.is_here)
        state = read_array(array.client, array.inventory)
        return audit(state, before.until(cloud.state(self.is_here)),
                     self.scope)

    def is_here(self, host: str) -> bool:
        """Tell whether a volume's host is one of the back ends."""
        return backend_of(host) in self.groups


def parts_of(entries: Sequence[Entry]) -> list[Part]:
    """Return the back ends by array; those that cannot be used left out."""
    found: dict[object, list[Entry]] = {}
    for entry in entries:
        if entry.config is not None:
            key = (assembly.array_key(entry.config), entry.config.platform,
                   entry.config.control_volume_format)
            found.setdefault(key, []).append(entry)
    return [Part(tuple(group)) for group in found.values()]


def can_be_mended(finding: Finding) -> bool:
    """Tell whether ``--mend`` may run the commands of a finding.

    Only a difference, only what is proven to lose no data, and only if all
    of it happens on the array; what Cinder has to do is the operator's.
    """
    return (finding.standing is Standing.DIFFERENCE and finding.is_safe
            and bool(finding.steps)
            and all(step.place is Place.ARRAY for step in finding.steps))


def mend(finding: Finding, array: Array) -> None:
    """Run the commands of a finding that can be mended.

    :raises errors.NecError: one was refused; those before it were run
    """
    if not can_be_mended(finding):
        raise ValueError(f'not to be mended: {finding}')
    for step in finding.steps:
        array.client.repeat(step.text)
