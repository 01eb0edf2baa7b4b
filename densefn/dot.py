"""The products behind every layer, accumulated in float32 at least."""

import jax.numpy as jnp
from jax import Array, lax

from densefn.precision import accumulator


def dot(x: Array, w: Array) -> Array:
    """`x @ w`: the last axis of `x` with the first of `w`.

    Args:
      x: `[..., in]`.
      w: `[in, units]`, of the same dtype.

    Returns:
      `[..., units]` of float32, or of float64 if the operands are.

    >>> dot(jnp.ones((2, 3), jnp.bfloat16), jnp.ones((3, 1), jnp.bfloat16))
    Array([[3.],
           [3.]], dtype=float32)
    """
    return lax.dot_general(x, w, (((x.ndim - 1,), (0,)), ((), ())), preferred_element_type=accumulator(x.dtype))


def einsum(equation: str, x: Array, w: Array) -> Array:
    """The product that an equation of two operands describes.

    Args:
      equation: such as `"bi,iho->bho"`.
      x: the first operand.
      w: the second, of the same dtype.

    Returns:
      The product, of float32, or of float64 if the operands are.
    """
    return jnp.einsum(equation, x, w, preferred_element_type=accumulator(x.dtype))
