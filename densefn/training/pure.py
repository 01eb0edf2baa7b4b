"""Turns a whole training into one pure function, for `jax.jit` and `jax.vmap`.

    train(key, overrides) -> (state, metrics)

The steps are those of the loop on the host (`loop.py`). The epochs are a `lax.scan`, and the order of the rows is drawn
from the key. So an ensemble is a `vmap` over keys, and a sweep is a `vmap` over learning rates.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from densefn._values import find
from densefn.data import Stream
from densefn.param import fold
from densefn.training.epochs import make_epoch, make_evaluate
from densefn.training.loop import Plan, initial_state, nan_unless_finite
from densefn.training.optax_calls import Call
from densefn.training.step import State, make_step, trained_params

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_NEEDS_A_VALUE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


def make_train(plan: Plan) -> Callable[..., tuple[State, dict[str, Array]]]:
    """Makes `train(key, overrides={}) -> (state, metrics)`.

    `overrides` replace arguments of the optimizer, such as `{"learning_rate": 3e-4}`. Each is a number or a scalar
    array, which may be traced. A learning rate replaces a schedule. Ranges are not checked.

    Differences from a run in a folder:
      - `early_stopping` and `keep = "best"` are ignored: every epoch is computed, and the last state is returned.
      - The key decides the order of the rows, by `jax.random.permutation`. With `jax.random.key(train.seed)`, the
        initial parameters are those of the run.
      - Gradient norms are not measured.

    Args:
      plan: from `prepare`. Its rows become constants of the compiled program.

    Returns:
      The function `train`. Its `state` is that after the last epoch, from which `step.trained_params` reads the
      parameters. Its `metrics` are arrays of shape `[epochs]`: `train_loss`, `val_loss`, and the config's own, such as
      `val_accuracy`. Metrics of validation rows are NaN in an epoch without an evaluation.
      `train` raises a ValueError for an override that is unknown or that optax cannot trace, and a TypeError for one
      that is not a number.

    Raises:
      ValueError: if the rows are streamed from a file.

    >>> from densefn.training import make_train, prepare
    >>> plan = prepare({
    ...     "data": {"name": "iris"},
    ...     "model": {"layers": [{"units": 3}]},
    ...     "optimizer": {"name": "adam", "learning_rate": 0.1},
    ...     "train": {"epochs": 5},
    ... })
    >>> keys = jax.random.split(jax.random.key(0), 8)
    >>> state, metrics = jax.jit(jax.vmap(make_train(plan)))(keys)
    >>> metrics["val_accuracy"].shape
    (8, 5)
    """
    rows, validation = plan.dataset.train, plan.dataset.validation
    streamed = any(isinstance(part, Stream) for part in (rows, validation))
    if streamed:
        raise ValueError(
            f"{plan.config.data.title}: expected rows on the device, got rows streamed from a file; set data.stream to "
            "false if they fit into memory, or train with fit"
        )
    settings, batch_size, count = plan.config.train, plan.config.data.batch_size, len(rows.y)
    evaluate = make_evaluate(plan.model, plan.loss, plan.metrics)

    def evaluated(state: State) -> dict[str, Array]:
        loss, values = evaluate(trained_params(plan.model, state), validation)
        return {"val_loss": loss, **values}

    def not_evaluated(state: State) -> dict[str, Array]:
        return jax.tree.map(lambda value: jnp.full(value.shape, jnp.nan, value.dtype), jax.eval_shape(evaluated, state))

    def train(key: Array, overrides: Mapping[str, Any] = _NOTHING) -> tuple[State, dict[str, Array]]:
        optimizer = _optimizer(plan, overrides)
        epoch = make_epoch(make_step(plan.model, optimizer, plan.loss), batch_size)
        order_key = fold(key, "order of the rows")  # independent of the keys of the parameters

        def run_epoch(state: State, number: Array) -> tuple[State, dict[str, Array]]:
            order = jax.random.permutation(jax.random.fold_in(order_key, number), count)
            state, loss = epoch(state, rows, order)
            is_due = (number % settings.evaluate_every == 0) | (number == settings.epochs)
            # A `vmap` over keys does not batch the number, so `cond` stays a branch: other epochs evaluate nothing.
            measured = lax.cond(is_due, evaluated, not_evaluated, state)
            return state, {"train_loss": nan_unless_finite(loss, state.params), **measured}

        with _naming(overrides):
            first = initial_state(replace(plan, optimizer=optimizer), key)
            return lax.scan(run_epoch, first, jnp.arange(1, settings.epochs + 1))

    return train


def _optimizer(plan: Plan, overrides: Mapping[str, Any]) -> optax.GradientTransformation:
    if not overrides:
        return plan.optimizer
    arguments = dict(plan.config.optimizer.call.arguments)
    numbers = {name: value for name, value in arguments.items() if type(value) in (int, float, Call)}
    # In a narrower dtype, a learning rate would be rounded more than in the run of a config.
    widest = jnp.result_type(jnp.float32, *jax.tree.leaves(jax.eval_shape(lambda: initial_state(plan)).params))
    given = {}
    for name, value in overrides.items():
        find(numbers, name, "override")
        if not jnp.issubdtype(getattr(value, "dtype", type(value)), jnp.number) or jnp.shape(value):
            raise TypeError(f"override {name!r}: expected a number or a scalar array, got {value!r}; vmap over several")
        given[name] = jnp.asarray(value, widest)
    with _naming(overrides):
        return plan.config.optimizer.make(**given)


@contextmanager
def _naming(overrides: Mapping[str, Any]) -> Iterator[None]:
    """Names the overrides in the error of an optax function that needs the value of a traced number."""
    try:
        yield
    except _NEEDS_A_VALUE as error:
        names = ", ".join(overrides)
        raise ValueError(f"optax needs the value of an override ({names}) to trace; set it in the config") from error
