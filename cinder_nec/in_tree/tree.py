# SPDX-License-Identifier: Apache-2.0
"""What stands behind ``cinder.volume.drivers.nec.volume`` now.

There is no record of what was done: the state is what lies in the
directory, so that an interrupted run and an upgrade of Cinder are seen as
what they are.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
import contextlib
from dataclasses import dataclass
import enum
import hashlib
import importlib.metadata
import importlib.util
import os
from pathlib import Path
import stat

from cinder_nec import errors
from cinder_nec.in_tree import known

FILE = 'volume.py'
CACHE = '__pycache__'
# Byte code of FILE, of any Python and any optimisation.
BYTECODE = 'volume.*.pyc'
# Python does not take a name with a dot in it for a package.
BACKUP = '.cinder-nec'
UNDER_WAY = '.cinder-nec.new'
# The V-series driver, which is none of our business.
_OTHERS = {'v', CACHE, BACKUP, UNDER_WAY}


class InTreeError(errors.NecError):
    """The installed Cinder cannot be read or must not be altered."""


class State(enum.Enum):
    """Whose driver Cinder loads by the in-tree path."""

    OWN = 'cinder'
    # Cinder's own, with a backup beside it: an interrupted run, or Cinder
    # was installed anew in between.  Both install and remove mend it.
    LEFTOVER = 'cinder, with leftovers'
    PLACED = 'cinder-nec'
    # This driver, from a file that an earlier release of it placed.
    PLACED_EARLIER = 'cinder-nec, earlier'
    UNKNOWN = 'unknown'


@dataclass(frozen=True)
class Found:
    """What :meth:`Tree.look` saw.

    :ivar problems: why the state is UNKNOWN, one sentence each
    :ivar altered: files of Cinder's own driver beside volume.py that are
        not as released; install refuses them
    """

    state: State
    problems: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tree:
    """The directory ``volume/drivers/nec`` of an installed Cinder."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / FILE

    @property
    def backup(self) -> Path:
        return self.folder / BACKUP

    @property
    def kept(self) -> Path:
        """Cinder's own volume.py.

        No name that compileall or a search for modules would take.
        """
        return self.backup / f'{FILE}.own'

    @property
    def cache(self) -> Path:
        return self.folder / CACHE

    @property
    def kept_cache(self) -> Path:
        """Its byte code; missing if there was no directory of it."""
        return self.backup / 'bytecode'

    @property
    def new(self) -> Path:
        """What is about to become volume.py, by a rename."""
        return self.backup / f'{FILE}.new'

    @property
    def under_way(self) -> Path:
        return self.folder / UNDER_WAY

    @property
    def release(self) -> str:
        """Return the release of this Cinder as installed, or ''."""
        for found in self._distributions():
            return found.version
        return ''

    def is_as_installed(self) -> bool:
        """Tell whether pip's record has volume.py as it is now.

        A distribution's package has no such record.
        """
        name = '/'.join(self.file.parts[-5:])
        now = base64.urlsafe_b64encode(
            hashlib.sha256(self.file.read_bytes()).digest())
        return any(
            f'{name},sha256={now.decode().rstrip("=")},' in line
            for found in self._distributions()
            for line in (found.read_text('RECORD') or '').splitlines())

    def _distributions(self) -> Iterable[importlib.metadata.Distribution]:
        return importlib.metadata.distributions(
            name='cinder', path=[str(self.folder.parents[3])])

    def look(self) -> Found:
        """Tell what is there.

        :raises InTreeError: it cannot be read
        """
        with _reading(self.folder):
            return self._look()

    def _look(self) -> Found:
        now, problem = _read(self.file)
        if problem:
            return Found(State.UNKNOWN, (problem,))
        if now in {known.CURRENT} | known.EARLIER:
            return self._placed(current=now == known.CURRENT)
        altered = tuple(self._altered())
        if now != known.OWN[FILE]:
            why = (f'but belongs to Cinder {self.release}'
                   if self.is_as_installed() else 'nor of cinder-nec')
            return Found(State.UNKNOWN, (
                f'{self.file} is not that of {known.RELEASES}, {why}.',),
                altered)
        left = any(os.path.lexists(path)
                   for path in (self.backup, self.under_way))
        return Found(State.LEFTOVER if left else State.OWN, (), altered)

    def has_own(self) -> bool:
        """Tell whether volume.py is Cinder's own."""
        return _read(self.file)[0] == known.OWN[FILE]

    def _placed(self, *, current: bool) -> Found:
        kept, problem = _read(self.kept)
        if problem:
            return Found(State.UNKNOWN, (
                f'{self.file} is of cinder-nec, but of what was there '
                f'before: {problem}',))
        if kept != known.OWN[FILE]:
            return Found(State.UNKNOWN, (
                f'{self.kept} was changed after it was put '
                'there.',))
        return Found(State.PLACED if current else State.PLACED_EARLIER)

    def _altered(self) -> list[str]:
        names = {entry.name for entry in os.scandir(self.folder)
                 if entry.is_dir() or entry.name.endswith(('.py', '.so'))}
        found = [f'{self.folder / name} is no file of {known.RELEASES}.'
                 for name in sorted(names - set(known.OWN) - _OTHERS)]
        for name, wanted in known.OWN.items():
            if name != FILE:
                have, problem = _read(self.folder / name)
                if problem:
                    found.append(problem)
                elif have != wanted:
                    found.append(f'{self.folder / name} is not that of '
                                 f'{known.RELEASES}.')
        return found


def find(package: Path | None = None) -> Tree:
    """Return the tree of the Cinder beside this driver.

    Cinder is not imported.

    :param package: the directory of the package ``cinder`` instead
    :raises InTreeError: there is none
    """
    if package is None:
        spec = importlib.util.find_spec('cinder')
        places = list((spec and spec.submodule_search_locations) or ())
        if not places:
            raise InTreeError(
                'There is no Cinder in the Python environment of '
                'cinder-nec.', 'Run the cinder-nec of the environment that '
                'Cinder runs in, or name the directory of the package '
                'cinder with --cinder.')
        package = Path(places[0])
    folder = package.resolve() / 'volume' / 'drivers' / 'nec'
    if not folder.is_dir():
        raise InTreeError(
            f'{package} has no volume/drivers/nec.',
            'Name the directory of the package cinder with --cinder. Is it '
            f'one of {known.RELEASES}?')
    return Tree(folder)


@contextlib.contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses into an InTreeError."""
    try:
        yield
    except OSError as error:
        raise InTreeError(
            f'{error.filename or folder} cannot be read: '
            f'{error.strerror}.', 'Run the command as root.') from error


def _read(path: Path) -> tuple[str, str]:
    """Return the digest of a plain file, or what is wrong with it."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return '', f'{path} is missing.'
    if not stat.S_ISREG(mode):
        return '', f'{path} is not a plain file.'
    return known.digest(path.read_bytes()), ''
