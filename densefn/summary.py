"""The table of a model: its layers, their output shapes, parameters and counts."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import singledispatch

import jax
import jax.numpy as jnp

from densefn.compose import Repeat, Residual, Sequential, as_layer
from densefn.layer import InputShape, Layer, Shape
from densefn.param import Param, name_of


@dataclass(frozen=True)
class Row:
    """One layer of a summary.

    Attributes:
      name: under which its parameters are kept; empty where it stands inside a combinator that adds no name.
      layer: as it prints.
      depth: how many combinators it stands in.
      output_shape: None where any size will do.
      params: the shape of each parameter by name; empty for a combinator, whose layers have rows of their own.
      count: the number of parameters of the layer, with those of the layers in it.
    """

    name: str
    layer: str
    depth: int
    output_shape: Shape
    params: dict[str, Shape]
    count: int


@dataclass(frozen=True)
class Summary:
    """A model's rows and totals; prints as a table.

    Attributes:
      input_shape: for which the model was summarized.
      rows: one a layer, in the order of computation.
      count: the number of parameters.
      size: of the parameters, in bytes.
    """

    input_shape: Shape
    rows: tuple[Row, ...]
    count: int
    size: int

    def __str__(self) -> str:
        cells = [("layer", "output shape", "parameters", "count"), *map(_cells, self.rows)]
        total = f"{self.count:,}"
        widths = [max(map(len, column)) for column in zip(*cells, ("", "", "", total), strict=True)]
        lines = ["  ".join([*map(str.ljust, line[:3], widths), line[3].rjust(widths[3])]) for line in cells]
        rule = "-" * len(lines[0])
        closing = f"total, {_bytes(self.size)}".ljust(len(rule) - len(total)) + total
        return "\n".join([f"input {self.input_shape}", lines[0], rule, *lines[1:], rule, closing])


def summary(layer: Layer, input_shape: InputShape) -> Summary:
    """Lists a model's layers with output shapes, parameter shapes and counts. Nothing is computed.

    Args:
      layer: a layer or a model, or a function of one array.
      input_shape: the shape of the input, such as `(None, 784)`.

    Returns:
      A summary that prints as a table and can be read by its attributes.

    Raises:
      ValueError: if the layer does not take such an input.

    >>> from densefn import Dense
    >>> print(summary(Dense(10 * 10 * 256, use_bias=False), (None, 100)))
    input (None, 100)
    layer                               output shape   parameters               count
    ---------------------------------------------------------------------------------
    Dense(units=25600, use_bias=False)  (None, 25600)  kernel [100, 25600]  2,560,000
    ---------------------------------------------------------------------------------
    total, 9.8 MiB                                                          2,560,000
    """
    layer = as_layer(layer)
    shape = layer.shape(input_shape)
    declared: list[Param] = jax.tree.leaves(layer.declare(shape))
    size = sum(p.count * jnp.dtype(p.dtype).itemsize for p in declared)
    return Summary(shape, tuple(rows(layer, shape, "", 0)), sum(p.count for p in declared), size)


@singledispatch
def rows(layer: Layer, input_shape: Shape, name: str, depth: int) -> Iterator[Row]:
    """The rows of a layer and of the layers in it; a combinator registers its own."""
    declared = jax.tree_util.tree_leaves_with_path(layer.declare(input_shape))
    params = {name_of(path): p.full_shape for path, p in declared}
    yield Row(name, repr(layer), depth, layer.output_shape(input_shape), params, _count(layer, input_shape))


@rows.register
def _(layer: Sequential, input_shape: Shape, name: str, depth: int) -> Iterator[Row]:
    yield _header(layer, "Sequential", input_shape, name, depth)
    for key, part in layer.named():
        yield from rows(part, input_shape, key, depth + 1)
        input_shape = part.output_shape(input_shape)


@rows.register
def _(layer: Residual, input_shape: Shape, name: str, depth: int) -> Iterator[Row]:
    yield _header(layer, "Residual: x + ", input_shape, name, depth)
    yield from rows(layer.body, input_shape, "", depth + 1)


@rows.register
def _(layer: Repeat, input_shape: Shape, name: str, depth: int) -> Iterator[Row]:
    yield _header(layer, f"Repeat: {layer.times} times", input_shape, name, depth)
    yield from rows(layer.body, input_shape, "", depth + 1)


def _header(layer: Layer, label: str, input_shape: Shape, name: str, depth: int) -> Row:
    return Row(name, label, depth, layer.output_shape(input_shape), {}, _count(layer, input_shape))


def _count(layer: Layer, input_shape: Shape) -> int:
    return sum(p.count for p in jax.tree.leaves(layer.declare(input_shape)))


def _cells(row: Row) -> tuple[str, str, str, str]:
    params = ", ".join(f"{key} {list(shape)}" for key, shape in row.params.items())
    label = f"{row.name} {row.layer}".strip()
    return "  " * row.depth + label, str(row.output_shape), params, f"{row.count:,}"


def _bytes(size: int) -> str:
    power = min(int(math.log(max(size, 1), 1024)), 3)
    return f"{size:,} bytes" if power == 0 else f"{size / 1024**power:,.1f} {('KiB', 'MiB', 'GiB')[power - 1]}"
