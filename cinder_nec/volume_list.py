# SPDX-License-Identifier: Apache-2.0
"""Which logical disk belongs to which Cinder volume (manual chapter 8).

Usage: ``python -m cinder_nec.volume_list``, or ``cinder-nec-volume-list``.
A UUID and an LD name are converted without asking anybody; the lists come
from Cinder, whose client (python-cinderclient) is needed only then.

Exit status: 0, 1 if Cinder could not be asked, 2 for a wrong argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import logging
import os
import sys
from typing import Any
import uuid

from cinder_nec import __version__, errors, naming

VERSION = f'Version : {__version__}'
USAGE = f"""\
{VERSION}

usage: python -m cinder_nec.volume_list [--version] [-v] [--help] [-h]
           [UUID] [ldname] [list] [snapshot-list] [--all-tenants]

Show mappings of Cinder volume/snapshot ID and logical disk name in storage.

Optional arguments:
  --version, -v    show program's version number and exit
  --help, -h       show this help and exit
  UUID             filter by uuid of Cinder volume/snapshot
  ldname           filter by logical disk name in storage
  list             show all volumes (default)
  snapshot-list    show all snapshots
  --all-tenants    show those of all the tenants, with one of the two above

Notes:
  The environment variables of the cinder command must be set in advance
  for list and snapshot-list: OS_AUTH_URL, OS_USERNAME, OS_PASSWORD,
  OS_PROJECT_NAME (or OS_TENANT_NAME) and what else the site needs; or
  OS_AUTH_TYPE=noauth with OS_USER_ID, OS_PROJECT_ID and CINDER_ENDPOINT.
  A migrated volume can be named after another UUID than its own; list
  shows it under the name that it has.
"""

ID, LD_NAME = 'ID', 'LD Name'
# Where Cinder shows the UUID that a migrated volume's data is named after.
NAME_ID = 'os-vol-mig-status-attr:name_id'

_API_VERSION = '3.0'
_INVALID_UUID = 'Invalid UUID format'
_INVALID_ARGUMENT = 'Invalid argument'


class CinderUnavailable(Exception):
    """Cinder could not be asked; the text says why, in one line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if {'-h', '--help'} & set(arguments):
        print(USAGE, end='')
        return 0
    if {'-v', '--version'} & set(arguments):
        print(VERSION)
        return 0
    all_tenants = '--all-tenants' in arguments
    if all_tenants:
        arguments.remove('--all-tenants')
    command = arguments[0] if arguments else 'list'
    is_list = command in ('list', 'snapshot-list')
    if (len(arguments) > 1 or command.startswith('-')
            or (all_tenants and not is_list)):
        return _fail(_INVALID_ARGUMENT, 2)
    try:
        print(_listed(command, all_tenants) if is_list
              else _converted(command), end='')
    except errors.InvalidInput:
        return _fail(_INVALID_UUID, 2)
    except CinderUnavailable as error:
        return _fail(str(error), 1)
    return 0


def _fail(message: str, status: int) -> int:
    print(message, file=sys.stderr)
    return status


# -- tables -------------------------------------------------------------

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


def _converted(text: str) -> str:
    """Return the table for a UUID or an LD name, what was asked first.

    :raises errors.InvalidInput: if it is neither
    """
    try:
        cinder_id = str(uuid.UUID(text))
    except ValueError:
        # The name may be copied with its platform, or be that of an LV.
        label = text.rpartition(':')[2]
        cinder_id = naming.uuid_of(naming.split_suffix(label)[0])
        return table((LD_NAME, ID), [(label, cinder_id)])
    return table((ID, LD_NAME), [(cinder_id, naming.ld_name(cinder_id))])


def _listed(command: str, all_tenants: bool) -> str:
    """:raises CinderUnavailable: if Cinder does not answer"""
    snapshots = command == 'snapshot-list'
    rows = []
    for details in _ask_cinder(snapshots, all_tenants):
        cinder_id = str(details['id'])
        name_id = None if snapshots else details.get(NAME_ID)
        try:
            rows.append((cinder_id, naming.ld_name(name_id or cinder_id)))
        except errors.InvalidInput as error:
            raise CinderUnavailable(
                f'Cinder shows {cinder_id[:64]!r}, which is no UUID.'
            ) from error
    return table((ID, LD_NAME), rows)


