# SPDX-License-Identifier: Apache-2.0
"""Command lines of the array, built from validated values.

Nothing reaches the array's shell that was not built here.  Every argument
is checked once more against the characters it may have, wherever it came
from: a name out of a connector or out of a dump is hostile until then
(DESIGN.md section 6).  Forms: ISMCLI.md section A and H.
"""

from __future__ import annotations

import dataclasses
import enum
import re

from cinder_nec import errors
from cinder_nec.ismcli.meter import Kind
from cinder_nec.model import InitiatorName, LdName, LdSetName, Wwpn

_PLATFORM = re.compile(r'[A-Z][A-Z0-9]')
# Letters, digits, `_` and `/` were seen in names; `-` and `.` are harmless.
_LABEL = re.compile(r'[A-Za-z0-9_/.][A-Za-z0-9_/.-]{0,23}')
_LD_SET_LABEL = re.compile(r'[A-Za-z0-9_/.][A-Za-z0-9_/.-]{0,31}')
# What changes are made of; no blank but single ones, nothing of a shell's.
_CHANGE = re.compile(
    r'(iSMcfg [a-z]+|iSMrc_(pair|replicate|separate)'
    r'|iSMsc_(create|delete|restore|link|unlink))'
    r'( [A-Za-z0-9_/.:-]+)+')


class Effect(enum.Enum):
    """What a command does; only a CHANGE passes the gate."""

    READ = 'read'
    CHANGE = 'change'


class PairRole(enum.Enum):
    """Which end of a pair iSMrc_query is asked by."""

    MV = 'mv'
    RV = 'rv'


class CopyRange(enum.Enum):
    """What iSMrc_replicate copies."""

    FULL = 'full'
    DIFFERENCE = 'difference'


class RvUse(enum.Enum):
    """From when on a separated RV can be used."""

    COMPLETE = 'complete'
    IMMEDIATE = 'immediate'


class VolumeAccess(enum.Enum):
    """What hosts may do with a separated RV or a linked LV."""

    READ_ONLY = 'ro'
    READ_WRITE = 'rw'


@dataclasses.dataclass(frozen=True)
class Command:
    """One command line, and how long its answer may take."""

    text: str
    effect: Effect
    timeout_seconds: float = 120.0
    kind: Kind = Kind.QUERY

    @classmethod
    def change_again(cls, text: str) -> Command:
        """Return a change that was built here, given as text again.

        :raises errors.InvalidInput: it has a form that nothing here builds
        """
        if not _CHANGE.fullmatch(text):
            raise errors.InvalidInput(f'{text[:64]!r} is no change.')
        return _change(text, 300.0)


def _change(text: str, timeout_seconds: float = 120.0) -> Command:
    return Command(text, Effect.CHANGE, timeout_seconds, Kind.CHANGE)


def _read(text: str, timeout_seconds: float = 120.0) -> Command:
    return Command(text, Effect.READ, timeout_seconds)


def _dump(text: str) -> Command:
    return Command(text, Effect.READ, 300.0, Kind.DUMP)


def _label(label: str) -> str:
    if not _LABEL.fullmatch(label):
        raise errors.InvalidInput(
            f'{label[:64]!r} cannot be the name of a logical disk.')
    return label


def _ld(name: LdName) -> str:
    if not _PLATFORM.fullmatch(name.platform):
        raise errors.InvalidInput(
            f'{name.platform[:16]!r} is not a platform of the array.')
    return f'{name.platform}:{_label(name.label)}'


def _ld_set(name: LdSetName) -> str:
    if (not _PLATFORM.fullmatch(name.platform)
            or not _LD_SET_LABEL.fullmatch(name.label)):
        raise errors.InvalidInput(
            f'{str(name)[:64]!r} cannot be the name of an LD Set.')
    return f'{name.platform}:{name.label}'


