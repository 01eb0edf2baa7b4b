"""Rows of epochs, and the file with one row per line."""

import json
import math

import pytest

from densefn.training import metrics_file
from densefn.training.metrics_file import Row

ROW = Row(2, 14, {"train_loss": 0.5, "val_loss": math.nan}, 1.25, {"0/kernel": 3.0})
WRITTEN = {
    "epoch": 2,
    "step": 14,
    "train_loss": 0.5,
    "val_loss": None,
    "seconds": 1.25,
    "gradient_norms": {"0/kernel": 3.0},
}


def test_a_row_is_written_with_null_for_nan_and_read_again(tmp_path):
    first = Row(1, 7, {"train_loss": 1.0}, 0.5)
    path = tmp_path / "metrics.jsonl"
    path.write_text(metrics_file.lines([first, ROW]) + '{"epoch": 3, "st')  # of a run that was killed
    assert json.loads(path.read_text().splitlines()[1]) == WRITTEN
    again = metrics_file.read(path)
    assert again[0] == first
    assert list(first) == ["epoch", "step", "train_loss", "seconds"]
    assert again[1]["train_loss"] == 0.5
    assert math.isnan(again[1].metrics["val_loss"])
    assert again[1].gradient_norms == {"0/kernel": 3.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": 3}, "the row is that of epoch 3"),
        ({"step": "14"}, "step: expected a number, got '14'"),
        ({"val_r2": [1]}, r"val_r2: expected a number, got \[1\]"),
        ({"gradient_norms": 3}, "gradient_norms: expected a table of numbers, got 3"),
        ({"gradient_norms": {"0/bias": "1"}}, "0/bias: expected a number, got '1'"),
        ({"seconds": True}, "seconds: expected a number, got True"),
    ],
)
def test_a_line_that_is_no_row_is_named(change, message, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({**WRITTEN, "epoch": 1}) + "\n" + json.dumps({**WRITTEN, **change}) + "\n")
    with pytest.raises(ValueError, match=f"metrics.jsonl:2: expected the metrics of epoch 2: {message}"):
        metrics_file.read(path)
