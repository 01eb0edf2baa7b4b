"""Tables of text, `.csv` and `.tsv`: UTF-8, a header, a row a line.

The rows are taken apart by Python's own `csv`, which knows the line of each: the readers of Polars and pandas fill
short rows with nothing, and do not name the line or the byte of all that they refuse. Cells stay text here.
"""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from densefn.training.data.table import DataError, Table, shown_path

_LONGEST_LINE = 2**24
_ROWS_AT_ONCE = 8192


def read(path: Path) -> Table:
    """Reads a table of text.

    A comma, or in `.tsv` a tab, parts the cells; a semicolon does where the header has one and no comma. Empty lines do
    not count as rows.

    Raises:
      DataError: names the line of what is wrong.
    """
    name = shown_path(path)
    lines = _lines(path, name)
    first = next(lines, "")
    if not first.strip():
        raise DataError(f"{name}: expected a header, a line with the names of the columns; the file begins without one")
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ";" if ";" in first and "," not in first else ","
    rows = _rows(name, first, lines, delimiter)
    _, header = next(rows)
    header = _checked_header(name, header)
    numbers: list[int] = []
    parts: list[list[pl.Series]] = []
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        for line, row in some:
            if len(row) != len(header):
                expected = f"expected {len(header)} fields as in the header, got {len(row)}"
                raise DataError(f"{name}:{line}: {expected}; a field that holds {delimiter!r} is put in quotes")
            numbers.append(line)
        cells = zip(*(row for _, row in some), strict=True)
        parts.append([pl.Series(column, dtype=pl.String) for column in cells])
    if not parts:
        raise DataError(f"{name}: expected rows below the header, got none")
    columns = {column: pl.concat(list(part)) for column, part in zip(header, zip(*parts, strict=True), strict=True)}
    return Table(name, columns, np.array(numbers))


def _checked_header(name: str, header: list[str]) -> list[str]:
    header = [column.strip() for column in header]
    places: dict[str, int] = {}
    for place, column in enumerate(header, 1):
        if not column:
            raise DataError(
                f"{name}:1: expected a name for each column, and column {place} has none; pandas writes such a column "
                "for the index, and leaves it out with index=False"
            )
        if (first := places.setdefault(column, place)) < place:
            raise DataError(
                f"{name}:1: expected names that differ, and columns {first} and {place} are both {column!r}"
            )
    return header


def _rows(name: str, first: str, lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not empty, and the line on which it begins."""

    def all_lines() -> Iterator[str]:
        yield first
        yield from lines

    reader: Any = csv.reader(all_lines(), delimiter=delimiter, strict=True)
    while True:
        begins = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{name}:{begins}: {_reason(str(error))}") from None
        if row:
            yield begins, row


def _reason(message: str) -> str:
    """What `csv` says, in words that say what to look for."""
    if message.startswith("field larger"):
        limit = f"{csv.field_size_limit():,}"
        return f"a field of this row is longer than {limit} characters; is there a quote that is not closed?"
    if message == "unexpected end of data":
        return "the file ends inside a quoted field that begins in this row; is a quote not closed?"
    if message.startswith("new-line character"):
        return "expected lines that end with \\n or \\r\\n, got a \\r alone"
    return message


def _lines(path: Path, name: str) -> Iterator[str]:
    with path.open("rb") as file:
        number, offset = 0, 0
        while line := file.readline(_LONGEST_LINE + 1):
            number += 1
            if len(line) > _LONGEST_LINE:
                raise DataError(f"{name}:{number}: the line is longer than {_LONGEST_LINE:,} bytes; is this a table?")
            if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise DataError(f"{name}:1: expected UTF-8, and the file begins as UTF-16 does; {_convert('utf-16')}")
            try:
                text = line.decode().removeprefix("\ufeff" if number == 1 else "")
            except UnicodeDecodeError as error:
                place = f"byte {error.start + 1} of the line, {offset + error.start} of the file"
                byte = line[error.start : error.start + 1]
                got = f"0x{byte.hex()} ({place}), in Windows-1252 {byte.decode('cp1252', 'replace')!r}"
                raise DataError(f"{name}:{number}: expected UTF-8, got {got}; {_convert('windows-1252')}") from None
            if "\0" in text:
                raise DataError(f"{name}:{number}: expected text, got a zero byte; the file is no table of text")
            yield text
            offset += len(line)


def _convert(encoding: str) -> str:
    return f"convert it: iconv -f {encoding} -t utf-8 FILE > NEW"
