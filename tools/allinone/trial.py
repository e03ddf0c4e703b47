# SPDX-License-Identifier: Apache-2.0
"""``tools/cloud``: a Cinder for trials, with a cinder.conf of one's own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from allinone import lifetime
from allinone.config import Layout, write_config, write_private
from allinone.process import identity_env


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='tools/cloud',
        description='Run a real Cinder for trials: API, scheduler and volume '
        'back ends in one process,\nsqlite, no broker, no keystone. Says when '
        'it is up, and runs until SIGTERM or Ctrl-C.\nFor a site it is '
        'nothing: anybody on this machine may use it.',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--config-file', type=Path, required=True, metavar='FILE',
        help='[DEFAULT] and the sections of the back ends, as in the '
        'cinder.conf of a site')
    parser.add_argument('--state', type=Path, required=True, metavar='DIR',
                        help='everything that it keeps; goes on from what '
                        'is there')
    parser.add_argument('--port', type=int, default=0, metavar='N',
                        help='of the API (default 0: a free one)')
    parser.add_argument('--parent', type=int, metavar='PID',
                        help='end when this process ends')
    options = parser.parse_args(argv)
    if not options.config_file.is_file():
        parser.error(f'{options.config_file}: no such file')
    return options


def main(argv: Sequence[str]) -> int:
    """Run until a signal comes; the exit status is 0 then."""
    options = parse(argv)
    if options.parent is not None:
        lifetime.die_with_parent(options.parent)
    layout = Layout(options.state.resolve())
    write_config(layout, {})
    # Imported late: before it runs, nothing may touch threads or sockets.
    from allinone import server

    def tell(endpoint: str, up: dict[str, bool]) -> None:
        openrc = layout.state / 'openrc'
        write_private(openrc, ''.join(
            f"export {name}='{value}'\n"
            for name, value in identity_env(endpoint).items()))
        for name, is_up in up.items():
            if not is_up:
                print(f'{name} did not come up; {layout.log} says why',
                      flush=True)
        print(f'Cinder is up; its clients want: . {openrc}', flush=True)

    server.serve(layout.state, options.port, tell=tell,
                 more=[options.config_file.resolve()])
    return 0
