# SPDX-License-Identifier: Apache-2.0
"""An encrypted volume as Nova uses it: LUKS, by qemu.

os-brick and cryptsetup make the volume a LUKS volume; then qemu reads and
writes inside. Neither needs the device mapper. Cinder does, where it opens
the volume itself, to write an image into it.
"""

from __future__ import annotations

from pathlib import Path

from harness.attached import MIB, Attached
from harness.data_stage import PASSPHRASE

CIPHER, KEY_SIZE = 'aes-xts-plain64', 256
#: Of a volume type.
SPEC = {'provider': 'luks', 'cipher': CIPHER, 'key_size': KEY_SIZE,
        'control_location': 'front-end'}
# Bytes of a header of LUKS 1, where the key slots are described.
HEADER = 592
_MAGIC = b'LUKS\xba\xbe'
_PLAIN = 0x4e


def format_volume(disk: Attached, quick: bool = False) -> None:
    """Make a new volume a LUKS volume.

    :param quick: by the command that os-brick runs, but with a key that
        takes no seconds to derive
    :raises AssertionError: if Cinder does not say that it is to be one
    """
    if not disk.info['data'].get('encrypted'):
        raise AssertionError(f'{disk.volume} is not to be encrypted')
    if not quick:
        disk.host.brick('format_luks', path=disk.path, passphrase=PASSPHRASE,
                        cipher=CIPHER, key_size=KEY_SIZE)
        return
    disk.host.run(
        'sh', '-c', f'printf {PASSPHRASE} | cryptsetup --batch-mode '
        f'luksFormat --type luks1 --key-file=- --cipher {CIPHER} '
        f'--key-size {KEY_SIZE} --iter-time 10 {disk.path}')


def write(disk: Attached, offset: int, length: int) -> None:
    """Fill a part of the plain text."""
    _qemu_io(disk, f'write -P {_PLAIN} {offset} {length}', 'flush')


def verify(disk: Attached, offset: int, length: int) -> None:
    """Read that part.

    :raises OSError: if it does not hold what ``write`` wrote
    """
    _qemu_io(disk, f'read -P {_PLAIN} {offset} {length}')


def _qemu_io(disk: Attached, *commands: str) -> None:
    words = [word for command in commands for word in ('-c', command)]
    disk.host.run(
        'qemu-io', '--object', f'secret,id=key,data={PASSPHRASE}', *words,
        '--image-opts', 'driver=luks,key-secret=key,'
        f'file.driver=host_device,file.filename={disk.path}')


def is_header(data: bytes) -> bool:
    """Whether a volume begins like a LUKS volume."""
    return data.startswith(_MAGIC)


def plain_text(path: Path) -> bool:
    """Whether the beginning of an array's file holds what was written."""
    with path.open('rb') as file:
        return bytes([_PLAIN]) * 4096 in file.read(64 * MIB)
