# SPDX-License-Identifier: Apache-2.0
"""Cinder as a site with several controllers runs it.

API, scheduler and two cinder-volume, each a process of its own, started
by Cinder's own programs.  The two have the same back ends and are one
cluster; one of them is killed in turn.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import os
from pathlib import Path
import subprocess
import sys
import threading
import time
from typing import Any

from allinone.config import (
    PROJECT_ID,
    USER_ID,
    Layout,
    Section,
    Value,
    write_config,
)
from allinone.process import MICROVERSION
from harness.array import Array
from soak_suite.cloud import (
    BACKENDS,
    array_arguments,
    backend_sections,
    errors_in,
    make_types,
)
from soak_suite.services import Program, Services, free_port

TOOLS = Path(__file__).resolve().parents[1]
CLUSTER = 'soak'
NODES = ('node1', 'node2')
START_SECONDS = 180.0


class TwoNodes(contextlib.ExitStack):
    """A cluster of two cinder-volume; one after the other is killed."""

    def __init__(self, state: Path, *, debug: bool = False) -> None:
        super().__init__()
        self._state = state
        self._debug = debug
        arguments = array_arguments(state)
        self._services = Services(state / 'services')
        self._array = Array(state / 'array',
                            latency=arguments.pop('latency'), **arguments)
        self._port = free_port()
        self._programs: dict[str, Program] = {}
        self.killed = ''
        self.up = threading.Event()
        self.starts = 0

    def __enter__(self) -> TwoNodes:
        with contextlib.ExitStack() as starting:
            starting.enter_context(self._services)
            starting.enter_context(self.array)
            (self._state / 'known_hosts').write_text(
                self.array.known_hosts_line() + '\n')
            for name in ('api', 'scheduler', *NODES):
                self._configure(name)
            self._migrate_database()
            for name in ('api', 'scheduler', *NODES):
                program = self._program(name)
                self._programs[name] = program
                starting.callback(program.stop)
                program.start()
            self._wait('Cinder', self._all_up)
            self.enter_context(starting.pop_all())
        make_types(self.client())
        self.up.set()
        return self

    @property
    def array(self) -> Array:
        return self._array

    # -- configuration -------------------------------------------------

    def _layout(self, name: str) -> Layout:
        return Layout((self._state / name).resolve())

    def _configure(self, name: str) -> None:
        known_hosts = str(self._state / 'known_hosts')
        common: Section = {
            'nec_ismcli_fip': self.array.host,
            'nec_ssh_pool_port_number': self.array.port,
            'nec_ismcli_user': self.array.user,
            'nec_ismcli_password': self.array.password}
        is_node = name in NODES
        default: dict[str, Value] = {
            'debug': self._debug, 'host': name,
            'cluster': CLUSTER if is_node else None,
            'transport_url': self._services.transport_url,
            'osapi_volume_listen_port': self._port,
            # As Cinder has it: a start may meet a fault.
            'reinit_driver_count': 3,
            'rpc_response_timeout': 60, 'service_down_time': 20,
            'report_interval': 5, 'periodic_interval': 10,
            'backend_stats_polling_interval': 15,
            'ssh_hosts_key_file': known_hosts,
            'strict_ssh_host_key_policy': True}
        write_config(
            self._layout(name),
            {backend: {**common, **options}
             for backend, options in backend_sections().items()},
            default, {
                'database': {'connection': self._services.database_url,
                             'sqlite_synchronous': None},
                'coordination': {
                    'backend_url': self._services.coordination_url},
                'oslo_messaging_rabbit': {'heartbeat_in_pthread': False}})

    def _migrate_database(self) -> None:
        done = subprocess.run(
            [*self._command('cinder-manage', 'api'), 'db', 'sync'],
            env=self._env(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError('cinder-manage db sync failed:\n'
                               + done.stdout[-2000:])

    # -- processes -----------------------------------------------------

    def _command(self, program: str, name: str) -> list[str]:
        return [sys.executable, str(Path(sys.executable).parent / program),
                '--config-file', str(self._layout(name).conf)]

    def _env(self) -> dict[str, str]:
        env = {key: value for key, value in os.environ.items()
               if not key.startswith('OS_')}
        path = [str(TOOLS), env.get('PYTHONPATH', '')]
        env['PYTHONPATH'] = os.pathsep.join(filter(None, path))
        env['PYTHONWARNINGS'] = 'ignore'
        return env

    def _program(self, name: str) -> Program:
        program = {'api': 'cinder-api', 'scheduler': 'cinder-scheduler'
                   }.get(name, 'cinder-volume')
        return Program(name, self._command(program, name),
                       self._layout(name).stderr, self._env())

    def _all_up(self) -> bool:
        """Every service reports, and the scheduler knows every back end."""
        try:
            client = self.client()
            services = client.services.list()
            pools = client.pools.list(detailed=False)
        except Exception:
            return False
        volumes = {s.host for s in services
                   if s.binary == 'cinder-volume' and s.state == 'up'}
        wanted = {f'{node}@{name}' for node in NODES for name in BACKENDS}
        return wanted <= volumes and len(pools) >= len(BACKENDS)

    def _wait(self, what: str, ready: Callable[[], bool]) -> None:
        until = time.monotonic() + START_SECONDS
        while not ready():
            ended = [name for name, program in self._programs.items()
                     if not program.running]
            if ended or time.monotonic() > until:
                name = (ended or ['api'])[0]
                raise RuntimeError(
                    f'{what} did not come up ({name}):\n'
                    + self._programs[name].tail() + '\n'
                    + '\n'.join(self._log(name).splitlines()[-20:]))
            time.sleep(0.5)

    # -- a cloud -------------------------------------------------------

    def client(self) -> Any:
        from cinderclient import client
        from cinderclient.contrib import noauth
        from keystoneauth1 import session
        auth = noauth.CinderNoAuthPlugin(
            USER_ID, PROJECT_ID,
            endpoint=f'http://127.0.0.1:{self._port}/v3')
        return client.Client(MICROVERSION,
                             session=session.Session(auth=auth))

    def interrupt(self, number: int) -> str:
        """Kill one node; the other one goes on."""
        self.killed = NODES[number % len(NODES)]
        self._programs[self.killed].kill()
        return f'{self.killed} killed'

    def resume(self) -> None:
        """Start it again; returns when it is up."""
        before = self._count_starts(self.killed)
        self._programs[self.killed].start()
        self._wait(self.killed, lambda: self._count_starts(
            self.killed) >= before + len(BACKENDS) and self._all_up())
        self.starts += 1

    def _count_starts(self, name: str) -> int:
        return self._log(name).count('Driver initialization completed '
                                     'successfully')

    def _log(self, name: str) -> str:
        try:
            return self._layout(name).log.read_text(errors='replace')
        except FileNotFoundError:
            return ''

    def log_of(self, cinder_id: str) -> list[str]:
        return [f'{name}: {line}' for name in ('api', 'scheduler', *NODES)
                for line in errors_in(self._log(name), cinder_id)]
