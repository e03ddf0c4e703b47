# SPDX-License-Identifier: Apache-2.0
"""Runs ``cinder-nec`` for tests, through its entry point.

In this process, which saves the time that imports take; what the command
does to the process is put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import contextlib
import importlib.metadata
import io
import json
import logging
import os
from typing import Any
from unittest import mock

from harness.array import PASSWORD

_CLOUD = ('OS_', 'CINDER_')


class _Text(io.StringIO):
    """A stream that is no terminal, and takes all characters."""

    encoding = 'utf-8'


def run(*arguments: str, env: Mapping[str, str] | None = None,
        typed: str | Callable[[], str] | None = None,
        terminal: bool = False) -> tuple[int, str, str]:
    """Run the command; its status, standard output and standard error.

    :param typed: what a person types at a terminal, or who types it; None:
        no terminal
    :param terminal: its output is one
    """
    (entry,) = importlib.metadata.entry_points(
        group='console_scripts', name='cinder-nec')
    out, err = _Text(), _Text()
    out.isatty = lambda: terminal  # type: ignore[method-assign]
    keyboard = mock.Mock(isatty=lambda: typed is not None)
    keyboard.readline = typed if callable(typed) else io.StringIO(
        typed or '').readline
    clean = {key: value for key, value in os.environ.items()
             if not key.startswith(_CLOUD)}
    with (mock.patch.dict(os.environ, {**clean, **(env or {})}, clear=True),
          mock.patch('sys.stdin', keyboard), _own_logging(),
          contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)):
        status = entry.load()(list(arguments))
    text = out.getvalue() + err.getvalue()
    assert PASSWORD not in text
    return int(status), out.getvalue(), err.getvalue()


def rows(*arguments: str, status: int = 0,
         env: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Return what the command shows to programs."""
    ended, out, err = run(*arguments, '-f', 'json', env=env)
    assert ended == status, out + err
    return parsed(out)


def parsed(out: str) -> list[dict[str, Any]]:
    """Read what ``-f json`` writes."""
    found: list[dict[str, Any]] = json.loads(out)
    return found


@contextlib.contextmanager
def _own_logging() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger('cinder_nec')
    before = root.handlers[:], root.level, own.level
    try:
        yield
    finally:
        root.handlers[:], _level, _own = before
        root.setLevel(before[1])
        own.setLevel(before[2])
