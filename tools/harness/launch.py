# SPDX-License-Identifier: Apache-2.0
"""First lines of every tool: the right Python, the right environment.

Written so that an old Python can still read it and say what is missing.
"""

import os
import shutil
import subprocess
import sys

MINIMUM = (3, 10)
_MARK = 'CINDER_NEC_TOOL_REEXEC'


def require_python():
    # type: () -> None
    """Go on with a Python that is new enough, or say that there is none."""
    if sys.version_info[:2] >= MINIMUM:
        return
    if not os.environ.get(_MARK):
        os.environ[_MARK] = '1'
        for minor in (13, 12, 11, 10, 14):
            found = shutil.which('python3.%d' % minor)
            # A version manager's stub may be there without its Python.
            if found and subprocess.call([found, '-c', ''],
                                         stderr=subprocess.DEVNULL) == 0:
                os.execv(found, [found] + sys.argv)
    sys.exit('{0} needs Python {1[0]}.{1[1]} or newer; {2} is '
             '{3[0]}.{3[1]}.'.format(os.path.basename(sys.argv[0]), MINIMUM,
                                     sys.executable, sys.version_info))


def in_venv(module, argv):
    # type: (str, list[str]) -> None
    """Replace this process by ``python -m module`` in the environment."""
    require_python()
    from harness import bootstrap
    try:
        venv = bootstrap.ensure()
    except bootstrap.BootstrapError as exc:
        sys.exit('%s: %s' % (os.path.basename(sys.argv[0]), exc))
    tools = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    path = os.environ.get('PYTHONPATH')
    os.environ['PYTHONPATH'] = tools + (os.pathsep + path if path else '')
    python = str(venv.python)
    os.execv(python, [python, '-m', module] + list(argv))
