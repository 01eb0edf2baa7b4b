"""Products of narrow operands, in primitives that tell every transformation of JAX what it needs.

    y = x @ w

    product ──┬── dot_general            computes y; the policies of `jax.checkpoint` recognize it
              └── narrow_value(y, x, w)  returns y; its derivatives are those of x @ w
                     └── narrow_product(x, w)   bilinear; all derivatives consist of it

`narrow_product` takes both operands in the dtype in which they are stored, and rounds them itself. So:

- The gradient of an operand has its stored dtype. That of a float32 kernel is the accumulator, never rounded.
- The operands of the backward products are rounded to the compute dtype. The gradient of the output is one of them.

Why primitives: with `lax.dot_general` alone one of the two is lost. If the kernel is cast before it, the gradient is
narrow. If its result is float32, its backward products are float32 too. `jax.custom_jvp` has both, but a `lax.scan`
that was differentiated once drops its rule, and `jet` ignores it. The rules of a primitive are kept.

The program of a product is chosen when it is lowered. A processor without instructions for the dtype multiplies the
rounded operands as float32. A product of two bfloat16 or float16 numbers is exact in float32, so the sums are the same.
`jax.export` does not know the processor and keeps the narrow product.

Reference: Micikevicius et al., "Mixed Precision Training", 2018.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import NamedSharding, PartitionSpec

from densefn import _processor
from densefn._axes import Axes, explicit, summed
from densefn._identities import constant, identity, row_major
from densefn._jax import Primitive, Tracer, ad, batching, jet, mlir, varying
from densefn.precision import accumulator


def product(x: Array, w: Array, axes: Axes, compute_dtype: Any) -> Array:
    """The product of two arrays that are rounded to a narrow dtype, in float32.

    Args:
      x: the first operand, of any floating dtype.
      w: the second.
      axes: over which it sums, and the batch's.
      compute_dtype: bfloat16 or float16.
    """
    how = {"axes": axes, "compute_dtype": compute_dtype, "out_sharding": None}
    if not isinstance(x, Tracer) and not isinstance(w, Tracer):
        return _product.bind(x, w, **how)  # one compiled program; `_dot` would be one for each of its operations
    # The operands of `_dot` are constant to all derivatives: those of `y` come from the rules of `narrow_value`.
    return _value.bind(_dot(constant.bind(x), constant.bind(w), **how), x, w, **how)


def dot_general(x: Array, w: Array, axes: Axes, out_sharding: NamedSharding | None = None) -> Array:
    """The product in the accumulator's dtype of the operands, which are not rounded."""
    out_sharding = out_sharding or summed(x, w, axes)
    numbers = ((axes.x_sum, axes.w_sum), (axes.x_batch, axes.w_batch))
    return lax.dot_general(x, w, numbers, preferred_element_type=accumulator(x.dtype), out_sharding=out_sharding)


def _dot(x: Array, w: Array, *, axes: Axes, compute_dtype: Any, out_sharding: NamedSharding | None) -> Array:
    """The product of narrow operands. It sums over the last axes of `x`, which XLA's narrow kernels require."""
    x = row_major.bind(jnp.transpose(x.astype(compute_dtype), axes.x_order(x.ndim)))
    in_order = Axes(_last(len(axes.x_sum), x.ndim), axes.w_sum, tuple(range(len(axes.x_batch))), axes.w_batch)
    return row_major.bind(dot_general(x, w.astype(compute_dtype), in_order, out_sharding))


def _widened_dot(x: Array, w: Array, *, axes: Axes, compute_dtype: Any, out_sharding: NamedSharding | None) -> Array:
    """The same product with the rounded operands multiplied as float32."""
    return dot_general(_rounded(x, compute_dtype), _rounded(w, compute_dtype), axes, out_sharding)


def _rounded(x: Array, dtype: Any) -> Array:
    """The values that an array has in a narrow dtype, in float32."""
    if x.dtype == jnp.float32 and dtype == jnp.bfloat16:
        return lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)
    # XLA removes a cast and its inverse unless a barrier is between them. `reduce_precision` is no way out: it flushes
    # float16's subnormal numbers to zero.
    return (x if x.dtype == dtype else lax.optimization_barrier(x.astype(dtype))).astype(jnp.float32)


# `identity` gives it derivatives of zero; the rules below replace them by those of the product.
_value = identity("narrow_value")
_is_y = mlir.lower_fun(lambda y, *_, **__: y, multiple_results=False)
_is_widened = mlir.lower_fun(lambda _, x, w, **how: _widened_dot(x, w, **how), multiple_results=False)


