# SPDX-License-Identifier: Apache-2.0
"""The grammar of the commands: who takes which options.

A command registers itself with `@command(...)`. What does not fit the
grammar is an unknown command, however close it looks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
import re
from typing import TYPE_CHECKING

from ismsim.messages import Reply

if TYPE_CHECKING:
    from ismsim.array import Array


class Kind(str, Enum):
    """How a command counts in the journal, and what it waits for."""

    DUMP = 'DUMP'
    READ = 'READ'
    CHANGE = 'CHANGE'
    UNKNOWN = 'UNKNOWN'


class UnknownCommand(Exception):
    """The words are no command."""


@dataclass(frozen=True)
class Option:
    """One option: its values, or none if it is a flag."""

    pattern: str | None
    required: bool = True


def text(required: bool = True) -> Option:
    """Any word that does not look like an option; checked later."""
    return Option(r'[^-].*', required)


def number(required: bool = True) -> Option:
    """A decimal number (ISMCLI.md C: decimal on the command line)."""
    return Option(r'[0-9]{1,15}', required)


def one_of(*values: str, required: bool = True) -> Option:
    """One of a few words."""
    return Option('|'.join(re.escape(value) for value in values), required)


def flag(required: bool = False) -> Option:
    """An option without a value."""
    return Option(None, required)


Args = dict[str, str]
Handler = Callable[['Array', Args], Reply]


@dataclass(frozen=True)
class Command:
    """One registered form of a command."""

    program: str
    verb: str
    kind: Kind
    handler: Handler
    options: dict[str, Option] = field(default_factory=dict)
    positional: tuple[Option, ...] = ()
    latency: str = 'change'

    def match(self, words: tuple[str, ...]) -> Args | None:
        """The arguments if the words have this form."""
        args: Args = {}
        rest = list(words)
        for index, option in enumerate(self.positional):
            if not rest or not re.fullmatch(option.pattern or '', rest[0]):
                return None
            args[str(index)] = rest.pop(0)
        while rest:
            name = rest.pop(0)
            known = self.options.get(name)
            if known is None or name in args:
                return None
            if known.pattern is None:
                args[name] = ''
            elif rest and re.fullmatch(known.pattern, rest[0]):
                args[name] = rest.pop(0)
            else:
                return None
        for name, option in self.options.items():
            if option.required and name not in args:
                return None
        return args


@dataclass(frozen=True)
class Call:
    """A command with its arguments."""

    command: Command
    args: Args


_COMMANDS: dict[tuple[str, str], list[Command]] = {}


def command(program: str, verb: str, kind: Kind,
            options: dict[str, Option] | None = None,
            positional: tuple[Option, ...] = (),
            latency: str | None = None) -> Callable[[Handler], Handler]:
    """Register a form; several forms of one command are tried in turn."""
    def register(handler: Handler) -> Handler:
        default = {Kind.DUMP: 'dump', Kind.READ: 'query'}.get(
            kind, 'change')
        _COMMANDS.setdefault((program, verb), []).append(Command(
            program, verb, kind, handler, options or {}, positional,
            latency or default))
        return handler
    return register


def parse(words: tuple[str, ...]) -> Call:
    """Find the command that the words are; raises UnknownCommand."""
    if not words:
        raise UnknownCommand('empty line')
    for depth in (2, 1):
        if len(words) < depth:
            continue
        verb = words[1] if depth == 2 else ''
        for form in _COMMANDS.get((words[0], verb), ()):
            args = form.match(words[depth:])
            if args is not None:
                return Call(form, args)
    raise UnknownCommand(' '.join(words)[:80])


def programs() -> set[str]:
    """The names of all programs, to word the refusal like a shell."""
    return {program for program, _verb in _COMMANDS}
