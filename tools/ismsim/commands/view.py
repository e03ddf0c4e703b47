# SPDX-License-Identifier: Apache-2.0
"""iSMview and iSMquery (ISMCLI.md A.2, H)."""

from __future__ import annotations

from ismsim import render_text
from ismsim.array import Array
from ismsim.grammar import Args, Kind, command, flag, text
from ismsim.messages import Id, Refusal, Reply
from ismsim.render_xml import render

_ALL = {'-cinder': flag(True), '-xml': flag(True), '-all': flag(True)}


@command('iSMquery', '', Kind.DUMP, _ALL)
def query_all(array: Array, args: Args) -> Reply:
    """The whole configuration as XML."""
    return Reply(render(array, 'query/iSMquery', '-cinder -xml -all '))


def view_xml(array: Array, args: Args) -> Reply:
    """The legacy form: the XML, then an ExitStatus line (A.2)."""
    option = '--alloptimize ' if '--alloptimize' in args else '-all '
    return Reply(render(array, 'view/iSMview', option)
                 + b'ExitStatus:0\n')


@command('iSMview', '', Kind.DUMP, {'-all': flag(True)})
def view_all(array: Array, args: Args) -> Reply:
    """The whole configuration as text, or XML after `clioutmsg xml`."""
    return Reply(render_text.view_all(array))


@command('iSMview', '', Kind.DUMP, {'--alloptimize': flag(True)})
def view_optimized(array: Array, args: Args) -> Reply:
    """As view_all; ASSUMED: as text it is the same."""
    return Reply(render_text.view_all(array))


@command('iSMview', '-all', Kind.DUMP, positional=(text(),))
def view_named(array: Array, args: Args) -> Reply:
    """The whole configuration of a named array as text."""
    _need_array(array, args['0'])
    return Reply(render_text.view_all(array))


@command('iSMview', '', Kind.READ, {'-d': flag(True)})
def view_arrays(array: Array, args: Args) -> Reply:
    """The list of disk arrays."""
    return Reply(render_text.disk_arrays(array))


@command('iSMview', '', Kind.READ, {'-a': flag(True)})
def view_access(array: Array, args: Args) -> Reply:
    """Access control as a whole (manual C.5)."""
    return Reply(render_text.access_control(array))


@command('iSMview', '-ac', Kind.READ, positional=(text(),))
def view_ldset(array: Array, args: Args) -> Reply:
    """One LD Set (manual 2.1)."""
    return Reply(render_text.ldset(array, array.get_ldset(args['0'])))


@command('iSMview', '-ac', Kind.READ, positional=(text(), text()))
def view_named_ldset(array: Array, args: Args) -> Reply:
    """One LD Set of a named array (manual 2.1)."""
    _need_array(array, args['0'])
    return Reply(render_text.ldset(array, array.get_ldset(args['1'])))


def _need_array(array: Array, name: str) -> None:
    if name != array.settings.array_name:
        raise Refusal(Id.BAD_NAME, name)
