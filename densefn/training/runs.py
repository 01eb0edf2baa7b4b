"""A run: from a plan to a folder with the trained model. This is the room that touches the disk."""

import json
import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import Any

import jax
import jax.numpy as jnp

from densefn import checkpoint
from densefn.training import inside, report, tensorboard
from densefn.training.config import dump
from densefn.training.loop import Metrics, Plan, train
from densefn.training.metrics import confusion_matrix
from densefn.training.passes import first, outputs
from densefn.training.step import State, trained_params
from densefn.training.stopping import until_over

# Of a regression so many validation rows are written down with their predictions.
MOST_PREDICTIONS = 1000
# Of so many validation rows the outputs of the layers are counted.
MOST_EXAMPLES = 8192


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
    metrics: list[Metrics]
    kept: Metrics
    stopped: bool


def start(plan: Plan, run_dir: Path, show: Callable[[Metrics], Any]) -> Result:
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
    checkpoint.write(run_dir / "config.toml", dump(plan.config).encode())
    checkpoint.write(run_dir / "preparation.json", json.dumps(plan.dataset.preparation.to_table()).encode())
    with tensorboard.events(run_dir) if plan.config.train.tensorboard else nullcontext() as events:
        metrics, (state, kept), stopped = _follow(plan, run_dir, lambda row: (events and events.row(row), show(row)))
        params = trained_params(plan.model, state)
        checkpoint.save(run_dir / "model.npz", plan.model, params, (None, plan.dataset.features))
        arrays = inside.arrays(plan.model, params, first(plan.dataset.validation, MOST_EXAMPLES).x)
        if events:
            events.histograms(arrays, kept["step"])
    histograms = {kind: {path: inside.histogram(a) for path, a in each.items()} for kind, each in arrays.items()}
    for name, content in {"result.json": kept, "histograms.json": histograms, **_held_out(plan, params)}.items():
        checkpoint.write(run_dir / name, json.dumps(_finite(content)).encode())
    report.write_own(run_dir)
    if not math.isfinite(metrics[-1]["train_loss"]):
        raise RunError(
            f"the loss is {metrics[-1]['train_loss']} in epoch {len(metrics)}; try a smaller "
            f"optimizer.learning_rate. What was done is in {run_dir}"
        )
    return Result(run_dir, metrics, kept, stopped)


def _follow(
    plan: Plan, run_dir: Path, show: Callable[[Metrics], Any]
) -> tuple[list[Metrics], tuple[State, Metrics], bool]:
    """Trains, logs and shows each epoch.

    Returns:
      The rows of all epochs, state and row of the one to be saved, and whether the user stopped it before the last.
    """
    metrics: list[Metrics] = []
    kept: list[tuple[State, Metrics]] = []
    stopped, settings = False, plan.config.train
    kept_by = settings.kept_by if settings.keep == "best" else None
    with (run_dir / "metrics.jsonl").open("w", encoding="utf-8") as log, _stop_signal() as stop:
        for state, row, is_kept in until_over(train(plan), settings.early_stopping, kept_by):
            kept = [(state, row)] if is_kept else kept
            metrics.append(row)
            log.write(json.dumps(_finite(row)) + "\n")
            log.flush()
            show(row)
            stopped = stop.is_set() and len(metrics) < settings.epochs
            if stopped or not math.isfinite(row["train_loss"]):
                break
    return metrics, kept[0], stopped


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


def _finite(value: Any) -> Any:
    """What is written as JSON, with None for the numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
