# SPDX-License-Identifier: Apache-2.0
"""How Sphinx builds the operator's guide: ``tox -e docs``."""

from __future__ import annotations

import importlib.util
from pathlib import Path
import sys

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'tools')]

from cinder_nec import __version__  # noqa: E402


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


project = 'cinder-nec'
copyright = '2026, the authors of cinder-nec'
version = release = __version__

# Options and checks are taken from the package itself, so that the pages
# cannot differ.
extensions = ['oslo_config.sphinxext', 'pages.checks', 'pages.layers']
# Release notes come out of the history, which an archive does not have; the
# theme asks it when a page was changed.
HISTORY = (ROOT / '.git').exists()
if _has('reno') and HISTORY:
    extensions.append('reno.sphinxext')

    def _name_the_release(app, tree):
        # Without any tag reno knows no better than 0.0.0.
        for title in tree.findall(nodes.title):
            if title.astext() == '0.0.0':
                title.clear()
                title += nodes.Text(release)

    def setup(app):
        app.connect('doctree-read', _name_the_release)
else:
    class _NoNotes(SphinxDirective):
        def run(self):
            return []

    def setup(app):
        app.add_directive('release-notes', _NoNotes)

if _has('openstackdocstheme') and HISTORY:
    extensions.append('openstackdocstheme')
    html_theme = 'openstackdocs'
    openstackdocs_repo_name = ''
    openstackdocs_auto_name = False
    openstackdocs_auto_version = False
    openstackdocs_pdf_link = False
    html_theme_options = {'show_other_versions': False}
    pygments_style = 'native'
else:
    html_theme = 'alabaster'

nitpicky = True
# A command's -- is no dash.
smartquotes = False
html_copy_source = False
highlight_language = 'console'
