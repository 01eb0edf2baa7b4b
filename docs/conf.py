"""Builds the pages and the reference as a website: `sphinx-build -W docs runs/docs`."""

project = "densefn"
author = "The densefn authors"
copyright = "The densefn authors"  # noqa: A001, a name that Sphinx reads

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_parser"]
html_theme = "sphinx_book_theme"
html_title = "densefn"
html_theme_options = {"show_toc_level": 2}

default_role = "code"  # docstrings mark code as Markdown does, with single backticks
autodoc_typehints = "none"  # types, shapes and units are in `Args`
myst_heading_anchors = 3
