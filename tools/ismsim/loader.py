# SPDX-License-Identifier: Apache-2.0
"""An array out of a YAML file (keys: README.md, "Configuration")."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
import re
from typing import Any

import yaml

from ismsim.array import Array, Rules
from ismsim.commands.access import new_iscsi_set
from ismsim.commands.common import add_ld
from ismsim.commands.setup import LICENCES, bind_sra
from ismsim.entities import (
    GIB,
    HostPort,
    LdKind,
    LdSet,
    LogicalDisk,
    Mapping,
    Pool,
    Protocol,
    Settings,
    TargetMode,
)

CONFIGS = Path(__file__).parent / 'configs'
_UNITS = {'': 1, 'KiB': 1 << 10, 'MiB': 1 << 20, 'GiB': 1 << 30,
          'TiB': 1 << 40}
_ARRAY_KEYS = {'product_id', 'ism_version', 'firmware', 'array_name',
               'wwn', 'access_control', 'licences', 'initiators'}
_TOP_KEYS = {'array', 'limits', 'rules', 'pools', 'ports', 'lds',
             'preload', 'ldsets', 'dump_units_per_ld'}


class ConfigError(ValueError):
    """The YAML is not what it should be."""


def parse_size(value: Any) -> int:
    """Bytes of `10 TiB`, `1GiB` or a number."""
    found = re.fullmatch(r'(-?[0-9.]+) ?([KMGT]iB|)(/s)?', str(value))
    if found is None:
        raise ConfigError(f'{value!r} is not a size such as 10 TiB')
    return int(float(found[1]) * _UNITS[found[2]])


def find_config(name: str) -> Path:
    """A file by its path, or one of the shipped ones by its name."""
    for path in (Path(name), CONFIGS / name, CONFIGS / f'{name}.yaml'):
        if path.is_file():
            return path
    raise ConfigError(f'no configuration {name}')


def read_config(path: Path) -> dict[str, Any]:
    """Read a YAML file."""
    values = yaml.safe_load(path.read_text(encoding='utf-8')) or {}
    if not isinstance(values, dict):
        raise ConfigError(f'{path} is not a mapping')
    return values


def apply_behaviour(array: Array, config: dict[str, Any]) -> None:
    """Rules, limits and the dump's length: not part of the state."""
    _need_known(config, _TOP_KEYS, 'the top level')
    rules = config.get('rules') or {}
    _need_known(rules, {field.name for field in fields(Rules)}, 'rules')
    for name, value in rules.items():
        if name == 'sra_per_snapshot':
            value = parse_size(value)
        setattr(array.rules, name, value)
    array.limit_overrides.update(config.get('limits') or {})
    array.dump_units_per_ld = int(config.get('dump_units_per_ld', 0))


def build(array: Array, config: dict[str, Any],
          product_id: str | None = None) -> None:
    """Fill an empty array."""
    _settings(array, config.get('array') or {}, product_id)
    for item in config.get('ports') or ():
        array.store.put(_port(item))
    for item in config.get('pools') or ():
        _pool(array, item)
    for item in config.get('lds') or ():
        _ld(array, item)
    for item in config.get('pools') or ():
        _sra(array, item)
    preload = config.get('preload') or ()
    for item in [preload] if isinstance(preload, dict) else preload:
        _preload(array, item)
    for item in config.get('ldsets') or ():
        add_ldset(array, item)


def _need_known(values: dict[str, Any], known: set[str],
                where: str) -> None:
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(f'{where}: unknown {", ".join(unknown)}; known '
                          f'are {", ".join(sorted(known))}')


def _settings(array: Array, values: dict[str, Any],
              product_id: str | None) -> None:
    _need_known(values, _ARRAY_KEYS, 'array')
    values = dict(values)
    licences = values.get('licences', 'all')
    values['licences'] = tuple(
        LICENCES if licences == 'all' else licences or ())
    values['initiators'] = tuple(values.get('initiators') or ())
    for name in ('product_id', 'ism_version', 'firmware', 'array_name',
                 'wwn'):
        if name in values:
            values[name] = str(values[name])
    if product_id is not None:
        values['product_id'] = product_id
    array.store.put(Settings(**values))