def _number(value: int, what: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise errors.InvalidInput(f'{value!r} is not a {what}.')
    return str(value)


# -- reading ------------------------------------------------------------

def query_all() -> Command:
    """The whole configuration as XML."""
    return _dump('iSMquery -cinder -xml -all')


def legacy_view_all(optimized: bool) -> Command:
    """The same by the older command (nec_queryconfig_view)."""
    option = '--alloptimize' if optimized else '-all'
    return _dump(f'clioutmsg xml; iSMview {option}')


def view_access() -> Command:
    """Access control, paths and initiators, as text (manual C.5)."""
    return _read('iSMview -a')


def view_ld_set(name: LdSetName) -> Command:
    """One LD Set in detail, as text (manual 2.1, C.6)."""
    return _read(f'iSMview -ac {_ld_set(name)}')


# -- logical disks ------------------------------------------------------

def ldbind(pool: int, ldn: int, capacity_gib: int) -> Command:
    return _change(
        f'iSMcfg ldbind -poolnumber {_number(pool, "pool number")} '
        f'-ldn {_number(ldn, "LD number")} '
        f'-capacity {_number(capacity_gib, "capacity")} -immediate')


def ldbind_control_volume(pool: int, ldn: int) -> Command:
    return _change(
        f'iSMcfg ldbind -poolnumber {_number(pool, "pool number")} '
        f'-ldattr cv -ldn {_number(ldn, "LD number")}')


def ldunbind(name: LdName) -> Command:
    return _change(f'iSMcfg ldunbind -ldname {_ld(name)}')


def ldexpand(ldn: int, capacity_gib: int) -> Command:
    """``capacity_gib`` is the new total size."""
    return _change(
        f'iSMcfg ldexpand -ldn {_number(ldn, "LD number")} '
        f'-capacity {_number(capacity_gib, "capacity")} -unit gb')


def nickname_of_ldn(ldn: int, new_name: LdName) -> Command:
    return _change(
        f'iSMcfg nickname -ldn {_number(ldn, "LD number")} '
        f'-newname {_ld(new_name)} -immediate')


def nickname(old_name: LdName, new_name: LdName) -> Command:
    return _change(f'iSMcfg nickname -ldname {_ld(old_name)} '
                   f'-newname {_ld(new_name)}')


def setlimit(name: LdName, upper: int | None, lower: int | None,
             report: bool | None) -> Command:
    """I/O limits; what is None keeps its value (ISMCLI.md A.4)."""
    text = f'iSMioc setlimit -ldname {_ld(name)}'
    if upper is not None:
        text += f' -upperlimit {_number(upper, "limit")}'
    if lower is not None:
        text += f' -lowerlimit {_number(lower, "limit")}'
    if report is not None:
        text += f' -upperreport {"on" if report else "off"}'
    return _change(text)


# -- access control -----------------------------------------------------

def addldset_iscsi(name: LdSetName) -> Command:
    """A new LD Set in multi-target mode (manual appendix C.2)."""
    return _change(f'iSMcfg addldset -ldset {_ld_set(name)} '
                   '-type iscsi -multitarget on')


def addldset_fc(name: LdSetName) -> Command:
    return _change(f'iSMcfg addldset -ldset {_ld_set(name)} -type fc')


def addldsetinitiator(name: LdSetName, initiator: InitiatorName) -> Command:
    return _change(f'iSMcfg addldsetinitiator -ldset {_ld_set(name)} '
                   f'-initiatorname {initiator.name}')


def addldsetpath(name: LdSetName, wwpn: Wwpn) -> Command:
    digits = wwpn.digits.upper()
    path = '-'.join(digits[i:i + 4] for i in range(0, 16, 4))
    return _change(f'iSMcfg addldsetpath -ldset {_ld_set(name)} '
                   f'-path {path}')


def addldsetld(ld_set: LdSetName, name: LdName,
               lun: int | None) -> Command:
    text = (f'iSMcfg addldsetld -ldset {_ld_set(ld_set)} '
            f'-ldname {_ld(name)}')
    if lun is not None:
        text += f' -lun {_number(lun, "LUN")}'
    return _change(text)


def delldsetld(ld_set: LdSetName, name: LdName) -> Command:
    return _change(f'iSMcfg delldsetld -ldset {_ld_set(ld_set)} '
                   f'-ldname {_ld(name)}')


# -- data replication ---------------------------------------------------

def _pair(mv: str, rv: str) -> str:
    return f'-mv {_label(mv)} -mvflg ld -rv {_label(rv)} -rvflg ld'


def rc_pair(mv: str, rv: str) -> Command:
    return _change(f'iSMrc_pair -pair {_pair(mv, rv)}')


def rc_unpair(mv: str, rv: str, *, force: bool) -> Command:
    text = f'iSMrc_pair -unpair {_pair(mv, rv)}'
    return _change(text + ' -force all' if force else text)


def rc_replicate(mv: str, rv: str, copy_range: CopyRange) -> Command:
    option = ' -cprange full' if copy_range is CopyRange.FULL else ''
    return _change(f'iSMrc_replicate {_pair(mv, rv)} -nowait{option} '
                   '-cpmode bg')


def rc_separate(mv: str, rv: str, access: VolumeAccess,
                use: RvUse) -> Command:
    return _change(f'iSMrc_separate {_pair(mv, rv)} '
                   f'-rvacc {access.value} -rvuse {use.value} -nowait')


def rc_query(label: str, role: PairRole) -> Command:
    flag = role.value
    return _read(f'iSMrc_query -{flag} {_label(label)} -{flag}flg ld')


# -- snapshot -----------------------------------------------------------

def _snapshot(bv: str, sv: str) -> str:
    return f'-bv {_label(bv)} -bvflg ld -sv {_label(sv)} -svflg ld'


def generationadd(bv: LdName, pool: int, sv: str) -> Command:
    return _change(
        f'iSMcfg generationadd -bvname {_ld(bv)} '
        f'-poolnumber {_number(pool, "pool number")} -count 1 '
        f'-svname {_label(sv)}')


def generationdel(bv: LdName) -> Command:
    return _change(f'iSMcfg generationdel -bvname {_ld(bv)} -count 1')


def sc_create(bv: str, sv: str) -> Command:
    """Took 35 to 38 s on an array (ISMCLI.md D)."""
    return _change(f'iSMsc_create {_snapshot(bv, sv)}', 300.0)


def sc_delete(bv: str, sv: str) -> Command:
    return _change(f'iSMsc_delete {_snapshot(bv, sv)}', 300.0)


def sc_restore(bv: str, sv: str) -> Command:
    return _change(f'iSMsc_restore {_snapshot(bv, sv)} '
                   '-derivsv keep -nowait', 300.0)


def sc_query(bv: str, sv: str) -> Command:
    return _read(f'iSMsc_query {_snapshot(bv, sv)} -summary')


def sc_query_by_sv(sv: str) -> Command:
    return _read(f'iSMsc_query -sv {_label(sv)} -svflg ld -summary')


def sc_query_of_bv(bv: str) -> Command:
    """All generations of a BV."""
    return _read(f'iSMsc_query -bv {_label(bv)} -bvflg ld -detail')


def lvbind(bv: LdName, lvn: int, lv: str) -> Command:
    return _change(f'iSMcfg lvbind -bvname {_ld(bv)} '
                   f'-lvn {_number(lvn, "LD number")} '
                   f'-lvname {_label(lv)}')


def lvunbind(name: LdName) -> Command:
    return _change(f'iSMcfg lvunbind -ldname {_ld(name)}')


def sc_link(lv: str, sv: str, access: VolumeAccess) -> Command:
    return _change(f'iSMsc_link -lv {_label(lv)} -lvflg ld '
                   f'-sv {_label(sv)} -svflg ld -lvacc {access.value}')


def sc_unlink(lv: str) -> Command:
    return _change(f'iSMsc_unlink -lv {_label(lv)} -lvflg ld')
