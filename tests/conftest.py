# SPDX-License-Identifier: Apache-2.0
"""What holds for all tests."""

from __future__ import annotations

from collections.abc import Generator, Iterator
import logging
import os
from pathlib import Path

import hypothesis
import pytest

from harness.tally import Tries

TESTS = Path(__file__).parent
# Directories whose tests start services.
SERVICE_DIRECTORIES = ('cli', 'data', 'kill', 'sim', 'system')
# The longest first, so that no worker ends long after the others.
LONGEST = ('kill', 'fuzz', 'tools', 'data', 'system', 'hostile', 'faults')

hypothesis.settings.register_profile(
    'default', deadline=None, derandomize='CI' in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile('default')


def pytest_configure(config: pytest.Config) -> None:
    """Markers that go by directory."""
    config.addinivalue_line(
        'markers', 'data: moves real bytes over iSCSI; needs root, tgt, '
        'FUSE and loop devices')


# Before xdist, which looks for the groups at the same time.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by directory, and keep a file's tests in one xdist worker.

    Files start what they need once; spread over workers, their tests
    would start it several times.
    """
    for item in items:
        directory = item.path.relative_to(TESTS).parts[0]
        if directory in SERVICE_DIRECTORIES:
            item.add_marker(pytest.mark.service)
        if directory == 'system':
            item.add_marker(pytest.mark.system)
        if directory == 'data':
            item.add_marker(pytest.mark.data)
        if not item.get_closest_marker('xdist_group'):
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    directory = item.path.relative_to(TESTS).parts[0]
    return (LONGEST.index(directory) if directory in LONGEST
            else len(LONGEST))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[
        None, pytest.TestReport, pytest.TestReport]:
    """Make what a report quotes fit for xdist, which sends it as UTF-8.

    Tests of hostile input log lone surrogates; one of them would end the
    whole run.
    """
    report = yield
    report.sections = [(title, _as_utf8(text))
                       for title, text in report.sections]
    if isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        report.longrepr = (path, line, _as_utf8(reason))
    elif report.longrepr is not None:
        told = str(report.longrepr)
        if told != _as_utf8(told):
            report.longrepr = _as_utf8(told)
    return report


def _as_utf8(text: str) -> str:
    return text.encode('utf-8', 'backslashreplace').decode('utf-8')


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A command that is run within a test sets up logging for itself."""
    root, ours = logging.getLogger(), logging.getLogger('cinder_nec')
    handlers, level, our_level = root.handlers[:], root.level, ours.level
    yield
    logging.disable(logging.NOTSET)
    ours.setLevel(our_level)
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def tries(request: pytest.FixtureRequest) -> Tries:
    """Count faults and kills for the summary of tools/test."""
    return Tries(request.node.user_properties)
