"""An explanation as a web page that needs nothing else, in light and dark, on a phone as on a desk."""

import html
from functools import singledispatch
from string import Template

from densefn.explanation.document import Block, Code, Section, Table, sections
from densefn.explanation.facts import Facts, Product
from densefn.explanation.picture import svg

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --ink: #1c2530; --paper: #ffffff; --line: #d5dbe2; --soft: #f3f5f8;
  --x: #2a78c8; --kernel: #c96a1b; --bias: #2e8b57; --y: #7a4fc2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --paper: #14181d; --line: #39414b; --soft: #1e242b;
  --x: #6ab0f3; --kernel: #f0a15c; --bias: #68c795; --y: #b394ec; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto; padding: 1rem;
  max-width: 46rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; overflow-wrap: anywhere; }
pre { background: var(--soft); padding: .7rem .9rem; border-radius: 6px; overflow-x: auto; font-size: .85rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
svg { display: block; width: 100%; max-width: 26rem; margin: 1rem 0; font: 13px system-ui, sans-serif; }
rect { fill-opacity: .3; stroke-width: 1.2; }
rect.x { fill: var(--x); stroke: var(--x); } text.x { fill: var(--x); }
rect.kernel { fill: var(--kernel); stroke: var(--kernel); } text.kernel { fill: var(--kernel); }
rect.bias { fill: var(--bias); stroke: var(--bias); } text.bias { fill: var(--bias); }
rect.y { fill: var(--y); stroke: var(--y); } text.y { fill: var(--y); }
</style>
</head>
<body>
<h1>What this layer does</h1>
$body
</body>
</html>
""")


def page(explanation: Facts) -> str:
    """Writes an explanation as one HTML page."""
    body = "\n".join(map(_section, sections(explanation)))
    return _PAGE.substitute(title=html.escape(f"densefn: {explanation.layer}"), body=body)


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
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in block.header)
    rows = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in block.rows)
    lines = "\n".join(f"<tr>{row}</tr>" for row in (head, *rows))
    return f'<div class="wide"><table>\n{lines}\n</table></div>'


@_block.register
def _(block: Product) -> str:
    return svg(block)
