"""Holds prepared rows: on the device, or streamed from a file that is too large for it."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from densefn.data.preparation import Preparation
from densefn.data.table import Table


class Rows(NamedTuple):
    """Prepared rows on the device.

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
        """The rows with these indices, in this order."""
        return _take(self, index)


@jax.jit
def _take(rows: Rows, index: Array) -> Rows:
    return jax.tree.map(lambda column: column[index], rows)


@dataclass(frozen=True, eq=False)
class Stream:
    """Rows of a memory-mapped file, which are read and prepared when they are taken.

    Attributes:
      table: the rows of the file.
      index: the indices of these rows in the file, in order.
      y: the targets as in `Rows`; they are few numbers per row, so they are held in memory.
      preparation: encodes the inputs.
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
        """Reads and prepares the rows with these indices; the copy to the device is asynchronous."""
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
