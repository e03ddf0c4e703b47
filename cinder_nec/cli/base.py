# SPDX-License-Identifier: Apache-2.0
"""What the commands of ``cinder-nec`` share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
import getpass
import math
import os
from typing import Any, TypeVar

from cliff.command import Command
from cliff.lister import Lister

from cinder_nec import errors
from cinder_nec.assembly import Array
from cinder_nec.cli.reading import (
    DEFAULT_PATIENCE_SECONDS,
    DEFAULT_TIMEOUT_SECONDS,
    Arrays,
    each,
)
from cinder_nec.cli.site import Entry, Site, read_site
from cinder_nec.cli.status import Exit, NotRun

_Answer = TypeVar('_Answer')


class NecCommand(Command):
    """A command whose failures are one line and a status.

    :ivar status: what it ends with; a command that found something raises
        it with :meth:`at_least`
    """

    status: Exit = Exit.OK

    def at_least(self, status: Exit) -> None:
        """End with this status, unless a worse one is due."""
        self.status = max(self.status, status)

    def complain(self, text: str) -> None:
        """Write a line on standard error."""
        self.app.stderr.write(f'{self.app.NAME}: {text}\n')

    def run(self, parsed_args: argparse.Namespace) -> int:
        self.status = Exit.OK
        try:
            return int(super().run(parsed_args)) or self.status
        except (NotRun, errors.NecError) as error:
            self.complain(str(error))
            return Exit.NOT_RUN
        except BrokenPipeError:
            raise
        except Exception as error:
            if getattr(self.app_args, 'debug', False):
                raise
            self.complain(f'{type(error).__name__}: {error} (a fault of '
                          'this program; --debug shows where)')
            return Exit.NOT_RUN


class SiteCommand(NecCommand):
    """A command that is about the back ends of a ``cinder.conf``."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        group = parser.add_argument_group('which back ends')
        group.add_argument(
            '--config-file', action='append', default=[], metavar='FILE',
            help='what cinder-volume reads (default: '
                 '/etc/cinder/cinder.conf); may be repeated, later files '
                 'win')
        group.add_argument(
            '--config-dir', action='append', default=[], metavar='DIR',
            help='a directory of *.conf files that are read after them '
                 '(default: /etc/cinder/cinder.conf.d); may be repeated')
        group.add_argument(
            '--backend', action='append', default=[], metavar='SECTION',
            help='a back end (default: all in enabled_backends whose '
                 'volume_driver is this driver); may be repeated')
        group.add_argument(
            '--timeout', type=_seconds, default=DEFAULT_TIMEOUT_SECONDS,
            metavar='SECONDS',
            help='how long a connection to an array may take to come '
                 'about (default: %(default)g, and never more than '
                 'ssh_conn_timeout)')
        group.add_argument(
            '--patience', type=_seconds, default=DEFAULT_PATIENCE_SECONDS,
            metavar='SECONDS',
            help='how long one answer of an array may take (default: '
                 '%(default)g)')
        return parser

    def site(self, parsed_args: argparse.Namespace) -> Site:
        """Return the site that the options mean.

        :raises NotRun: it cannot be read
        """
        return read_site(parsed_args.config_file, parsed_args.config_dir,
                         parsed_args.backend)


    def arrays(self, parsed_args: argparse.Namespace, *,
               changes: bool = False) -> Arrays:
        """Return what opens the arrays.

        :param changes: let changes through; these have all their time
        """
        return Arrays(
            parsed_args.timeout, changes=changes,
            patience_seconds=math.inf if changes else parsed_args.patience)

    def of_each(self, site: Site, arrays: Arrays,
                work: Callable[[Entry, Array], _Answer]
                ) -> list[tuple[Entry, _Answer]]:
        """Do something with the array of each back end, all at a time.

        A back end that cannot be asked is complained about and left out,
        and the command ends with ERROR.
        """
        def one(entry: Entry) -> _Answer | errors.NecError:
            try:
                if entry.config is None or entry.driver is None:
                    raise entry.error or errors.NecError(
                        f'[{entry.group}] cannot be used.')
                return work(entry, arrays.of(entry.config))
            except errors.NecError as error:
                return error

        found = []
        for entry, answer in zip(site.entries, each(site.entries, one),
                                 strict=True):
            if isinstance(answer, errors.NecError):
                self.complain(f'{entry.group}: {answer}')
                self.at_least(Exit.ERROR)
            else:
                found.append((entry, answer))
        return found


class SiteLister(SiteCommand, Lister):
    """A command that shows one table about back ends."""

    def take_action(self, parsed_args: argparse.Namespace
                    ) -> tuple[Sequence[str], Any]:
        raise NotImplementedError


class PeopleLister(SiteLister):
    """One that shows people something better than one wide table.

    With ``-f`` other than table, or with ``-c``, it is a table.
    """

    def for_people(self, parsed_args: argparse.Namespace) -> None:
        """Write what take_action() found on self.app.stdout."""
        raise NotImplementedError

    def produce_output(self, parsed_args: argparse.Namespace,
                       column_names: Sequence[str], data: Any) -> int:
        if parsed_args.formatter == 'table' and not parsed_args.columns:
            self.for_people(parsed_args)
            return 0
        return int(super().produce_output(parsed_args, column_names, data))


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError('from 0 to 3600')
    return value


def whoami() -> str:
    """Return the name of the user, for messages."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f'uid {os.getuid()}'
