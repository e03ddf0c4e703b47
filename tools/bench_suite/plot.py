# SPDX-License-Identifier: Apache-2.0
"""The drawing: how many times the array's own limit each driver takes.

Not seconds: those of an in-tree run that was cut short say nothing beside
those of a whole one.
"""

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
# Their bars are CPU, and changes until an answer.
_WITHOUT_A_LIMIT = ('dump', 'attach-first')
_STYLES: dict[str, dict[str, Any]] = {
    'the array\'s own limit': {'color': '#222222', 'marker': '|',
                               'markersize': 13, 'markeredgewidth': 2},
    'this driver': {'color': '#1f6f8b', 'marker': 'o', 'markersize': 7},
    'in-tree driver': {'color': '#d08a1d', 'marker': 'D',
                       'markersize': 6},
}


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
    """Draw the rows that have a limit: a dot for each driver."""
    from matplotlib import rc_context  # type: ignore[import-not-found,unused-ignore]
    from matplotlib.figure import Figure  # type: ignore[import-not-found,unused-ignore]
    rows = [row for row in found['rows']
            if row['ours'] and row['ours']['times_limit']
            and row['key'] not in _WITHOUT_A_LIMIT][::-1]
    # Text stays text: small, and it can be searched.
    with rc_context({'svg.fonttype': 'none'}):
        figure = Figure(figsize=(11, 1.4 + 0.42 * len(rows)),
                        layout='constrained')
        axes = figure.add_subplot()
        for at, row in enumerate(rows):
            _draw_row(axes, at, row)
        axes.set_yticks(range(len(rows)), [
            f'{row["title"]} ({row["threads"]})' for row in rows],
            fontsize=8)
        axes.set_xscale('log')
        axes.xaxis.set_major_formatter('{x:g}')
        axes.set_xlabel('times the array\'s own limit for the work done, '
                        'logarithmic')
        axes.margins(x=0.15)
        axes.grid(axis='x', color='#dddddd', linewidth=0.6)
        axes.spines[['top', 'right', 'left']].set_visible(False)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        for label, style in _STYLES.items():
            axes.plot([], [], linestyle='none', label=label, **style)
        figure.legend(loc='outside upper center', ncols=3, frameon=False)
        figure.savefig(path)


def _draw_row(axes: Any, at: int, row: dict[str, Any]) -> None:
    ours = row['ours']['times_limit']
    theirs = row['in_tree'] and row['in_tree']['times_limit']
    farthest = max(ours, theirs or 1.0)
    axes.plot([1.0, farthest], [at, at], color='#bbbbbb', linewidth=1,
              zorder=1)
    axes.plot(1.0, at, zorder=2, **_STYLES['the array\'s own limit'])
    axes.plot(ours, at, zorder=4, **_STYLES['this driver'])
    if theirs:
        axes.plot(theirs, at, zorder=3, **_STYLES['in-tree driver'])
    axes.annotate(_words(row), (farthest, at), (8, 0), fontsize=7,
                  textcoords='offset points', va='center')


def _words(row: dict[str, Any]) -> str:
    """What is beside the dots: a figure as it was measured."""
    ours, theirs = row['ours'], row['in_tree']
    words = _seconds(ours)
    if theirs is not None:
        words += f' | {_seconds(theirs)}'
        # A run that was cut short is named.
        if theirs['operations'] < ours['operations']:
            words += f' for {theirs["operations"]} of {ours["operations"]}'
    return words


def _seconds(figure: dict[str, Any]) -> str:
    return ('> ' if figure['unfinished'] else '') + (
        f'{figure["elapsed"]:.1f} s')
