# SPDX-License-Identifier: Apache-2.0
"""System calls that Python 3.10 has no function for."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import struct

CLONE_NEWNS = 0x00020000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
_PR_SET_PDEATHSIG = 1
_LOOP_MAJOR = 7
_LOOP_CONFIGURE = 0x4C0A
_LOOP_SET_CAPACITY = 0x4C07
_LOOP_CTL_GET_FREE = 0x4C82
_LO_FLAGS_READ_ONLY = 1
# The kernel detaches the loop device when nobody has it open any more:
# nothing is left, however a run ends.
_LO_FLAGS_AUTOCLEAR = 4

_LIBC = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f'{what}: {os.strerror(number)}')


def unshare_mounts() -> None:
    """Give this process mounts of its own."""
    _check(_LIBC.unshare(CLONE_NEWNS), 'unshare')
    _check(_LIBC.mount(b'none', b'/', None, MS_REC | MS_PRIVATE, None),
           'mount --make-rprivate')


def enter_mounts_of(pid: int) -> None:
    """Join the mounts of another process."""
    descriptor = os.open(f'/proc/{pid}/ns/mnt', os.O_RDONLY)
    try:
        _check(_LIBC.setns(descriptor, CLONE_NEWNS), 'setns')
    finally:
        os.close(descriptor)


def mount(kind: str, source: str, target: str, data: str = '') -> None:
    """mount(2)"""
    _check(_LIBC.mount(source.encode(), target.encode(), kind.encode(), 0,
                       data.encode()), f'mount {kind} on {target}')


def die_with_thread() -> None:
    """Have this process killed when the thread that started it ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def loop_attach(node: str, backing: str, read_only: bool) -> tuple[int, int]:
    """Make *node* a loop device on a file; (open descriptor, minor)."""
    flags = _LO_FLAGS_AUTOCLEAR | (_LO_FLAGS_READ_ONLY if read_only else 0)
    mode = os.O_RDONLY if read_only else os.O_RDWR
    file = os.open(backing, mode | os.O_CLOEXEC)
    try:
        for _ in range(100):
            minor = _free_loop()
            make_block_node(node, minor)
            loop = os.open(node, mode | os.O_CLOEXEC)
            name = backing.encode()[-63:]
            info = struct.pack('=5Q4I64s64s32s2Q', 0, 0, 0, 0, 0, 0, 0, 0,
                               flags, name, b'', b'', 0, 0)
            config = struct.pack('=II', file, 0) + info + bytes(64)
            try:
                fcntl.ioctl(loop, _LOOP_CONFIGURE, config)
                return loop, minor
            except OSError:
                # Somebody else took it in between.
                os.close(loop)
                os.unlink(node)
    finally:
        os.close(file)
    raise OSError(f'no free loop device for {backing}')


def make_block_node(node: str, minor: int) -> None:
    """mknod of a loop device under another name."""
    os.mknod(node, 0o600 | 0o060000, os.makedev(_LOOP_MAJOR, minor))


def _free_loop() -> int:
    control = os.open('/dev/loop-control', os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
    finally:
        os.close(control)


def loop_update_size(descriptor: int) -> None:
    """Take over the size of the file behind a loop device."""
    fcntl.ioctl(descriptor, _LOOP_SET_CAPACITY, 0)
