"""Encodes targets, classes or numbers, for training, and decodes a model's outputs."""

from abc import abstractmethod
from dataclasses import replace
from typing import Annotated, NamedTuple

import numpy as np
import polars as pl

from densefn import _checks
from densefn._values import Value
from densefn.data import cells
from densefn.data.columns import checked_array
from densefn.data.table import Table


class Decoded(NamedTuple):
    """Decoded outputs of a model.

    Attributes:
      values: `[rows]` of names of classes, or `[rows, targets]` of numbers in the target's own units.
      probabilities: `[rows, classes]`; None for numbers.
    """

    values: np.ndarray
    probabilities: np.ndarray | None


class Target(Value):
    """Base of the targets."""

    tag = "kind"

    @property
    @abstractmethod
    def titles(self) -> tuple[str, ...]:
        """The names of the target columns."""

    @abstractmethod
    def labels(self, table: Table) -> np.ndarray:
        """The encoded targets: `[rows]` of int32, or `[rows, targets]` of float32.

        Raises:
          DataError: names the rows without a target, or with a class that the training rows lack.
        """

    @abstractmethod
    def decode(self, outputs: np.ndarray) -> Decoded:
        """Decodes a model's outputs `[rows, outputs]` to classes or numbers."""


class Classes(Target):
    """A target that is one of several classes.

    Args:
      name: the name of the column or array.
      names: the names of the classes.
      form: how the file writes them: "text", "number" (1 and 1.0 are the same class), "flag", or "index" (the
        position in `names`, from 0).
      column: the index of the target's column in an array with several; None for an array of targets alone.

    >>> target = Classes("species", ("setosa", "virginica"), "text")
    >>> target.labels(Table("flowers", {"species": pl.Series(["virginica", "setosa"])}))
    array([1, 0], dtype=int32)
    """

    name: Annotated[str, _checks.text]
    names: Annotated[tuple[str, ...], _checks.several(_checks.text)]
    form: Annotated[str, _checks.choice("text", "number", "flag", "index")]
    column: Annotated[int | None, _checks.optional(_checks.integer)] = None

    @property
    def titles(self) -> tuple[str, ...]:
        return (self.name,)

    def check_together(self) -> None:
        if len(set(self.names)) < max(2, len(self.names)):
            raise ValueError(f"expected at least two names of classes, all different, got {list(self.names)}")

    def labels(self, table: Table) -> np.ndarray:
        found = class_texts(table, self.name, self.form, self.column)
        refuse_missing(table, self.name, found.is_null().to_numpy())
        known = map(str, range(len(self.names))) if self.form == "index" else self.names
        numbers = {name: number for number, name in enumerate(known)}
        labels = np.array([numbers.get(cell, -1) for cell in found], np.int32)
        unknown = np.flatnonzero(labels < 0)
        if len(unknown):
            some = ", ".join(self.names[:10]) + ", ..." * (len(self.names) > 10)
            row = int(unknown[0])
            raise table.cell_error(
                row, self.name, f"expected a class of the training rows ({some}), got {found[row]!r}"
            )
        return labels

    def decode(self, outputs: np.ndarray) -> Decoded:
        logits = np.asarray(outputs, np.float64)
        if logits.shape[-1] == 1:  # the logit of the second of two classes
            logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
        # A common factor cancels in the softmax: without the subtraction, logits above 709 would overflow.
        odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return Decoded(np.array(self.names)[logits.argmax(axis=-1)], odds / odds.sum(axis=-1, keepdims=True))


