# SPDX-License-Identifier: Apache-2.0
"""Logical disk names of the manual's chapter 8, for checks of the array.

Written apart from cinder_nec.naming on purpose: a mistake there must not
be repeated by the check.
"""

from __future__ import annotations

DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'


def label(uuid: str) -> str:
    """The name of a volume's or snapshot's LD, without its platform."""
    number = int(uuid.replace('-', ''), 16)
    text = ''
    while number:
        number, digit = divmod(number, 62)
        text = DIGITS[digit] + text
    return text
