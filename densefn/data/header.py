"""Reads headers: the names of a table's columns, and the index columns among them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from densefn.data.table import DataError, nfc

_INDEX = re.compile(r"(Unnamed: \d+(_level_\d+)?|__index_level_\d+__)?")


@dataclass(frozen=True)
class Names:
    """The columns of a table.

    Attributes:
      kept: the name of each column; None leaves it out.
      index: columns that are kept but are not inputs, such as the index that pandas writes.
      notes: decisions about the columns, one line each.
    """

    kept: list[str | None]
    index: tuple[str, ...]
    notes: list[str]


def column_names(place: str, given: Sequence[str], columns: Sequence[pl.Series]) -> Names:
    """Checks that names are unique, and composes them (NFC).

    Args:
      place: the place of the header, for messages.
      given: the names in the file.
      columns: the cells below each name.

    Raises:
      DataError: if a name is used twice, or if all are empty.
    """
    names: list[str | None] = [nfc(name).strip() for name in given]
    if not any(names):
        raise DataError(f"{place}: expected a header, a line with the names of the columns, got one without names")
    places: dict[str, int] = {}
    notes = []
    for number, name in enumerate(names):
        if name == "" and (_is_empty(columns[number]) or "" in places):
            names[number] = None  # a delimiter ends each line, or pandas wrote several index columns
        elif name is not None and (first := places.setdefault(name, number)) < number:
            expected = "expected unique names"
            raise DataError(f"{place}: {expected}, and columns {first + 1} and {number + 1} are both {name!r}")
        elif name is not None and _INDEX.fullmatch(name):
            which = f"column {number + 1}, without a name," if not name else f"column {name!r}"
            notes.append(f"{which} is taken for the index of pandas, and is no input")
    index = tuple(name for name in places if _INDEX.fullmatch(name))
    return Names(names, index, notes)


def _is_empty(column: pl.Series) -> bool:
    if column.dtype != pl.String:
        return column.null_count() == len(column)
    return bool(column.str.strip_chars().eq("").fill_null(value=True).all())
