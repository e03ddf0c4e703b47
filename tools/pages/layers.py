# SPDX-License-Identifier: Apache-2.0
"""The directive ``layer-diagram``: the layers as they are imported.

Drawn from the sources each time the pages are built.  What may import what
is for ``tests/test_layout.py``; here it is only shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
import html
from pathlib import Path
import textwrap
from typing import Any

from pages.imports import PACKAGE, graph

ROOT = Path(__file__).resolve().parents[2]
WIDTH, CHARACTER, LINE = 920, 6.3, 16
GAP_DOWN, MARGIN = 40, 10

BASE = 'values'
FOLDERS = {'backend', 'backend.access', 'backend.copying', 'cli', 'in_tree',
           'ismcli'}

Edges = set[tuple[str, str]]


@dataclass(frozen=True)
class Layer:
    """A box: modules whose names match; the first match counts.

    *left* and *right* are its sides, in twelfths of the width.
    """

    name: str
    row: int
    left: float
    right: float
    text: str
    patterns: tuple[str, ...]


LAYERS = (
    Layer('command', 0, 0, 6.9, 'what operators run',
          ('cli', 'cli.*', 'in_tree', 'in_tree.*', 'volume_list')),
    Layer('driver', 0, 7.2, 12, 'what Cinder calls',
          ('volume', 'volume_*')),
    Layer('assembly', 1, 0, 8.4, 'puts a back end together', ('assembly',)),
    Layer('view', 1, 8.8, 12, "Cinder's database as values",
          ('cinder_view',)),
    Layer('edge', 2, 0, 2.4, 'of Cinder',
          ('config', 'opts', 'translate')),
    Layer('audit', 2, 8.8, 12, 'array against Cinder',
          ('backend.audit*', 'backend.findings', 'backend.cinder_state')),
    Layer('copying', 3, 3.4, 5.9, 'snapshots, copies',
          ('backend.copying', 'backend.copying.*')),
    Layer('access', 3, 6.2, 8.4, 'LD Sets, hosts',
          ('backend.access', 'backend.access.*')),
    Layer('volumes', 4, 3.4, 8.4, 'bind, name, expand, unbind',
          ('backend.volumes',)),
    Layer('known', 5, 4.4, 10.2, 'what is known, promised and begun',
          ('backend.inventory', 'backend.changes', 'backend.reservations',
           'backend.claims', 'backend.outcome', 'backend.undo',
           'backend.journal', 'backend.placement', 'backend.beside')),
    Layer('workflows', 2, 3.4, 8.4, 'what uses both kinds below',
          ('backend', 'backend.*')),
    Layer('client', 6, 3.4, 12, 'a method for each vendor command',
          ('ismcli.client',)),
    Layer('transport', 7, 1.4, 6, 'SSH, given to the client',
          ('ismcli.ssh*',)),
    Layer('language', 8, 1.4, 12, 'iSMCLI: words, answers, the queue',
          ('ismcli', 'ismcli.*')),
    Layer(BASE, 9, 0, 12, 'no I/O: what an array has; all may use them',
          ('model', 'models', 'naming', 'retry', 'errors')),
    # What is new, until it gets a place.
    Layer('other', 3, 0, 2.6, '', ('*',)),
)
# Where arrows go that would else go through a box.
WAYS = {('volumes', 'client'): 3.9, ('audit', 'client'): 11,
        ('assembly', 'transport'): 2.9}


@dataclass(frozen=True)
class Box:
    """A layer with its place in the picture."""

    layer: Layer
    lines: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float


def layer_of(module: str) -> Layer:
    """Return the layer that a module belongs to."""
    return next(layer for layer in LAYERS if any(
        fnmatchcase(module, pattern) for pattern in layer.patterns))


def edges(modules: Mapping[str, Iterable[str]]) -> Edges:
    """Return which layer imports which."""
    found = {(layer_of(module).name, layer_of(target).name)
             for module, targets in modules.items() for target in targets}
    return {(one, other) for one, other in found if one != other}


def shortest(all_edges: Edges) -> Edges:
    """Return the edges that no longer way stands for."""
    below: dict[str, set[str]] = {}
    for one, other in all_edges:
        below.setdefault(one, set()).add(other)

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        to_see = [start]
        while to_see:
            for target in below.get(to_see.pop(), set()) - seen:
                seen.add(target)
                to_see.append(target)
        return seen

    return {(one, other) for one, other in all_edges
            if not any(other in reached(target)
                       for target in below[one] - {other})}


def boxes(modules: Iterable[str]) -> dict[str, Box]:
    """Place the layers, by rows."""
    members: dict[str, list[str]] = {}
    for module in sorted(modules):
        members.setdefault(layer_of(module).name, []).append(module)
    rows: dict[int, list[Layer]] = {}
    for layer in LAYERS:
        if layer.name in members:
            rows.setdefault(layer.row, []).append(layer)
    placed: dict[str, Box] = {}
    y = float(MARGIN)
    for _, row in sorted(rows.items()):
        made = list(_row(row, members, y))
        placed |= {box.layer.name: box for box in made}
        y += max(box.height for box in made) + GAP_DOWN
    return placed


def _row(row: list[Layer], members: Mapping[str, list[str]],
         y: float) -> Iterator[Box]:
    for layer in row:
        width = _across(layer.right) - _across(layer.left)
        names = ' '.join(_short(m) for m in members[layer.name]
                         if m not in FOLDERS)
        lines = textwrap.wrap(names, int((width - 16) / CHARACTER))
        yield Box(layer, tuple(lines), _across(layer.left), y, width,
                  LINE * (len(lines) + 1) + 14)


def _across(twelfths: float) -> float:
    return MARGIN + (WIDTH - 2 * MARGIN) * twelfths / 12


def _short(module: str) -> str:
    for prefix in ('backend.copying.', 'backend.access.', 'backend.',
                   'ismcli.'):
        if module.startswith(prefix):
            return module.removeprefix(prefix)
    return module


def draw(modules: Mapping[str, Iterable[str]]) -> str:
    """Return the picture as SVG."""
    placed = boxes(modules)
    height = max(box.y + box.height for box in placed.values()) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="0 0 {WIDTH} {height:.0f}" font-family="sans-serif" '
        'font-size="11.5" style="max-width:100%">',
        '<title>Layers of the driver and who imports whom</title>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" '
        'markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#5a6b7b"/></marker></defs>']
    parts += [_arrow(placed[one], placed[other])
              for one, other in sorted(shortest(edges(modules)))
              if other != BASE]
    parts += [text for box in placed.values() for text in _box(box)]
    return '\n'.join([*parts, '</svg>'])


def _arrow(start: Box, end: Box) -> str:
    y1, y2 = start.y + start.height, end.y - 1
    left = max(start.x, end.x)
    right = min(start.x + start.width, end.x + end.width)
    way = WAYS.get((start.layer.name, end.layer.name))
    x1 = x2 = (left + right) / 2 if way is None else _across(way)
    if way is None and right - left < 20:
        x1, x2 = start.x + start.width / 2, end.x + end.width / 2
    bend = (y2 - y1) / 2
    return (f'<path d="M{x1:.0f} {y1:.0f} C{x1:.0f} {y1 + bend:.0f} '
            f'{x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2:.0f}" fill="none" '
            'stroke="#5a6b7b" stroke-width="1.3" marker-end="url(#tip)"/>')


def _box(box: Box) -> Iterator[str]:
    yield (f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" '
           f'height="{box.height:.0f}" rx="5" fill="#eaf2fb" '
           'stroke="#2f6fab"/>')
    x, y = box.x + 8, box.y + LINE + 1
    title = f'<tspan font-weight="bold">{box.layer.name}</tspan>'
    yield (f'<text x="{x:.0f}" y="{y:.0f}" fill="#12283d">{title} '
           f'{html.escape(box.layer.text)}</text>')
    for number, line in enumerate(box.lines, 1):
        yield (f'<text x="{x:.0f}" y="{y + LINE * number:.0f}" '
               f'fill="#44566a">{html.escape(line)}</text>')


def directive() -> Any:
    """Return the class of the directive; Sphinx is needed only here."""
    from docutils import nodes
    from sphinx.util.docutils import SphinxDirective

    class LayerDiagram(SphinxDirective):
        def run(self) -> list[Any]:
            picture = draw(graph(ROOT / PACKAGE))
            return [nodes.raw('', picture, format='html')]

    return LayerDiagram


def setup(app: Any) -> dict[str, bool]:
    """Entry point of a Sphinx extension."""
    app.add_directive('layer-diagram', directive())
    # It depends on sources that Sphinx does not watch.
    return {'parallel_read_safe': True}
