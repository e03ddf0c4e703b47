# SPDX-License-Identifier: Apache-2.0
"""The pages build without a warning, and speak of what there is."""

from __future__ import annotations

from collections.abc import Iterator
import html
from pathlib import Path
import re
import subprocess
import sys

import pytest

from cinder_nec import __version__
from cinder_nec.cli.catalog import CHECKS
from cinder_nec.opts import nec_opts
from harness import venvs

ROOT = venvs.ROOT
SOURCE = ROOT / 'doc' / 'source'
OPTIONS = {option.name for option in nec_opts}
# Words of this form that are no options; nec_2 is in the name of a package,
# nec_pool is misspelt for `cinder-nec check` to find.
OTHER_WORDS = {'nec_opts', 'nec_2', 'nec_pool', *re.findall(
    r"'(nec_[a-z_]+)':", (ROOT / 'cinder_nec' / 'volume_stats.py')
    .read_text())}
_WORD = re.compile(r'\bnec_[a-z0-9_]*[a-z0-9]')
_TAG = re.compile(r'<[^>]+>')


def texts() -> Iterator[Path]:
    yield ROOT / 'README.rst'
    yield from SOURCE.rglob('*.rst')
    yield from (ROOT / 'releasenotes' / 'notes').glob('*.yaml')


@pytest.fixture(scope='module')
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All pages, built with warnings as errors."""
    for module in ('sphinx', 'oslo_config.sphinxext'):
        pytest.importorskip(module, reason='the pages need Sphinx')
    target = tmp_path_factory.mktemp('pages')
    done = subprocess.run(
        [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q',
         '-b', 'html', '-d', str(target / 'doctrees'), str(SOURCE),
         str(target / 'html')],
        capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return target / 'html'


def test_pages_build(pages: Path):
    built = {page.relative_to(pages).with_suffix('')
             for page in pages.rglob('*.html')}
    for text in SOURCE.rglob('*.rst'):
        assert text.relative_to(SOURCE).with_suffix('') in built


def test_every_option_is_explained(pages: Path):
    page = (pages / 'admin' / 'configuration.html').read_text()
    shown = ' '.join(html.unescape(_TAG.sub('', page)).split())
    for option in nec_opts:
        assert option.name in shown
        assert ' '.join(option.help.split()) in shown


def test_every_check_is_explained(pages: Path):
    page = (pages / 'admin' / 'troubleshooting.html').read_text()
    shown = ' '.join(html.unescape(_TAG.sub('', page)).split())
    for check in CHECKS:
        assert f'id="check-{check.id}"' in page
        for text in (check.title, check.meaning, check.remedy):
            assert text.replace('`', '') in shown, check.id


def test_release_notes_are_shown(pages: Path):
    pytest.importorskip('reno')
    if not (ROOT / '.git').exists():
        pytest.skip('release notes come out of the history')
    page = (pages / 'releasenotes.html').read_text()
    assert f'<h2>{__version__}' in page
    for word in ('nec_report_pools', 'nec_metrics_dir'):
        assert word in page


@pytest.mark.parametrize('text', [
    pytest.param(path, id=path.stem) for path in sorted(texts())])
def test_every_option_named_exists(text: Path):
    named = set(_WORD.findall(text.read_text()))
    assert named <= OPTIONS | OTHER_WORDS


def test_what_the_pages_need_is_what_the_tests_install():
    def lines(name: str) -> set[str]:
        return {line.partition('#')[0].strip()
                for line in (ROOT / name).read_text().splitlines()}

    assert lines('doc/requirements.txt') <= lines('test-requirements.txt')
