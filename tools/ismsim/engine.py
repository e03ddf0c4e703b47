# SPDX-License-Identifier: Apache-2.0
"""Takes a line, answers it: grammar, faults, the busy rule, time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import threading

from ismsim import faults as fault_actions
from ismsim import grammar
from ismsim.array import Array
import ismsim.commands  # noqa: F401  (registers the commands)
from ismsim.commands.view import view_xml
from ismsim.copying import settle
from ismsim.faults import Action, Fault, Faults
from ismsim.grammar import Call, Kind, UnknownCommand
from ismsim.journal import Journal
from ismsim.messages import (
    BUSY_IDS,
    TEXTS,
    Id,
    Refusal,
    Reply,
    busy_id,
    refusal_reply,
)
from ismsim.persist import Saver
from ismsim.shell import Hostile, Line, split

_LOST = Reply(status=-1)


@dataclass(frozen=True)
class Outcome:
    """What goes back; `drop`: nothing, the connection ends instead."""

    reply: Reply
    drop: bool = False


@dataclass(frozen=True)
class _Parsed:
    line: Line | None
    call: Call | None
    hostile: bool = False
    note: str = ''

    @property
    def kind(self) -> Kind:
        return Kind.UNKNOWN if self.call is None else self.call.command.kind


class Engine:
    """One array that takes command lines from anywhere."""

    def __init__(self, array: Array, journal: Journal | None = None,
                 faults: Faults | None = None,
                 saver: Saver | None = None) -> None:
        self.array = array
        self.journal = journal or Journal()
        self.faults = faults or Faults()
        self.saver = saver
        # ISMCLI.md A.1, DESIGN.md 5: one configuration change at a time.
        self._changing = threading.Lock()

    def execute(self, text: str, connection: int = 0,
                gone: Callable[[], bool] = lambda: False) -> Outcome:
        """Run a line. `gone` tells whether the client has hung up."""
        parsed = self._parse(text)
        clock = self.array.clock
        entry = self.journal.begin(clock.now(), connection, text,
                                   parsed.kind, parsed.hostile, parsed.note)
        fault = self.faults.take(text, parsed.kind)
        outcome = self._run_with_fault(parsed, fault, gone)
        reply = outcome.reply
        pipe = parsed.line.filter if parsed.line else None
        if pipe is not None and not outcome.drop:
            # The pipe's exit status is that of the loop: always 0.
            outcome = Outcome(replace(
                reply, stdout=pipe.apply(reply.stdout), status=0))
        outcome = _spoil(outcome, fault)
        self.journal.end(
            entry, clock.now(), None if outcome.drop else reply.status,
            reply.message_id, fault.action.value if fault else '')
        return outcome

    def _parse(self, text: str) -> _Parsed:
        try:
            line = split(text)
        except Hostile as error:
            return _Parsed(None, None, True, f'hostile: {error}')
        try:
            call = grammar.parse(line.words)
            _need_evidenced(line, call)
        except UnknownCommand as error:
            return _Parsed(line, None, False, f'unknown command: {error}')
        return _Parsed(line, call)

    # -- with and without faults -----------------------------------------

    def _run_with_fault(self, parsed: _Parsed, fault: Fault | None,
                        gone: Callable[[], bool]) -> Outcome:
        if fault is None:
            return Outcome(self._run(parsed))
        if fault.action is Action.DELAY:
            self.array.clock.sleep(fault.seconds)
        if fault.action is Action.DROP_BEFORE:
            return Outcome(_LOST, True)
        if fault.action is Action.HANG_BEFORE:
            _hang(fault, gone)
            return Outcome(_LOST, True)
        if fault.action in (Action.BUSY, Action.REFUSE):
            return Outcome(_injected(parsed, fault))
        reply = self._run(parsed)
        if fault.action is Action.DROP_AFTER:
            return Outcome(reply, True)
        if fault.action is Action.HANG_AFTER:
            _hang(fault, gone)
            return Outcome(reply, True)
        return Outcome(reply)

    def _run(self, parsed: _Parsed) -> Reply:
        if parsed.call is None or parsed.line is None:
            return _unknown_reply(parsed)
        if parsed.kind is Kind.CHANGE:
            return self._change(parsed.call)
        return self._read(parsed.call, parsed.line)

    # -- reads and changes -----------------------------------------------

    def _read(self, call: Call, line: Line) -> Reply:
        # The answer shows the array as of when the command began: what
        # changes while a slow dump is on its way is not in it.
        with self.array.lock:
            settle(self.array)
            self.save()
            seconds = self.array.timing.of(call.command.latency)
            if call.command.kind is Kind.DUMP:
                seconds += (self.array.timing.dump_per_ld
                            * len(self.array.store.lds))
            reply = self._call(call, line.xml)
        self.array.clock.sleep(seconds)
        return reply

    def _change(self, call: Call) -> Reply:
        program = call.command.program
        # ISMCLI.md D.2 (U): busy is what a second change is answered.
        if not self._changing.acquire(blocking=not self.array.rules.busy):
            ident = busy_id(program)
            return refusal_reply(program, call.command.verb, ident.value,
                                 TEXTS[ident])
        try:
            self.array.clock.sleep(
                self.array.timing.of(call.command.latency))
            with self.array.lock:
                settle(self.array)
                reply = self._call(call, False)
                self.save()
            return reply
        finally:
            self._changing.release()

    def _call(self, call: Call, xml: bool) -> Reply:
        command = call.command
        handler = command.handler
        if xml:
            handler = view_xml
        try:
            return handler(self.array, call.args)
        except Refusal as refusal:
            return refusal_reply(command.program, command.verb,
                                 refusal.ident.value,
                                 TEXTS[refusal.ident])

    def save(self) -> None:
        """Save what changed. Call it under the array's lock."""
        dirty = self.array.store.dirty
        if not dirty:
            return
        if self.saver is not None:
            self.saver.save(self.array.store)
        touched = set(dirty)
        dirty.clear()
        for observer in self.array.observers:
            observer(touched)


