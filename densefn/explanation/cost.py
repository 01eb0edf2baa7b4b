"""The cost of a layer: operations, bytes moved, and XLA's own counts.

A multiplication is one operation, and so is an addition. For activations and penalties, the operations are XLA's
count. Bytes assume two passes over memory. The product reads its operands and writes its result. The epilogue (bias and
activation) reads that result and writes the output.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import ShapeDtypeStruct

from densefn import activations, regularizers
from densefn.dense import Dense
from densefn.einsum import Einsum
from densefn.layer import Layer


@dataclass(frozen=True)
class Cost:
    """Operations and bytes of a forward and of a backward pass.

    Attributes:
      forward_flops: operations of the forward pass.
      backward_flops: operations of the backward pass, which computes the gradients of parameters and input.
      forward_bytes: bytes read and written by the forward pass.
      backward_bytes: bytes read and written by the backward pass.
    """

    forward_flops: float = 0.0
    backward_flops: float = 0.0
    forward_bytes: float = 0.0
    backward_bytes: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(mine + its for mine, its in zip(vars(self).values(), vars(other).values(), strict=True)))

    def __mul__(self, times: int) -> "Cost":
        return Cost(*(times * item for item in vars(self).values()))


@dataclass(frozen=True)
class Compiled:
    """XLA's report on a function that it compiled for this machine.

    The body of a loop, such as that of `Repeat`, is counted once.

    Attributes:
      platform: such as `"cpu"`.
      dots: the number of matrix products.
      fusions: the number of fused loops.
      flops: XLA's count of operations.
      bytes: XLA's count of bytes read and written.
    """

    platform: str
    dots: int
    fusions: int
    flops: float
    bytes: float


def counted(function: Callable[..., Any], *arguments: Any) -> Cost:
    """XLA's counts for a function and for its backward pass."""
    forward = compiled(function, *arguments)
    both = compiled(there_and_back(function), *with_cotangent(function, *arguments))
    # XLA optimizes both passes together, and may count fewer operations than for the forward pass alone.
    back = (max(both.flops - forward.flops, 0.0), max(both.bytes - forward.bytes, 0.0))
    return Cost(forward.flops, back[0], forward.bytes, back[1])


def there_and_back(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function `(cotangent, *arguments) -> (result, gradients of all arguments)`."""

    def both(cotangent: Any, *arguments: Any) -> Any:
        result, pull = jax.vjp(function, *arguments)
        return result, pull(cotangent)

    return both


def with_cotangent(function: Callable[..., Any], *arguments: Any) -> tuple[Any, ...]:
    """The arguments, with a cotangent of the result before them."""
    return (jax.eval_shape(function, *arguments), *arguments)


def compiled(function: Callable[..., Any], *arguments: Any) -> Compiled:
    """Compiles a function for arguments of these shapes, and reads XLA's analysis."""
    executable = jax.jit(function).lower(*arguments).compile()
    text = executable.as_text() or ""
    analysis = executable.cost_analysis() or {}
    # XLA writes a product as ` dot(`, or as a call to a library such as cuBLAS.
    dots = re.findall(r" dot\(|custom_call_target=\"[^\"]*(?:gemm|matmul)", text)
    fusions = re.findall(r" fusion\(", text)
    flops, moved = analysis.get("flops", 0.0), analysis.get("bytes accessed", 0.0)
    return Compiled(jax.default_backend(), len(dots), len(fusions), max(flops, 0.0), max(moved, 0.0))


def abstract(layer: Layer, shape: tuple[int, ...], dtype: Any = jnp.float32) -> tuple[Any, ShapeDtypeStruct]:
    """The shapes of a layer's parameters and input."""
    declared = layer.declare(shape)
    params = jax.tree.map(lambda p: ShapeDtypeStruct(p.full_shape, p.dtype), declared)
    return params, ShapeDtypeStruct(shape, dtype)


def product_cost(layer: Dense | Einsum, shape: tuple[int, ...], y: tuple[int, ...], flops: int) -> Cost:
    """The cost of a product and of its epilogue.

    Args:
      layer: the layer.
      shape: the shape of its input.
      y: the shape of the product.
      flops: the operations of the product.
    """
    params, x = abstract(layer, shape)
    item, wide = jnp.dtype(layer.policy.compute_dtype).itemsize, layer.policy.accumulator_dtype.itemsize
    z = ShapeDtypeStruct(y, layer.policy.accumulator_dtype)
    moved = item * (x.size + params["kernel"].size) + wide * z.size
    bias = params["bias"].size if layer.use_bias else 0
    activated = activations.name_of(layer.activation) != "linear"
    # The backward pass has two products, one for each operand's gradient. Each is as large as the forward one.
    cost = Cost(flops, 2 * flops, moved, 2 * moved)
    if layer.use_bias:
        cost += Cost(z.size, z.size, 0, wide * (z.size + bias))
    if activated:
        elementwise = counted(activations.get(layer.activation), z)
        cost += replace(elementwise, forward_bytes=0, backward_bytes=3 * wide * z.size)
    if layer.use_bias or activated:
        cost += Cost(0, 0, 2 * wide * z.size + wide * bias)
    output = jax.eval_shape(activations.get(layer.activation), z)
    for regularizer, w in (
        (layer.kernel_regularizer, params["kernel"]),
        (layer.bias_regularizer, params.get("bias")),
        (layer.activity_regularizer, output),
    ):
        penalty = regularizers.get(regularizer)
        if penalty is not None:
            cost += replace(counted(penalty, w), forward_bytes=0, backward_bytes=0)
    return cost
