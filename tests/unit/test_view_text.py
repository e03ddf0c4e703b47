# SPDX-License-Identifier: Apache-2.0
"""iSMview -a and -ac as the manual's appendix C shows them."""

from __future__ import annotations

from cinder_nec.ismcli.view_text import (
    AccessControl,
    parse_access,
    parse_full_access,
)

# Manual C.5.
ACCESS = """\
--- Access Control Information ---

Access Control Mode : off
Licensed Path Count : nolim
Used Path Count(FC)   : 0
Used Path Count(iSCSI) : 0
Used Path Count(Total) : 0
Registered Initiator Count : 3

--- LD Set(iSCSI) List ---

Platform  LD Set Name      Initiator Count  LD Count
LX        OpenStack0      0                0

--- Initiator List ---

Initiator Name
iqn.1994-05.com.redhat:efa044b15e8
"""
# Manual C.6.
LD_SET = """\
--- LD Set(iSCSI) Information ---
Platform           : LX
LD Set Name        : iSCSI
Configuration Change :
Action mode        : Normal mode
Full Access Mode   : on
"""


def test_access_control_of_the_manual() -> None:
    assert parse_access(ACCESS) == AccessControl(
        is_on=False, licensed_paths=None, used_paths=0, initiators=3)


def test_a_limit_of_paths() -> None:
    text = ACCESS.replace('nolim', '64').replace(': off', ': on')
    assert parse_access(text) == AccessControl(True, 64, 0, 3)


def test_full_access_of_the_manual() -> None:
    assert parse_full_access(LD_SET) is True
    assert parse_full_access(LD_SET.replace(': on', ': off')) is False


def test_what_is_not_shown_is_not_known() -> None:
    assert parse_access('') == AccessControl(None, None, None, None)
    assert parse_access('Access Control Mode : maybe') == AccessControl()
    assert parse_full_access('nonsense') is None
