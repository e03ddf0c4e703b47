# SPDX-License-Identifier: Apache-2.0
"""RabbitMQ, MariaDB and etcd, of Debian's packages, on loopback.

Each keeps its files below one directory and listens on free ports of its
own, so that nothing of the machine's own services is touched.  They end
with the process that started them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import contextlib
import functools
import os
from pathlib import Path
import shutil
import socket
import subprocess
import sys
import time

TOOLS = Path(__file__).resolve().parents[1]
START_SECONDS = 120.0
STOP_SECONDS = 20.0
RABBITMQ = '/usr/lib/rabbitmq/bin/rabbitmq-server'
DATABASE = 'cinder'
# Program -> Debian package.
PACKAGES = {RABBITMQ: 'rabbitmq-server', 'mariadbd': 'mariadb-server',
            'mariadb-install-db': 'mariadb-server', 'etcd': 'etcd-server'}


class ServiceError(RuntimeError):
    """A service is missing, or did not start."""


def missing() -> list[str]:
    """Debian packages that are not there."""
    path = os.environ.get('PATH', '') + ':/usr/sbin:/sbin'
    return sorted({package for program, package in PACKAGES.items()
                   if not shutil.which(program, path=path)})


def check() -> None:
    """:raises ServiceError: what has to be installed"""
    packages = missing()
    if packages:
        raise ServiceError(
            '--cluster needs Debian packages that are missing: apt-get '
            'install --no-install-recommends ' + ' '.join(packages))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Tell whether somebody listens."""
    with contextlib.suppress(OSError), socket.create_connection(
            ('127.0.0.1', port), 1.0):
        return True
    return False


class Program:
    """A program in a process group of its own, which ends with this one."""

    def __init__(self, name: str, command: Sequence[str], log: Path,
                 env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._env = {**os.environ, **(env or {})}
        self._env['PATH'] += ':/usr/sbin:/sbin'
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        code = ('import os, sys; '
                f'sys.path.insert(0, {str(TOOLS)!r}); '
                'from allinone import lifetime; '
                f'lifetime.die_with_parent({os.getpid()}); '
                'os.execvp(sys.argv[1], sys.argv[1:])')
        with self.log.open('ab') as log:
            self._child = subprocess.Popen(
                [sys.executable, '-c', code, *self._command],
                env=self._env, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True)

    def wait_for(self, ready: Callable[[], bool]) -> None:
        """:raises ServiceError: it ended, or it takes too long"""
        until = time.monotonic() + START_SECONDS
        while not ready():
            if not self.running or time.monotonic() > until:
                raise ServiceError(f'{self.name} did not start:\n'
                                   + self.tail())
            time.sleep(0.1)

    def tail(self) -> str:
        lines = self.log.read_text(errors='replace').splitlines()
        return '\n'.join(lines[-20:])

    def stop(self) -> None:
        """End it and its children in order, then by force."""
        if self._child is None:
            return
        self._signal(15)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it and its children at once."""
        if self._child is not None:
            self._signal(9)
            self._child.wait()
            self._child = None

    def _signal(self, number: int) -> None:
        assert self._child is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, number)


class Services(contextlib.ExitStack):
    """The three, started and stopped together."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self._amqp_port = free_port()
        self._epmd_port = free_port()
        self._sql_port = free_port()
        self._etcd_port = free_port()

    @property
    def transport_url(self) -> str:
        return f'rabbit://guest:guest@127.0.0.1:{self._amqp_port}/'

    @property
    def database_url(self) -> str:
        return (f'mysql+pymysql://root@127.0.0.1:{self._sql_port}'
                f'/{DATABASE}?charset=utf8')

    @property
    def coordination_url(self) -> str:
        return f'etcd3+http://127.0.0.1:{self._etcd_port}'

    def __enter__(self) -> Services:
        check()
        with contextlib.ExitStack() as starting:
            programs = [(self._mariadb(), self._sql_port),
                        (self._rabbitmq(), self._amqp_port),
                        (self._etcd(), self._etcd_port)]
            starting.callback(self._end_epmd)
            for program, _port in programs:
                starting.callback(program.stop)
                program.start()
            for program, port in programs:
                program.wait_for(functools.partial(answers, port))
            self._make_database()
            self.enter_context(starting.pop_all())
        return self

    def _place(self, name: str) -> Path:
        path = self._directory / name
        path.mkdir(parents=True, mode=0o700)
        return path

    def _mariadb(self) -> Program:
        place = self._place('mariadb')
        user = ['--user=root'] if os.geteuid() == 0 else []
        data = f'--datadir={place / "data"}'
        with (place / 'install.log').open('wb') as log:
            done = subprocess.run(
                ['mariadb-install-db', '--no-defaults', data,
                 '--auth-root-authentication-method=normal',
                 '--skip-test-db', *user], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)
        if done.returncode:
            raise ServiceError('MariaDB has no data directory:\n'
                               + (place / 'install.log').read_text())
        return Program('MariaDB', [
            'mariadbd', '--no-defaults', data, *user,
            '--bind-address=127.0.0.1', f'--port={self._sql_port}',
            f'--socket={place / "s"}', f'--pid-file={place / "pid"}',
            '--max-connections=500', '--innodb-flush-log-at-trx-commit=2',
            '--innodb-buffer-pool-size=64M', '--skip-name-resolve'],
            place / 'log')

    def _rabbitmq(self) -> Program:
        place = self._place('rabbitmq')
        (place / 'plugins').write_text('[].\n')
        # Its own name server for nodes, so that nobody else's is used.
        self._erlang = {
            'HOME': str(place), 'ERL_EPMD_PORT': str(self._epmd_port),
            'ERL_EPMD_ADDRESS': '127.0.0.1'}
        return Program('RabbitMQ', [RABBITMQ], place / 'log', {
            **self._erlang,
            'RABBITMQ_NODENAME': f'soak{self._amqp_port}@localhost',
            'RABBITMQ_NODE_IP_ADDRESS': '127.0.0.1',
            'RABBITMQ_NODE_PORT': str(self._amqp_port),
            'RABBITMQ_DIST_PORT': str(free_port()),
            'RABBITMQ_MNESIA_BASE': str(place / 'mnesia'),
            'RABBITMQ_LOG_BASE': str(place),
            'RABBITMQ_ENABLED_PLUGINS_FILE': str(place / 'plugins'),
            'RABBITMQ_CONFIG_FILE': str(place / 'none'),
            'RABBITMQ_PID_FILE': str(place / 'pid')})

    def _end_epmd(self) -> None:
        subprocess.run(['epmd', '-kill'], env={**os.environ, **self._erlang},
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def _etcd(self) -> Program:
        place = self._place('etcd')
        here = f'http://127.0.0.1:{self._etcd_port}'
        peer = f'http://127.0.0.1:{free_port()}'
        return Program('etcd', [
            'etcd', '--data-dir', str(place / 'data'),
            '--listen-client-urls', here, '--advertise-client-urls', here,
            '--listen-peer-urls', peer,
            '--initial-advertise-peer-urls', peer,
            '--initial-cluster', f'default={peer}'], place / 'log')

    def _make_database(self) -> None:
        import pymysql
        connection = pymysql.connect(host='127.0.0.1', user='root',
                                     port=self._sql_port)
        with connection, connection.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE {DATABASE} CHARACTER SET utf8')
