# SPDX-License-Identifier: Apache-2.0
"""What the kernel, iscsid and multipathd of the simulated host know."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import contextlib
from dataclasses import dataclass, field
import json
import os
from pathlib import Path
import re
import subprocess
import threading
from typing import Any

from simhost import disk, kernel, tree
from simhost.disk import Disk, DiskError, Place

Hctl = tuple[int, int, int, int]


@dataclass
class Session:
    """A login at a target."""

    sid: int
    host: int
    place: Place


@dataclass
class Attached:
    """A disk that the host sees."""

    name: str
    hctl: Hctl
    serial: str
    disk: Disk
    by_path: Path
    sid: int | None = None

    @property
    def wwid(self) -> str:
        """As scsi_id prints it."""
        return '3' + self.serial

    @property
    def node(self) -> Path:
        return tree.DEV / self.name


@dataclass
class Map:
    """A multipath device; its I/O takes the first path."""

    name: str
    wwid: str
    paths: list[Attached] = field(default_factory=list)


@dataclass(frozen=True)
class Hba:
    """A Fibre Channel port of the host."""

    host: int
    wwpn: str
    pci: str


class Host:
    """The state; every method that changes it holds the lock."""

    def __init__(self, scratch: Path, initiator: str, multipath: bool,
                 wwpns: list[str], fabric: list[dict[str, Any]]) -> None:
        self.initiator = initiator
        self.multipath = multipath
        self.lock = threading.RLock()
        self.sessions: dict[int, Session] = {}
        self.disks: dict[str, Attached] = {}
        self.maps: dict[str, Map] = {}
        #: (portal, target) -> settings of iscsiadm's node record.
        self.nodes: dict[tuple[str, str], dict[str, str]] = {}
        self._scratch = scratch
        self._count = 0
        # A child is killed when the thread that started it ends: this
        # one lives as long as the host.
        self._spawner = ThreadPoolExecutor(max_workers=1)
        self.hbas = [Hba(2 + index, wwpn, tree.add_hba(2 + index, wwpn))
                     for index, wwpn in enumerate(wwpns)]
        #: FC target number -> (portal that carries it, WWPN).
        self.ports: dict[int, tuple[str, str]] = {}
        for array in fabric:
            for wwpn in array['wwpns']:
                self.ports[len(self.ports)] = (array['portal'],
                                               wwpn.lower())
        for hba in self.hbas:
            for number, (_portal, wwpn) in self.ports.items():
                tree.add_fc_target(hba.host, number, wwpn)
        self._sid = 0

    # -- sessions --------------------------------------------------------

    def login(self, portal: str, target: str) -> int:
        """iscsiadm --login; its exit status."""
        if self.find_session(portal, target):
            return 15
        settings = self.nodes.get((portal, target), {})
        place = Place(portal, target, 0, self.initiator)
        if settings.get('node.session.auth.authmethod') == 'CHAP':
            place = Place(portal, target, 0, self.initiator,
                          settings['node.session.auth.username'],
                          settings['node.session.auth.password'])
        # LUN 0 on the wire is the target's own: always there.
        status, text = disk.ask(self.initiator, 'iscsi-inq', place.url(0))
        if status:
            return 24 if 'Login' in text else 8
        with self.lock:
            self._sid += 1
            session = Session(self._sid, 10 + self._sid, place)
            self.sessions[session.sid] = session
            tree.add_session(session.host, session.sid)
        return 0

    def find_session(self, portal: str, target: str) -> Session | None:
        """The session of a portal and target."""
        with self.lock:
            for session in self.sessions.values():
                if (session.place.portal, session.place.target) == (
                        portal, target):
                    return session
        return None

    def logout(self, session: Session) -> None:
        """Its disks go with it."""
        with self.lock:
            for attached in [*self.disks.values()]:
                if attached.sid == session.sid:
                    self.remove(attached)
            del self.sessions[session.sid]
            tree.remove_session(session.host)

    # -- disks -----------------------------------------------------------

    def scan(self, host: int, words: list[str]) -> None:
        """A write to /sys/class/scsi_host/hostN/scan."""
        _channel, target, lun = words
        if lun == '-':
            raise DiskError('a scan of all LUNs is not simulated')
        with self.lock:
            for session in self.sessions.values():
                if session.host == host:
                    self._scan_session(session, int(lun))
                    return
            for hba in self.hbas:
                if hba.host == host:
                    self._scan_fabric(hba, target, int(lun))
                    return
        raise DiskError(f'no host{host}')

    def _scan_session(self, session: Session, lun: int) -> None:
        old = session.place
        place = Place(old.portal, old.target, lun, old.initiator,
                      old.user, old.password)
        self._add((session.host, 0, 0, lun), place, session.sid,
                  f'ip-{place.portal}-iscsi-{place.target}-lun-'
                  f'{tree.lun_text(lun)}')

    def _scan_fabric(self, hba: Hba, target: str, lun: int) -> None:
        name = f'naa.{hba.wwpn}'
        for number, (portal, wwpn) in self.ports.items():
            if target not in ('-', str(number)):
                continue
            _status, text = disk.ask(name, 'iscsi-ls', f'iscsi://{portal}')
            # The fabric shows an HBA what the array lets it see.
            for found in re.findall(r'^Target:(\S+:fc\.\S+) ', text, re.M):
                self._add((hba.host, 0, number, lun),
                          Place(portal, found, lun, name), None,
                          f'pci-{hba.pci}-fc-0x{wwpn}-lun-'
                          f'{tree.lun_text(lun)}')

    def _add(self, hctl: Hctl, place: Place, sid: int | None,
             path: str) -> None:
        if any(one.hctl == hctl for one in self.disks.values()):
            return
        serial = disk.serial(place)
        if serial is None:
            return
        name = self._free_name()
        self._count += 1
        made = Disk(place, str(tree.DEV / name),
                    self._scratch / str(self._count), self._spawn)
        attached = Attached(name, hctl, serial, made,
                            tree.DEV / 'disk/by-path' / path, sid)
        self.disks[name] = attached
        tree.add_disk(name, hctl, sid, serial)
        tree.link(attached.by_path, attached.node)
        if self.multipath and len(self._paths(attached.wwid)) > 1:
            self.join_map(attached)
        self._link_by_id(attached.wwid)

    def _spawn(self, words: list[str],
               **arguments: Any) -> subprocess.Popen[bytes]:
        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                words, preexec_fn=kernel.die_with_thread, **arguments)
        return self._spawner.submit(start).result()

    def _free_name(self) -> str:
        for number in range(26 * 27):
            first, second = divmod(number, 26)
            name = 'sd' + (chr(96 + first) if first else '') + chr(
                97 + second)
            if name not in self.disks:
                return name
        raise DiskError('too many disks')

    def remove(self, attached: Attached) -> None:
        """A write to a disk's `delete`."""
        with self.lock:
            self.leave_map(attached)
            del self.disks[attached.name]
            tree.remove_disk(attached.name, attached.hctl, attached.sid)
            with contextlib.suppress(FileNotFoundError):
                attached.by_path.unlink()
            attached.disk.close()
            self._link_by_id(attached.wwid)

    def rescan(self, attached: Attached) -> None:
        """A write to a disk's `rescan`."""
        with self.lock:
            attached.disk.rescan()

    def find(self, node: str) -> Attached | None:
        """A disk by any path that leads to it."""
        name = os.path.basename(os.path.realpath(node))
        for found in self.maps.values():
            if found.name == name and found.paths:
                return found.paths[0]
        return self.disks.get(name)

    # -- multipath -------------------------------------------------------

    def _paths(self, wwid: str) -> list[Attached]:
        return [one for one in self.disks.values() if one.wwid == wwid]

    def join_map(self, attached: Attached) -> None:
        """Make the map of a disk, with every path to it."""
        with self.lock:
            found = self.maps.get(attached.wwid)
            if found is None:
                used = {one.name for one in self.maps.values()}
                number = 0
                while f'dm-{number}' in used:
                    number += 1
                found = Map(f'dm-{number}', attached.wwid)
                self.maps[found.wwid] = found
            found.paths = self._paths(found.wwid)
            self._show_map(found)

    def leave_map(self, attached: Attached) -> None:
        """Take a path out of its map; the last one takes the map along."""
        with self.lock:
            found = self.maps.get(attached.wwid)
            if found is None or attached not in found.paths:
                return
            found.paths.remove(attached)
            tree.remove(tree.SYS / 'block' / attached.name / 'holders'
                        / found.name)
            if found.paths:
                self._show_map(found)
            else:
                self.drop_map(found)

    def _show_map(self, found: Map) -> None:
        # Stands in for the device mapper: another name of the first path.
        node = tree.DEV / found.name
        with contextlib.suppress(FileNotFoundError):
            node.unlink()
        kernel.make_block_node(str(node), found.paths[0].disk.minor)
        tree.add_map(found.name, found.wwid,
                     [one.name for one in found.paths])
        self._link_by_id(found.wwid)

    def drop_map(self, found: Map, flush: bool = True) -> None:
        """multipath -f, which flushes, and multipathd's del map."""
        with self.lock:
            if found.paths and flush:
                found.paths[0].disk.flush()
            self.maps.pop(found.wwid, None)
            tree.remove_map(found.name, found.wwid,
                            [one.name for one in found.paths])
            self._link_by_id(found.wwid)

    def _link_by_id(self, wwid: str) -> None:
        place = tree.DEV / 'disk/by-id' / f'scsi-{wwid}'
        paths = self._paths(wwid)
        if wwid in self.maps:
            tree.link(place, tree.DEV / self.maps[wwid].name)
        elif paths:
            tree.link(place, paths[0].node)
        else:
            tree.remove(place)

    # -- the end ---------------------------------------------------------

    def close(self) -> None:
        """Take all disks away."""
        with self.lock:
            for attached in [*self.disks.values()]:
                with contextlib.suppress(OSError, DiskError):
                    self.remove(attached)
        self._spawner.shutdown()

    def describe(self) -> str:
        """What is there, for a test."""
        with self.lock:
            return json.dumps({
                'sessions': [[one.place.portal, one.place.target]
                             for one in self.sessions.values()],
                'disks': {one.name: {'serial': one.serial,
                                     'hctl': one.hctl,
                                     'minor': one.disk.minor}
                          for one in self.disks.values()},
                'maps': {one.name: [path.name for path in one.paths]
                         for one in self.maps.values()}})
