# SPDX-License-Identifier: Apache-2.0
"""What is in a package, and what is wrong with that."""

from __future__ import annotations

from collections.abc import Iterator
import configparser
from dataclasses import dataclass
import importlib.metadata
from pathlib import Path
import shutil
import subprocess
import sys
import tarfile
import zipfile

from harness.venvs import ROOT
from package_suite.build import BuildError, run

PACKAGE = 'cinder_nec'
SHARE = Path('share', 'cinder-nec')
# Directories of the checkout that are nobody's business on a site.
_NOT_SHIPPED = {'tests', 'tools', 'doc', 'devstack', 'packaging', '.ci'}
# Imports each module of a package, and prints where the first one is from.
_IMPORTS = '''\
import pkgutil, sys
from cinder import objects; objects.register_all()
import cinder_nec
names = [m.name for m in pkgutil.walk_packages(
    cinder_nec.__path__, 'cinder_nec.')]
for name in names:
    __import__(name)
wrong = [n for n in names if not sys.modules[n].__file__.startswith(
    sys.argv[1])]
print(cinder_nec.__file__, len(names), *wrong)
'''


@dataclass(frozen=True)
class Unpacked:
    """A package as it would lie on a site."""

    root: Path

    @property
    def site(self) -> Path:
        """The directory that Python imports from."""
        found = [path.parent for path in self.root.rglob(PACKAGE)
                 if (path / '__init__.py').is_file()]
        if len(found) != 1:
            raise BuildError(f'{PACKAGE} is in {len(found)} places of '
                             f'{self.root}.')
        return found[0]

    @property
    def share(self) -> Path:
        """The directory with the samples."""
        found = [path for path in self.root.rglob(SHARE.name)
                 if path.parent.name == SHARE.parent.name and path.is_dir()]
        return found[0] if found else self.root / SHARE

    def files(self) -> set[Path]:
        """All files, as paths below the root."""
        return {path.relative_to(self.root)
                for path in self.root.rglob('*') if path.is_file()}


def unpack(package: Path, target: Path) -> Unpacked:
    """Lay the files of a package into an empty directory.

    Maintainer scripts are not run.
    """
    target.mkdir(parents=True)
    if package.suffix == '.whl':
        with zipfile.ZipFile(package) as wheel:
            wheel.extractall(target)
    elif package.suffix == '.deb':
        run(['dpkg-deb', '-x', str(package), str(target)], target)
    elif package.suffix == '.rpm':
        copy = Path(shutil.copy(package, target))
        run(['rpm2archive', '--nocompression', copy.name], target)
        tar = copy.with_name(f'{copy.name}.tar')
        _extract(tar, target)
        tar.unlink()
        copy.unlink()
    else:
        _extract(package, target)
    return Unpacked(target)


def _extract(tar: Path, target: Path) -> None:
    with tarfile.open(tar) as archive:
        archive.extractall(target, filter='data')


def problems(unpacked: Unpacked, source: Path = ROOT) -> list[str]:
    """Return what a package lacks or should not have, one line each."""
    return [*_modules(unpacked, source), *_entry_points(unpacked, source),
            *_samples(unpacked, source), *_strangers(unpacked)]


def import_all(unpacked: Unpacked) -> int:
    """Import every module from where it was unpacked; returns how many.

    :raises BuildError: one cannot be imported, or came from elsewhere
    """
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', _IMPORTS,
         str(unpacked.site)],
        env={'PATH': '/usr/bin:/bin', 'PYTHONPATH': str(unpacked.site),
             'PYTHONDONTWRITEBYTECODE': '1'},
        cwd=unpacked.root, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise BuildError(done.stderr)
    where, count, *wrong = done.stdout.split()
    if wrong or Path(where).parent.parent != unpacked.site:
        raise BuildError(f'Imported from elsewhere: {where} {wrong}')
    return int(count)


def modules_of(folder: Path) -> set[Path]:
    """Return the modules of the package below a directory."""
    return {path.relative_to(folder)
            for path in (folder / PACKAGE).rglob('*')
            if path.is_file() and path.suffix != '.pyc'}


def samples_of(source: Path) -> set[Path]:
    """Return the samples in the checkout, below ``etc``."""
    etc = source / 'etc'
    return {path.relative_to(etc) for path in etc.rglob('*')
            if path.is_file()}


def _modules(unpacked: Unpacked, source: Path) -> Iterator[str]:
    wanted, found = modules_of(source), modules_of(unpacked.site)
    yield from (f'{path} is missing' for path in sorted(wanted - found))
    yield from (f'{path} is not in the checkout'
                for path in sorted(found - wanted))


def _entry_points(unpacked: Unpacked, source: Path) -> Iterator[str]:
    config = configparser.ConfigParser(delimiters=['='])
    config.read(source / 'setup.cfg')
    wanted = {
        (group, *(word.strip() for word in line.split('=')))
        for group, text in config['options.entry_points'].items()
        for line in text.splitlines() if '=' in line}
    infos = list(unpacked.site.glob(f'{PACKAGE}-*.dist-info'))
    if len(infos) != 1:
        yield f'{len(infos)} dist-info directories'
        return
    found = {(point.group, point.name, point.value) for point in
             importlib.metadata.PathDistribution(infos[0]).entry_points}
    yield from (f'entry point missing: {" ".join(point)}'
                for point in sorted(wanted - found))
    yield from (f'entry point too much: {" ".join(point)}'
                for point in sorted(found - wanted))


def _samples(unpacked: Unpacked, source: Path) -> Iterator[str]:
    for path in sorted(samples_of(source)):
        there = unpacked.share / path
        if not there.is_file():
            yield f'sample {path} is missing'
        elif there.read_bytes() != (source / 'etc' / path).read_bytes():
            yield f'sample {path} is another one'


def _strangers(unpacked: Unpacked) -> Iterator[str]:
    for path in sorted(unpacked.files()):
        inside = path.parts
        if PACKAGE in inside:
            continue
        if _NOT_SHIPPED & (set(inside) - {'share', 'doc'}) or (
                'doc' in inside and 'share' not in inside):
            yield f'{path} is not for a site'
