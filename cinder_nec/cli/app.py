# SPDX-License-Identifier: Apache-2.0
"""The entry point of ``cinder-nec``.

The commands are entry points of the group ``cinder_nec.cli``, so that each
is imported when it is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
import logging
import sys
from typing import TextIO

from cliff.app import App
from cliff.commandmanager import CommandManager

from cinder_nec import __version__
from cinder_nec.cli.status import Exit

NAME = 'cinder-nec'
GROUP = 'cinder_nec.cli'
DESCRIPTION = """\
See and check the disk arrays behind the Cinder driver for NEC Storage.

It reads cinder.conf as cinder-volume does. Nothing is ever changed on an
array, except by `audit --mend`, which asks first.

Exit status: 0 ok, 1 warnings, 2 errors (a back end that does not answer is
one), 3 if the command could not be run at all.
"""
# What argparse and cliff end with for a wrong command line.
_USAGE = 2


class Commands(CommandManager):
    """The commands as they are installed.

    Cliff's own way keeps what it has read in a cache, which does not notice
    an upgrade within two minutes, and imports them all.
    """

    def load_commands(self, namespace: str) -> None:
        self.group_list.append(namespace)
        for entry in metadata.entry_points(group=namespace):
            self.commands[entry.name.replace('_', ' ')] = entry


class NecApp(App):
    """``cinder-nec``, without cliff's interactive mode."""

    NAME = NAME
    LOG = logging.getLogger(NAME)
    # Warnings of libraries; findings are the commands' own business.
    DEFAULT_VERBOSE_LEVEL = 0

    def __init__(self, stdout: TextIO | None = None,
                 stderr: TextIO | None = None) -> None:
        super().__init__(DESCRIPTION, __version__, Commands(GROUP),
                         stdout=stdout, stderr=stderr, deferred_help=True)

    def configure_logging(self) -> None:
        """Keep the driver's own log to those who ask for it (-v)."""
        super().configure_logging()
        quiet = self.options.verbose_level == self.DEFAULT_VERBOSE_LEVEL
        logging.getLogger('cinder_nec').setLevel(
            logging.CRITICAL if quiet else logging.NOTSET)

    def run_subcommand(self, argv: list[str]) -> int:
        try:
            self.command_manager.find_command(argv)
        except ValueError:
            super().run_subcommand(argv)  # says so, and what is near
            return Exit.NOT_RUN
        return int(super().run_subcommand(argv))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return NecApp().run(arguments or ['help'])
    except SystemExit as ended:  # argparse; without a code after help
        code = ended.code or 0
        return (Exit.NOT_RUN if code == _USAGE or isinstance(code, str)
                else code)
    except Exception as error:  # a command that cannot even be imported
        if '--debug' in arguments:
            raise
        sys.stderr.write(f'{NAME}: {type(error).__name__}: {error}\n')
        return Exit.NOT_RUN


if __name__ == '__main__':
    sys.exit(main())
