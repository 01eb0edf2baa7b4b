"""Reads and writes `metrics.jsonl`, which has one row for each epoch.

JSON has neither NaN nor infinity, so null replaces them.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from densefn import _disk


@dataclass(frozen=True, eq=False)
class Row(Mapping[str, Any]):
    """The row of an epoch; also a mapping with the keys of `metrics.jsonl`, such as `row["val_loss"]`.

    Attributes:
      epoch: the number of the epoch, from 1.
      step: the number of updates up to the end of the epoch.
      metrics: losses and metrics by name. Those of validation rows are missing in an epoch without an evaluation.
      seconds: the seconds since the training began.
      gradient_norms: the norm of each parameter's gradient; None in epochs that do not measure it.
    """

    epoch: int
    step: int
    metrics: Mapping[str, float]
    seconds: float
    gradient_norms: Mapping[str, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The row as a line of the file holds it."""
        norms = {} if self.gradient_norms is None else {"gradient_norms": dict(self.gradient_norms)}
        return {"epoch": self.epoch, "step": self.step, **self.metrics, "seconds": self.seconds, **norms}

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> "Row":
        """The inverse of `to_dict`, with null read as NaN.

        Raises:
          TypeError, KeyError: if it is not the row of an epoch.
        """
        row = dict(written)
        norms = row.pop("gradient_norms", None)
        numbers = {key: _number(key, value) for key, value in row.items()}
        epoch, step, seconds = (numbers.pop(key) for key in ("epoch", "step", "seconds"))
        if "train_loss" not in numbers:
            raise KeyError("train_loss")
        if norms is not None:
            if not isinstance(norms, dict):
                raise TypeError(f"gradient_norms: expected a table of numbers, got {norms!r:.50}")
            norms = {path: _number(path, norm) for path, norm in norms.items()}
        return cls(int(epoch), int(step), numbers, seconds, norms)

    def __getitem__(self, key: str) -> Any:
        return self.to_dict()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __len__(self) -> int:
        return len(self.to_dict())


def _number(key: str, value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{key}: expected a number, got {value!r:.50}")
    return value


def lines(rows: Iterable[Row]) -> str:
    """The lines of the file for some rows."""
    return "".join(json.dumps(finite_or_null(row)) + "\n" for row in rows)


def read(path: Path) -> list[Row]:
    """Reads the rows of a file. The last line of a killed run may be incomplete; it is then left out.

    Raises:
      ValueError: names the file, and the line that is not the row of its epoch.
    """
    try:
        with _disk.open_file(path) as file:
            written = file.readlines()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{path}: expected the metrics of a run: {reason}") from None
    return [_row(path, number, line) for number, line in enumerate(written, 1) if line.endswith(b"\n")]


def finite_or_null(value: Any) -> Any:
    """A value that JSON can hold: None replaces the numbers that are not finite."""
    if isinstance(value, Mapping):
        return {key: finite_or_null(each) for key, each in value.items()}
    if isinstance(value, list):
        return [finite_or_null(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _row(path: Path, number: int, line: bytes) -> Row:
    try:
        row = Row.from_dict(json.loads(line))
        if row.epoch != number:
            raise ValueError(f"the row is that of epoch {row.epoch}")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}:{number}: expected the metrics of epoch {number}: {error}") from None
    return row
