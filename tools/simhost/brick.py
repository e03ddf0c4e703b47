# SPDX-License-Identifier: Apache-2.0
"""Runs on the simulated host: os-brick as Nova and Cinder call it.

A line of JSON in, `[operation, arguments]`; a line of JSON out.
"""

from __future__ import annotations

from collections.abc import Callable
import json
import os
from pathlib import Path
import sys
from typing import Any

from os_brick import privileged
from os_brick.encryptors import luks
from os_brick.initiator import connector
from oslo_concurrency import lockutils
from oslo_config import cfg
from oslo_log import log as logging


def get_connector(multipath: bool, **_unused: Any) -> Any:
    """The host's connector properties."""
    return connector.get_connector_properties(
        None, '127.0.0.1', multipath=multipath, enforce_multipath=multipath)


def _of(info: dict[str, Any], multipath: bool) -> Any:
    return connector.InitiatorConnector.factory(
        info['driver_volume_type'].upper(), None,
        use_multipath=multipath, device_scan_attempts=3)


def connect(info: dict[str, Any], multipath: bool) -> Any:
    """connect_volume; the device information."""
    return _of(info, multipath).connect_volume(info['data'])


def disconnect(info: dict[str, Any], multipath: bool, device: Any,
               force: bool = False) -> Any:
    """disconnect_volume"""
    return _of(info, multipath).disconnect_volume(
        info['data'], device, force=force, ignore_errors=force)


def extend(info: dict[str, Any], multipath: bool) -> Any:
    """extend_volume; the new size."""
    return _of(info, multipath).extend_volume(info['data'])


def format_luks(path: str, passphrase: str, cipher: str,
                key_size: int) -> None:
    """Make a new volume a LUKS volume, as Nova has it made.

    Nova then leaves the encryption to qemu: no device mapper is needed.
    """
    encryptor = luks.LuksEncryptor(
        None, {'driver_volume_type': '', 'data': {'device_path': path}},
        None)
    encryptor._format_volume(passphrase, cipher=cipher, key_size=key_size)


OPERATIONS: dict[str, Callable[..., Any]] = {
    'get_connector': get_connector, 'connect': connect,
    'disconnect': disconnect, 'extend': extend, 'format_luks': format_luks}


def main(state: Path) -> None:
    """Serve until stdin ends."""
    # Libraries print, too: stdout stays for answers.
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    # As root, without a helper process.
    for name in ('default', 'brick_privsep_hide_output'):
        context = getattr(privileged, name, None)
        if context is not None:
            context.set_client_mode(False)
    logging.register_options(cfg.CONF)
    cfg.CONF([], project='simhost')
    cfg.CONF.set_override('debug', True)
    logging.setup(cfg.CONF, 'simhost')
    lockutils.set_defaults(str(state / 'locks'))
    (state / 'locks').mkdir(exist_ok=True)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {'result': OPERATIONS[name](**arguments)}
        except Exception as error:
            logging.getLogger('simhost').exception('%s', name)
            answer = {'error': f'{type(error).__name__}: {error}'}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == '__main__':
    main(Path(sys.argv[1]))
