"""`Function`: a function of one array as a layer."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from densefn import _arguments, activations, param
from densefn._errors import LayerTypeError
from densefn.activations import AnyActivation
from densefn.layer import InputShape, Layer, Output, Params, Shape


class Function(Layer):
    """A function of one array as a layer without parameters. Combinators turn functions into it.

    >>> Function("relu").apply({}, jnp.array([-1.0, 2.0]))
    Array([0., 2.], dtype=float32)
    """

    function: AnyActivation

    def declare(self, input_shape: InputShape | None = None) -> dict[str, Any]:
        return {}

    def forward(self, params: Params, x: ArrayLike) -> Output:
        value = activations.get(self.function)(_arguments.array(self, x))
        if not isinstance(value, jax.Array):
            raise LayerTypeError(self, f"expected the function to return one array, got {type(value).__name__}")
        return Output(value, param.no_penalty())

    def output_shape(self, input_shape: InputShape) -> Shape:
        return open_axes(_arguments.input_shape(self, input_shape), lambda x: self.forward({}, x).value)


def open_axes(shape: Shape, function: Callable[[Array], Any]) -> Any:
    """The output shape of a function for an input shape with None entries.

    The function is traced with several sizes in the place of None. An entry of its output that differs between them
    depends on the unknown size, and is None.
    """

    def trial(size: int) -> Any:
        x = jax.ShapeDtypeStruct(tuple(size if n is None else n for n in shape), jnp.float32)
        return jax.eval_shape(function, x)

    def closed(first: Any, *others: Any) -> Shape:
        sizes = zip(first.shape, *(other.shape for other in others), strict=True)
        return tuple(n if all(n == m for m in rest) else None for n, *rest in sizes)

    # Sizes 2 and 3 may agree by chance, as under `n // 2` or `max(n, 8)`. Then 120 differs.
    return jax.tree.map(closed, *map(trial, (2, 3, 120)))
