"""Reads and writes `metrics.jsonl`, which has one row for each epoch.

JSON has no number that is not finite; null stands for it.
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from densefn import _disk

Row = dict[str, Any]


def lines(rows: Iterable[Row]) -> str:
    """The rows as they are written."""
    return "".join(json.dumps(finite(row)) + "\n" for row in rows)


def read(path: Path) -> list[Row]:
    """The rows of a file, with NaN for null; the last line of a run that was interrupted may not be whole.

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


def finite(value: Any) -> Any:
    """What is written as JSON, with None for the numbers that are not finite."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _row(path: Path, number: int, line: bytes) -> Row:
    try:
        row = _numbers(json.loads(line))
        if row["epoch"] != number:
            raise ValueError(f"it is that of epoch {row['epoch']}")
        for name in ("step", "train_loss", "seconds"):
            float(row[name])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}:{number}: expected the metrics of epoch {number}: {error}") from None
    return row


def _numbers(row: Row) -> Row:
    return {key: _numbers(v) if isinstance(v, dict) else math.nan if v is None else v for key, v in row.items()}
