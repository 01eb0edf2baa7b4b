"""Decides when a run stops early, and which epoch's model is kept."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, NamedTuple, TypeVar

from densefn import _checks
from densefn._values import Value
from densefn.training.metrics import is_larger_better

S = TypeVar("S")
Row = TypeVar("Row", bound=Mapping[str, int | float])


class EarlyStopping(Value):
    """The rule that ends a run early.

    Args:
      metric: the metric to watch: `"train_loss"`, `"val_loss"` or another such as `"val_accuracy"`.
      patience: the run ends after this many epochs without a better value. It ends at an epoch with an evaluation.
      min_delta: the least improvement that counts.

    Source: `keras.callbacks.EarlyStopping`.
    """

    metric: Annotated[str, _checks.text] = "val_loss"
    patience: Annotated[int, _checks.whole(minimum=1)] = 10
    min_delta: Annotated[float, _checks.number(minimum=0)] = 0.0


class Watch(NamedTuple):
    """The best value of a metric so far; of equal values, the first.

    Attributes:
      metric: the name of the metric in a row.
      larger: whether larger is better.
      min_delta: the least improvement that counts.
      best: the best value; None before the first finite value.
      epoch: the epoch of the best value; 0 before the first finite value.
    """

    metric: str
    larger: bool
    min_delta: float = 0.0
    best: float | None = None
    epoch: int = 0

    def after(self, row: Mapping[str, int | float]) -> "Watch":
        """The best value after an epoch. An epoch without the metric, or with one that is not finite, changes nothing.

        >>> watch = Watch("val_loss", larger=False)
        >>> for epoch, loss in enumerate([3.0, 2.0, float("nan"), 2.0], 1):
        ...     watch = watch.after({"epoch": epoch, "val_loss": loss})
        >>> watch.best, watch.epoch
        (2.0, 2)
        """
        value = row.get(self.metric, math.nan)
        if not math.isfinite(value):
            return self
        sign = 1 if self.larger else -1
        if self.best is not None and not sign * value - self.min_delta > sign * self.best:  # rounds as Keras does
            return self
        return self._replace(best=value, epoch=int(row["epoch"]))


def is_finite(row: Mapping[str, int | float]) -> bool:
    """Whether the training loss of an epoch is finite and, if it was evaluated, its validation loss."""
    return all(math.isfinite(row[name]) for name in ("train_loss", "val_loss") if name in row)


def until_stopped(
    epochs: Iterable[tuple[S, Row]], stopping: EarlyStopping | None, kept_by: str | None
) -> Iterator[tuple[S, Row, bool]]:
    """Yields the epochs up to early stopping, each with whether its model is the one to keep so far.

    Args:
      epochs: pairs of a state and a row of metrics.
      stopping: the rule; None yields all epochs.
      kept_by: the metric whose best epoch is kept; None keeps the last epoch. Epochs whose losses are not finite are
        kept only before the first one with finite losses.

    >>> rows = [{"epoch": epoch, "val_loss": loss} for epoch, loss in enumerate([3.0, 1.0, 2.0, 2.0, 0.0], 1)]
    >>> early = until_stopped(zip("abcde", rows), EarlyStopping(patience=2), "val_loss")
    >>> [(state, is_kept) for state, _, is_kept in early]
    [('a', True), ('b', True), ('c', False), ('d', False)]
    """
    patience = Watch(stopping.metric, is_larger_better(stopping.metric), stopping.min_delta) if stopping else None
    best, kept = Watch(kept_by, is_larger_better(kept_by)) if kept_by else None, 0
    for state, row in epochs:
        if is_finite(row):
            best = best.after(row) if best else None
            kept = best.epoch if best else row["epoch"]
        yield state, row, kept in (0, row["epoch"])
        patience = patience.after(row) if patience else None
        if stopping and patience and stopping.metric in row and row["epoch"] - patience.epoch >= stopping.patience:
            break
