"""Sphinx configuration: `tox -e docs` builds the site in build/docs, and a warning is an error."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from textbench import __version__

project = "textbench"
author = "The textbench authors"
project_copyright = author
release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "options",
]
html_theme = "furo"
html_title = f"textbench {release}"
exclude_patterns = ["_ext"]
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
default_role = "literal"  # docstrings name things between single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
suppress_warnings = [
    "myst.xref_missing",  # pages are read in the repository too, and link to its files and folders
]
