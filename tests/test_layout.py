# SPDX-License-Identifier: Apache-2.0
"""Who may import whom (DESIGN.md section 2), and how files look.

Every import counts: inside functions and under TYPE_CHECKING too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
import sys
import warnings

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = 'cinder_nec'
SOFT_LINES, HARD_LINES = 450, 500
HARD_FUNCTION_LINES = 60

BASE = {'errors', 'naming', 'retry', 'model', 'models'}
SEES_CINDER = {'volume', 'volume_manage', 'volume_stats', 'opts',
               'config', 'translate', 'volume_attachments',
               'volume_audit', 'volume_cluster',
               'backend.qos', 'backend.stats'}
# The places where the parts are put together.
TOP = {'volume', 'assembly'}
# The command cinder-nec: it sees all that is below, and nothing sees it.
COMMAND = 'cli'
ONLY_IN = {'lxml': 'ismcli.config_xml', 'paramiko': 'ismcli.ssh',
           # What paramiko reads keys with.
           'cryptography': 'ismcli.ssh',
           # The driver runs without what the command shows tables with.
           'cliff': COMMAND, 'rich': COMMAND}


def rank(module: str) -> int:
    """Return how high a module stands; it may import what is lower."""
    if module == '' or module in BASE:
        return 0
    if module.startswith('ismcli.ssh'):
        return 2
    if module == 'ismcli.client':
        return 3
    if module == 'ismcli' or module.startswith('ismcli.'):
        return 1
    if module == 'backend' or module.startswith('backend.'):
        return 4
    if module == COMMAND or module.startswith(f'{COMMAND}.'):
        return 7
    return 6 if module in TOP else 5


def imports_of(source: str, package: str) -> Iterator[str]:
    """Yield the full names of what a module imports.

    :param package: what relative imports start from
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ''
            if node.level:
                parts = package.split('.')
                above = parts[:len(parts) - node.level + 1]
                base = '.'.join([*above, base] if base else above)
            # A name may be a module of the package or a thing in one.
            for alias in node.names:
                yield f'{base}.{alias.name}'


