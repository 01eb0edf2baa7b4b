"""Raw rows: the columns of a file or a data set as they were read, and where each row stands."""

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
"""Cells that count as missing unless others are named, as an empty cell does; their case does not count."""

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
    """Says of the errors raised inside which key of [data] is at fault."""
    try:
        yield
    except DataError as error:
        raise DataError(str(error), key) from None


@dataclass(frozen=True)
class Table:
    """Rows, column by column.

    Attributes:
      path: of the file, or the name of the data set; for messages.
      columns: by name, a series of one cell a row, or an array `[rows, ...]` of the numbers of each row. The one array
        of a file without names has the name "", and any other does for it.
      lines: the line of the file on which each row begins; None where rows are not lines.
      rows: the number of each row in the file, from 0; None where they are all of its rows.
      notes: what was decided about the file on the reader's behalf, a line each.
      index: names of columns that only number the rows, and so are no inputs.
      gaps: the cells that count as missing beside an empty one, in lower case, whole numbers without a point.
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
        """Some of the rows, by number; they keep their places in the file."""
        numbers = np.arange(index.start, index.stop) if isinstance(index, slice) else index
        if self.has_arrays or isinstance(index, slice):
            columns: dict[str, Any] = {name: column[index] for name, column in self.columns.items()}
        else:  # a series takes a tenth of a millisecond to do so, a frame all of its columns at once
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
        """What is wrong with the rows as a whole."""
        return DataError(f"{self.path}: {message}")

    def cell_error(self, row: int, column: str, message: str) -> DataError:
        """What is wrong with the cell of a row, with its place in the file."""
        place = f"{self.path}: row {self._place(row)}" if self.lines is None else f"{self.path}:{self._place(row)}"
        return DataError(f"{place}: column {column!r}: {message}")

    def places(self, rows: Sequence[int]) -> str:
        """Where rows stand, the first few of them: `lines 3, 9, 12 and 40 more`."""
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
    """Text with composed letters.

    Unicode writes an e with an accent as one character or as two. They look the same, and which of them a file has
    depends on the system that wrote it, so names and cells are compared in one form.
    """
    return unicodedata.normalize("NFC", text)


def shown_path(path: Path) -> str:
    """The path as a message has it: below the current folder relative to it, and of characters that can be written."""
    try:
        relative = os.path.relpath(path)
    except OSError:  # the current folder is gone
        relative = ".."
    shown = str(path) if relative.startswith("..") else relative
    return shown.encode("utf-8", "backslashreplace").decode()
