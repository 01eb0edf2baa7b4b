"""A run: from a config to a folder with the trained model. This is the room that touches the disk."""

import json
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from densefn import checkpoint
from densefn.layer import Layer
from densefn.training import data, goal, inside, loss_scale, report, tensorboard
from densefn.training.config import Config, dump
from densefn.training.data import Dataset, Rows, Stream
from densefn.training.goal import Measures
from densefn.training.losses import Loss
from densefn.training.metrics import confusion_matrix
from densefn.training.passes import make_epoch, make_evaluate, outputs
from densefn.training.step import State, make_state, make_step, trained_params
from densefn.training.stopping import until_over
from densefn.values import Problem, TableError

T = TypeVar("T")
Metrics = dict[str, Any]

# Of a regression so many validation rows are written down with their predictions.
MOST_PREDICTIONS = 1000
# After so many steps at least, evaluated epochs look at the gradient of one batch again: it costs as much as a step.
STEPS_A_LOOK = 50
# Of so many validation rows the outputs of the layers are counted.
MOST_EXAMPLES = 8192


class RunError(Exception):
    """A run that cannot begin or go on."""


@dataclass(frozen=True)
class Plan:
    """All that a run needs, found to fit together.

    Attributes:
      config: of the run.
      dataset: loaded and split.
      model: takes the rows of the data set, and has the outputs that the loss needs.
      optimizer: of the model's parameters.
      loss: that is minimised, with what it takes from the training rows.
      metrics: that are reported of the validation rows, by the names under which they are reported.
    """

    config: Config
    dataset: Dataset
    model: Layer
    optimizer: optax.GradientTransformation
    loss: Loss
    metrics: Measures


def prepare(config: Config) -> Plan:
    """Loads the data and checks that model and optimizer go with it. Nothing is computed or written.

    Returns:
      The plan; its config has the task, the loss, the metrics and the loss scale that go with data and model where
      none was given.

    Raises:
      TableError: if they do not.
    """
    dataset = data.load(config.data)
    config = replace(config, data=config.data.resolved(dataset.preparation))
    scale = loss_scale.choose(config.train.loss_scale, config.model)
    config = replace(config, train=replace(config.train, loss_scale=scale))
    config, loss, measures = goal.choose(config, dataset)
    plan = Plan(config, dataset, config.model, config.optimizer.make(), loss, measures)
    _check_model(plan)
    _check_step(plan)
    return plan


def _check_model(plan: Plan) -> None:
    rows = plan.dataset
    try:
        shape = plan.model.output_shape((None, rows.features))
    except (TypeError, ValueError) as error:
        raise TableError([Problem(("model",), str(error))]) from None
    outputs = plan.loss.outputs(rows.outputs)
    if shape != (None, outputs):
        kind = "classes" if rows.classes else "targets"
        raise TableError(
            [
                Problem(
                    ("model",),
                    f"expected {outputs} outputs for the {rows.outputs} {kind} of {plan.config.data.title}, "
                    f"got the output shape {shape}; set the units of the last layer to {outputs}, as "
                    f"{type(plan.loss).__name__} needs",
                )
            ]
        )


def _check_step(plan: Plan) -> None:
    """Traces one step: an optimizer's argument of a wrong kind shows only here."""
    step = make_step(plan.model, plan.optimizer, plan.loss)
    try:
        state = jax.eval_shape(lambda: first_state(plan))
        after, _ = jax.eval_shape(step, state, plan.dataset.train.take(np.arange(1)))
    except Exception as error:  # whatever optax raises, the user's arguments are the cause
        raise TableError([Problem(("optimizer",), f"a training step fails with these arguments: {error}")]) from None
    if after != state:
        raise TableError([Problem(("optimizer",), "a training step changes the shapes or dtypes of the state")])


def first_state(plan: Plan) -> State:
    """The parameters and the optimizer's state before the first step."""
    settings = plan.config.train
    key = jax.random.key(settings.seed)
    features = plan.dataset.features
    return make_state(plan.model, plan.optimizer, key, features, scale=settings.loss_scale, ema=settings.ema)


def train(plan: Plan) -> Iterator[tuple[State, Metrics]]:
    """Trains, and yields the state and the metrics after each epoch.

    The order of the rows depends on the seed and the number of the epoch alone. Of rows on the device the next epoch is
    dispatched before the host waits for the metrics of the last one, so the device is not idle while they are read and
    shown; of a stream it begins after them. The metrics of an epoch without an evaluation are those of the training
    rows alone; the norms of the gradient, of the first batch, are there where it was looked at.
    """
    began = time.perf_counter()
    epochs = _epochs(plan) if plan.dataset.is_streamed else _one_ahead(_epochs(plan))
    for number, (state, measured) in enumerate(epochs, 1):
        done, values = jax.device_get((state.step, measured))
        yield (
            state,
            {
                "epoch": number,
                "step": int(done),
                **{name: float(values[name]) for name in ("train_loss", "val_loss", *plan.metrics) if name in values},
                "seconds": round(time.perf_counter() - began, 3),
                **{key: _floats(values[key]) for key in ("gradient_norms",) if key in values},
            },
        )


def _floats(values: dict[str, Array]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def _epochs(plan: Plan) -> Iterator[tuple[State, dict[str, Any]]]:
    """Dispatches the epochs, each with its evaluation.

    The state is not donated: the one before is still to be looked at when the next epoch has begun.
    """
    settings, rows = plan.config.train, plan.dataset.train
    epoch = make_epoch(make_step(plan.model, plan.optimizer, plan.loss), plan.config.data.batch_size)
    kept = jax.jit(partial(trained_params, plan.model))
    evaluate = make_evaluate(plan.model, plan.loss, plan.metrics)
    gradient_norms = jax.jit(inside.make_gradient_norms(plan.model, plan.loss))
    first = _first(rows, plan.config.data.batch_size)
    batches, next_look = -(-len(rows.y) // plan.config.data.batch_size), 0
    state = jax.jit(lambda: first_state(plan))()
    for number in range(1, settings.epochs + 1):
        order = np.random.default_rng((settings.seed, number)).permutation(len(rows.y))
        state, train_loss = epoch(state, rows, order)
        measured: dict[str, Any] = {"train_loss": train_loss}
        if number % settings.evaluate_every == 0 or number == settings.epochs:
            val_loss, values = evaluate(kept(state), plan.dataset.validation)
            measured |= {"val_loss": val_loss, **values}
            if number * batches >= next_look:
                measured["gradient_norms"] = gradient_norms(state, first)
                next_look = number * batches + STEPS_A_LOOK
        yield state, measured


def _one_ahead(items: Iterator[T]) -> Iterator[T]:
    """The items, at least one, each given when the next has been asked for.

    >>> list(_one_ahead(iter("abc")))
    ['a', 'b', 'c']
    """
    item = next(items)
    for following in items:
        yield item
        item = following
    yield item


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


def run(plan: Plan, run_dir: Path, show: Callable[[Metrics], Any]) -> Result:
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
        arrays = inside.arrays(plan.model, params, _first(plan.dataset.validation, MOST_EXAMPLES).x)
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
    some = _first(rows, MOST_PREDICTIONS)
    targets, predictions = (
        preparation.decode(jax.device_get(column)).values.tolist()
        for column in (some.y, outputs(plan.model, params, some))
    )
    return {"predictions.json": {"names": preparation.targets, "targets": targets, "predictions": predictions}}


def _first(rows: Rows | Stream, most: int) -> Rows:
    return rows.take(np.arange(min(most, len(rows.y))))


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
