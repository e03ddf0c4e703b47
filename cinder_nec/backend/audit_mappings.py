# SPDX-License-Identifier: Apache-2.0
"""The part of the audit that looks at LD Sets and attachments."""

from __future__ import annotations

from collections.abc import Iterator
import re

from cinder_nec import naming
from cinder_nec.backend.audit_index import Index
from cinder_nec.backend.cinder_state import (
    CinderAttachment,
    CinderVolume,
    Phase,
)
from cinder_nec.backend.findings import (
    Finding,
    FindingKind,
    Place,
    Standing,
    Step,
)
from cinder_nec.ismcli import commands
from cinder_nec.model import LdMapping, LdSet, LogicalDisk, Protocol

# What naming.ld_set_name_candidates makes of an initiator or a WWPN.
_ISCSI_NAME = re.compile('[a-z0-9-]{16}')
_FC_NAME = re.compile('[0-9a-f]{16}')


def mappings(index: Index) -> Iterator[Finding]:
    """Yield mappings that nothing explains, and what is not mapped."""
    for ld_set in index.array.config.ld_sets.values():
        yield from _left_ld_set(ld_set)
        for mapping in ld_set.mappings.values():
            ld = index.array.config.logical_disks.get(mapping.ldn)
            if ld is not None and index.scope.has(ld):
                yield from _mapping(index, ld_set, mapping, ld)
    for volume in index.cinder.volumes:
        ld = index.volume_ld(volume)
        if ld is not None and volume.is_here:
            yield from _unmapped(index, volume, ld)


def _left_ld_set(ld_set: LdSet) -> Iterator[Finding]:
    """Find one that an attach has made and that holds nothing now.

    Its last LD was detached, or the attach did not come to its end.  In
    one that admits all initiators (full access) nobody is listed.
    """
    name = _FC_NAME if ld_set.protocol is Protocol.FC else _ISCSI_NAME
    if ld_set.mappings or not name.fullmatch(ld_set.name.label):
        return
    hosts = ', '.join(sorted(
        {*ld_set.initiators, *map(str, ld_set.paths),
         *map(str, ld_set.port_paths)}))
    yield Finding(
        FindingKind.LD_SET_LEFT, Standing.HARMLESS, str(ld_set.name),
        f'It holds no LD and lists {hosts or "no host"}; its name is one '
        'that the driver makes. The next attach of its host uses it. No '
        'command is known that removes an LD Set: if the host is gone for '
        'good, remove it with the array\'s own management software.')


def _mapping(index: Index, ld_set: LdSet, mapping: LdMapping,
             ld: LogicalDisk) -> Iterator[Finding]:
    found = naming.find_uuid(ld.name.label)
    # One of an unknown id is a finding by itself, with its mappings.
    if found is None or not (index.is_known(found)
                             or naming.split_suffix(ld.name.label)[1]):
        return
    volume = index.volumes.get(found)
    if volume is not None and ld is index.volume_ld(volume) and any(
            _explains(a, ld_set, mapping)
            for a in index.attachments_of(volume)):
        return
    yield Finding(
        FindingKind.MAPPING_WITHOUT_ATTACHMENT, index.standing_of(found),
        f'{ld.name} in LD Set {ld_set.name}',
        f'Cinder has no attachment of {found} to a host of this LD Set. '
        'A host that still uses it would lose it.', found,
        (index.on_array(commands.delldsetld(ld_set.name, ld.name)),))


def _explains(attachment: CinderAttachment, ld_set: LdSet,
              mapping: LdMapping) -> bool:
    """Tell whether an attachment may be the reason for a mapping."""
    listed = {*(i.lower() for i in ld_set.initiators),
              *(str(path) for path in ld_set.paths)}
    if attachment.hosts and listed:
        return bool(attachment.hosts & listed)
    if attachment.targets and (mapping.target_name or ld_set.target_name):
        return bool(attachment.targets & {mapping.target_name,
                                          ld_set.target_name})
    return True


def _unmapped(index: Index, volume: CinderVolume,
              ld: LogicalDisk) -> Iterator[Finding]:
    sets = index.sets_of(ld)
    for attachment in index.attachments_of(volume):
        if attachment.phase is not Phase.STEADY or any(
                _explains(attachment, s, s.mappings[ld.ldn])
                for s in sets):
            continue
        yield Finding(
            FindingKind.ATTACHMENT_WITHOUT_MAPPING,
            index.standing_of(volume.name_id),
            f'attachment {attachment.cinder_id}',
            f'The LD `{ld.name}` of volume {volume.cinder_id} is in no LD '
            'Set of its host, which cannot reach it. Detach the volume and '
            'attach it again.', volume.cinder_id,
            (Step(Place.CINDER, 'cinder attachment-delete '
                  f'{attachment.cinder_id}'),))
