"""Rows as a model takes them: on the device, or prepared when they are taken from a file that is larger than it."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from densefn.data.preparation import Preparation
from densefn.data.table import Table


class Rows(NamedTuple):
    """Examples.

    Attributes:
      x: `[rows, features]` of float32.
      y: `[rows]` of int32 for classes, or `[rows, outputs]` of float32.
    """

    x: Array
    y: Array

    @property
    def features(self) -> int:
        """The number of columns of `x`."""
        return self.x.shape[-1]

    def take(self, index: np.ndarray) -> "Rows":
        """Some of the rows, by number, in the order of the numbers."""
        return _take(self, index)


@jax.jit
def _take(rows: Rows, index: Array) -> Rows:
    return jax.tree.map(lambda column: column[index], rows)


@dataclass(frozen=True, eq=False)
class Stream:
    """Examples in a memory-mapped file.

    Attributes:
      table: the rows of the file.
      index: which of them, in which order.
      y: the targets as in `Rows`, of these rows; they are few numbers a row, and in memory.
      preparation: makes inputs of them.
    """

    table: Table
    index: np.ndarray
    y: np.ndarray
    preparation: Preparation

    @property
    def features(self) -> int:
        """The number of columns of `x`."""
        return len(self.preparation.features)

    def take(self, index: np.ndarray) -> Rows:
        """Some of the rows, by number: they are read, prepared, and on their way to the device."""
        return on_device(self.preparation.inputs(self.table.take(self.index[index])), self.y[index])


def on_device(x: np.ndarray, y: np.ndarray) -> Rows:
    """Puts prepared rows on the device.

    Args:
      x: `[rows, features]`.
      y: `[rows]` or `[rows, outputs]`.

    Returns:
      The rows.

    >>> on_device(np.ones((2, 3), np.float32), np.zeros(2, np.int32)).features
    3
    """
    return Rows(jax.device_put(x), jax.device_put(y))
