# SPDX-License-Identifier: Apache-2.0
"""Names of logical disks and LD Sets (manual chapter 8).

A logical disk is named after the Cinder UUID, written in base 62 with the
digits 0-9, A-Z, a-z and without leading zeros: at most 22 characters, which
leaves two of the array's 24 for a suffix.
"""

from __future__ import annotations

import hashlib
import re
import string
import uuid

from cinder_nec import errors

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_VALUES = {digit: value for value, digit in enumerate(DIGITS)}
_UUID_BITS = 128
_FACTORY_DIGITS = '0123456789ABCDEF'

SUFFIX_MIGRATING = '_m'
SUFFIX_DIFFERENCES = '_d'
SUFFIX_LINK = '_l'
SUFFIX_PARKED = '_o'
SUFFIXES = (SUFFIX_MIGRATING, SUFFIX_DIFFERENCES, SUFFIX_LINK,
            SUFFIX_PARKED)

_UNBIND_LABEL = re.compile(r'unbind_[0-9a-f]{4}')

MAX_LD_NAME_LENGTH = 24
MAX_LD_SET_NAME_LENGTH = 16


def ld_name(cinder_id: str) -> str:
    """Return the LD name (without platform) of a Cinder UUID.

    :raises errors.InvalidInput: if it is not a UUID
    """
    try:
        number = uuid.UUID(cinder_id).int
    except (ValueError, AttributeError, TypeError):
        raise errors.InvalidInput(
            f'Invalid UUID format: {str(cinder_id)[:64]!r}.') from None
    digits = []
    while True:
        number, value = divmod(number, len(DIGITS))
        digits.append(DIGITS[value])
        if not number:
            return ''.join(reversed(digits))


def uuid_of(label: str) -> str:
    """Return the Cinder UUID that an LD name (without suffix) stands for.

    :raises errors.InvalidInput: if no UUID has that name
    """
    number = 0
    for digit in label:
        if digit not in _VALUES or number >> _UUID_BITS:
            number = -1
            break
        number = number * len(DIGITS) + _VALUES[digit]
    if (not label or number < 0 or number >> _UUID_BITS
            or (label[0] == DIGITS[0] and len(label) > 1)):
        raise errors.InvalidInput(
            f'{label[:64]!r} is not the logical disk name of a Cinder UUID.')
    return str(uuid.UUID(int=number))


def split_suffix(label: str) -> tuple[str, str]:
    """Split a label into its base-62 part and its suffix ('' if none)."""
    for suffix in SUFFIXES:
        if label.endswith(suffix):
            return label[:-len(suffix)], suffix
    return label, ''


def unbind_label(ldn: int) -> str:
    """Return the label that an LD without a name gets to be unbound."""
    return f'unbind_{ldn:04x}'


def is_unbind_label(label: str) -> bool:
    """Tell whether a label is one of :func:`unbind_label`."""
    return _UNBIND_LABEL.fullmatch(label) is not None


def find_uuid(label: str) -> str | None:
    """Return the UUID of an LD name with or without suffix, or None.

    Many names of others would decode, so only what Cinder makes counts:
    random UUIDs (version 4).  None of them is shorter than 18 digits, as
    ``data1`` is, or happens to be all hexadecimal, as the factory's names
    are (the array's WWN and the LDN, ISMCLI.md C).
    """
    digits, _suffix = split_suffix(label)
    if len(digits) < 18 or not digits.strip(_FACTORY_DIGITS):
        return None
    try:
        found = uuid.UUID(uuid_of(digits))
    except errors.InvalidInput:
        return None
    return str(found) if found.version == 4 else None


def ld_set_name_candidates(identifier: str) -> tuple[str, ...]:
    """Return the names an LD Set of the driver's own making may have.

    ``identifier`` is an initiator name or a WWPN.  The first is what the
    vendor's drivers use: the last 16 characters without ``:`` and ``.``.
    Two hosts whose names end alike would share it, so the second, made from
    a digest of the whole, is taken when the first belongs to another host.
    It is the only one where the first would look like an option.
    """
    plain = identifier.replace(':', '').replace('.', '')
    digest = hashlib.sha256(identifier.encode()).hexdigest()
    usual = plain[-MAX_LD_SET_NAME_LENGTH:]
    unusual = digest[:MAX_LD_SET_NAME_LENGTH]
    return (unusual,) if usual.startswith('-') else (usual, unusual)
