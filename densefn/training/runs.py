"""Runs a plan: trains, and writes the folder with the trained model."""

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from threading import Event
from typing import Any, TextIO
from warnings import warn as warn_user

import jax
import jax.numpy as jnp

from densefn import checkpoint
from densefn.training import diagnostics, folder, metrics_file, signals, snapshot, tensorboard
from densefn.training.epochs import first_rows, outputs
from densefn.training.folder import Folder
from densefn.training.loop import Plan, Snapshot, initial_snapshot, train
from densefn.training.metrics import confusion_matrix
from densefn.training.metrics_file import Row
from densefn.training.step import State, trained_params
from densefn.training.stopping import is_finite, until_stopped

# At most this many validation rows are saved with a regression's predictions: the report draws one point for each.
MOST_PREDICTIONS = 1000
# Layer-output histograms use at most this many validation rows, whose outputs are all in memory at once.
MOST_HISTOGRAM_ROWS = 8192
# The least number of seconds between saves of the run's state; it is also saved at the end.
SECONDS_PER_SAVE = 30

Warn = Callable[[str], Any]
Finish = Callable[[Path], Any]


def nothing(run_dir: Path) -> None:
    """The default of `finish`: adds nothing to a finished run."""
    del run_dir


class RunError(Exception):
    """A run cannot begin, or its loss is not finite."""


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
      run_dir: the folder.
      metrics: one row for each epoch.
      kept: the row of the epoch whose model is saved.
      stopped: the number of the signal that stopped the run before its last epoch, or None.
    """

    run_dir: Path
    metrics: list[Row]
    kept: Row
    stopped: int | None


def start(
    plan: Plan, run_dir: Path, show: Callable[[Row], Any], warn: Warn = warn_user, finish: Finish = nothing
) -> Result:
    """Trains, and writes the config, the preparation, the metrics and the model into a folder.

    On Ctrl-C, SIGTERM or SIGHUP the run finishes the epoch and writes the same files. The next epoch has begun on the
    device by then; its result is discarded. A second signal ends the process at once.

    Args:
      plan: as `prepare` returns it.
      run_dir: a new folder, or an empty one.
      show: is called with the row of each epoch, until it raises an OSError, as with a closed terminal.
      warn: is called with messages that do not end the run.
      finish: is called with the folder once all files are saved, also if a loss is not finite.
        `densefn.report.write_report` draws the report.

    Raises:
      RunError: if the folder is not empty or cannot be made, or if a loss is not finite.
      LockedError: if another process trains in it.
    """
    _make(run_dir)
    with folder.locked(run_dir, warn):
        if any(run_dir.iterdir()):
            raise RunError(f"{run_dir}: expected a new or empty folder for the run, got one with files; name another")
        try:
            return _complete(plan, snapshot.begin(run_dir, plan), show, initial_snapshot(plan), finish)
        finally:
            with suppress(OSError):  # an OSError means that the folder is not empty: the run has begun
                run_dir.rmdir()


def resume(
    plan: Plan, run_dir: Path, show: Callable[[Row], Any], warn: Warn = warn_user, finish: Finish = nothing
) -> Result:
    """Resumes a run that was stopped or killed. The files are those of an uninterrupted run, bit for bit.

    Args:
      plan: from `prepare`, of the config in the folder.
      run_dir: the run's folder.
      show: as for `start`.
      warn: as for `start`.
      finish: as for `start`.

    Raises:
      RunError: if a loss is not finite.
      LockedError: if another process trains in it.
      ResumeError: if the run cannot be resumed; see `snapshot.reopen`.
    """
    with folder.locked(run_dir, warn):
        try:
            run, past = snapshot.reopen(run_dir, plan, warn) or (snapshot.begin(run_dir, plan), initial_snapshot(plan))
        except ValueError as error:
            raise snapshot.ResumeError(str(error)) from None
        return _complete(plan, run, show, past, finish)


def _complete(plan: Plan, run: Folder, show: Callable[[Row], Any], past: Snapshot, finish: Finish) -> Result:
    with tensorboard.events(run.path) if plan.config.train.tensorboard else nullcontext() as events:
        show_row = _until_it_fails(show)
        last, kept, stopped = _follow(plan, run, lambda row: (events and events.row(row), show_row(row)), past)
        metrics, _, state = last
        params = trained_params(plan.model, state)
        arrays = diagnostics.arrays(plan.model, params, first_rows(plan.dataset.validation, MOST_HISTOGRAM_ROWS).x)
        histograms = {
            kind: {path: diagnostics.histogram(a) for path, a in each.items()} for kind, each in arrays.items()
        }
        if events:
            events.histograms(arrays, histograms, kept.step)
    contents = {folder.RESULT: kept, folder.HISTOGRAMS: histograms, **_held_out(plan, params)}
    files = {name: json.dumps(metrics_file.finite_or_null(content)).encode() for name, content in contents.items()}
    model = checkpoint.pack(plan.model, params, (None, plan.dataset.features))
    run.replace({folder.MODEL: model, **files}, over=True)
    finish(run.path)
    _check_losses(run.path, metrics[-1], kept)
    return Result(run.path, metrics, kept, stopped)


def _check_losses(run_dir: Path, last: Row, kept: Row) -> None:
    if is_finite(last):
        return
    name = next(name for name in ("train_loss", "val_loss") if not is_finite({name: last[name]}))
    said = "loss" if name == "train_loss" else name
    saved = f"is that of epoch {kept.epoch}" if is_finite(kept) else "is of no use, as no epoch had a finite loss"
    raise RunError(
        f"the {said} is {last[name]} in epoch {last.epoch}; try a smaller optimizer.learning_rate. The finished "
        f"epochs are in {run_dir}; {folder.MODEL} {saved}"
    )


def _follow(plan: Plan, run: Folder, show: Callable[[Row], Any], past: Snapshot) -> tuple[Snapshot, Row, int | None]:
    """Trains, logs and shows each epoch, and saves the run's state at intervals and at the end.

    Finished epochs are replayed through the stopping rule, which depends on their metrics only.

    Returns:
      The last snapshot, the row of the epoch whose model is kept, and the signal that stopped the run early, or None.
    """
    settings, kept_epoch, stopped, next_save = plan.config.train, 0, None, 0.0
    kept_by = settings.kept_by if settings.keep == "best" else None
    rows, state, kept = [], past.state, past.kept
    with (run.path / folder.METRICS).open("a", encoding="utf-8") as file, signals.stopping() as stop:

        def save() -> Snapshot:
            os.fsync(file.fileno())  # before the manifest says that the rows are there
            now = Snapshot(rows, state, kept)
            snapshot.save(run, plan, now)
            return now

        epochs = chain(past.epochs, _logged(train(plan, past), file, show))
        for state, row, is_kept in until_stopped(epochs, settings.early_stopping, kept_by):
            rows.append(row)
            if is_kept:
                kept, kept_epoch = state, row.epoch
            # A signal does not stop the replay of finished epochs, and is too late after the last epoch.
            if len(past.rows) <= len(rows) < settings.epochs:
                stopped = stop.signal
            if stopped or not math.isfinite(row.metrics["train_loss"]):
                break
            if len(rows) > len(past.rows) and time.monotonic() >= next_save:
                save()
                next_save = time.monotonic() + SECONDS_PER_SAVE
        return save(), rows[kept_epoch - 1], stopped


def _logged(
    epochs: Iterable[tuple[State, Row]], file: TextIO, show: Callable[[Row], Any]
) -> Iterator[tuple[State, Row]]:
    """Writes and shows the row of each epoch, and passes both on."""
    for state, row in epochs:
        file.write(metrics_file.lines([row]))
        file.flush()
        show(row)
        yield state, row


def _until_it_fails(show: Callable[[Row], Any]) -> Callable[[Row], None]:
    """Wraps `show` so that it is not called again after an OSError: a closed terminal does not end the run."""
    has_failed = Event()

    def show_row(row: Row) -> None:
        try:
            if not has_failed.is_set():
                show(row)
        except OSError:
            has_failed.set()

    return show_row


def _held_out(plan: Plan, params: Any) -> dict[str, Any]:
    """The confusion matrix, or the predictions of a regression, by the name of its JSON file."""
    rows, preparation = plan.dataset.validation, plan.dataset.preparation
    if plan.dataset.classes:
        matrix = confusion_matrix(outputs(plan.model, params, rows), jnp.asarray(rows.y))
        return {folder.CONFUSION: jax.device_get(matrix).tolist()}
    some = first_rows(rows, MOST_PREDICTIONS)
    targets, predictions = (
        preparation.decode(jax.device_get(column)).values.tolist()
        for column in (some.y, outputs(plan.model, params, some))
    )
    return {folder.PREDICTIONS: {"names": preparation.targets, "targets": targets, "predictions": predictions}}


def default_run_dir(name: str) -> Path:
    """A new folder `runs/<name>-<time>` below the current one."""
    first = Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    later = (first.with_name(f"{first.name}-{number}") for number in range(2, 1000))
    return first if not first.exists() else next(path for path in later if not path.exists())


def _make(run_dir: Path) -> None:
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{run_dir}: expected a folder that can be made: {error.strerror}") from None
