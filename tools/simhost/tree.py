# SPDX-License-Identifier: Apache-2.0
"""The files below /sys and /dev from which os-brick learns of disks."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
import shutil

SYS = Path('/sys')
DEV = Path('/dev')


def write(path: Path, text: str) -> None:
    """A file with one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + '\n')


def link(path: Path, target: str | Path) -> None:
    """A symbolic link, replaced if it is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    path.symlink_to(target)


def remove(path: Path) -> None:
    """A file, link or directory, if it is there."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def lun_text(lun: int) -> str:
    """A LUN as udev spells it in /dev/disk/by-path."""
    if lun < 256:
        return str(lun)
    return f'0x{lun & 0xffff:04x}{lun >> 16 & 0xffff:04x}00000000'


def add_session(host: int, sid: int) -> None:
    """A session of iscsid: a SCSI host with one target."""
    session = SYS / f'devices/platform/host{host}/session{sid}'
    (session / f'target{host}:0:0').mkdir(parents=True)
    for name in ('iscsi_host', 'scsi_host'):
        entry = SYS / f'class/{name}/host{host}'
        entry.mkdir(parents=True)
        link(entry / 'device', SYS / f'devices/platform/host{host}')
    write(SYS / f'class/scsi_host/host{host}/scan', '')


def remove_session(host: int) -> None:
    """Forget a session."""
    for name in ('class/iscsi_host', 'class/scsi_host', 'devices/platform'):
        remove(SYS / name / f'host{host}')


def add_hba(host: int, wwpn: str) -> str:
    """A Fibre Channel HBA; returns its PCI address."""
    pci = f'0000:00:{host + 16:02x}.0'
    place = SYS / f'devices/pci0000:00/{pci}/host{host}'
    fc_host = place / f'fc_host/host{host}'
    for name, value in (('port_name', f'0x{wwpn}'),
                        ('node_name', f'0x2{wwpn[1:]}'),
                        ('port_state', 'Online')):
        write(fc_host / name, value)
    link(SYS / f'class/fc_host/host{host}', fc_host)
    entry = SYS / f'class/scsi_host/host{host}'
    link(entry / 'device', place)
    write(entry / 'scan', '')
    return pci


def add_fc_target(host: int, number: int, wwpn: str) -> None:
    """A port of an array that an HBA sees through the fabric."""
    write(SYS / f'class/fc_transport/target{host}:0:{number}/port_name',
          f'0x{wwpn}')


def add_disk(name: str, hctl: tuple[int, int, int, int], sid: int | None,
             wwid: str) -> None:
    """A SCSI disk (its node in /dev is made elsewhere)."""
    spelled = ':'.join(map(str, hctl))
    device = SYS / f'bus/scsi/drivers/sd/{spelled}'
    device.mkdir(parents=True)
    write(device / 'wwid', f'naa.{wwid}')
    write(device / 'rescan', '')
    write(device / 'delete', '')
    block = SYS / f'block/{name}'
    (block / 'holders').mkdir(parents=True)
    link(block / 'device', device)
    link(SYS / f'class/block/{name}', block)
    if sid is not None:
        host, channel, target, _lun = hctl
        (SYS / f'devices/platform/host{host}/session{sid}'
         / f'target{host}:{channel}:{target}' / spelled / 'block'
         / name).mkdir(parents=True)


def remove_disk(name: str, hctl: tuple[int, int, int, int],
                sid: int | None) -> None:
    """Forget a disk."""
    spelled = ':'.join(map(str, hctl))
    remove(SYS / f'class/block/{name}')
    remove(SYS / f'block/{name}')
    remove(SYS / f'bus/scsi/drivers/sd/{spelled}')
    if sid is not None:
        host, channel, target, _lun = hctl
        remove(SYS / f'devices/platform/host{host}/session{sid}'
               / f'target{host}:{channel}:{target}' / spelled)


def add_map(name: str, wwid: str, slaves: list[str]) -> None:
    """A device of the device mapper over some disks."""
    block = SYS / f'block/{name}'
    write(block / 'dm/uuid', f'mpath-{wwid}')
    write(block / 'dm/name', wwid)
    remove(block / 'slaves')
    (block / 'slaves').mkdir(parents=True)
    link(SYS / f'class/block/{name}', block)
    for slave in slaves:
        link(block / 'slaves' / slave, SYS / f'block/{slave}')
        link(SYS / f'block/{slave}/holders/{name}', block)
    for place in (f'mapper/{wwid}', f'disk/by-id/dm-uuid-mpath-{wwid}',
                  f'disk/by-id/dm-name-{wwid}'):
        link(DEV / place, DEV / name)


def remove_map(name: str, wwid: str, slaves: list[str]) -> None:
    """Forget a device of the device mapper."""
    for slave in slaves:
        remove(SYS / f'block/{slave}/holders/{name}')
    for place in (f'mapper/{wwid}', f'disk/by-id/dm-uuid-mpath-{wwid}',
                  f'disk/by-id/dm-name-{wwid}'):
        remove(DEV / place)
    remove(SYS / f'class/block/{name}')
    remove(SYS / f'block/{name}')
    with contextlib.suppress(FileNotFoundError):
        os.unlink(DEV / name)
