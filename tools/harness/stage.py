# SPDX-License-Identifier: Apache-2.0
"""A simulated array and a real Cinder on it, started and stopped together."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
from pathlib import Path
from types import TracebackType
from typing import Any

from allinone import CinderProcess
from allinone.config import Section, Value
from harness import venvs
from harness.array import Array
from harness.drivers import Driver

BACKEND = 'nec1'
# Migrated empty databases, one for each Cinder release.
TEMPLATES = venvs.ROOT / '.cache'


class Stage:
    """Context manager: array first, Cinder second, both gone at the end.

    *options* changes the options of the back end; *backends* replaces the
    one back end by several, each a dict of options over the common ones;
    *sections* and *env* are other sections of cinder.conf and variables.
    """

    def __init__(self, state: Path, driver: Driver, *,
                 latency: str | None = None, native_threads: bool = False,
                 debug: bool = False, use_key: bool = False,
                 options: Section | None = None,
                 backends: Mapping[str, Section] | None = None,
                 default: Section | None = None,
                 sections: Mapping[str, Section] | None = None,
                 env: Mapping[str, str] | None = None,
                 array: Mapping[str, Any] | None = None) -> None:
        self.state = state
        self.driver = driver
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._key = state / 'id_array' if use_key else None
        if self._key:
            array = {**(array or {}), 'authorized_keys': make_key(self._key)}
        self.array = Array(state / 'array', latency=latency,
                           **dict(array or {}))
        self._options = dict(options or {})
        self._backends = backends
        self._cinder_arguments = {
            'native_threads': native_threads, 'debug': debug,
            'default': {'periodic_interval': 60, **self.default_options(),
                        **(default or {})},
            'sections': sections, 'env': env,
            'template_dir': TEMPLATES}
        self.cinder: CinderProcess
        self.lds_before: list[str] = []
        self._running = contextlib.ExitStack()

    def __enter__(self) -> Stage:
        with contextlib.ExitStack() as starting:
            starting.enter_context(self.array)
            self.lds_before = sorted(self.array.lds())
            backends = self._backends or {BACKEND: {}}
            self.cinder = CinderProcess(
                self.state / 'cinder',
                {name: {**self.backend_options(), **self._options, **more}
                 for name, more in backends.items()},
                **self._cinder_arguments)  # type: ignore[arg-type]
            starting.enter_context(self.cinder)
            self._running = starting.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._running.close()

    def backend_options(self) -> dict[str, Value]:
        """Options of cinder.conf that lead a driver to the array."""
        known_hosts = self.state / 'known_hosts'
        known_hosts.write_text(self.array.known_hosts_line() + '\n')
        options: dict[str, Value] = {
            'volume_driver': self.driver.path,
            'nec_ismcli_fip': self.array.host,
            'nec_ssh_pool_port_number': self.array.port,
            'nec_ismcli_user': self.array.user,
            'nec_ismcli_password': None if self._key
            else self.array.password,
            'nec_ismcli_privkey': str(self._key) if self._key else None,
            'nec_pools': '0',
            'nec_backup_pools': '1',
        }
        if self.driver.in_tree:
            # The peer writes the dump to a file, in /tmp by default.
            options['nec_ismview_dir'] = str(self.state / 'ismview')
        return options

    def default_options(self) -> dict[str, Value]:
        """Options of [DEFAULT] that lead a driver to the array."""
        return {'ssh_hosts_key_file': str(self.state / 'known_hosts'),
                'strict_ssh_host_key_policy': True}

    def errors(self) -> str:
        """ERROR lines of Cinder's log, without the tracebacks."""
        lines = []
        for line in self.cinder.log().splitlines():
            if ' ERROR ' in line and ']' in line:
                lines.append(line)
        return '\n'.join(lines[-10:])


def make_key(path: Path) -> Path:
    """Make a key pair; returns the file with the public key."""
    import paramiko
    key = paramiko.RSAKey.generate(2048)
    key.write_private_key_file(str(path))
    public = path.with_suffix('.pub')
    public.write_text(f'{key.get_name()} {key.get_base64()}\n')
    return public