def _hang(fault: Fault, gone: Callable[[], bool]) -> None:
    while not gone() and not fault.released.wait(0.05):
        pass


def _need_evidenced(line: Line, call: Call) -> None:
    """`clioutmsg xml` and the pipe exist where somebody has used them."""
    command = call.command
    if line.xml and (command.program != 'iSMview' or command.positional
                     or command.kind is not Kind.DUMP):
        raise UnknownCommand('clioutmsg xml before another command')
    if line.filter and command.program not in ('iSMrc_query',
                                               'iSMsc_query'):
        raise UnknownCommand('a pipe behind another command')


def _unknown_reply(parsed: _Parsed) -> Reply:
    words = parsed.line.words if parsed.line else ()
    if parsed.hostile:
        return Reply(b'', b'bash: syntax error\n', 2)
    if words and words[0] in grammar.programs():
        return refusal_reply(words[0], words[1] if len(words) > 1 else '',
                             Id.SYNTAX.value, TEXTS[Id.SYNTAX])
    name = words[0] if words else ''
    return Reply(b'', f'bash: {name}: command not found\n'.encode(), 127)


def _injected(parsed: _Parsed, fault: Fault) -> Reply:
    program = parsed.call.command.program if parsed.call else 'iSMcfg'
    verb = parsed.call.command.verb if parsed.call else ''
    if fault.action is Action.BUSY:
        ident = fault.message_id or busy_id(program).value
        text = fault.text or TEXTS[BUSY_IDS[0]]
    else:
        ident = fault.message_id or Id.INJECTED.value
        text = fault.text or TEXTS[Id.INJECTED]
    return replace(refusal_reply(program, verb, ident, text, fault.stream),
                   status=fault.status)


def _spoil(outcome: Outcome, fault: Fault | None) -> Outcome:
    if fault is None or outcome.drop:
        return outcome
    reply = outcome.reply
    if fault.action is Action.TRUNCATE:
        return Outcome(replace(reply, stdout=fault_actions.truncate(
            reply.stdout, fault.keep)))
    if fault.action is Action.GARBLE:
        return Outcome(replace(
            reply, stdout=fault_actions.garble(reply.stdout)))
    return outcome
