# SPDX-License-Identifier: Apache-2.0
"""tools/soak: the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import functools
from pathlib import Path
import random
import sys

from allinone import CinderError
from harness import ending
from harness.terminal import Screen
from soak_suite.cloud import OneProcess
from soak_suite.cluster import TwoNodes
from soak_suite.soak import Plan, Soak


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command line of tools/soak."""
    parser = argparse.ArgumentParser(
        prog='tools/soak', formatter_class=argparse.RawTextHelpFormatter,
        description='Let users do random things through the real Cinder '
        'API, on the four driver\nclasses and one simulated array, while '
        'faults of the array come and go and Cinder\nis stopped and '
        'killed. At the end array and Cinder are compared, and '
        'everything\nis deleted: nothing may be lost, nothing may stay '
        'behind.',
        epilog='Exit status: 0 if there is no difference and every error '
        'is explained by a fault,\n1 if not, 2 if it cannot be run, 130 '
        'if interrupted. Nothing keeps running\nafterwards.')
    parser.add_argument(
        '--minutes', type=_positive, default=10.0, metavar='M',
        help='how long users work (default: %(default)g)')
    parser.add_argument(
        '--workers', type=int, default=8, metavar='W',
        help='how many users (default: %(default)s)')
    parser.add_argument(
        '--seed', type=int, metavar='S',
        help='the same choices as in another run; what they meet depends '
        'on\ntime, so a run is not repeated exactly')
    parser.add_argument(
        '--no-faults', action='store_true', help='the array works well')
    parser.add_argument(
        '--no-restarts', action='store_true', help='Cinder keeps running')
    parser.add_argument(
        '--cluster', action='store_true',
        help='API, scheduler and two cinder-volume of one cluster as '
        'processes of their\nown, on RabbitMQ, MariaDB and etcd from '
        'Debian\'s packages; one of the two\nis killed in turn')
    parser.add_argument(
        '--native-threads', action='store_true',
        help='run Cinder without eventlet (Cinder 29 and newer)')
    parser.add_argument(
        '--debug', action='store_true', help='Cinder logs at debug level')
    parser.add_argument(
        '--state', type=Path, metavar='DIR',
        help='empty directory for configuration, logs and the array\'s '
        'bytes\n(default: a new one, removed afterwards if all is well)')
    options = parser.parse_args(argv)
    if options.state and options.state.exists() and any(
            options.state.iterdir()):
        parser.error(f'{options.state} is not empty')
    return options


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError('must be more than 0')
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = parse(sys.argv[1:] if argv is None else argv)
    screen = Screen()
    return ending.run_in_directory(
        functools.partial(soak, options, screen), screen,
        given=options.state, prefix='nec-soak-')


def soak(options: argparse.Namespace, screen: Screen, state: Path) -> int:
    """Start Cinder, let users work, compare; the exit status."""
    seed = random.SystemRandom().randrange(10 ** 6) if (
        options.seed is None) else options.seed
    plan = Plan(options.minutes * 60, options.workers, seed,
                faults=not options.no_faults,
                restarts=not options.no_restarts)
    try:
        with _cloud(options, state) as cloud:
            return int(not Soak(plan, cloud, state, screen).run())
    except (CinderError, RuntimeError) as error:
        screen.line(f'\n{error}', 'red')
        return 2


def _cloud(options: argparse.Namespace,
           state: Path) -> OneProcess | TwoNodes:
    if options.cluster:
        return TwoNodes(state, debug=options.debug)
    return OneProcess(state, debug=options.debug,
                      native_threads=options.native_threads)


if __name__ == '__main__':
    sys.exit(main())
