# SPDX-License-Identifier: Apache-2.0
"""A second Cinder in which the in-tree path may be altered.

All of it are links to the installed one, except the directory with the
M-series driver, which is copied: the shared environment stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
import importlib.util
import os
from pathlib import Path
import shutil
import stat
import subprocess
import sys

FOLDER = Path('volume', 'drivers', 'nec')


def installed() -> Path:
    """Return the directory of the installed package ``cinder``."""
    spec = importlib.util.find_spec('cinder')
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def make(site: Path) -> Path:
    """Build the package in *site*, which is put on PYTHONPATH to use it."""
    real, copy = installed(), site / 'cinder'
    copy.mkdir(parents=True)
    place = Path()
    for part in FOLDER.parts:
        for entry in (real / place).iterdir():
            if entry.name != part:
                (copy / place / entry.name).symlink_to(entry)
        place = place / part
        (copy / place).mkdir()
    shutil.copytree(real / FOLDER, copy / FOLDER, dirs_exist_ok=True)
    return copy


@dataclass(frozen=True)
class Kept:
    """All of a file that has to come back."""

    content: bytes
    mode: int
    owner: tuple[int, int]
    mtime_ns: int
    inode: int
    names: int


def snapshot(folder: Path) -> dict[str, Kept | None]:
    """Return all files below; None for directories."""
    found: dict[str, Kept | None] = {}
    for path in sorted(folder.rglob('*')):
        status = os.lstat(path)
        name = str(path.relative_to(folder))
        if stat.S_ISDIR(status.st_mode):
            found[name] = None
        else:
            found[name] = Kept(
                path.read_bytes(), status.st_mode,
                (status.st_uid, status.st_gid), status.st_mtime_ns,
                status.st_ino, status.st_nlink)
    return found


def run(site: Path, program: str) -> str:
    """Run a Python program in which Cinder is that of *site*."""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', program],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(
            [str(site), str(Path(__file__).parents[2])])},
        cwd=site, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout
