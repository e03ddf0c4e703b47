# SPDX-License-Identifier: Apache-2.0
"""Command output in the pages, compared with what the command writes.

A page has blocks of this form::

    .. code-block:: console

       $ cinder-nec show pools
       what it writes

``CINDER_NEC_WRITE_DOCS=1`` puts the real output into the pages instead.
"""

from __future__ import annotations

import os
from pathlib import Path
import re

from harness.venvs import ROOT

COMMANDS_PAGE = ROOT / 'doc' / 'source' / 'admin' / 'commands.rst'
_WRITES = 'CINDER_NEC_WRITE_DOCS' in os.environ
_BLOCK = re.compile(
    r'^\.\. code-block:: console\n\n   \$ (?P<command>cinder-nec[^\n]*)\n'
    r'(?P<output>(?:   [^\n]*\n|\n(?=   |\n   ))*)', re.M)


def blocks(page: Path = COMMANDS_PAGE) -> dict[str, str]:
    """Return the output by the command line, without its indent."""
    return {found['command']: _plain(found['output'])
            for found in _BLOCK.finditer(page.read_text('utf-8'))}


def check(command: str, output: str, page: Path = COMMANDS_PAGE) -> None:
    """See that a page shows what a command has written."""
    output = output.rstrip('\n') + '\n'
    if _WRITES:
        text = page.read_text('utf-8')
        (found,) = [f for f in _BLOCK.finditer(text)
                    if f['command'] == command]
        start, end = found.span('output')
        page.write_text(text[:start] + _indented(output) + text[end:],
                        'utf-8')
    assert _comparable(blocks(page)[command]) == _comparable(output)


def _comparable(output: str) -> str:
    """Leave out how many checks are well: each new one adds to it."""
    return re.sub(r'^  [0-9]+ ok,', '  ... ok,', output, flags=re.M)


def _plain(output: str) -> str:
    lines = [line.removeprefix('   ') for line in output.splitlines()]
    return '\n'.join(lines).rstrip('\n') + '\n'


def _indented(output: str) -> str:
    return ''.join(f'   {line}'.rstrip() + '\n'
                   for line in output.splitlines())
