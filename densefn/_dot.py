"""The products that all layers use: operands in the compute dtype, sums in float32 at least, forward and backward."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from densefn import _narrow
from densefn._axes import Axes
from densefn.precision import accumulator, cast

_NARROW = (jnp.dtype(jnp.bfloat16), jnp.dtype(jnp.float16))


def dot(x: Array, w: Array, compute_dtype: DTypeLike) -> Array:
    """`x @ w`: the last axis of `x` with the first of `w`.

    Args:
      x: `[..., in]`.
      w: `[in, units]`.
      compute_dtype: to which both are rounded.

    Returns:
      `[..., units]` of float32, or of float64 if the compute dtype is.

    >>> dot(jnp.ones((2, 3)), jnp.ones((3, 1)), "bfloat16")
    Array([[3.],
           [3.]], dtype=float32)
    """
    return product(x, w, Axes((x.ndim - 1,), (0,)), compute_dtype)


def einsum(equation: str, x: Array, w: Array, compute_dtype: DTypeLike) -> Array:
    """The product that an equation of two operands describes.

    Args:
      equation: such as `"bi,iho->bho"`.
      x: the first operand.
      w: the second.
      compute_dtype: to which both are rounded.

    Returns:
      The product, of float32, or of float64 if the compute dtype is.

    >>> einsum("bi,iho->bho", jnp.ones((2, 3)), jnp.ones((3, 4, 5)), "bfloat16").shape
    (2, 4, 5)
    """
    x, axes, order = aligned(equation, x, compute_dtype)
    return jnp.transpose(product(x, w, axes, compute_dtype), order)


def aligned(equation: str, x: Array, compute_dtype: DTypeLike) -> tuple[Array, Axes, list[int]]:
    """Translates an equation to the axes of a product.

    Args:
      equation: such as `"bi,iho->bho"`.
      x: the first operand.
      compute_dtype: of the product.

    Returns:
      The first operand, summed over the axes that neither the second nor the result has; the axes of its product with
      the second; and the transpose that puts the product's axes into the equation's order.

    >>> aligned("bi,oi->ob", jnp.ones((2, 3)), "float32")[1:]
    (Axes(x_sum=(1,), w_sum=(1,), x_batch=(), w_batch=()), [1, 0])
    """
    operands, y = equation.split("->")
    of_x, of_w = operands.split(",")
    alone = [axis for axis in of_x if axis not in of_w + y]
    if alone:
        # Summed before the product: once, and not again for each unit.
        wide = np.promote_types(accumulator(x.dtype), accumulator(compute_dtype))
        x = jnp.sum(x, [of_x.index(axis) for axis in alone], dtype=wide)
    of_x = "".join(axis for axis in of_x if axis not in alone)
    # The axes of both operands: batch axes if the result has them, else summed over.
    summed, batch = ([axis for axis in of_w if axis in of_x and (axis in y) is kept] for kept in (False, True))
    axes = Axes(*(tuple(map(of.index, group)) for group in (summed, batch) for of in (of_x, of_w)))
    made = [*batch, *(of_x[i] for i in axes.x_free(len(of_x))), *(of_w[i] for i in axes.swapped.x_free(len(of_w)))]
    return x, axes, [made.index(axis) for axis in y]


def product(x: Array, w: Array, axes: Axes, compute_dtype: DTypeLike) -> Array:
    """The product of two arrays, rounded to the compute dtype, over any axes.

    Args:
      x: the first operand.
      w: the second.
      axes: the axes that are summed over, and the batch axes.
      compute_dtype: to which both are rounded.

    Returns:
      The product, of float32, or of float64 if the compute dtype is. `Axes` says in which order its axes are.

    >>> x, w = jnp.ones((3, 2)), jnp.ones((4, 3))
    >>> product(x, w, Axes(x_sum=(0,), w_sum=(1,)), "bfloat16").shape
    (2, 4)
    """
    compute_dtype = jnp.dtype(compute_dtype)
    if compute_dtype in _NARROW:
        return _narrow.product(x, w, axes, compute_dtype)
    return _narrow.dot_general(cast(x, compute_dtype), cast(w, compute_dtype), axes)
