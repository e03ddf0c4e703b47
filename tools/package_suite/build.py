# SPDX-License-Identifier: Apache-2.0
"""One function for each kind of package.

Everything is built in a scratch directory, from what git knows of: nothing
appears in the checkout but the packages.  Nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import tarfile

from harness.venvs import ROOT

# Debian's own programs, with Debian's Python, must not meet another one.
SYSTEM_PATH = '/usr/sbin:/usr/bin:/sbin:/bin'
# Program -> Debian package.
RPM_NEEDS = {'rpmbuild': 'rpm', 'rpm2archive': 'rpm2cpio'}
DEB_NEEDS = {'dpkg-buildpackage': 'dpkg-dev'}
_SPEC = 'python-cinder-nec.spec'
_COPY_IGNORES = shutil.ignore_patterns(
    '.venv*', '.git', '.state', '.cache', '.tox', '.*_cache', 'dist',
    'build', '__pycache__', '*.egg-info', 'htmlcov')


class BuildError(Exception):
    """A package could not be built; the text has the program's words."""


def run(command: Sequence[str], cwd: Path,
        env: Mapping[str, str] | None = None) -> str:
    """Run a program and return what it says.

    :raises BuildError: it failed
    """
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors='replace')
    if done.returncode:
        tail = '\n'.join(done.stdout.splitlines()[-40:])
        raise BuildError(f'{" ".join(map(str, command))} failed:\n{tail}')
    return done.stdout


def missing(needs: Mapping[str, str]) -> list[str]:
    """Return the Debian packages of programs that are not there."""
    return sorted({package for program, package in needs.items()
                   if shutil.which(program, path=SYSTEM_PATH) is None})


def missing_for_deb() -> list[str]:
    """Return the Debian packages that dpkg-buildpackage would miss."""
    wanted = missing(DEB_NEEDS)
    if wanted:
        return wanted
    done = subprocess.run(
        ['dpkg-checkbuilddeps', str(ROOT / 'packaging/debian/control')],
        env={'PATH': SYSTEM_PATH, 'LC_ALL': 'C'}, capture_output=True,
        text=True)
    unmet = done.stderr.rpartition('dependencies:')[2]
    return [word.partition(':')[0] for word in
            re.sub(r'\([^)]*\)', '', unmet).split()]


def known_to_git(root: Path = ROOT) -> list[str] | None:
    """Return what belongs to the product; None without a git checkout."""
    try:
        done = subprocess.run(
            ['git', '-C', str(root), 'ls-files', '-z', '--cached',
             '--others', '--exclude-standard'], capture_output=True,
            text=True)
    except FileNotFoundError:
        return None
    # An sdist may lie inside somebody else's checkout.
    if done.returncode or not (root / '.git').exists():
        return None
    return [name for name in done.stdout.split('\0') if name]


def export(target: Path, root: Path = ROOT) -> Path:
    """Copy what belongs to the product, not what lies about."""
    names = known_to_git(root)
    if names is None:
        shutil.copytree(root, target, ignore=_COPY_IGNORES)
        return target
    for name in names:
        source = root / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    return target


def sdist_and_wheel(source: Path, out: Path) -> tuple[Path, Path]:
    """Build the sdist, and of the sdist the wheel."""
    run([sys.executable, '-m', 'build', '--no-isolation', '--outdir',
         str(out), str(source)], source)
    return _one(out, '*.tar.gz'), _one(out, '*.whl')


def check_with_twine(packages: Sequence[Path]) -> None:
    """Let twine read what a package index would read."""
    run([sys.executable, '-m', 'twine', 'check', '--strict',
         *map(str, packages)], ROOT)


def check_manifest(root: Path = ROOT) -> None:
    """See that the sdist has all that git has, and nothing else."""
    run([str(Path(sys.executable).parent / 'check-manifest'),
         '--no-build-isolation', str(root)], root)


def rpm(sdist: Path, out: Path, work: Path) -> Path:
    """Build the binary RPM from the sdist, with this Python."""
    top = work / 'rpm'
    top.mkdir(parents=True)
    spec = ROOT / 'packaging' / 'rpm' / _SPEC
    version = f'python{sys.version_info.major}.{sys.version_info.minor}'
    # --nodeps: what is there was not installed by rpm.
    run(['rpmbuild', '-bb', '--nodeps',
         '--define', f'_topdir {top}',
         '--define', f'_sourcedir {sdist.parent}',
         '--define', f'__python3 {sys.executable}',
         '--define', f'python3_sitelib /usr/lib/{version}/site-packages',
         str(spec)], top,
        {'PATH': f'{Path(sys.executable).parent}:{SYSTEM_PATH}'})
    return _keep(_one(top / 'RPMS', '**/*.rpm'), out)


def deb(sdist: Path, out: Path, work: Path) -> Path:
    """Build the Debian package from the sdist, with Debian's Python."""
    top = work / 'deb'
    top.mkdir(parents=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(top, filter='data')
    source = next(top.iterdir())
    version = source.name.rpartition('-')[2]
    shutil.copyfile(sdist, top / f'python-cinder-nec_{version}.orig.tar.gz')
    shutil.copytree(ROOT / 'packaging' / 'debian', source / 'debian')
    clean = {name: value for name, value in os.environ.items()
             if name in ('HOME', 'LANG', 'TMPDIR', 'SOURCE_DATE_EPOCH')}
    done = subprocess.run(
        ['dpkg-buildpackage', '-us', '-uc'], cwd=source,
        env={**clean, 'PATH': SYSTEM_PATH}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors='replace')
    if done.returncode:
        tail = '\n'.join(done.stdout.splitlines()[-40:])
        raise BuildError(f'dpkg-buildpackage failed:\n{tail}')
    return _keep(_one(top, '*.deb'), out)


def _keep(package: Path, out: Path) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy2(package, out))


def _one(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        names = ', '.join(path.name for path in found) or 'none'
        raise BuildError(f'One {pattern} was to be built, there is: {names}')
    return found[0]
