# SPDX-License-Identifier: Apache-2.0
"""Place this driver behind the in-tree path, and take it away again.

Each change of ``volume.py`` is one rename.  Cinder's own file is not copied
but gets a second name (a hard link) in the backup, so that owner, times and
attributes come back with it.  Its byte code is kept as well: byte code that
a distribution compiled need not notice a changed source.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
import fcntl
import os
from pathlib import Path
import shutil

from cinder_nec.in_tree import known
from cinder_nec.in_tree.tree import (
    BYTECODE,
    Found,
    InTreeError,
    State,
    Tree,
)

# The file system has no hard links, or not for this file.
_NO_LINKS = {errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP, errno.EMLINK,
             errno.ENOSYS}
REINSTALL = (
    'Install Cinder\'s package again (such as pip install '
    '--force-reinstall --no-deps cinder==RELEASE) and repeat; or leave '
    'the file as it is and write volume_driver = '
    'cinder_nec.volume.CLASS in cinder.conf.')


def install(tree: Tree) -> bool:
    """Place this driver behind the path; False if it is there already.

    *Precondition*: the M-series files are those of a known release.
    *Re-entry*: goes on from what an interrupted run left.
    *Undo*: what fails before the last rename is taken back.
    *Crash leaves*: Cinder's own driver with a backup beside it, or this
    driver complete.

    :raises InTreeError: the files are not known, or cannot be written;
        nothing was changed
    """
    with _alone(tree):
        found = tree.look()
        if found.state is State.PLACED:
            return False
        _refuse_unknown(found)
        if found.state is State.PLACED_EARLIER:
            _put(tree)
            _drop_bytecode(tree)
            return True
        if found.altered:
            raise InTreeError('Not placed: ' + ' '.join(found.altered),
                              REINSTALL)
        _clear(tree)
        try:
            _keep(tree)
            _drop_bytecode(tree)
            _put(tree)
        except BaseException:
            _clear(tree)
            raise
        return True


def remove(tree: Tree) -> bool:
    """Put Cinder's own driver back; False if it is there already.

    *Precondition*: the file behind the path is one that was placed, and
    the backup is Cinder's.
    *Re-entry*: goes on from what an interrupted run left.
    *Undo*: none is needed; the rename is the first change.
    *Crash leaves*: this driver complete, or Cinder's own with a backup
    beside it.

    :raises InTreeError: the files are not known, or cannot be written
    """
    with _alone(tree):
        found = tree.look()
        if found.state is State.OWN:
            return False
        _refuse_unknown(found)
        if found.state is not State.LEFTOVER:
            tree.new.unlink(missing_ok=True)
            _link(tree.kept, tree.new)
            os.replace(tree.new, tree.file)
            _sync(tree.folder)
        _clear(tree)
        return True


def _refuse_unknown(found: Found) -> None:
    if found.state is State.UNKNOWN:
        raise InTreeError('Nothing is changed: '
                          + ' '.join(found.problems + found.altered),
                          REINSTALL)


@contextlib.contextmanager
def _alone(tree: Tree) -> Iterator[None]:
    """Keep a second run out, and put errors of files in plain words.

    The lock is on the directory itself: it leaves nothing behind.
    """
    try:
        handle = os.open(tree.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(handle)
    except BlockingIOError:
        raise InTreeError(
            f'Another cinder-nec works on {tree.folder}.',
            'Repeat the command when it has ended.') from None
    except OSError as error:
        raise InTreeError(
            f'{error.filename or tree.folder}: {error.strerror}. '
            f'{_what_stands(tree)}', _hint(error)) from error


def _what_stands(tree: Tree) -> str:
    try:
        state = tree.look().state
    except InTreeError:
        return 'What stands there cannot be read.'
    return f'The driver behind the path is now that of: {state.value}.'


def _hint(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return 'Run the command as the owner of the directory, mostly root.'
    if error.errno == errno.EROFS:
        return ('The file system is read-only: do it where the image of '
                'this system is built.')
    if error.errno == errno.ENOSPC:
        return 'Make room on the file system, and repeat the command.'
    return 'Repeat the command when this is mended.'


def _keep(tree: Tree) -> None:
    """Make the backup; it appears complete or not at all."""
    tree.under_way.mkdir()
    tree.under_way.chmod(0o755)
    _link(tree.file, tree.under_way / tree.kept.name)
    if tree.cache.is_dir():
        kept = tree.under_way / tree.kept_cache.name
        kept.mkdir()
        for path in tree.cache.glob(BYTECODE):
            _link(path, kept / path.name)
    os.rename(tree.under_way, tree.backup)
    _sync(tree.folder)


def _put(tree: Tree) -> None:
    """Let our file take the place of volume.py."""
    like = os.stat(tree.kept)
    tree.new.unlink(missing_ok=True)
    with open(tree.new, 'xb') as file:
        file.write(known.TEXT.encode())
        os.fchown(file.fileno(), like.st_uid, like.st_gid)
        os.fchmod(file.fileno(), like.st_mode & 0o7777)
        file.flush()
        os.fsync(file.fileno())
    os.replace(tree.new, tree.file)
    _sync(tree.folder)


def _clear(tree: Tree) -> None:
    """With Cinder's own volume.py in place, leave nothing else.

    Byte code comes back only to the very file that it was made of: after
    an upgrade of Cinder the backup is of no use any more.
    """
    if not tree.has_own():
        return  # the backup is needed
    _discard(tree.under_way)
    if _is_same(tree.kept, tree.file):
        _restore_bytecode(tree)
        # From here on a second run leaves the byte code alone.
        tree.kept.unlink()
    _discard(tree.backup)
    _sync(tree.folder)


def _restore_bytecode(tree: Tree) -> None:
    kept, cache = tree.kept_cache, tree.cache
    names = {path.name for path in kept.glob(BYTECODE)}
    if names:
        cache.mkdir(exist_ok=True)
    for name in names:
        second = kept / f'{name}.new'
        second.unlink(missing_ok=True)
        _link(kept / name, second)
        os.replace(second, cache / name)
    for path in cache.glob(BYTECODE):
        if path.name not in names:
            path.unlink(missing_ok=True)
    if not kept.exists():
        with contextlib.suppress(OSError):
            cache.rmdir()  # Python made it meanwhile; not if it has more


def _discard(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _drop_bytecode(tree: Tree) -> None:
    for path in tree.cache.glob(BYTECODE):
        path.unlink(missing_ok=True)


def _is_same(one: Path, other: Path) -> bool:
    """Tell whether one file is the other, or an exact copy of it."""
    try:
        first, second = os.stat(one), os.stat(other)
    except FileNotFoundError:
        return False
    return ((first.st_size, first.st_mtime_ns)
            == (second.st_size, second.st_mtime_ns))


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it with all that it has."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copy2(source, target)
        like = os.stat(source)
        os.chown(target, like.st_uid, like.st_gid)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
