# SPDX-License-Identifier: Apache-2.0
"""``cinder-nec in-tree``: this driver behind the path of Cinder's own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cliff.show import ShowOne

from cinder_nec import __version__
from cinder_nec.cli.base import NecCommand
from cinder_nec.cli.status import Exit
from cinder_nec.in_tree import change, tree
from cinder_nec.in_tree.tree import Found, InTreeError, State, Tree

_RESTART = 'Restart cinder-volume for it to take effect.'
_MEANING = {
    State.OWN: (Exit.WARNING,
                'the driver in the Cinder tree',
                'cinder-nec in-tree install places this driver there.'),
    State.LEFTOVER: (Exit.WARNING,
                     'the driver in the Cinder tree; a backup is left of a '
                     'run that was interrupted, or from before Cinder was '
                     'installed anew',
                     'cinder-nec in-tree install places this driver there, '
                     'cinder-nec in-tree remove clears up.'),
    State.PLACED: (Exit.OK, f'cinder-nec {__version__}', ''),
    State.PLACED_EARLIER: (Exit.WARNING,
                           'cinder-nec, from a file that an earlier release '
                           'placed', 'Run cinder-nec in-tree install.'),
    State.UNKNOWN: (Exit.ERROR, 'not known', change.REINSTALL),
}


class _InTree(NecCommand):
    """What the three commands share."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--cinder', type=Path, metavar='DIR',
            help='the directory of the package cinder (default: that of '
                 'the Python environment of this command)')
        return parser

    def say(self, text: str) -> None:
        self.app.stdout.write(f'{text}\n')

    def change(self, parsed_args: argparse.Namespace) -> int:
        try:
            where = tree.find(parsed_args.cinder)
            self.alter(where)
        except InTreeError as error:
            self.complain(str(error))
            return Exit.ERROR
        return Exit.OK

    def alter(self, where: Tree) -> None:
        raise NotImplementedError


class Install(_InTree):
    """Place this driver behind cinder.volume.drivers.nec.volume.

    For a cinder.conf that cannot be changed. One file of the installed
    Cinder gives way to one that loads this driver; what was there is kept
    beside it. Files that are not those of a known release of Cinder are not
    touched. Exit status: 0 it stands there, 2 nothing was changed.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        return self.change(parsed_args)

    def alter(self, where: Tree) -> None:
        if change.install(where):
            self.say(f'Placed: {where.file} loads cinder-nec '
                     f'{__version__}.\n{_RESTART}')
        else:
            self.say(f'It stands there already: {where.file}.')


class Remove(_InTree):
    """Put Cinder's own driver back behind its path, byte for byte.

    Exit status: 0 it stands there, 2 nothing was changed.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        return self.change(parsed_args)

    def alter(self, where: Tree) -> None:
        if change.remove(where):
            self.say(f"Removed: {where.file} is Cinder's own again.\n"
                     f'{_RESTART}')
        else:
            self.say(f"It is Cinder's own: {where.file}.")


class Status(_InTree, ShowOne):
    """Tell whose driver stands behind cinder.volume.drivers.nec.volume.

    Exit status: 0 this driver, 1 Cinder's own, 2 what is there is not known.
    """

    def take_action(self, parsed_args: argparse.Namespace
                    ) -> tuple[Sequence[str], Any]:
        where = tree.find(parsed_args.cinder)
        found = where.look()
        status, whose, remedy = _MEANING[found.state]
        self.at_least(status)
        shown = _shown(where, found, whose, remedy)
        return tuple(shown), tuple(shown.values())


def _shown(where: Tree, found: Found, whose: str,
           remedy: str) -> dict[str, str]:
    problems = (*found.problems, *found.altered)
    if found.altered:
        remedy = change.REINSTALL
    return {
        'state': found.state.value,
        'driver': whose,
        'file': str(where.file),
        'cinder': where.release or 'not known',
        'problems': '\n'.join(problems),
        'what_to_do': remedy,
    }
