"""Refuses columns of whole numbers beyond 2^53 in which float64 would merge different numbers."""

import re

import numpy as np

from densefn.data import cells
from densefn.data.table import Table

_WHOLE = re.compile(r"[-+]?\d{1,40}")


def refuse_rounded_cells(table: Table, name: str, values: np.ndarray, fix: str) -> None:
    """Raises `DataError` if rounding to float64 changes a column by more than a model can see.

    Args:
      table: the rows.
      name: the name of the column.
      values: its cells as float64, with NaN in the gaps.
      fix: another way to correct it, for the message.
    """
    if np.any(np.abs(values) > 2**53) and not table.series(name).dtype.is_float():
        texts = cells.text(table, name)
        _refuse(table, name, [int(cell) for cell in texts if cell and _WHOLE.fullmatch(cell)], fix)


def refuse_rounded(table: Table, name: str, array: np.ndarray, fix: str, *, but: int | None = None) -> None:
    """The same check for each column of an array `[rows, ...]` except the column `but`."""
    if array.dtype.kind not in "iu" or not array.size or not cells.beyond_float64(array.min(), array.max()):
        return
    for number, column in enumerate(array.reshape(len(array), -1).T):
        if but is None or number != but % array.shape[1]:
            _refuse(table, f"{name}[{number}]", column.tolist(), fix)


def _refuse(table: Table, name: str, numbers: list[int], fix: str) -> None:
    spread = max(numbers, default=0) - min(numbers, default=0)
    # A model takes standardised float32, which rounds by 2^-24; float64 need not be more exact than that.
    wrong = next((number for number in numbers if abs(int(float(number)) - number) > spread * 2**-24), None)
    if spread and wrong is not None:
        raise table.error(
            f"column {name!r}: expected numbers that differ in float64, got {wrong} and others near it; subtract a "
            f"number near them from all{fix}"
        )
