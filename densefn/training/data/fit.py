"""Fitting a preparation: types from all rows of a file, every figure from its training rows alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from densefn.training.data import cells
from densefn.training.data.columns import Block, Category, Column, Flag, Number
from densefn.training.data.moments import Moments, are_constant
from densefn.training.data.preparation import Preparation, encode
from densefn.training.data.table import DataError, Table, blaming
from densefn.training.data.targets import Classes, Numbers, Target, class_texts, refuse_gaps, target_numbers

_MOST_LEVELS = 1_000
_MOST_CLASSES = 10_000
_MOSTLY = 0.95
"""A category whose rare levels have this part of the training rows is left out."""
_FEW = 20
"""Up to as many whole numbers are taken for classes, if there are five rows of each on average."""


class Gaps(NamedTuple):
    """What is done about missing values.

    Attributes:
      fill: "mean" or "median", of the training rows, for numbers.
      indicator: whether a column that has gaps in training rows is given a second one that says where.
      rare: categories of fewer training rows than this have no place of their own.
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
      train: the numbers of the training rows.
      targets: names of the target columns.
      ignore: names of columns that are no input.
      categorical: names of columns that are categories whatever is in them.
      task: "classification", "regression" or None, which chooses by what the target holds.
      gaps: what is done about missing values.

    Raises:
      DataError: names what cannot be fitted.
    """
    if table.has_arrays:
        raise table.refused("expected a table, got arrays")
    for key, names in {"target": targets, "ignore": ignore, "categorical": categorical}.items():
        with blaming(key):
            for name in names:
                table.series(name)
    with blaming("target"):
        target = _table_target(table, train, targets, task)
    others = {*targets, *ignore}
    inputs = [name for name in table.inputs if name not in others]
    if not inputs:
        raise table.refused("expected a column beside the target and those that are ignored, got none")
    kinds = {name: "text" if name in categorical else cells.kind(table, name) for name in inputs}
    columns, left_out = [], []
    for name in inputs:
        column = _column(table, train, name, kinds[name], gaps)
        (left_out if isinstance(column, str) else columns).append(column)
    if not columns:
        raise table.refused(f"expected a column that says something of the rows, got none: {'; '.join(left_out)}")
    return replace(_with_scale(tuple(columns), table, train, target), left_out=tuple(left_out))


def fit_arrays(
    table: Table, train: np.ndarray, *, inputs: str = "x", target: str | int = "y", task: str | None = None,
    classes: Sequence[str] | None = None, labels: Sequence[str] | None = None,
) -> Preparation:  # fmt: skip
    """Fits arrays; bytes are pixels, of which all have one unit, and one mean and scale.

    Args:
      table: all rows.
      train: the numbers of the training rows.
      inputs: the name of the array of inputs.
      target: the name of the array of targets, or the number of their column in the array of inputs.
      task: as of `fit_table`.
      classes: the names of classes that are numbered from 0; None names them by what stands in the array.
      labels: the names of the inputs; None numbers them.
    """
    column = target if isinstance(target, int) else None
    name = inputs if isinstance(target, int) else target
    with blaming("target"):
        fitted = (
            Classes(name, tuple(classes), "index")
            if classes is not None
            else _array_target(table, train, name, column, task)
        )
    with blaming("inputs"):
        array = table.array(inputs)
    shape = array.shape[1:] or (1,)
    if column is not None:
        shape = (shape[0] - 1,)
        column %= array.shape[1]
    if 0 in shape:
        raise table.refused(f"{inputs}: expected columns beside the target, got the shape {list(array.shape)}")
    block = Block(inputs, shape, None if labels is None else tuple(labels), column)
    return _with_scale((block,), table, train, fitted, is_one_unit=array.dtype == np.uint8)


def _with_scale(
    columns: tuple[Column, ...], table: Table, train: np.ndarray, target: Target, *, is_one_unit: bool = False
) -> Preparation:
    """Fits mean and scale of the columns, or of all of them together, in one pass over the file, which checks it."""
    is_scaled = np.array([flag for column in columns for flag in column.is_scaled])
    is_train = np.zeros(len(table), bool)
    is_train[train] = True
    found = Moments()
    for place, part in table.parts(len(is_scaled)):
        values = encode(columns, part)[is_train[place]]
        found = found.with_rows(values.reshape(-1, 1) if is_one_unit else values)
    if are_constant(found.lowest, found.highest).all():
        raise table.refused("expected inputs that differ, and all training rows have the same")
    mean, scale = found.mean_and_scale()
    mean, scale = np.where(is_scaled, mean, 0.0), np.where(is_scaled, scale, 1.0)
    return Preparation(columns, tuple(mean.tolist()), tuple(scale.tolist()), target, gaps=table.gaps)


def _column(table: Table, train: np.ndarray, name: str, kind: str, gaps: Gaps) -> Column | str:
    """The column; or why it says nothing of the training rows."""
    with blaming("ignore"):
        if kind == "date":
            raise table.error(
                0, name, "this column holds dates, which are no numbers; write what matters of them in columns of "
                f"their own (a year, days since the first), and put {name!r} in data.ignore",
            )  # fmt: skip
        if kind == "marked":
            row, cell = cells.marked(table, name)
            raise table.error(
                row, name, f"expected a number, got {cell!r}; write it without signs, units and commas, as 1234.5; or "
                f"name {name!r} in data.categorical if these are categories, or in data.ignore",
            )  # fmt: skip
        if kind == "nothing":
            raise table.refused(f"column {name!r}: every row's value is missing; put it in data.ignore")
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
    present = values[~np.isnan(values)]
    if not len(present):
        raise table.refused(f"column {name!r}: every training row's value is missing; put it in data.ignore")
    has_gaps = len(present) < len(values)
    indicator = gaps.indicator and has_gaps
    if are_constant(present.min(), present.max()) and not indicator:
        return _said_constant(name, "the same or missing" if has_gaps else "the same", len(values))
    if kind == "flag":
        return Flag(name, float(present.mean()), indicator)
    return Number(name, float(np.median(present) if gaps.fill == "median" else present.mean()), indicator)


def _said_constant(name: str, what: str, rows: int) -> str:
    return f"column {name!r}: {what} in all {rows:,} training rows; left out"


def _category(table: Table, train: np.ndarray, name: str, rare: int) -> Category | str:
    """The column; or why it is left out: (nearly) all of the training rows have one place."""
    counts = Counter(cells.text(table, name)[train])
    levels = sorted(cell for cell, count in counts.items() if cell is not None and count >= rare)
    if len(levels) > _MOST_LEVELS:
        raise table.refused(
            f"column {name!r}: expected at most {_MOST_LEVELS:,} categories, got {len(levels):,}; put it in "
            "data.ignore, or raise data.rare"
        )
    if len(counts) == 1:
        return _said_constant(name, "the same", len(train))
    if sum(count for count in counts.values() if count < rare) >= _MOSTLY * len(train):
        return f"column {name!r}: {len(counts):,} levels in {len(train):,} training rows, mostly rare; left out"
    return Category(name, tuple(levels), counts[None] >= rare)


def _table_target(table: Table, train: np.ndarray, names: tuple[str, ...], task: str | None) -> Target:
    name, *others = names
    kind = cells.kind(table, name)
    if kind in ("nothing", "date"):
        got = "a date" if kind == "date" else "nothing in any row"
        raise table.error(0, name, f"expected a class or a number, got {got}")
    if kind == "marked" and task != "classification":
        row, cell = cells.marked(table, name)
        raise table.error(
            row, name, f"expected a number or a class, got {cell!r}; write numbers without signs, units and commas, as "
            '1234.5; data.task = "classification" takes them for classes',
        )  # fmt: skip
    mixed = None if others or kind != "number" else next(cells.odd(table, name), None)
    if mixed and task is None:
        row, cell = mixed
        got = f"expected a number, got {cells.short(cell)}"
        raise table.error(row, name, f'{got}; data.task = "classification" takes the column for classes')
    if others and task == "classification":
        raise table.refused(f"expected one target for a classification, got {', '.join(names)}")
    if task is None:
        if others:
            _refuse_one_hot(table, names, target_numbers(table, names))
        of_numbers = others or (kind == "number" and _task(cells.numbers(table, name)) == "regression")
        task = "regression" if of_numbers else "classification"
    if task == "regression":
        return _numbers(table, train, names)
    as_written = kind == "marked" or mixed or (kind == "number" and cells.are_codes(table, name))
    return _classes(table, train, name, "text" if as_written else kind)


def _array_target(table: Table, train: np.ndarray, name: str, column: int | None, task: str | None) -> Target:
    array = table.array(name)
    if task is None:
        of_numbers = array.dtype.kind in "iuf" and (column is None or array.ndim == 2)
        values = target_numbers(table, (name,), column) if of_numbers else None
        if values is not None:
            _refuse_one_hot(table, (name,), values)
        task = "classification" if values is None else _task(values[:, 0]) if values.shape[1] == 1 else "regression"
    if task == "regression":
        return _numbers(table, train, (name,), column)
    kind = array.dtype.kind
    as_written = kind == "U" or (kind in "iu" and cells.beyond_float64(array.min(), array.max()))
    form = "text" if as_written else "flag" if kind == "b" else "number"
    return _classes(table, train, name, form, column)


def _refuse_one_hot(table: Table, names: tuple[str, ...], values: np.ndarray) -> None:
    if values.shape[1] > 1 and np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all():
        raise table.refused(
            f"the targets {', '.join(names)} are one-hot: 0 and 1, one 1 a row; write one column of classes, as "
            'numpy.argmax(y, axis=1) makes it, or set data.task = "regression"'
        )


def _task(values: np.ndarray) -> str:
    present = values[~np.isnan(values)]
    distinct = np.unique(present)
    few = len(distinct) == 2 or (len(distinct) <= _FEW and len(present) >= 5 * len(distinct))
    return "classification" if few and np.all(distinct == np.round(distinct)) else "regression"


def _classes(table: Table, train: np.ndarray, name: str, form: str, column: int | None = None) -> Classes:
    found = class_texts(table, name, form, column)
    refuse_gaps(table, name, found.is_null().to_numpy())
    names = sorted(found.unique(), key=float if form == "number" else None)
    if len(names) < 2:
        raise table.refused(
            f"column {name!r}: expected at least two classes, got {cells.short(names[0])} in all {len(table):,} rows"
        )
    if len(names) > _MOST_CLASSES:
        raise table.refused(
            f"column {name!r}: expected at most {_MOST_CLASSES:,} classes, got {len(names):,}; "
            'data.task = "regression" takes them for numbers'
        )
    seen = found[train].unique()
    if len(seen) < 2:
        raise table.refused(
            f"column {name!r}: expected at least two classes among the training rows, and all {len(train):,} are "
            f"{cells.short(seen[0])}; another data.seed draws others"
        )
    return Classes(name, tuple(names), form, column)


def _numbers(table: Table, train: np.ndarray, names: tuple[str, ...], column: int | None = None) -> Numbers:
    numbers = target_numbers(table, names, column)[train]
    mean, scale = Moments().with_rows(numbers).mean_and_scale()
    return Numbers(names, tuple(mean.tolist()), tuple(scale.tolist()), column)
