# SPDX-License-Identifier: Apache-2.0
"""tools/fuzz: the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import dataclasses
import importlib.util
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import tempfile
import time

from .targets import TARGETS, WORDS

ROOT = Path(__file__).resolve().parents[2]
SEEDS = ROOT / 'tests' / 'fuzz' / 'seeds'
CRASHERS = ROOT / 'tests' / 'fuzz' / 'crashers'
MEMORY_MB = 1024
# One input: a parser that takes this long hangs.
TIMEOUT_SECONDS = 20
LONGEST_BYTES = {'dump': 32 << 10}
_LONGEST_BYTES = 4 << 10
NICE = 19
_LAST = re.compile(r'#(\d+)\s+\S+\s+cov: (\d+)')
# Of a merge that has looked at every input.
_MERGED = re.compile(r'MERGE-OUTER: success\w* in \d+ attempt')
_DONE = re.compile(r'Done (\d+) runs in')


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the fuzzing of one target came to."""

    target: str
    seconds: float
    inputs: int
    branches: int
    crashers: tuple[Path, ...]
    words: str = ''


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='tools/fuzz', formatter_class=argparse.RawTextHelpFormatter,
        description='Feed what reads the words of an array or a user with '
        'inputs that are bred to reach\nnew code (atheris). At nice 19, '
        'one process at a time.', epilog='targets:\n' + '\n'.join(
            f'  {name:<8}  {(target.__doc__ or "").splitlines()[0]}'
            for name, target in TARGETS.items())
        + '\n\nAn input that breaks something is kept in tests/fuzz/'
        'crashers, where the tests try it\nfrom then on. Exit status: 0 '
        'if there was none, 1 if there was, 2 without atheris.')
    parser.add_argument('--minutes', type=float, default=2.0, metavar='M',
                        help='for all targets together (default 2)')
    parser.add_argument('--target', action='append', choices=list(TARGETS),
                        help='only this one (may be repeated)')
    parser.add_argument('--keep', action='store_true',
                        help='add inputs that reach new code to the seeds')
    parser.add_argument('--crashers', type=Path, default=CRASHERS,
                        help='where to keep what breaks something')
    return parser.parse_args(argv)


def missing() -> str:
    """Say why there can be no fuzzing, or nothing."""
    if importlib.util.find_spec('atheris') is None:
        version = '.'.join(map(str, sys.version_info[:2]))
        return (f'atheris is not installed (it has wheels for Linux on '
                f'x86_64 and some versions of Python; this is {version})')
    return ''


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    options = parse(sys.argv[1:] if argv is None else argv)
    reason = missing()
    if reason:
        print(f'tools/fuzz: {reason}', file=sys.stderr)
        return 2
    os.nice(NICE - os.nice(0))
    chosen = options.target or list(TARGETS)
    seconds = max(1, int(options.minutes * 60 / len(chosen)))
    found = []
    for name in chosen:
        outcome = run(name, seconds, options.crashers, keep=options.keep)
        print(in_words(outcome), flush=True)
        if outcome.crashers:
            print(outcome.words, flush=True)
        found.append(outcome)
    return int(any(outcome.crashers for outcome in found))


def run(name: str, seconds: int, crashers: Path, *,
        keep: bool = False) -> Outcome:
    """Fuzz one target for so many seconds, or until something breaks."""
    crashers.mkdir(parents=True, exist_ok=True)
    prefix = f'{name}-'
    before = set(crashers.glob(f'{prefix}*'))
    scratch = Path(tempfile.mkdtemp(prefix='cinder-nec-fuzz-'))
    try:
        corpus = scratch / 'corpus'
        corpus.mkdir()
        (scratch / 'words').write_text('\n'.join(
            f'"{_quoted(word)}"' for word in WORDS[name]) + '\n')
        started = time.monotonic()
        done = _worker(name, [
            f'-max_total_time={seconds}', f'-dict={scratch / "words"}',
            f'-max_len={LONGEST_BYTES.get(name, _LONGEST_BYTES)}',
            f'-artifact_prefix={crashers / prefix}', str(corpus),
            str(SEEDS / name)])
        took = time.monotonic() - started
        if keep:
            _keep(name, corpus)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    new = tuple(sorted(set(crashers.glob(f'{prefix}*')) - before))
    if done.returncode and not new:
        raise SystemExit(f'tools/fuzz: {name}: the fuzzer ended with '
                         f'status {done.returncode}\n{done.stderr[-2000:]}')
    return _outcome(name, took, done.stderr, new)


def _keep(name: str, corpus: Path) -> None:
    """Add to the seeds what reaches code that they do not."""
    merged = _worker(name, ['-merge=1', str(SEEDS / name), str(corpus)])
    if merged.returncode or not _MERGED.search(merged.stderr):
        raise SystemExit(f'tools/fuzz: {name}: the seeds could not be kept\n'
                         f'{merged.stderr[-2000:]}')


def _worker(name: str,
            arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-m', 'fuzz_suite.worker', name,
         f'-timeout={TIMEOUT_SECONDS}', f'-rss_limit_mb={MEMORY_MB}',
         *arguments], cwd=ROOT, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        errors='replace', env={**os.environ, 'PYTHONPATH': os.pathsep.join(
            [str(ROOT), str(ROOT / 'tools')])})


def _outcome(name: str, seconds: float, log: str,
             crashers: tuple[Path, ...]) -> Outcome:
    seen = _LAST.findall(log)
    done = _DONE.search(log)
    inputs = int(done[1]) if done else int(seen[-1][0]) if seen else 0
    return Outcome(name, seconds, inputs, int(seen[-1][1]) if seen else 0,
                   crashers, log[-3000:] if crashers else '')


def in_words(outcome: Outcome) -> str:
    """One line for people and for logs."""
    line = (f'{outcome.target}: {outcome.inputs} inputs in '
            f'{outcome.seconds:.0f} s, {outcome.branches} branches reached')
    if outcome.crashers:
        return f'{line}; BROKEN by {", ".join(map(str, outcome.crashers))}'
    return f'{line}, nothing broken'


def _quoted(word: str) -> str:
    """Return a word as libFuzzer's dictionaries have it."""
    return ''.join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\'
        else f'\\x{byte:02x}' for byte in word.encode())


if __name__ == '__main__':
    sys.exit(main())
