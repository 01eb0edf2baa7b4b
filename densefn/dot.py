"""The product behind every layer: the last axis of `x` with the first of a kernel."""

from jax import Array, lax

from densefn.precision import accumulator


def dot(x: Array, w: Array) -> Array:
    """`x @ w`, accumulated in float32 at least.

    Args:
      x: `[..., in]`.
      w: `[in, units]`, of the same dtype.

    Returns:
      `[..., units]` of float32, or of float64 if the operands are.

    >>> import jax.numpy as jnp
    >>> dot(jnp.ones((2, 3), jnp.bfloat16), jnp.ones((3, 1), jnp.bfloat16))
    Array([[3.],
           [3.]], dtype=float32)
    """
    return lax.dot_general(x, w, (((x.ndim - 1,), (0,)), ((), ())), preferred_element_type=accumulator(x.dtype))
