"""`explain` describes a layer in words, numbers and pictures.

`analysis` makes an explanation. `layers` describes each layer of the model, with the help of `formulas`, `density`,
`cost` and `example`. `machines` computes rooflines. The result is plain data, `facts`. `document` arranges it in
sections, which `text` and `page` render. The page uses `mathml` for formulas, and `picture`, `contraction`, `flow` and
`roofline` for pictures.
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
      input_shape: the shape of the input, such as `(32, 100)`; `(None, 100)` gives the figures of one example.
      machine: the machine of the roofline: a name (`"a100"`, `"h100"` or `"tpu-v5e"`), FLOP/s and bytes/s such as
        `"2e12,50e9"`, or a `densefn.explanation.machines.Machine`. The default, None, takes all machines with a name.

    Returns:
      An explanation. It prints as text, a notebook shows it as a page, and its attributes are the facts.

    Raises:
      ValueError: if the layer does not accept the shape, or an initializer or constraint does not fit a parameter.
      TypeError: if `layer` is neither a layer nor a function.

    >>> from densefn import Dense
    >>> explain(Dense(10 * 10 * 256, use_bias=False), (32, 100)).cost.forward_flops
    163840000.0
    """
    # Imported here so that `import densefn` stays fast.
    from densefn.explanation.analysis import analyze

    layer = as_layer(layer)
    shape = _arguments.input_shape(layer, input_shape)
    layer.declare(shape)  # raises if the layer needs an axis whose size is None
    return analyze(layer, shape, machine)
