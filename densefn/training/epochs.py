"""Makes passes over rows: an epoch of steps, an evaluation, the outputs of a model.

The rows are on the device or streamed from a file (`data.Rows`, `data.Stream`). Both are read in the same parts and go
through the same compiled programs, so both give the same bits.
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
"""The most rows and numbers of a part (2^24 numbers are 64 MiB of float32), which has at least one row or batch."""


def make_epoch(
    step: Callable[[State, Rows], tuple[State, Array]], batch_size: int
) -> Callable[[State, Rows | Stream, np.ndarray | Array], tuple[State, Array]]:
    """Makes `epoch(state, rows, order) -> (state, loss)`: one pass over the rows, in the order of the indices.

    Every row is used once. If the batch size does not divide the number of rows, the last step has fewer rows. The loss
    is the mean over the rows; the loss of a row is computed before the update of its step. A part of a stream is read
    while the previous part is computed, and not earlier, so at most two parts are in memory.
    """

    @jax.jit
    def steps(state: State, part: Rows) -> tuple[State, Array]:
        """Takes the steps of one part; returns the state and the sum of the losses of its rows."""
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
                jax.block_until_ready(before)  # steps run asynchronously: else all parts would be read into memory
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
    """The first rows, at most `most` of them."""
    return rows.take(np.arange(min(most, len(rows.y))))


def _parts(rows: Rows | Stream, order: Any, batch_size: int = 1) -> Iterator[Rows]:
    """The rows in an order, in parts of several whole batches."""
    size = max(1, min(_MOST_ROWS, _MOST_NUMBERS // rows.features) // batch_size) * batch_size
    for start in range(0, len(order), size):
        yield rows.take(order[start : start + size])
