"""Reads text tables (`.csv`, `.tsv`, `.txt`, gzipped or not): UTF-8, a header, one row per line.

Python's `csv` parses the rows, since it knows the line of each. The readers of Polars and pandas fill short rows with
nulls, and do not name the line or byte of every mistake. Cells stay text here.
"""

import csv
import re
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl

from densefn.data import gzipped, header, text_layout
from densefn.data.table import DataError, Table, listed, nfc, shown_path

_LONGEST = 2**24
"""Bytes of a line, and characters of a field, which may have several lines."""

_CELLS_AT_ONCE = 2**21
_OTHER_FORMS = {
    b"PK\x03\x04": "a workbook of Excel or another zip archive",
    b"PAR1": "a Parquet file, whose name ends in .parquet",
    b"\x93NUMPY": "an array of NumPy, whose name ends in .npy",
    b"\xd0\xcf\x11\xe0": "a workbook of an old Excel",
}
_MINUS = re.compile(r"\s*\u2212[\d.]+\s*")


def read(path: Path) -> Table:
    """Reads a table of text.

    `text_layout` finds the header and the delimiter. Empty lines are not rows. Rows at the end whose cells are all
    empty are left out: spreadsheets write such rows below a table.

    Raises:
      DataError: names the line of what is wrong.
    """
    name = shown_path(path)
    with gzipped.open_file(path) as file, _long_fields():
        found = text_layout.find(_lines(file, name), "\t" if ".tsv" in path.name.lower() else ",")
        if found is None:
            expected = "expected a header, a line with the names of the columns"
            raise DataError(f"{name}: {expected}; the file begins without one")
        rows = _rows(name, found)
        line, given = next(rows)
        return _Reader(name, line, given, found.delimiter).table(rows)


