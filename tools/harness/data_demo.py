# SPDX-License-Identifier: Apache-2.0
"""tools/demo --data: real bytes through Cinder, Glance and os-brick."""

from __future__ import annotations

import argparse
from pathlib import Path
import time

from allinone import WaitTimeout
from allinone.process import release
from harness import cli, data_stage, traces
from harness.bootstrap import BootstrapError
from harness.data_stage import DataStage
from harness.data_walk import DataWalk
from harness.drivers import Driver
from harness.steps import CheckFailed, Runner
from harness.terminal import Screen


def play(options: argparse.Namespace, driver: Driver, state: Path,
         screen: Screen) -> int:
    """Start everything, walk, stop everything; the exit status."""
    absent = data_stage.missing()
    if absent:
        screen.line(f'tools/demo --data: missing: {absent}', 'red')
        return 1
    began = time.monotonic()
    try:
        with traces.watched(), DataStage(
                state, [driver, driver], latency=options.latency,
                native_threads=options.native_threads,
                debug=options.debug) as stage:
            introduce(stage, screen, time.monotonic() - began)
            if not all(stage.cinder.up.values()):
                screen.line('a driver did not come up:', 'red')
                screen.lines(stage.errors() or stage.cinder.tail())
                return 1
            held = walk(stage, screen)
    except (BootstrapError, traces.LeftBehind) as exc:
        screen.line(f'tools/demo --data: {exc}', 'red')
        return 1
    screen.line('stopped; no process, loop device, mount or temporary file '
                'is left')
    return 0 if held else 1


def introduce(stage: DataStage, screen: Screen, seconds: float) -> None:
    """Say what is running."""
    screen.line(f'Cinder {release()} with {stage.drivers[0].path}', 'bold')
    screen.labelled('Cinder', [f'{stage.cinder.endpoint}, with '
                               'cinder-backup, on a simulated host'])
    screen.labelled('Glance', [f'{stage.glance.endpoint}, file store'])
    screen.labelled('arrays', [
        f'simulated, SSH at {array.host}:{array.port}, iSCSI at '
        f'{data_stage.portal(array)} ...' for array in stage.arrays])
    screen.labelled('ready', [f'after {seconds:.1f} s'])


def walk(stage: DataStage, screen: Screen) -> bool:
    """Run the steps and say how it ended."""
    runner = Runner(screen, cli.CinderCli(stage.cinder.env()),
                    stage.arrays[0])
    try:
        DataWalk(stage, runner).all_steps()
    except (CheckFailed, WaitTimeout, cli.CliError, OSError) as exc:
        screen.line(f'   FAILED: {exc}', 'red')
        screen.lines(stage.errors(), 'dim', indent=3)
    screen.line()
    screen.table(('', 'step', 'seconds', 'checks', ''), [
        (str(number), step.title, f'{step.seconds:.2f}', str(step.checks),
         'held' if step.held else 'FAILED')
        for number, step in enumerate(runner.steps, 1)])
    if data_stage.no_luks():
        screen.line('encrypted volumes were not tried: missing: '
                    + data_stage.no_luks(), 'yellow')
    elif data_stage.no_dm_crypt():
        screen.line('an image into an encrypted volume was not tried: '
                    + data_stage.no_dm_crypt(), 'yellow')
    held = all(step.held for step in runner.steps)
    if held:
        screen.line(f'all {len(runner.steps)} steps held: every checksum is '
                    'right', 'green')
    else:
        screen.line('a step did not hold; later ones were not tried', 'red')
    return held
