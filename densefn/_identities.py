"""Primitives that return their operand: one is constant to every derivative, one fixes the layout in memory.

The products of narrow dtypes (`_narrow.py`) need both.
"""

import jax
import jax.numpy as jnp
from jax import lax

from densefn._jax import Primitive, ad, batching, jet, mlir


def identity(name: str) -> Primitive:
    """A primitive whose value is its first operand, and whose derivatives are zero."""
    primitive = Primitive(name)
    primitive.def_impl(lambda x, *_, **__: x)
    primitive.def_abstract_eval(lambda x, *_, **__: x)
    ad.primitive_jvps[primitive] = lambda xs, _: (primitive.bind(*xs), ad.Zero(jax.typeof(xs[0]).to_tangent_aval()))
    ad.primitive_transposes[primitive] = lambda _, x: [ad.Zero(x.aval)]
    mlir.register_lowering(primitive, mlir.lower_fun(lambda x, *_, **__: x, multiple_results=False))
    jet.defzero(primitive)
    return primitive


constant = identity("held_constant")
"""A `lax.stop_gradient` that `jax.linear_transpose` can pass as well."""

batching.defvectorized(constant)

row_major = identity("row_major")
"""Makes the rows of an array lie in memory one after the other, on a CPU. Mapped axes go first."""

# XLA's kernels for narrow dtypes sum over the last axis of the first operand only. XLA cancels our transposes against
# others, and then computes in float32 or fails. A barrier stops that. The axis of length 1 keeps XLA from choosing
# another layout for the array behind the barrier.
mlir.register_lowering(
    row_major, mlir.lower_fun(lambda x: lax.optimization_barrier(x[None])[0], multiple_results=False), platform="cpu"
)
batching.primitive_batchers[row_major] = lambda x, axis: (row_major.bind(jnp.moveaxis(x[0], axis[0], 0)), 0)
