"""`metrics.jsonl`: the metrics of a run, a row an epoch.

JSON has no number that is not finite; null stands for it.
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]

NAME = "metrics.jsonl"


def lines(rows: Iterable[Row]) -> str:
    """The rows as they are written."""
    return "".join(json.dumps(finite(row)) + "\n" for row in rows)


def read(path: Path) -> list[Row]:
    """The rows of a file, with NaN for null; the last line of a run that was interrupted may not be whole.

    Raises:
      ValueError: if a line is not JSON.
    """
    written = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [_numbers(json.loads(line)) for line in written if line.endswith("\n")]


def finite(value: Any) -> Any:
    """What is written as JSON, with None for the numbers that are not finite."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(row: Row) -> Row:
    return {key: _numbers(v) if isinstance(v, dict) else math.nan if v is None else v for key, v in row.items()}
