# SPDX-License-Identifier: Apache-2.0
"""Which virtual environments the tools build, and with which Cinder.

Standard library only: this is read before any environment exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import sys

ROOT = Path(__file__).resolve().parents[2]

# Cinder release -> the oldest Python that its packages accept.
CINDER_PYTHON = {27: (3, 10), 28: (3, 10), 29: (3, 11)}
OLDEST = min(CINDER_PYTHON)

# A change in one of these makes the environments be brought up to date.
STAMPED_FILES = (
    'requirements.txt',
    'test-requirements.txt',
    'setup.cfg',
    'setup.py',
    'pyproject.toml',
)


def newest(python: tuple[int, int] | None = None) -> int:
    """The newest supported Cinder release that runs on this Python."""
    have = python or sys.version_info[:2]
    return max(r for r, needs in CINDER_PYTHON.items() if needs <= have)


@dataclass(frozen=True)
class Venv:
    """One virtual environment inside the checkout."""

    path: Path
    release: int

    @property
    def python(self) -> Path:
        return self.path / 'bin' / 'python'

    @property
    def stamp(self) -> Path:
        """Written last; says what the environment was built from."""
        return self.path / 'built-from.json'

    @property
    def log(self) -> Path:
        return self.path / 'build.log'

    @property
    def requirements(self) -> list[str]:
        """Arguments of pip install."""
        return [
            f'cinder=={self.release}.*',
            '-r', 'requirements.txt',
            '-r', 'test-requirements.txt',
        ]


def venv_for(release: int | None = None, root: Path = ROOT) -> Venv:
    """The environment of a Cinder release; the newest one by default."""
    release = release or newest()
    if release not in CINDER_PYTHON:
        known = ', '.join(map(str, CINDER_PYTHON))
        raise ValueError(f'Cinder {release} is not one of {known}')
    name = '.venv' if release == newest() else f'.venv-cinder{release}'
    return Venv(root / name, release)
