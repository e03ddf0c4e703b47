# SPDX-License-Identifier: Apache-2.0
"""The drawing: seconds with each driver beside the array's own limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import subprocess
import sys
from typing import Any

from harness.venvs import ROOT

# Not in the tools' environment: only --plot needs it, and it is large.
_LIBRARY = 'matplotlib>=3.8'
_WHERE = ROOT / '.cache' / (
    f'bench-plot-{sys.version_info.major}.{sys.version_info.minor}')
_OURS, _IN_TREE, _LIMIT = '#1f6f8b', '#c9a227', '#444444'


class NoLibrary(Exception):
    """The library that draws cannot be had."""


def need_library(tell: Callable[[str], None]) -> None:
    """Make matplotlib importable, from .cache/ if need be.

    :raises NoLibrary: it cannot be installed
    """
    if _WHERE.is_dir():
        sys.path.append(str(_WHERE))
    try:
        import matplotlib  # type: ignore[import-not-found,unused-ignore]
        del matplotlib
        return
    except ImportError:
        tell(f'installing {_LIBRARY} in {_WHERE} (once) ...')
    done = subprocess.run(
        [sys.executable, '-m', 'pip', '--disable-pip-version-check',
         'install', '--quiet', '--no-input', '--target', str(_WHERE),
         _LIBRARY], capture_output=True, text=True)
    if done.returncode:
        raise NoLibrary(f'{_LIBRARY} cannot be installed:\n{done.stderr}')
    sys.path.append(str(_WHERE))


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw the rows that have seconds, one group of bars for each."""
    from matplotlib.figure import (  # type: ignore
        Figure,
    )
    rows = [row for row in found['rows']
            if row['ours'] and row['key'] != 'dump'][::-1]
    figure = Figure(figsize=(10, 1.2 + 0.8 * len(rows)),
                    layout='constrained')
    axes = figure.add_subplot()
    for at, row in enumerate(rows):
        _draw_row(axes, at, row)
    axes.set_yticks(range(len(rows)), [
        f'{row["title"]}\n{row["threads"]}' for row in rows], fontsize=8)
    axes.set_xscale('log')
    axes.set_xlabel('seconds (logarithmic); black: the array\'s own limit')
    axes.margins(x=0.12)
    axes.spines[['top', 'right']].set_visible(False)
    handles = [axes.barh(0, 0, color=colour, label=label)
               for colour, label in ((_OURS, 'this driver'),
                                     (_IN_TREE, 'in-tree driver'))]
    axes.legend(handles=handles, loc='upper center',
                bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    axes.set_ylim(-0.6, len(rows) + 0.1)
    figure.savefig(path, format='svg')


def _draw_row(axes: Any, at: int, row: dict[str, Any]) -> None:
    for key, colour, above in (('ours', _OURS, 0.2),
                               ('in_tree', _IN_TREE, -0.2)):
        figure = row[key]
        if figure is None:
            continue
        # What an in-tree run that was cut short comes to for all of it
        # would not be a measured figure: it is drawn as it was, and named.
        axes.barh(at + above, figure['elapsed'], 0.36, color=colour)
        more = '> ' if figure['unfinished'] else ''
        words = f' {more}{figure["elapsed"]:.1f} s'
        if figure['operations'] < row['ours']['operations']:
            words += (f' ({figure["operations"]} of '
                      f'{row["ours"]["operations"]})')
        axes.text(figure['elapsed'], at + above, words, va='center',
                  fontsize=7)
    limit = row['ours']['limit']
    if limit:
        axes.plot([limit, limit], [at - 0.4, at + 0.4], color=_LIMIT,
                  linewidth=1.5)
