# SPDX-License-Identifier: Apache-2.0
"""The same tests once more, with green threads in place of native ones."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import pytest

pytest.importorskip('eventlet')

HERE = pathlib.Path(__file__).parent
PROGRAM = """
import eventlet
eventlet.monkey_patch()
import sys
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize('name', ['test_run', 'test_pool', 'test_login'])
def test_with_green_threads(tmp_path, name):
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', PROGRAM,
         str(HERE / f'{name}.py'), '-q', '-n0', '-p', 'no:cacheprovider',
         f'--basetemp={tmp_path / "inner"}', '--timeout=60'],
        cwd=HERE.parent.parent, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r'(\d+) passed', done.stdout)
    assert passed and int(passed.group(1)) >= 25


def test_the_transport_does_not_need_eventlet():
    """Nor anything that brings it in."""
    done = subprocess.run(
        [sys.executable, '-c',
         'import sys, cinder_nec.ismcli.ssh; '
         'print([n for n in sys.modules if n.startswith(("eventlet", '
         '"greenlet", "cinder.", "oslo"))])'],
        cwd=HERE.parent.parent, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == '[]', done.stderr
