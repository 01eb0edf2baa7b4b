"""Finds the header and the delimiter of a text table.

A first line `sep=;`, as Excel reads and writes it, names the delimiter. Otherwise tab, semicolon, bar and comma are
tried. The delimiter is the one that splits most rows into as many fields as the header.

Lines that begin with `#` are comments above the header, but not below it, where `#4` may be a cell. The last such line
is the header itself if it has as many fields as the next line, and that line contains a number. `numpy.savetxt` writes
headers in this form.
"""

import csv
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

_SEPARATOR = re.compile(r'"?sep=([^"\w\s]|\t)"?\s*', re.IGNORECASE)
_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?\s*", re.IGNORECASE)
# The first of several that fit equally well is taken. The comma is last: between other delimiters, names contain commas
# and numbers have decimal commas.
_DELIMITERS = ("\t", ";", "|", ",")
# The delimiter is guessed from at most this much of the file, from the header on.
_MOST_LINES, _MOST_CHARACTERS = 100, 2**16


class Layout(NamedTuple):
    """The layout of a table.

    Attributes:
      delimiter: the delimiter of the fields.
      above: the number of lines above the header.
      lines: the lines of the file, from the header on.
    """

    delimiter: str
    above: int
    lines: Iterator[str]


def find(lines: Iterator[str], default: str) -> Layout | None:
    """Finds the header of a table; None where there is none.

    Args:
      lines: the lines of the file.
      default: the delimiter of a table with one column, whose header contains none.
    """
    above, comment, delimiter, header = 0, None, None, None
    for line in lines:
        separator = None if above else _SEPARATOR.fullmatch(line)
        if separator:
            delimiter = separator[1]
        elif line.strip() and not line.lstrip().startswith("#"):
            header = line
            break
        comment = None if separator or not line.strip() else line
        above += 1
    if header is None:
        return None
    head = [header]
    while len(head) < _MOST_LINES and sum(map(len, head)) < _MOST_CHARACTERS and (line := next(lines, None)):
        head.append(line)
    delimiter = delimiter or _delimiter(head, default)
    if comment and _is_header(comment, header, delimiter):
        head.insert(0, comment.lstrip().lstrip("#").lstrip(" "))
        above -= 1
    return Layout(delimiter, above, chain(head, lines))


def _delimiter(head: list[str], default: str) -> str:
    """The delimiter of the header, and of most of the rows below it."""
    best, most = default, 0.0
    for delimiter in _DELIMITERS:
        header, *rows = _parsed(head, delimiter) or [[]]
        if len(header) > 1:
            agreeing = sum(len(row) == len(header) for row in rows)
            fraction = (1 + agreeing) / (1 + len(rows))
            if fraction > most:
                best, most = delimiter, fraction
    return best


def _is_header(comment: str, below: str, delimiter: str) -> bool:
    (names, *_), (row, *_) = _parsed([comment], delimiter) or [[]], _parsed([below], delimiter) or [[]]
    return len(names) == len(row) and any(_NUMBER.fullmatch(cell) for cell in row)


def _parsed(lines: list[str], delimiter: str) -> list[list[str]]:
    """The rows of some lines without empty ones, up to the first row that cannot be parsed."""
    rows: list[list[str]] = []
    reader: Any = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(row)  # noqa: PERF401 - the rows before an error count
    except csv.Error:
        pass
    return rows
