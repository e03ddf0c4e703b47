# SPDX-License-Identifier: Apache-2.0
"""Things that a tenant may write where a name is expected."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar('T')
LONG = 64 << 10
# What a shell acts on, what ends a line or a string, what looks like
# something else, and what is very long.
CORPUS = (
    '; id', '$(id)', '`id`', '| id', '|| id', '& id', '&& id', '> /tmp/x',
    '>> x', '< /etc/passwd', '<<E', '\n id', '\r\nid', '\r', '\x00',
    'a\x00b', "'", '"', "' or ''='", '\\', '\\n', '*', '?', '[a-z]', '~',
    '{a,b}', '!', '!!', '#', '$HOME', '${IFS}id', '$IFS', '%s%n', '%00',
    '\t', ' ', '  id', '\x1b[2J', '\x07', '\x7f', '\x85', '\u2028',
    '\u2029', '\u202e', '\ufeff', '\uff1b id', '\u037e', '\u00a0',
    '\u0660', '\U0001f4be', '\ud800', 'e\u0301', '-type', '--', '-',
    '-ldname LX:x', '../../etc/passwd', '/', '.', '..', 'LX:', ':', 'LX:x',
    '<!ENTITY x "y">', '&lt;', '<![CDATA[', 'a' * LONG, '\n' * LONG,
    ';' * LONG, '\u20ac' * LONG, '', '0', 'None', 'null', 'nan', '1e9',
)
SCALARS = (st.none() | st.booleans() | st.integers()
           | st.floats() | st.text() | st.binary()
           | st.sampled_from(CORPUS))
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5)
    | st.dictionaries(st.text() | st.sampled_from(CORPUS), inner,
                      max_size=5), max_leaves=12)
# Nearly right, with something in it that does not belong there.
IQN, WWPN = 'iqn.1994-05.com.redhat:host0001', '10000090faa0786b'
UUID = '5c9a8b7e-1d2f-4a3b-8c4d-5e6f7a8b9c0d'

GOOD_IQNS = st.sampled_from((
    IQN, IQN.upper(), 'iqn.1994-05.com.redhat:host0003'))
GOOD_WWPNS = st.sampled_from((
    WWPN, WWPN.upper(), '10:00:00:90:fa:a0:78:6b', '1000-0090-FAA0-7862'))


def half(good: st.SearchStrategy[T], bad: st.SearchStrategy[T]
         ) -> st.SearchStrategy[T]:
    """Draw from each of both as often.

    ``good | bad`` draws from each of their branches as often.
    """
    return st.booleans().flatmap(lambda first: good if first else bad)


def spoilt(good: str) -> st.SearchStrategy[str]:
    """Return a name with something put in somewhere."""
    return st.builds(lambda bad, at: good[:at] + bad + good[at:],
                     st.sampled_from(CORPUS) | st.text(),
                     st.integers(0, len(good)))


NAMES = st.one_of(*(spoilt(good) for good in (
    IQN, WWPN, UUID, 'LX:data01', '3000', f'volume-{UUID}')))
