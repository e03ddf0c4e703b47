# SPDX-License-Identifier: Apache-2.0
"""What this service has begun on the array and its names do not tell.

Nearly all that the driver makes carries a Cinder name, and whoever comes
after a crash finds it by that.  Some things do not: an LD between its bind
and its naming, a control volume, which is named after its number, which
mappings were made by this service, which volume it was migrating or
reverting, and which name an LD had before.  Each is written down before its
command is sent, so that a later run can prove whose it is.

One small file for each thing, below Cinder's ``state_path``, mode 0600;
one directory for each service.  What cannot be written is no reason to
fail an operation: then a crash leaves something for the operator.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
import contextlib
import dataclasses
import enum
import hashlib
import json
import logging
import os
from pathlib import Path
import threading
import time

from cinder_nec import errors
from cinder_nec.model import LdName, LdSetName

LOG = logging.getLogger(__name__)

_MAX_BYTES = 4096


class Kind(enum.Enum):
    """What has begun."""

    # An LD that is being bound; until it has its name.
    BIND = 'bind'
    # A control volume; until it is unbound.
    CONTROL = 'control'
    # An LD in an LD Set; until it is taken out.
    MAP = 'map'
    # An LD that is to take a volume's place; until it has, and what the
    # volume was is gone, or until it is removed.
    MOVE = 'move'
    # A volume that gets a snapshot's content back; until it has, and is not
    # paired with it any more.
    REVERT = 'revert'
    # An LD that takes another volume's name at the end of a migration by
    # Cinder; until a start finds that it was right.
    TAKE = 'take'


@dataclasses.dataclass(frozen=True)
class Entry:
    """One thing that has begun.

    :param name: of the LD; of one that is bound, the name it shall have;
        of one that takes another name, the one it had; of one that a
        volume is migrated to, the volume's
    :param capacity_bytes: 0 where the array chooses it
    :param ld_set: for a mapping
    """

    kind: Kind
    ldn: int
    name: LdName
    pool: int = 0
    capacity_bytes: int = 0
    ld_set: LdSetName | None = None

    @property
    def key(self) -> str:
        """What identifies it: a number is bound once at a time."""
        if self.kind is not Kind.MAP:
            return f'{self.kind.value}-{self.ldn:04x}'
        what = hashlib.sha256(f'{self.name} {self.ld_set}'.encode())
        return f'{self.kind.value}-{what.hexdigest()[:24]}'


@dataclasses.dataclass(frozen=True)
class Left:
    """An entry of an operation that did not end it, and its age."""

    entry: Entry
    age_seconds: float


class Journal:
    """The entries of one service.

    :param directory: where they are kept; None keeps none
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._running: set[str] = set()
        self._failed = False

    def begin(self, entry: Entry) -> bool:
        """Write an entry down; tell whether it is a new one."""
        if self._directory is None:
            return True
        path = self._directory / entry.key
        with self._lock:
            self._running.add(entry.key)
        try:
            is_new = not path.exists()
            self._write(path, entry)
        except OSError as error:
            self._report(error)
            return True
        return is_new

    def _write(self, path: Path, entry: Entry) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(handle, _dump(entry))
            if entry.kind is not Kind.MAP:
                # A mapping is on the way of every attach, and one more
                # after a power failure does less harm than an LD.
                os.fsync(handle)
        finally:
            os.close(handle)

    def end(self, entry: Entry) -> None:
        """Strike an entry out; only its key counts."""
        self.leave(entry)
        if self._directory is None:
            return
        try:
            (self._directory / entry.key).unlink(missing_ok=True)
        except OSError as error:
            self._report(error)

    def leave(self, entry: Entry) -> None:
        """Nobody here goes on with an entry; a later run may."""
        with self._lock:
            self._running.discard(entry.key)

    @contextlib.contextmanager
    def taking_back(self, entry: Entry) -> Iterator[None]:
        """Strike an entry out when a block has taken back what it tells of.

        Where it cannot, :meth:`Recovery.go_on` tries again.
        """
        try:
            yield
        except errors.NecError:
            self.leave(entry)
            raise
        self.end(entry)

    def end_bind(self, ldn: int) -> None:
        """Strike out that an LD is being bound."""
        self.end(Entry(Kind.BIND, ldn, LdName('', '')))

    def end_control(self, ldn: int) -> None:
        """Strike out a control volume."""
        self.end(Entry(Kind.CONTROL, ldn, LdName('', '')))

    def end_map(self, name: LdName, ld_set: LdSetName) -> None:
        """Strike out a mapping."""
        self.end(Entry(Kind.MAP, 0, name, ld_set=ld_set))

    def left(self, *kinds: Kind,
             besides: Container[str] = ()) -> tuple[Left, ...]:
        """Return the entries that nobody in this process works on.

        :param besides: keys of entries that need not be read
        """
        if self._directory is None:
            return ()
        wanted = {kind.value for kind in kinds}
        with self._lock:
            running = frozenset(self._running)
        found = [self._read(path) for path in self._paths()
                 if path.name.partition('-')[0] in wanted
                 and path.name not in running
                 and path.name not in besides]
        return tuple(left for left in found if left is not None)

    def _paths(self) -> list[Path]:
        assert self._directory is not None
        try:
            return sorted(self._directory.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            self._report(error)
            return []

    def _read(self, path: Path) -> Left | None:
        try:
            with path.open('rb') as file:
                entry = _load(file.read(_MAX_BYTES))
                # The file's time is that of its last begin().
                age = time.time() - os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            # It was being written: its command was not sent yet.
            LOG.warning('%s cannot be read and is passed by: %s', path,
                        error)
            return None
        return Left(entry, age) if entry.key == path.name else None

    def _report(self, error: OSError) -> None:
        """Say it once: every operation would say it."""
        if not self._failed:
            self._failed = True
            LOG.warning(
                'What is begun on the array cannot be written down, so '
                'that a crash of this service may leave logical disks '
                'behind: %s. See to the directory.', error)


def _dump(entry: Entry) -> bytes:
    values: dict[str, object] = {
        'kind': entry.kind.value, 'ldn': entry.ldn,
        'name': dataclasses.astuple(entry.name), 'pool': entry.pool,
        'capacity_bytes': entry.capacity_bytes}
    if entry.ld_set is not None:
        values['ld_set'] = dataclasses.astuple(entry.ld_set)
    return json.dumps(values).encode()


def _load(data: bytes) -> Entry:
    """:raises ValueError: or KeyError or TypeError: it is no entry"""
    values = json.loads(data)
    if not isinstance(values, dict):
        raise TypeError('no entry')
    ld_set = values.get('ld_set')
    return Entry(
        Kind(values['kind']), int(values['ldn']), _names(values['name']),
        int(values['pool']), int(values['capacity_bytes']),
        None if ld_set is None else LdSetName(*_two(ld_set)))


def _names(values: object) -> LdName:
    return LdName(*_two(values))


def _two(values: object) -> tuple[str, str]:
    if not isinstance(values, list):
        raise TypeError('no name')
    platform, label = values
    return str(platform), str(label)
