# SPDX-License-Identifier: Apache-2.0
"""The directive ``nec-checks``: what ``cinder-nec check`` can find.

Page and command have the words from one table, so they cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import re
from typing import Any

from cinder_nec.cli.catalog import Check, by_chapter
from cinder_nec.opts import nec_opts

_QUOTED = re.compile(r'`([^`]+)`')
_OPTION = re.compile(r'(?<![`\w])(' + '|'.join(sorted(
    (option.name for option in nec_opts), key=len, reverse=True))
    + r'|enabled_backends|volume_driver|ssh_hosts_key_file)\b')


def as_rst() -> Iterator[str]:
    """Yield the lines of a section for each chapter."""
    for chapter, checks in by_chapter():
        if not checks:
            continue
        yield from ('', chapter.value, '-' * len(chapter.value), '',
                    '.. list-table::', '   :header-rows: 1',
                    '   :widths: 20 40 40', '',
                    '   * - Check', '     - Means', '     - What to do')
        for check in checks:
            yield from _row(check)


def _row(check: Check) -> Iterator[str]:
    yield f'   * - .. _check-{check.id}:'
    yield ''
    yield f'       ``{check.id}``: {check.title} ({check.worst.name.lower()})'
    yield f'     - {marked_up(check.meaning)}'
    yield f'     - {marked_up(check.remedy)}'


def marked_up(text: str) -> str:
    """Return a sentence of the table with its code as literals."""
    quoted = _QUOTED.sub(r'``\1``', text)
    parts = quoted.split('``')
    parts[::2] = [_OPTION.sub(r'``\1``', part) for part in parts[::2]]
    return '``'.join(parts).replace('*', r'\*')


def directive() -> Any:
    """Return the class of the directive; Sphinx is needed only here."""
    from docutils import nodes
    from docutils.statemachine import StringList
    from sphinx.util.docutils import SphinxDirective
    from sphinx.util.nodes import nested_parse_with_titles

    class ChecksTable(SphinxDirective):
        def run(self) -> list[Any]:
            node = nodes.section()
            nested_parse_with_titles(
                self.state, StringList(list(as_rst()), 'nec-checks'), node)
            found: list[Any] = node.children
            return found

    return ChecksTable


def setup(app: Any) -> dict[str, bool]:
    """Entry point of a Sphinx extension."""
    add: Callable[..., None] = app.add_directive
    add('nec-checks', directive())
    return {'parallel_read_safe': True}
