# SPDX-License-Identifier: Apache-2.0
"""``python -m allinone serve --state DIR``."""

from __future__ import annotations

import argparse
from pathlib import Path

from allinone import lifetime


def main() -> None:
    """Command line of the one-process Cinder."""
    parser = argparse.ArgumentParser(prog='python -m allinone')
    commands = parser.add_subparsers(dest='command', required=True)
    serve = commands.add_parser(
        'serve', help='run the Cinder whose cinder.conf is in a directory')
    serve.add_argument('--state', type=Path, required=True, metavar='DIR')
    serve.add_argument('--port', type=int, default=0,
                       help='of the API; default: a free one')
    serve.add_argument('--parent', type=int, metavar='PID',
                       help='end when this process ends')
    serve.add_argument('--template', type=Path, metavar='FILE',
                       help='empty database to copy, made if missing')
    serve.add_argument('--backup', action='store_true',
                       help='run cinder-backup as well')
    options = parser.parse_args()
    if options.parent is not None:
        lifetime.die_with_parent(options.parent)
    # Imported late: before it runs, nothing may touch threads or sockets.
    from allinone import server
    server.serve(options.state, options.port, options.template,
                 options.backup)


main()
