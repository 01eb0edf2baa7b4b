"""Builds the pages and the reference as a website: `sphinx-build -W docs runs/docs`."""

project = "densefn"
author = "The densefn authors"
copyright = "The densefn authors"  # noqa: A001, a name that Sphinx reads

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_parser"]
html_theme = "sphinx_book_theme"
html_title = "densefn"
html_theme_options = {"show_toc_level": 2}
html_math_renderer = "mathml"

default_role = "code"  # docstrings mark code as Markdown does, with single backticks
autodoc_typehints = "none"  # types, shapes and units are in `Args`
myst_heading_anchors = 3


def _formula(translator, node):
    """Writes a formula as MathML. Sphinx's own renderers need a script from the network, or LaTeX.

    The activations that are JAX's own functions have formulas in their docstrings.
    """
    from docutils.nodes import SkipNode  # noqa: PLC0415, the tests read this file without Sphinx
    from docutils.utils.math.latex2mathml import tex2mathml  # noqa: PLC0415

    translator.body.append(tex2mathml(node.astext(), as_block=node.tagname == "math_block"))
    raise SkipNode


def setup(app):
    """Registers the renderer of formulas."""
    app.add_html_math_renderer("mathml", (_formula, None), (_formula, None))
