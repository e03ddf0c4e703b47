# SPDX-License-Identifier: Apache-2.0
"""What the tests of this directory need from the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ismsim.datapath.tgt import find_program

# Program -> Debian package.
TARGET = {'tgtd': 'tgt', 'tgtadm': 'tgt', 'iscsi-ls': 'libiscsi-bin',
          'iscsi-inq': 'libiscsi-bin',
          'iscsi-readcapacity16': 'libiscsi-bin', 'qemu-io': 'qemu-utils'}
HOST = {**TARGET, 'qemu-img': 'qemu-utils',
        'qemu-storage-daemon': 'qemu-system-common',
        'fusermount3': 'fuse3'}


def missing(programs: dict[str, str]) -> str:
    """What is not there, for one line of a skip; empty if nothing."""
    absent = sorted({f'{name} (package {package})'
                     for name, package in programs.items()
                     if find_program(name) is None})
    if programs is HOST:
        if os.geteuid() != 0:
            absent.append('root')
        absent += [device for device in ('/dev/fuse', '/dev/loop-control')
                   if not Path(device).exists()]
    return ', '.join(absent)


def target() -> None:
    """Skip where no iSCSI target can be had."""
    _skip_without(missing(TARGET))


def host() -> None:
    """Skip where no simulated host can be had."""
    _skip_without(missing(HOST))


def _skip_without(absent: str) -> None:
    if absent:
        pytest.skip(f'missing: {absent}')
