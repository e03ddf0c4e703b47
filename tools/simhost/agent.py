# SPDX-License-Identifier: Apache-2.0
"""The process that is the host's kernel, iscsid and multipathd."""

from __future__ import annotations

import json
import os
from pathlib import Path
import queue
import signal
import socketserver
import sys
import threading
from typing import Any

from simhost import namespace, standins
from simhost.host import Host


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        name, words, stdin = json.loads(self.rfile.readline())
        result = standins.answer(server.host, name, words, stdin)
        with server.log_lock, server.log.open('a') as log:
            log.write(json.dumps([name, words, stdin, *result]) + '\n')
        self.wfile.write(json.dumps(result).encode() + b'\n')


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path, host: Host, log: Path) -> None:
        super().__init__(str(path), _Handler)
        self.host = host
        self.log = log
        self.log_lock = threading.Lock()


def run(state: Path, settings: dict[str, Any]) -> None:
    """Be a host until SIGTERM; prints one line when it is ready."""
    # An Event may deadlock when a signal comes just as it begins to wait.
    stop: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: stop.put(number))
    socket = Path(settings['socket'])
    namespace.build(state, socket, settings['initiator'])
    os.environ.update(namespace.environment(state, os.environ))
    host = Host(Path(settings['scratch']), settings['initiator'],
                settings['multipath'], settings['wwpns'],
                settings['fabric'])
    server = _Server(socket, host, state / 'commands.jsonl')
    threading.Thread(target=server.serve_forever, daemon=True,
                     kwargs={'poll_interval': 0.1}).start()
    (state / 'pid').write_text(str(os.getpid()))
    print('ready', flush=True)
    stop.get()
    server.shutdown()
    host.close()
    sys.stdout.flush()
