"""Reads cells as numbers, as true and false, or as text. A gap becomes NaN or null.

A cell is a gap if it is empty or one of the table's `gaps`. Case and surrounding spaces are ignored.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import polars as pl

from densefn.data.table import DataError, Table

LARGEST = float(np.finfo(np.float32).max)

_TIME = r"\d{1,2}:\d\d(:\d\d([.,]\d+)?)?( ?[ap]\.?m\.?)?( ?(z|utc|gmt|[+-]\d\d:?\d\d))?"
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DAY = (
    r"((mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,? )?"
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}"
    rf"|\d{{1,2}}\.?[ -]{_MONTH},?[ -]\d{{2,4}}"
    rf"|{_MONTH} \d{{1,2}},? \d{{4}})"
)
# Common forms of dates only: a text column is refused as one of dates, so a false match costs more than a miss.
_DATE = re.compile(rf"{_DAY}([t ,]+{_TIME})?|{_TIME}", re.IGNORECASE)
_SIGNS = "$€£¥%‰°"
_WITH_UNIT = re.compile(
    rf"[-+]?[{_SIGNS}]? ?[-+]?\d[\d.,' ]*([{_SIGNS}]| [a-zµ{_SIGNS}]{{1,4}}|[kmc]?m|[km]?g|lbs?)?", re.IGNORECASE
)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?inf")
_WHOLE = re.compile(r"^(-?(?:0|[1-9]\d*))\.0+$")
# A leading zero marks a code, such as a postal one; float64 holds 15 digits of any number.
_CODE = re.compile(r"0\d+|-?\d{16,}")
_FLAGS = {"true": 1.0, "1": 1.0, "false": 0.0, "0": 0.0}


def numbers(table: Table, name: str) -> np.ndarray:
    """A column as float64 `[rows]`, with NaN in the gaps.

    Raises:
      DataError: at a cell that holds no number, or one that is infinite or beyond float32.
    """
    series = table.series(name)
    if series.dtype == pl.String:
        values = _parsed(table, name)
    elif series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null):
        values = series.cast(pl.Float64).to_numpy().astype(np.float64)
    else:
        raise _unusable(table, name)
    if gaps := [float(gap) for gap in table.gaps if _NUMBER.fullmatch(gap)]:
        # -9.9 in a Float32 column is another number than in float64, so a gap is rounded as its column is.
        same = np.float32 if series.dtype == pl.Float32 else np.float64
        values = np.where(np.isin(values, np.array(gaps, same).astype(np.float64)), np.nan, values)
    beyond = np.flatnonzero(np.abs(values) > LARGEST)
    if len(beyond):
        got = str(series[int(beyond[0])])[:40]
        raise table.cell_error(int(beyond[0]), name, f"expected a number that is finite in float32, got {got}")
    return values


def text(table: Table, name: str) -> pl.Series:
    """A column as text, with null in the gaps; numbers are written as `numbers_as_text` does it."""
    series = table.series(name)
    if series.dtype.is_float():
        return numbers_as_text(numbers(table, name))
    is_text = series.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null, pl.Boolean)
    if not (is_text or series.dtype.is_integer()):
        raise _unusable(table, name)
    cells = series.cast(pl.String).to_list()
    contents = {cell: _content(table, cell) for cell in set(cells)}
    return pl.Series([contents[cell] for cell in cells], dtype=pl.String)


def _content(table: Table, cell: str | None) -> str | None:
    content = "" if cell is None else normalized(cell)
    return None if not content or content.lower() in table.gaps else content


def normalized(cell: str) -> str:
    """A cell without surrounding spaces, and with 1.0 written as 1."""
    return _WHOLE.sub(r"\1", cell.strip())


def _parsed(table: Table, name: str) -> np.ndarray:
    """The numbers in a column of text.

    Any Polars operation but a cast costs 0.1 ms per series, however short. A table of many columns therefore gets one
    cast per column, and Python handles the few cells that the cast could not parse.
    """
    series = table.series(name)
    values = series.cast(pl.Float64, strict=False).to_numpy()
    rest = np.flatnonzero(np.isnan(values))
    if not len(rest):
        return values
    cells = series.to_list()
    contents = pl.Series([_content(table, cells[row]) for row in rest], dtype=pl.String)
    parsed = contents.cast(pl.Float64, strict=False)
    for row, content, number in zip(rest, contents, parsed, strict=True):
        if content is not None and (number is None or math.isnan(number)):
            raise table.cell_error(int(row), name, f"expected a number, got {shortened(content)}")
    values = values.copy()
    values[rest] = parsed.to_numpy()
    return values


def flags(table: Table, name: str) -> np.ndarray:
    """A column of true and false, or 1 and 0, as float64 `[rows]` of 1 and 0 with NaN in the gaps."""
    cells = text(table, name).to_list()
    values = np.array([math.nan if cell is None else _FLAGS.get(cell.lower(), math.inf) for cell in cells])
    wrong = np.flatnonzero(np.isinf(values))
    if len(wrong):
        raise table.cell_error(wrong[0], name, f"expected true or false, got {shortened(cells[wrong[0]])}")
    return values


def numbers_as_text(values: np.ndarray) -> pl.Series:
    """Numbers as text. Whole ones have no point, so the classes 1 and 1.0 are the same; NaN is null."""
    if values.dtype.kind in "iu":  # float64 has too few digits for some of them
        return pl.Series(list(map(str, values.tolist())), dtype=pl.String)
    written = [None if math.isnan(v) else str(int(v)) if v.is_integer() else repr(v) for v in map(float, values)]
    return pl.Series(written, dtype=pl.String)


def beyond_float32(array: np.ndarray) -> tuple[int, int] | None:
    """The place of the first number in `[rows, columns]` that is not finite in float32, if there is one."""
    if array.min() >= -LARGEST and array.max() <= LARGEST:  # both are false for a NaN
        return None
    row, column = np.argwhere(~(np.abs(array) <= LARGEST))[0]
    return int(row), int(column)


def column_type(table: Table, name: str) -> str:
    """The type of a column: "number", "flag", "text", "date", "with unit" (numbers with signs or units) or "empty".

    A text column is numeric, or one of dates, if more than half of its cells parse as such. The other cells are errors.
    """
    series = table.series(name)
    if series.dtype.is_temporal():
        return "date" if series.null_count() < len(series) else "empty"
    if series.dtype in (pl.Boolean, pl.String) or series.dtype.is_numeric():
        gaps = np.isnan(series.cast(pl.Float64, strict=False).to_numpy())
        if series.dtype != pl.String and gaps.all():
            return "empty"
        if series.dtype != pl.String or not gaps.any():
            return "flag" if series.dtype == pl.Boolean else "number"
    return _type_of_text(Counter(text(table, name).to_list()))


def _type_of_text(counts: Counter[str | None]) -> str:
    del counts[None]
    if not counts:
        return "empty"
    cells = [cell for cell in counts if cell is not None]
    if all(cell.lower() in ("true", "false") for cell in cells):
        return "flag"
    if _count(counts, [cell for cell in cells if _DATE.fullmatch(cell)]) > counts.total() / 2:
        return "date"
    read = pl.Series(cells, dtype=pl.String).cast(pl.Float64, strict=False).to_numpy()
    found = _count(counts, [cell for cell, number in zip(cells, read, strict=True) if not math.isnan(number)])
    if found > counts.total() / 2:
        return "number"
    return "with unit" if _count(counts, filter(_WITH_UNIT.fullmatch, cells)) > counts.total() / 2 else "text"


def _count(counts: Counter[str | None], cells: Iterable[str]) -> int:
    return sum(counts[cell] for cell in cells)


def are_codes(table: Table, name: str) -> bool:
    """Whether a column holds codes such as 007, or whole numbers beyond 2^53: float64 would merge some of them."""
    series = table.series(name)
    if series.dtype.is_integer():
        return beyond_float64(series.min(), series.max())
    return series.dtype == pl.String and any(cell and _CODE.fullmatch(cell) for cell in text(table, name))


def beyond_float64(lowest: Any, highest: Any) -> bool:
    """Whether float64 rounds some whole numbers from `lowest` to `highest`."""
    return int(lowest) < -(2**53) or int(highest) > 2**53


def first_with_unit(table: Table, name: str) -> tuple[int, str]:
    """The row and the text of the first cell that is a number with signs or a unit."""
    return next((row, cell) for row, cell in non_numbers(table, name) if _WITH_UNIT.fullmatch(cell))


def non_numbers(table: Table, name: str) -> Iterator[tuple[int, str]]:
    """The row and the text of each cell that is not a number."""
    cells = text(table, name)
    for row, (cell, number) in enumerate(zip(cells, cells.cast(pl.Float64, strict=False), strict=True)):
        if cell is not None and number is None:
            yield row, cell


def _unusable(table: Table, name: str) -> DataError:
    dtype = table.series(name).dtype
    return DataError(f"{table.path}: column {name!r}: expected numbers, text, or true and false, got {dtype}")


def shortened(cell: str) -> str:
    """A cell in quotes for a message, cut after 37 characters."""
    return repr(cell if len(cell) <= 40 else cell[:37] + "...")
