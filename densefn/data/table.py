"""Holds raw rows: the columns of a file or data set, and the place of each row in it."""

import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from densefn._values import find

GAPS = ("na", "n/a", "#n/a", "nan", "null", "none", "?", "-")
"""Cells that count as missing by default, besides empty ones; case is ignored."""

_NUMBERS_AT_ONCE = 2**18
_ROWS_AT_ONCE = 2**10


class DataError(ValueError):
    """Rows that cannot be used.

    Attributes:
      key: the key of the section [data] that is at fault.
    """

    def __init__(self, message: str, key: str = "path"):
        ValueError.__init__(self, message)
        self.key = key


@contextmanager
def blaming(key: str) -> Iterator[None]:
    """Names the key of [data] that is at fault in the `DataError`s raised inside."""
    try:
        yield
    except DataError as error:
        raise DataError(str(error), key) from None


@dataclass(frozen=True)
class Table:
    """Rows, column by column.

    Attributes:
      path: the path of the file, or the name of the data set; for messages.
      columns: the columns by name: a series with one cell per row, or an array `[rows, ...]`. An `.npy` file has one
        array, with the name ""; it is found under any name.
      lines: the line of the file on which each row begins; None if the file has no lines.
      rows: the index of each row in the file; None if these are all of its rows.
      notes: decisions about the file that the user should know, one line each.
      index: names of columns that only number the rows; they are not inputs.
      gaps: cells that count as missing besides empty ones, as `cells.normalized` writes them, in lower case.
    """

    path: str
    columns: Mapping[str, pl.Series | np.ndarray]
    lines: np.ndarray | None = None
    rows: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    gaps: tuple[str, ...] = GAPS

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def has_arrays(self) -> bool:
        """Whether the columns are arrays, not series."""
        return isinstance(next(iter(self.columns.values())), np.ndarray)

    @property
    def inputs(self) -> list[str]:
        """The names of the columns that are not the index."""
        return [name for name in self.columns if name not in self.index]

    def take(self, index: np.ndarray | slice) -> "Table":
        """The rows with these indices; messages still name their places in the file."""
        numbers = np.arange(index.start, index.stop) if isinstance(index, slice) else index
        if self.has_arrays or isinstance(index, slice):
            columns: dict[str, Any] = {name: column[index] for name, column in self.columns.items()}
        else:  # indexing costs 0.1 ms per series, or once for a whole frame
            columns = dict(pl.DataFrame(dict(self.columns))[index].to_dict())
        lines = None if self.lines is None else self.lines[index]
        rows = numbers if self.rows is None else self.rows[index]
        return replace(self, columns=columns, lines=lines, rows=rows)

    def chunks(self, width: int) -> Iterator[tuple[slice, "Table"]]:
        """Chunks of rows in order, each small enough for a fast cache at `width` numbers a row.

        Chunks of a table are larger: each column has a fixed cost per chunk.
        """
        size = max(1 if self.has_arrays else _ROWS_AT_ONCE, _NUMBERS_AT_ONCE // width)
        for start in range(0, len(self), size):
            place = slice(start, min(start + size, len(self)))
            yield place, self.take(place)

    def series(self, name: str) -> pl.Series:
        """A column of single cells."""
        if self.has_arrays:
            raise self.error(f"expected a table with the column {name!r}, got arrays")
        return cast(pl.Series, self._column(name))

    def array(self, name: str) -> np.ndarray:
        """A column of numbers `[rows, ...]`."""
        if not self.has_arrays:
            raise self.error(f"expected the array {name!r}, got a table with the columns {', '.join(self.columns)}")
        return cast(np.ndarray, self.columns[""] if "" in self.columns else self._column(name))

    def _column(self, name: str) -> pl.Series | np.ndarray:
        try:
            return find(self.columns, name if name in self.columns else nfc(name), "column")
        except ValueError as error:
            raise DataError(f"{self.path}: {error}") from None

    def error(self, message: str) -> DataError:
        """An error about the rows as a whole."""
        return DataError(f"{self.path}: {message}")

    def cell_error(self, row: int, column: str, message: str) -> DataError:
        """An error about one cell, with its place in the file."""
        place = f"{self.path}: row {self._place(row)}" if self.lines is None else f"{self.path}:{self._place(row)}"
        return DataError(f"{place}: column {column!r}: {message}")

    def places(self, rows: Sequence[int]) -> str:
        """The places of the first few rows: `lines 3, 9, 12 and 40 more`."""
        return listed("row" if self.lines is None else "line", [self._place(row) for row in rows])

    def _place(self, row: int) -> int:
        """The line of a row, or its number from 1."""
        if self.lines is not None:
            return int(self.lines[row])
        return 1 + (row if self.rows is None else int(self.rows[row]))


def listed(kind: str, numbers: Sequence[int]) -> str:
    """The first few of some numbers: `lines 3, 9, 12 and 40 more`."""
    more = f" and {len(numbers) - 5:,} more" if len(numbers) > 5 else ""
    return f"{kind}{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers[:5]))}{more}"


def nfc(text: str) -> str:
    """Text in Unicode's composed form (NFC).

    Unicode writes an e with an accent as one character or as two. They look the same, and which of them a file has
    depends on the system that wrote it, so names and cells are compared in one form.
    """
    return unicodedata.normalize("NFC", text)


def shown_path(path: Path) -> str:
    """The path for a message: relative below the current folder, with undecodable bytes escaped."""
    try:
        relative = os.path.relpath(path)
    except OSError:  # the current folder is gone
        relative = ".."
    shown = str(path) if relative.startswith("..") else relative
    return shown.encode("utf-8", "backslashreplace").decode()
