# SPDX-License-Identifier: Apache-2.0
"""iSMioc: I/O limits (ISMCLI.md A.4; driver manual 7.3.5)."""

from __future__ import annotations

from dataclasses import replace

from ismsim.array import Array
from ismsim.commands.common import need_kind
from ismsim.entities import IoLimit, LdKind
from ismsim.grammar import Args, Kind, command, number, one_of, text
from ismsim.messages import Id, Refusal, Reply, success_reply

_LIMITS = {
    '-upperlimit': number(False), '-lowerlimit': number(False),
    '-upperreport': one_of('on', 'off', required=False)}


def _new_limit(old: IoLimit, args: Args) -> IoLimit:
    """The limit after a command: what is omitted stays (A.4)."""
    if not any(option in args for option in _LIMITS):
        raise Refusal(Id.BAD_VALUE, 'nothing to set')
    upper = int(args.get('-upperlimit', old.upper))
    lower = int(args.get('-lowerlimit', old.lower))
    for value in (upper, lower):
        if value and not 10 <= value <= 1_000_000:
            raise Refusal(Id.LIMIT_RANGE, str(value))
    # ASSUMED: the lower limit may not be above the upper one.
    if upper and lower > upper:
        raise Refusal(Id.LIMIT_RANGE, f'{lower} > {upper}')
    report = old.report
    if '-upperreport' in args:
        report = args['-upperreport'] == 'on'
    return IoLimit(upper, lower, report)


@command('iSMioc', 'setlimit', Kind.CHANGE, {'-ldname': text(), **_LIMITS})
def setlimit(array: Array, args: Args) -> Reply:
    """Set the limits of an LD."""
    array.need_licence('IOLoadManager')
    ld = array.get_ld(args['-ldname'])
    need_kind(ld, LdKind.ORDINARY, LdKind.LV)
    array.store.put(replace(ld, limit=_new_limit(ld.limit, args)))
    return success_reply('iSMioc')


@command('iSMioc', 'setdfllimit', Kind.CHANGE, dict(_LIMITS))
def setdfllimit(array: Array, args: Args) -> Reply:
    """Set what LDs that are bound later begin with."""
    array.need_licence('IOLoadManager')
    settings = array.settings
    array.store.put(replace(settings, default_limit=_new_limit(
        settings.default_limit, args)))
    return success_reply('iSMioc')
