"""The explanation of a layer as plain data, which `text` and `page` render."""

import math
from dataclasses import dataclass

from densefn._arguments import dims
from densefn.explanation.cost import Compiled, Cost
from densefn.explanation.density import Density
from densefn.explanation.machines import Roofline
from densefn.layer import Shape
from densefn.summary import Summary


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
      name: its key in the parameters.
      shape: its shape.
      count: the number of its entries, summed over the repetitions of `Repeat`.
      bytes: the bytes of those entries.
      initial: the formula of its initial values.
      penalty: the formula of its regularizer, or None.
      constraint: the formula of its constraint, or None.
      density: the density of its initial values, if they are uniform or normal.
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
      input_shape: the shape of x; None for an axis of any size.
      units: the number of columns of the kernel.
      bias: whether a bias is added.
      activation: the activation's name.
      output_shape: the shape of y.
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
        """The number of rows of x reshaped to one matrix; None for any number."""
        lead = self.input_shape[:-1]
        return None if None in lead else math.prod(n or 0 for n in lead)

    @property
    def sheet_rows(self) -> int | None:
        """The number of rows of each matrix in x; None for any number."""
        return self.input_shape[-2] if len(self.input_shape) > 1 else 1

    @property
    def sheets(self) -> int | None:
        """The number of matrices in x, 1 up to rank 2; None for any number."""
        lead = self.input_shape[:-2]
        return None if None in lead else math.prod(n or 0 for n in lead)


@dataclass(frozen=True)
class Axis:
    """One axis of an einsum.

    Attributes:
      letter: its letter in the equation.
      size: its size; None for any number.
      arrays: which of x, kernel and y have it.
    """

    letter: str
    size: int | None
    arrays: tuple[str, ...]

    @property
    def summed(self) -> bool:
        """Whether the product sums over it."""
        return "y" not in self.arrays

    @property
    def label(self) -> str:
        """Letter and size: `"b = 32"`."""
        return f"{self.letter} = {dims((self.size,))}"


@dataclass(frozen=True)
class Contraction:
    """The axes of an einsum, in the order of the equation."""

    axes: tuple[Axis, ...]


@dataclass(frozen=True)
class Example:
    """The numbers of a small layer, to check by hand: `y = activation(x @ kernel + bias)`."""

    x: tuple[tuple[float, ...], ...]
    kernel: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...] | None
    z: tuple[tuple[float, ...], ...]
    y: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Part:
    """One layer of a model.

    Attributes:
      path: its place in the parameters, such as `"1/0"`; empty for the model itself.
      layer: its repr.
      times: how many times `Repeat` applies it.
      input_shape: the shape of its input; None for an axis of any size.
      output_shape: the shape of its output; None for an axis of any size.
      output_bytes: the bytes of its output, summed over the repetitions, with N = 1.
      equation: its equation, with shapes.
      parameters: its parameters.
      cost: the cost of all repetitions, with N = 1.
      remarks: further sentences.
      activation: the formula of its activation; None for the identity and for functions without a formula.
      activity: the formula of its activity penalty, or None.
      gradients: the equations of its gradients, with shapes.
      product: the product of a `Dense` with a plain kernel, else None.
      contraction: the axes of an `Einsum` with a plain kernel, else None.
      example: the example of a `Dense` whose activation has a name, else None.
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
    contraction: Contraction | None = None
    example: Example | None = None
    operands: str = "float32"


@dataclass(frozen=True)
class Memory:
    """Bytes of the parameters, of their gradients, of Adam's two moments, and of the activations.

    The activations are the input and the outputs of all layers.
    """

    parameters: int
    gradients: int
    adam: int
    activations: int


@dataclass(frozen=True)
class Facts:
    """What an explanation says about a layer or a model.

    Attributes:
      layer: its repr.
      input_shape: the shape of its input; None for an axis of any size.
      output_shape: the shape of its output; None for an axis of any size.
      count: the number of parameters.
      frozen: the number of parameters that training does not change.
      parts: one for each layer.
      cost: the cost of all parts.
      memory: the bytes of a training step.
      forward: XLA's report on the forward pass.
      training: XLA's report on the forward and the backward pass together.
      model: the table of layers.
      rooflines: one for each machine.
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
        """The FLOPs per byte of the forward pass."""
        return self.cost.forward_flops / max(self.cost.forward_bytes, 1)
