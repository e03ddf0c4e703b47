# SPDX-License-Identifier: Apache-2.0
"""A real Glance: its own environment, file store, nobody to log in as."""

from __future__ import annotations

from collections.abc import Iterator
import hashlib
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys
from typing import Any
import urllib.request

from allinone.config import render, write_private
from harness import bootstrap, venvs

# Glance's pins and Cinder's differ: each has an environment of its own.
REQUIREMENT = 'glance>=31,<34'
VENV = venvs.ROOT / '.venv-glance'
_CHUNK = 1 << 20


def ensure_venv() -> Path:
    """The Python of Glance's environment, built if need be."""
    python = VENV / 'bin' / 'python'
    stamp = VENV / 'built-from.json'
    marks = json.dumps([REQUIREMENT, list(sys.version_info[:2]), str(VENV)])
    with bootstrap.exclusive(VENV.name, venvs.ROOT):
        if stamp.exists() and stamp.read_text() == marks:
            return python
        bootstrap.say(f'building {VENV.name} with Glance from PyPI '
                      '(about half a minute, once) ...')
        for command in (
                [sys.executable, '-m', 'venv', '--clear', str(VENV)],
                [str(python), '-m', 'pip', '--quiet', '--no-input',
                 '--disable-pip-version-check', 'install', REQUIREMENT]):
            done = subprocess.run(command, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True)
            if done.returncode:
                raise bootstrap.BootstrapError(
                    f'pip could not install {REQUIREMENT}:\n'
                    f'{done.stdout}{done.stderr}')
        stamp.write_text(marks)
    return python


class Glance:
    """Context manager: the image service with its images in a directory."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.port = 0
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f'http://127.0.0.1:{self.port}'

    def __enter__(self) -> Glance:
        python = ensure_venv()
        self._configure()
        self._prepare_database(python)
        with (self.state / 'glance.log').open('ab') as log:
            self._child = subprocess.Popen(
                [str(python), str(Path(__file__).with_name(
                    'glance_server.py')), str(self.state),
                 str(os.getpid())], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=log,
                env=self._environment(), start_new_session=True)
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            self.__exit__()
            text = (self.state / 'glance.log').read_text()
            raise RuntimeError(f'Glance did not start: {text[-2000:]}')
        self.port = int(line)
        return self

    def __exit__(self, *_unused: object) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            assert child.stdout is not None
            child.stdout.close()

    def _environment(self) -> dict[str, str]:
        env = {key: value for key, value in os.environ.items()
               if not key.startswith(('OS_', 'PYTHON'))}
        return {**env, 'PYTHONWARNINGS': 'ignore'}

    def _configure(self) -> None:
        for name in ('images', 'staging', 'tasks', 'locks'):
            (self.state / name).mkdir(parents=True)

        def place(name: str) -> dict[str, str]:
            return {'filesystem_store_datadir': str(self.state / name)}

        write_private(self.state / 'glance-api.conf', render({
            'DEFAULT': {'enabled_backends': 'disk:file',
                        'log_file': str(self.state / 'glance-api.log'),
                        'use_stderr': False},
            'glance_store': {'default_backend': 'disk'},
            'disk': place('images'),
            'os_glance_staging_store': place('staging'),
            'os_glance_tasks_store': place('tasks'),
            'database': {'connection':
                         f'sqlite:///{self.state}/glance.sqlite'},
            'paste_deploy': {'flavor': ''},
            'oslo_concurrency': {'lock_path': str(self.state / 'locks')},
        }))
        # Takes the identity from headers, which the server puts in.
        paste = (VENV / 'etc/glance/glance-api-paste.ini').read_text()
        write_private(self.state / 'glance-api-paste.ini', paste.replace(
            'osprofiler unauthenticated-context',
            'osprofiler context'))

    def _prepare_database(self, python: Path) -> None:
        marks = (VENV / 'built-from.json').read_bytes()
        template = (venvs.ROOT / '.cache' / 'glance-'
                    f'{hashlib.sha256(marks).hexdigest()[:12]}.sqlite')
        database = self.state / 'glance.sqlite'
        if not template.exists():
            done = subprocess.run(
                [str(python.with_name('glance-manage')), '--config-file',
                 str(self.state / 'glance-api.conf'), 'db_sync'],
                env=self._environment(), capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f'glance-manage: {done.stderr[-2000:]}')
            scratch = template.with_suffix(f'.{os.getpid()}')
            shutil.copyfile(database, scratch)
            scratch.replace(template)
        else:
            shutil.copyfile(template, database)

    # -- use ---------------------------------------------------------

    def add_image(self, name: str, file: Path,
                  disk_format: str = 'raw') -> str:
        """Put a file in; the image's id."""
        image = self._ask('POST', '/v2/images', {
            'name': name, 'disk_format': disk_format,
            'container_format': 'bare', 'visibility': 'public'})
        with file.open('rb') as data:
            self._send('PUT', f'/v2/images/{image["id"]}/file', data,
                       'application/octet-stream', file.stat().st_size)
        return str(image['id'])

    def image(self, ident: str) -> dict[str, Any]:
        """What Glance knows of an image, its checksum too."""
        return self._ask('GET', f'/v2/images/{ident}')

    def delete_image(self, ident: str) -> None:
        """Take an image out."""
        self._send('DELETE', f'/v2/images/{ident}', None, 'application/json')

    def digest(self, ident: str) -> str:
        """The SHA-256 of what a download gives."""
        digest = hashlib.sha256()
        with urllib.request.urlopen(
                f'{self.endpoint}/v2/images/{ident}/file') as answer:
            while data := answer.read(_CHUNK):
                digest.update(data)
        return digest.hexdigest()

    def _ask(self, method: str, path: str,
             body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        text = self._send(method, path, data, 'application/json')
        result: dict[str, Any] = json.loads(text)
        return result

    def _send(self, method: str, path: str, data: Any, kind: str,
              length: int | None = None) -> bytes:
        headers = {'Content-Type': kind}
        if length is not None:
            headers['Content-Length'] = str(length)
        request = urllib.request.Request(
            self.endpoint + path, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request) as answer:
            content: bytes = answer.read()
        return content


def file_digest(path: Path, length: int | None = None,
                kind: str = 'sha256') -> str:
    """The SHA-256 of a file, or of its beginning."""
    digest = hashlib.new(kind)
    for data in _pieces(path, length):
        digest.update(data)
    return digest.hexdigest()


def _pieces(path: Path, length: int | None) -> Iterator[bytes]:
    left = path.stat().st_size if length is None else length
    with path.open('rb') as file:
        while left and (data := file.read(min(_CHUNK, left))):
            left -= len(data)
            yield data
