"""An explanation as plain text and as Markdown."""

import re
from collections.abc import Iterator
from functools import singledispatch

from densefn.explanation.document import Block, Code, Table, sections
from densefn.explanation.facts import Facts, Product

_WIDTH, _HEIGHT = 40, 8


def text(explanation: Facts) -> str:
    """Writes an explanation for a terminal."""
    lines = []
    for section in sections(explanation):
        lines += [section.title, "=" * len(section.title), ""]
        for block in section.blocks:
            lines += [*_plain(block), ""]
    return "\n".join(lines).rstrip() + "\n"


def markdown(explanation: Facts) -> str:
    """Writes an explanation as Markdown."""
    lines = []
    for section in sections(explanation):
        lines += [f"## `{section.title}`" if section.code else f"## {section.title}", ""]
        for block in section.blocks:
            lines += [*_marked(block), ""]
    return "\n".join(lines).rstrip() + "\n"


@singledispatch
def _plain(block: Block) -> Iterator[str]:
    yield str(block)


@_plain.register
def _(block: Code) -> Iterator[str]:
    return (f"    {line}" for line in block.lines)


@_plain.register
def _(block: Table) -> Iterator[str]:
    columns = list(zip(block.header, *block.rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    for row in (block.header, *block.rows):
        yield "    " + "  ".join(map(str.ljust, row, widths)).rstrip()


@_plain.register
def _(block: Product) -> Iterator[str]:
    return (f"    {line}".rstrip() for line in drawn(block))


@singledispatch
def _marked(block: Block) -> Iterator[str]:
    yield _escaped(str(block))


@_marked.register
def _(block: Code) -> Iterator[str]:
    yield from ("```", *block.lines, "```")


@_marked.register
def _(block: Table) -> Iterator[str]:
    for row in (block.header, ("---",) * len(block.header), *block.rows):
        yield f"| {' | '.join(map(_escaped, row))} |"


@_marked.register
def _(block: Product) -> Iterator[str]:
    yield from ("```", *drawn(block), "```")


def _escaped(words: str) -> str:
    return re.sub(r"[|<*_]", r"\\\g<0>", words)


def drawn(product: Product) -> Iterator[str]:
    """Draws the boxes of a product to scale, as nearly as characters can: a side has one at least."""
    n, inner, units = product.rows, product.inner, product.columns
    rows = n or 1
    scale = max((inner + units) / _WIDTH, (inner + rows) / (2 * _HEIGHT))
    wide, broad = (max(1, round(size / scale)) for size in (inner, units))
    tall, high = (max(1, round(size / scale / 2)) for size in (inner, rows))
    batch = "N" if n is None else str(n)
    margin = max(wide + 2, len(f"x [{batch}, {inner}]")) + 2
    yield " " * margin + f"kernel [{inner}, {units}]"
    yield from (" " * margin + line for line in _box(broad, tall))
    yield (
        f"x [{batch}, {inner}]".ljust(margin) + f"y [{batch}, {units}]" + (f" + bias [{units}]" if product.bias else "")
    )
    for left, right in zip(_box(wide, high), _box(broad, high), strict=True):
        yield left.ljust(margin) + right


def _box(width: int, height: int) -> Iterator[str]:
    yield "┌" + "─" * width + "┐"
    yield from ["│" + " " * width + "│"] * (height - 1)
    yield "└" + "─" * width + "┘"
