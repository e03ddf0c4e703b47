# SPDX-License-Identifier: Apache-2.0
"""The array's shell: which lines it takes, and nothing else.

A real array hands the line to bash, so an attacker's line would run. Here
every line that is not exactly a known form is refused and reported.
"""

from __future__ import annotations

from dataclasses import dataclass
import re

# Letters that mean nothing to a shell. Everything else outside of the one
# known pipe is an attempt to get something else executed.
_WORD = re.compile(r'[A-Za-z0-9_.:,/@+=%-]+')
_XML_PREFIX = 'clioutmsg xml; '
# ISMCLI.md A.1: the loops by which the in-tree driver filters the answers
# of iSMrc_query and iSMsc_query on the array.
_PIPE = re.compile(
    r' \| while builtin read line; ?do if \[\[ "\$line" =~ '
    r'"(?P<needle>[A-Za-z0-9_./ -]+)" \]\]; then builtin echo '
    r'(?P<what>"\$line"|\$\{line:(?P<offset>[0-9]{1,3})\});fi;done')
_MAX_LINE = 4096


class Hostile(Exception):
    """The line holds what a shell would act on."""


@dataclass(frozen=True)
class Filter:
    """The loop behind a command: prints the lines that hold a text."""

    needle: str
    offset: int | None

    def apply(self, text: bytes) -> bytes:
        """What bash prints for a command's stdout."""
        lines = []
        for raw in text.decode().splitlines():
            # `read` strips blanks at both ends; an unquoted `echo` joins
            # words by one blank, a quoted one leaves them alone.
            line = raw.strip(' \t')
            if self.needle not in line:
                continue
            if self.offset is not None:
                line = ' '.join(line[self.offset:].split())
            lines.append(line + '\n')
        return ''.join(lines).encode()


@dataclass(frozen=True)
class Line:
    """A line taken apart."""

    words: tuple[str, ...]
    xml: bool = False
    filter: Filter | None = None


def split(text: str) -> Line:
    """Take a line apart; raises Hostile."""
    if len(text) > _MAX_LINE:
        raise Hostile('too long')
    xml = text.startswith(_XML_PREFIX)
    if xml:
        text = text[len(_XML_PREFIX):]
    pipe = None
    found = _PIPE.search(text)
    if found is not None and found.end() == len(text):
        offset = found['offset']
        pipe = Filter(found['needle'], None if offset is None
                      else int(offset))
        text = text[:found.start()]
    words = text.split(' ')
    for word in words:
        if word and not _WORD.fullmatch(word):
            raise Hostile(word[:40])
    return Line(tuple(word for word in words if word), xml, pipe)
