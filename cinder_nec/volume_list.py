# SPDX-License-Identifier: Apache-2.0
"""Which logical disk belongs to which Cinder volume (manual chapter 8).

Usage: ``python volume_list.py``, ``python -m cinder_nec.volume_list``, or
``cinder-nec-volume-list``.  A UUID and an LD name are converted without
asking anybody; the lists come from Cinder through openstacksdk, which is
needed only then.

Exit status: 0, 1 if Cinder could not be asked, 2 for a wrong argument.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
import contextlib
import csv
import io
import json
import logging
import os
import sys
from typing import Any, NoReturn
import uuid
import warnings

if __name__ == '__main__' and not __package__:
    # As a script: the package's modules are no top-level modules.
    _here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [os.path.dirname(_here), *(
        path for path in sys.path if os.path.abspath(path) != _here)]

from cinder_nec import errors, naming  # noqa: E402

# Of the command, not of the driver: the manual's chapter 8.5.
VERSION = 'Version : 1.0'
USAGE = f"""\
{VERSION}

usage: python volume_list.py [--version] [-v] [--help] [-h]
        [UUID] [ldname] [list] [snapshot-list]
        [--all-tenants] [--os-cloud CLOUD] [-f FORMAT]

Show mappings of Cinder volume/snapshot ID and logical disk name in storage.

Optional arguments:
  --version, -v    show program's version number and exit
  --help, -h       show this help and exit
  UUID             filter by uuid of Cinder volume/snapshot
  ldname           filter by logical disk name in storage
  list             show all volumes (default)
  snapshot-list    show all snapshots
  --all-tenants    show the volumes or snapshots of all the tenants
  --os-cloud CLOUD
                   a cloud of clouds.yaml, instead of the environment
  --format FORMAT, -f FORMAT
                   table (default), json, csv or value

Notes:
  The environment variables below must be set in advance.
    OS_USERNAME, OS_PASSWORD, OS_TENANT_NAME, OS_AUTH_URL
  Those of Keystone v3 (OS_PROJECT_NAME, OS_USER_DOMAIN_NAME...) and
  OS_CLOUD serve as well.  Without Keystone: OS_AUTH_TYPE=noauth,
  OS_USER_ID, OS_PROJECT_ID and CINDER_ENDPOINT.
  None is needed to convert a UUID or ldname.
  A migrated volume can be named after another UUID than its own; list
  shows it under the name that it has.
"""

ID, LD_NAME = 'ID', 'LD Name'
FORMATS = ('table', 'json', 'csv', 'value')

# The first with which the project may be left out of Cinder's URLs.
_NOAUTH_MICROVERSION = '3.67'
_ALL = ('list', 'snapshot-list')
_INVALID_UUID = 'Invalid UUID format'
_INVALID_ARGUMENT = 'Invalid argument'
_TIMEOUT_SECONDS = 60

Rows = Sequence[Sequence[str]]


class CinderUnavailable(Exception):
    """Cinder could not be asked; the text says why, in one line."""


class InvalidArgument(Exception):
    """The command line is not one of the known forms."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if {'-h', '--help'} & set(arguments):
        print(USAGE, end='')
        return 0
    if {'-v', '--version'} & set(arguments):
        print(VERSION)
        return 0
    try:
        options = _parse(arguments)
        heading, rows = (_listed(options) if options.what in _ALL
                         else _converted(options.what))
        print(shown(heading, rows, options.format), end='')
    except InvalidArgument:
        return _fail(_INVALID_ARGUMENT, 2)
    except errors.InvalidInput:
        return _fail(_INVALID_UUID, 2)
    except CinderUnavailable as error:
        return _fail(str(error), 1)
    return 0


def _fail(message: str, status: int) -> int:
    print(message, file=sys.stderr)
    return status


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InvalidArgument(message)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """:raises InvalidArgument: it is not one of the known forms"""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument('what', nargs='?', default='list')
    parser.add_argument('--all-tenants', action='store_true')
    parser.add_argument('--os-cloud', default='')
    parser.add_argument('-f', '--format', choices=FORMATS,
                        default='table')
    options = parser.parse_args(arguments)
    if options.what not in _ALL and (options.all_tenants
                                     or options.os_cloud):
        raise InvalidArgument('nothing to ask a cloud')
    return options


# -- output -------------------------------------------------------------

