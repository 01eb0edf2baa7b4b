"""The picture of a product: boxes for x, kernel, bias and y, with sides to scale."""

from densefn import _svg as svg
from densefn._arguments import dims
from densefn.explanation.facts import Product

_SPAN, _THIN, _LINE, _SHIFT, _MOST_SHEETS = 300.0, 4.0, 18.0, 5.0, 4


def draw(product: Product) -> str:
    """Draws a product as SVG. The kernel is above y and x is to the left of y, so that shared axes line up.

    Sides are to scale, but at least 4 pixels. An input of rank 3 or more is a stack of matrices, of which at most four
    are drawn.
    """
    rows, sheets = product.sheet_rows or 1, min(product.sheets or _MOST_SHEETS, _MOST_SHEETS)
    # The picture is inner + units wide, and inner + rows high.
    scale = _SPAN / max(product.inner + product.units, product.inner + rows)
    inner, units, high = (max(_THIN, scale * size) for size in (product.inner, product.units, rows))
    # Labels have separate lines, so that no box can cover one.
    shifts = [_SHIFT * behind for behind in reversed(range(sheets))]  # the front one is drawn last
    pile = shifts[0]
    left, right = 4.0, 4.0 + inner + 12.0 + pile
    kernel = 2 * _LINE
    bias = kernel + inner + _LINE
    y = bias + (_THIN + 2 * _LINE if product.bias else _LINE / 2) + pile
    labels = {
        "kernel": f"kernel [{dims((product.inner, product.units))}]",
        "x": f"x [{dims(product.input_shape)}]",
        "y": f"y [{dims((*product.input_shape[:-1], product.units))}]",
    }
    elements = [
        svg.text(left, _LINE - 4, labels["kernel"], "kernel"),
        svg.box(right, kernel - _LINE / 2, units, inner, "kernel"),
    ]
    if product.bias:
        elements += [
            svg.text(left, bias + _LINE - 8, f"+ bias [{product.units}]", "bias"),
            svg.box(right, bias + _LINE - 2, units, _THIN, "bias"),
        ]
    below = y + high + _LINE
    elements += [
        *(svg.box(left + shift, y - shift, inner, high, "x") for shift in shifts),
        *(svg.box(right + shift, y - shift, units, high, "y") for shift in shifts),
        svg.text(left, below, labels["x"], "x"),
        svg.text(left, below + _LINE, labels["y"], "y"),
    ]
    if len(product.input_shape) > 2:
        number = "N" if product.sheets is None else str(product.sheets)
        elements.append(svg.text(left, below + 2 * _LINE, f"{number} matrices share the kernel"))
    lines = 3.5 if len(product.input_shape) > 2 else 2.5
    width, height = max(right + units + pile + 4, 240, left + svg.room(*labels.values())), y + high + lines * _LINE
    return svg.picture(width, height, "y = x @ kernel, boxes to scale", elements)
