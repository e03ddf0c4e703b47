# SPDX-License-Identifier: Apache-2.0
"""The page on the command shows what it really writes."""

from __future__ import annotations

import shlex

import pyparsing
import pytest

from tests import docblocks
from tests.cli.site import GOLD, Site

PREFIX = 'cinder-nec '
# That one needs a Cinder: tests/system/test_cinder_nec.py.
ELSEWHERE = {'cinder-nec audit'}
COMMANDS = sorted(set(docblocks.blocks()) - ELSEWHERE)
STATUS = {'cinder-nec check --problems': 1}


def test_there_is_something_to_compare() -> None:
    words = {command.split()[1] for command in docblocks.blocks()}
    assert words == {'check', 'show', 'copies', 'list', 'audit'}


@pytest.mark.parametrize('command', COMMANDS)
def test_block(site: Site, command: str,
               monkeypatch: pytest.MonkeyPatch) -> None:
    # One release of it is a finding; which one is here does not matter.
    monkeypatch.setattr(pyparsing, '__version__', '3.2.0')
    site.sections['DEFAULT']['enabled_backends'] = GOLD
    if 'check' in command:
        site.sections[GOLD]['nec_pool'] = '0'
    arguments = shlex.split(command.removeprefix(PREFIX))
    status, out, err = site.run(*arguments)
    assert (status, err) == (STATUS.get(command, 0), '')
    docblocks.check(command, out)
