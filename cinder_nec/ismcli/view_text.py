# SPDX-License-Identifier: Apache-2.0
"""The text answers of iSMview -a and -ac (manual 2.1, C.5 and C.6).

Nothing that changes an array depends on them: they are for people, and
what is not there is None, not an error.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import re

_LINE = re.compile(r'\s*(\S[^:]*?)\s*:\s*(.*?)\s*')
_NUMBER = re.compile(r'[0-9]{1,9}')


@dataclasses.dataclass(frozen=True)
class AccessControl:
    """The head of ``iSMview -a``; None for what it does not show.

    :param licensed_paths: None also where there is no limit
    :param initiators: registered with the array, in any LD Set
    """

    is_on: bool | None = None
    licensed_paths: int | None = None
    used_paths: int | None = None
    initiators: int | None = None


def parse_access(text: str) -> AccessControl:
    """Read the answer of ``iSMview -a``."""
    values = dict(_values(text))
    return AccessControl(
        is_on=_switch(values.get('Access Control Mode')),
        licensed_paths=_number(values.get('Licensed Path Count')),
        used_paths=_number(values.get('Used Path Count(Total)')),
        initiators=_number(values.get('Registered Initiator Count')))


def parse_full_access(text: str) -> bool | None:
    """Read *Full Access Mode* from the answer of ``iSMview -ac``."""
    return _switch(dict(_values(text)).get('Full Access Mode'))


def _values(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found:
            yield found[1], found[2]


def _switch(word: str | None) -> bool | None:
    return {'on': True, 'off': False}.get((word or '').lower())


def _number(text: str | None) -> int | None:
    found = _NUMBER.fullmatch(text or '')
    return int(found[0]) if found else None
