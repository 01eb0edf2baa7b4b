"""A table in a file: `.csv`, `.tsv`, `.txt` or `.parquet`."""

from dataclasses import replace
from typing import Annotated, Any

import numpy as np

from densefn import _checks
from densefn.data import cells, fit
from densefn.data.columns import Category
from densefn.data.preparation import Preparation
from densefn.data.sources._file import FileSource
from densefn.data.table import GAPS, Table, nfc

_MOST_LINES = 10
"""For at most this many columns of categories, one line is printed for each; for more, one line for all."""


def _names(given: Any) -> tuple[str, ...]:
    """Checks names of columns: a list, or a single name."""
    return tuple(map(nfc, (given,) if isinstance(given, str) else _checks.several(_checks.text)(given)))


def _gaps(given: Any) -> tuple[str, ...]:
    """Checks cells that count as missing: a list, or a single cell."""
    return _checks.several(_gap)([given] if isinstance(given, str | int | float) else given)


def _gap(given: Any) -> str:
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise TypeError(f"expected a string or a number, got {given!r}")
    return cells.normalized(nfc(str(given))).lower()


def _targets(given: Any) -> tuple[str, ...]:
    if not (names := _names(given)):
        raise ValueError("expected the name of a column, or several, got none")
    return names


class TableFile(FileSource):
    """A table with named columns: `.csv`, `.tsv`, `.txt`, these gzipped, or `.parquet`.

    The cells of a column decide whether it holds numbers, true and false, or categories.

    Args:
      target: the name of the target's column, or a list of names for several numbers.
      ignore: names of columns that are not inputs.
      categorical: names of columns that are categories although they hold numbers.
      missing: what replaces a missing number: the "mean" or the "median" of the training rows.
      missing_values: the cells that count as missing besides empty ones, as text or numbers. Case is ignored.
      missing_indicator: whether each column of numbers with gaps gets a second column, which is 1 in the gaps.
      rare: a category with fewer training rows than this counts as one that training did not see.

    >>> TableFile("houses.csv", "price", ignore="id")
    TableFile(path='houses.csv', target=('price',), ignore=('id',))
    """

    target: Annotated[tuple[str, ...], _targets]
    ignore: Annotated[tuple[str, ...], _names] = ()
    categorical: Annotated[tuple[str, ...], _names] = ()
    missing: Annotated[str, _checks.choice("mean", "median")] = "mean"
    missing_values: Annotated[tuple[str, ...], _gaps] = GAPS
    missing_indicator: Annotated[bool, _checks.flag] = False
    rare: Annotated[int, _checks.whole(minimum=1)] = 2

    def check_together(self) -> None:
        if len(set(self.target)) < len(self.target):
            raise ValueError(f"expected targets that differ, got {', '.join(self.target)}")
        for name in (*self.ignore, *self.categorical):
            if name in self.target or (name in self.ignore and name in self.categorical):
                raise ValueError(f"expected {name!r} in one of target, ignore and categorical, got it in two")

    def fit(self, table: Table, train: np.ndarray) -> Preparation:
        gaps = fit.Gaps(self.missing, self.missing_indicator, self.rare)
        columns = {"targets": self.target, "ignore": self.ignore, "categorical": self.categorical}
        return fit.fit_table(replace(table, gaps=self.missing_values), train, **columns, task=self.task, gaps=gaps)

    def notes(self, preparation: Preparation) -> list[str]:
        found = [column for column in preparation.columns if isinstance(column, Category)]
        taken = [column for column in found if column.name not in self.categorical]
        if len(taken) > _MOST_LINES:
            names = ", ".join(repr(column.name) for column in taken[:3])
            return [f"{self.title}: {len(taken):,} columns of text are taken for categories: {names}, ..."]
        return [f"{self.title}: column {column.name!r}: {column.description}" for column in taken]
