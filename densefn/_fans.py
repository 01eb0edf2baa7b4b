"""Fans: the numbers of inputs and outputs that scale the initial values."""

import math
from typing import NamedTuple


class Fans(NamedTuple):
    """The fans of a parameter, from which an initializer computes its scale.

    Attributes:
      fan_in: the number of inputs of one unit.
      fan_out: the number of units that one input reaches.
      inputs: `fan_in` of the layer's kernel, also for its bias. The default of PyTorch draws both by it.
    """

    fan_in: int
    fan_out: int
    inputs: int


def fans_of(shape: tuple[int, ...]) -> Fans:
    """The fans of a kernel of this shape, by Keras's rule.

    >>> fans_of((100, 25))
    Fans(fan_in=100, fan_out=25, inputs=100)
    >>> fans_of((25,))
    Fans(fan_in=25, fan_out=25, inputs=25)

    Source: `compute_fans` of Keras.
    """
    if len(shape) < 2:
        size = math.prod(shape)
        return Fans(size, size, size)
    # Rank 3 and more: the kernel `[*window, in, out]` of a convolution, whose unit sees `window * in` inputs.
    window = math.prod(shape[:-2])
    fan_in, fan_out = shape[-2] * window, shape[-1] * window
    return Fans(fan_in, fan_out, fan_in)
