# SPDX-License-Identifier: Apache-2.0
"""The picture of the layers shows the imports that there are."""

from __future__ import annotations

import html

from harness import venvs
from pages import layers
from pages.imports import PACKAGE, graph
from tests.test_layout import internal, package_sources

MODULES = graph(venvs.ROOT / PACKAGE)
ROWS = {layer.name: layer.row for layer in layers.LAYERS}


def test_the_imports_are_those_that_the_rules_are_checked_with():
    expected = internal(package_sources())
    expected.pop('')
    assert expected == MODULES


def test_no_arrow_goes_up():
    for one, other in layers.edges(MODULES):
        assert ROWS[one] < ROWS[other], f'{one} imports {other}'


def test_every_module_is_in_the_picture():
    picture = html.unescape(layers.draw(MODULES))
    for module in MODULES.keys() - layers.FOLDERS:
        assert module.rpartition('.')[2] in picture
    assert picture.count('<path d="M0 0') == 1  # the tip of the arrows
    assert picture.count('marker-end') == len([
        other for _, other in layers.shortest(layers.edges(MODULES))
        if other != layers.BASE])


def test_an_arrow_stands_for_a_longer_way():
    edges = {('a', 'b'), ('b', 'c'), ('a', 'c'), ('a', 'd')}
    assert layers.shortest(edges) == edges - {('a', 'c')}


def test_relative_imports_and_names_in_modules_count(tmp_path):
    package = tmp_path / 'backend'
    package.mkdir()
    (tmp_path / '__init__.py').touch()
    (tmp_path / 'model.py').write_text('import os\n')
    (package / '__init__.py').write_text('from . import one\n')
    (package / 'one.py').write_text(
        'def f():\n    from ..model import Pool\n')
    assert graph(tmp_path) == {
        'model': set(), 'backend': {'backend.one'},
        'backend.one': {'model'}}
