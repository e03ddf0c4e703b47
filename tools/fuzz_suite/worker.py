# SPDX-License-Identifier: Apache-2.0
"""One fuzzing process: ``worker TARGET [libFuzzer arguments]``."""

from __future__ import annotations

import logging
import shlex
import sys

import atheris

# Instrumented: the product, not the standard library.
with atheris.instrument_imports(include=['cinder_nec']):
    from fuzz_suite import targets


def main(argv: list[str]) -> None:
    """Run until libFuzzer has enough; it ends the process."""
    logging.disable(logging.CRITICAL)
    target = targets.TARGETS[argv[1]]
    # libFuzzer merges in processes of its own, which the shell starts.
    itself = shlex.join([sys.executable, '-m', 'fuzz_suite.worker', argv[1]])
    atheris.Setup([itself, *argv[2:]], lambda data: target(bytes(data)))
    atheris.Fuzz()


if __name__ == '__main__':
    main(sys.argv)
