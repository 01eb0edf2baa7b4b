"""The flow of values and of gradients through a dense layer: down on the left, up on the right."""

from densefn.explanation import svg
from densefn.explanation.facts import Product, dims

_LEFT, _RIGHT, _STEP = 4.0, 172.0, 56.0


def drawn(product: Product) -> str:
    """Draws the flow as SVG, with the shape of each array at its place."""
    kernel, lead = (product.inner, product.units), product.input_shape[:-1]
    steps = [("x", product.input_shape, "x")]
    if product.activation == "linear":
        steps.append(("y", (*lead, product.units), "y"))
    else:
        steps += [("z", (*lead, product.units), ""), ("y", product.output_shape, "y")]
    elements = []
    for number, (name, shape, color) in enumerate(steps):
        y = 18 + number * _STEP
        elements.append(svg.text(_LEFT, y, f"{name} [{dims(shape)}]", color))
        elements.append(svg.text(_RIGHT, y, f"dL/d{name} [{dims(shape)}]", color))
        for x, (begin, end) in ((_LEFT + 8, (y + 8, y + 38)), (_RIGHT + 8, (y + 38, y + 8))):
            elements.append(svg.arrow(x, begin, end))
        if number == 0:
            elements.append(svg.text(_LEFT + 18, y + 20, f"@ kernel [{dims(kernel)}]", "kernel"))
            elements.append(svg.text(_RIGHT + 18, y + 20, f"dL/dkernel [{dims(kernel)}]", "kernel"))
            if product.bias:
                elements.append(svg.text(_LEFT + 18, y + 36, f"+ bias [{product.units}]", "bias"))
                elements.append(svg.text(_RIGHT + 18, y + 36, f"dL/dbias [{product.units}]", "bias"))
        elif number < len(steps) - 1:
            elements.append(svg.text(_LEFT + 18, y + 28, product.activation))
            elements.append(svg.text(_RIGHT + 18, y + 28, f"* {product.activation}'(z)"))
    bottom = 18 + len(steps) * _STEP
    elements.append(svg.line(_LEFT, bottom - 14, 336, bottom - 14))
    elements.append(svg.text(_LEFT, bottom + 4, "loss L"))
    return svg.picture(340, bottom + 12, "Values flow from x to the loss, gradients from the loss to x", elements)
