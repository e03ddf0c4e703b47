# SPDX-License-Identifier: Apache-2.0
"""Paste filter: who a request is from, when nobody checks.

Cinder's own noauth filter answers a request without a token with a token
(Auth 1.1, status 204). openstackclient and openstacksdk ask for version
documents without a token and take that answer for a broken endpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from allinone.config import PROJECT_ID, USER_ID

App = Callable[[dict[str, Any], Any], Iterable[bytes]]


def filter_factory(_global: dict[str, str],
                   **_local: str) -> Callable[[App], App]:
    """Entry point named in api-paste.ini."""
    def wrap(app: App) -> App:
        def with_identity(environ: dict[str, Any],
                          start_response: Any) -> Iterable[bytes]:
            environ.setdefault('HTTP_X_AUTH_TOKEN',
                               f'{USER_ID}:{PROJECT_ID}')
            # Cinder asks Nova before it deletes a server's attachment,
            # unless the request comes from a service. There is no Nova.
            environ.setdefault('HTTP_X_SERVICE_ROLES', 'service')
            return app(environ, start_response)
        return with_identity
    return wrap
