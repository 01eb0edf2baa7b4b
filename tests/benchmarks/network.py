"""What every peer is asked to build: a multilayer perceptron, the rows it is given, and what these cost at least."""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np


class Network(NamedTuple):
    """Dense layers with biases, relu between them, and float32 parameters.

    Attributes:
      widths: the number of inputs, then the units of each layer.
      rows: of a batch.
      dtype: in which the products are computed.
    """

    widths: tuple[int, ...]
    rows: int
    dtype: str = "float32"

    @property
    def title(self) -> str:
        """Such as `784-512-10, batch 128`."""
        return f"{'-'.join(map(str, self.widths))}, batch {self.rows}"

    @property
    def layers(self) -> list[tuple[int, int]]:
        """Inputs and units of each layer."""
        return list(pairwise(self.widths))

    @property
    def parameters(self) -> int:
        """The number of all weights and biases."""
        return sum(inputs * units + units for inputs, units in self.layers)

    @property
    def forward_flops(self) -> int:
        """The operations of the products of one pass forward; each of the two backward has as many."""
        return 2 * self.rows * sum(map(math.prod, self.layers))

    @property
    def step_flops(self) -> int:
        """The operations of a training step, which needs no gradient of the input of the first layer."""
        return 3 * self.forward_flops - 2 * self.rows * math.prod(self.layers[0])

    def batch(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs `[rows, inputs]` and targets `[rows, outputs]` of float32, the same for every peer."""
        normal = np.random.default_rng(0).standard_normal
        return normal((self.rows, self.widths[0]), np.float32), normal((self.rows, self.widths[-1]), np.float32)
