# SPDX-License-Identifier: Apache-2.0
"""Units of the configuration dump to values (ISMCLI.md A.2).

Pure functions.  What is not as expected raises :class:`Odd` with a text
that names the unit; the object that it belongs to is the caller's to name.
"""

from __future__ import annotations

import functools
import ipaddress
import re

from cinder_nec import errors
from cinder_nec.model import (
    HostPort,
    LinkState,
    Protocol,
    Purpose,
    RplAttribute,
    TargetMode,
    Wwpn,
)

Units = list[tuple[str | None, str | None]]
Record = dict[str, str]

# All units that are read, of whatever section.
READ_UNITS = frozenset({
    'Product ID',
    'LDN(h)', 'OS Type', 'LD Name', 'LD Capacity', 'Pool No.(h)',
    'Purpose', 'RPL Attribute',
    'Pool Capacity', 'Used Pool Capacity', 'Free Pool Capacity',
    'Actual Capacity',
    'Port No.(h)', 'WWPN', 'IP Address', 'Link Status',
    'Platform', 'LD Set Name', 'Target Mode', 'Target Name', 'Portal',
    'Initiator List', 'Path', 'LUN(h)'})

_HEX = re.compile(r'([0-9A-Fa-f]{1,4})h?')
_BYTES = re.compile(r'[0-9]{1,20}')
_PORT = re.compile(r'([0-9A-Fa-f]{1,2})-([0-9A-Fa-f]{1,2})h?')
NOT_FOUND = ' not found'
# Sizes from here on are negative ones that were shown as unsigned.
_WRAPPED = 1 << 63


class Odd(Exception):
    """A value is not as expected; the text says which and how."""


def text_of(record: Record, unit: str) -> str:
    try:
        return record[unit]
    except KeyError:
        raise Odd(not_found(unit)) from None


def not_found(unit: str) -> str:
    """Return what the manual says of a missing unit (appendix D.1)."""
    return f'UNIT[@name="{unit}"]{NOT_FOUND}'


def hex_of(record: Record, unit: str) -> int:
    found = _HEX.fullmatch(text_of(record, unit))
    if not found:
        raise unknown(record, unit)
    return int(found.group(1), 16)


def bytes_of(record: Record, unit: str) -> int:
    text = text_of(record, unit)
    if not _BYTES.fullmatch(text) or int(text) >= _WRAPPED:
        raise unknown(record, unit)
    return int(text)


def is_negative(text: str) -> bool:
    """Tell a number below zero that was shown as unsigned 64 bits."""
    return bool(_BYTES.fullmatch(text)
                and _WRAPPED <= int(text) < 2 * _WRAPPED)


def unknown(record: Record, unit: str) -> Odd:
    return Odd(f'the unit {unit!r} has the unknown value '
               f'{record[unit][:40]!r}')


def is_off(text: str) -> bool:
    """Tell a place that is not configured (ISMCLI.md A.2)."""
    return not text or text.startswith('-')


def is_no_address(ip: str) -> bool:
    try:
        return ipaddress.ip_address(ip).is_unspecified
    except ValueError:
        return False


@functools.lru_cache(maxsize=256)
def attributes_of(text: str) -> frozenset[RplAttribute]:
    """Read ``IV``, ``---`` or a combination such as ``MV,BV``."""
    if text == RplAttribute.NOT_USABLE.value:
        return frozenset({RplAttribute.NOT_USABLE})
    codes = re.findall('IV|MV|RV|BV|SV|LV', text)
    rest = re.sub('IV|MV|RV|BV|SV|LV|[ ,/+&|]', '', text)
    found = {RplAttribute(code) for code in codes}
    if rest or not found:
        found.add(RplAttribute.UNRECOGNIZED)
    return frozenset(found)


@functools.lru_cache(maxsize=256)
def purpose_of(text: str) -> Purpose:
    try:
        return Purpose(text)
    except ValueError:
        return Purpose.UNRECOGNIZED


def target_mode_of(text: str) -> TargetMode:
    plain = re.sub('[^a-z]', '', text.lower()).removesuffix('mode')
    return {'normal': TargetMode.NORMAL,
            'multitarget': TargetMode.MULTI_TARGET,
            }.get(plain, TargetMode.UNRECOGNIZED)


def record_of(units: Units) -> Record:
    """Return the units by name, blanks cut off; the first one counts."""
    return {name: (text or '').strip()
            for name, text in reversed(units) if name}


def records_of(units: Units) -> list[Record]:
    """Split a list section where a unit comes for the second time."""
    records: list[Record] = [{}]
    for name, text in units:
        if name in records[-1]:
            records.append({})
        if name:
            records[-1][name] = (text or '').strip()
    return records


def port_of(record: Record) -> HostPort | None:
    """Return the host port, or None if it is not configured."""
    found = _PORT.fullmatch(text_of(record, 'Port No.(h)'))
    if not found:
        raise unknown(record, 'Port No.(h)')
    director, number = int(found.group(1), 16), int(found.group(2), 16)
    link = LinkState.UNRECOGNIZED
    for state in (LinkState.UP, LinkState.DOWN):
        if record.get('Link Status', '').lower() == state.value.lower():
            link = state
    if not is_off(record.get('WWPN', '')):
        try:
            wwpn = Wwpn.parse(record['WWPN'])
        except errors.InvalidInput:
            raise unknown(record, 'WWPN') from None
        return HostPort(director, number, Protocol.FC, wwpn=wwpn, link=link)
    if 'IP Address' not in record and 'WWPN' not in record:
        raise Odd('it has neither a WWPN nor an IP address')
    text = record.get('IP Address', '')
    if is_off(text) or is_no_address(text):
        return None
    try:
        ip = str(ipaddress.ip_address(text))
    except ValueError:
        raise unknown(record, 'IP Address') from None
    return HostPort(director, number, Protocol.ISCSI, ip=ip, link=link)
