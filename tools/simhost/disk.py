# SPDX-License-Identifier: Apache-2.0
"""A LUN as a block device: qemu-storage-daemon, FUSE, loop device."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
from dataclasses import dataclass
import json
import os
from pathlib import Path
import re
import socket
import subprocess
import time
from typing import Any

from simhost import kernel

# tgt keeps LUN 0 of each target for itself, so the simulated array shows
# its LUN n as n + 1 on the wire (ismsim/datapath/layout.py).
LUN_SHIFT = 1
SECONDS = 15.0

Spawn = Callable[..., 'subprocess.Popen[bytes]']


class DiskError(Exception):
    """The LUN is not there or could not be made a disk."""


@dataclass(frozen=True)
class Place:
    """Where a LUN is on the wire, and who asks."""

    portal: str
    target: str
    lun: int
    initiator: str
    user: str = ''
    password: str = ''

    def url(self, lun: int) -> str:
        """As the tools of libiscsi take it."""
        who = f'{self.user}%{self.password}@' if self.user else ''
        return f'iscsi://{who}{self.portal}/{self.target}/{lun}'

    @property
    def wire_lun(self) -> int:
        return self.lun + LUN_SHIFT


def ask(initiator: str, program: str, *words: str) -> tuple[int, str]:
    """Run one of libiscsi's tools; (status, all that it said)."""
    try:
        done = subprocess.run([program, '-i', initiator, *words],
                              stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return 1, 'timed out'
    return done.returncode, done.stdout


def serial(place: Place) -> str | None:
    """The unit serial number of a LUN; None if there is no such LUN."""
    status, text = ask(place.initiator, 'iscsi-inq', '-e', '1', '-c', '128',
                       place.url(place.wire_lun))
    found = re.search(r'Unit Serial Number:\[\s*(\S+?)\s*\]', text)
    return found[1] if found and not status else None


def capacity(place: Place) -> int:
    """The size of a LUN now."""
    _status, text = ask(place.initiator, 'iscsi-readcapacity16',
                        place.url(place.wire_lun))
    found = re.search(r'Total size:(\d+)', text)
    if not found:
        raise DiskError(f'no capacity of {place.target}: {text}')
    return int(found[1])


class Disk:
    """One LUN with a node in /dev; close() takes all of it away."""

    def __init__(self, place: Place, node: str, scratch: Path,
                 spawn: Spawn) -> None:
        self.place = place
        self.node = node
        self._file = scratch / 'disk'
        self._socket = scratch / 'qmp'
        self._log = scratch / 'log'
        self._scratch = scratch
        scratch.mkdir(parents=True)
        self._file.touch()
        self._process: subprocess.Popen[bytes] | None = None
        self._loop = -1
        self.minor = -1
        self.read_only = False
        try:
            try:
                self._start(spawn)
            except DiskError as error:
                if 'write protected' not in str(error):
                    raise
                self.read_only = True
                self._start(spawn)
            self._loop, self.minor = kernel.loop_attach(
                node, str(self._file), self.read_only)
        except BaseException:
            self.close()
            raise

    def _start(self, spawn: Spawn) -> None:
        place = self.place
        options: dict[str, Any] = {
            'driver': 'iscsi', 'node-name': 'd', 'transport': 'tcp',
            'portal': place.portal, 'target': place.target,
            'lun': place.wire_lun, 'initiator-name': place.initiator,
            'read-only': self.read_only,
            'discard': 'unmap'}
        # LUNs from 256 on: flat addressing, which libiscsi leaves to us.
        if place.wire_lun > 255:
            options['lun'] = place.wire_lun | 0x4000
        words = ['qemu-storage-daemon']
        if place.user:
            options.update({'user': place.user, 'password-secret': 's'})
            words += ['--object', f'secret,id=s,data={place.password}']
        words += [
            '--chardev', f'socket,path={self._socket},server=on,wait=off,'
            'id=c', '--monitor', 'chardev=c',
            '--blockdev', json.dumps(options),
            '--export', 'type=fuse,id=e,node-name=d,'
            f'mountpoint={self._file},'
            f'writable={"off" if self.read_only else "on"}']
        self._socket.unlink(missing_ok=True)
        with self._log.open('wb') as log:
            self._process = spawn(words, stdin=subprocess.DEVNULL,
                                  stdout=log, stderr=log)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            try:
                # It answers once everything of its command line is done.
                self._qmp('query-version')
                return
            except (OSError, ValueError):
                time.sleep(0.005)
        self._stop_process()
        raise DiskError(self._log.read_text(errors='replace')[-500:])

    def _qmp(self, command: str, **arguments: Any) -> Any:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(SECONDS)
            connection.connect(str(self._socket))
            stream = connection.makefile('rw')
            json.loads(stream.readline())
            for name, values in (('qmp_capabilities', {}),
                                 (command, arguments)):
                stream.write(json.dumps({'execute': name,
                                         'arguments': values}) + '\n')
                stream.flush()
                answer = json.loads(stream.readline())
                while 'event' in answer:
                    answer = json.loads(stream.readline())
                if 'error' in answer:
                    raise DiskError(f'{command}: {answer["error"]}')
            return answer.get('return')

    def rescan(self) -> None:
        """Take over the size that the LUN has now."""
        self._qmp('block_resize', **{'node-name': 'd',
                                     'size': capacity(self.place)})
        # FUSE remembers the size of a file for a while.
        subprocess.run(['stat', '--cached=never', str(self._file)],
                       check=True, stdout=subprocess.DEVNULL)
        kernel.loop_update_size(self._loop)

    def flush(self) -> None:
        """Write what the page cache holds; a lost LUN raises OSError."""
        if self._loop >= 0:
            os.fsync(self._loop)

    def forget_cache(self) -> None:
        """Have the next read come from the array.

        There is one cache more than on a real host: that of the file
        between the loop device and the storage daemon.
        """
        self.flush()
        descriptor = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Take the disk away, also from who has it open."""
        if self._loop >= 0:
            # Who still has it open gets errors from here on.
            with contextlib.suppress(OSError):
                os.fsync(self._loop)
            os.close(self._loop)
            self._loop = -1
        self._stop_process()
        with contextlib.suppress(OSError):
            os.unlink(self.node)
        for path in (self._socket, self._file, self._log):
            with contextlib.suppress(OSError):
                path.unlink()
        with contextlib.suppress(OSError):
            self._scratch.rmdir()

    def _stop_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # After SIGKILL the mount of its file stays behind.
        subprocess.run(['fusermount3', '-u', '-z', str(self._file)],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
