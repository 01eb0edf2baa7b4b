"""The products behind every layer: operands in the compute dtype, sums in float32 at least, forward and backward.

The derivatives of a narrow product are made of a primitive of its own, bilinear in `x` and `w`, which takes both as
they are stored and rounds them to the compute dtype itself. So a gradient has the dtype of what was stored: that of a
float32 kernel comes out of the accumulator and is never rounded, while the operands of the backward products, the
gradient of the output among them, are rounded to the compute dtype. With `lax.dot_general` alone one of these is lost:
a kernel that is cast before it has a gradient in the narrow dtype, and the gradient of a float32 output is multiplied
in float32.

In reverse mode a product is differentiated by `jax.grad`, `jax.vjp` and `jax.linearize`, not by `jax.linear_transpose`,
for which a narrow product is not linear: transpose what `jax.linearize` returns.

Reference: Micikevicius et al., "Mixed Precision Training", 2018.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.typing import DTypeLike

from densefn.precision import accumulator

_NARROW = (jnp.dtype(jnp.bfloat16), jnp.dtype(jnp.float16))


# An array whose rows lie in memory one after the other, on a CPU. XLA has no kernels for narrow sums over columns, and
# would make some of our products such sums by taking transposes before and after them away: it computes these in
# float32, or refuses them. The axis of length 1 keeps it from choosing another layout; mapped axes go first.
_row_major = Primitive("row_major")
_row_major.def_impl(lambda x: x)
_row_major.def_abstract_eval(lambda x: x)
mlir.register_lowering(_row_major, mlir.lower_fun(lambda x: x, multiple_results=False))
mlir.register_lowering(
    _row_major, mlir.lower_fun(lambda x: lax.optimization_barrier(x[None])[0], multiple_results=False), platform="cpu"
)
batching.primitive_batchers[_row_major] = lambda x, axis: (_row_major.bind(jnp.moveaxis(x[0], axis[0], 0)), 0)


class Axes(NamedTuple):
    """The axes of a product's operands: those that are summed over in pairs, and the batch's.

    The result has the batch's axes, then the others of `x`, then the others of `w`, each in their order.
    """

    x_sum: tuple[int, ...]
    w_sum: tuple[int, ...]
    x_batch: tuple[int, ...] = ()
    w_batch: tuple[int, ...] = ()

    @property
    def swapped(self) -> "Axes":
        """Those of the product of `w` and `x`."""
        return Axes(self.w_sum, self.x_sum, self.w_batch, self.x_batch)

    def x_free(self, rank: int) -> tuple[int, ...]:
        """The axes of an `x` of this rank that are neither summed over nor the batch's."""
        return tuple(axis for axis in range(rank) if axis not in self.x_sum + self.x_batch)

    def x_order(self, rank: int) -> tuple[int, ...]:
        """The axes of an `x` of this rank: the batch's, then those that are kept, and those that are summed over."""
        return self.x_batch + self.x_free(rank) + self.x_sum


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
    operands, y = equation.split("->")
    of_x, of_w = operands.split(",")
    alone = [axis for axis in of_x if axis not in of_w + y]
    x = jnp.sum(x, [of_x.index(axis) for axis in alone], dtype=accumulator(x.dtype)) if alone else x
    of_x = "".join(axis for axis in of_x if axis not in alone)
    summed, batch = ([axis for axis in of_w if axis in of_x and (axis in y) is kept] for kept in (False, True))
    axes = Axes(*(tuple(map(of.index, group)) for group in (summed, batch) for of in (of_x, of_w)))
    made = [*batch, *(of_x[i] for i in axes.x_free(len(of_x))), *(of_w[i] for i in axes.swapped.x_free(len(of_w)))]
    return jnp.transpose(product(x, w, axes, compute_dtype), [made.index(axis) for axis in y])


