# SPDX-License-Identifier: Apache-2.0
"""Whatever a tenant puts in a connector: a value, or one clear refusal.

What passes is built into command lines; none of them may have a character
that a shell takes for more than itself.
"""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st
import pytest

from cinder_nec import errors, naming
from cinder_nec.backend.access.connector import Connector, describe
from cinder_nec.ismcli import commands
from cinder_nec.model import LdSetName

HARMLESS = re.compile(r'[A-Za-z0-9 :._/-]+')
SHELL = ['; id', '$(id)', '`id`', '| id', '& id', '> /tmp/x', '< /etc/passwd',
         '\n id', '\r', '\x00', "'", '"', '\\', '*', '?', '~', '{a,b}', '!',
         '#', '\u2028', '\u202e', 'ï¼›', 'a' * 65536, '-type', '--', ' ']
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5)
    | st.dictionaries(st.text(), inner, max_size=5), max_leaves=20)
PART = st.text('abcdefghijklmnopqrstuvwxyz0123456789.:-', max_size=60)
IQN = st.builds('iqn.{:04d}-{:02d}.{}'.format, st.integers(0, 9999),
                st.integers(0, 99), PART)
WWPN = st.text('0123456789abcdefABCDEF', min_size=16, max_size=16)


def lines_for(connector: Connector) -> list[str]:
    """Return the command lines that a connector gets into."""
    lines = []
    identifiers = [str(w) for w in connector.wwpns]
    if connector.initiator is not None:
        identifiers.append(connector.initiator.name)
    for identifier in identifiers:
        for label in naming.ld_set_name_candidates(identifier):
            name = LdSetName('LX', label)
            lines.append(commands.addldset_iscsi(name).text)
            if connector.initiator is not None:
                lines.append(commands.addldsetinitiator(
                    name, connector.initiator).text)
            lines += [commands.addldsetpath(name, w).text
                      for w in connector.wwpns]
    return lines


@given(st.dictionaries(
    st.sampled_from(['initiator', 'wwpns', 'host', 'ip', 'multipath']),
    JSON | IQN | st.lists(WWPN | st.text(), max_size=70)))
def test_any_connector(raw):
    try:
        connector = Connector.parse(raw)
    except errors.InvalidConnector as error:
        assert len(str(error)) < 400
        return
    try:
        lines = lines_for(connector)
    except errors.InvalidInput:
        return  # no name can be made of it: refused before SSH as well
    for line in lines:
        assert HARMLESS.fullmatch(line), line


@given(JSON)
def test_anything_in_place_of_a_connector(raw):
    try:
        Connector.parse(raw)
    except errors.InvalidConnector:
        pass
    assert '\n' not in describe(raw)
    assert len(describe(raw)) < 2000


@pytest.mark.parametrize('bad', SHELL, ids=range(len(SHELL)))
@pytest.mark.parametrize('good', [
    'iqn.1994-05.com.redhat:host', '10000090faa0786b'])
def test_shell_metacharacters_anywhere(good, bad):
    for text in (good + bad, bad + good, good[:8] + bad + good[8:]):
        for raw in ({'initiator': text}, {'wwpns': [text]},
                    {'wwpns': [good, text]}):
            try:
                connector = Connector.parse(raw)
            except errors.InvalidConnector:
                continue
            assert all(HARMLESS.fullmatch(line)
                       for line in lines_for(connector))
            # What passes is a name, however it was written.
            assert json.dumps(raw).isascii() and bad in ('--', '-type')


@given(IQN)
def test_good_names_pass(name):
    try:
        connector = Connector.parse({'initiator': name})
    except errors.InvalidConnector:
        assert not re.fullmatch(r'iqn\.\d{4}-\d\d\.[a-z0-9.:-]{1,200}', name)
    else:
        assert connector.initiator is not None
        assert connector.initiator.name == name


@given(st.lists(WWPN, max_size=64))
def test_good_wwpns_pass_once_each(names):
    found = Connector.parse({'wwpns': names}).wwpns
    assert [str(w) for w in found] == list(
        dict.fromkeys(n.lower() for n in names))
