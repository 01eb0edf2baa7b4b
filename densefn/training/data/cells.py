"""Cells as numbers, truth values or text; a gap is NaN or null.

A cell of text is a gap if it is empty or one of `GAPS`, whatever its case; spaces around it do not count.
"""

import math

import numpy as np
import polars as pl

from densefn.training.data.table import DataError, Table

GAPS = ("", "na", "n/a", "nan", "null", "none")
LARGEST = float(np.finfo(np.float32).max)

_DATE = r"^(\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{4}/\d{1,2}/\d{1,2})$"


def numbers(table: Table, name: str) -> np.ndarray:
    """A column as float64 `[rows]`, with NaN in the gaps.

    Raises:
      DataError: at a cell that holds no number, or one that is infinite or beyond float32.
    """
    series = table.series(name)
    if series.dtype == pl.String:
        cells = text(table, name)
        parsed = cells.cast(pl.Float64, strict=False)
        wrong = (cells.is_not_null() & parsed.is_null()).arg_true()
        if len(wrong):
            raise table.error(wrong[0], name, f"expected a number, got {_short(cells[wrong[0]])}")
    elif series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null):
        parsed = series.cast(pl.Float64)
    else:
        raise _unusable(table, name)
    values = parsed.to_numpy().astype(np.float64)
    beyond = np.flatnonzero(np.abs(values) > LARGEST)
    if len(beyond):
        raise table.error(beyond[0], name, f"expected a finite number, of float32, got {series[int(beyond[0])]}")
    return values


def text(table: Table, name: str) -> pl.Series:
    """A column as text, with null in the gaps; numbers are written as `canonical` does it."""
    series = table.series(name)
    if series.dtype.is_float():
        return canonical(numbers(table, name))
    if series.dtype == pl.Boolean or series.dtype.is_integer():
        return series.cast(pl.String)
    if series.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        raise _unusable(table, name)
    stripped = series.cast(pl.String).str.strip_chars()
    return stripped.set(stripped.str.to_lowercase().is_in(GAPS), None)


def flags(table: Table, name: str) -> np.ndarray:
    """A column of true and false, or 1 and 0, as float64 `[rows]` of 1 and 0 with NaN in the gaps."""
    cells = text(table, name)
    lowered = cells.str.to_lowercase()
    values = np.where(lowered.is_in(["true", "1"]), 1.0, np.where(lowered.is_in(["false", "0"]), 0.0, np.nan))
    wrong = np.flatnonzero(np.isnan(values) & cells.is_not_null().to_numpy())
    if len(wrong):
        raise table.error(wrong[0], name, f"expected true or false, got {_short(cells[int(wrong[0])])}")
    return values


def canonical(values: np.ndarray) -> pl.Series:
    """Numbers as text, whole ones without a point: the classes 1 and 1.0 are the same; NaN is null."""
    written = [None if math.isnan(v) else str(int(v)) if v.is_integer() else repr(v) for v in map(float, values)]
    return pl.Series(written, dtype=pl.String)


def beyond_float32(array: np.ndarray) -> tuple[int, int] | None:
    """The place of the first number in `[rows, columns]` that is not finite in float32, if there is one."""
    if array.min() >= -LARGEST and array.max() <= LARGEST:  # neither is so where there is a NaN
        return None
    row, column = np.argwhere(~(np.abs(array) <= LARGEST))[0]
    return int(row), int(column)


def kind(table: Table, name: str) -> str:
    """What a column holds: "number", "flag", "text", "date" or "nothing".

    A column of text holds numbers if more than half of its cells are, those that are not being mistakes.
    """
    series = table.series(name).drop_nulls()
    if series.dtype.is_temporal():
        return "date"
    cells = series.drop_nans() if series.dtype.is_numeric() else text(table, name).drop_nulls()
    if cells.is_empty():
        return "nothing"
    if series.dtype == pl.Boolean or series.dtype.is_numeric():
        return "flag" if series.dtype == pl.Boolean else "number"
    if cells.str.to_lowercase().is_in(["true", "false"]).all():
        return "flag"
    if cells.str.contains(_DATE).all():
        return "date"
    return "number" if cells.cast(pl.Float64, strict=False).is_not_null().sum() > len(cells) / 2 else "text"


def _unusable(table: Table, name: str) -> DataError:
    dtype = table.series(name).dtype
    return DataError(f"{table.path}: column {name!r}: expected numbers, text, or true and false, got {dtype}")


def _short(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else cell[:37] + "...")
