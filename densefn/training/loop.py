"""Runs the training loop, from a plan that is checked first."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from densefn import checkpoint, data
from densefn._values import Problem, TableError
from densefn.data import Dataset
from densefn.layer import Layer
from densefn.training import diagnostics, loss_scale, objective
from densefn.training.config import Config
from densefn.training.epochs import first_rows, make_epoch, make_evaluate
from densefn.training.losses import Loss
from densefn.training.metrics_file import Row
from densefn.training.objective import Measures
from densefn.training.step import State, make_state, make_step, trained_params

T = TypeVar("T")

# Gradient norms are taken at most once in this many steps; each costs about one step, so 2% at most.
STEPS_PER_GRADIENT_NORMS = 50


@dataclass(frozen=True)
class Plan:
    """All that a run needs, checked together.

    Attributes:
      config: the config, with every choice made.
      dataset: the rows, loaded and split.
      model: takes the data set's features, and has as many outputs as the loss needs.
      optimizer: updates the model's parameters.
      loss: the loss to minimise, with the class weights of the training rows.
      metrics: the metrics of the validation rows, by the names under which they are reported.
    """

    config: Config
    dataset: Dataset
    model: Layer
    optimizer: optax.GradientTransformation
    loss: Loss
    metrics: Measures


def prepare(config: Config) -> Plan:
    """Loads the data and checks that model and optimizer fit it. Nothing is computed or written.

    Returns:
      The plan. Where the config gives no task, loss, metrics or loss scale, the plan's config has those that fit the
      data and the model.

    Raises:
      TableError: if data, model, loss, metrics and optimizer do not fit together.
    """
    dataset = data.load(config.data)
    config = replace(config, data=config.data.resolved(dataset.preparation))
    scale = loss_scale.choose(config.train.loss_scale, config.model)
    config = replace(config, train=replace(config.train, loss_scale=scale))
    config, loss, measures = objective.choose(config, dataset)
    plan = Plan(config, dataset, config.model, config.optimizer.make(), loss, measures)
    _check_model(plan)
    _check_step(plan)
    return plan


def _check_model(plan: Plan) -> None:
    rows = plan.dataset
    try:
        shape = plan.model.output_shape((None, rows.features))
        checkpoint.check(plan.model, (None, rows.features))
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
                    f"{type(plan.loss).__name__} needs{_other_task(plan)}",
                )
            ]
        )


def _other_task(plan: Plan) -> str:
    """A hint that the task may be guessed wrong, for a target whose numbers fit both tasks."""
    target = plan.dataset.preparation.target
    if not isinstance(plan.config.data, data.FileSource) or len(target.titles) > 1:
        return ""
    if not isinstance(target, data.Classes):
        return ', or data.task to "classification" if the numbers are classes'
    return ', or data.task to "regression" if the classes are amounts' if target.form == "number" else ""


def _check_step(plan: Plan) -> None:
    """Traces one step: only here does optax refuse an argument of a wrong type."""
    step = make_step(plan.model, plan.optimizer, plan.loss)
    try:
        state = jax.eval_shape(lambda: initial_state(plan))
        after, _ = jax.eval_shape(step, state, plan.dataset.train.take(np.arange(1)))
    except MemoryError:
        raise
    except Exception as error:  # optax raises errors of many types, all of them caused by the user's arguments
        raise TableError([Problem(("optimizer",), f"a training step fails with these arguments: {error}")]) from None
    if after != state:
        raise TableError([Problem(("optimizer",), "a training step changes the shapes or dtypes of the state")])


def initial_state(plan: Plan, key: Array | None = None) -> State:
    """The state before the first step; for None, the key is made from the config's seed."""
    settings = plan.config.train
    key = jax.random.key(settings.seed) if key is None else key
    features = plan.dataset.features
    return make_state(plan.model, plan.optimizer, key, features, scale=settings.loss_scale, ema=settings.ema)


def nan_unless_finite(loss: Array, params: Any) -> Array:
    """The loss of an epoch; NaN if it is finite but the parameters after the epoch are not."""
    return jnp.where(loss_scale.is_finite(params) | ~jnp.isfinite(loss), loss, jnp.nan)


