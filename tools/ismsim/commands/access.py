# SPDX-License-Identifier: Apache-2.0
"""iSMcfg, the part about access control (ISMCLI.md A.3, F, H)."""

from __future__ import annotations

from dataclasses import replace
import ipaddress
import re

from ismsim.array import Array
from ismsim.copying import is_accessible_rv
from ismsim.entities import (
    LdKind,
    LdSet,
    LogicalDisk,
    Mapping,
    Protocol,
    TargetMode,
)
from ismsim.grammar import Args, Kind, command, flag, number, one_of, text
from ismsim.messages import Id, Refusal, Reply, success_reply

# ASSUMED: the letters of RFC 3720 names, any case.
_INITIATOR = re.compile(r'(iqn|eui|naa)\.[A-Za-z0-9.:-]{1,219}')
# ISMCLI.md A.3: upper case, a hyphen every four; ASSUMED: nothing else.
_WWPN = re.compile(r'[0-9A-F]{4}(-[0-9A-F]{4}){3}')


def configured_portals(array: Array) -> tuple[str, ...]:
    """The addresses of all iSCSI ports, unconfigured ones included."""
    ports = sorted(array.store.ports.values(), key=lambda port: port.key)
    return tuple(port.ip for port in ports
                 if port.protocol is Protocol.ISCSI)


@command('iSMcfg', 'addldset', Kind.CHANGE, {
    '-ldset': text(), '-type': one_of('fc')})
def addldset_fc(array: Array, args: Args) -> Reply:
    """Make an FC LD Set."""
    platform, name = array.new_ldset_name(args['-ldset'])
    array.store.put(LdSet(platform, name, Protocol.FC,
                          array.store.next_sequence()))
    return success_reply('iSMcfg')


@command('iSMcfg', 'addldset', Kind.CHANGE, {
    '-ldset': text(), '-type': one_of('iscsi'),
    '-multitarget': one_of('on', 'off', required=False),
    '-fullaccess': flag()})
def addldset_iscsi(array: Array, args: Args) -> Reply:
    """Make an iSCSI LD Set; every portal is permitted (manual 2.1)."""
    platform, name = array.new_ldset_name(args['-ldset'])
    default = 'on' if array.rules.default_multitarget else 'off'
    multi = args.get('-multitarget', default) == 'on'
    full = '-fullaccess' in args
    # Manual C.2: full access is set together with multi-target mode.
    if full and not multi:
        raise Refusal(Id.FULL_ACCESS, args['-ldset'])
    array.store.put(new_iscsi_set(array, platform, name, multi, full))
    return success_reply('iSMcfg')


def new_iscsi_set(array: Array, platform: str, name: str, multi: bool,
                  full: bool) -> LdSet:
    """An empty iSCSI LD Set."""
    settings = array.settings
    index = array.store.next_sequence()
    base = (f'iqn.2001-03.jp.nec:storage01:ist-'
            f'{settings.product_id.lower().replace("/", "-")}-sn-'
            f'{settings.wwn.lower()}.{platform.lower()}-{index:04x}')
    return LdSet(
        platform, name, Protocol.ISCSI, index,
        TargetMode.MULTI if multi else TargetMode.NORMAL, full,
        array.rules.initial_targets if multi else 1, base,
        configured_portals(array)[:array.limits.portals_per_ldset])


def _iscsi(array: Array, name: str) -> LdSet:
    ldset = array.get_ldset(name)
    if ldset.protocol is not Protocol.ISCSI:
        raise Refusal(Id.LDSET_PROTOCOL, name)
    return ldset


@command('iSMcfg', 'addldsetpath', Kind.CHANGE, {
    '-ldset': text(), '-path': text()})
def addldsetpath(array: Array, args: Args) -> Reply:
    """Permit a host's WWPN."""
    ldset = array.get_ldset(args['-ldset'])
    path = args['-path']
    if ldset.protocol is not Protocol.FC:
        raise Refusal(Id.LDSET_PROTOCOL, args['-ldset'])
    if not _WWPN.fullmatch(path):
        raise Refusal(Id.BAD_VALUE, path)
    # ASSUMED: a WWPN belongs to one LD Set only.
    if any(path in other.paths for other in array.store.ldsets.values()):
        raise Refusal(Id.PATH_USED, path)
    if len(ldset.paths) >= array.limits.wwpns_per_ldset:
        raise Refusal(Id.PATH_LIMIT, args['-ldset'])
    array.store.put(replace(ldset, paths=(*ldset.paths, path)))
    return success_reply('iSMcfg')


