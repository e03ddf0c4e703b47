# SPDX-License-Identifier: Apache-2.0
"""The program behind tools/sim."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
import queue
import shutil
import signal
import sys
import tempfile
from typing import Any

import paramiko
import yaml

from ismsim import auth, loader
from ismsim.array import Array, Timing
from ismsim.backing import Backing
from ismsim.clock import Clock, ManualClock, SystemClock
from ismsim.control_server import ControlServer, parse_rate, set_timing
from ismsim.datapath import tgt
from ismsim.datapath.export import Exporter
from ismsim.engine import Engine
from ismsim.journal import Journal
from ismsim.persist import Saver
from ismsim.server import Gate, SshServer
from ismsim.store import Store

LOG = logging.getLogger('ismsim')


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='tools/sim', formatter_class=argparse.RawTextHelpFormatter,
        description='A simulated NEC Storage M-series array: an SSH server '
        'that speaks iSMCLI.\nPrints one line, "listening on '
        '127.0.0.1:PORT", and runs until SIGTERM or Ctrl-C.')
    _add_ssh_options(parser)
    _add_array_options(parser)
    _add_test_options(parser)
    return parser.parse_args(argv)


def _add_ssh_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--port', type=int, default=0, metavar='N',
        help='TCP port of the SSH server (default 0: pick a free one)')
    add('--address', default='127.0.0.1', help='address to listen on')
    add('--user', default='sysadmin', help='login (default sysadmin)')
    add('--password', help='password; without it only keys can log in')
    add('--authorized-keys', type=Path, metavar='PATH',
        help='file, or directory of files, of public keys that may log in\n'
        '(RSA, ECDSA, Ed25519)')
    add('--host-key', type=Path, metavar='FILE',
        help='private host key (default: made in the state directory)')
    add('--max-sessions', type=int, default=0, metavar='N',
        help='refuse connections above N (default 0: no limit)')
    add('--max-channels', type=int, default=0, metavar='N',
        help='refuse channels above N on each connection')
    add('--data-path', choices=('auto', 'on', 'off'), default='off',
        help='let hosts log in to the portals by real iSCSI, which tgt\n'
        '(Debian package) serves; auto: if it is there (default off)')
    add('--iscsi-port', type=int, default=3260, metavar='N',
        help='TCP port of the data path, 0: a free one (default 3260)')
    add('--chap', metavar='USER:PASSWORD',
        help='hosts have to log in to the data path with this')


def _add_array_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--model', metavar='ID', help='product id, e.g. M110, M310, M710')
    add('--config', default='default', metavar='FILE',
        help='YAML file, or the name of a shipped one:\n'
        + ', '.join(sorted(path.stem for path
                           in loader.CONFIGS.glob('*.yaml'))))
    add('--state', type=Path, metavar='DIR',
        help='directory of the state and of the LDs\' bytes; goes on from\n'
        'what is there (default: a temporary one, removed at the end)')
    add('--latency', default='', metavar='KIND=SECONDS,...',
        help='what takes how long: dump, dump_per_ld, change, query,\n'
        'sc_create, sc_delete; all 0 by default. Realistic:\n'
        'dump=1.0,dump_per_ld=0.0005,change=0.5,query=0.2')
    add('--copy-rate', default='inf', metavar='SIZE',
        help='bytes per second of copies, e.g. 1GiB (default inf)')
    add('--dump-units-per-ld', type=int, metavar='N',
        help='pad each LD of a dump to N UNITs (real arrays: about 47)')


def _add_test_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--journal', type=Path, metavar='FILE',
        help='append every command as a line of JSON')
    add('--control', type=Path, metavar='PATH',
        help='Unix socket for tests and operators (tools/ismsim/README.md)')
    add('--manual-clock', action='store_true',
        help='time stands still until the control socket advances it')
    add('--log-level', default='warning',
        choices=('debug', 'info', 'warning', 'error'))


def parse_latency(text: str) -> dict[str, Any]:
    """`dump=1.0,change=0.5` as values."""
    values: dict[str, Any] = {}
    for item in filter(None, text.split(',')):
        name, separator, value = item.partition('=')
        if not separator:
            raise ValueError(f'--latency: {item} is not KIND=SECONDS')
        values[name.strip()] = value
    return values


def build_engine(config: dict[str, Any], state: Path, clock: Clock,
                 timing: Timing | None = None, model: str | None = None,
                 journal: Path | None = None) -> Engine:
    """An array with its state directory: the saved one, or a new one."""
    array = Array(Store(), Backing(state / 'lds'), clock, timing=timing)
    saver = Saver(state)
    loader.apply_behaviour(array, config)
    if saver.exists():
        saver.load(array.store)
    else:
        loader.build(array, config, model)
        saver.compact(array.store)
        array.store.dirty.clear()
    array.limits  # noqa: B018  (raises for an unknown limit)
    return Engine(array, Journal(journal), saver=saver)


def build_data_path(options: argparse.Namespace,
                    array: Array) -> Exporter | None:
    """What hosts log in to, if it was asked for and is possible."""
    if options.data_path == 'off':
        return None
    reason = tgt.missing()
    if reason and options.data_path == 'auto':
        print(f'tools/sim: no data path: {reason}', file=sys.stderr)
        return None
    if reason:
        raise ValueError(f'--data-path on: {reason}')
    chap = None
    if options.chap:
        user, separator, password = options.chap.partition(':')
        if not separator:
            raise ValueError('--chap is not USER:PASSWORD')
        chap = user, password
    # Beside the control socket: whoever made that place removes it.
    place = options.control.parent if options.control else None
    return Exporter(array, options.iscsi_port, chap, place)


class Simulator:
    """Everything that runs, put together from a command line."""

    def __init__(self, options: argparse.Namespace, state: Path) -> None:
        config = loader.read_config(loader.find_config(options.config))
        if options.dump_units_per_ld is not None:
            config['dump_units_per_ld'] = options.dump_units_per_ld
        timing = Timing(copy_rate=parse_rate(options.copy_rate))
        set_timing(timing, parse_latency(options.latency))
        if options.password is None and options.authorized_keys is None:
            raise ValueError('nobody could log in: give --password or '
                             '--authorized-keys')
        clock: Clock = (ManualClock() if options.manual_clock
                        else SystemClock())
        self.engine = build_engine(config, state, clock, timing,
                                   options.model, options.journal)
        if options.host_key is not None:
            host_key = auth.load_host_key(options.host_key)
        else:
            host_key = auth.ensure_host_key(state / 'ssh_host_key')
        self.ssh = SshServer(
            self.engine,
            auth.Accounts(options.user, options.password,
                          options.authorized_keys),
            host_key, options.address, options.port,
            Gate(options.max_sessions, options.max_channels))
        self.data_path = build_data_path(options, self.engine.array)
        self.control: ControlServer | None = None
        if options.control is not None:
            self.control = ControlServer(options.control, self.engine,
                                         self.ssh, self.data_path)

    def start(self) -> None:
        """Serve."""
        if self.data_path is not None:
            self.data_path.start()
        self.ssh.start()
        if self.control is not None:
            self.control.start()

    def stop(self) -> None:
        """Switch the array off; its state is on disk already."""
        self.ssh.stop()
        if self.control is not None:
            self.control.stop()
        if self.data_path is not None:
            self.data_path.stop()
        self.engine.array.clock.close()
        with self.engine.array.lock:
            self.engine.save()
        self.engine.journal.close()


def main(argv: list[str] | None = None) -> int:
    """Run until a signal."""
    options = parse_arguments(argv)
    logging.basicConfig(
        stream=sys.stderr, level=options.log_level.upper(),
        format='%(asctime)s %(levelname)s %(name)s: %(message)s')
    # Clients that come and go are no news, and paramiko's view of them is
    # a traceback each.
    if options.log_level != 'debug':
        logging.getLogger('paramiko').setLevel(logging.CRITICAL)
    # An Event may deadlock when a signal comes just as it begins to wait.
    stop: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: stop.put(number))
    temporary = None
    if options.state is None:
        temporary = Path(tempfile.mkdtemp(prefix='ismsim-'))
    try:
        simulator = Simulator(options, temporary or options.state)
        simulator.start()
        host = simulator.ssh.address
        host = f'[{host}]' if ':' in host else host
        print(f'listening on {host}:{simulator.ssh.port}', flush=True)
        stop.get()
        simulator.stop()
    except (ValueError, OSError, KeyError, yaml.YAMLError, tgt.TgtError,
            paramiko.SSHException) as error:
        print(f'tools/sim: {error}', file=sys.stderr)
        return 2
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return 0