class Snapshot(NamedTuple):
    """The state of a training after an epoch, from which it can be resumed.

    Attributes:
      rows: the rows of metrics of the finished epochs.
      state: the state after the last of them; before the first epoch, the initial state.
      kept: the state after the epoch whose model is kept so far.
    """

    rows: list[Row]
    state: State
    kept: State

    @property
    def epochs(self) -> list[tuple[State, Row]]:
        """The finished epochs as (state, row). Only two states are known; `kept` stands in for all but the last."""
        return [*((self.kept, row) for row in self.rows[:-1]), *((self.state, row) for row in self.rows[-1:])]


def initial_snapshot(plan: Plan) -> Snapshot:
    """The snapshot before the first step."""
    first = jax.jit(lambda: initial_state(plan))()
    return Snapshot([], first, first)


def train(plan: Plan, past: Snapshot | None = None) -> Iterator[tuple[State, Row]]:
    """Trains, and yields the state and the row of metrics after each remaining epoch.

    The order of the rows depends only on the seed and the number of the epoch. For rows on the device, epoch n + 1 is
    dispatched before the metrics of epoch n are read, so the device is not idle meanwhile. A stream does not overlap
    epochs. An epoch without an evaluation has no metrics of validation rows. The loss of an epoch is NaN if it is
    finite but the parameters after it are not, so that its model is not kept.
    """
    past = past or initial_snapshot(plan)
    began = time.perf_counter() - (past.rows[-1].seconds if past.rows else 0)
    epochs, names = _epochs(plan, past), ("train_loss", "val_loss", *plan.metrics)
    for number, (state, measured) in enumerate(epochs if plan.dataset.is_streamed else _one_ahead(epochs), 1):
        done, values = jax.device_get((state.step, measured))
        norms = values.get("gradient_norms")
        yield (
            state,
            Row(
                epoch=len(past.rows) + number,
                step=int(done),
                metrics={name: float(values[name]) for name in names if name in values},
                seconds=round(time.perf_counter() - began, 3),
                gradient_norms=norms and {path: float(norm) for path, norm in norms.items()},
            ),
        )


def _epochs(plan: Plan, past: Snapshot) -> Iterator[tuple[State, dict[str, Any]]]:
    """Dispatches the epochs, each with its evaluation.

    The state is not donated: the previous one is still read after the next epoch has begun.
    """
    settings, rows = plan.config.train, plan.dataset.train
    epoch = make_epoch(make_step(plan.model, plan.optimizer, plan.loss), plan.config.data.batch_size)
    kept = jax.jit(partial(trained_params, plan.model))
    evaluate = make_evaluate(plan.model, plan.loss, plan.metrics)
    reported = jax.jit(nan_unless_finite)
    gradient_norms = jax.jit(diagnostics.make_gradient_norms(plan.model, plan.loss))
    norm_rows = first_rows(rows, plan.config.data.batch_size)
    batches = -(-len(rows.y) // plan.config.data.batch_size)
    state = past.state
    for number in range(len(past.rows) + 1, settings.epochs + 1):
        # NumPy draws the order: it is the same with every version of JAX, and a stream needs it on the host.
        order = np.random.default_rng((settings.seed, number)).permutation(len(rows.y))
        state, train_loss = epoch(state, rows, order)
        measured: dict[str, Any] = {"train_loss": reported(train_loss, state.params)}
        if number % settings.evaluate_every == 0 or number == settings.epochs:
            val_loss, values = evaluate(kept(state), plan.dataset.validation)
            measured |= {"val_loss": val_loss, **values}
            before = (number - 1) // settings.evaluate_every * settings.evaluate_every
            # ceil(steps / 50) counts the measurements up to an epoch: one is due if it grew since the last evaluation.
            if -(-number * batches // STEPS_PER_GRADIENT_NORMS) > -(-before * batches // STEPS_PER_GRADIENT_NORMS):
                measured["gradient_norms"] = gradient_norms(state, norm_rows)
        yield state, measured


def _one_ahead(items: Iterator[T]) -> Iterator[T]:
    """The items, each yielded after the next one was fetched.

    >>> list(_one_ahead(iter("abc")))
    ['a', 'b', 'c']
    """
    waiting: deque[T] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > 1:
            yield waiting.popleft()
    yield from waiting