@contextmanager
def _long_fields() -> Iterator[None]:
    """Raises the limit of `csv` on the length of a field to the longest line. The limit is global to the process."""
    before = csv.field_size_limit(_LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


class _Reader:
    """Collects rows into columns."""

    def __init__(self, name: str, line: int, given: list[str], delimiter: str):
        self._name, self._given, self._line, self._delimiter = name, given, line, delimiter
        self._numbers = array("q")  # of lines
        self._rows: list[list[str]] = []
        self._parts: list[list[pl.Series]] = []
        self._ragged: list[tuple[int, int]] = []
        self._longer: list[int] = []  # rows with more fields than the header, all of them empty

    def table(self, rows: Iterator[tuple[int, list[str]]]) -> Table:
        width = len(self._given)
        empty: list[tuple[int, list[str]]] = []
        for line, row in rows:
            content = "".join(row)
            if width > 1 and (not content or content.isspace()):
                if len(row) > 1:  # a line of blanks is an empty line
                    empty.append((line, row))
                continue
            for blank in empty:
                self._add(*blank)
            empty.clear()
            self._add(line, row if content.isascii() else [_composed(cell) for cell in row])
        self._refuse_ragged()
        if not self._numbers:
            raise DataError(f"{self._name}: expected rows below the header, got none")
        self._pack()
        columns = [part[0] if len(part) == 1 else pl.concat(part) for part in map(list, zip(*self._parts, strict=True))]
        names = header.column_names(f"{self._name}:{self._line}", self._given, columns)
        kept = {name: column for name, column in zip(names.kept, columns, strict=True) if name is not None}
        notes = [f"{self._name}: {note}" for note in names.notes]
        if empty:
            notes.append(
                f"{self._name}: left out at the end, as they are empty: {listed('line', [line for line, _ in empty])}"
            )
        return Table(self._name, kept, np.array(self._numbers), notes=tuple(notes), index=names.index)

    def _add(self, line: int, row: list[str]) -> None:
        width = len(self._given)
        if len(row) > width and not "".join(row[width:]).strip():
            self._longer.append(line)
            row = row[:width]
        if len(row) != width:
            self._ragged.append((line, len(row)))
            return
        self._numbers.append(line)
        self._rows.append(row)
        if len(self._rows) * width >= _CELLS_AT_ONCE:
            self._pack()

    def _pack(self) -> None:
        """Turns the waiting rows into one series, sliced by column: making one per column is slow for wide tables."""
        count = len(self._rows)
        if count:
            cells = pl.Series(list(chain.from_iterable(zip(*self._rows, strict=True))), dtype=pl.String)
            self._parts.append([cells.slice(count * k, count) for k in range(len(self._given))])
            self._rows.clear()

    def _refuse_ragged(self) -> None:
        width = len(self._given)
        if not self._ragged and len(self._longer) in (0, len(self._numbers)):
            return
        (line, got), *others = self._ragged or [(line, width + 1) for line in self._longer]
        also = f", and another number than the header in {listed('line', [line for line, _ in others])}" * bool(others)
        raise DataError(
            f"{self._name}:{line}: expected {width} fields as in the header, got {got}{also}; "
            f"a field that holds {self._delimiter!r} is put in quotes"
        )


def _composed(cell: str) -> str:
    """A cell in composed form (NFC), with the minus sign U+2212 of a number replaced by a hyphen."""
    return cell.replace("\u2212", "-") if _MINUS.fullmatch(cell) else nfc(cell)


def _rows(name: str, found: text_layout.Layout) -> Iterator[tuple[int, list[str]]]:
    """The line on which each row begins, and its fields; empty rows are skipped."""
    # skipinitialspace: otherwise a blank before a quote makes the quote part of the field.
    reader: Any = csv.reader(found.lines, delimiter=found.delimiter, strict=True, skipinitialspace=True)
    while True:
        begins = found.above + reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{name}:{begins}: {_reason(str(error))}") from None
        if row:
            yield begins, row


def _reason(message: str) -> str:
    """Rewords a message of `csv` to say what to look for."""
    if message.startswith("field larger"):
        return f"a field of this row is longer than {_LONGEST:,} characters; is there a quote that is not closed?"
    if message == "unexpected end of data":
        return "the file ends inside a quoted field that begins in this row; is a quote not closed?"
    if message.startswith("new-line character"):
        return "expected lines that end with \\n or \\r\\n, got a \\r alone"
    if message.endswith("""expected after '"'"""):
        return f"{message}, in this row or a quoted field that begins in it; a quote within quotes is written twice"
    return message


def _lines(file: IO[bytes], name: str) -> Iterator[str]:
    number, offset = 0, 0
    while line := file.readline(_LONGEST + 1):
        number += 1
        if number == 1:
            _refuse_other_forms(line, name)
        if len(line) > _LONGEST:
            hint = "do lines end with \\r alone?" if b"\r" in line[:-1] else "is this a table?"
            raise DataError(f"{name}:{number}: the line is longer than {_LONGEST:,} bytes; {hint}")
        try:
            text = line.decode().removeprefix("\ufeff" if number == 1 else "")
        except UnicodeDecodeError as error:
            place = f"byte {error.start + 1} of the line, {offset + error.start} of the file"
            byte = line[error.start : error.start + 1]
            got = f"0x{byte.hex()} ({place}), in Windows-1252 {byte.decode('cp1252', 'replace')!r}"
            raise DataError(f"{name}:{number}: expected UTF-8, got {got}; {_convert('windows-1252')}") from None
        if "\0" in text:
            raise DataError(f"{name}:{number}: expected text, got a zero byte; the file is not a table of text")
        yield text
        offset += len(line)


def _refuse_other_forms(line: bytes, name: str) -> None:
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{name}:1: expected UTF-8, and the file begins as UTF-16 does; {_convert('utf-16')}")
    for begin, form in _OTHER_FORMS.items():
        if line.startswith(begin):
            raise DataError(f"{name}: expected a table of text, and the file is {form}")


def _convert(encoding: str) -> str:
    return f"convert it: iconv -f {encoding} -t utf-8 FILE > NEW"