def _port(item: dict[str, Any]) -> HostPort:
    _need_known(item, {'port', 'ip', 'wwpn', 'link'}, 'ports')
    director, port = (int(part, 16) for part in item['port'].split('-'))
    link_up = {'up': True, 'down': False}[item.get('link', 'up')]
    if 'wwpn' in item:
        return HostPort(director, port, Protocol.FC,
                        wwpn=str(item['wwpn']), link_up=link_up)
    return HostPort(director, port, Protocol.ISCSI, ip=str(item['ip']),
                    link_up=link_up)


def _pool(array: Array, item: dict[str, Any]) -> None:
    _need_known(item, {'number', 'name', 'capacity', 'actual', 'sra',
                       'sdv', 'used_offset'}, 'pools')
    number = int(item['number'])
    actual = item.get('actual')
    array.store.put(Pool(
        number, str(item.get('name', f'Pool{number:04x}')),
        parse_size(item['capacity']),
        None if actual is None else parse_size(actual),
        parse_size(item.get('used_offset', 0))))


def _sra(array: Array, item: dict[str, Any]) -> None:
    if 'sra' in item:
        bind_sra(array, array.store.pools[int(item['number'])],
                 parse_size(item['sra']), item.get('sdv'))


def _ld(array: Array, item: dict[str, Any]) -> None:
    _need_known(item, {'ldn', 'name', 'pool', 'capacity', 'kind'}, 'lds')
    ldn = int(item['ldn'])
    platform, separator, name = str(item.get('name', '')).rpartition(':')
    if not separator:
        platform = ''
    add_ld(array, LogicalDisk(
        ldn, platform, name or array.factory_name(ldn), int(item['pool']),
        parse_size(item['capacity']), LdKind(item.get('kind', 'ordinary'))))


def _preload(array: Array, item: dict[str, Any]) -> None:
    _need_known(item, {'count', 'pool', 'capacity_gib', 'first', 'name'},
                'preload')
    ldn = int(item.get('first', 0))
    pattern = str(item.get('name', 'LX:preload{:05d}'))
    for index in range(int(item['count'])):
        while ldn in array.store.lds:
            ldn += 1
        platform, _separator, name = pattern.format(index).rpartition(':')
        add_ld(array, LogicalDisk(
            ldn, platform, name, int(item['pool']),
            int(item.get('capacity_gib', 1)) * GIB))


def add_ldset(array: Array, item: dict[str, Any]) -> None:
    """Make an LD Set as an operator has set it up."""
    _need_known(item, {'name', 'type', 'multitarget', 'fullaccess',
                       'portals', 'initiators', 'paths', 'lds'}, 'ldsets')
    platform, _separator, name = str(item['name']).partition(':')
    if item['type'] == 'fc':
        ldset = LdSet(platform, name, Protocol.FC,
                      array.store.next_sequence())
    else:
        ldset = new_iscsi_set(array, platform, name,
                              bool(item.get('multitarget', False)),
                              bool(item.get('fullaccess', False)))
    if 'portals' in item:
        ldset = replace(ldset, portals=tuple(item['portals'] or ()))
    ldset = replace(ldset, initiators=tuple(item.get('initiators') or ()),
                    paths=tuple(item.get('paths') or ()))
    maps: dict[int, Mapping] = {}
    for index, entry in enumerate(item.get('lds') or ()):
        ld = array.store.find_ld(str(entry['ld']).rpartition(':')[2])
        if ld is None:
            raise ConfigError(f'ldsets: no LD {entry["ld"]}')
        multi = ldset.mode is TargetMode.MULTI
        lun = int(entry.get('lun', 0 if multi else index))
        maps[index if multi else lun] = Mapping(ld.ldn, lun)
    count = max([ldset.target_count, *(slot + 1 for slot in maps)])
    array.store.put(replace(ldset, maps=maps, target_count=count))
