"""Makes training steps: pure functions for `jax.jit`, `lax.scan` and `jax.vmap`.

A loss is a function of outputs and targets. The objective is the loss plus the penalties of the layers. After each
update, the constraints of the layers are applied. For a model that computes in float16, the loss is scaled before it is
differentiated (`loss_scale.py`); the reported loss is not scaled. If an average of the parameters is kept
(`average.py`), the average is evaluated and saved.

Frozen parameters have no gradient, no optimizer state and no average (`densefn.partition`).

The optimizer gets gradients and parameters in float32 at least, and keeps its state in the same dtypes. In float16, the
squares of small gradients would be zero, and so would Adam's epsilon. Only the updated parameters are rounded to their
own dtype.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from densefn.data import Rows
from densefn.layer import Layer, as_output
from densefn.partition import combine, partition
from densefn.precision import widen
from densefn.training import average, loss_scale
from densefn.training.average import Average
from densefn.training.loss_scale import AnyLossScale, Dynamic, LossScale

Measure = Callable[[Array, Array], Array]
_wide = partial(jax.tree.map, widen)


class State(NamedTuple):
    """The state of a training; a step returns a new one.

    Attributes:
      params: the model's parameters.
      opt_state: the optimizer's state.
      step: the number of updates. A step that is skipped, or that only accumulates its gradient, does not count. The
        optimizer's schedules count in the same way.
      loss_scale: the loss scale; None if the loss is not scaled.
      average: the average of the parameters; None if none is kept.
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
    """Draws the parameters of a model, and makes the first state of its training.

    Args:
      model: the layer.
      optimizer: updates the parameters.
      key: draws the parameters.
      features: the number of columns of the rows.
      scale: the loss scale: "dynamic", a positive number, or None. None is "dynamic" for a model that computes in
        float16, and no scale for others.
      ema: the decay of the average of the parameters, between 0 and 1; None keeps no average.

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
    """The array without JAX's weak type.

    The first state of `optax.lbfgs` has weakly typed scalars. A step returns strongly typed ones, and the changed type
    would compile the second epoch again.
    """
    return lax.convert_element_type(leaf, leaf.dtype)


def trained_params(model: Layer, state: State) -> Any:
    """The parameters to evaluate and to save: their average if one is kept, otherwise those of the last update.

    The average of parameters that meet a constraint may violate it (`UnitNorm`), so it is projected.
    """
    if state.average is None:
        return state.params
    trainable, frozen = partition(model, state.params)
    return model.project(combine(average.read(state.average, trainable), frozen))


def make_objective(model: Layer, loss: Measure) -> Callable[[Any, Any, Rows], Array]:
    """Makes `objective(trainable, frozen, rows) -> loss with penalties`, which training minimises."""

    def objective(trainable: Any, frozen: Any, rows: Rows) -> Array:
        value, penalty = as_output(model, model.forward(combine(trainable, frozen), rows.x))
        return loss(value, rows.y) + penalty

    return objective


def make_step(
    model: Layer, optimizer: optax.GradientTransformation, loss: Measure
) -> Callable[[State, Rows], tuple[State, Array]]:
    """Makes `step(state, rows) -> (state, loss)`: gradient, update, projection, average.

    An optimizer that needs the loss, such as `optax.lbfgs`, gets the loss of the batch. With `optax.MultiSteps`, a step
    that only accumulates its gradient changes nothing else. With a dynamic loss scale, a step whose gradient is not
    finite changes only the scale. A loss that is not finite is returned as it is, since no scale can repair it.
    """
    with_extra = optax.with_extra_args_support(optimizer)
    objective = make_objective(model, loss)

    def step(state: State, rows: Rows) -> tuple[State, Array]:
        trainable, frozen = partition(model, state.params)
        value, gradient = loss_scale.value_and_grad(objective, state.loss_scale)(trainable, frozen, rows)
        gradient = _wide(gradient)
        # The names are optax's. `value_fn` is for line searches, which try several parameters on the same batch.
        extra = {"value": value, "grad": gradient, "value_fn": lambda params: objective(params, frozen, rows)}
        with jax.numpy_dtype_promotion("standard"):  # optax multiplies int32 counts with floats
            updates, opt_state = with_extra.update(gradient, state.opt_state, _wide(trainable), **extra)
            updated = optax.apply_updates(trainable, updates)
        params = model.project(combine(updated, frozen))
        averaged = average.update(state.average, partition(model, params)[0])
        after = state._replace(params=params, opt_state=opt_state, step=state.step + 1, average=averaged)
        return _skipped_unless_finite(gradient, _kept_while_accumulating(after, state), state), value

    return step


def _kept_while_accumulating(after: State, before: State) -> State:
    """The state after a step; before it, if the step only accumulated its gradient.

    Without an update, projecting could still change the parameters: initial ones that violate a constraint, or others
    by a rounding.
    """
    if not isinstance(after.opt_state, optax.MultiStepsState):
        return after
    is_updated = after.opt_state.mini_step == 0  # optax resets the count with each update
    return jax.tree.map(partial(jnp.where, is_updated), after, before)._replace(opt_state=after.opt_state)


def _skipped_unless_finite(gradient: Any, after: State, before: State) -> State:
    """The state after a step; before it, if the loss scale is dynamic and the gradient is not finite."""
    if not isinstance(before.loss_scale, Dynamic):
        return after
    finite = loss_scale.is_finite(gradient)
    kept = jax.tree.map(partial(jnp.where, finite), after, before)
    return kept._replace(loss_scale=loss_scale.adjust(before.loss_scale, finite))
