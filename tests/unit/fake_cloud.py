# SPDX-License-Identifier: Apache-2.0
"""A Keystone and a Cinder of a few lines, in place of the network.

As much of them as a client needs that logs in and lists volumes or
snapshots.  They answer requests of the ``requests`` library; no thread and
no socket is involved, which eventlet would have to patch.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

HOST = 'cloud.example:5000'


class FakeCloud:
    """The services, and what they were asked.

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

    keystone = f'http://{HOST}/identity/v3'
    cinder = f'http://{HOST}/volume/v3'

    def send(self, request: requests.PreparedRequest,
             **_options: Any) -> requests.Response:
        """Take the place of ``requests.adapters.HTTPAdapter.send``."""
        parts = urlsplit(str(request.url))
        if parts.netloc != HOST:
            raise requests.ConnectionError(f'nobody answers at {request.url}')
        query = parse_qs(parts.query)
        if parts.path.endswith('/detail'):
            self.asked.append((parts.path, query))
            self.tokens.append(request.headers.get('X-Auth-Token', ''))
        if request.method == 'POST':
            status, body = self.log_in(json.loads(request.body or ''))
        else:
            status, body = self.get(parts.path,
                                    query.get('marker', [''])[0])
        response = requests.Response()
        response.status_code = status
        response.request, response.url = request, str(request.url)
        response.headers['Content-Type'] = 'application/json'
        response.headers['X-Subject-Token'] = 'from-keystone'
        response._content = json.dumps(body).encode()
        return response

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

