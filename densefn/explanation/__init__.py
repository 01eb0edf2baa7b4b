"""What a layer does, in words and numbers.

`facts` has what is said, `parts` and `cost` find it out, `formulas` words it; `document` puts it in order for the
writers, `text` and `page`.
"""

from typing import TYPE_CHECKING

from densefn import _arguments
from densefn._registry import as_layer
from densefn.layer import InputShape, Layer

if TYPE_CHECKING:
    from densefn.explanation.whole import Explanation


def explain(layer: Layer, input_shape: InputShape) -> "Explanation":
    """Says what a layer does for inputs of a shape: equation, initial values, counts, cost, gradients, an example.

    Args:
      layer: a layer or a model, or a function of one array.
      input_shape: such as `(32, 100)`, or `(None, 100)` for figures of one example.

    Returns:
      An explanation that prints as text and can be read by its attributes.

    Raises:
      ValueError: if the layer does not take such an input, or an initializer or constraint does not fit a parameter.
      TypeError: if it is no layer.

    >>> from densefn import Dense
    >>> explain(Dense(10 * 10 * 256, use_bias=False), (32, 100)).cost.forward_flops
    163840000.0
    """
    # Loaded by those who ask, so that `import densefn` stays quick.
    from densefn.explanation.whole import explained

    layer = as_layer(layer)
    shape = _arguments.input_shape(layer, input_shape)
    layer.declare(shape)  # a layer that lacks the size of an axis says so
    return explained(layer, shape)
