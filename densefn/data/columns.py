"""The columns of a model's input, which encode raw cells as numbers.

A column is a value that is fitted on the training rows. A run's `preparation.json` holds it as a table, with the name
of its class as `kind`.
"""

from abc import abstractmethod
from typing import Annotated

import numpy as np

from densefn import _checks
from densefn._values import Value
from densefn.data import cells
from densefn.data.table import Table


class Column(Value):
    """Base of the columns."""

    tag = "kind"

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """The names of the encoded columns."""

    @property
    def is_scaled(self) -> list[bool]:
        """Which of the encoded columns are standardised; columns of 0 and 1 are not."""
        return [False] * len(self.names)

    @abstractmethod
    def encode(self, table: Table) -> np.ndarray:
        """The numbers of each row, `[rows, len(names)]`, finite.

        Raises:
          DataError: names the row of a cell that the column cannot encode.
        """


class Filled(Column):
    """Base of columns of numbers in which gaps are filled.

    Args:
      name: the name of the column.
      fill: the number that replaces a gap.
      indicator: whether a second encoded column is 1 in the gaps, and 0 elsewhere.
    """

    name: Annotated[str, _checks.text]
    fill: Annotated[float, _checks.number()]
    indicator: Annotated[bool, _checks.flag] = False

    @property
    def names(self) -> list[str]:
        return [self.name, f"{self.name} missing"] if self.indicator else [self.name]

    @abstractmethod
    def values(self, table: Table) -> np.ndarray:
        """The cells as numbers `[rows]`, with NaN in the gaps."""

    def encode(self, table: Table) -> np.ndarray:
        values = self.values(table)
        gaps = np.isnan(values)
        filled = np.where(gaps, self.fill, values)
        return np.stack([filled, gaps], axis=1) if self.indicator else filled[:, None]


class Number(Filled):
    """A column of numbers; arguments as for `Filled`."""

    @property
    def is_scaled(self) -> list[bool]:
        return [True, False] if self.indicator else [True]

    def values(self, table: Table) -> np.ndarray:
        return cells.numbers(table, self.name)


class Flag(Filled):
    """A column of true and false, encoded as 1 and 0; arguments as for `Filled`, with a fill from 0 to 1."""

    fill: Annotated[float, _checks.number(minimum=0, maximum=1)]

    def values(self, table: Table) -> np.ndarray:
        return cells.flags(table, self.name)


class Category(Column):
    """A one-hot column of categories: an encoded column per level, one for gaps if they are a level, one for the rest.

    Args:
      name: the name of the column.
      levels: the categories that have an encoded column.
      gaps: whether a gap is a level; otherwise it is one of the rest.
    """

    name: Annotated[str, _checks.text]
    levels: Annotated[tuple[str, ...], _checks.several(_checks.text)]
    gaps: Annotated[bool, _checks.flag] = False

    @property
    def names(self) -> list[str]:
        missing = [f"{self.name} missing"] if self.gaps else []
        return [*(f"{self.name}={level}" for level in self.levels), *missing, f"{self.name} other"]

    @property
    def description(self) -> str:
        """How many levels there are, with the first ones."""
        some = ", ".join(map(cells.shortened, self.levels[:3])) + ", ..." * (len(self.levels) > 3)
        count = f"{len(self.levels):,} categor{'y' if len(self.levels) == 1 else 'ies'} of text"
        return f"{count}{f' ({some})' if some else ''}{' and gaps' * self.gaps}"

    def unseen(self, table: Table) -> str:
        """A message with the number of rows whose category is not a level; empty if there is none."""
        known = {*self.levels, None} if self.gaps else set(self.levels)
        found = [cell for cell in cells.text(table, self.name) if cell not in known]
        if not found:
            return ""
        example = next((cells.shortened(cell) for cell in found if cell is not None), "a missing value")
        return (
            f"{table.path}: column {self.name!r}: {len(found):,} of {len(table):,} rows hold a level that training did "
            f"not see, or too rarely, such as {example}; it counts as other"
        )

    def encode(self, table: Table) -> np.ndarray:
        text = cells.text(table, self.name)
        places = {level: place for place, level in enumerate(self.levels)}
        width = len(self.names)
        hot = np.array([places.get(cell, width - 1) for cell in text], np.intp)
        if self.gaps:
            hot[text.is_null().to_numpy()] = width - 2
        encoded = np.zeros((len(hot), width), np.float32)
        encoded[np.arange(len(hot)), hot] = 1
        return encoded


class Block(Column):
    """An array of numbers, flattened to `[rows, columns]`.

    Args:
      name: the name of the array.
      shape: the shape of a row.
      labels: the names of the encoded columns; None numbers them.
      target: the index of the target's column in the array, which is left out; None if the array has none.
    """

    name: Annotated[str, _checks.text]
    shape: Annotated[tuple[int, ...], _checks.several(_checks.whole(minimum=1))]
    labels: Annotated[tuple[str, ...] | None, _checks.optional(_checks.several(_checks.text))] = None
    target: Annotated[int | None, _checks.optional(_checks.integer)] = None

    @property
    def is_scaled(self) -> list[bool]:
        return [True] * len(self.names)

    @property
    def names(self) -> list[str]:
        return list(self.labels or (f"{self.name}[{', '.join(map(str, at))}]" for at in np.ndindex(self.shape)))

    def encode(self, table: Table) -> np.ndarray:
        array = self._numbers(table)
        flat = array.reshape(len(array), -1)
        flat = flat.astype(np.float32 if np.can_cast(flat.dtype, np.float32) else np.float64, copy=False)
        return checked_array(table, self.name, flat)

    def _numbers(self, table: Table) -> np.ndarray:
        if self._is_equivalent(table):
            return np.stack([cells.numbers(table, name) for name in table.inputs], axis=1)
        array = table.array(self.name)
        if self.target is not None and array.ndim == 2 and array.shape[1] == self.shape[0] + 1:
            array = np.delete(array, self.target, axis=1)
        if array.dtype.kind not in "biuf" or (array.shape[1:] or (1,)) not in (self.shape, (int(np.prod(self.shape)),)):
            expected = f"numbers of the shape [rows, {', '.join(map(str, self.shape))}]"
            raise table.error(f"{self.name}: expected {expected}, got {array.dtype} of the shape {list(array.shape)}")
        return array

    def _is_equivalent(self, table: Table) -> bool:
        """Whether a table has as many columns as the array: `predict` accepts such a table in place of the array."""
        return not table.has_arrays and len(table.inputs) == np.prod(self.shape)


COLUMNS: dict[str, type[Column]] = {cls.__name__: cls for cls in (Number, Flag, Category, Block)}


as_column = _checks.described_value("column", COLUMNS, Column)
"""A column, or the table that describes one."""


def checked_array(table: Table, name: str, array: np.ndarray) -> np.ndarray:
    """Returns the array `[rows, columns]` if all of its numbers are finite in float32."""
    if beyond := cells.beyond_float32(array):
        row, column = beyond
        raise table.cell_error(
            row, f"{name}[{column}]", f"expected a number that is finite in float32, got {array[row, column]}"
        )
    return array