# -- Cinder -------------------------------------------------------------

def _ask_cinder(snapshots: bool,
                all_tenants: bool) -> list[dict[str, Any]]:
    """Return the details of all volumes or snapshots.

    :raises CinderUnavailable: also if its client is not installed
    """
    try:
        from cinderclient import client
        from cinderclient import exceptions as cinder_exceptions
        from keystoneauth1 import exceptions as keystone_exceptions
    except ImportError:
        raise CinderUnavailable(
            'python-cinderclient is not installed: '
            'pip install python-cinderclient') from None
    # Its warnings would stand above the one line of the error.
    logging.getLogger('keystoneauth').addHandler(logging.NullHandler())
    try:
        cinder = client.Client(_API_VERSION, **_connection(os.environ))
        resource = cinder.volume_snapshots if snapshots else cinder.volumes
        options = {'all_tenants': 1} if all_tenants else {}
        return [found.to_dict() for found in resource.list(
            detailed=True, search_opts=options)]
    except (cinder_exceptions.ClientException,
            keystone_exceptions.ClientException) as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise CinderUnavailable(
            f'Cinder could not be asked: {reason[:300]}') from error


def _connection(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what the client needs, from the OS_* variables.

    :raises CinderUnavailable: if a needed variable is not set
    """
    from keystoneauth1 import session

    insecure = environ.get('OS_INSECURE', '').lower() in ('1', 'true', 'yes')
    verify: bool | str = environ.get('OS_CACERT') or True
    auth_type = environ.get('OS_AUTH_TYPE') or 'password'
    plugin = (_no_auth(environ) if auth_type == 'noauth'
              else _auth(auth_type, environ))
    connection: dict[str, Any] = {
        'session': session.Session(
            plugin, verify=False if insecure else verify, timeout=60),
        'region_name': environ.get('OS_REGION_NAME') or None,
        'interface': environ.get('OS_INTERFACE')
        or environ.get('OS_ENDPOINT_TYPE') or 'publicURL'}
    if environ.get('CINDER_ENDPOINT') and auth_type != 'noauth':
        connection['endpoint_override'] = environ['CINDER_ENDPOINT']
    return connection


def _no_auth(environ: Mapping[str, str]) -> Any:
    from cinderclient.contrib import noauth

    needed = ('OS_USER_ID', 'OS_PROJECT_ID', 'CINDER_ENDPOINT')
    _need(environ, needed)
    user_id, project_id, endpoint = (environ[name] for name in needed)
    return noauth.CinderNoAuthLoader().load_from_options(
        user_id=user_id, project_id=project_id, endpoint=endpoint)


def _auth(auth_type: str, environ: Mapping[str, str]) -> Any:
    """Return the plugin of keystoneauth, options from the environment.

    An option ``user-domain-id`` is OS_USER_DOMAIN_ID; its older names
    count as well (OS_TENANT_NAME for OS_PROJECT_NAME).
    """
    from keystoneauth1 import exceptions, loading

    try:
        loader = loading.get_plugin_loader(auth_type)
        values: dict[str, str] = {}
        for option in loader.get_options():
            for name in (option, *option.deprecated):
                key = f'OS_{name.name.replace("-", "_").upper()}'
                if environ.get(key):
                    values.setdefault(option.dest, environ[key])
        if auth_type == 'password':
            _need(environ, ('OS_AUTH_URL', 'OS_USERNAME', 'OS_PASSWORD'))
            if not any('domain' in name for name in values):
                values['default_domain_id'] = 'default'
        return loader.load_from_options(**values)
    except exceptions.MissingRequiredOptions as error:
        _need(environ, [f'OS_{option.dest.upper()}'
                        for option in error.options])
        raise CinderUnavailable('A variable OS_* is missing.') from error


def _need(environ: Mapping[str, str], names: Iterable[str]) -> None:
    missing = [name for name in names if not environ.get(name)]
    if missing:
        raise CinderUnavailable(
            f'{", ".join(missing)} must be set in the environment, as for '
            'the cinder command.')


if __name__ == '__main__':
    sys.exit(main())
