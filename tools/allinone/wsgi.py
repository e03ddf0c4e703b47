# SPDX-License-Identifier: Apache-2.0
"""Serve Cinder's API application, under eventlet or with threads."""

from __future__ import annotations

import logging
import socket
import socketserver
import threading
from typing import Any
from wsgiref import simple_server

LOG = logging.getLogger(__name__)


def listen(port: int) -> socket.socket:
    """A listening socket on loopback; port 0 takes a free one."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(('127.0.0.1', port))
    sock.listen(128)
    return sock


def serve(sock: socket.socket, app: Any, native: bool) -> None:
    """Answer requests until the process ends; returns at once."""
    if native:
        server = _ThreadedServer(sock, app)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return
    import eventlet
    import eventlet.wsgi
    eventlet.spawn_n(eventlet.wsgi.server, sock, app, log=LOG,
                     log_output=False, keepalive=True)


class _Handler(simple_server.WSGIRequestHandler):

    def log_message(self, format: str, *args: Any) -> None:
        LOG.debug(format, *args)


class _ThreadedServer(socketserver.ThreadingMixIn,
                      simple_server.WSGIServer):
    """One thread for each request, on a socket that is open already."""

    daemon_threads = True

    def __init__(self, sock: socket.socket, app: Any) -> None:
        address = sock.getsockname()
        super().__init__(address, _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = sock
        # What server_bind would have set; without its reverse look-up.
        self.server_name, self.server_port = address
        self.setup_environ()
        self.set_app(app)