def product(x: Array, w: Array, axes: Axes, compute_dtype: DTypeLike) -> Array:
    """The product of two arrays, rounded to the compute dtype, over any axes.

    Args:
      x: the first operand.
      w: the second.
      axes: over which it sums, and the batch's.
      compute_dtype: to which both are rounded.

    Returns:
      The product with its axes as `Axes` has them, of float32, or of float64 if the compute dtype is.

    >>> x, w = jnp.ones((3, 2)), jnp.ones((4, 3))
    >>> product(x, w, Axes(x_sum=(0,), w_sum=(1,)), "bfloat16").shape
    (2, 4)
    """
    compute_dtype = jnp.dtype(compute_dtype)
    if compute_dtype not in _NARROW:
        return _dot_general(x.astype(compute_dtype), w.astype(compute_dtype), axes)
    y = _narrow(lax.stop_gradient(x), lax.stop_gradient(w), axes, compute_dtype)
    return _differentiable(y, x, w, axes, compute_dtype)


def _dot_general(x: Array, w: Array, axes: Axes, out_sharding: NamedSharding | None = None) -> Array:
    numbers = ((axes.x_sum, axes.w_sum), (axes.x_batch, axes.w_batch))
    return lax.dot_general(x, w, numbers, preferred_element_type=accumulator(x.dtype), out_sharding=out_sharding)


def _narrow(x: Array, w: Array, axes: Axes, compute_dtype: Any, out_sharding: NamedSharding | None = None) -> Array:
    """The product as kernels for narrow dtypes compute it: over the last axes of `x`."""
    order = axes.x_order(x.ndim)
    x = _row_major.bind(jnp.transpose(x.astype(compute_dtype), order))
    in_order = Axes(_last(len(axes.x_sum), x.ndim), axes.w_sum, tuple(range(len(axes.x_batch))), axes.w_batch)
    return _row_major.bind(_dot_general(x, w.astype(compute_dtype), in_order, out_sharding))


@functools.partial(jax.custom_jvp, nondiff_argnums=(3, 4))
def _differentiable(y: Array, x: Array, w: Array, axes: Axes, compute_dtype: Any) -> Array:
    """The product `y` of `x` and `w` with its derivatives.

    It is given the product so that this stays a `dot_general`, which the policies of `jax.checkpoint` know.
    """
    del x, w, axes, compute_dtype
    return y


@functools.partial(_differentiable.defjvp, symbolic_zeros=True)
def _derivative(axes: Axes, compute_dtype: Any, primals: Any, tangents: Any) -> tuple[Array, Array]:
    (y, x, w), (_, dx, dw) = primals, tangents
    terms = [
        _bilinear(*operands, axes, compute_dtype)
        for operands in ((dx, w), (x, dw))
        if not any(isinstance(operand, SymbolicZero) for operand in operands)
    ]
    return _differentiable(y, x, w, axes, compute_dtype), functools.reduce(jnp.add, terms)


def _bilinear(x: Array, w: Array, axes: Axes, compute_dtype: Any, out_sharding: NamedSharding | None = None) -> Array:
    """The same product as an operation that is linear in either operand, whatever their dtypes.

    Args:
      x: the first operand.
      w: the second.
      axes: over which it sums, and the batch's.
      compute_dtype: to which both are rounded.
      out_sharding: of the result, on a mesh with explicit axes; None for that which follows from the operands.
    """
    how = {"axes": axes, "compute_dtype": compute_dtype, "out_sharding": out_sharding}
    return _product.bind(*_varying_alike(x, w), **how)


def _varying_alike(*arrays: Array) -> Iterable[Array]:
    """Under `shard_map`, makes all arrays vary over the mesh axes over which any of them does."""
    vary = [jax.typeof(array).manual_axis_type.varying for array in arrays]
    missing = [tuple(frozenset().union(*vary) - mine) for mine in vary]
    return [lax.pcast(a, axes, to="varying") if axes else a for a, axes in zip(arrays, missing, strict=True)]


