"""Precision policies with Keras's names: the dtypes of parameters, of products and of outputs.

For every compute dtype, products accumulate in float32 at least. Bias and activation see the accumulator; one rounding
to the output dtype follows. The gradient of a parameter has the parameter's dtype, and is never rounded to a narrower
one before.

Source: `keras/src/dtype_policies/dtype_policy.py` of Keras 3.15.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from densefn._values import Value, build, find


def accumulator(dtype: DTypeLike) -> jnp.dtype:
    """The dtype in which sums over a dtype run: float64 for float64, float32 for all others."""
    return jnp.dtype(jnp.float64 if jnp.dtype(dtype) == jnp.float64 else jnp.float32)


def cast(x: Array, dtype: DTypeLike) -> Array:
    """The array in a dtype. Without the comparison, `astype` takes as long for the dtype that the array already has."""
    return x if x.dtype == dtype else x.astype(dtype)


def widen(x: Array) -> Array:
    """The array in its accumulator's dtype."""
    return cast(x, accumulator(x.dtype))


def representable(x: np.ndarray) -> np.ndarray:
    """The array in a dtype that JAX has. Integers beyond 32 bits become float64: JAX would keep their lower 32 bits."""
    if x.dtype.kind in "iu" and x.dtype.itemsize > 4 and x.size and (x.min() < -(2**31) or x.max() >= 2**31):
        return x.astype(np.float64)
    if x.dtype.kind == "f" and x.dtype.itemsize > 8:
        return x.astype(np.float64)
    return x.astype(x.dtype.newbyteorder("="), copy=False)


def add(x: Array, y: Array) -> Array:
    """`x + y`. Arrays of different dtypes are added in float32, or in float64 if one is."""
    if x.dtype == y.dtype:
        return x + y
    wide = jnp.float64 if jnp.float64 in (x.dtype, y.dtype) else jnp.float32
    return x.astype(wide) + y.astype(wide)


def _dtype(given: Any) -> str:
    try:
        name = jnp.dtype(given).name
    except TypeError:
        name = given
    if name not in ("bfloat16", "float16", "float32", "float64"):
        raise ValueError(f"expected one of the dtypes bfloat16, float16, float32 and float64, got {given!r}")
    return name


_DType = Annotated[str, _dtype]


class Policy(Value):
    """The three dtypes of a layer, each `"bfloat16"`, `"float16"`, `"float32"` or `"float64"`.

    Args:
      param_dtype: the dtype of the parameters.
      compute_dtype: the dtype to which the operands of products are rounded.
      output_dtype: the dtype of the output.

    >>> get("mixed_bfloat16")
    Policy(param_dtype='float32', compute_dtype='bfloat16', output_dtype='bfloat16')
    >>> get("mixed_bfloat16").accumulator_dtype
    dtype('float32')
    """

    kind: ClassVar[str | None] = "precision policy"

    param_dtype: _DType
    compute_dtype: _DType
    output_dtype: _DType

    @property
    def accumulator_dtype(self) -> jnp.dtype:
        """The dtype of sums of products, of the bias's addition, and of the activation."""
        return accumulator(self.compute_dtype)


NAMES: dict[str, Policy] = {
    "float32": Policy("float32", "float32", "float32"),
    "bfloat16": Policy("bfloat16", "bfloat16", "bfloat16"),
    "float16": Policy("float16", "float16", "float16"),
    "mixed_bfloat16": Policy("float32", "bfloat16", "bfloat16"),
    "mixed_float16": Policy("float32", "float16", "float16"),
    "float64": Policy("float64", "float64", "float64"),
}


def check(given: Any) -> Any:
    """The check of a policy field: a name, or a `Policy`."""
    if isinstance(given, Policy):
        return given
    if isinstance(given, Mapping):
        return build(Policy, given)
    if not isinstance(given, str):
        raise TypeError(f"expected a precision policy: a Policy or a name ({', '.join(NAMES)}), got {given!r}")
    find(NAMES, given, "precision policy")
    return given


AnyPolicy = Annotated[str | Policy, check]


def get(policy: AnyPolicy) -> Policy:
    """The policy that a `dtype` field stands for.

    Raises:
      ValueError: if it needs float64 and JAX has that switched off. JAX alone would silently use float32.
    """
    found = NAMES[policy] if isinstance(policy, str) else policy
    if "float64" in (found.param_dtype, found.compute_dtype, found.output_dtype) and not _has_float64():
        raise ValueError(
            f"the precision policy {policy!r} needs float64, which is off: run "
            'jax.config.update("jax_enable_x64", True) first, or set JAX_ENABLE_X64=1'
        )
    return found


def _has_float64() -> bool:
    return jax.dtypes.canonicalize_dtype(jnp.float64) == jnp.float64