def _lowered_for_cpu(context: mlir.LoweringRuleContext, *operands: Any, **how: Any) -> Any:
    """Multiplies as float32 if the processor has no instructions for the dtype. XLA then drops `y`, which is unused."""
    keep = context.module_context.lowering_parameters.for_export or _processor.multiplies(how["compute_dtype"])
    return (_is_y if keep else _is_widened)(context, *operands, **how)


mlir.register_lowering(_value, _lowered_for_cpu, platform="cpu")


def _jvp(primals: Any, tangents: Any, *, axes: Axes, compute_dtype: Any, out_sharding: Any) -> tuple[Array, Any]:
    """`dy = dx @ w + x @ dw`. The tangent of the operand `y` is ignored: the operands of `_dot` are constants."""
    (y, x, w), (_, dx, dw) = primals, tangents
    terms = [
        _bilinear(*operands, axes, compute_dtype, out_sharding)
        for operands in ((dx, w), (x, dw))
        if not any(isinstance(operand, ad.Zero) for operand in operands)
    ]
    value = _value.bind(y, x, w, axes=axes, compute_dtype=compute_dtype, out_sharding=out_sharding)
    return value, functools.reduce(jnp.add, terms) if terms else ad.Zero(jax.typeof(value).to_tangent_aval())


ad.primitive_jvps[_value] = _jvp


def _transposed(g: Any, y: Any, x: Any, w: Any, **how: Any) -> tuple[Any, Any, Any]:
    """The transpose for `jax.linear_transpose`: the value is linear in the one operand that is unknown."""
    of_y = ad.Zero(y.aval)
    if ad.is_undefined_primal(x):
        return of_y, _gradient_of_x(g, x, w, **how), None
    return of_y, None, _gradient_of_w(g, x, w, **how)


ad.primitive_transposes[_value] = _transposed


def _bilinear(x: Array, w: Array, axes: Axes, compute_dtype: Any, out_sharding: NamedSharding | None = None) -> Array:
    """The product as a primitive that is linear in each operand, of any dtypes."""
    return _product.bind(*_varying_alike(x, w), axes=axes, compute_dtype=compute_dtype, out_sharding=out_sharding)


def _varying_alike(*arrays: Array) -> Iterable[Array]:
    """Under `shard_map`, makes all arrays vary over the mesh axes over which any of them does."""
    vary = [varying(array) for array in arrays]
    # JAX does the same for its own operations. The transpose of `pcast` sums the gradient over the devices.
    missing = [tuple(frozenset().union(*vary) - mine) for mine in vary]
    return [lax.pcast(a, axes, to="varying") if axes else a for a, axes in zip(arrays, missing, strict=True)]


def _both(x: Array, w: Array, **how: Any) -> Array:
    return _value.bind(_dot(x, w, **how), x, w, **how)


_product = Primitive("narrow_product")
_product.def_impl(jax.jit(_both, static_argnames=("axes", "compute_dtype", "out_sharding")))
# Shape, dtype, sharding and varying axes of the result are those that tracing the product itself gives.
_product.def_abstract_eval(lambda x, w, **how: jax.make_jaxpr(functools.partial(_dot, **how))(x, w).out_avals[0])
mlir.register_lowering(_product, mlir.lower_fun(_both, multiple_results=False))


# y[b, i, k] = sum_j x[b, i, j] w[b, j, k], where each letter stands for any number of axes. So
#
#     dx[b, i, j] = sum_k g[b, i, k] w[b, j, k]
#
# The last axes of `g` are `k`: those of `w` that are free. The product has the axes (b, i, j), with `j` in the order of
# `w`. `order` says which axis of `x` each of them is.
def _gradient_of_x(g: Array, x: Any, w: Array, *, axes: Axes, compute_dtype: Any, out_sharding: Any) -> Array:
    del out_sharding  # that of the gradient is that of x
    batch, w_free = len(axes.x_batch), axes.swapped.x_free(w.ndim)
    order = (*axes.x_batch, *axes.x_free(x.aval.ndim), *(axes.x_sum[i] for i in _inverse(axes.w_sum)))
    sharding = explicit(x.aval.sharding, order, jax.typeof(g).sharding.mesh)
    axes = Axes(_last(len(w_free), g.ndim), w_free, tuple(range(batch)), axes.w_batch)
    return jnp.transpose(_bilinear(g, w, axes, compute_dtype, sharding), _inverse(order)).astype(x.aval.dtype)


