"""The table of a model: its layers, their output shapes, parameters and counts."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from densefn import _arguments
from densefn._registry import as_layer
from densefn.layer import InputShape, Layer, Shape
from densefn.param import Param, name_of
from densefn.walk import walk


@dataclass(frozen=True)
class Row:
    """One layer of a summary.

    Attributes:
      name: the key of its parameters; empty if the combinator around it adds no key.
      layer: the layer as text.
      depth: the number of combinators around it.
      output_shape: None entries are any size.
      params: the shape of each parameter by name; empty for a combinator, since the layers inside it have rows.
      count: the number of its parameters, those of the layers inside it included.
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
      input_shape: the shape of the model's input.
      rows: one for each layer, in the order of computation.
      count: the number of parameters.
      size: of the parameters, in bytes.
      frozen: the number of parameters that training does not change.
    """

    input_shape: Shape
    rows: tuple[Row, ...]
    count: int
    size: int
    frozen: int = 0

    def __str__(self) -> str:
        cells = [("layer", "output shape", "parameters", "count"), *map(_cells, self.rows)]
        total = f"{self.count:,}"
        widths = [max(map(len, column)) for column in zip(*cells, ("", "", "", total), strict=True)]
        lines = ["  ".join([*map(str.ljust, line[:3], widths), line[3].rjust(widths[3])]) for line in cells]
        rule = "-" * len(lines[0])
        closing = f"total, {_bytes(self.size)}".ljust(len(rule) - len(total)) + total
        frozen = [f"of which frozen{self.frozen:>{len(rule) - len('of which frozen')},}"] if self.frozen else []
        return "\n".join([f"input {self.input_shape}", lines[0], rule, *lines[1:], rule, closing, *frozen])


def summary(layer: Layer, input_shape: InputShape) -> Summary:
    """Lists a model's layers with output shapes, parameter shapes and counts. Nothing is computed.

    Args:
      layer: a layer or a model, or a function of one array.
      input_shape: the shape of the input, such as `(None, 784)`.

    Returns:
      A summary that prints as a table and can be read by its attributes.

    Raises:
      ValueError: if the layer does not accept an input of this shape.

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
    shape = _arguments.input_shape(layer, input_shape)
    declared: list[Param] = jax.tree.leaves(layer.declare(shape))
    size = sum(p.count * jnp.dtype(p.dtype).itemsize for p in declared)
    frozen = sum(p.count for p in declared if not p.trainable)
    return Summary(shape, tuple(rows(layer, shape)), sum(p.count for p in declared), size, frozen)


def rows(layer: Layer, input_shape: Shape) -> Iterator[Row]:
    """The rows of a model: one for each layer, each combinator before the layers inside it."""
    for place in walk(layer, input_shape):
        shape: Any = place.input_shape
        declared = place.layer.declare(shape)
        leaves = jax.tree_util.tree_leaves_with_path(declared)
        inner = place.layer.inner(shape)
        params = {} if inner else {name_of(path): leaf.full_shape for path, leaf in leaves}
        label = place.layer.label if inner else repr(place.layer)
        yield Row(place.key, label, place.depth, place.layer.output_shape(shape), params, _count(declared))


def _count(declared: Any) -> int:
    return sum(p.count for p in jax.tree.leaves(declared))


def _cells(row: Row) -> tuple[str, str, str, str]:
    params = ", ".join(f"{key} {list(shape)}" for key, shape in row.params.items())
    label = f"{row.name} {row.layer}".strip()
    return "  " * row.depth + label, str(row.output_shape), params, f"{row.count:,}"


def _bytes(size: int) -> str:
    power = min(int(math.log(max(size, 1), 1024)), 3)
    return f"{size:,} bytes" if power == 0 else f"{size / 1024**power:,.1f} {('KiB', 'MiB', 'GiB')[power - 1]}"
