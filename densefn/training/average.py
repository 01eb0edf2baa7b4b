"""An exponential moving average of the parameters: smoother than they are, and often better on rows not seen.

    sum = decay * sum + (1 - decay) * params        after each update
    average = sum / (1 - decay ** updates)

The division takes away that the sum begins at zero, so the average of the first update is its parameters. Sums are of
float32 at least, whatever the parameters are: in bfloat16 a decay of 0.999 would never move them.

An average is part of the training state, None where there is none, and changes by pure functions.

Source: `optax.ema`; Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from densefn.precision import widen


class Average(NamedTuple):
    """The state of an average.

    Attributes:
      decay: how much of the sum is kept at an update, a float32 scalar.
      updates: their number, an int32 scalar.
      sums: in the structure of the parameters.
    """

    decay: Array
    updates: Array
    sums: Any


def start(decay: float | None, params: Any) -> Average | None:
    """The average before the first update; None for no decay."""
    if decay is None:
        return None
    sums = jax.tree.map(lambda w: jnp.zeros_like(widen(w)), params)
    return Average(jnp.array(decay, jnp.float32), jnp.zeros((), jnp.int32), sums)


def update(average: Average | None, params: Any) -> Average | None:
    """The average after an update that led to these parameters.

    >>> average = start(0.5, jnp.array(0.0))
    >>> for w in (2.0, 4.0):
    ...     average = update(average, jnp.array(w))
    >>> print(read(average, jnp.array(4.0)))  # (0.25 * 2 + 0.5 * 4) / 0.75
    3.3333333
    """
    if average is None:
        return None
    decay, updates, sums = average
    return Average(decay, updates + 1, jax.tree.map(lambda s, w: decay * s + (1 - decay) * widen(w), sums, params))


def read(average: Average | None, params: Any) -> Any:
    """The averaged parameters, in the dtypes of the parameters; before the first update, the parameters themselves."""
    if average is None:
        return params
    decay, updates, sums = average
    whole = 1 - decay ** jnp.maximum(updates, 1)
    return jax.tree.map(lambda s, w: jnp.where(updates > 0, (s / whole).astype(w.dtype), w), sums, params)