#     dw[b, j, k] = sum_i x[b, i, j] g[b, i, k]
#
# The axes `i` of `g` come right after the batch's. The product has the axes (b, j, k), with `j` in the order of `x`.
def _gradient_of_w(g: Array, x: Array, w: Any, *, axes: Axes, compute_dtype: Any, out_sharding: Any) -> Array:
    del out_sharding
    batch, x_free = len(axes.x_batch), axes.x_free(x.ndim)
    order = (*axes.w_batch, *(axes.w_sum[i] for i in _inverse(axes.x_sum)), *axes.swapped.x_free(w.aval.ndim))
    sharding = explicit(w.aval.sharding, order, jax.typeof(g).sharding.mesh)
    axes = Axes(x_free, tuple(range(batch, batch + len(x_free))), axes.x_batch, tuple(range(batch)))
    return jnp.transpose(_bilinear(x, g, axes, compute_dtype, sharding), _inverse(order)).astype(w.aval.dtype)


ad.defbilinear(_product, _gradient_of_x, _gradient_of_w)


def _taylor(primals: Sequence[Array], series: Any, **how: Any) -> tuple[Array, list[Array]]:
    """`y[k] = sum of x[i] @ w[k - i]`, for the coefficients of two power series."""
    # `narrow_value` has a first operand `y` as well. Its coefficients follow from those of `x` and `w`.
    xs, ws = ([first, *rest] for first, rest in zip(primals[-2:], series[-2:], strict=True))
    value, *terms = (
        functools.reduce(jnp.add, map(functools.partial(_bilinear, **how), xs[: k + 1], ws[k::-1]))
        for k in range(len(xs))
    )
    return value, terms


jet.jet_rules[_product] = jet.jet_rules[_value] = _taylor


def _batched(operands: Any, mapped: Any, **how: Any) -> tuple[Array, int]:
    x, w, how, at = _moved(operands, mapped, **how)
    return _product.bind(*_varying_alike(x, w), **how), at


def _batched_value(operands: Any, mapped: Any, **how: Any) -> tuple[Array, int]:
    (y, x, w), (y_axis, x_axis, w_axis) = operands, mapped
    # Only `y` may be mapped: `lax.cond` maps a result of both branches if it is mapped in one of them.
    if x_axis is w_axis is None:
        x, x_axis = jnp.broadcast_to(x, (y.shape[y_axis], *x.shape)), 0
    x, w, how, at = _moved((x, w), (x_axis, w_axis), **how)
    if y_axis is None:
        y, y_axis = jnp.broadcast_to(y, ((x if x_axis is not None else w).shape[0], *y.shape)), 0
    return _value.bind(jnp.moveaxis(y, y_axis, at), x, w, **how), at


batching.primitive_batchers[_product] = _batched
batching.primitive_batchers[_value] = _batched_value


def _moved(operands: Any, mapped: Any, *, axes: Axes, compute_dtype: Any, out_sharding: Any) -> Any:
    """A product of mapped operands as one product, and the position of the mapped axis in its result.

    If both operands are mapped, the mapped axes become a batch axis. If one is, its mapped axis becomes a free axis.
    """
    (x, w), (x_axis, w_axis) = operands, mapped
    x = x if x_axis is None else jnp.moveaxis(x, x_axis, 0)
    w = w if w_axis is None else jnp.moveaxis(w, w_axis, 0)
    in_x, in_w = int(x_axis is not None), int(w_axis is not None)
    x_sum, w_sum, x_batch, w_batch = (
        tuple(axis + shift for axis in group) for group, shift in zip(axes, (in_x, in_w, in_x, in_w), strict=True)
    )
    if in_x and in_w:
        x_batch, w_batch = (0, *x_batch), (0, *w_batch)
    axes = Axes(x_sum, w_sum, x_batch, w_batch)
    at = 0 if in_x and in_w else len(x_batch) + (0 if in_x else len(axes.x_free(x.ndim)))
    # A sharding has an entry for every axis of the result, so it needs one for the mapped axis.
    if out_sharding is not None:
        spec = list(out_sharding.spec)
        spec.insert(at, jax.typeof(x if in_x else w).sharding.spec[0])
        out_sharding = NamedSharding(out_sharding.mesh, PartitionSpec(*spec))
    return x, w, {"axes": axes, "compute_dtype": compute_dtype, "out_sharding": out_sharding}, at


def _inverse(order: Sequence[int]) -> list[int]:
    return sorted(range(len(order)), key=order.__getitem__)


def _last(count: int, rank: int) -> tuple[int, ...]:
    return tuple(range(rank - count, rank))
