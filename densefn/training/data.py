"""Data sets by name, split and standardised."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from sklearn import datasets


@dataclass(frozen=True)
class Source:
    """A data set that is part of scikit-learn: real rows, read from an installed file.

    Attributes:
      load: scikit-learn's function.
      classifies: whether the target is a class; else it is one number a row, or several.
    """

    load: Callable[..., Any]
    classifies: bool


SOURCES: dict[str, Source] = {
    "digits": Source(datasets.load_digits, classifies=True),
    "iris": Source(datasets.load_iris, classifies=True),
    "wine": Source(datasets.load_wine, classifies=True),
    "breast_cancer": Source(datasets.load_breast_cancer, classifies=True),
    "diabetes": Source(datasets.load_diabetes, classifies=False),
    "linnerud": Source(datasets.load_linnerud, classifies=False),
}


class Rows(NamedTuple):
    """Examples: `x` is `[rows, features]` of float32; `y` is `[rows]` of int32, or `[rows, outputs]` of float32."""

    x: Array
    y: Array


@dataclass(frozen=True)
class Dataset:
    """Rows on the device, in two parts.

    Attributes:
      train: to fit; in the order in which they were drawn.
      validation: held out.
      classes: the number of classes, or None for a regression.
    """

    train: Rows
    validation: Rows
    classes: int | None

    @property
    def features(self) -> int:
        """The number of columns of `x`."""
        return self.train.x.shape[-1]

    @property
    def outputs(self) -> int:
        """The number of outputs that a model of these rows has."""
        return self.classes or self.train.y.shape[-1]


def load(name: str, *, validation_fraction: float, seed: int) -> Dataset:
    """Loads a data set and splits it.

    Features, and the targets of a regression, are standardised: mean 0 and standard deviation 1 on the training rows; a
    column that is constant there becomes 0.

    Args:
      name: one of `SOURCES`.
      validation_fraction: the part of the rows that is held out; at least one row, and not all.
      seed: of the split.
    """
    source = SOURCES[name]
    x, y = source.load(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(x))
    held_out = min(max(round(len(x) * validation_fraction), 1), len(x) - 1)
    validation, train = order[:held_out], order[held_out:]
    x = _standardised(x, train)
    y = y.astype(np.int32) if source.classifies else _standardised(y.reshape(len(y), -1), train)
    classes = int(y.max()) + 1 if source.classifies else None
    return Dataset(_on_device(x[train], y[train]), _on_device(x[validation], y[validation]), classes)


def _on_device(x: np.ndarray, y: np.ndarray) -> Rows:
    return Rows(jax.device_put(x), jax.device_put(y))


def _standardised(columns: np.ndarray, train: np.ndarray) -> np.ndarray:
    mean, deviation = columns[train].mean(axis=0), columns[train].std(axis=0)
    return ((columns - mean) / np.where(deviation > 0, deviation, 1)).astype(np.float32)