@command('iSMcfg', 'addldsetinitiator', Kind.CHANGE, {
    '-ldset': text(), '-initiatorname': text()})
def addldsetinitiator(array: Array, args: Args) -> Reply:
    """Permit a host's initiator."""
    ldset = _iscsi(array, args['-ldset'])
    name = args['-initiatorname']
    if not _INITIATOR.fullmatch(name):
        raise Refusal(Id.BAD_VALUE, name)
    # ISMCLI.md H: the initiators of full access sets are array-wide.
    if ldset.full_access:
        raise Refusal(Id.FULL_ACCESS, args['-ldset'])
    # ASSUMED: an initiator belongs to one LD Set only.
    if name in array.settings.initiators or any(
            name in other.initiators
            for other in array.store.ldsets.values()):
        raise Refusal(Id.INITIATOR_USED, name)
    if len(ldset.initiators) >= array.limits.initiators_per_ldset:
        raise Refusal(Id.INITIATOR_LIMIT, args['-ldset'])
    array.store.put(replace(ldset, initiators=(*ldset.initiators, name)))
    return success_reply('iSMcfg')


@command('iSMcfg', 'addinitiator', Kind.CHANGE, {'-initiatorname': text()})
def addinitiator(array: Array, args: Args) -> Reply:
    """Permit an initiator on every full access LD Set (manual C.3)."""
    settings = array.settings
    name = args['-initiatorname']
    if not _INITIATOR.fullmatch(name):
        raise Refusal(Id.BAD_VALUE, name)
    # Manual C.2: "be sure to create an LD Set before".
    if not any(ldset.full_access for ldset in array.store.ldsets.values()):
        raise Refusal(Id.FULL_ACCESS, name)
    if name in settings.initiators or any(
            name in ldset.initiators
            for ldset in array.store.ldsets.values()):
        raise Refusal(Id.INITIATOR_USED, name)
    array.store.put(replace(settings,
                            initiators=(*settings.initiators, name)))
    return success_reply('iSMcfg')


@command('iSMcfg', 'delinitiator', Kind.CHANGE, {'-initiatorname': text()})
def delinitiator(array: Array, args: Args) -> Reply:
    """Take an array-wide initiator away (manual C.4)."""
    settings = array.settings
    name = args['-initiatorname']
    if name not in settings.initiators:
        raise Refusal(Id.NO_INITIATOR, name)
    array.store.put(replace(settings, initiators=tuple(
        other for other in settings.initiators if other != name)))
    return success_reply('iSMcfg')


# -- portals (manual 2.2, 2.3) -----------------------------------------------

@command('iSMcfg', 'addldsetportal', Kind.CHANGE, {
    '-ldset': text(), '-ipaddress': text()})
def addldsetportal(array: Array, args: Args) -> Reply:
    """Permit a portal."""
    ldset = _iscsi(array, args['-ldset'])
    address = args['-ipaddress']
    if address in ldset.portals:
        raise Refusal(Id.PORTAL_USED, address)
    if not _is_configured(address) or (
            address not in configured_portals(array)):
        raise Refusal(Id.NO_PORT, address)
    if len(ldset.portals) >= array.limits.portals_per_ldset:
        raise Refusal(Id.PORTAL_LIMIT, args['-ldset'])
    array.store.put(replace(ldset, portals=(*ldset.portals, address)))
    return success_reply('iSMcfg')


@command('iSMcfg', 'delldsetportal', Kind.CHANGE, {
    '-ldset': text(), '-ipaddress': text()})
def delldsetportal(array: Array, args: Args) -> Reply:
    """Forbid a portal; the last one may go as well (manual app. F)."""
    ldset = _iscsi(array, args['-ldset'])
    address = args['-ipaddress']
    if address not in ldset.portals:
        raise Refusal(Id.PORTAL_ABSENT, address)
    array.store.put(replace(ldset, portals=tuple(
        other for other in ldset.portals if other != address)))
    return success_reply('iSMcfg')


def _is_configured(address: str) -> bool:
    try:
        return not ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False


# -- LDs in LD Sets ----------------------------------------------------------

