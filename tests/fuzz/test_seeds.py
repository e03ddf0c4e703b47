# SPDX-License-Identifier: Apache-2.0
"""All that the fuzzer starts from, and all that ever broke something.

Here it needs no fuzzer: each input goes through its target once.
"""

from __future__ import annotations

import random

import pytest

from fuzz_suite.main import CRASHERS, SEEDS
from fuzz_suite.targets import TARGETS, WORDS

KNOWN = sorted(path for top in (SEEDS, CRASHERS) for path in top.rglob('*')
               if path.is_file())
# Mixtures of a seed, made of its own parts.
MIXTURES = 40


def target_of(path):
    name = path.parent.name
    return TARGETS[path.name.split('-')[0] if name == CRASHERS.name
                   else name]


@pytest.mark.parametrize('path', KNOWN, ids=lambda p: (
    f'{p.parent.name}/{p.name}'))
def test_it_breaks_nothing(path):
    target_of(path)(path.read_bytes())


@pytest.mark.parametrize('path', KNOWN, ids=lambda p: (
    f'{p.parent.name}/{p.name}'))
def test_nor_does_it_cut_off_or_mixed_up(path):
    chance = random.Random(path.name)
    data, target = path.read_bytes(), target_of(path)
    for _ in range(MIXTURES):
        cuts = sorted(chance.randrange(len(data) + 1) for _ in range(3))
        target(data[:cuts[1]])
        target(data[:cuts[0]] + data[cuts[1]:])
        target(data[:cuts[0]] + data[cuts[1]:cuts[2]] + data[cuts[0]:])
        target(data[:cuts[0]] + chance.randbytes(4) + data[cuts[0]:])


@pytest.mark.parametrize('name', TARGETS)
def test_there_is_something_to_start_from(name):
    assert list((SEEDS / name).iterdir())
    for word in WORDS[name]:
        TARGETS[name](word.encode())
