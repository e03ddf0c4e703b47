# SPDX-License-Identifier: Apache-2.0
"""Lay out the state directory of a one-process Cinder.

Everything that the process reads or writes is below one directory that
only its owner can enter: cinder.conf holds passwords.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import os
from pathlib import Path
import sys
from typing import Union

# Project ids in Cinder's URLs must be hexadecimal.
PROJECT_ID = '0123456789abcdef0123456789abcdef'
USER_ID = 'admin'

Value = Union[str, int, float, bool, None, Sequence[str]]
Section = Mapping[str, Value]

API_PASTE = """\
[composite:osapi_volume]
use = call:cinder.api:root_app_factory
/: apiversions
/v3: openstack_volume_api_v3

[composite:openstack_volume_api_v3]
use = call:cinder.api.middleware.auth:pipeline_factory
noauth = request_id faultwrap sizelimit identity noauth apiv3

[pipeline:apiversions]
pipeline = request_id faultwrap osvolumeversionapp

[filter:request_id]
paste.filter_factory = cinder.api.middleware.request_id:RequestId.factory

[filter:faultwrap]
paste.filter_factory = cinder.api.middleware.fault:FaultWrapper.factory

[filter:sizelimit]
paste.filter_factory = oslo_middleware.sizelimit:RequestBodySizeLimiter.factory

[filter:identity]
paste.filter_factory = allinone.identity:filter_factory

[filter:noauth]
paste.filter_factory = cinder.api.middleware.auth:NoAuthMiddleware.factory

[app:apiv3]
paste.app_factory = cinder.api.v3.router:APIRouter.factory

[app:osvolumeversionapp]
paste.app_factory = cinder.api.versions:Versions.factory
"""


@dataclass(frozen=True)
class Layout:
    """Paths below the state directory."""

    state: Path

    @property
    def conf(self) -> Path:
        return self.state / 'cinder.conf'

    @property
    def api_paste(self) -> Path:
        return self.state / 'api-paste.ini'

    @property
    def database(self) -> Path:
        return self.state / 'cinder.sqlite'

    @property
    def log(self) -> Path:
        """Cinder's own log, of all services in the process."""
        return self.state / 'cinder.log'

    @property
    def stderr(self) -> Path:
        """What the process says outside of its log: a crash, mostly."""
        return self.state / 'stderr.log'

    @property
    def pid(self) -> Path:
        return self.state / 'pid'


def default_section(layout: Layout, backends: Sequence[str],
                    host: str = 'demo') -> dict[str, Value]:
    """Options of [DEFAULT]; a caller may override any of them."""
    etc = Path(sys.prefix) / 'etc' / 'cinder'
    return {
        'auth_strategy': 'noauth',
        'api_paste_config': str(layout.api_paste),
        'resource_query_filters_file': str(etc / 'resource_filters.json'),
        'rootwrap_config': str(etc / 'rootwrap.conf'),
        'transport_url': 'fake:/',
        'state_path': str(layout.state),
        'image_conversion_dir': str(layout.state / 'conversion'),
        'volumes_dir': str(layout.state / 'volumes'),
        'log_file': str(layout.log),
        'use_stderr': False,
        'host': host,
        'my_ip': '127.0.0.1',
        'osapi_volume_listen': '127.0.0.1',
        'osapi_volume_workers': 1,
        'enabled_backends': list(backends),
        'default_volume_type': '__DEFAULT__',
        'scheduler_driver_init_wait_time': 1,
        'service_down_time': 60,
        'periodic_interval': 10,
        'periodic_fuzzy_delay': 0,
        # A driver that does not come up is reported at once; Cinder would
        # try again three times, with seconds between.
        'reinit_driver_count': 0,
        'glance_api_servers': 'http://127.0.0.1:1',
        # The default quota is ten volumes.
        'quota_volumes': -1,
        'quota_snapshots': -1,
        'quota_gigabytes': -1,
    }


def write_config(layout: Layout, backends: Mapping[str, Section],
                 default: Section | None = None,
                 sections: Mapping[str, Section] | None = None) -> None:
    """Write cinder.conf and api-paste.ini below the state directory.

    *backends* maps a section name to its options; *default* overrides
    options of [DEFAULT]; *sections* adds to or makes other sections.
    """
    layout.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.chmod(layout.state, 0o700)
    for name in ('locks', 'coordination', 'conversion', 'volumes'):
        (layout.state / name).mkdir(exist_ok=True, mode=0o700)
    conf: dict[str, dict[str, Value]] = {
        'DEFAULT': {**default_section(layout, list(backends)),
                    **(default or {})},
        'database': {
            'connection': f'sqlite:///{layout.database}?timeout=60',
            'sqlite_synchronous': False,
        },
        'oslo_concurrency': {'lock_path': str(layout.state / 'locks')},
        'coordination': {
            'backend_url': f'file://{layout.state}/coordination'},
    }
    for name, options in backends.items():
        conf[name] = {'volume_backend_name': name, **options}
    for name, options in (sections or {}).items():
        conf.setdefault(name, {}).update(options)
    write_private(layout.conf, render(conf))
    write_private(layout.api_paste, API_PASTE)


def render(conf: Mapping[str, Section]) -> str:
    """Text of an oslo.config file; options that are None are left out."""
    lines = []
    for section, options in conf.items():
        lines.append(f'[{section}]')
        for name, value in options.items():
            if value is None:
                continue
            lines.append(f'{name} = {_text(value)}')
        lines.append('')
    return '\n'.join(lines)


def _text(value: Value) -> str:
    if isinstance(value, (list, tuple)):
        return ','.join(map(str, value))
    # oslo.config expands $name in values.
    return str(value).replace('$', '$$')


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from the first byte on."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, 'w') as stream:
        stream.write(text)
