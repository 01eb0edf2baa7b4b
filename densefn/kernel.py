"""What may stand where a kernel was: an array, or a representation that registers itself here.

A representation is a pytree with a `shape`, `[in, units]`, of which these two functions have a version::

    @contract.register
    def _(kernel: MyKernel, x, compute_dtype): ...
"""

from functools import singledispatch
from typing import Any

from jax import Array
from jax.typing import DTypeLike

from densefn.dot import dot


@singledispatch
def contract(kernel: Any, x: Array, compute_dtype: DTypeLike) -> Array:
    """`x @ kernel`, computed in `compute_dtype` and accumulated in float32 at least.

    Args:
      kernel: `[in, units]`.
      x: `[..., in]`.
      compute_dtype: the dtype to which both are rounded.

    Returns:
      `[..., units]`, in the accumulator's dtype.
    """
    return dot(x, kernel, compute_dtype)


@singledispatch
def materialize(kernel: Any) -> Array:
    """The array that the kernel stands for, `[in, units]`."""
    return kernel
