"""The axes of a product's operands, and how its result is sharded along them on a mesh with explicit axes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax import Array
from jax.sharding import AxisType, NamedSharding, PartitionSpec


class Axes(NamedTuple):
    """The axes of a product's operands: those that are summed over in pairs, and the batch's.

    The result has the batch's axes, then the others of `x`, then the others of `w`, each in their order.

    Attributes:
      x_sum: the axes of `x` that are summed over.
      w_sum: those of `w`, in the order of `x_sum`.
      x_batch: the axes of `x` that are the batch's.
      w_batch: those of `w`, in the order of `x_batch`.
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


def explicit(sharding: Any, order: Sequence[int], mesh: Any) -> NamedSharding | None:
    """The sharding of an array whose axes are put into this order; None on a mesh without explicit axes.

    Of an array that is on no mesh, every device of this one holds the whole.
    """
    if AxisType.Explicit not in mesh.axis_types:
        return None
    spec = [None if sharding.mesh.empty else sharding.spec[axis] for axis in order]
    return NamedSharding(mesh, PartitionSpec(*spec))


def summed(x: Array, w: Array, axes: Axes) -> NamedSharding | None:
    """The sharding of a product that sums over axes which a mesh with explicit axes shards in both operands.

    JAX asks for it, as the result could be scattered over these mesh axes. Here every device along them has the sum.
    None where no such axis is sharded in both: JAX then derives the sharding.
    """
    of_x, of_w = jax.typeof(x).sharding, jax.typeof(w).sharding
    if AxisType.Explicit not in of_x.mesh.axis_types or AxisType.Explicit not in of_w.mesh.axis_types:
        return None
    if not any(of_x.spec[i] and of_x.spec[i] == of_w.spec[j] for i, j in zip(axes.x_sum, axes.w_sum, strict=True)):
        return None
    in_order = axes.x_batch + axes.x_free(x.ndim), axes.swapped.x_free(w.ndim)
    spec = [of.spec[axis] for of, order in zip((of_x, of_w), in_order, strict=True) for axis in order]
    return NamedSharding(of_x.mesh, PartitionSpec(*spec))
