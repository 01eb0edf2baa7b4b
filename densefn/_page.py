"""The HTML frame and the styles that explanations and reports share.

All styles apply inside `.densefn` only, so in a notebook they do not change other cells.
"""

import html
from collections.abc import Sequence

INK, LINE = "#1c2530", "#d5dbe2"
COLORS = ("#2a78c8", "#c2581a", "#2e8b57", "#7a4fc2", "#b8397a", "#7d6a00", "#00818a", "#5a6570")
_DARK_COLORS = ("#6ab0f3", "#f0a15c", "#68c795", "#b394ec", "#f08abd", "#d3bf4a", "#4fc4cc", "#a9b4bf")
NUMBER = ' class="number"'


def _numbered(colors: Sequence[str]) -> str:
    return " ".join(f"--c{number}: {color};" for number, color in enumerate(colors))


SCHEME = f"""\
.densefn {{ color-scheme: light dark; --ink: {INK}; --paper: #ffffff; --line: {LINE}; --soft: #f3f5f8; --heat: 65%;
  {_numbered(COLORS)} }}
@media (prefers-color-scheme: dark) {{ .densefn {{ --ink: #e4e8ee; --paper: #14181d; --line: #39414b; --soft: #1e242b;
  --heat: 45%; {_numbered(_DARK_COLORS)} }} }}
"""
"""The colors as CSS variables, in light and in dark."""

_STYLE = """\
.densefn { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); overflow-wrap: anywhere;
h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; } h3 { font-size: 1rem; }
.wide { overflow-x: auto; } figure { margin: 0; } svg { display: block; width: 100%; height: auto; }
table { border-collapse: collapse; font-size: .9rem; overflow-wrap: normal; }
th, td { text-align: left; padding: .3rem 1rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; white-space: nowrap; } td { max-width: 22rem; }
th.number, td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { background: var(--soft); padding: .7rem .9rem; border-radius: 6px; overflow-x: auto; font-size: .85rem; }
}
@media (max-width: 40rem) { .densefn th[scope=row] { white-space: normal; min-width: 6rem; } }
"""


def page(title: str, content: str, width: str, style: str = "") -> str:
    """A whole page.

    Args:
      title: plain text.
      content: HTML.
      width: the maximum width, as a CSS length.
      style: further CSS rules.
    """
    return f"""<!doctype html>
<html lang="en" class="densefn">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>
{SCHEME}{_STYLE}{style}body {{ max-width: {width}; margin: 0 auto; padding: 1rem; }}
</style>
</head>
<body>
{content}
</body>
</html>
"""


def fragment(content: str, style: str = "") -> str:
    """The content with its styles, to insert into another page such as a notebook."""
    return f'<div class="densefn">\n<style>\n{SCHEME}{_STYLE}{style}</style>\n{content}\n</div>\n'


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table, which scrolls if it is too wide.

    Args:
      head: the headings as plain text. Each is aligned as the first cell below it.
      body: at least one row of cells, made by `cell` and `heading`.
    """
    columns = zip(head, body[0], strict=True)
    headings = "".join(f'<th scope="col"{NUMBER * (NUMBER in it)}>{html.escape(name)}</th>' for name, it in columns)
    rows = "".join(f"<tr>{''.join(row)}</tr>\n" for row in body)
    return f'<div class="wide"><table>\n<tr>{headings}</tr>\n{rows}</table></div>'


def heading(text: str) -> str:
    """The heading of a row."""
    return f'<th scope="row">{html.escape(text)}</th>'


def cell(text: str, *, number: bool = False) -> str:
    """A cell of plain text; numbers are aligned to the right."""
    return f"<td{NUMBER * number}>{html.escape(text)}</td>"
