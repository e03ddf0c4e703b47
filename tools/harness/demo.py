# SPDX-License-Identifier: Apache-2.0
"""tools/demo: chapter 7.1 of the manual on a simulated array."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import functools
from pathlib import Path
import sys
import time

from allinone import CinderError, WaitTimeout
from allinone.process import release
from harness import cli, data_demo, drivers, ending
from harness.stage import Stage
from harness.steps import CheckFailed, Runner
from harness.terminal import Screen
from harness.walk import Walk


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command line of tools/demo."""
    parser = argparse.ArgumentParser(
        prog='tools/demo', formatter_class=argparse.RawTextHelpFormatter,
        description='Start a simulated M-series array and a real Cinder '
        'that uses it, and walk\nthrough chapter 7.1 of the driver\'s '
        'manual with the real cinder client. Every step\nis checked '
        'against the array, Cinder, and the bytes on the volumes.',
        epilog='Exit status: 0 if every step held, 1 if not, 130 if '
        'interrupted.\nNothing keeps running afterwards.')
    parser.add_argument(
        '--driver', default='MStorageISCSIDriver', metavar='CLASS',
        help='driver class: ' + ', '.join(drivers.CLASSES)
        + ',\nor a dotted path, such as '
        'cinder.volume.drivers.nec.volume.MStorageISCSIDriver\n'
        '(default: %(default)s)')
    parser.add_argument(
        '--data', action='store_true',
        help='walk through what a user does with the data instead: images, '
        'copies,\nbackups, migration, over real iSCSI; needs root, tgt, '
        'FUSE, loop devices')
    parser.add_argument(
        '--keep', action='store_true',
        help='afterwards keep all running until Ctrl-C, and say how to use '
        'it with\nyour own cinder and openstack commands')
    parser.add_argument(
        '--no-walk', action='store_true',
        help='with --keep: start only')
    parser.add_argument(
        '--latency', metavar='SPEC',
        help='how long the array takes, as in "tools/sim --latency"')
    parser.add_argument(
        '--native-threads', action='store_true',
        help='run Cinder without eventlet (Cinder 29 and newer)')
    parser.add_argument(
        '--debug', action='store_true', help='Cinder logs at debug level')
    parser.add_argument(
        '--state', type=Path, metavar='DIR',
        help='directory for configuration, logs and the array\'s bytes\n'
        '(default: a new one, removed afterwards unless a step failed)')
    options = parser.parse_args(argv)
    if options.data and (options.keep or options.no_walk):
        parser.error('--data ends by itself: not with --keep, --no-walk')
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = parse(sys.argv[1:] if argv is None else argv)
    screen = Screen()
    try:
        driver = drivers.find(options.driver)
    except ValueError as exc:
        print(f'tools/demo: {exc}', file=sys.stderr)
        return 2
    return ending.run_in_directory(
        functools.partial(play, options, driver, screen), screen,
        given=options.state, prefix='nec-demo-')


def play(options: argparse.Namespace, driver: drivers.Driver,
         screen: Screen, state: Path) -> int:
    """Play what was asked for; the exit status."""
    show = data_demo.play if options.data else play_chapter
    try:
        return show(options, driver, state, screen)
    except CinderError as exc:
        screen.line(f'\n{exc}', 'red')
        return 1


def play_chapter(options: argparse.Namespace, driver: drivers.Driver,
                 state: Path, screen: Screen) -> int:
    """Start everything, walk, keep if asked, stop everything."""
    began = time.monotonic()
    with Stage(state, driver, latency=options.latency,
               native_threads=options.native_threads,
               debug=options.debug) as stage:
        introduce(stage, screen, time.monotonic() - began)
        if not all(stage.cinder.up.values()):
            screen.line('the driver did not come up:', 'red')
            screen.lines(stage.errors() or stage.cinder.tail())
            return 1
        held = options.no_walk and options.keep or walk(stage, screen)
        if options.keep:
            keep(stage, screen)
    screen.line('stopped; no process is left')
    return 0 if held else 1


def introduce(stage: Stage, screen: Screen, seconds: float) -> None:
    """Say what is running."""
    screen.line(f'Cinder {release()} with {stage.driver.path}', 'bold')
    mode = ('native threads' if stage.cinder.native_threads else 'eventlet')
    screen.labelled('Cinder', [
        f'{stage.cinder.endpoint}, process {stage.cinder.pid}, {mode}'])
    screen.labelled('array', [
        f'simulated, SSH at {stage.array.host}:{stage.array.port}, '
        f'process {stage.array.pid}'])
    screen.labelled('ready', [f'after {seconds:.1f} s'])


def walk(stage: Stage, screen: Screen) -> bool:
    """Run the steps and print the summary; True if every step held."""
    runner = Runner(screen, cli.CinderCli(stage.cinder.env()), stage.array)
    try:
        Walk(stage, runner).all_steps()
    except (CheckFailed, WaitTimeout, cli.CliError) as exc:
        screen.line(f'   FAILED: {exc}', 'red')
        errors = stage.errors()
        if errors:
            screen.line('   the errors in Cinder\'s log:', 'red')
            screen.lines(errors, 'dim', indent=3)
    summary(runner, screen)
    return all(step.held for step in runner.steps)


def summary(runner: Runner, screen: Screen) -> None:
    """One line for each step."""
    screen.line()
    rows = []
    for number, step in enumerate(runner.steps, 1):
        dumps = sum(command.is_dump for command in step.commands)
        rows.append((str(number), step.title, f'{step.seconds:.2f}',
                     str(len(step.commands) - dumps), str(dumps),
                     str(step.checks), 'held' if step.held else 'FAILED'))
    screen.table(('', 'step', 'seconds', 'commands', 'dumps', 'checks', ''),
                 rows)
    bad = sum(not step.held for step in runner.steps)
    if bad:
        screen.line('a step did not hold; later ones were not tried', 'red')
    else:
        screen.line(f'all {len(rows)} steps held', 'green')


def keep(stage: Stage, screen: Screen) -> None:
    """Leave it running until Ctrl-C, and say how to use it."""
    screen.line('\nrunning until Ctrl-C', 'bold')
    screen.line('for the cinder command:')
    for name, value in stage.cinder.env().items():
        screen.line(f'export {name}={value}', indent=2)
    screen.line('for the openstack command (without the variables above):')
    screen.line('openstack ' + ' '.join(stage.cinder.openstack_options())
                + ' volume list', indent=2)
    screen.line('on the array:')
    screen.line(stage.array.ssh_hint(), indent=2)
    screen.line(f'logs: {stage.cinder.log_file}')
    try:
        while stage.cinder.pid and stage.array.pid:
            time.sleep(0.5)
        screen.line('a process ended by itself', 'red')
    except KeyboardInterrupt:
        screen.line()


if __name__ == '__main__':
    sys.exit(main())
