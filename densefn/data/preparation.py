"""Encodes raw rows for a model, and decodes the model's outputs, by what was fitted on the training rows."""

import json
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np

from densefn import _checks
from densefn._values import Value, build
from densefn.data.cells import beyond_float32
from densefn.data.columns import Category, Column, as_column
from densefn.data.table import DataError, Table
from densefn.data.targets import Classes, Decoded, Numbers, Target, as_target


class Preparation(Value):
    """Encodes raw rows as a model's inputs, and decodes its outputs to classes or numbers.

    Args:
      columns: the columns of the input, in order.
      mean: the mean of each encoded column over the training rows; 0 if it is not standardised.
      scale: the divisor of each encoded column; 1 if it is constant or not standardised.
      target: what the model predicts.
      left_out: one line for each column that was left out, with the reason.
      gaps: the cells that count as missing, as in `Table`. The default is for runs of an earlier densefn, whose files
        lack the key.

    >>> from densefn.data import Bundled, load
    >>> preparation = load(Bundled("iris")).preparation
    >>> preparation.target.titles, len(preparation.mean)
    (('y',), 4)
    """

    columns: Annotated[tuple[Column, ...], _checks.several(as_column)]
    mean: Annotated[tuple[float, ...], _checks.several(_checks.number())]
    scale: Annotated[tuple[float, ...], _checks.several(_checks.number(above=0))]
    target: Annotated[Target, as_target]
    left_out: Annotated[tuple[str, ...], _checks.several(_checks.text)] = ()
    gaps: Annotated[tuple[str, ...], _checks.several(_checks.text)] = ("na", "n/a", "nan", "null", "none")

    def check_together(self) -> None:
        if not self.columns:
            raise ValueError("expected at least one column, got none")
        if not len(self.features) == len(self.mean) == len(self.scale):
            counts = f"{len(self.features)}, {len(self.mean)} and {len(self.scale)}"
            raise ValueError(f"expected as many encoded columns as means and scales, got {counts}")

    @cached_property
    def features(self) -> list[str]:
        """The names of the encoded columns, in order."""
        return [name for column in self.columns for name in column.names]

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes; None for a regression."""
        return self.target.names if isinstance(self.target, Classes) else None

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of the target columns."""
        return self.target.titles

    @property
    def target_mean(self) -> tuple[float, ...] | None:
        """The mean of each target over the training rows; None for classes."""
        return self.target.mean if isinstance(self.target, Numbers) else None

    @property
    def target_scale(self) -> tuple[float, ...] | None:
        """The divisor of each target; None for classes."""
        return self.target.scale if isinstance(self.target, Numbers) else None

    def encode(self, table: Table) -> np.ndarray:
        """Raw rows as numbers `[rows, features]`: one-hot, gaps filled, not yet standardised.

        Raises:
          DataError: names row and column of a cell that cannot be encoded.
        """
        return encode(self.columns, replace(table, gaps=self.gaps))

    def unseen(self, table: Table) -> list[str]:
        """One line for each column of categories with levels that training did not see, or too rarely."""
        table = replace(table, gaps=self.gaps)
        return [said for column in self.columns if isinstance(column, Category) and (said := column.unseen(table))]

    def inputs(self, table: Table) -> np.ndarray:
        """A model's inputs for raw rows, `(encode(table) - mean) / scale`: `[rows, features]` of float32.

        Raises:
          DataError: as `encode`.
        """
        inputs = np.empty((len(table), len(self.features)), np.float32)
        for place, part in table.chunks(len(self.features)):
            inputs[place] = self._inputs(part)
        return inputs

    def _inputs(self, table: Table) -> np.ndarray:
        inputs = self.encode(table) - np.array(self.mean)
        inputs /= np.array(self.scale)
        if beyond := beyond_float32(inputs):
            row, column = beyond
            raise table.cell_error(
                row, self.features[column], "the number is too far from the training rows' for float32"
            )
        return inputs

    def labels(self, table: Table) -> np.ndarray:
        """The encoded targets: `[rows]` of int32, or `[rows, targets]` of standardised float32.

        Raises:
          DataError: names the row of a missing target, or of a class that the training rows do not have.
        """
        return self.target.labels(replace(table, gaps=self.gaps))

    def decode(self, outputs: np.ndarray) -> Decoded:
        """Decodes a model's outputs: names of classes with probabilities, or numbers in the target's units."""
        return self.target.decode(outputs)


def encode(columns: tuple[Column, ...], table: Table) -> np.ndarray:
    """The encoded columns side by side, `[rows, features]`."""
    parts = [column.encode(table) for column in columns]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def read_preparation(path: str | Path) -> Preparation:
    """Reads the `preparation.json` of a run.

    Raises:
      DataError: if it holds none.
    """
    try:
        given = json.loads(Path(path).read_text(encoding="utf-8"))
        return build(Preparation, given if isinstance(given, dict) else {})
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: expected a preparation that densefn wrote: {error}") from None
