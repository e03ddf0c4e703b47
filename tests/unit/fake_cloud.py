# SPDX-License-Identifier: Apache-2.0
"""A Keystone and a Cinder of a few lines, spoken to over HTTP.

As much of them as a client needs that logs in and lists volumes or
snapshots; both answer on one port.
"""

from __future__ import annotations

import http.server
import json
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit


class FakeCloud:
    """Context manager: the services, and what they were asked.

    ``logins`` are the bodies of requests for a token, ``asked`` is the
    path and the query of each list, ``tokens`` whose token came with it.
    """

    def __init__(self) -> None:
        self.found: dict[str, list[dict[str, Any]]] = {
            'volumes': [], 'snapshots': []}
        self.logins: list[dict[str, Any]] = []
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.tokens: list[str] = []
        self.regions: tuple[str, ...] = ('RegionOne',)
        # How many Cinder answers with at a time; 0 for all.
        self.page_size = 0
        # Instead of a list: a status and a text.
        self.failure: tuple[int, str] | None = None
        self.password = 'openstack'
        self._server = http.server.ThreadingHTTPServer(
            ('127.0.0.1', 0), _handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={'poll_interval': .01})

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self._server.server_address[1]}'

    @property
    def keystone(self) -> str:
        return f'{self.url}/identity/v3'

    @property
    def cinder(self) -> str:
        return f'{self.url}/volume/v3'

    def __enter__(self) -> FakeCloud:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # -- answers -------------------------------------------------------

    def log_in(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.logins.append(body)
        user = body['auth']['identity']['password']['user']
        if user['password'] != self.password:
            return 401, {'error': {'code': 401, 'message': 'wrong\npassword'}}
        return 201, {'token': {
            'methods': ['password'], 'expires_at': '2999-01-01T00:00:00Z',
            'issued_at': '2020-01-01T00:00:00Z', 'user': {
                'id': 'u', 'name': 'admin', 'domain': {'id': 'd'}},
            'project': {'id': 'f' * 32, 'name': 'p', 'domain': {'id': 'd'}},
            'catalog': [{
                'type': 'block-storage', 'name': 'cinder', 'id': 'c',
                'endpoints': [{
                    'interface': interface, 'url': self.cinder, 'id': 'e',
                    'region': region, 'region_id': region}
                    for region in self.regions
                    for interface in ('public', 'internal')]}]}}

    def get(self, path: str, marker: str) -> tuple[int, dict[str, Any]]:
        if path.startswith('/identity'):
            return 200, {'version': {
                'id': 'v3.14', 'status': 'stable',
                'links': [{'rel': 'self', 'href': self.keystone}]}}
        versions = {'versions': [{
            'id': 'v3.0', 'status': 'CURRENT', 'version': '3.71',
            'min_version': '3.0', 'links': [
                {'rel': 'self', 'href': self.cinder + '/'}]}]}
        kind = path.removeprefix('/volume/v3').strip('/').partition('/')[0]
        if kind not in self.found:
            return 200, versions
        if self.failure:
            status, text = self.failure
            return status, {'computeFault': {'code': status,
                                             'message': text}}
        return 200, self._page(kind, marker)

    def _page(self, kind: str, marker: str) -> dict[str, Any]:
        found = self.found[kind]
        ids = [each['id'] for each in found]
        start = ids.index(marker) + 1 if marker else 0
        end = start + self.page_size if self.page_size else len(found)
        page: dict[str, Any] = {kind: found[start:end]}
        if end < len(found):
            page[f'{kind}_links'] = [{
                'rel': 'next', 'href': f'{self.cinder}/{kind}/detail'
                f'?marker={ids[end - 1]}'}]
        return page


def _handler(cloud: FakeCloud) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            if parts.path.endswith('/detail'):
                cloud.asked.append((parts.path, query))
                cloud.tokens.append(self.headers['X-Auth-Token'] or '')
            self._answer(*cloud.get(
                parts.path, query.get('marker', [''])[0]))

        def do_POST(self) -> None:
            length = int(self.headers['Content-Length'])
            self._answer(*cloud.log_in(json.loads(self.rfile.read(length))))

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header('Content-Type', 'application/json')
            self.send_header('Content-Length', str(len(text)))
            self.send_header('X-Subject-Token', 'from-keystone')
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
