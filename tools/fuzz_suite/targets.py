# SPDX-License-Identifier: Apache-2.0
"""What is fed with bytes, and what must hold whatever the bytes are.

A target returns for every input: a value, or one of the errors that it
documents.  Anything else is a finding, and so is an error whose text is
long or shows more of the input than a word.
"""

from __future__ import annotations

from collections.abc import Callable
import json

from cinder_nec import errors, naming
from cinder_nec.backend.access.connector import Connector, describe
from cinder_nec.backend.location import Location
from cinder_nec.backend.manage import Reference
from cinder_nec.ismcli import config_xml, messages, status_text
from cinder_nec.ismcli.commands import PairRole
from cinder_nec.ismcli.config_values import READ_UNITS
from cinder_nec.ismcli.transport import CommandResult
from cinder_nec.model import ArrayConfig, InitiatorName, PairStatus, Wwpn

Target = Callable[[bytes], object]
_LONGEST_MESSAGE = 1500
# The first byte of an input chooses what the rest is taken for.
_SEPARATOR = b'\0'


class Finding(AssertionError):
    """Something that must hold does not."""


def check(holds: bool, what: str) -> None:
    if not holds:
        raise Finding(what)


def _check_error(error: errors.NecError) -> None:
    text = str(error)
    check(len(text) < _LONGEST_MESSAGE, 'a long message')
    check(text.isprintable(), 'a message of more than one line')


def dump(data: bytes) -> None:
    """The configuration dump, as bytes."""
    try:
        found = config_xml.parse(data, breathe=lambda: None)
    except errors.ParseError as error:
        _check_error(error)
        return
    check(isinstance(found, ArrayConfig), 'no configuration')
    for ldn, ld in found.logical_disks.items():
        check(ldn == ld.ldn and 0 <= ldn <= 0xffff, 'an LD number')
        check(ld.capacity_bytes >= 0, 'a capacity below zero')
    for ld_set in found.ld_sets.values():
        check(all(ldn == m.ldn for ldn, m in ld_set.mappings.items()),
              'a mapping under another number')
        found.mapped_to(next(iter(ld_set.mappings), 0))
    found.free_ldns()


def status(data: bytes) -> None:
    """The texts of iSMrc_query and iSMsc_query."""
    which, text = data[:1], data[1:].decode('utf-8', 'replace')
    try:
        if which in (b'm', b'r'):
            role = PairRole.MV if which == b'm' else PairRole.RV
            _pairs(text, role)
        elif which == b's':
            sv = text.partition('SV:')[2][:24].split(' ')[0] or 'sv'
            one = status_text.parse_snapshot(
                text, status_text.bv_of(text), sv)
            check(one.sv == sv, 'another snapshot than asked for')
        else:
            for each in status_text.parse_snapshots(text):
                check(bool(each.sv), 'a snapshot without a name')
    except errors.ParseError as error:
        # It quotes the names that were asked for.
        check(len(str(error)) < _LONGEST_MESSAGE + 2 * len(text),
              'a long message')


def _pairs(text: str, role: PairRole) -> tuple[PairStatus, ...]:
    asked = text.partition('LD Name')[2][:40].strip(' :').split('\n')[0]
    found = status_text.parse_pairs(text, asked, role)
    check(bool(found), 'no pair and no error')
    for pair in found:
        check(asked in (pair.mv, pair.rv), 'a pair of others')
        check((pair.separate_diff_bytes or 0) >= 0, 'a negative size')
    return found


def refusal(data: bytes) -> None:
    """What the array says when it refuses a command."""
    stdout, _, stderr = data.partition(_SEPARATOR)
    error = messages.failure(
        'iSMcfg ldbind', CommandResult(stdout, stderr, 1))
    check(isinstance(error, errors.CommandFailed), 'no CommandFailed')
    check(len(str(error)) < _LONGEST_MESSAGE, 'a long message')
    check('\n' not in str(error), 'a message of more than one line')
    known = error.message_id in messages.BUSY_IDS
    check(known == isinstance(error, errors.ArrayBusy), 'busy or not')


def names(data: bytes) -> None:
    """LD names, locations, references and connectors: users' words."""
    text = data.decode('utf-8', 'replace')
    _label(text)
    location = Location.find(text)
    if location is not None:
        check(Location.find(str(location)) == location,
              'a location that is not read back')
    for parse in (InitiatorName.parse, Wwpn.parse, naming.ld_name):
        try:
            parse(text)
        except errors.InvalidInput as error:
            _check_error(error)
    _document(text)


def _label(text: str) -> None:
    found = naming.find_uuid(text)
    digits, suffix = naming.split_suffix(text)
    check(digits + suffix == text, 'a name that is not its parts')
    if found is not None:
        check(naming.ld_name(found) == digits,
              'a name that is not that of its UUID')
    for name in naming.ld_set_name_candidates(text):
        check(len(name) <= naming.MAX_LD_SET_NAME_LENGTH, 'a long name')


def _document(text: str) -> None:
    """What comes as JSON through Cinder's API."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = {'source-name': text, 'initiator': text, 'wwpns': [text]}
    for parse in (Reference.parse, Connector.parse):
        try:
            parse(value)
        except errors.InvalidInput as error:
            _check_error(error)
    check('\n' not in describe(value), 'a connector of more than one line')


TARGETS: dict[str, Target] = {
    'dump': dump, 'status': status, 'refusal': refusal, 'names': names}

# Words that are worth a try, by target.
WORDS: dict[str, tuple[str, ...]] = {
    'dump': (
        '<REQUEST>', '</REQUEST>', '<CMD_REQUEST ', '<CHAPTER name="',
        '<OBJECT name="', '<SECTION name="', '<UNIT name="', '</UNIT>',
        '</SECTION>', '</OBJECT>', '</CHAPTER>', '<RETURN_CODE>0',
        '</RETURN_CODE>', '<!DOCTYPE ', '<!ENTITY ', '&amp;', '&#0;',
        '<![CDATA[', ']]>', '<?xml version="1.0" encoding="', '\ufeff',
        'Logical Disk', 'Access Control', 'LD Set(FC)', 'LD Set(iSCSI)',
        'LUN/LD List', 'Target Information For Multi-Target Mode',
        '18446744073709551615', '----', 'ffffh', '(invalid attribute)',
        *sorted(READ_UNITS)),
    'status': (
        'LD Name', 'Sync State', 'Synchronous State', 'Separate Diff',
        'Copy Diff', 'KB', 'rpl/exec', 'sep/exec', 'separated', 'cancel',
        'fault', 'BV Information', 'SV Information', 'Pair Information',
        'Snap State', 'Generation(Attribute)', 'LV Link Status', 'link',
        'snap/active', '( -1)', 'LX:', '---'),
    'refusal': ('iSM31077', 'iSM31005', 'ExitStatus:1', '[ ldbind ]',
                ':Error:', 'iSM'),
    'names': ('NEC-M-series ', 'iqn.1994-05.com.redhat:', 'eui.', 'naa.',
              '{"source-name": "', '{"source-id": "', '{"initiator": "',
              '{"wwpns": ["', '10000090faa0786b', 'LX:', '_m', '_d', '_l',
              '_o', 'volume-'),
}
