"""A training step as a pure function, which compiles, nests and batches like any other.

A loss and a metric are functions of outputs and targets. What is minimised is the loss plus the penalties of the
layers; after each update the constraints of the layers are applied. Where a model computes in float16, the loss is
scaled (`loss_scale.py`); what is reported of it is not. Where an average of the parameters is kept (`average.py`), it
is what is evaluated.

Frozen parameters have no gradient, no state of the optimizer and no average (`densefn.partition`).

An optimizer sees gradients and parameters in float32 at least, and so is its state: in float16 the squares of small
gradients are zero, and so is what Adam adds to their root. Only the updated parameters are rounded to their dtype.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from densefn.data import Rows
from densefn.layer import Layer
from densefn.partition import combine, partition
from densefn.precision import widen
from densefn.training import average, loss_scale
from densefn.training.average import Average
from densefn.training.loss_scale import AnyLossScale, Dynamic, LossScale

Measure = Callable[[Array, Array], Array]
_wide = partial(jax.tree.map, widen)


class State(NamedTuple):
    """What a step changes.

    Attributes:
      params: of the model.
      opt_state: of the optimizer.
      step: the number of updates. A step that is skipped or whose gradient is only accumulated is not one, neither here
        nor where the optimizer counts for its schedules: a learning rate warms up over as many updates as were asked
        for.
      loss_scale: None where the loss is not scaled.
      average: of the parameters; None where there is none.
    """

    params: Any
    opt_state: Any
    step: Array
    loss_scale: LossScale = None
    average: Average | None = None


def make_state(
    model: Layer,
    optimizer: optax.GradientTransformation,
    key: Array,
    features: int,
    *,
    scale: AnyLossScale = None,
    ema: float | None = None,
) -> State:
    """Draws the parameters of a model and the first state of its training.

    Args:
      model: the layer.
      optimizer: of its parameters.
      key: for them.
      features: the number of columns of the rows.
      scale: of the loss: "dynamic", a positive number, or None, which is "dynamic" for a model with float16 in it and
        no scale for all others.
      ema: the decay of the average of the parameters, between 0 and 1, or None for no average.

    >>> from densefn import Dense
    >>> make_state(Dense(2, dtype="mixed_float16"), optax.sgd(0.1), jax.random.key(0), 3).loss_scale.scale
    Array(32768., dtype=float32)
    """
    params = model.init(key, (None, features))
    trainable, _ = partition(model, params)
    chosen = loss_scale.choose(scale, model)
    return State(
        params,
        jax.tree.map(_strongly_typed, optimizer.init(_wide(trainable))),
        jnp.zeros((), jnp.int32),
        loss_scale.start(chosen),
        average.start(ema, trainable),
    )


def _strongly_typed(leaf: Array) -> Array:
    """The same array; a first state of weak types, as that of `optax.lbfgs`, would compile the second epoch anew."""
    return lax.convert_element_type(leaf, leaf.dtype)


def trained_params(model: Layer, state: State) -> Any:
    """The parameters to evaluate and to keep: the average where there is one, else those of the last update.

    An average of parameters that meet a constraint need not meet it (`UnitNorm`), so it is projected.
    """
    if state.average is None:
        return state.params
    trainable, frozen = partition(model, state.params)
    return model.project(combine(average.read(state.average, trainable), frozen))


def make_objective(model: Layer, loss: Measure) -> Callable[[Any, Any, Rows], Array]:
    """Makes `objective(trainable, frozen, rows) -> loss with penalties`: what is minimised."""

    def objective(trainable: Any, frozen: Any, rows: Rows) -> Array:
        value, penalty = model.forward(combine(trainable, frozen), rows.x)
        return loss(value, rows.y) + penalty

    return objective


def make_step(
    model: Layer, optimizer: optax.GradientTransformation, loss: Measure
) -> Callable[[State, Rows], tuple[State, Array]]:
    """Makes `step(state, rows) -> (state, loss)`: gradient, update, projection, average.

    An optimizer that asks for the loss, as `optax.lbfgs` does, is given that of the batch. With one in
    `optax.MultiSteps`, a step that only accumulates its gradient changes nothing else. With a dynamic loss scale, a
    step whose gradient is not finite changes nothing but the scale. A loss that is itself not finite is returned as it
    is, with and without a scale: no scale mends it.
    """
    with_extra = optax.with_extra_args_support(optimizer)
    objective = make_objective(model, loss)

    def step(state: State, rows: Rows) -> tuple[State, Array]:
        trainable, frozen = partition(model, state.params)
        value, gradient = loss_scale.value_and_grad(objective, state.loss_scale)(trainable, frozen, rows)
        gradient = _wide(gradient)
        asked_for = {"value": value, "grad": gradient, "value_fn": lambda params: objective(params, frozen, rows)}
        with jax.numpy_dtype_promotion("standard"):  # optax counts in int32, and multiplies what it counts with floats
            updates, opt_state = with_extra.update(gradient, state.opt_state, _wide(trainable), **asked_for)
            updated = optax.apply_updates(trainable, updates)
        params = model.project(combine(updated, frozen))
        averaged = average.update(state.average, partition(model, params)[0])
        after = state._replace(params=params, opt_state=opt_state, step=state.step + 1, average=averaged)
        return _skipped_unless_finite(gradient, _updated_when_whole(after, state), state), value

    return step


def _updated_when_whole(after: State, before: State) -> State:
    """The state after a step or, with an optimizer that accumulates and has no whole batch yet, the one before it.

    A projection of parameters that no update has changed may change them: first ones, or others by a rounding.
    """
    if not isinstance(after.opt_state, optax.MultiStepsState):
        return after
    whole = after.opt_state.mini_step == 0
    return jax.tree.map(partial(jnp.where, whole), after, before)._replace(opt_state=after.opt_state)


def _skipped_unless_finite(gradient: Any, after: State, before: State) -> State:
    """The state after a step or, with a dynamic scale and a gradient that is not finite, the one before it."""
    if not isinstance(before.loss_scale, Dynamic):
        return after
    finite = loss_scale.is_finite(gradient)
    kept = jax.tree.map(partial(jnp.where, finite), after, before)
    return kept._replace(loss_scale=loss_scale.adjust(before.loss_scale, finite))
