"""Fits a preparation: column types from all rows, every number from the training rows only."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from densefn.data import cells
from densefn.data.columns import Block, Category, Column, Flag, Number
from densefn.data.fit_target import array_target, table_target
from densefn.data.large_integers import refuse_rounded, refuse_rounded_cells
from densefn.data.moments import Moments, are_constant
from densefn.data.preparation import Preparation, encode
from densefn.data.table import DataError, Table, blaming
from densefn.data.targets import Classes, Target

_MOST_LEVELS = 1_000
_MOSTLY = 0.95
"""A column of categories is left out if its rare levels hold at least this fraction of the training rows."""


class Gaps(NamedTuple):
    """How missing values are handled.

    Attributes:
      fill: "mean" or "median", of the training rows, for numbers.
      indicator: whether a column with gaps in the training rows gets a second column that marks them.
      rare: categories with fewer training rows than this have no encoded column.
    """

    fill: str = "mean"
    indicator: bool = False
    rare: int = 2


def fit_table(
    table: Table, train: np.ndarray, *, targets: tuple[str, ...], ignore: tuple[str, ...], categorical: tuple[str, ...],
    task: str | None, gaps: Gaps,
) -> Preparation:  # fmt: skip
    """Fits the columns of a table.

    Args:
      table: all rows.
      train: the indices of the training rows.
      targets: names of the target columns.
      ignore: names of columns that are not inputs.
      categorical: names of columns that are categories whatever they hold.
      task: "classification", "regression" or None, which chooses by what the target holds.
      gaps: how missing values are handled.

    Raises:
      DataError: names what cannot be fitted.
    """
    if table.has_arrays:
        raise table.error("expected a table, got arrays")
    for key, names in {"target": targets, "ignore": ignore, "categorical": categorical}.items():
        with blaming(key):
            for name in names:
                table.series(name)
    with blaming("target"):
        target = table_target(table, train, targets, task)
    others = {*targets, *ignore}
    inputs = [name for name in table.inputs if name not in others]
    if not inputs:
        raise table.error("expected a column beside the target and those that are ignored, got none")
    kinds = {name: "text" if name in categorical else cells.column_type(table, name) for name in inputs}
    columns, left_out = [], []
    for name in inputs:
        column = _column(table, train, name, kinds[name], gaps)
        (left_out if isinstance(column, str) else columns).append(column)
    if not columns:
        raise table.error(f"expected a column that differs between the rows, got none: {'; '.join(left_out)}")
    return replace(_with_scale(tuple(columns), table, train, target), left_out=tuple(left_out))


def fit_arrays(
    table: Table, train: np.ndarray, *, inputs: str = "x", target: str | int = "y", task: str | None = None,
    classes: Sequence[str] | None = None, labels: Sequence[str] | None = None,
) -> Preparation:  # fmt: skip
    """Fits the columns of arrays. An array of bytes holds pixels, which share one mean and one scale.

    Args:
      table: all rows.
      train: the indices of the training rows.
      inputs: the name of the array of inputs.
      target: the name of the array of targets, or the number of their column in the array of inputs.
      task: as for `fit_table`.
      classes: the names of classes whose numbers, from 0, are in the array; None names them by the array's values.
      labels: names of the input columns; None numbers them.
    """
    column = target if isinstance(target, int) else None
    name = inputs if isinstance(target, int) else target
    with blaming("target"):
        fitted = (
            Classes(name, tuple(classes), "index")
            if classes is not None
            else array_target(table, train, name, column, task)
        )
    with blaming("inputs"):
        array = table.array(inputs)
        refuse_rounded(table, inputs, array, "", but=column)
    shape = array.shape[1:] or (1,)
    if column is not None:
        shape = (shape[0] - 1,)
        column %= array.shape[1]
    if 0 in shape:
        raise table.error(f"{inputs}: expected columns beside the target, got the shape {list(array.shape)}")
    block = Block(inputs, shape, None if labels is None else tuple(labels), column)
    return _with_scale((block,), table, train, fitted, is_one_unit=array.dtype == np.uint8)


def _with_scale(
    columns: tuple[Column, ...], table: Table, train: np.ndarray, target: Target, *, is_one_unit: bool = False
) -> Preparation:
    """Fits mean and scale of each column, or one of both for all, in one pass over the file.

    The pass also encodes every row once, so a cell that cannot be used is found before the training begins.
    """
    is_scaled = np.array([flag for column in columns for flag in column.is_scaled])
    is_train = np.zeros(len(table), bool)
    is_train[train] = True
    found = Moments()
    for place, part in table.chunks(len(is_scaled)):
        values = encode(columns, part)[is_train[place]]
        found = found.with_rows(values.reshape(-1, 1) if is_one_unit else values)
    if are_constant(found.lowest, found.highest).all():
        raise table.error("expected inputs that differ between rows, got the same inputs in all training rows")
    mean, scale = found.mean_and_scale()
    mean, scale = np.where(is_scaled, mean, 0.0), np.where(is_scaled, scale, 1.0)
    return Preparation(columns, tuple(mean.tolist()), tuple(scale.tolist()), target, gaps=table.gaps)


def _column(table: Table, train: np.ndarray, name: str, kind: str, gaps: Gaps) -> Column | str:
    """The fitted column, or the reason why it is left out."""
    with blaming("ignore"):
        if kind == "date":
            raise table.cell_error(
                0, name, "this column holds dates, not numbers; add columns of numbers (a year, days since the "
                f"first date), and put {name!r} in data.ignore",
            )  # fmt: skip
        if kind == "with unit":
            row, cell = cells.first_with_unit(table, name)
            raise table.cell_error(
                row, name, f"expected a number, got {cell!r}; write it without signs, units and commas, as 1234.5; or "
                f"name {name!r} in data.categorical if these are categories, or in data.ignore",
            )  # fmt: skip
        if kind == "empty":
            raise table.error(f"column {name!r}: every row's value is missing; put it in data.ignore")
    if kind == "text":
        with blaming("categorical" if table.series(name).dtype.is_numeric() else "ignore"):
            return _category(table, train, name, gaps.rare)
    try:
        values = (cells.numbers if kind == "number" else cells.flags)(table, name)[train]
    except DataError as error:
        hint = (
            f"{name!r} is taken for numbers; name the cell in data.missing_values if it is a gap, or the column in "
            "data.categorical or data.ignore"
        )
        raise DataError(f"{error}; {hint}") from None
    with blaming("ignore"):
        refuse_rounded_cells(table, name, values, ", or put the column in data.categorical or data.ignore")
    present = values[~np.isnan(values)]
    if not len(present):
        raise table.error(f"column {name!r}: every training row's value is missing; put it in data.ignore")
    has_gaps = len(present) < len(values)
    indicator = gaps.indicator and has_gaps
    if are_constant(present.min(), present.max()) and not indicator:
        return _constant_note(name, "the same or missing" if has_gaps else "the same", len(values))
    if kind == "flag":
        return Flag(name, float(present.mean()), indicator)
    return Number(name, float(np.median(present) if gaps.fill == "median" else present.mean()), indicator)


def _constant_note(name: str, what: str, rows: int) -> str:
    return f"column {name!r}: {what} in all {rows:,} training rows; left out"


def _category(table: Table, train: np.ndarray, name: str, rare: int) -> Category | str:
    """The fitted column, or the reason why it is left out: nearly all training rows would have the same encoding."""
    counts = Counter(cells.text(table, name)[train])
    levels = sorted(cell for cell, count in counts.items() if cell is not None and count >= rare)
    if len(levels) > _MOST_LEVELS:
        raise table.error(
            f"column {name!r}: expected at most {_MOST_LEVELS:,} categories, got {len(levels):,}; put it in "
            "data.ignore, or raise data.rare"
        )
    if len(counts) == 1:
        return _constant_note(name, "the same", len(train))
    if sum(count for count in counts.values() if count < rare) >= _MOSTLY * len(train):
        return f"column {name!r}: {len(counts):,} levels in {len(train):,} training rows, mostly rare; left out"
    return Category(name, tuple(levels), counts[None] >= rare)
