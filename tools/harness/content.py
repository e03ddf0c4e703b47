# SPDX-License-Identifier: Apache-2.0
"""What a large, mostly empty file holds, without reading all of it."""

from __future__ import annotations

from collections.abc import Iterator
import hashlib
import os
from pathlib import Path
from typing import BinaryIO

BLOCK = 1 << 16


def fingerprint(path: Path, length: int | None = None) -> str:
    """A digest of a file, or of its beginning: of its bytes that are not 0.

    Two files have the same one if their bytes are the same up to the zeros
    at the end, be those written or a hole.
    """
    digest = hashlib.sha256()
    with path.open('rb') as file:
        end = file.seek(0, os.SEEK_END) if length is None else length
        for number in _filled(file, end):
            file.seek(number * BLOCK)
            block = file.read(min(BLOCK, end - number * BLOCK))
            if block.count(0) != len(block):
                digest.update(number.to_bytes(8, 'big'))
                digest.update(block.ljust(BLOCK, b'\0'))
    return digest.hexdigest()


def _filled(file: BinaryIO, end: int) -> Iterator[int]:
    """The numbers of the blocks that are no hole."""
    at = 0
    while at < end:
        try:
            start = os.lseek(file.fileno(), at, os.SEEK_DATA)
        except OSError:
            return
        stop = os.lseek(file.fileno(), start, os.SEEK_HOLE)
        first, last = max(start, at) // BLOCK, -(-min(stop, end) // BLOCK)
        yield from range(first, last)
        at = max(stop, last * BLOCK)