def shown(heading: Sequence[str], rows: Rows, form: str) -> str:
    """Return rows in one of the FORMATS, in the way of openstackclient."""
    if form == 'json':
        return json.dumps([dict(zip(heading, row, strict=True))
                           for row in rows], indent=2) + '\n'
    if form == 'csv':
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_NONNUMERIC,
                   lineterminator='\n').writerows([heading, *rows])
        return text.getvalue()
    if form == 'value':
        return ''.join(' '.join(row) + '\n' for row in rows)
    return table(heading, rows)


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as the manual shows it, its columns centred."""
    lines = [tuple(heading), *map(tuple, rows)]
    widths = [max(len(line[n]) for line in lines)
              for n in range(len(heading))]
    rule = '+' + '+'.join('-' * (width + 2) for width in widths) + '+'
    shown = ['| ' + ' | '.join(
        cell.center(width) for cell, width in zip(line, widths, strict=True)
    ) + ' |' for line in lines]
    return '\n'.join([rule, shown[0], rule, *shown[1:], rule]) + '\n'


def _converted(text: str) -> tuple[Sequence[str], Rows]:
    """Return a UUID or an LD name and the other, as asked for.

    :raises errors.InvalidInput: if it is neither
    """
    try:
        cinder_id = str(uuid.UUID(text))
    except ValueError:
        # The name may be copied with its platform, or be that of an LV.
        label = text.rpartition(':')[2]
        cinder_id = naming.uuid_of(naming.split_suffix(label)[0])
        return (LD_NAME, ID), [(label, cinder_id)]
    return (ID, LD_NAME), [(cinder_id, naming.ld_name(cinder_id))]


def _listed(options: argparse.Namespace) -> tuple[Sequence[str], Rows]:
    """:raises CinderUnavailable: if Cinder does not answer"""
    rows = []
    for cinder_id, name_id in _ask_cinder(
            options.what == 'snapshot-list', options.all_tenants,
            options.os_cloud):
        try:
            rows.append((cinder_id, naming.ld_name(name_id or cinder_id)))
        except errors.InvalidInput as error:
            raise CinderUnavailable(
                f'Cinder shows {cinder_id[:64]!r}, which is no UUID.'
            ) from error
    return (ID, LD_NAME), rows


# -- Cinder -------------------------------------------------------------

def _ask_cinder(snapshots: bool, all_tenants: bool,
                cloud: str) -> list[tuple[str, str]]:
    """Return the UUIDs of all volumes or snapshots.

    Beside each the one that a migrated volume's data is named after.

    :raises CinderUnavailable: also if openstacksdk is not installed
    """
    with block_storage(cloud) as storage:
        ask = storage.snapshots if snapshots else storage.volumes
        options = {'all_projects': True} if all_tenants else {}
        return [(str(found.id),
                 str(getattr(found, 'migration_id', '') or ''))
                for found in ask(details=True, **options)]


@contextlib.contextmanager
def block_storage(cloud: str = '') -> Iterator[Any]:
    """Yield openstacksdk's proxy of Cinder.

    :param cloud: one of clouds.yaml, instead of the environment
    :raises CinderUnavailable: whatever goes wrong with it, also while it
        is used
    """
    for name in ('keystoneauth', 'openstack'):
        # Warnings would stand above the one line of the error.
        logging.getLogger(name).addHandler(logging.NullHandler())
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            import openstack
        except ImportError:
            raise CinderUnavailable(
                'openstacksdk is not installed: pip install openstacksdk'
            ) from None
        try:
            with openstack.connection.Connection(
                    config=_region(os.environ, cloud)) as connection:
                yield connection.block_storage
        except CinderUnavailable:
            raise
        except Exception as error:
            # Whatever a plugin, a file or the network has to say.
            reason = ' '.join(str(error).split()) or type(error).__name__
            raise CinderUnavailable(
                f'Cinder could not be asked: {reason[:300]}') from error


def _region(environ: Mapping[str, str], cloud: str) -> Any:
    """Return what openstacksdk knows of the cloud.

    From the environment or clouds.yaml, as the openstack command has it.

    :raises CinderUnavailable: if a needed variable is not set
    """
    from openstack import config

    cloud = cloud or environ.get('OS_CLOUD', '')
    if not cloud and environ.get('OS_AUTH_TYPE') == 'noauth':
        return _without_keystone(environ)
    clouds = config.OpenStackConfig(app_name='cinder-nec-volume-list')
    known = clouds.get_one(cloud or None, validate=False,
                           api_timeout=_TIMEOUT_SECONDS)
    has_password = known.config.get('auth_type') in (None, '', 'password')
    auth = dict(known.config.get('auth') or {})
    if has_password and not cloud and 'auth_url' not in auth:
        _need(environ, ('OS_AUTH_URL', 'OS_USERNAME', 'OS_PASSWORD'))
    if has_password and not any('domain' in name for name in auth):
        # As of OS_* variables that are older than Keystone v3.
        auth['default_domain_id'] = 'default'
    return clouds.get_one(cloud or None, auth=auth,
                          api_timeout=_TIMEOUT_SECONDS)


def _without_keystone(environ: Mapping[str, str]) -> Any:
    """Return the cloud of a Cinder with ``auth_strategy = noauth``."""
    from openstack import config

    needed = ('OS_USER_ID', 'OS_PROJECT_ID', 'CINDER_ENDPOINT')
    _need(environ, needed)
    user_id, project_id, endpoint = (environ[name] for name in needed)
    return config.OpenStackConfig(
        load_envvars=False, load_yaml_config=False).get_one(
            auth_type='admin_token',
            auth={'endpoint': endpoint, 'token': f'{user_id}:{project_id}'},
            block_storage_endpoint_override=endpoint,
            block_storage_api_version='3',
            block_storage_default_microversion=_NOAUTH_MICROVERSION,
            api_timeout=_TIMEOUT_SECONDS)


def _need(environ: Mapping[str, str], names: Iterable[str]) -> None:
    missing = [name for name in names if not environ.get(name)]
    if missing:
        raise CinderUnavailable(
            f'{", ".join(missing)} must be set in the environment, as for '
            'the openstack command.')


if __name__ == '__main__':
    sys.exit(main())
