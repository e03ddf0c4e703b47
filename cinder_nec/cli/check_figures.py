# SPDX-License-Identifier: Apache-2.0
"""Checks of what the scheduler and Prometheus get; nothing is sent."""

from __future__ import annotations

import os

from cinder_nec.cli.base import whoami
from cinder_nec.cli.findings import Report
from cinder_nec.cli.site import Entry

# https://github.com/pyparsing/pyparsing/issues/672
_PARSES_NO_VARIABLE = frozenset({'3.3.3'})


def check_figures(entry: Entry, report: Report) -> None:
    """See whether the figures of a back end can be read where they go."""
    _check_parser(report)
    if entry.config is not None and entry.config.metrics_file:
        _check_directory(os.path.dirname(entry.config.metrics_file), report)


def _check_parser(report: Report) -> None:
    try:
        import pyparsing
    except ImportError:
        return  # Cinder is not here, nor is its scheduler.
    version = pyparsing.__version__
    if version in _PARSES_NO_VARIABLE:
        report.warning('functions', f'pyparsing {version} is here.')
    else:
        report.ok('functions', 'The pyparsing of this node can parse them.')


def _check_directory(directory: str, report: Report) -> None:
    if not os.path.isdir(directory):
        report.warning('metrics-dir', f'{directory} is not there.')
    elif not os.access(directory, os.W_OK | os.X_OK):
        report.warning('metrics-dir',
                       f'{whoami()} cannot write to {directory}.')
    else:
        report.ok('metrics-dir', f'{directory} can be written to.')
