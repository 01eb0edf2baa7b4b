"""`explain` describes a layer in words, numbers and pictures.

`analysis` makes an explanation. It asks `layers` for a description of each layer in the model, which uses `formulas`,
`density`, `cost` and `example`, and `machines` for rooflines. The result is plain data, `facts`. `document` arranges it
in sections, which `text` and `page` render. The page uses `mathml` for formulas, and `picture`, `contraction`, `flow`
and `roofline` for pictures.
"""

from typing import TYPE_CHECKING

from densefn import _arguments
from densefn._registry import as_layer
from densefn.layer import InputShape, Layer

if TYPE_CHECKING:
    from densefn.explanation.analysis import Explanation
    from densefn.explanation.machines import Machine


def explain(layer: Layer, input_shape: InputShape, *, machine: "str | Machine | None" = None) -> "Explanation":
    """Explains a layer: equation, initial values, gradients, an example, counts, cost.

    Args:
      layer: a layer or a model, or a function of one array.
      input_shape: such as `(32, 100)`, or `(None, 100)` for figures of one example.
      machine: the machine of the roofline: `"a100"`, `"h100"`, `"tpu-v5e"`, FLOP/s and bytes/s such as
        `"2e12,50e9"`, or a `densefn.explanation.machines.Machine`. None lists all with a name. Nothing is measured.

    Returns:
      An explanation that prints as text, is a page in a notebook, and has its facts as attributes.

    Raises:
      ValueError: if the layer does not accept the shape, or an initializer or constraint does not fit a parameter.
      TypeError: if it is not a layer.

    >>> from densefn import Dense
    >>> explain(Dense(10 * 10 * 256, use_bias=False), (32, 100)).cost.forward_flops
    163840000.0
    """
    # Imported here so that `import densefn` stays fast.
    from densefn.explanation.analysis import analyze

    layer = as_layer(layer)
    shape = _arguments.input_shape(layer, input_shape)
    layer.declare(shape)  # a layer that lacks the size of an axis says so
    return analyze(layer, shape, machine)
