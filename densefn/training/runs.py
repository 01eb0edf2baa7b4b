"""A run: from a plan to a folder with the trained model. This is the room that touches the disk."""

import json
import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import Any, TextIO

import jax
import jax.numpy as jnp

from densefn import checkpoint
from densefn.training import inside, log, report, snapshot, tensorboard
from densefn.training.config import dump
from densefn.training.log import Row
from densefn.training.loop import Plan, Snapshot, begin, train
from densefn.training.metrics import confusion_matrix
from densefn.training.passes import first, outputs
from densefn.training.step import State, trained_params
from densefn.training.stopping import until_over

# Of a regression so many validation rows are written down with their predictions.
MOST_PREDICTIONS = 1000
# Of so many validation rows the outputs of the layers are counted.
MOST_EXAMPLES = 8192
# Once in so many seconds at most, and at the end, it is saved where the run stands.
SECONDS_A_SAVE = 30


class RunError(Exception):
    """A run that cannot begin or go on."""


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
      run_dir: the folder.
      metrics: a row an epoch.
      kept: the row of the epoch whose model is saved.
      stopped: whether the user stopped it before the last epoch.
    """

    run_dir: Path
    metrics: list[Row]
    kept: Row
    stopped: bool


def start(plan: Plan, run_dir: Path, show: Callable[[Row], Any]) -> Result:
    """Trains and leaves in the folder the config, the preparation of the rows, the metrics, the model and the report.

    Stopped by Ctrl-C it finishes the epoch and leaves the same; the next epoch has then begun on the device, and is
    computed for nothing. A second Ctrl-C ends it at once.

    Args:
      plan: as `prepare` returns it.
      run_dir: a new folder, or an empty one.
      show: is given the metrics of each epoch.

    Raises:
      RunError: if the folder holds something or cannot be made, or if a loss is no longer finite.
    """
    _make(run_dir)
    checkpoint.write(run_dir / "preparation.json", json.dumps(plan.dataset.preparation.to_table()).encode())
    return _complete(plan, run_dir, show, begin(plan))


def resume(plan: Plan, run_dir: Path, show: Callable[[Row], Any], past: Snapshot) -> Result:
    """Goes on where a run was stopped or killed, and leaves what `start` leaves, to the same bits.

    Args:
      plan: as `prepare` returns it, of the config in the folder.
      run_dir: the run's folder.
      show: is given the metrics of each further epoch.
      past: as `snapshot.read` returns it.

    Raises:
      RunError: if a loss is no longer finite.
    """
    return _complete(plan, run_dir, show, past)


def _complete(plan: Plan, run_dir: Path, show: Callable[[Row], Any], past: Snapshot) -> Result:
    checkpoint.write(run_dir / "config.toml", dump(plan.config).encode())
    with tensorboard.events(run_dir) if plan.config.train.tensorboard else nullcontext() as events:
        seen = _follow(plan, run_dir, lambda row: (events and events.row(row), show(row)), past)
        (metrics, _, state), kept, stopped = seen
        params = trained_params(plan.model, state)
        checkpoint.save(run_dir / "model.npz", plan.model, params, (None, plan.dataset.features))
        arrays = inside.arrays(plan.model, params, first(plan.dataset.validation, MOST_EXAMPLES).x)
        if events:
            events.histograms(arrays, kept["step"])
    histograms = {kind: {path: inside.histogram(a) for path, a in each.items()} for kind, each in arrays.items()}
    for name, content in {"result.json": kept, "histograms.json": histograms, **_held_out(plan, params)}.items():
        checkpoint.write(run_dir / name, json.dumps(log.finite(content)).encode())
    report.write_own(run_dir)
    if not math.isfinite(metrics[-1]["train_loss"]):
        raise RunError(
            f"the loss is {metrics[-1]['train_loss']} in epoch {len(metrics)}; try a smaller "
            f"optimizer.learning_rate. What was done is in {run_dir}"
        )
    return Result(run_dir, metrics, kept, stopped)


def _follow(plan: Plan, run_dir: Path, show: Callable[[Row], Any], past: Snapshot) -> tuple[Snapshot, Row, bool]:
    """Trains, and logs and shows each epoch; now and then, and at the end, it saves where the run stands.

    The epochs of the past are decided upon once more: what ends a run, and what it keeps, follows from their metrics.

    Returns:
      Where the run stands, the row of the epoch to keep, and whether the user stopped it before the last.
    """
    settings, kept_row, stopped, next_save = plan.config.train, {}, False, 0.0
    kept_by = settings.kept_by if settings.keep == "best" else None
    rows, state, kept = [], past.state, past.kept
    checkpoint.write(run_dir / log.NAME, log.lines(past.rows).encode())
    with (run_dir / log.NAME).open("a", encoding="utf-8") as file, _stop_signal() as stop:
        epochs = chain(past.epochs, _logged(train(plan, past), file, show))
        for state, row, is_kept in until_over(epochs, settings.early_stopping, kept_by):
            rows.append(row)
            if is_kept:
                kept, kept_row = state, row
            stopped = stop.is_set() and len(past.rows) <= len(rows) < settings.epochs
            if stopped or not math.isfinite(row["train_loss"]):
                break
            if len(rows) > len(past.rows) and time.monotonic() >= next_save:
                snapshot.save(run_dir, plan, Snapshot(rows, state, kept))
                next_save = time.monotonic() + SECONDS_A_SAVE
    now = Snapshot(rows, state, kept)
    snapshot.save(run_dir, plan, now)
    return now, kept_row, stopped


def _logged(
    epochs: Iterable[tuple[State, Row]], file: TextIO, show: Callable[[Row], Any]
) -> Iterator[tuple[State, Row]]:
    """The epochs, each written down and shown when it comes."""
    for state, row in epochs:
        file.write(log.lines([row]))
        file.flush()
        show(row)
        yield state, row


def _held_out(plan: Plan, params: Any) -> dict[str, Any]:
    """The content of the JSON file about the validation rows, by its name."""
    rows, preparation = plan.dataset.validation, plan.dataset.preparation
    if plan.dataset.classes:
        matrix = confusion_matrix(outputs(plan.model, params, rows), jnp.asarray(rows.y))
        return {"confusion_matrix.json": jax.device_get(matrix).tolist()}
    some = first(rows, MOST_PREDICTIONS)
    targets, predictions = (
        preparation.decode(jax.device_get(column)).values.tolist()
        for column in (some.y, outputs(plan.model, params, some))
    )
    return {"predictions.json": {"names": preparation.targets, "targets": targets, "predictions": predictions}}


@contextmanager
def _stop_signal() -> Iterator[Event]:
    """An event that the first Ctrl-C sets; the second raises KeyboardInterrupt, as without this."""
    stop = Event()

    def on_interrupt(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    if current_thread() is not main_thread():  # only the main thread may handle signals
        yield stop
        return
    # None is a handler that was not set from Python, which Python cannot set again.
    before = signal.getsignal(signal.SIGINT) or signal.SIG_DFL
    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def default_run_dir(name: str) -> Path:
    """A new folder `runs/<name>-<time>` below the current one."""
    first = Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    later = (first.with_name(f"{first.name}-{number}") for number in range(2, 1000))
    return first if not first.exists() else next(path for path in later if not path.exists())


def _make(run_dir: Path) -> None:
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        if any(run_dir.iterdir()):
            raise RunError(f"{run_dir}: expected a new or empty folder for the run, and it holds files; name another")
    except OSError as error:
        raise RunError(f"{run_dir}: expected a folder that can be made: {error.strerror}") from None
