"""Fits a target: chooses the task, and finds the classes, or the mean and scale of the training rows."""

import numpy as np

from densefn.data import cells
from densefn.data.large_integers import refuse_rounded, refuse_rounded_cells
from densefn.data.moments import Moments, are_constant
from densefn.data.table import Table
from densefn.data.targets import Classes, Numbers, Target, class_texts, refuse_missing, target_numbers

_MOST_CLASSES = 10_000
_FEW = 20
"""At most this many different whole numbers are taken for classes, if there are five rows of each on average."""


def table_target(table: Table, train: np.ndarray, names: tuple[str, ...], task: str | None) -> Target:
    """The target in columns of a table; arguments as for `fit.fit_table`."""
    name, *others = names
    kind = cells.column_type(table, name)
    if kind in ("empty", "date"):
        got = "a date" if kind == "date" else "nothing in any row"
        raise table.cell_error(0, name, f"expected a class or a number, got {got}")
    if kind == "with unit" and task != "classification":
        row, cell = cells.first_with_unit(table, name)
        raise table.cell_error(
            row, name, f"expected a number or a class, got {cell!r}; write numbers without signs, units and commas, as "
            '1234.5; data.task = "classification" takes them for classes',
        )  # fmt: skip
    mixed = None if others or kind != "number" else next(cells.non_numbers(table, name), None)
    if mixed and task is None:
        row, cell = mixed
        got = f"expected a number, got {cells.shortened(cell)}"
        raise table.cell_error(row, name, f'{got}; data.task = "classification" takes the column for classes')
    if others and task == "classification":
        raise table.error(f"expected one target for a classification, got {', '.join(names)}")
    if task is None:
        if others:
            _refuse_one_hot(table, names, target_numbers(table, names))
        of_numbers = others or (kind == "number" and _task_of_cells(table, name) == "regression")
        task = "regression" if of_numbers else "classification"
    if task == "regression":
        return _numbers(table, train, names)
    as_written = kind == "with unit" or mixed or (kind == "number" and cells.are_codes(table, name))
    return _classes(table, train, name, "text" if as_written else kind)


def array_target(table: Table, train: np.ndarray, name: str, column: int | None, task: str | None) -> Target:
    """The target in an array, or in a column of one; arguments as for `fit.fit_arrays`."""
    array = table.array(name)
    if task is None:
        of_numbers = array.dtype.kind in "iuf" and (column is None or array.ndim == 2)
        values = target_numbers(table, (name,), column) if of_numbers else None
        if values is not None:
            _refuse_one_hot(table, (name,), values)
        if values is None:
            task = "classification"
        elif values.shape[1] > 1:
            task = "regression"
        else:
            task = _task(values[:, 0], len(np.unique(array if column is None else array[:, column])))
    if task == "regression":
        return _numbers(table, train, (name,), column)
    kind = array.dtype.kind
    as_written = kind == "U" or (kind in "iu" and cells.beyond_float64(array.min(), array.max()))
    form = "text" if as_written else "flag" if kind == "b" else "number"
    return _classes(table, train, name, form, column)


def _refuse_one_hot(table: Table, names: tuple[str, ...], values: np.ndarray) -> None:
    if values.shape[1] > 1 and np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all():
        raise table.error(
            f"the targets {', '.join(names)} are one-hot, with a single 1 in each row; write one column of classes, as "
            'numpy.argmax(y, axis=1) makes it, or set data.task = "regression"'
        )


def _task_of_cells(table: Table, name: str) -> str:
    values = cells.numbers(table, name)
    task = _task(values, len(np.unique(values[~np.isnan(values)])))
    if task == "classification" and cells.are_codes(table, name):  # float64 merges some of them
        return _task(values, cells.text(table, name).drop_nulls().n_unique())
    return task


def _task(values: np.ndarray, distinct: int) -> str:
    present = values[~np.isnan(values)]
    few = distinct == 2 or (distinct <= _FEW and len(present) >= 5 * distinct)
    return "classification" if few and np.all(present == np.round(present)) else "regression"


def _classes(table: Table, train: np.ndarray, name: str, form: str, column: int | None = None) -> Classes:
    found = class_texts(table, name, form, column)
    refuse_missing(table, name, found.is_null().to_numpy())
    names = sorted(found.unique(), key=float if form == "number" else None)
    if len(names) < 2:
        raise table.error(
            f"column {name!r}: expected at least two classes, got {cells.shortened(names[0])} in all "
            f"{len(table):,} rows"
        )
    if len(names) > _MOST_CLASSES:
        raise table.error(
            f"column {name!r}: expected at most {_MOST_CLASSES:,} classes, got {len(names):,}; "
            'data.task = "regression" takes them for numbers'
        )
    seen = found[train].unique()
    if len(seen) < 2:
        raise table.error(
            f"column {name!r}: expected at least two classes among the training rows, and all {len(train):,} are "
            f"{cells.shortened(seen[0])}; another data.seed draws others"
        )
    return Classes(name, tuple(names), form, column)


def _numbers(table: Table, train: np.ndarray, names: tuple[str, ...], column: int | None = None) -> Numbers:
    numbers = target_numbers(table, names, column)
    fix = ', or set data.task = "classification"'
    if table.has_arrays:
        array = table.array(names[0])
        refuse_rounded(table, names[0], array if column is None else array[:, column], fix)
    else:
        for number, name in enumerate(names):
            refuse_rounded_cells(table, name, numbers[:, number], fix)
    found = Moments().with_rows(numbers[train])
    if are_constant(found.lowest, found.highest).all():
        raise table.error(
            f"{', '.join(names)}: expected a target that differs, got the same in all {len(train):,} training rows; "
            "another data.seed draws others"
        )
    mean, scale = found.mean_and_scale()
    return Numbers(names, tuple(mean.tolist()), tuple(scale.tolist()), column)
