# SPDX-License-Identifier: Apache-2.0
"""The text answers of iSMrc_query and iSMsc_query.

Layouts: ISMCLI.md A.5, A.6 and I.  The answers are line oriented: after
blanks comes a label, then blanks or a colon, then the value.  Asking for a
volume that is not paired is a command that fails, so an answer without
what was asked for is never taken for "there is none": it is cut off or
unknown, and an error (a state that is not known is not one; it becomes
``UNRECOGNIZED``).
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import re

from cinder_nec import errors
from cinder_nec.ismcli.commands import PairRole
from cinder_nec.model import PairState, PairStatus, SnapState, SnapStatus

_PAIR_LINE = re.compile(
    r'\s*(LD Name|Sync State|Synchronous State|Separate Diff|Copy Diff)'
    r'\s*:?\s*(.*?)\s*')
_KILOBYTES = re.compile(r'([0-9]{1,15})\s*KB')

_HEADING = re.compile(r'[\s-]*(BV|SV|Pair) Information[\s-]*')
_NAME_LINE = re.compile(r'\s*LD Name\s*:?\s*(.*?)\s*')
_SNAPSHOT_ROW = re.compile(
    r'\s*(?:[A-Z][A-Z0-9])?\s*:\s*(?P<sv>\S+)\s*'
    r'\(\s*(?P<generation>-?[0-9]{1,4})\s*\)\s*'
    r'(?P<state>[^\s\[]*)(?P<rest>.*)')
_LOOKS_LIKE_A_ROW = re.compile(r'\s*[A-Z][A-Z0-9]\s*:')
_DETAIL_LINE = re.compile(
    r'\s*(LD Name|Generation\(Attribute\)|Snap State|LV Link Status)'
    r'\s*:?\s*(.*?)\s*')
_GENERATION = re.compile(r'(-?[0-9]{1,4})(?:\(.*\))?')


# -- data replication ---------------------------------------------------

@dataclasses.dataclass
class _PairGroup:
    """LD names, and the states that follow before the next name."""

    names: list[str] = dataclasses.field(default_factory=list)
    states: list[dict[str, str]] = dataclasses.field(default_factory=list)
    early: dict[str, str] = dataclasses.field(default_factory=dict)


def parse_pairs(text: str, asked: str,
                role: PairRole) -> tuple[PairStatus, ...]:
    """Return the pairs of the LD ``asked``, in the order of the answer.

    Names of remote LDs (RDR) are kept as they are.

    :param asked: the label that iSMrc_query was given
    :param role: which end of the pairs it is
    :raises errors.ParseError: if the answer does not show ``asked`` with
        at least one partner, or a partner without a state
    """
    where = f'iSMrc_query by {role.name} {asked}'
    pairs = []
    own_was_shown = False
    for group in _pair_groups(text):
        others = list(group.names)
        if asked in others:
            # Only once: a remote partner may have the same name.
            others.remove(asked)
            if own_was_shown and not others:
                others.append(asked)
            own_was_shown = True
        if not own_was_shown:
            raise errors.ParseError('it does not show the LD', where)
        if not others or '' in others:
            raise errors.ParseError('a partner has no name', where)
        if len(others) != len(group.states):
            raise errors.ParseError('a partner has no sync state', where)
        pairs += [_pair(asked, other, role, state)
                  for other, state in zip(others, group.states,
                                          strict=True)]
    if not pairs:
        raise errors.ParseError('it shows no pair', where)
    if role is PairRole.RV and len(pairs) > 1:
        raise errors.ParseError('an RV has more than one MV', where)
    return tuple(pairs)


def _pair_groups(text: str) -> Iterator[_PairGroup]:
    group = _PairGroup()
    for line in text.splitlines():
        found = _PAIR_LINE.fullmatch(line)
        if not found:
            continue
        label, value = found.groups()
        if label == 'LD Name':
            if group.states:
                yield group
                group = _PairGroup()
            group.names.append(value)
        elif label.endswith('State'):
            group.states.append({'state': value, **group.early})
            group.early = {}
        elif group.states:
            group.states[-1].setdefault(label, value)
        else:
            group.early[label] = value
    if group.names or group.states:
        yield group


def _pair(asked: str, other: str, role: PairRole,
          fields: dict[str, str]) -> PairStatus:
    mv, rv = (asked, other) if role is PairRole.MV else (other, asked)
    return PairStatus(
        mv, rv, _pair_state(fields['state']),
        _kilobytes(fields.get('Separate Diff', '')),
        _kilobytes(fields.get('Copy Diff', '')))


def _pair_state(text: str) -> PairState:
    try:
        return PairState(text.lower())
    except ValueError:
        return PairState.UNRECOGNIZED


def _kilobytes(text: str) -> int | None:
    """Return bytes for ``<n>KB``, None for what is not a size."""
    found = _KILOBYTES.fullmatch(text)
    return int(found.group(1)) << 10 if found else None


# -- snapshot -----------------------------------------------------------

def bv_of(text: str) -> str:
    """Return the name of the BV that an iSMsc_query answer is about.

    :raises errors.ParseError: if the answer names none
    """
    for section, line in _sections(text):
        found = _NAME_LINE.fullmatch(line)
        if section == 'BV' and found and found.group(1):
            return found.group(1)
    raise errors.ParseError('it names no BV', 'iSMsc_query')


def parse_snapshots(text: str) -> tuple[SnapStatus, ...]:
    """Return all generations that an answer shows, in its order.

    Reads the ``-summary`` rows and the blocks of ``-detail``.

    :raises errors.ParseError: if it names no BV, shows no generation, or
        has a row of another form
    """
    bv = bv_of(text)
    found = [*_summary_rows(text, bv), *_detail_blocks(text, bv)]
    if not found:
        raise errors.ParseError('it shows no generation',
                                f'iSMsc_query of BV {bv}')
    return tuple(found)


def parse_snapshot(text: str, bv: str, sv: str) -> SnapStatus:
    """Return the generation ``sv`` of ``bv``; names match as a whole.

    :raises errors.ParseError: if the answer is about another BV, or does
        not show ``sv`` exactly once
    """
    where = f'iSMsc_query of BV {bv}, SV {sv}'
    found = [s for s in parse_snapshots(text) if s.sv == sv]
    if bv_of(text) != bv:
        raise errors.ParseError('it is about another BV', where)
    if len(found) != 1:
        raise errors.ParseError('it does not show the SV once', where)
    return found[0]


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Yield each line with the heading it stands under (BV, SV, Pair)."""
    section = ''
    for line in text.splitlines():
        heading = _HEADING.fullmatch(line)
        if heading:
            section = heading.group(1)
        else:
            yield section, line


