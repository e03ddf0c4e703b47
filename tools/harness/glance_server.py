# SPDX-License-Identifier: Apache-2.0
"""Serves Glance's WSGI application; runs in Glance's own environment.

``python glance_server.py DIR PARENT``: DIR has glance-api.conf. Prints the
port. Glance has no server of its own any more, and a client's uploads are
chunked, which eventlet's server decodes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any


def main() -> None:
    """Serve until SIGTERM."""
    directory, parent = sys.argv[1], int(sys.argv[2])
    # Beside this file are modules named as those of the library.
    sys.path.pop(0)
    ctypes.CDLL(None).prctl(1, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit('the parent process ended first')
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    os.environ['OS_GLANCE_CONFIG_DIR'] = directory
    # Glance reads the command line for options.
    sys.argv[1:] = []
    import eventlet
    import eventlet.wsgi
    from glance.wsgi.api import application  # type: ignore
    listener = eventlet.listen(('127.0.0.1', 0))
    print(listener.getsockname()[1], file=answers, flush=True)
    eventlet.wsgi.server(listener, as_admin(application),
                         log_output=False)


def as_admin(application: Any) -> Any:
    """Who a request is from, when nobody checks: what keystone's filter
    would say of Cinder."""
    def with_identity(environ: dict[str, Any],
                      start_response: Any) -> Any:
        environ.update({
            'HTTP_X_IDENTITY_STATUS': 'Confirmed',
            'HTTP_X_USER_ID': 'admin', 'HTTP_X_ROLES': 'admin,member,reader',
            'HTTP_X_PROJECT_ID': '0123456789abcdef0123456789abcdef',
            'HTTP_X_TENANT_ID': '0123456789abcdef0123456789abcdef'})
        return application(environ, start_response)
    return with_identity


if __name__ == '__main__':
    main()