class Numbers(Target):
    """A target of one or several numbers, standardised for training.

    Args:
      names: the names of the columns, or of the one array.
      mean: the mean of each number over the training rows.
      scale: the divisor of each number.
      column: the index of the target's column in an array with several; None for an array of targets alone.
    """

    names: Annotated[tuple[str, ...], _checks.several(_checks.text)]
    mean: Annotated[tuple[float, ...], _checks.several(_checks.number())]
    scale: Annotated[tuple[float, ...], _checks.several(_checks.number(above=0))]
    column: Annotated[int | None, _checks.optional(_checks.integer)] = None

    @property
    def titles(self) -> tuple[str, ...]:
        if len(self.names) == len(self.mean):
            return self.names
        return tuple(f"{self.names[0]}[{number}]" for number in range(len(self.mean)))

    def check_together(self) -> None:
        if not (self.names and len(self.mean) == len(self.scale) and len(self.names) in (1, len(self.mean))):
            counts = f"{len(self.names)}, {len(self.mean)} and {len(self.scale)}"
            raise ValueError(f"expected as many names as means and scales, got {counts}")

    def labels(self, table: Table) -> np.ndarray:
        raw = target_numbers(table, self.names, self.column)
        if raw.shape[1] != len(self.mean):
            raise table.error(f"expected {len(self.mean)} targets per row, got {raw.shape[1]}")
        return ((raw - self.mean) / self.scale).astype(np.float32)

    def decode(self, outputs: np.ndarray) -> Decoded:
        return Decoded(np.asarray(outputs, np.float64) * self.scale + self.mean, None)


TARGETS: dict[str, type[Target]] = {cls.__name__: cls for cls in (Classes, Numbers)}


as_target = _checks.described_value("target", TARGETS, Target)
"""A target, or the table that describes one."""


def class_texts(table: Table, name: str, form: str, column: int | None = None) -> pl.Series:
    """The class of each row as text, with null in the gaps."""
    if table.has_arrays:
        array = _of_array(table, name, column)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            raise table.error(f"{name}: expected one class per row, got the shape {list(array.shape)}")
        if array.dtype.kind in "iuf":
            return cells.numbers_as_text(array)
        table = replace(table, columns={name: pl.Series(array.astype(str))})
    if form in ("number", "index"):
        return cells.numbers_as_text(cells.numbers(table, name))
    text = cells.text(table, name)
    return text.str.to_lowercase() if form == "flag" else text


def target_numbers(table: Table, names: tuple[str, ...], column: int | None = None) -> np.ndarray:
    """The numbers `[rows, targets]`, none of them missing."""
    if not table.has_arrays:
        columns = [cells.numbers(table, name) for name in names]
        for name, values in zip(names, columns, strict=True):
            refuse_missing(table, name, np.isnan(values))
        return np.stack(columns, axis=1)
    array = _of_array(table, names[0], column)
    if array.dtype.kind not in "biuf" or array.ndim > 2:
        raise table.error(
            f"{names[0]}: expected numbers [rows] or [rows, targets], got {array.dtype} of {list(array.shape)}"
        )
    flat = array.reshape(len(array), -1).astype(np.float64)
    refuse_missing(table, names[0], np.asarray(np.isnan(flat).any(axis=1)))
    return checked_array(table, names[0], flat)


def refuse_missing(table: Table, name: str, gaps: np.ndarray) -> None:
    """Raises `DataError` if a target is missing; the message says which cells count as missing."""
    rows = np.flatnonzero(gaps).tolist()
    if rows:
        others = f" here and in {table.places(rows[1:])}" if rows[1:] else ""
        fix = "fill it in or take the row out"
        if written := _written(table, name, rows):
            texts = f"{', '.join(map(cells.shortened, written[:5]))}{', ...' * (len(written) > 5)}"
            change = "write another name for a class" if table.has_arrays else "data.missing_values = [] changes that"
            fix += f"; {texts} {'count' if written[1:] else 'counts'} as missing: {change}"
        raise table.cell_error(rows[0], name, f"the target is missing{others}; {fix}")


def _written(table: Table, name: str, rows: list[int]) -> list[str]:
    """The distinct values of a column or of an array of text, without NaN and empty cells."""
    if not table.has_arrays:
        found = table.series(name)[rows].to_list()
    elif (array := table.array(name)).dtype.kind == "U":
        found = array[rows].ravel().tolist()
    else:
        found = []
    return sorted({str(cell).strip() for cell in found if cell is not None} - {"", "nan"})


def _of_array(table: Table, name: str, column: int | None) -> np.ndarray:
    array = table.array(name)
    if column is None:
        return array
    if array.ndim != 2 or not -array.shape[1] <= column < array.shape[1]:
        raise table.error(
            f"expected an array [rows, columns] with a column {column}, got the shape {list(array.shape)}"
        )
    return array[:, column]
