"""The diagram of a model: a box for each layer, and a frame around the layers of each combinator."""

from collections.abc import Iterator, Sequence

from densefn import _svg as svg
from densefn._arguments import dims
from densefn.layer import is_shape
from densefn.summary import Row, Summary

_WIDTH, _HIGH, _GAP, _INDENT, _TOP = 340.0, 40.0, 16.0, 10.0, 20.0
_LETTERS = 44
"""The number of letters that fit into a box."""


def draw(model: Summary) -> str:
    """Draws a model as SVG from its summary."""
    elements, y = [svg.text(14, 14, f"input [{dims(model.input_shape)}]", "x")], 22.0
    for element, bottom in _rows(model.rows, y):
        elements.append(element)
        y = bottom
    return svg.picture(_WIDTH, y + 4, f"The layers of the model: {model.count:,} parameters", elements)


def _rows(rows: Sequence[Row], y: float) -> Iterator[tuple[str, float]]:
    """The elements, each with the bottom of the drawing so far."""
    while rows:
        row, *rest = rows
        inside = next((number for number, each in enumerate(rest) if each.depth <= row.depth), len(rest))
        held, rows = rest[:inside], rest[inside:]
        left = 4 + _INDENT * row.depth
        yield svg.arrow(left + 14, y, y + _GAP), y + _GAP
        y += _GAP
        if held:
            top, y = y, y + _TOP
            yield svg.text(_WIDTH - left - 8, top + 15, f"{row.count:,}", "tick end"), y
            yield svg.text(left + 8, top + 15, _short(f"{row.name} {row.layer}", row.depth)), y
            for element, bottom in _rows(held, y):
                yield element, bottom
                y = bottom
            y += _INDENT
            yield svg.box(left, top, _WIDTH - 2 * left, y - top, "frame"), y
        else:
            yield svg.box(left, y, _WIDTH - 2 * left, _HIGH, "kernel" if row.count else "y"), y
            yield svg.text(left + 8, y + 16, _short(f"{row.name} {row.layer}", row.depth)), y
            yield svg.text(left + 8, y + 33, _result(row), "tick"), y + _HIGH
            y += _HIGH


def _result(row: Row) -> str:
    shape = f"[{dims(row.output_shape)}]" if is_shape(row.output_shape) else "several arrays"
    return f"→ {shape}" + (f", {row.count:,} parameters" if row.count else "")


def _short(words: str, depth: int) -> str:
    words, room = words.strip(), _LETTERS - 3 * depth
    return words if len(words) <= room else f"{words[: room - 1]}…"
