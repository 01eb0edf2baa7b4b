"""Renders an explanation as a web page without scripts, links or other files."""

import html
import re
from functools import singledispatch

from densefn import _diagram, _page
from densefn import _svg as svg
from densefn.explanation import contraction, density, flow, picture, roofline
from densefn.explanation.density import Density
from densefn.explanation.document import Block, Flow, Formulas, Rooflines, Section, Table, sections
from densefn.explanation.facts import Contraction, Example, Facts, Product
from densefn.explanation.mathml import assigned, mathml
from densefn.explanation.text import by_hand
from densefn.summary import Summary

_STYLE = """\
.densefn h2 { font-size: 1.1rem; }
.densefn math { font-size: 1.05rem; padding: .25rem 0; } .densefn math[display=block] { width: max-content; margin: 0; }
.densefn .formula { overflow-x: auto; overflow-y: hidden; padding-left: 1rem; }
.densefn th[scope=row] { font-weight: 400; }
.densefn mtd { padding: .1rem .4rem; }
"""


def page(explanation: Facts) -> str:
    """Writes an explanation as one HTML page."""
    title = f"densefn: {explanation.layer}"
    return _page.page(title, f"<h1>{_heading(explanation)}</h1>\n{_body(explanation)}", "52rem", svg.STYLE + _STYLE)


def fragment(explanation: Facts) -> str:
    """Writes an explanation as a fragment of HTML, for a notebook."""
    return _page.fragment(_body(explanation), svg.STYLE + _STYLE)


def image(explanation: Facts) -> str:
    """Writes the main picture as SVG: the layers of a model, or the product of one layer."""
    if len(explanation.model.rows) == 1:
        (part,) = explanation.parts
        if part.product is not None:
            return svg.alone(picture.draw(part.product))
        if part.contraction is not None:
            return svg.alone(contraction.draw(part.contraction))
    return svg.alone(_diagram.draw(explanation.model))


def _heading(explanation: Facts) -> str:
    return "What this model does" if len(explanation.model.rows) > 1 else "What this layer does"


def _body(explanation: Facts) -> str:
    return "\n".join(map(_section, sections(explanation)))


def _section(section: Section) -> str:
    return "\n".join([f"<h2>{html.escape(section.title)}</h2>", *map(_block, section.blocks)])


def _formula(formula: str) -> str:
    content = mathml(formula) or f"<code>{html.escape(formula)}</code>"
    return f'<div class="formula">{content}</div>'


@singledispatch
def _block(block: Block) -> str:
    return f"<p>{html.escape(str(block))}</p>"


@_block.register
def _(block: Formulas) -> str:
    return "\n".join(map(_formula, block.lines))


@_block.register
def _(block: Table) -> str:
    return _page.table(block.header, [[_page.heading(row[0]), *map(_page.cell, row[1:])] for row in block.rows])


@_block.register
def _(block: Product) -> str:
    return picture.draw(block)


@_block.register
def _(block: Contraction) -> str:
    return contraction.draw(block)


@_block.register
def _(block: Density) -> str:
    return density.draw(block)


@_block.register
def _(block: Flow) -> str:
    return flow.draw(block.product)


@_block.register
def _(block: Summary) -> str:
    return _diagram.draw(block)


@_block.register
def _(block: Rooflines) -> str:
    return roofline.draw(block.machines, block.intensity)


@_block.register
def _(block: Example) -> str:
    arrays = [("x", block.x), ("kernel", block.kernel), *([("bias", (block.bias,))] if block.bias else [])]
    matrices = [assigned(name, rows) for name, rows in [*arrays, ("y", block.y)]]
    entries = (re.sub(r"z\[(.*?)\]", r"entry(z, \1)", line) for line in by_hand(block) if line.startswith("z["))
    lines = [*matrices[:-1], *(mathml(entry) or "" for entry in entries), matrices[-1]]
    return "\n".join(f'<div class="formula">{line}</div>' for line in lines)
