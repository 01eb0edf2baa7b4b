"""The explanation of a layer as plain data, which `text` and `page` render."""

import math
from dataclasses import dataclass

from densefn.explanation.cost import Compiled, Cost
from densefn.explanation.density import Density
from densefn.explanation.machines import Roofline
from densefn.layer import Shape
from densefn.summary import Summary


def dims(shape: Shape) -> str:
    """Writes a shape, with N for any number: `"N, 100"`."""
    return ", ".join("N" if n is None else str(n) for n in shape)


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
      name: under which it is kept.
      shape: of one repetition.
      count: the number of its entries, in all repetitions.
      bytes: in all repetitions.
      initial: the formula of its initial value.
      penalty: the formula of its regularizer, or None.
      constraint: the formula of its constraint, or None.
      density: that the initial values are drawn from; None where they are constant or of another distribution.
    """

    name: str
    shape: tuple[int, ...]
    count: int
    bytes: int
    initial: str
    penalty: str | None
    constraint: str | None
    density: Density | None = None


@dataclass(frozen=True)
class Product:
    """The product of a dense layer: `z = x @ kernel + bias`, `y = activation(z)`.

    Attributes:
      input_shape: of x; None where any number will do.
      units: the number of columns of the kernel.
      bias: whether one is added.
      activation: its name.
      output_shape: of y.
    """

    input_shape: Shape
    units: int
    bias: bool
    activation: str
    output_shape: Shape

    @property
    def inner(self) -> int:
        """The length of the axis that is summed over."""
        return self.input_shape[-1] or 0

    @property
    def rows(self) -> int | None:
        """The rows of x as one matrix; None for any number."""
        lead = self.input_shape[:-1]
        return None if None in lead else math.prod(n or 0 for n in lead)

    @property
    def sheet_rows(self) -> int | None:
        """The rows of each matrix in x; None for any number."""
        return self.input_shape[-2] if len(self.input_shape) > 1 else 1

    @property
    def sheets(self) -> int | None:
        """The number of matrices in x, which is 1 up to rank 2; None for any number."""
        lead = self.input_shape[:-2]
        return None if None in lead else math.prod(n or 0 for n in lead)


@dataclass(frozen=True)
class Example:
    """A small layer's numbers, to be checked by hand: `y = activation(x @ kernel + bias)`."""

    x: tuple[tuple[float, ...], ...]
    kernel: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...] | None
    z: tuple[tuple[float, ...], ...]
    y: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Part:
    """One layer of a model.

    Attributes:
      path: the names that lead to it, joined by `/`; empty for the model itself.
      layer: as it prints.
      times: how often it stands there, by `Repeat`.
      input_shape: None where any number will do.
      output_shape: None where any number will do.
      output_bytes: of the outputs of all its repetitions, with 1 in the place of None.
      equation: what it computes, with shapes.
      parameters: its own.
      cost: of all its repetitions, for a batch with 1 in the place of None.
      remarks: sentences about it.
      activation: the formula of its activation, or None for the identity or a function without a formula.
      activity: the formula of the penalty of its output, or None.
      gradients: their equations, with shapes.
      product: its product of matrices, if it is one.
      example: of a `Dense` whose activation has a name.
      operands: the dtype of the operands of its product.
    """

    path: str
    layer: str
    times: int
    input_shape: Shape
    output_shape: Shape
    output_bytes: int
    equation: str
    parameters: tuple[Parameter, ...]
    cost: Cost
    remarks: tuple[str, ...] = ()
    activation: str | None = None
    activity: str | None = None
    gradients: tuple[str, ...] = ()
    product: Product | None = None
    example: Example | None = None
    operands: str = "float32"


@dataclass(frozen=True)
class Memory:
    """Bytes: of the parameters, of their gradients, of Adam's two moments, and of input and outputs of all layers."""

    parameters: int
    gradients: int
    adam: int
    activations: int


@dataclass(frozen=True)
class Facts:
    """All that is found out of a layer or a model.

    Attributes:
      layer: as it prints.
      input_shape: None where any number will do.
      output_shape: None where any number will do.
      count: the number of parameters.
      frozen: the number of those that training does not change.
      parts: one for each layer.
      cost: of all parts.
      memory: in bytes.
      forward: what XLA makes of the forward pass.
      training: what XLA makes of forward and backward pass together.
      model: the layers with their outputs and counts.
      rooflines: what bounds the forward pass on machines with stated peaks.
    """

    layer: str
    input_shape: Shape
    output_shape: Shape
    count: int
    frozen: int
    parts: tuple[Part, ...]
    cost: Cost
    memory: Memory
    forward: Compiled
    training: Compiled
    model: Summary
    rooflines: tuple[Roofline, ...]

    @property
    def intensity(self) -> float:
        """Operations for each byte moved, forward."""
        return self.cost.forward_flops / max(self.cost.forward_bytes, 1)
