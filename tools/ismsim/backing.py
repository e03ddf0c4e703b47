# SPDX-License-Identifier: Apache-2.0
"""The bytes of the LDs: one sparse file each, copied extent by extent.

A file is made when somebody first needs it; an LD without one reads as
zeros. Contents are replaced in place, so that a data path that holds a
file open goes on seeing its LD.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
import os
from pathlib import Path

_CHUNK = 1 << 20
# Differences are counted in blocks of this size.
_BLOCK = 1 << 16


class Backing:
    """The directory of the LDs' files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._diffs: dict[tuple[object, ...], int] = {}

    def path(self, ldn: int) -> Path:
        """Where an LD's file is, or would be."""
        return self.directory / f'{ldn:04x}.img'

    def frozen_path(self, mv: int, rv: int) -> Path:
        """The image that waits to be put on an RV."""
        return self.directory / f'frozen-{mv:04x}-{rv:04x}.img'

    def ensure(self, ldn: int, size: int) -> Path:
        """An LD's file with the given size."""
        path = self.path(ldn)
        _make(path, size)
        return path

    def grow(self, ldn: int, size: int) -> None:
        """Extend an LD's file; the new part reads as zeros."""
        if self.path(ldn).exists():
            os.truncate(self.path(ldn), size)

    def lose_end(self, ldn: int, length: int, size: int) -> None:
        """Replace the last bytes of an LD by zeros."""
        if self.path(ldn).exists():
            os.truncate(self.path(ldn), max(0, size - length))
            os.truncate(self.path(ldn), size)

    def remove(self, ldn: int) -> None:
        """Forget an LD's bytes: the next one of its number starts at 0."""
        self.path(ldn).unlink(missing_ok=True)

    def link(self, lv: int, sv: int, size: int) -> None:
        """Show the bytes of an SV under the number of an LV."""
        self.ensure(sv, size)
        self.remove(lv)
        os.link(self.path(sv), self.path(lv))

    def copy(self, source: int, target: int, size: int) -> None:
        """Make the bytes of one LD those of another one."""
        copy_sparse(self.path(source), self.path(target), size)

    def freeze(self, mv: int, rv: int, size: int) -> None:
        """Keep the MV's bytes of now until they go to the RV."""
        copy_sparse(self.path(mv), self.frozen_path(mv, rv), size)

    def thaw(self, mv: int, rv: int, size: int) -> None:
        """Put the kept bytes on the RV."""
        frozen = self.frozen_path(mv, rv)
        # Without it this was done just before a crash, but not yet saved.
        if not frozen.exists():
            return
        copy_sparse(frozen, self.path(rv), size)
        frozen.unlink(missing_ok=True)

    def drop_frozen(self, mv: int, rv: int) -> None:
        """Forget the kept bytes."""
        self.frozen_path(mv, rv).unlink(missing_ok=True)

    def used(self, ldn: int) -> int:
        """Bytes that an LD's file really occupies."""
        try:
            return os.stat(self.path(ldn)).st_blocks * 512
        except FileNotFoundError:
            return 0

    def difference(self, one: int, other: int) -> int:
        """How many bytes of two LDs differ, in blocks of 64 KiB."""
        paths = self.path(one), self.path(other)
        key: tuple[object, ...] = tuple(_stamp(path) for path in paths)
        if key not in self._diffs:
            if len(self._diffs) > 1000:
                self._diffs.clear()
            self._diffs[key] = _difference(*paths)
        return self._diffs[key]

    def read(self, ldn: int, offset: int, length: int, size: int) -> bytes:
        """Bytes of an LD."""
        if offset < 0 or length < 0 or offset + length > size:
            raise ValueError('outside the LD')
        path = self.path(ldn)
        if not path.exists():
            return bytes(length)
        with path.open('rb') as file:
            data = os.pread(file.fileno(), length, offset)
        return data + bytes(length - len(data))

    def write(self, ldn: int, offset: int, data: bytes, size: int) -> None:
        """Put bytes on an LD, as a host does."""
        if offset < 0 or offset + len(data) > size:
            raise ValueError('outside the LD')
        with self.ensure(ldn, size).open('r+b') as file:
            os.pwrite(file.fileno(), data, offset)


def _make(path: Path, size: int) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.fstat(descriptor).st_size < size:
            os.ftruncate(descriptor, size)
    finally:
        os.close(descriptor)


def copy_sparse(source: Path, target: Path, size: int) -> None:
    """Make a file equal to another one, holes staying holes."""
    _make(target, size)
    with target.open('r+b') as out:
        out.truncate(0)
        out.truncate(size)
        if not source.exists():
            return
        with source.open('rb') as file:
            for start, end in extents(file.fileno(), size):
                _copy_range(file.fileno(), out.fileno(), start, end)


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    while start < end:
        data = os.pread(source, min(_CHUNK, end - start), start)
        if not data:
            return
        if data.count(0) != len(data):
            os.pwrite(target, data, start)
        start += len(data)


def extents(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that hold data."""
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        if start >= size:
            return
        end = min(size, os.lseek(descriptor, start, os.SEEK_HOLE))
        yield start, end
        position = end


def _stamp(path: Path) -> tuple[object, ...]:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return (str(path), None)
    return (str(path), status.st_ino, status.st_mtime_ns, status.st_size,
            status.st_blocks)


def _difference(one: Path, other: Path) -> int:
    with contextlib.ExitStack() as stack:
        descriptors = [
            stack.enter_context(path.open('rb')).fileno()
            for path in (one, other) if path.exists()]
        blocks: set[int] = set()
        for descriptor in descriptors:
            size = os.fstat(descriptor).st_size
            for start, end in extents(descriptor, size):
                blocks.update(range(start // _BLOCK,
                                    (end - 1) // _BLOCK + 1))
        if len(descriptors) < 2:
            # The other one reads as zeros.
            return _BLOCK * sum(1 for block in blocks
                                if _block(descriptors[0], block))
        return _BLOCK * sum(
            1 for block in blocks if _block(descriptors[0], block)
            != _block(descriptors[1], block))


def _block(descriptor: int, number: int) -> bytes:
    data = os.pread(descriptor, _BLOCK, number * _BLOCK)
    return data.rstrip(b'\0')
