"""Early stopping and best-model keeping, of values made up."""

import math

import pytest

from densefn.training.stopping import EarlyStopping, until_stopped

LOSSES = [5.0, 4.0, 4.5, 3.9, 3.9, 3.95, 3.7, 3.8, 3.75, 3.71, 3.72, 1.0]


def rows(values, name="val_loss"):
    return [{"epoch": epoch, "train_loss": 1.0, name: value} for epoch, value in enumerate(values, 1)]


def taken(given, stopping, kept_by=None):
    return [
        (row["epoch"], is_kept) for _, row, is_kept in until_stopped([(None, row) for row in given], stopping, kept_by)
    ]


@pytest.mark.parametrize("count", range(1, len(LOSSES) + 1))
def test_the_best_is_the_first_of_the_least(count):
    *_, best = [epoch for epoch, is_kept in taken(rows(LOSSES[:count]), None, "val_loss") if is_kept]
    assert best == LOSSES.index(min(LOSSES[:count])) + 1
    *_, last = [epoch for epoch, is_kept in taken(rows(LOSSES[:count]), None) if is_kept]
    assert last == count


def test_values_that_are_not_finite_are_never_better():
    values = [math.nan, 3.0, math.nan, -math.inf, 2.0, math.nan, math.nan]
    kept = [epoch for epoch, is_kept in taken(rows(values), None, "val_loss") if is_kept]
    assert kept == [1, 2, 5]
    assert taken(rows(values), EarlyStopping(patience=2))[-1] == (4, False)


def test_epochs_without_the_metric_are_waited_for():
    given = rows(LOSSES)
    for row in given:
        if row["epoch"] % 3:
            del row["val_loss"]  # epochs 3, 6, 9 and 12 are left, with 4.5, 3.95, 3.75 and 1.0
    given[8]["val_loss"] = 4.0
    assert taken(given, EarlyStopping(patience=2), "val_loss")[-1] == (9, False)
    kept = [epoch for epoch, is_kept in taken(given, None, "val_loss") if is_kept]
    assert kept == [1, 2, 3, 6, 12]  # the last while there is no best
