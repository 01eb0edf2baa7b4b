"""An explanation as a web page that needs nothing else, in light and dark, on a phone as on a desk."""

import html
from functools import singledispatch

from densefn import _page
from densefn.explanation.document import Block, Code, Section, Table, sections
from densefn.explanation.facts import Facts, Product
from densefn.explanation.picture import svg

_STYLE = """\
.densefn h2 { font-size: 1.1rem; }
.densefn svg { max-width: 26rem; margin: 1rem 0; font: 13px system-ui, sans-serif; }
rect { fill-opacity: .3; stroke-width: 1.2; }
rect.x { fill: var(--c0); stroke: var(--c0); } text.x { fill: var(--c0); }
rect.kernel { fill: var(--c1); stroke: var(--c1); } text.kernel { fill: var(--c1); }
rect.bias { fill: var(--c2); stroke: var(--c2); } text.bias { fill: var(--c2); }
rect.y { fill: var(--c3); stroke: var(--c3); } text.y { fill: var(--c3); }
"""


def page(explanation: Facts) -> str:
    """Writes an explanation as one HTML page."""
    body = "\n".join(map(_section, sections(explanation)))
    return _page.page(
        f"densefn: {explanation.layer}", f"<h1>What this layer does</h1>\n{body}", width="46rem", style=_STYLE
    )


def _section(section: Section) -> str:
    return "\n".join([f"<h2>{html.escape(section.title)}</h2>", *map(_block, section.blocks)])


@singledispatch
def _block(block: Block) -> str:
    return f"<p>{html.escape(str(block))}</p>"


@_block.register
def _(block: Code) -> str:
    return f"<pre>{html.escape(chr(10).join(block.lines))}</pre>"


@_block.register
def _(block: Table) -> str:
    return _page.table(block.header, [list(map(_page.cell, row)) for row in block.rows])


@_block.register
def _(block: Product) -> str:
    return svg(block)