def _snap_state(text: str, behind: str = '') -> SnapState:
    """Return the state for its word; ``behind`` is the rest of the row."""
    if not text and behind.strip():
        # A time or a link belongs to a state: the row is not understood.
        return SnapState.UNRECOGNIZED
    if not text.strip('-'):
        # How a generation without data is shown is not documented: no
        # state at all, or the dashes that stand for "none" elsewhere.
        return SnapState.NO_DATA
    try:
        return SnapState(text.lower())
    except ValueError:
        return SnapState.UNRECOGNIZED


def _summary_rows(text: str, bv: str) -> Iterator[SnapStatus]:
    for section, line in _sections(text):
        if section != 'SV':
            continue
        row = _SNAPSHOT_ROW.fullmatch(line)
        if row:
            yield SnapStatus(
                bv, row['sv'], int(row['generation']),
                _snap_state(row['state'], row['rest']),
                # Behind the state and the time; `[link]` and `link (LV)`.
                linked=re.search(r'\blink\b', row['rest']) is not None)
        elif _LOOKS_LIKE_A_ROW.match(line):
            raise errors.ParseError('a row has an unknown form',
                                    f'iSMsc_query of BV {bv}')


def _detail_blocks(text: str, bv: str) -> Iterator[SnapStatus]:
    """Yield the blocks under *Pair Information*.

    A block is an LD Name with a generation; the linked LV's LD Name stands
    in it as well and has none.
    """
    name = ''
    block: dict[str, str] = {}
    for section, line in _sections(text):
        found = _DETAIL_LINE.fullmatch(line) if section == 'Pair' else None
        if not found:
            continue
        label, value = found.groups()
        if label == 'LD Name':
            name = value
        elif label.startswith('Generation'):
            if block:
                yield _detail(bv, block)
            block = {'sv': name, 'generation': value}
        else:
            block.setdefault(label, value)
    if block:
        yield _detail(bv, block)


def _detail(bv: str, block: dict[str, str]) -> SnapStatus:
    generation = _GENERATION.fullmatch(block.get('generation', ''))
    if not generation or not block['sv'] or 'Snap State' not in block:
        raise errors.ParseError('a generation is not whole',
                                f'iSMsc_query of BV {bv}')
    return SnapStatus(bv, block['sv'], int(generation.group(1)),
                      _snap_state(block['Snap State']),
                      linked=block.get('LV Link Status', '') == 'link')
