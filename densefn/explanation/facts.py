"""What is said of a layer: plain data, which the writers put into words."""

from dataclasses import dataclass

from densefn.explanation.cost import Compiled, Cost
from densefn.layer import Shape


@dataclass(frozen=True)
class Parameter:
    """One parameter: its shape, and the formulas of its initial value, penalty and constraint (None for none)."""

    name: str
    shape: tuple[int, ...]
    count: int
    bytes: int
    initial: str
    penalty: str | None
    constraint: str | None


@dataclass(frozen=True)
class Product:
    """The sizes of a product `[rows, inner] @ [inner, columns]`, and whether a bias is added."""

    rows: int | None
    inner: int
    columns: int
    bias: bool


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
      output_shape: likewise.
      output_bytes: of the outputs of all its repetitions, with 1 in the place of None.
      equation: what it computes, with shapes.
      parameters: its own.
      cost: of all its repetitions, for a batch with 1 in the place of None.
      remarks: sentences about it.
      gradients: their equations, with shapes.
      product: its product of matrices, if it is one.
      example: of a `Dense` whose activation has a name.
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
    gradients: tuple[str, ...] = ()
    product: Product | None = None
    example: Example | None = None


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
      output_shape: likewise.
      count: the number of parameters.
      frozen: the number of those that training does not change.
      parts: one for each layer.
      cost: of all parts.
      memory: in bytes.
      forward: what XLA makes of the forward pass.
      training: what XLA makes of forward and backward pass together.
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

    @property
    def intensity(self) -> float:
        """Operations for each byte moved, forward."""
        return self.cost.forward_flops / max(self.cost.forward_bytes, 1)
