# SPDX-License-Identifier: Apache-2.0
"""One step of the demo: run it, show it, check it, keep its figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
from dataclasses import dataclass, field
import time

from harness import cli
from harness.array import Array, Command
from harness.terminal import Screen


class CheckFailed(Exception):
    """The array or Cinder is not in the state that a step must leave."""


@dataclass
class Step:
    """What a step did."""

    title: str
    seconds: float = 0.0
    checks: int = 0
    commands: list[Command] = field(default_factory=list)
    held: bool = False


class Runner:
    """Runs steps one after another and prints them as they go."""

    def __init__(self, screen: Screen, client: cli.CinderCli,
                 array: Array) -> None:
        self.screen = screen
        self.client = client
        self.array = array
        self.steps: list[Step] = []
        self._began = 0.0

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Frame of one step; an exception leaves it marked as failed."""
        step = Step(title)
        self.steps.append(step)
        self.screen.line()
        self.screen.line(f'{len(self.steps):2d} {title}', 'bold')
        mark = self.array.mark()
        self._began = time.monotonic()
        yield step
        if not step.seconds:
            self.took(step)
        step.commands = self.array.journal(mark)
        self._show_array(step)
        step.held = True

    def took(self, step: Step, until: str = '') -> None:
        """Stop the clock of a step, before the checks."""
        step.seconds = time.monotonic() - self._began
        suffix = f', {until}' if until else ''
        self.screen.labelled('time', [f'{step.seconds:.2f} s{suffix}'])

    def cinder(self, *arguments: str, show: Sequence[str] = (),
               hidden: bool = False) -> str:
        """Run the client; print the command and chosen lines of output."""
        if not hidden:
            self.screen.line('$ ' + cli.spelled(arguments), 'green',
                             indent=3)
        output = self.client.run(*arguments)
        if not hidden:
            self.screen.lines(choose(output, show), 'dim', indent=3)
        return output

    def check(self, step: Step, what: str, held: object,
              seen: object = None) -> None:
        """Assert one fact about the array, Cinder or the bytes."""
        step.checks += 1
        if held:
            self.screen.labelled('ok', [what], style='green')
            return
        self.screen.labelled('WRONG', [f'{what}; seen: {seen!r}'],
                             style='red')
        raise CheckFailed(what)

    def _show_array(self, step: Step) -> None:
        lines = [shorten(command) for command in step.commands]
        self.screen.labelled('array', lines or ['no command'])


def shorten(command: Command) -> str:
    """A command for the eye: with its status, if that is not 0."""
    text = ' '.join(command.text.split())
    if len(text) > 330:
        text = text[:327] + '...'
    status = f'   [exit {command.status}]' if command.status else ''
    return text + status


def choose(output: str, names: Sequence[str]) -> str:
    """The rows of a Property table with these names; all if none given."""
    if not names:
        return output
    return '\n'.join(line for line in output.splitlines()
                     if line.strip('| ').split(' ', 1)[0] in names)
