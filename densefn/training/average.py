"""An exponential moving average of the parameters: smoother than they are, and often better on rows not seen.

    sum = decay * sum + (1 - decay) * params        after each update
    average = sum / (1 - decay ** updates)

The division corrects for the sum's start at zero: after the first update, the average is the parameters. Sums are of
float32 at least, whatever the parameters are: in bfloat16 a decay of 0.999 would never move them. The divisor is
`-expm1(updates * log1p(decay - 1))`, as the difference above loses most digits while `updates * (1 - decay)` is small.
`optax.ema` takes the difference: its first averages are wrong by 2e-4 at a decay of 0.9999, by 1e-2 at 0.999999.

An average is part of the training state, None where there is none, and changes by pure functions.

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

# A larger number below 1 is 1 in float32, where the average would stay zero and its divisor be zero.
_LARGEST = 1 - 2.0**-24


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


def check(given: Any) -> float:
    """The check of a decay: a number above 0 which is below 1 in float32 as well.

    >>> check(0.999)
    0.999
    """
    decay = _checks.number(above=0, below=1)(given)
    if np.float32(decay) == 1:
        raise ValueError(f"expected a number of at most {_LARGEST}, the largest below 1 in float32, got {given!r}")
    return decay


Decay = Annotated[float | None, _checks.optional(check)]


def start(decay: Decay, params: Any) -> Average | None:
    """The average before the first update; None for no decay.

    Raises:
      ValueError, TypeError: unless the decay is a number between 0 and 1, in float32.
    """
    if decay is None:
        return None
    sums = jax.tree.map(lambda w: jnp.zeros_like(widen(w)), params)
    return Average(jnp.array(check(decay), jnp.float32), jnp.zeros((), jnp.int32), sums)


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
    return Average(decay, updates + 1, jax.tree.map(partial(_moved, decay), sums, params))


def _moved(decay: Array, s: Array, w: Array) -> Array:
    decay = decay.astype(s.dtype)
    return decay * s + (1 - decay) * widen(w)


def read(average: Average | None, params: Any) -> Any:
    """The averaged parameters, in the dtypes of the parameters; before the first update, the parameters themselves."""
    if average is None:
        return params
    decay, updates, sums = average
    whole = -jnp.expm1(jnp.maximum(updates, 1).astype(decay.dtype) * jnp.log1p(decay - 1))

    def averaged(s: Array, w: Array) -> Array:
        return jnp.where(updates > 0, (s / whole.astype(s.dtype)).astype(w.dtype), w)

    return jax.tree.map(averaged, sums, params)
