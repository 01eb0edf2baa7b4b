"""`explain`: what a layer does, in words, numbers and pictures.

`analysis` puts the explanation together: `layers` describes each layer of a model, with `formulas`, `density`, `cost`,
`machines` and `example`. `facts` is the result as plain data. `document` arranges it, and `text` and `page` render it;
`mathml` and the modules that draw (`picture`, `flow`, `diagram`, `roofline`) serve the page.
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
      machine: whose roofline bounds the time: `"a100"`, `"h100"`, `"tpu-v5e"`, FLOP/s and bytes/s such as
        `"2e12,50e9"`, or a `densefn.explanation.machines.Machine`. None lists those with a name. Nothing is measured.

    Returns:
      An explanation that prints as text, is a page in a notebook, and has its facts as attributes.

    Raises:
      ValueError: if the layer does not take such an input, or an initializer or constraint does not fit a parameter.
      TypeError: if it is no layer.

    >>> from densefn import Dense
    >>> explain(Dense(10 * 10 * 256, use_bias=False), (32, 100)).cost.forward_flops
    163840000.0
    """
    # Loaded by those who ask, so that `import densefn` stays quick.
    from densefn.explanation.analysis import analyze

    layer = as_layer(layer)
    shape = _arguments.input_shape(layer, input_shape)
    layer.declare(shape)  # a layer that lacks the size of an axis says so
    return analyze(layer, shape, machine)
