"""Passes over rows: an epoch of steps, the outputs of a model, an evaluation.

The rows are on the device or streamed from a file (`data.Rows`, `data.Stream`). Either way they are taken in the same
parts, which go through the same compiled programs, and so give the same bits.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from densefn.data import Rows, Stream
from densefn.layer import Layer
from densefn.training.step import Measure, State

_MOST_ROWS, _MOST_NUMBERS = 8192, 2**24
"""Of a part; at least one row or batch."""


def make_epoch(
    step: Callable[[State, Rows], tuple[State, Array]], batch_size: int
) -> Callable[[State, Rows | Stream, np.ndarray | Array], tuple[State, Array]]:
    """Makes `epoch(state, rows, order) -> (state, loss)`: one pass over the rows in an order of their numbers.

    Every row is used once; where the batch size does not divide their number, the last step takes those that are left.
    The loss is the mean over the rows, each seen by the parameters of its own step. A part of a stream is read while
    the one before is computed, and not earlier, so that no more than two are in memory.
    """

    @jax.jit
    def steps(state: State, part: Rows) -> tuple[State, Array]:
        """Also returns the sum of the losses of the rows."""
        count = len(part.y)
        full = count // batch_size * batch_size
        batches = jax.tree.map(lambda column: column[:full].reshape(-1, batch_size, *column.shape[1:]), part)
        state, losses = lax.scan(step, state, batches)
        total = jnp.sum(losses) * batch_size
        if full < count:
            state, last = step(state, jax.tree.map(lambda column: column[full:], part))
            total = total + last * (count - full)
        return state, total

    def epoch(state: State, rows: Rows | Stream, order: np.ndarray | Array) -> tuple[State, Array]:
        total = jnp.zeros(())
        for part in _parts(rows, order, batch_size):
            before = total
            state, loss = steps(state, part)
            total = total + loss
            if isinstance(rows, Stream):
                jax.block_until_ready(before)
        return state, total / len(order)

    return epoch


def make_evaluate(
    model: Layer, loss: Measure, metrics: Mapping[str, Measure]
) -> Callable[[Any, Rows | Stream], tuple[Array, dict[str, Array]]]:
    """Makes `evaluate(params, rows) -> (loss with penalties, metrics)`."""
    forward = jax.jit(model.forward)

    @jax.jit
    def measure(outputs: list[Array], penalties: list[Array], y: Array) -> tuple[Array, dict[str, Array]]:
        value = jnp.concatenate(outputs)
        parts = zip(penalties, outputs, strict=True)
        penalty = sum((penalty * (len(part) / len(value)) for penalty, part in parts), jnp.zeros(()))
        return loss(value, y) + penalty, {name: metric(value, y) for name, metric in metrics.items()}

    def evaluate(params: Any, rows: Rows | Stream) -> tuple[Array, dict[str, Array]]:
        parts = [forward(params, part.x) for part in _parts(rows, np.arange(len(rows.y)))]
        outputs, penalties = (list(each) for each in zip(*parts, strict=True))
        return measure(outputs, penalties, jnp.asarray(rows.y))

    return evaluate


def outputs(model: Layer, params: Any, rows: Rows | Stream) -> Array:
    """The outputs of a model for all rows."""
    apply = jax.jit(model.apply)
    return jnp.concatenate([apply(params, part.x) for part in _parts(rows, np.arange(len(rows.y)))])


def first_rows(rows: Rows | Stream, most: int) -> Rows:
    """The first rows, as many as there are and are asked for."""
    return rows.take(np.arange(min(most, len(rows.y))))


def _parts(rows: Rows | Stream, order: Any, batch_size: int = 1) -> Iterator[Rows]:
    """The rows in an order, some whole batches at once."""
    size = max(1, min(_MOST_ROWS, _MOST_NUMBERS // rows.features) // batch_size) * batch_size
    for start in range(0, len(order), size):
        yield rows.take(order[start : start + size])
