"""Keeps an exponential moving average of the parameters, which often predicts better than the last parameters.

    sum = decay * sum + (1 - decay) * params        after each update
    average = sum / (1 - decay ** updates)

The sum starts at zero, and the division corrects for that: after the first update, the average equals the parameters.
Sums are kept in float32 at least. In bfloat16, with a decay of 0.999, most changes of a sum would be rounded away.

The divisor is computed as `-expm1(updates * log1p(decay - 1))`. Computed as above, it loses most of its digits while
`updates * (1 - decay)` is small. `optax.ema` computes it as above: its first averages are wrong by 2e-4 at a decay of
0.9999, and by 1e-2 at 0.999999.

An average is part of the training state, or None if none is kept. The functions that update it are pure.

Source: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992.
"""

from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from densefn import _checks
from densefn.precision import widen

# The largest float32 below 1. A decay that rounds to 1 would leave the sums and the divisor at zero.
_LARGEST = 1 - 2.0**-24


class Average(NamedTuple):
    """The state of an average.

    Attributes:
      decay: the fraction of the sum that an update keeps, a float32 scalar.
      updates: the number of updates so far, an int32 scalar.
      sums: the sums, in the structure of the parameters.
    """

    decay: Array
    updates: Array
    sums: Any


def check(given: Any) -> float:
    """Checks a decay: a number above 0 that is below 1 in float32 too.

    >>> check(0.999)
    0.999
    """
    decay = _checks.number(above=0, below=1)(given)
    if np.float32(decay) == 1:
        raise ValueError(f"expected a number of at most {_LARGEST}, the largest below 1 in float32, got {given!r}")
    return decay


Decay = Annotated[float | None, _checks.optional(check)]


def start(decay: Decay, params: Any) -> Average | None:
    """The average before the first update; None if the decay is None.

    Raises:
      ValueError, TypeError: if the decay is not a number between 0 and 1 in float32.
    """
    if decay is None:
        return None
    sums = jax.tree.map(lambda w: jnp.zeros_like(widen(w)), params)
    return Average(jnp.array(check(decay), jnp.float32), jnp.zeros((), jnp.int32), sums)


def update(average: Average | None, params: Any) -> Average | None:
    """The average after one more update.

    Args:
      average: the average before the update, or None.
      params: the parameters after the update.

    >>> average = start(0.5, jnp.array(0.0))
    >>> for w in (2.0, 4.0):
    ...     average = update(average, jnp.array(w))
    >>> print(read(average, jnp.array(4.0)))  # (0.25 * 2 + 0.5 * 4) / 0.75
    3.3333333
    """
    if average is None:
        return None
    decay, updates, sums = average
    return Average(decay, updates + 1, jax.tree.map(partial(_moved, decay), sums, params))


def _moved(decay: Array, s: Array, w: Array) -> Array:
    decay = decay.astype(s.dtype)
    return decay * s + (1 - decay) * widen(w)


def read(average: Average | None, params: Any) -> Any:
    """The averaged parameters, in the parameters' dtypes; before the first update, the parameters themselves."""
    if average is None:
        return params
    decay, updates, sums = average
    # At 0 updates the divisor would be 0, and 0 / 0 a NaN, which `jax_debug_nans` reports though it is not used.
    divisor = -jnp.expm1(jnp.maximum(updates, 1).astype(decay.dtype) * jnp.log1p(decay - 1))

    def averaged(s: Array, w: Array) -> Array:
        return jnp.where(updates > 0, (s / divisor.astype(s.dtype)).astype(w.dtype), w)

    return jax.tree.map(averaged, sums, params)
