"""Sphinx configuration; ``./dev docs`` builds with warnings as errors."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

project = "virtcore"
copyright = "the virtcore authors, LGPL-2.1-or-later"
release = tomllib.loads((HERE.parent / "virtcore" / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "generated_reference"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
autodoc_typehints = "description"
html_theme = "furo"
html_title = f"virtcore {release}"
