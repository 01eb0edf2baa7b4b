"""The picture of a product: the boxes of x, kernel, bias and y, with their sides to scale."""

from densefn.explanation.facts import Product

_SPAN, _THIN, _LINE = 300.0, 4.0, 18.0


def svg(product: Product) -> str:
    """Draws a product as SVG: kernel above y, x beside it, so that shared sides are of one length.

    Sides are to scale; one that would be thinner than can be seen is drawn a little thicker.
    """
    rows = product.rows or 1
    scale = _SPAN / max(product.inner + product.columns, product.inner + rows)
    inner, units, high = (max(_THIN, scale * size) for size in (product.inner, product.columns, rows))
    batch = "N" if product.rows is None else f"{product.rows:,}"
    # Labels stand in lines of their own, so that no box can hide one.
    left, right = 4.0, 4.0 + inner + 12.0
    kernel = 2 * _LINE
    bias = kernel + inner + _LINE
    y = bias + (_THIN + 2 * _LINE if product.bias else _LINE / 2)
    drawn = [
        _label(left, _LINE - 4, f"kernel [{product.inner:,}, {product.columns:,}]", "kernel"),
        _box(right, kernel - _LINE / 2, units, inner, "kernel"),
    ]
    if product.bias:
        drawn += [
            _label(left, bias + _LINE - 8, f"+ bias [{product.columns:,}]", "bias"),
            _box(right, bias + _LINE - 2, units, _THIN, "bias"),
        ]
    drawn += [
        _box(left, y, inner, high, "x"),
        _box(right, y, units, high, "y"),
        _label(left, y + high + _LINE, f"x [{batch}, {product.inner:,}]", "x"),
        _label(left, y + high + 2 * _LINE, f"y [{batch}, {product.columns:,}]", "y"),
    ]
    width, height = max(right + units + 4, 240), y + high + 2.5 * _LINE
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="y = x @ kernel, boxes to scale">'
        + "".join(drawn)
        + "</svg>"
    )


def _box(x: float, y: float, width: float, height: float, name: str) -> str:
    return f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="1.5"/>'


def _label(x: float, y: float, words: str, name: str) -> str:
    return f'<text class="{name}" x="{x:.1f}" y="{y:.1f}">{words}</text>'
