# SPDX-License-Identifier: Apache-2.0
"""Keeps tgt in step with the array: what a command changes, hosts see.

The exporter is an observer of the array. It runs in the command's own
thread, under the array's lock, so a host that acts on the answer of a
command finds what the command made.
"""

from __future__ import annotations

import logging
from pathlib import Path
import time
from typing import Any

from ismsim.array import Array
from ismsim.datapath import layout
from ismsim.datapath.layout import Target, Unit
from ismsim.datapath.tgt import Tgtd, TgtError, can_listen, free_port, spelled

LOG = logging.getLogger(__name__)

# Changes in other tables cannot be seen by a host.
_SEEN_BY_HOSTS = {'lds', 'ldsets', 'links', 'pairs', 'ports', 'settings'}
# tgt does not take a LUN away while a command of a host is on its way.
_BUSY_TRIES = 100
_BUSY_SECONDS = 0.05


class _Known:
    """What tgt was told of a target."""

    def __init__(self, tid: int) -> None:
        self.tid = tid
        self.initiators: frozenset[str] = frozenset()
        self.units: dict[int, Unit] = {}


class Exporter:
    """The data path of one array."""

    def __init__(self, array: Array, port: int = 3260,
                 chap: tuple[str, str] | None = None,
                 directory: Path | None = None) -> None:
        self._array = array
        self._tgtd = Tgtd(directory)
        self._chap = chap
        self._known: dict[str, _Known] = {}
        self._next_tid = 1
        self.portals: list[str] = []
        self.absent: list[str] = []
        #: What could not be done, for whoever looks for the reason.
        self.errors: list[str] = []
        wanted = layout.portals(array)
        here = [address for address in wanted if can_listen(address, 0)]
        if not here:
            raise TgtError('none of the array\'s portals is an address of '
                           f'this machine: {", ".join(wanted) or "none"}')
        self.port = port or free_port(here)

    def start(self) -> None:
        """Begin to listen; the dump shows the port from now on."""
        with self._array.lock:
            self._array.iscsi_port = self.port
            self.portals, self.absent = self._split_portals()
            if not self.portals:
                raise TgtError(f'port {self.port} is in use on every portal: '
                               'choose another --iscsi-port')
            self._tgtd.start([spelled(address, self.port)
                              for address in self.portals])
            try:
                self._set_up()
            except BaseException:
                self._tgtd.stop()
                raise

    def _set_up(self) -> None:
        if self._chap:
            user, password = self._chap
            self._tgtd.call('account', 'new', '--user', user,
                            '--password', password)
        self._follow()
        self._array.observers.append(self.observe)

    def stop(self) -> None:
        """End every session and listen no more."""
        with self._array.lock:
            if self.observe in self._array.observers:
                self._array.observers.remove(self.observe)
            self._tgtd.stop()

    def describe(self) -> dict[str, Any]:
        """For the control socket."""
        return {'portals': [spelled(address, self.port)
                            for address in self.portals],
                'port': self.port, 'pid': self._tgtd.pid,
                'chap': self._chap is not None,
                'not_here': self.absent, 'errors': self.errors,
                'sessions': [list(one) for one in self._tgtd.sessions()]}

    # -- following the array ---------------------------------------------

    def observe(self, touched: set[tuple[str, Any]]) -> None:
        """Called after every change of the array."""
        if _SEEN_BY_HOSTS.isdisjoint(table for table, _key in touched):
            return
        self._follow()

    def _follow(self) -> None:
        wanted = layout.targets(self._array)
        self._attempt(self._follow_portals)
        present = {name for name in self._known
                   if self._ldset_of(name)}
        for name in [*self._known]:
            if name not in wanted and name not in present:
                self._attempt(self._drop_target, name)
            elif name not in wanted:
                # Sessions stay, as at an array whose target has no LD.
                wanted[name] = Target(self._known[name].initiators)
        for name, target in wanted.items():
            self._attempt(self._follow_target, name, target)

    def _ldset_of(self, name: str) -> bool:
        """Whether the LD Set that a target belongs to is still there."""
        for ldset in self._array.store.ldsets.values():
            if name == layout.fc_target(self._array, ldset) or (
                    ldset.target_base
                    and name.startswith(f'{ldset.target_base}.target')):
                return True
        return False

    def _attempt(self, function: Any, *arguments: Any) -> None:
        """The array has done it: a data path in trouble changes nothing."""
        try:
            function(*arguments)
        except TgtError as error:
            LOG.error('data path: %s', error)
            self.errors.append(str(error))

    def _split_portals(self) -> tuple[list[str], list[str]]:
        wanted = layout.portals(self._array)
        here = [address for address in wanted if address in self.portals
                or can_listen(address, self.port)]
        absent = [address for address in wanted if address not in here]
        for address in set(absent) - set(self.absent):
            LOG.warning('data path: cannot listen on %s',
                        spelled(address, self.port))
        return here, absent

    def _follow_portals(self) -> None:
        here, self.absent = self._split_portals()
        for address in set(here) - set(self.portals):
            self._portal('new', address)
        for address in set(self.portals) - set(here):
            self._portal('delete', address)
        self.portals = here

    def _portal(self, op: str, address: str) -> None:
        self._tgtd.call('portal', op, '--param',
                        f'portal={spelled(address, self.port)}')

    def _follow_target(self, name: str, target: Target) -> None:
        known = self._known.get(name)
        if known is None:
            known = self._new_target(name)
        tid = str(known.tid)
        for initiator in sorted(target.initiators - known.initiators):
            self._tgtd.call('target', 'bind', '--tid', tid, '-Q', initiator)
        for initiator in sorted(known.initiators - target.initiators):
            self._tgtd.call('target', 'unbind', '--tid', tid,
                            '-Q', initiator)
            self._tgtd.close_sessions(known.tid, initiator)
        known.initiators = target.initiators
        for lun, unit in [*known.units.items()]:
            wanted = target.units.get(lun)
            if wanted is None or not unit.is_same_disk(wanted):
                self._drop_unit(known, lun)
            elif wanted.size != unit.size:
                self._resize_unit(known, lun, wanted)
        for lun, unit in target.units.items():
            if lun not in known.units:
                self._new_unit(known, lun, unit)

    # -- single changes --------------------------------------------------

    def _new_target(self, name: str) -> _Known:
        known = _Known(self._next_tid)
        self._next_tid += 1
        tid = str(known.tid)
        self._tgtd.call('target', 'new', '--tid', tid, '-T', name)
        # tgt's default is 8 KiB: 128 pieces for each megabyte written.
        self._tgtd.call('target', 'update', '--tid', tid, '--name',
                        'MaxRecvDataSegmentLength', '--value', '262144')
        self._known[name] = known
        if self._chap:
            self._tgtd.call('account', 'bind', '--tid', tid,
                            '--user', self._chap[0])
        return known

    def _drop_target(self, name: str) -> None:
        known = self._known.pop(name)
        self._tgtd.call('target', 'delete', '--tid', str(known.tid),
                        '--force')

    def _new_unit(self, known: _Known, lun: int, unit: Unit) -> None:
        place = ('--tid', str(known.tid), '--lun', str(lun))
        self._tgtd.call('logicalunit', 'new', *place,
                        '--backing-store', str(unit.path))
        known.units[lun] = unit
        parameters = (f'vendor_id=NEC,product_id=DISK ARRAY,'
                      f'scsi_sn={unit.serial},scsi_id={unit.serial},'
                      'thin_provisioning=1')
        if unit.read_only:
            parameters += ',readonly=1'
        self._tgtd.call('logicalunit', 'update', *place,
                        '--params', parameters)

    def _resize_unit(self, known: _Known, lun: int, unit: Unit) -> None:
        place = ('--tid', str(known.tid), '--lun', str(lun))
        for parameter in ('online=0', f'path={unit.path}', 'online=1'):
            self._tgtd.call('logicalunit', 'update', *place,
                            '--params', parameter)
        known.units[lun] = unit

    def _drop_unit(self, known: _Known, lun: int) -> None:
        for attempt in range(_BUSY_TRIES):
            try:
                self._tgtd.call('logicalunit', 'delete', '--tid',
                                str(known.tid), '--lun', str(lun))
                break
            except TgtError:
                if attempt == _BUSY_TRIES - 1:
                    raise
                time.sleep(_BUSY_SECONDS)
        known.units.pop(lun, None)
