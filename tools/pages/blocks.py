# SPDX-License-Identifier: Apache-2.0
"""The blocks of a page that are meant to be typed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
import textwrap

_DIRECTIVE = '.. code-block::'
_PROMPT = '$ '


@dataclass(frozen=True)
class Command:
    """A line to type, and the lines that the page shows beneath it."""

    line: str
    shown: tuple[str, ...]

    @property
    def in_background(self) -> bool:
        return self.line.endswith('&')


@dataclass(frozen=True)
class Block:
    """A code block; *name* and *classes* are the options of these names."""

    language: str
    text: str
    name: str = ''
    classes: frozenset[str] = field(default_factory=frozenset)

    def commands(self) -> list[Command]:
        """Return what is to be typed in a block of language console."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith(_PROMPT):
                found.append((line.removeprefix(_PROMPT), []))
            elif found:
                found[-1][1].append(line)
        return [Command(line, tuple(shown)) for line, shown in found]


def blocks(page: str) -> Iterator[Block]:
    """Yield the code blocks of a page, in their order."""
    lines = page.splitlines()
    for number, line in enumerate(lines):
        if not line.startswith(_DIRECTIVE):
            continue
        body = []
        for following in lines[number + 1:]:
            if following and not following.startswith('   '):
                break
            body.append(following)
        yield _block(line.removeprefix(_DIRECTIVE).strip(),
                     textwrap.dedent('\n'.join(body)).strip('\n'))


def _block(language: str, body: str) -> Block:
    head, _, text = body.partition('\n\n')
    if not head.startswith(':'):
        return Block(language, body)
    options = dict(line[1:].split(':', 1) for line in head.splitlines())
    return Block(language, text.strip('\n'), options.get('name', '').strip(),
                 frozenset(options.get('class', '').split()))