@command('iSMcfg', 'addldsetld', Kind.CHANGE, {
    '-ldset': text(), '-ldname': text(), '-lun': number(False)})
def addldsetld(array: Array, args: Args) -> Reply:
    """Show an LD to the hosts of an LD Set."""
    ldset = array.get_ldset(args['-ldset'])
    ld = array.get_ld(args['-ldname'])
    if ldset.slot_of(ld.ldn) is not None:
        raise Refusal(Id.IN_LDSET)
    _need_mappable(array, ldset, ld)
    if len(ldset.maps) >= array.limits.lds_per_ldset:
        raise Refusal(Id.LDSET_FULL, args['-ldset'])
    lun = args.get('-lun')
    if ldset.mode is TargetMode.MULTI:
        # ISMCLI.md F: LUN always 0, LUN must not be specified.
        if lun is not None:
            raise Refusal(Id.LUN_MULTI, lun)
        array.store.put(_map_target(ldset, ld))
    else:
        slot = _choose_lun(array, ldset, ld, lun)
        array.store.put(replace(ldset, maps={
            **ldset.maps, slot: Mapping(ld.ldn, slot)}))
    return success_reply('iSMcfg')


def _need_mappable(array: Array, ldset: LdSet, ld: LogicalDisk) -> None:
    # ASSUMED: hosts see snapshots through LVs, system volumes never.
    if ld.kind not in (LdKind.ORDINARY, LdKind.LV, LdKind.CV):
        raise Refusal(Id.LD_KIND, ld.full_name)
    # ISMCLI.md F: access control must be started; ASSUMED: only FC asks.
    if (ldset.protocol is Protocol.FC
            and not array.settings.access_control):
        raise Refusal(Id.ACCESS_OFF)
    # ISMCLI.md B.3: an RV is not accessible while it is copied to.
    pair = array.store.pair_of_rv(ld.ldn)
    if pair is not None and not is_accessible_rv(pair):
        raise Refusal(Id.NOT_READY, ld.full_name)
    # ASSUMED: an LV that shows nothing cannot be shown.
    if (ld.kind is LdKind.LV and array.store.links[ld.ldn].sv is None):
        raise Refusal(Id.LV_NOT_LINKED, ld.full_name)


def _choose_lun(array: Array, ldset: LdSet, ld: LogicalDisk,
                lun: str | None) -> int:
    # ISMCLI.md F: LUN 0 is not for an LV.
    first = 1 if ld.kind is LdKind.LV else 0
    if lun is None:
        # ISMCLI.md A.3: the array picks; ASSUMED: the lowest free one.
        slot = first
        while slot in ldset.maps:
            slot += 1
    else:
        slot = int(lun)
    if slot < first:
        raise Refusal(Id.LUN_ZERO_LV, ld.full_name)
    # ASSUMED: LUNs go as far as the number of LDs per LD Set.
    if slot >= array.limits.lds_per_ldset:
        raise Refusal(Id.LUN_RANGE, str(slot))
    if slot in ldset.maps:
        raise Refusal(Id.LUN_USED, str(slot))
    return slot


def _map_target(ldset: LdSet, ld: LogicalDisk) -> LdSet:
    # ASSUMED: the lowest target without an LD is taken, a new one is made
    # when there is none. LUN 0 (ISMCLI.md F), but 1 for an LV, as in the
    # in-tree driver's sample dump and because LUN 0 is not for an LV.
    slot = 0
    while slot in ldset.maps:
        slot += 1
    lun = 1 if ld.kind is LdKind.LV else 0
    return replace(ldset, target_count=max(ldset.target_count, slot + 1),
                   maps={**ldset.maps, slot: Mapping(ld.ldn, lun)})


@command('iSMcfg', 'delldsetld', Kind.CHANGE, {
    '-ldset': text(), '-ldname': text()})
def delldsetld(array: Array, args: Args) -> Reply:
    """Hide an LD from the hosts of an LD Set."""
    ldset = array.get_ldset(args['-ldset'])
    ld = array.get_ld(args['-ldname'])
    slot = ldset.slot_of(ld.ldn)
    if slot is None:
        raise Refusal(Id.NOT_IN_LDSET)
    array.store.put(replace(ldset, maps={
        key: value for key, value in ldset.maps.items() if key != slot}))
    return success_reply('iSMcfg')