_product = Primitive("narrow_product")
_product.def_impl(jax.jit(_narrow, static_argnames=("axes", "compute_dtype", "out_sharding")))
_product.def_abstract_eval(lambda x, w, **how: jax.make_jaxpr(functools.partial(_narrow, **how))(x, w).out_avals[0])
mlir.register_lowering(_product, mlir.lower_fun(_narrow, multiple_results=False))


def _gradient_of_x(g: Array, x: Any, w: Array, *, axes: Axes, compute_dtype: Any, out_sharding: Any) -> Array:
    del out_sharding  # that of the gradient is that of x
    batch, w_free = len(axes.x_batch), axes.swapped.x_free(w.ndim)
    order = (*axes.x_batch, *axes.x_free(x.aval.ndim), *(axes.x_sum[i] for i in _inverse(axes.w_sum)))
    sharding = _explicit(x.aval.sharding, order, jax.typeof(g).sharding.mesh)
    axes = Axes(_last(len(w_free), g.ndim), w_free, tuple(range(batch)), axes.w_batch)
    return jnp.transpose(_bilinear(g, w, axes, compute_dtype, sharding), _inverse(order)).astype(x.aval.dtype)


def _gradient_of_w(g: Array, x: Array, w: Any, *, axes: Axes, compute_dtype: Any, out_sharding: Any) -> Array:
    del out_sharding
    batch, x_free = len(axes.x_batch), axes.x_free(x.ndim)
    order = (*axes.w_batch, *(axes.w_sum[i] for i in _inverse(axes.x_sum)), *axes.swapped.x_free(w.aval.ndim))
    sharding = _explicit(w.aval.sharding, order, jax.typeof(g).sharding.mesh)
    axes = Axes(x_free, tuple(range(batch, batch + len(x_free))), axes.x_batch, tuple(range(batch)))
    return jnp.transpose(_bilinear(x, g, axes, compute_dtype, sharding), _inverse(order)).astype(w.aval.dtype)


ad.defbilinear(_product, _gradient_of_x, _gradient_of_w)


def _batched(operands: Any, mapped: Any, *, axes: Axes, compute_dtype: Any, out_sharding: Any) -> Any:
    """Where both are mapped, the mapped axes lead the batch's; where one is, its own is one of its free axes."""
    (x, w), (x_axis, w_axis) = operands, mapped
    x = x if x_axis is None else jnp.moveaxis(x, x_axis, 0)
    w = w if w_axis is None else jnp.moveaxis(w, w_axis, 0)
    in_x, in_w = int(x_axis is not None), int(w_axis is not None)
    x_sum, w_sum, x_batch, w_batch = (
        tuple(axis + shift for axis in group) for group, shift in zip(axes, (in_x, in_w, in_x, in_w), strict=True)
    )
    if in_x and in_w:
        x_batch, w_batch = (0, *x_batch), (0, *w_batch)
    moved = Axes(x_sum, w_sum, x_batch, w_batch)
    at = 0 if in_x and in_w else len(x_batch) + (0 if in_x else len(moved.x_free(x.ndim)))
    if out_sharding is not None:
        spec = list(out_sharding.spec)
        spec.insert(at, jax.typeof(x if in_x else w).sharding.spec[0])
        out_sharding = NamedSharding(out_sharding.mesh, PartitionSpec(*spec))
    return _bilinear(x, w, moved, compute_dtype, out_sharding), at


batching.primitive_batchers[_product] = _batched


def _explicit(sharding: Any, order: Sequence[int], mesh: Any) -> NamedSharding | None:
    """The sharding of an array whose axes are put into this order; None on a mesh without explicit axes.

    Of an array that is on no mesh, every device of this one holds the whole.
    """
    if AxisType.Explicit not in mesh.axis_types:
        return None
    spec = [None if sharding.mesh.empty else sharding.spec[axis] for axis in order]
    return NamedSharding(mesh, PartitionSpec(*spec))


def _inverse(order: Sequence[int]) -> list[int]:
    return sorted(range(len(order)), key=order.__getitem__)


def _last(count: int, rank: int) -> tuple[int, ...]:
    return tuple(range(rank - count, rank))
