"""Computes mean and standard deviation of columns, chunk by chunk."""

import math
from typing import Any, NamedTuple

import numpy as np


class Moments(NamedTuple):
    """Running moments of columns, in float64.

    Attributes:
      rows: the number of rows so far.
      mean: the mean of each column.
      norm: the root of the sum of squared deviations from the mean, for each column.
      lowest: the smallest number of each column.
      highest: the largest number of each column.
    """

    rows: int = 0
    mean: Any = 0.0
    norm: Any = 0.0
    lowest: Any = math.inf
    highest: Any = -math.inf

    def with_rows(self, values: np.ndarray) -> "Moments":
        """Adds rows `[rows, columns]` by the pairwise update of Chan, Golub and LeVeque (1979)."""
        if not len(values):
            return self
        mean = values.mean(axis=0, dtype=np.float64)
        rows, distance = self.rows + len(values), mean - self.mean
        # sqrt(a**2 + b**2) by `hypot`: the squares of deviations above 1e154 would be infinite.
        norm = np.hypot(self.norm, _norm(values - mean))
        norm = np.hypot(norm, distance * np.sqrt(self.rows * len(values) / rows))
        lowest, highest = np.minimum(self.lowest, values.min(axis=0)), np.maximum(self.highest, values.max(axis=0))
        return Moments(rows, self.mean + distance * (len(values) / rows), norm, lowest, highest)

    def mean_and_scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation; a constant column has the deviation 1."""
        return self.mean, np.where(are_constant(self.lowest, self.highest), 1.0, self.norm / np.sqrt(self.rows))


def are_constant(lowest: Any, highest: Any) -> Any:
    """Whether the smallest and the largest number of a column differ by roundings of float64 only."""
    return highest - lowest <= 4 * np.finfo(np.float64).eps * np.maximum(np.abs(lowest), np.abs(highest))


def _norm(distances: np.ndarray) -> np.ndarray:
    """The norm of each column, scaled by a power of two: squares of deviations below 1e-162 would be 0."""
    _, exponent = np.frexp(np.maximum(distances.max(axis=0), -distances.min(axis=0)))
    power = np.exp2(np.clip(-exponent, -1000, 1000).astype(np.float64))
    return np.sqrt(np.square(distances * power).sum(axis=0)) / power
