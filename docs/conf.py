# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
"""Configuration of Sphinx for `make docs`."""

from pathlib import Path
import re
import sys
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

project = 'lite_detector'
author = 'lite_detector authors'
project_copyright = '2026, lite_detector authors'
release = ElementTree.parse(ROOT / 'package.xml').findtext('version')

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinxcontrib.mermaid']
exclude_patterns = ['conf.py']
autodoc_mock_imports = ['ncnn', 'onnxruntime']
autodoc_typehints = 'none'
myst_fence_as_directive = ['mermaid']
myst_heading_anchors = 3
# Comments such as `<!-- needs: camera -->` are for scripts/check_docs.py.
html_theme = 'furo'


def on_source_read(_app: object, name: str, source: list[str]) -> None:
    """Add the navigation to the index, and name files outside of docs/ instead of linking them."""
    if name == 'index':
        source[0] += navigation(source[0])
    source[0] = re.sub(r'\[([^\]]*)\]\(\.\./\.\./([^)#]*)[^)]*\)', r'\1 (`\2`)', source[0])


def navigation(index: str) -> str:
    """Return a hidden table of contents for each section of the index with its links."""
    trees = []
    for section in index.split('\n## ')[1:]:
        pages = re.findall(r'\]\((\S+)\.md\)', section)
        trees.append('\n```{toctree}\n:hidden:\n:caption: ' + section.splitlines()[0] + '\n\n'
                     + '\n'.join(pages) + '\n```\n')
    return ''.join(trees)


def setup(app) -> None:  # noqa: ANN001 (Sphinx is no dependency of the linters)
    """Register the function above."""
    app.connect('source-read', on_source_read)