def internal(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Return which of its own modules each module imports."""
    graph = {}
    for module, source in sources.items():
        found = set()
        for name in imports_of(source, _package_of(module, sources)):
            if name.split('.')[0] == PACKAGE:
                inner = name.removeprefix(PACKAGE).lstrip('.')
                while inner and inner not in sources:
                    inner = inner.rpartition('.')[0]
                found.add(inner)
        graph[module] = found - {module, ''}
    return graph


def _package_of(module: str, sources: Mapping[str, str]) -> str:
    is_package = any(m.startswith(f'{module}.') for m in sources)
    inner = module if is_package else module.rpartition('.')[0]
    return f'{PACKAGE}.{inner}'.rstrip('.')


def reachable(start: str, graph: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    to_see = [start]
    while to_see:
        for module in graph.get(to_see.pop(), ()):
            if module not in seen:
                seen.add(module)
                to_see.append(module)
    return seen


def problems(sources: Mapping[str, str]) -> list[str]:
    """Return what breaks the rules, one line each."""
    return [*_inner_problems(internal(sources)),
            *(problem for module in sorted(sources)
              for problem in _outer_problems(
                  module, sources[module],
                  _package_of(module, sources)))]


def _inner_problems(graph: Mapping[str, set[str]]) -> Iterator[str]:
    for module, targets in sorted(graph.items()):
        for target in sorted(targets):
            if rank(target) > rank(module):
                yield f'{module} imports {target}, which is above it'
            if (target.startswith('ismcli.ssh')
                    and not module.startswith('ismcli.ssh')
                    and rank(module) < rank('assembly')):
                yield f'{module} imports {target} instead of being given it'
        if module in reachable(module, graph):
            yield f'{module} imports itself through others'
        for one, other in (('copying', 'access'), ('access', 'copying')):
            if module.startswith(f'backend.{one}') and any(
                    target.startswith(f'backend.{other}')
                    for target in reachable(module, graph)):
                yield f'{module} sees backend.{other}'


def _outer_problems(module: str, source: str,
                    package: str) -> Iterator[str]:
    names = {name.split('.')[0] for name in imports_of(source, package)}
    outside = names - set(sys.stdlib_module_names) - {PACKAGE}
    for name in sorted(outside & {'ismsim', 'tools', 'tests', 'allinone',
                                  'harness'}):
        yield f'{module} imports {name}, which is no part of the product'
    if 'cinder' in outside and module not in SEES_CINDER:
        yield f'{module} imports cinder'
    for library, where in ONLY_IN.items():
        if library in outside and not module.startswith(where):
            yield f'{module} imports {library}'
    if rank(module) <= 3:
        for name in sorted(outside - set(ONLY_IN)):
            yield f'{module} imports {name}, not of the standard library'
    # The in-tree path is about a Cinder that is looked for, not used; the
    # command's sub-commands are entry points, which setup.cfg shows.
    if 'importlib' in names and not module.startswith('in_tree.') and (
            module != f'{COMMAND}.app'):
        yield f'{module} hides its imports'


# -- the product ------------------------------------------------------------

def package_sources() -> dict[str, str]:
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob('*.py')):
        parts = path.relative_to(ROOT / PACKAGE).with_suffix('').parts
        if parts[-1] == '__init__':
            parts = parts[:-1]
        found['.'.join(parts)] = path.read_text('utf-8')
    return found


def python_files() -> list[Path]:
    """Return our Python files, the scripts without a suffix too."""
    found = [path for folder in (PACKAGE, 'tools', 'tests')
             for path in (ROOT / folder).rglob('*.py')]
    found = [path for path in found if path.stat().st_size]
    found += [path for path in (ROOT / 'tools').iterdir()
              if path.is_file() and path.read_bytes().startswith(b'#!')]
    return sorted(found)


def test_imports_of_the_product() -> None:
    sources = package_sources()
    assert {'errors', 'model', 'ismcli.commands'} <= set(sources)
    assert problems(sources) == []


def test_the_simulator_and_the_driver_are_strangers() -> None:
    """A mistake that both share would be seen by no test."""
    for path in (ROOT / 'tools' / 'ismsim').rglob('*.py'):
        names = {name.split('.')[0] for name in imports_of(
            path.read_text('utf-8'), 'ismsim')}
        assert PACKAGE not in names, path


def test_every_source_file_names_its_licence() -> None:
    missing = []
    for path in python_files():
        lines = path.read_text('utf-8').splitlines()[:2]
        if lines and lines[0].startswith('#!'):
            lines = lines[1:]
        if not lines or lines[0] != (
                '# SPDX-License-Identifier: Apache-2.0'):
            missing.append(str(path.relative_to(ROOT)))
    assert missing == []


def test_modules_are_of_a_readable_size() -> None:
    too_long = []
    for path in sorted((ROOT / PACKAGE).rglob('*.py')):
        lines = len(path.read_text('utf-8').splitlines())
        name = path.relative_to(ROOT)
        if lines > HARD_LINES:
            too_long.append(f'{name}: {lines}')
        elif lines > SOFT_LINES:
            warnings.warn(f'{name} has {lines} lines', stacklevel=1)
    assert too_long == []


def test_functions_are_of_a_readable_size() -> None:
    too_long = []
    for module, source in package_sources().items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > HARD_FUNCTION_LINES:
                    too_long.append(f'{module}.{node.name}: {lines}')
    assert too_long == []


# -- the check itself -------------------------------------------------------

TREE = {
    '': '', 'errors': 'import re\n',
    'model': 'from cinder_nec import errors\n',
    'ismcli': '', 'ismcli.transport': '',
    'ismcli.ssh': 'import paramiko\n'
                  'from cinder_nec.ismcli import transport\n',
    'ismcli.commands': 'from cinder_nec.model import LdName\n',
    'ismcli.config_xml': 'from lxml import etree\n',
    'ismcli.client': 'from cinder_nec.ismcli import commands\n',
    'backend': '', 'backend.qos': 'from cinder import exception\n',
    'backend.undo': '',
    'backend.copying': '', 'backend.copying.base':
        'from cinder_nec.backend import undo\n',
    'backend.access': '', 'backend.access.base':
        'from ...ismcli.client import IsmClient\n',
    'assembly': 'from cinder_nec.ismcli.ssh import SshTransport\n',
    'volume': 'from cinder_nec import assembly\nimport cinder.volume\n',
    'cli': '',
    'cli.check': 'from cliff.lister import Lister\n'
                 'from cinder_nec import assembly\n'
                 'from cinder_nec.ismcli.ssh import HostKeyPolicy\n',
}


def test_a_good_tree_has_no_problems() -> None:
    assert problems(TREE) == []


@pytest.mark.parametrize(('module', 'line', 'problem'), [
    ('errors', 'from cinder_nec import model', 'errors imports itself'),
    ('model', 'import cinder_nec.volume', 'which is above it'),
    ('model', 'import yaml', 'not of the standard library'),
    ('model', 'def f():\n    from cinder import context',
     'model imports cinder'),
    ('ismcli.commands', 'from . import client', 'which is above it'),
    ('ismcli.client', 'from cinder_nec.backend.undo import Undo',
     'which is above it'),
    ('ismcli.client', 'from .ssh import SshTransport',
     'instead of being given it'),
    ('ismcli.client', 'import paramiko', 'imports paramiko'),
    ('ismcli.client', 'import oslo_log', 'not of the standard library'),
    ('ismcli.commands', 'import lxml.etree', 'imports lxml'),
    ('backend.undo', 'from cinder_nec.ismcli import ssh',
     'instead of being given it'),
    ('backend.undo', 'import cinder', 'imports cinder'),
    ('backend.undo', 'from cinder_nec import assembly', 'above it'),
    ('backend.copying.base', 'from cinder_nec.backend import access',
     'sees backend.access'),
    ('backend.access.base', 'from ..copying.base import CopyMethod',
     'sees backend.copying'),
    ('backend.undo', 'from cinder_nec.backend.access import base',
     'copying.base sees backend.access'),
    ('volume', 'from cinder_nec.cli import check', 'above it'),
    ('volume', 'import cliff', 'imports cliff'),
    ('cli.check', 'import cinder', 'imports cinder'),
    ('volume', 'import ismsim', 'no part of the product'),
    ('volume', 'from tests import helpers', 'no part of the product'),
    ('model', 'import importlib', 'hides its imports'),
])
def test_a_bad_import_is_seen(module: str, line: str,
                              problem: str) -> None:
    tree = {**TREE, module: TREE[module] + line + '\n'}
    assert any(problem in found for found in problems(tree)), (
        problems(tree))


def test_groups_are_kept_in_one_worker(request: pytest.FixtureRequest):
    """A pytest that xdist does not know would spread a file's tests."""
    if hasattr(request.config, 'workerinput'):
        assert '@' in request.node.nodeid
