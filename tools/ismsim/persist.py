# SPDX-License-Identifier: Apache-2.0
"""Keeping the state: a snapshot, and a log of what changed since.

Saving a change appends one line, whatever the size of the array. A line
that was cut short by a crash belongs to a change that was not answered,
and is ignored.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ismsim.entities import (
    Generation,
    HostPort,
    IoLimit,
    LdKind,
    LdSet,
    LogicalDisk,
    Mapping,
    Pair,
    PairState,
    Protocol,
    Record,
    RemotePair,
    Settings,
    SnapState,
    TargetMode,
)
from ismsim.store import TABLES, Store

_CLASSES: dict[str, type[Any]] = {
    name: cls for cls, name in TABLES.items()}
_COMPACT_AFTER = 5000


def _mode(value: str | None) -> TargetMode | None:
    return None if value is None else TargetMode(value)


def _limit(value: dict[str, Any]) -> IoLimit:
    return IoLimit(**value)


def _maps(value: dict[str, Any]) -> dict[int, Mapping]:
    return {int(key): Mapping(*item) for key, item in value.items()}


_FIELDS: dict[tuple[type[Any], str], Any] = {
    (LogicalDisk, 'kind'): LdKind, (LogicalDisk, 'limit'): _limit,
    (HostPort, 'protocol'): Protocol, (LdSet, 'protocol'): Protocol,
    (LdSet, 'mode'): _mode, (LdSet, 'maps'): _maps,
    (LdSet, 'portals'): tuple, (LdSet, 'initiators'): tuple,
    (LdSet, 'paths'): tuple, (Pair, 'state'): PairState,
    (RemotePair, 'state'): PairState, (Generation, 'state'): SnapState,
    (Settings, 'licences'): tuple, (Settings, 'initiators'): tuple,
    (Settings, 'default_limit'): _limit,
}


def record_to_json(record: Record) -> dict[str, Any]:
    """A record as JSON values.

    By hand instead of by dataclasses.asdict(), which would cost most of
    the time of a change to an LD Set with a thousand LDs.
    """
    values = dict(vars(record))
    for name, value in values.items():
        if isinstance(value, IoLimit):
            values[name] = vars(value)
        elif name == 'maps':
            values[name] = {slot: (mapping.ldn, mapping.lun)
                            for slot, mapping in value.items()}
    return values


def record_from_json(table: str, values: dict[str, Any]) -> Record:
    """A record out of JSON values."""
    cls = _CLASSES[table]
    result: Record = cls(**{
        name: _FIELDS.get((cls, name), lambda same: same)(value)
        for name, value in values.items()})
    return result


class Saver:
    """The state directory of one array."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._snapshot = directory / 'state.json'
        self._log = directory / 'state.log'
        self._descriptor: int | None = None
        self._lines = 0

    def exists(self) -> bool:
        """Whether there is a state to go on from."""
        return self._snapshot.exists()

    def load(self, store: Store) -> None:
        """Bring a store to the saved state."""
        records: dict[tuple[str, Any], dict[str, Any]] = {}
        with self._snapshot.open(encoding='utf-8') as file:
            _replay(records, json.load(file))
        if self._log.exists():
            for line in self._log.read_bytes().splitlines(keepends=True):
                if not line.endswith(b'\n'):
                    break
                _replay(records, json.loads(line))
        for (table, _key), values in records.items():
            store.put(record_from_json(table, values))
        store.dirty.clear()
        self.compact(store)

    def save(self, store: Store) -> None:
        """Append what changed since the last time."""
        if self._lines >= _COMPACT_AFTER or not self.exists():
            self.compact(store)
            return
        put: dict[str, list[Any]] = {}
        drop: dict[str, list[Any]] = {}
        for table, key in store.dirty:
            record = store.table(table).get(key)
            if record is None:
                drop.setdefault(table, []).append(key)
            else:
                put.setdefault(table, []).append(
                    (key, record_to_json(record)))
        line = json.dumps({'drop': drop, 'put': put},
                          separators=(',', ':')) + '\n'
        if self._descriptor is None:
            self._descriptor = os.open(
                self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(self._descriptor, line.encode())
        self._lines += 1

    def compact(self, store: Store) -> None:
        """Write a new snapshot and begin a new log."""
        whole = {'put': {name: [(key, record_to_json(record)) for key, record
                                in store.table(name).items()]
                         for name in _CLASSES}}
        new = self._snapshot.with_suffix('.new')
        with new.open('w', encoding='utf-8') as file:
            json.dump(whole, file, separators=(',', ':'))
            file.flush()
            os.fsync(file.fileno())
        # A crash right here leaves a log that is older than its snapshot.
        # Replaying all of it ends where the snapshot is.
        new.replace(self._snapshot)
        self.close()
        self._log.unlink(missing_ok=True)
        self._lines = 0

    def close(self) -> None:
        """Close the log."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        """A test process makes thousands of arrays."""
        self.close()


def _replay(records: dict[tuple[str, Any], dict[str, Any]],
            change: dict[str, Any]) -> None:
    for table, keys in change.get('drop', {}).items():
        for key in keys:
            records.pop((table, key), None)
    for table, items in change.get('put', {}).items():
        for key, values in items:
            records[(table, key)] = values
