# SPDX-License-Identifier: Apache-2.0
"""Sections of the configuration dump to the values of the model.

Knows chapters, sections and units (ISMCLI.md A.2), but no XML.  An object
that is not as expected is noted in one line and left out; an LD whose
number can be read is kept whatever else is wrong with it, so that the
number is never taken for a free one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
from types import MappingProxyType

from cinder_nec import errors
from cinder_nec.ismcli import config_values as values
from cinder_nec.ismcli.config_values import Record, Units
from cinder_nec.model import (
    ArrayConfig,
    HostPort,
    LdMapping,
    LdName,
    LdSet,
    LdSetName,
    LogicalDisk,
    Pool,
    Portal,
    Protocol,
    Purpose,
    RplAttribute,
    TargetMode,
    Wwpn,
)

# The pool of an LD whose pool cannot be read.
UNKNOWN_POOL = -1

_NEEDED_CHAPTERS = ('Disk Array', 'Logical Disk', 'Pool')
_MAX_NOTES = 1000


@dataclasses.dataclass
class _LdSetDraft:
    """An LD Set while its sections come in."""

    protocol: Protocol
    information: Record | None = None
    portals: list[Portal] = dataclasses.field(default_factory=list)
    initiators: set[str] = dataclasses.field(default_factory=set)
    paths: set[Wwpn] = dataclasses.field(default_factory=set)
    port_paths: set[str] = dataclasses.field(default_factory=set)
    mappings: dict[int, LdMapping] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)

    def add_portal(self, record: Record) -> None:
        text = values.text_of(record, 'Portal')
        if values.is_off(text) or text.startswith('0.0.0.0:'):
            return
        try:
            portal = Portal.parse(text)
        except errors.InvalidInput:
            raise values.unknown(record, 'Portal') from None
        if not values.is_no_address(portal.ip):
            self.portals.append(portal)

    def add_initiator(self, record: Record) -> None:
        text = values.text_of(record, 'Initiator List')
        if not values.is_off(text):
            self.initiators.add(text.lower())

    def add_path(self, record: Record) -> None:
        text = values.text_of(record, 'Path')
        if values.is_off(text):
            return
        if '(' in text:
            self.port_paths.add(text)
            return
        try:
            self.paths.add(Wwpn.parse(text))
        except errors.InvalidInput:
            raise values.unknown(record, 'Path') from None

    def add_mapping(self, record: Record) -> None:
        if any(record.get(unit, '').startswith('-')
               for unit in ('LUN(h)', 'LDN(h)')):
            return
        ldn = values.hex_of(record, 'LDN(h)')
        mapping = LdMapping(ldn, values.hex_of(record, 'LUN(h)'),
                            record.get('Target Name', ''))
        if self.mappings.setdefault(ldn, mapping) != mapping:
            raise values.Odd(f'the LD {ldn:04x}h is in it twice')


class Collector:
    """Takes the sections of a dump in their order.

    :param known: LDs of an older dump; one that is still the same is taken
        from there
    """

    version = ''
    #: Where the section begins that is taken now.
    line = 0

    def __init__(self, known: Mapping[int, LogicalDisk]) -> None:
        self._known = known
        self._product_id: str | None = None
        self._pools: dict[int, Pool] = {}
        self._disks: dict[int, LogicalDisk] = {}
        self._names: dict[LdName, int] = {}
        self._ld_sets: dict[LdSetName, LdSet] = {}
        self._ports: list[HostPort] = []
        self._notes: list[str] = []
        self._noted = 0
        self._chapters: set[str] = set()
        self._draft: _LdSetDraft | None = None
        self._last_pool: int | None = None
        self._early_actual: int | None = None
        self._by_section: dict[tuple[str, str],
                               Callable[[Units], None]] = {
            ('Disk Array', 'Disk Array Detail Information'):
                self._disk_array,
            ('Logical Disk', 'LD Detail Information'): self._logical_disk,
            ('Pool', 'Pool Detail Information'): self._pool,
            ('Pool', 'Virtual Capacity Pool Information'):
                self._virtual_capacity,
            ('Controller', 'Host Director/Host Port Information'):
                self._host_port,
        }

    def section(self, chapter: str, owner: str, name: str,
                units: Callable[[], Units]) -> None:
        """Take a section; ``units`` is called only if it is needed."""
        handler = self._by_section.get((chapter, name))
        if handler is not None:
            handler(units())
        elif chapter == 'Access Control' and owner.startswith('LD Set('):
            self._ld_set_section(owner, name, units)

    def end_object(self) -> None:
        """The object ends: what hangs together is complete."""
        self._flush_ld_set()
        if self._early_actual is not None:
            self._note('a pool', 'only its virtual capacity is there')
        self._last_pool = self._early_actual = None

    def end_chapter(self, name: str) -> None:
        self._chapters.add(name)

    def finish(self) -> ArrayConfig:
        """:raises errors.ParseError: if a needed chapter is missing"""
        for chapter in _NEEDED_CHAPTERS:
            if chapter not in self._chapters:
                raise errors.ParseError(
                    f'the chapter {chapter!r} is missing',
                    'configuration dump')
        if self._product_id is None:
            self._note('the disk array', 'its product id is missing')
        self._note_unlisted_pools()
        if self._noted > len(self._notes):
            self._notes.append(f'and {self._noted - len(self._notes)} more')
        return ArrayConfig(
            product_id=self._product_id or '',
            version=self.version.removeprefix('Version').strip(),
            pools=MappingProxyType(self._pools),
            logical_disks=MappingProxyType(self._disks),
            ld_sets=MappingProxyType(self._ld_sets),
            host_ports=tuple(self._ports),
            unrecognized=tuple(self._notes),
            _ldn_by_name=MappingProxyType(self._names))

    # -- notes ---------------------------------------------------------

    def _note(self, what: str, why: object) -> None:
        self._noted += 1
        if len(self._notes) < _MAX_NOTES:
            text = f'{what}: {why}'
            if text.endswith(values.NOT_FOUND):
                text += f'. line={self.line}'
            self._notes.append(text)

    def _note_unlisted_pools(self) -> None:
        """One line for a pool, not one for each of its thousand LDs."""
        holding: dict[int, list[int]] = {}
        for disk in self._disks.values():
            if disk.pool not in self._pools and disk.pool != UNKNOWN_POOL:
                holding.setdefault(disk.pool, []).append(disk.ldn)
        for pool, ldns in holding.items():
            more = f' and {len(ldns) - 1} more' if len(ldns) > 1 else ''
            self._note(f'pool {pool:04x}h',
                       f'it is not listed and holds the LD {ldns[0]:04x}h'
                       + more)

    # -- disk array, logical disks, pools, ports -----------------------

    def _disk_array(self, units: Units) -> None:
        self._product_id = values.record_of(units).get('Product ID') or None

    def _logical_disk(self, units: Units) -> None:
        record = values.record_of(units)
        try:
            ldn = values.hex_of(record, 'LDN(h)')
        except values.Odd as odd:
            self._note('an LD', odd)
            return
        what = f'LD {ldn:04x}h'
        if ldn in self._disks:
            self._note(what, 'it is listed twice')
            return
        attributes = values.attributes_of(
            record.get('RPL Attribute', ''))
        if RplAttribute.UNRECOGNIZED in attributes:
            self._note_value(what, record, 'RPL Attribute')
        purpose = values.purpose_of(record.get('Purpose', ''))
        if purpose is Purpose.UNRECOGNIZED:
            self._note_value(what, record, 'Purpose')
        known = self._known.get(ldn)
        disk = LogicalDisk(
            ldn, self._ld_name(what, record, ldn, known),
            self._or_note(what, record, 'Pool No.(h)', values.hex_of,
                          UNKNOWN_POOL),
            self._or_note(what, record, 'LD Capacity', values.bytes_of, 0),
            attributes, purpose)
        self._disks[ldn] = known if known == disk else disk

    def _ld_name(self, what: str, record: Record, ldn: int,
                 known: LogicalDisk | None) -> LdName:
        """Return the name; the index of names gets it if it is one."""
        if 'OS Type' not in record:
            self._note(what, values.not_found('OS Type'))
        name = LdName(record.get('OS Type', ''), record.get('LD Name', ''))
        if known is not None and known.name == name:
            name = known.name
        if not name.label:
            self._note(what, 'it has no LD Name')
        elif self._names.setdefault(name, ldn) != ldn:
            self._note(what, 'its name is that of LD '
                             f'{self._names[name]:04x}h')
        return name

    def _note_value(self, what: str, record: Record, unit: str) -> None:
        self._note(what, values.unknown(record, unit) if unit in record
                   else values.not_found(unit))

    def _or_note(self, what: str, record: Record, unit: str,
                 read: Callable[[Record, str], int], instead: int) -> int:
        try:
            return read(record, unit)
        except values.Odd as odd:
            self._note(what, odd)
            return instead

    def _pool(self, units: Units) -> None:
        record = values.record_of(units)
        what = 'a pool'
        self._last_pool = None
        try:
            number = values.hex_of(record, 'Pool No.(h)')
            what = f'pool {number:04x}h'
            if number in self._pools:
                raise values.Odd('it is listed twice')
            capacity = values.bytes_of(record, 'Pool Capacity')
            used = self._pool_part(what, record, 'Used Pool Capacity')
            free = self._pool_part(what, record, 'Free Pool Capacity')
        except values.Odd as odd:
            self._note(what, odd)
            return
        self._last_pool = number
        self._pools[number] = Pool(number, capacity, used, free,
                                   self._early_actual)
        self._early_actual = None

    def _pool_part(self, what: str, record: Record, unit: str) -> int:
        """Read a size; one below zero, shown as unsigned, counts as 0.

        Arrays show such values (ISMCLI.md A.2).
        """
        if values.is_negative(values.text_of(record, unit)):
            self._note(what, f'the unit {unit!r} is below zero '
                             f'({record[unit]})')
            return 0
        return values.bytes_of(record, unit)

    def _virtual_capacity(self, units: Units) -> None:
        try:
            actual = values.bytes_of(values.record_of(units),
                                     'Actual Capacity')
        except values.Odd as odd:
            self._note('a pool' if self._last_pool is None
                       else f'pool {self._last_pool:04x}h', odd)
            return
        if self._last_pool is None:
            self._early_actual = actual
        else:
            self._pools[self._last_pool] = dataclasses.replace(
                self._pools[self._last_pool], actual_bytes=actual)

    def _host_port(self, units: Units) -> None:
        record = values.record_of(units)
        what = 'a host port'
        try:
            text = values.text_of(record, 'Port No.(h)')
            what = f'host port {text[:12]!r}'
            port = values.port_of(record)
        except values.Odd as odd:
            self._note(what, odd)
            return
        if port is not None:
            self._ports.append(port)

    # -- LD Sets -------------------------------------------------------

    def _ld_set_section(self, owner: str, name: str,
                        units: Callable[[], Units]) -> None:
        protocol = {'LD Set(FC)': Protocol.FC,
                    'LD Set(iSCSI)': Protocol.ISCSI}.get(owner)
        if protocol is None:
            return
        if name == f'{owner} Information':
            if self._draft is not None and self._draft.information:
                self._flush_ld_set()
            self._draft = self._draft or _LdSetDraft(protocol)
            self._draft.information = values.record_of(units())
            return
        self._draft = draft = self._draft or _LdSetDraft(protocol)
        add = {'Path List': draft.add_path,
               'Portal': draft.add_portal,
               'Initiator List': draft.add_initiator,
               'LUN/LD List': draft.add_mapping,
               'Target Information For Multi-Target Mode':
                   draft.add_mapping}.get(name)
        if add is None:
            return
        for record in values.records_of(units()):
            try:
                add(record)
            except values.Odd as odd:
                draft.notes.append(f'in {name!r} {odd}')

    def _flush_ld_set(self) -> None:
        draft, self._draft = self._draft, None
        if draft is None:
            return
        what = f'an LD Set ({draft.protocol.value})'
        try:
            if draft.information is None:
                raise values.Odd('its information section is missing')
            name = LdSetName(values.text_of(draft.information, 'Platform'),
                             values.text_of(draft.information, 'LD Set Name'))
            if not name.label:
                raise values.Odd('it has no name')
            what = f'LD Set {str(name)[:40]}'
            if name in self._ld_sets:
                raise values.Odd('it is listed twice')
        except values.Odd as odd:
            self._note(what, odd)
            return
        for note in draft.notes:
            self._note(what, note)
        self._ld_sets[name] = self._ld_set(what, name, draft)

    def _ld_set(self, what: str, name: LdSetName,
                draft: _LdSetDraft) -> LdSet:
        record = draft.information or {}
        mode = None
        if draft.protocol is Protocol.ISCSI:
            mode = values.target_mode_of(record.get('Target Mode', ''))
            if mode is TargetMode.UNRECOGNIZED:
                self._note_value(what, record, 'Target Mode')
        target = record.get('Target Name', '')
        return LdSet(
            name, draft.protocol, mode,
            '' if target.startswith('-') else target,
            tuple(draft.portals), frozenset(draft.initiators),
            frozenset(draft.paths), frozenset(draft.port_paths),
            MappingProxyType(draft.mappings))
