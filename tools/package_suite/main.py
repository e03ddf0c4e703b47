# SPDX-License-Identifier: Apache-2.0
"""tools/package: build what a site installs, look into it, show a table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
import os
from pathlib import Path
import subprocess
import sys
import tempfile

from harness.venvs import ROOT
from package_suite import build, contents
from package_suite.build import BuildError

KINDS = ('wheel', 'rpm', 'deb')


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    package: Path
    files: int
    checked: str


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='tools/package',
        description='Build the sdist and the wheel, the RPM and the Debian '
        'package into one directory, look into each, and import it from '
        'where it was unpacked. Nothing is fetched.')
    parser.add_argument(
        'kinds', nargs='*', metavar='KIND', default=[],
        help=f'{", ".join(KINDS)} (default: all); the sdist is always built')
    parser.add_argument('--out', type=Path, default=ROOT / 'dist',
                        help='where to put them (default: dist/)')
    options = parser.parse_args(argv)
    for kind in options.kinds:
        if kind not in KINDS:
            parser.error(f'{kind!r} is none of {", ".join(KINDS)}')
    return options


def main(argv: Sequence[str]) -> int:
    """Entry point; 0 only if all that was asked for was built."""
    options = parse(argv)
    kinds = options.kinds or KINDS
    _pin_time()
    lacking = {kind: names for kind, names in (
        ('rpm', build.missing(build.RPM_NEEDS)),
        ('deb', build.missing_for_deb())) if kind in kinds and names}
    try:
        with tempfile.TemporaryDirectory(prefix='cinder-nec-package-') as at:
            rows = build_all([kind for kind in kinds if kind not in lacking],
                             options.out.resolve(), Path(at))
    except BuildError as error:
        print(f'tools/package: {error}', file=sys.stderr)
        return 1
    print(table(rows))
    for kind, names in lacking.items():
        print(f'Not built: {kind}. It needs: apt-get install '
              f'{" ".join(names)}')
    return int(bool(lacking))


def build_all(kinds: Sequence[str], out: Path, work: Path) -> list[Row]:
    """Build and check; *out* gets nothing that did not pass.

    :raises BuildError: something could not be built, or is not as it should
    """
    source = build.export(work / 'source')
    made = work / 'made'
    sdist, wheel = build.sdist_and_wheel(source, made)
    build.check_with_twine([sdist, wheel])
    checked = 'twine'
    if build.known_to_git() is not None:
        build.check_manifest()
        checked += ', check-manifest'
    packages = {sdist: checked}
    if 'wheel' in kinds:
        packages[wheel] = 'twine, '
    if 'rpm' in kinds:
        packages[build.rpm(sdist, made, work)] = ''
    if 'deb' in kinds:
        packages[build.deb(sdist, made, work)] = ''
    rows = [_look(package, checks, source, work / package.name)
            for package, checks in packages.items()]
    out.mkdir(parents=True, exist_ok=True)
    for row in rows:
        os.replace(_beside(row.package, out), out / row.package.name)
    return [replace(row, package=out / row.package.name) for row in rows]


def _beside(package: Path, out: Path) -> Path:
    """Copy a package to where a rename can put it in place."""
    copy = out / f'.{package.name}.new'
    copy.write_bytes(package.read_bytes())
    return copy


def _look(package: Path, checks: str, source: Path, at: Path) -> Row:
    unpacked = contents.unpack(package, at)
    files = len(unpacked.files())
    if package.name.endswith('.tar.gz'):
        return Row(package, files, checks)
    wrong = contents.problems(unpacked, source)
    if wrong:
        raise BuildError('\n'.join([f'{package.name}:', *wrong]))
    count = contents.import_all(unpacked)
    samples = len(contents.samples_of(source))
    return Row(package, files, f'{checks}{count} modules imported, '
               f'{samples} samples')


def table(rows: Sequence[Row]) -> str:
    """Render what was built."""
    width = max(len(row.package.name) for row in rows)
    lines = [f'{"package":{width}}  {"KiB":>5}  {"files":>5}  checked']
    for row in rows:
        size = row.package.stat().st_size / 1024
        lines.append(f'{row.package.name:{width}}  {size:5.0f}  '
                     f'{row.files:5}  {row.checked}')
    return '\n'.join(lines)


def _pin_time() -> None:
    """Date what is built by the last commit, not by the clock."""
    if 'SOURCE_DATE_EPOCH' in os.environ:
        return
    done = subprocess.run(['git', '-C', str(ROOT), 'log', '-1',
                           '--format=%ct'], capture_output=True, text=True)
    if done.returncode == 0 and done.stdout.strip():
        os.environ['SOURCE_DATE_EPOCH'] = done.stdout.strip()


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
