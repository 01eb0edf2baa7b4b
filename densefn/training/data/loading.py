"""From a section [data] to rows on the device, split and prepared."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from densefn.training.data.preparation import Preparation
from densefn.training.data.section import Data
from densefn.training.data.table import DataError, Table, blaming
from densefn.values import Problem, TableError


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
      preparation: made them of the raw rows.
    """

    train: Rows
    validation: Rows
    preparation: Preparation

    @property
    def classes(self) -> int | None:
        """The number of classes, or None for a regression."""
        return None if self.preparation.classes is None else len(self.preparation.classes)

    @property
    def features(self) -> int:
        """The number of columns of `x`."""
        return self.train.x.shape[-1]

    @property
    def outputs(self) -> int:
        """The number of outputs that a model of these rows has."""
        return self.classes or self.train.y.shape[-1]


def load(settings: Data) -> Dataset:
    """Loads a data set, splits it, and prepares both parts with what the training rows say.

    Raises:
      TableError: names the file, the row and the column of what is wrong, and the key of [data].
    """
    try:
        table = settings.read()
        with blaming("validation"):
            own = settings.read_validation()
        train, held_out = _split(table, settings) if own is None else (np.arange(len(table)), np.arange(0))
        preparation = settings.fit(table, train)
        x, y = preparation.inputs(table), preparation.labels(table)
        with blaming("validation"):
            held = (x[held_out], y[held_out]) if own is None else (preparation.inputs(own), preparation.labels(own))
    except DataError as error:
        raise TableError([Problem(("data", error.key), str(error))]) from None
    return Dataset(_on_device(x[train], y[train]), _on_device(*held), preparation)


def described(settings: Data, dataset: Dataset) -> str:
    """The rows in a line: how many, of how many features, and what is learned of them."""
    preparation, width = dataset.preparation, dataset.features
    features = f"{width:,} feature{'s' * (width > 1)}"
    if preparation.columns[1:]:
        features = f"{len(preparation.columns)} columns as {features}"
    kind = f"classification, {dataset.classes} classes" if dataset.classes else "regression"
    train, held_out = len(dataset.train.y), len(dataset.validation.y)
    return (
        f"{settings.title}: {train:,} rows to train, {held_out:,} held out; {features}; "
        f"target {', '.join(preparation.targets)}: {kind}"
    )


def _split(table: Table, settings: Data) -> tuple[np.ndarray, np.ndarray]:
    if len(table) < 2:
        raise table.refused("expected at least two rows, one to train and one to hold out, got one")
    order = np.random.default_rng(settings.seed).permutation(len(table))
    held_out = min(max(round(len(table) * settings.validation_fraction), 1), len(table) - 1)
    return order[held_out:], order[:held_out]


def _on_device(x: np.ndarray, y: np.ndarray) -> Rows:
    return Rows(jax.device_put(x), jax.device_put(y))
