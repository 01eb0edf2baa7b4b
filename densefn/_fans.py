"""Fans: the numbers of inputs and outputs by which initial values are scaled."""

import math
from typing import NamedTuple


class Fans(NamedTuple):
    """What an initializer may know of the layer whose parameter it draws.

    Attributes:
      fan_in: the inputs of one unit.
      fan_out: the outputs of one input.
      inputs: the inputs of one unit of the layer: `fan_in` of its kernel, for the bias too, which has fans of its own.
    """

    fan_in: int
    fan_out: int
    inputs: int


def fans_of(shape: tuple[int, ...]) -> Fans:
    """The fans of an array that is taken for a kernel, by Keras's rule.

    >>> fans_of((100, 25))
    Fans(fan_in=100, fan_out=25, inputs=100)
    >>> fans_of((25,))
    Fans(fan_in=25, fan_out=25, inputs=25)

    Source: `compute_fans` of Keras, which takes an array of rank 3 and more for a convolution's `[..., in, out]`.
    """
    if len(shape) < 2:
        size = math.prod(shape)
        return Fans(size, size, size)
    window = math.prod(shape[:-2])
    fan_in, fan_out = shape[-2] * window, shape[-1] * window
    return Fans(fan_in, fan_out, fan_in)
