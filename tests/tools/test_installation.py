# SPDX-License-Identifier: Apache-2.0
"""A newcomer gets to an attached volume by the installation page alone.

What the page says to type is typed, in one shell.  Only ports and the place
of the checkout differ; the environment is the tests' own, except with
``tools/test --all``, which builds it as the page says.
"""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from harness import tally, venvs
from pages.blocks import Block, Command, blocks

PAGE = venvs.ROOT / 'doc' / 'source' / 'admin' / 'installation.rst'
CHECKOUT = '~/cinder-nec'
PORTS = ('2222', '8776')
PATIENCE = 120.0
DOWNLOAD_PATIENCE = 900.0

pytestmark = [pytest.mark.service, pytest.mark.slow]


class Shell:
    """A shell in which a newcomer types; leaves nothing running."""

    def __init__(self, home: Path) -> None:
        environment = {
            name: value for name, value in os.environ.items()
            if not name.startswith(('OS_', 'CINDER_', 'PYTHON', 'XDG_'))}
        path = f'{venvs.venv_for().path / "bin"}:{environment["PATH"]}'
        environment |= {'HOME': str(home), 'PATH': path, 'PS1': ''}
        self._bash = subprocess.Popen(
            ['bash', '--norc', '-m'], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=home,
            env=environment, start_new_session=True)
        self._output = b''
        self._count = 0

    def type(self, command: Command, patience: float = PATIENCE) -> str:
        """Type a line; return what it put out, once it is done.

        One that goes on in the background is done when it has said what
        the page shows.
        """
        self._count += 1
        mark = f'-- done {self._count}'
        end = '' if command.in_background else ';'
        # ssh would read what is typed next.
        self._write(f'{{ {command.line}{end} }} </dev/null\n'
                    f'status=$?; echo; echo "{mark}" $status\n')
        shown = self._read_until(f'\n{mark} ', patience)
        status = int(self._read_line(patience))
        if command.in_background:
            word = command.shown[0].split(':')[0]
            shown += self._read_until(word, patience) + word
            shown += self._read_line(patience)
        assert status == 0, f'{command.line}\n{shown}'
        return shown

    def _write(self, text: str) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.write(text.encode())
        self._bash.stdin.flush()

    def _read_line(self, patience: float) -> str:
        return self._read_until('\n', patience)

    def _read_until(self, text: str, patience: float) -> str:
        assert self._bash.stdout is not None
        until = time.monotonic() + patience
        with selectors.DefaultSelector() as selector:
            selector.register(self._bash.stdout, selectors.EVENT_READ)
            while text.encode() not in self._output:
                left = until - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise AssertionError(
                        f'{text!r} did not come:\n{self._output.decode()}')
                more = os.read(self._bash.stdout.fileno(), 65536)
                assert more, f'the shell ended:\n{self._output.decode()}'
                self._output += more
        before, _, self._output = self._output.partition(text.encode())
        return before.decode()

    def close(self) -> None:
        """End the shell and all that it has started: its session."""
        for pid in self._session():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._bash.wait(30)

    def _session(self) -> Iterator[int]:
        for entry in Path('/proc').iterdir():
            try:
                pid = int(entry.name)
                if os.getsid(pid) == self._bash.pid:
                    yield pid
            except (ValueError, ProcessLookupError):
                continue


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / 'nec-trial').mkdir()
    return tmp_path


@pytest.fixture
def shell(home: Path) -> Iterator[Shell]:
    running = Shell(home)
    try:
        yield running
    finally:
        running.close()


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(('127.0.0.1', 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def trial() -> list[Block]:
    """Return the page's boxes after *Try it*, with ports that are free."""
    text = PAGE.read_text().replace(CHECKOUT, str(venvs.ROOT))
    for port, free in zip(PORTS, free_ports(len(PORTS)), strict=True):
        text = re.sub(rf'\b{port}\b', str(free), text)
    return [block for block in blocks(text) if 'trial' in block.classes]


def in_table(shown: str, output: str) -> bool:
    """Tell whether the cells of a row that is shown are in an output."""
    cells = {cell.strip() for cell in output.replace('\n', '|').split('|')}
    return all(cell.strip() in cells for cell in shown.strip('|').split('|'))


# What differs from run to run, and so may differ from the page.
CHANGING = re.compile(
    r'SHA256:|/home/you|^256 |[0-9a-f]{8}-[0-9a-f]{4}-|^\| ID ')


@pytest.mark.skipif(shutil.which('ssh-keyscan') is None,
                    reason='needs openssh-client')
@pytest.mark.timeout(1800)
def test_from_an_empty_array_to_an_attached_volume(shell: Shell,
                                                   home: Path):
    downloads = tally.wants_all()
    for block in trial():
        if block.name:
            (home / 'nec-trial' / block.name).write_text(block.text + '\n')
        elif 'download' in block.classes and not downloads:
            continue
        for command in block.commands():
            patience = DOWNLOAD_PATIENCE if downloads else PATIENCE
            if 'check' in block.classes:
                # Warnings are right on a machine that attaches nothing.
                command = Command(f'{command.line} || [ $? = 1 ]', ())
            output = shell.type(command, patience)
            for line in command.shown:
                if not line or CHANGING.search(line):
                    continue
                assert line in output or (
                    '|' in line and in_table(line, output)), (
                    f'{command.line}\nshown: {line}\nis:\n{output}')


def test_the_page_has_all_that_is_typed():
    """The blocks are found, and the test does not pass by typing nothing."""
    found = trial()
    typed = [command.line for block in found for command in block.commands()]
    assert len(typed) > 25
    assert any('tools/sim' in line for line in typed)
    assert any('attachment-create' in line for line in typed)
    assert [block.name for block in found if block.name] == ['nec.conf']
    assert sys.version_info >= (3, 10)
