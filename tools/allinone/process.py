# SPDX-License-Identifier: Apache-2.0
"""Start, use and stop a one-process Cinder from a test or a tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import importlib.metadata
import json
import os
from pathlib import Path
import selectors
import signal
import subprocess
import sys
import time
from types import TracebackType
from typing import Any

from allinone import patches
from allinone.config import PROJECT_ID, USER_ID, Layout, Section, write_config

TOOLS = Path(__file__).resolve().parents[1]
# New enough for attachments, multiattach and everything in Cinder 27.
MICROVERSION = '3.70'
START_SECONDS = 90.0
STOP_SECONDS = 15.0


def identity_env(endpoint: str) -> dict[str, str]:
    """Environment of the ``cinder`` command line."""
    return {
        'OS_AUTH_TYPE': 'noauth',
        'OS_USER_ID': USER_ID,
        'OS_PROJECT_ID': PROJECT_ID,
        'CINDER_ENDPOINT': endpoint,
        'OS_VOLUME_API_VERSION': MICROVERSION,
    }


class CinderError(Exception):
    """Cinder did not start or stop; the text has the end of its log."""


def release() -> int:
    """Major version of the Cinder beside this Python."""
    return int(importlib.metadata.version('cinder').partition('.')[0])


class CinderProcess:
    """API, scheduler and volume back ends in one child process.

    Usable as a context manager, or by start() and stop(). *backends* maps
    a section of cinder.conf to its options, *default* and *sections* add
    to the rest of cinder.conf. *template_dir* keeps an empty migrated
    database, which saves more than half of the time of a first start.
    *wrap* changes the command line, to run it elsewhere; *backup* adds
    cinder-backup.
    """

    def __init__(self, state_dir: Path | str,
                 backends: Mapping[str, Section], *,
                 native_threads: bool = False, debug: bool = False,
                 default: Section | None = None,
                 sections: Mapping[str, Section] | None = None,
                 template_dir: Path | str | None = None,
                 env: Mapping[str, str] | None = None,
                 wrap: Callable[[list[str]], list[str]] | None = None,
                 backup: bool = False) -> None:
        self.layout = Layout(Path(state_dir).resolve())
        self.backends = dict(backends)
        self.native_threads = native_threads
        self.default = {'debug': debug, **(default or {})}
        self.sections = dict(sections or {})
        self.template_dir = Path(template_dir) if template_dir else None
        self.extra_env = dict(env or {})
        self._wrap = wrap
        self._backup = backup
        self.endpoint = ''
        self.started_in = 0.0
        #: Back end -> whether its driver came up.
        self.up: dict[str, bool] = {}
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> CinderProcess:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    # -- life --------------------------------------------------------

    @property
    def log_file(self) -> Path:
        return self.layout.log

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        child = self._child
        return child.pid if child and child.poll() is None else None

    @property
    def port(self) -> int:
        """Port of the API; 0 before the first start."""
        if not self.endpoint:
            return 0
        return int(self.endpoint.rpartition(':')[2].partition('/')[0])

    def start(self) -> None:
        """Write the configuration, start, return when it answers."""
        write_config(self.layout, self.backends, self.default,
                     self.sections)
        began = time.monotonic()
        command = [sys.executable, '-m', 'allinone', 'serve',
                   '--state', str(self.layout.state),
                   '--port', str(self.port), '--parent', str(os.getpid())]
        if self.template_dir:
            version = importlib.metadata.version('cinder')
            command += ['--template', str(
                self.template_dir / f'cinder-{version}.sqlite')]
        if self._backup:
            command.append('--backup')
        if self._wrap:
            command = self._wrap(command)
        with open(self.layout.stderr, 'ab') as stderr:
            self._child = subprocess.Popen(
                command, env=self._child_env(), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=stderr,
                # Ctrl-C in a terminal is for the tool, which stops us.
                start_new_session=True)
        try:
            ready = json.loads(self._ready_line())
        except BaseException:
            self.kill()
            raise
        self.endpoint = ready['endpoint']
        self.up = ready['backends']
        self.started_in = time.monotonic() - began

    def stop(self) -> None:
        """End it as an operator would: running operations may finish."""
        child = self._child
        if child is None:
            return
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
                raise CinderError('Cinder did not stop within '
                                  f'{STOP_SECONDS:g} s and was killed'
                                  ) from None
        self._forget()

    def kill(self) -> None:
        """End it as a crash would, at once."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._forget()

    def restart(self) -> None:
        """Stop and start again; database and port stay."""
        self.stop()
        self.start()

    def _forget(self) -> None:
        if self._child is not None and self._child.stdout:
            self._child.stdout.close()
        self._child = None

    def _child_env(self) -> dict[str, str]:
        env = {key: value for key, value in os.environ.items()
               if not key.startswith('OS_')}
        path = [str(TOOLS), env.get('PYTHONPATH', '')]
        env['PYTHONPATH'] = os.pathsep.join(filter(None, path))
        env['PYTHONWARNINGS'] = 'ignore'
        env[patches.NATIVE_THREADS] = '1' if self.native_threads else '0'
        env.update(self.extra_env)
        return env

    def _ready_line(self) -> bytes:
        """Read the line that the child prints when it is up."""
        child = self._child
        assert child is not None and child.stdout is not None
        deadline = time.monotonic() + START_SECONDS
        received = b''
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while b'\n' not in received:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise CinderError('Cinder did not come up within '
                                      f'{START_SECONDS:g} s\n{self.tail()}')
                if not selector.select(left):
                    continue
                data = os.read(child.stdout.fileno(), 65536)
                if not data:
                    child.wait()
                    raise CinderError(
                        'Cinder ended while starting, with status '
                        f'{child.returncode}\n{self.tail()}')
                received += data
        return received.splitlines()[0]

    # -- use ---------------------------------------------------------

    def client(self, microversion: str = MICROVERSION) -> Any:
        """A python-cinderclient v3 client."""
        from cinderclient import client
        from cinderclient.contrib import noauth
        from keystoneauth1 import session
        auth = noauth.CinderNoAuthPlugin(USER_ID, PROJECT_ID,
                                         endpoint=self.endpoint)
        return client.Client(microversion,
                             session=session.Session(auth=auth))

    def env(self) -> dict[str, str]:
        """Environment of the ``cinder`` command line."""
        return identity_env(self.endpoint)

    def openstack_options(self) -> list[str]:
        """Options of the ``openstack`` command line; no OS_* beside them."""
        return ['--os-auth-type', 'admin_token',
                '--os-endpoint', self.endpoint,
                '--os-token', f'{USER_ID}:{PROJECT_ID}']

    def ensure_type(self, name: str, backend: str | None = None,
                    **extra_specs: str) -> Any:
        """A volume type; of one back end, if that is given."""
        client = self.client()
        found = [t for t in client.volume_types.list() if t.name == name]
        kind = found[0] if found else client.volume_types.create(name)
        specs = dict(extra_specs)
        if backend:
            specs['volume_backend_name'] = backend
        # Cinder does not let the specs of a type in use be set.
        if any(kind.extra_specs.get(key) != value
               for key, value in specs.items()):
            kind.set_keys(specs)
        return kind

    def log(self) -> str:
        """Everything that Cinder logged so far."""
        try:
            return self.layout.log.read_text(errors='replace')
        except FileNotFoundError:
            return ''

    def tail(self, lines: int = 25) -> str:
        """The end of what it said, for a message to a human."""
        parts = []
        for path in (self.layout.stderr, self.layout.log):
            if path.exists():
                text = path.read_text(errors='replace').splitlines()
                parts.append(f'--- end of {path}')
                parts += text[-lines:]
        return '\n'.join(parts)
