# SPDX-License-Identifier: Apache-2.0
"""Cinder's own view of its volumes, where credentials are given."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
from typing import Any

from cinder_nec import cinder_view, naming
from cinder_nec.backend.cinder_state import CinderState
from cinder_nec.cli.status import NotRun
from cinder_nec.volume_list import CinderUnavailable, block_storage

# Any of them means that the environment is meant for a cloud.
_VARIABLES = ('OS_CLOUD', 'OS_AUTH_URL', 'OS_AUTH_TYPE')


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what says which cloud to ask."""
    group = parser.add_argument_group(
        'Cinder', "asked with an administrator's credentials from the "
        'environment (OS_*) or from clouds.yaml')
    group.add_argument('--os-cloud', default='', metavar='CLOUD',
                       help='a cloud of clouds.yaml')


def is_given(parsed_args: argparse.Namespace,
             environ: Mapping[str, str]) -> bool:
    """Tell whether there are credentials at all."""
    return bool(parsed_args.os_cloud) or any(
        environ.get(name) for name in _VARIABLES)


@contextlib.contextmanager
def asked(parsed_args: argparse.Namespace) -> Iterator[Any]:
    """Yield openstacksdk's proxy of Cinder.

    :raises NotRun: Cinder cannot be asked
    """
    try:
        with block_storage(parsed_args.os_cloud) as storage:
            yield storage
    except CinderUnavailable as error:
        raise NotRun(str(error)) from None


class Cloud:
    """Cinder as the audit sees it.

    Each look is a connection of its own: what goes wrong between two looks
    is not Cinder's doing.
    """

    def __init__(self, parsed_args: argparse.Namespace) -> None:
        self._parsed_args = parsed_args

    def state(self, is_here: cinder_view.IsHere) -> CinderState:
        """Return all that Cinder has now.

        :param is_here: tells by a volume's host whether it is audited
        :raises NotRun: Cinder cannot be asked
        """
        with asked(self._parsed_args) as storage:
            return cinder_view.from_sdk(storage, is_here)


@dataclasses.dataclass(frozen=True)
class Known:
    """A volume or snapshot as Cinder has it.

    :param backend: the section of cinder.conf it is on, '' if unknown
    :param label: of its LD
    """

    kind: str
    cinder_id: str
    name: str
    status: str
    backend: str
    label: str
    size_gib: int


def read_known(storage: Any) -> list[Known]:
    """Return all volumes and snapshots of Cinder, of other drivers too."""
    volumes = [Known('volume', v.id, v.name or '', v.status,
                     backend_of(v.host),
                     naming.ld_name(v.migration_id or v.id), int(v.size))
               for v in storage.volumes(details=True, all_projects=True)]
    where = {v.cinder_id: v.backend for v in volumes}
    return volumes + [
        Known('snapshot', s.id, s.name or '', s.status,
              where.get(s.volume_id, ''), naming.ld_name(s.id), int(s.size))
        for s in storage.snapshots(details=True, all_projects=True)]


def backend_of(host: str | None) -> str:
    """Return the back end in ``node@section#pool``."""
    return (host or '').partition('#')[0].partition('@')[2]
