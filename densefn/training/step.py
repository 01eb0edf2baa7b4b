"""Training as pure functions: a step, an epoch, an evaluation. They compile, nest and batch like any others.

A loss and a metric are functions of outputs and targets. The loss that is minimised is their mean over the rows plus
the penalties of the layers; after each step the constraints of the layers are applied. Where a model computes in
float16, the loss is scaled (`loss_scale.py`); what is reported of it is not.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from densefn.layer import Layer
from densefn.precision import widen
from densefn.training import loss_scale
from densefn.training.data import Rows
from densefn.training.loss_scale import AnyLossScale, Dynamic, LossScale

Loss = Callable[[Array, Array], Array]


class State(NamedTuple):
    """What a step changes.

    Attributes:
      params: of the model.
      opt_state: of the optimizer.
      step: the number of updates. A step that is skipped is not one, neither here nor where the optimizer counts for
        its schedules: a learning rate warms up over as many updates as were asked for.
      loss_scale: None where the loss is not scaled.
    """

    params: Any
    opt_state: Any
    step: Array
    loss_scale: LossScale = None


def cross_entropy(outputs: Array, targets: Array) -> Array:
    """The mean cross entropy of logits `[rows, classes]` and classes `[rows]`, in nats."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(widen(outputs), targets))


def squared_error(outputs: Array, targets: Array) -> Array:
    """The mean of the squared differences of outputs and targets, both `[rows, outputs]`."""
    return jnp.mean(jnp.square(widen(outputs) - targets))


def accuracy(outputs: Array, targets: Array) -> Array:
    """The part of the rows whose largest logit is that of their class."""
    return jnp.mean(jnp.argmax(outputs, axis=-1) == targets)


def r2(outputs: Array, targets: Array) -> Array:
    """The coefficient of determination, averaged over outputs: 1 is exact, 0 as good as the mean of the targets."""
    targets = widen(targets)
    residual = jnp.sum(jnp.square(widen(outputs) - targets), axis=0)
    total = jnp.sum(jnp.square(targets - jnp.mean(targets, axis=0, keepdims=True)), axis=0)
    return jnp.mean(1 - residual / total)


def make_state(
    model: Layer,
    optimizer: optax.GradientTransformation,
    key: Array,
    features: int,
    *,
    scale: AnyLossScale = None,
) -> State:
    """Draws the parameters of a model and the first state of its training.

    Args:
      model: the layer.
      optimizer: of its parameters.
      key: for them.
      features: the number of columns of the rows.
      scale: of the loss: "dynamic", a positive number, or None, which is "dynamic" for a model with float16 in it and
        no scale for all others.

    >>> from densefn import Dense
    >>> make_state(Dense(2, dtype="mixed_float16"), optax.sgd(0.1), jax.random.key(0), 3).loss_scale.scale
    Array(32768., dtype=float32)
    """
    params = model.init(key, (None, features))
    chosen = loss_scale.choose(scale, model)
    return State(params, optimizer.init(params), jnp.zeros((), jnp.int32), loss_scale.start(chosen))


def make_step(
    model: Layer, optimizer: optax.GradientTransformation, loss: Loss
) -> Callable[[State, Rows], tuple[State, Array]]:
    """Makes `step(state, rows) -> (state, loss)`: gradient, update, projection.

    With a dynamic loss scale, a step whose gradient is not finite changes nothing but the scale. A loss that is itself
    not finite is returned as it is, with and without a scale: no scale mends it.
    """

    def objective(params: Any, rows: Rows) -> Array:
        value, penalty = model.forward(params, rows.x)
        return loss(value, rows.y) + penalty

    def step(state: State, rows: Rows) -> tuple[State, Array]:
        value, gradient = loss_scale.value_and_grad(objective, state.loss_scale)(state.params, rows)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params: Any = optax.apply_updates(state.params, updates)
        after = state._replace(params=model.project(params), opt_state=opt_state, step=state.step + 1)
        return _skipped_unless_finite(gradient, after, state), value

    return step


def _skipped_unless_finite(gradient: Any, after: State, before: State) -> State:
    """The state after a step or, with a dynamic scale and a gradient that is not finite, the one before it."""
    if not isinstance(before.loss_scale, Dynamic):
        return after
    finite = loss_scale.is_finite(gradient)
    kept = jax.tree.map(partial(jnp.where, finite), after, before)
    return kept._replace(loss_scale=loss_scale.adjust(before.loss_scale, finite))


def make_epoch(
    step: Callable[[State, Rows], tuple[State, Array]], batch_size: int
) -> Callable[[State, Rows, Array], tuple[State, Array]]:
    """Makes `epoch(state, rows, key) -> (state, loss)`: one pass over the rows in an order drawn from the key.

    Every row is used once; where the batch size does not divide their number, the last step takes those that are left.
    The loss is the mean over the rows, each seen by the parameters of its own step.
    """

    def epoch(state: State, rows: Rows, key: Array) -> tuple[State, Array]:
        count = len(rows.y)
        order = jax.random.permutation(key, count)
        full = count // batch_size
        batches = order[: full * batch_size].reshape(full, batch_size)
        state, losses = lax.scan(lambda state, index: step(state, _take(rows, index)), state, batches)
        total = jnp.sum(losses) * batch_size
        left = order[full * batch_size :]
        if len(left):
            state, last = step(state, _take(rows, left))
            total = total + last * len(left)
        return state, total / count

    return epoch


def _take(rows: Rows, index: Array) -> Rows:
    return jax.tree.map(lambda column: column[index], rows)


def make_evaluate(model: Layer, loss: Loss, metric: Loss) -> Callable[[Any, Rows], tuple[Array, Array]]:
    """Makes `evaluate(params, rows) -> (loss with penalties, metric)`."""

    def evaluate(params: Any, rows: Rows) -> tuple[Array, Array]:
        value, penalty = model.forward(params, rows.x)
        return loss(value, rows.y) + penalty, metric(value, rows.y)

    return evaluate
