"""The axes of a product, and the sharding of its result on a mesh with explicit axes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax import Array
from jax.sharding import AxisType, NamedSharding, PartitionSpec


class Axes(NamedTuple):
    """The axes of a product `x @ w` that are summed over and that are batch axes, as in `lax.dot_general`.

    All others are free. The result has the batch axes, then the free axes of `x`, then those of `w`, each in order.

    Attributes:
      x_sum: the axes of `x` that are summed over.
      w_sum: the axes of `w` that they are paired with, in the same order.
      x_batch: the batch axes of `x`.
      w_batch: the batch axes of `w`, in the same order.
    """

    x_sum: tuple[int, ...]
    w_sum: tuple[int, ...]
    x_batch: tuple[int, ...] = ()
    w_batch: tuple[int, ...] = ()

    @property
    def swapped(self) -> "Axes":
        """The axes of the product `w @ x`."""
        return Axes(self.w_sum, self.x_sum, self.w_batch, self.x_batch)

    def x_free(self, rank: int) -> tuple[int, ...]:
        """The free axes of an `x` of this rank."""
        return tuple(axis for axis in range(rank) if axis not in self.x_sum + self.x_batch)

    def x_order(self, rank: int) -> tuple[int, ...]:
        """The axes of an `x` of this rank in the order batch, free, summed over."""
        return self.x_batch + self.x_free(rank) + self.x_sum


def explicit(sharding: Any, order: Sequence[int], mesh: Any) -> NamedSharding | None:
    """The sharding of an array after a transpose; None on a mesh without explicit axes.

    Args:
      sharding: of the array before it. Without a mesh, every device gets the whole array.
      order: the axes of the transpose.
      mesh: of the result.
    """
    if AxisType.Explicit not in mesh.axis_types:
        return None
    spec = [None if sharding.mesh.empty else sharding.spec[axis] for axis in order]
    return NamedSharding(mesh, PartitionSpec(*spec))


def summed(x: Array, w: Array, axes: Axes) -> NamedSharding | None:
    """The sharding of a product that sums over a sharded axis, on a mesh with explicit axes.

    JAX raises without it: each device along the mesh axis could have the sum, or a shard of it. Here each has the sum.

    Returns:
      None if no summed axis is sharded in both operands: JAX then derives the sharding itself.
    """
    of_x, of_w = jax.typeof(x).sharding, jax.typeof(w).sharding
    if AxisType.Explicit not in of_x.mesh.axis_types or AxisType.Explicit not in of_w.mesh.axis_types:
        return None
    if not any(of_x.spec[i] and of_x.spec[i] == of_w.spec[j] for i, j in zip(axes.x_sum, axes.w_sum, strict=True)):
        return None
    in_order = axes.x_batch + axes.x_free(x.ndim), axes.swapped.x_free(w.ndim)
    spec = [of.spec[axis] for of, order in zip((of_x, of_w), in_order, strict=True) for axis in order]
    return NamedSharding(of_x.mesh, PartitionSpec(*spec))
