"""The picture of a dense layer's flow: values go down on the left, and gradients go up on the right."""

from densefn import _svg as svg
from densefn._arguments import dims
from densefn.explanation.facts import Product
from densefn.explanation.formulas import is_elementwise

_LEFT, _STEP, _ASIDE = 4.0, 56.0, 18.0


def draw(product: Product) -> str:
    """Draws the flow as SVG, with the shape of each array at its place."""
    kernel, lead = dims((product.inner, product.units)), product.input_shape[:-1]
    arrays = [("x", dims(product.input_shape)), ("y", dims(product.output_shape))]
    if product.activation != "linear":
        arrays.insert(1, ("z", dims((*lead, product.units))))
    values = [f"{name} [{shape}]" for name, shape in arrays]
    gradients = [f"dL/d{value}" for value in values]
    applied = [(f"@ kernel [{kernel}]", f"dL/dkernel [{kernel}]", "kernel")]
    if product.bias:
        applied.append((f"+ bias [{product.units}]", f"dL/dbias [{product.units}]", "bias"))
    slope = f"* {product.activation}'(z)" if is_elementwise(product.activation) else "* Jacobian"
    right = _LEFT + 2 * _ASIDE + svg.room(product.activation, *values, *(each for each, _, _ in applied))
    width = right + _ASIDE + svg.room(slope, *gradients, *(each for _, each, _ in applied))
    elements = []
    for number, (name, _) in enumerate(arrays):
        y = 18 + number * _STEP
        elements += [svg.text(_LEFT, y, values[number], name), svg.text(right, y, gradients[number], name)]
        elements += [svg.arrow(_LEFT + 8, y + 8, y + 38), svg.arrow(right + 8, y + 38, y + 8)]
        beside = applied if number == 0 else [(product.activation, slope, "")]
        for line, (forward, backward, color) in enumerate(beside if number < len(arrays) - 1 else []):
            below = y + 20 + 16 * line
            elements.append(svg.text(_LEFT + _ASIDE, below, forward, color))
            elements.append(svg.text(right + _ASIDE, below, backward, color))
    bottom = 18 + len(arrays) * _STEP
    elements += [svg.line(_LEFT, bottom - 14, width - 4, bottom - 14), svg.text(_LEFT, bottom + 4, "loss L")]
    return svg.picture(width, bottom + 12, "Values flow from x to the loss, gradients from the loss to x", elements)
