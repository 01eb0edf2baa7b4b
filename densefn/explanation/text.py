"""An explanation as plain text and as Markdown."""

import re
import textwrap
from collections.abc import Iterator
from functools import singledispatch

from densefn._arguments import dims
from densefn.explanation.density import Density
from densefn.explanation.document import Block, Flow, Formulas, Rooflines, Table, sections
from densefn.explanation.facts import Contraction, Example, Facts, Product
from densefn.summary import Summary

# Sizes in characters: the width of a line of prose, then the width and the height of a picture.
_LINE, _WIDTH, _HEIGHT = 100, 40, 8


def text(explanation: Facts) -> str:
    """Writes an explanation for a terminal."""
    lines = []
    for section in sections(explanation):
        lines += [section.title, "=" * len(section.title), ""]
        for block in section.blocks:
            written = list(_plain(block))
            lines += [*written, ""] if written else []
    return "\n".join(lines).rstrip() + "\n"


def markdown(explanation: Facts) -> str:
    """Writes an explanation as Markdown."""
    lines = []
    for section in sections(explanation):
        lines += [f"## `{section.title}`" if section.code else f"## {section.title}", ""]
        for block in section.blocks:
            written = list(_marked(block))
            lines += [*written, ""] if written else []
    return "\n".join(lines).rstrip() + "\n"


@singledispatch
def _plain(block: Block) -> Iterator[str]:
    yield from textwrap.wrap(str(block), _LINE, break_long_words=False, break_on_hyphens=False)


@_plain.register
def _(block: Formulas | Example | Product | Contraction | Summary) -> Iterator[str]:
    return (f"    {line}".rstrip() for line in _lines(block))


@_plain.register
def _(block: Density | Flow | Rooflines) -> Iterator[str]:
    del block  # a picture; the blocks beside it have its numbers
    yield from ()


@_plain.register
def _(block: Table) -> Iterator[str]:
    columns = list(zip(block.header, *block.rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    for row in (block.header, *block.rows):
        yield "    " + "  ".join(map(str.ljust, row, widths)).rstrip()


@singledispatch
def _marked(block: Block) -> Iterator[str]:
    yield _escaped(str(block))


@_marked.register
def _(block: Formulas | Example | Product | Contraction | Summary) -> Iterator[str]:
    yield from ("```", *_lines(block), "```")


@_marked.register
def _(block: Density | Flow | Rooflines) -> Iterator[str]:
    return _plain(block)


@_marked.register
def _(block: Table) -> Iterator[str]:
    for row in (block.header, ("---",) * len(block.header), *block.rows):
        yield f"| {' | '.join(map(_escaped, row))} |"


@singledispatch
def _lines(block: Formulas) -> Iterator[str]:
    """The lines of a block in fixed-width type."""
    yield from block.lines


@_lines.register
def _(block: Summary) -> Iterator[str]:
    yield from str(block).splitlines()


@_lines.register
def _(block: Product) -> Iterator[str]:
    return draw(block)


@_lines.register
def _(block: Contraction) -> Iterator[str]:
    for axis in block.axes:
        yield f"{axis.label}: axis of {' and '.join(axis.arrays)}" + (", summed" if axis.summed else "")


@_lines.register
def _(block: Example) -> Iterator[str]:
    return by_hand(block)


def by_hand(example: Example) -> Iterator[str]:
    """The example's arrays, and each output as a sum of products."""
    yield f"x = {_matrix(example.x)}"
    yield f"kernel = {_matrix(example.kernel)}"
    if example.bias is not None:
        yield f"bias = [{', '.join(f'{entry:g}' for entry in example.bias)}]"
    for i, row in enumerate(example.x):
        for j, z in enumerate(example.z[i]):
            terms = " + ".join(f"{_signed(a)}*{_signed(b[j])}" for a, b in zip(row, example.kernel, strict=True))
            bias = "" if example.bias is None else f" + {_signed(example.bias[j])}"
            yield f"z[{i}, {j}] = {terms}{bias} = {z:g}"
    yield f"y = {_matrix(example.y)}"


def _signed(number: float) -> str:
    return f"({number:g})" if number < 0 else f"{number:g}"


def _matrix(rows: tuple[tuple[float, ...], ...]) -> str:
    return "[" + ", ".join(f"[{', '.join(f'{entry:.4g}' for entry in row)}]" for row in rows) + "]"


def _escaped(words: str) -> str:
    return re.sub(r"[|<*_]", r"\\\g<0>", words)


def draw(product: Product) -> Iterator[str]:
    """Draws the boxes of a product in characters, to scale up to rounding. A side has at least one character."""
    n, inner, units = product.rows, product.inner, product.units
    x, y = dims(product.input_shape), dims((*product.input_shape[:-1], units))
    rows = n or 1
    scale = max((inner + units) / _WIDTH, (inner + rows) / (2 * _HEIGHT))
    wide, broad = (max(1, round(size / scale)) for size in (inner, units))
    tall, high = (max(1, round(size / scale / 2)) for size in (inner, rows))
    margin = max(wide + 2, len(f"x [{x}]")) + 2
    yield " " * margin + f"kernel [{inner}, {units}]"
    yield from (" " * margin + line for line in _box(broad, tall))
    yield (f"x [{x}]".ljust(margin) + f"y [{y}]" + (f" + bias [{units}]" if product.bias else ""))
    for left, right in zip(_box(wide, high), _box(broad, high), strict=True):
        yield left.ljust(margin) + right


def _box(width: int, height: int) -> Iterator[str]:
    yield "┌" + "─" * width + "┐"
    yield from ["│" + " " * width + "│"] * (height - 1)
    yield "└" + "─" * width + "┘"
