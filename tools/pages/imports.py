# SPDX-License-Identifier: Apache-2.0
"""Which module of the driver imports which, from its sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = 'cinder_nec'


def graph(folder: Path) -> dict[str, set[str]]:
    """Return what each module of a package imports of the package.

    :param folder: of the package; names are without its name
    """
    sources = {_name(path.relative_to(folder)): path
               for path in folder.rglob('*.py')}
    sources.pop('', None)
    return {name: {found for found in _imports(name, path, sources)
                   if found != name}
            for name, path in sorted(sources.items())}


def _name(path: Path) -> str:
    parts = path.with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def _imports(name: str, path: Path,
             sources: dict[str, Path]) -> Iterator[str]:
    package = [PACKAGE, *name.split('.')]
    if path.name != '__init__.py':
        package.pop()
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[:len(package) - node.level + 1]
            base = [*(above if node.level else ()),
                    *(node.module.split('.') if node.module else ())]
            # A name may be a module of the package or a thing in one.
            names = ['.'.join([*base, alias.name]) for alias in node.names]
        else:
            continue
        for each in names:
            head, _, inner = each.partition('.')
            while inner and inner not in sources:
                inner = inner.rpartition('.')[0]
            if head == PACKAGE and inner:
                yield inner
