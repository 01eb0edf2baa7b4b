"""Initializers whose distribution does not depend on the fans."""

import math
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax import Array

from densefn import _checks
from densefn._fans import Fans
from densefn.initializers.initializer import Initializer, Shape
from densefn.precision import accumulator

# The standard deviation of N(0, 1) truncated to [-2, 2]: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)).
TRUNCATED_STDDEV = 0.87962566103423978

_Finite = Annotated[float, _checks.number()]
Seed = Annotated[int | None, _checks.optional(_checks.whole(minimum=0, maximum=2**32 - 1))]


class Zeros(Initializer):
    """All zeros."""

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        return jnp.zeros(shape, dtype)

    def formula(self, fans: Fans) -> str:
        return "0"


class Ones(Initializer):
    """All ones."""

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        return jnp.ones(shape, dtype)

    def formula(self, fans: Fans) -> str:
        return "1"


class Constant(Initializer):
    """Every entry is `value`.

    Args:
      value: a number; 0 by default.
    """

    value: _Finite = 0.0

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        return jnp.full(shape, self.value, dtype)

    def formula(self, fans: Fans) -> str:
        return f"{self.value:g}"


class Identity(Initializer):
    """`gain` on the diagonal of a matrix, square or not, and zeros elsewhere.

    Difference from Keras: a saved initializer keeps its gain.

    Args:
      gain: a number; 1 by default.
    """

    gain: _Finite = 1.0

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        if len(shape) != 2:
            raise ValueError(f"Identity: expected a matrix, got shape {shape}; use another initializer here")
        return (self.gain * jnp.eye(*shape)).astype(dtype)

    def formula(self, fans: Fans) -> str:
        return f"{self.gain:g} on the diagonal, 0 elsewhere"


class RandomNormal(Initializer):
    """N(mean, stddev^2).

    Args:
      mean: the mean; 0 by default.
      stddev: the standard deviation, at least 0; 0.05 by default.
      seed: from 0 to 2^32 - 1. The values depend on it instead of the key. The default, None, draws from the key.

    >>> RandomNormal(stddev=0.1)(jax.random.key(0), (3, 2)).shape
    (3, 2)
    """

    mean: _Finite = 0.0
    stddev: Annotated[float, _checks.number(minimum=0)] = 0.05
    seed: Seed = None

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        # Drawn in float32 at least, here and below: a draw in a narrow dtype would have too few distinct values.
        drawn = jax.random.normal(_key(key, self.seed), shape, accumulator(dtype))
        return (drawn * self.stddev + self.mean).astype(dtype)

    def formula(self, fans: Fans) -> str:
        return f"N({self.mean:g}, {self.stddev:.4g}^2): standard deviation {self.stddev:.4g}"


class TruncatedNormal(Initializer):
    """N(mean, stddev^2) truncated to two `stddev` on either side of the mean. Its standard deviation is 0.88 `stddev`.

    Args:
      mean: the mean; 0 by default.
      stddev: the standard deviation before truncation, at least 0; 0.05 by default.
      seed: from 0 to 2^32 - 1. The values depend on it instead of the key. The default, None, draws from the key.

    >>> bool(jnp.max(jnp.abs(TruncatedNormal()(jax.random.key(0), (100, 100)))) <= 0.1)
    True
    """

    mean: _Finite = 0.0
    stddev: Annotated[float, _checks.number(minimum=0)] = 0.05
    seed: Seed = None

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        drawn = jax.random.truncated_normal(_key(key, self.seed), -2.0, 2.0, shape, accumulator(dtype))
        return (drawn * self.stddev + self.mean).astype(dtype)

    def formula(self, fans: Fans) -> str:
        bounds = f"[{self.mean - 2 * self.stddev:.4g}, {self.mean + 2 * self.stddev:.4g}]"
        deviation = TRUNCATED_STDDEV * self.stddev
        return f"N({self.mean:g}, {self.stddev:.4g}^2) truncated to {bounds}: standard deviation {deviation:.4g}"


class RandomUniform(Initializer):
    """U(minval, maxval).

    Args:
      minval: the lower bound; -0.05 by default.
      maxval: the upper bound, at least `minval`; 0.05 by default.
      seed: from 0 to 2^32 - 1. The values depend on it instead of the key. The default, None, draws from the key.

    >>> bool(jnp.max(jnp.abs(RandomUniform()(jax.random.key(0), (100, 100)))) <= 0.05)
    True
    """

    minval: _Finite = -0.05
    maxval: _Finite = 0.05
    seed: Seed = None

    def check_together(self) -> None:
        if self.minval > self.maxval:
            raise ValueError(f"RandomUniform: expected minval <= maxval, got {self.minval} > {self.maxval}")

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        drawn = jax.random.uniform(_key(key, self.seed), shape, accumulator(dtype), self.minval, self.maxval)
        return drawn.astype(dtype)

    def formula(self, fans: Fans) -> str:
        deviation = (self.maxval - self.minval) / math.sqrt(12)
        return f"U({self.minval:.4g}, {self.maxval:.4g}): standard deviation {deviation:.4g}"


class Orthogonal(Initializer):
    """`gain` times a matrix with orthonormal columns, or with orthonormal rows if it has fewer rows than columns.

    An array of higher rank is treated as one matrix: its last axis is the columns, and all others together are the
    rows. The matrix is computed in float32 at least.

    Difference from Keras: bfloat16 is supported.

    Args:
      gain: a number; 1 by default.
      seed: from 0 to 2^32 - 1. The values depend on it instead of the key. The default, None, draws from the key.

    >>> q = Orthogonal()(jax.random.key(0), (4, 2))
    >>> jnp.abs(q.T @ q).round(4)
    Array([[1., 0.],
           [0., 1.]], dtype=float32)

    Reference: Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear networks", 2014.
    """

    gain: _Finite = 1.0
    seed: Seed = None

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: expected a matrix, got shape {shape}; use another initializer here")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = (max(rows, columns), min(rows, columns))
        q, r = jnp.linalg.qr(jax.random.normal(_key(key, self.seed), tall, accumulator(dtype)))
        # QR is unique up to the signs of R's diagonal: with all of them positive, Q is uniformly distributed.
        q = q * jnp.sign(jnp.diagonal(r))[None, :]
        return (self.gain * (q.T if rows < columns else q).reshape(shape)).astype(dtype)

    def formula(self, fans: Fans) -> str:
        return f"{self.gain:g} times a random matrix with orthonormal columns, or orthonormal rows if it has fewer rows"


def _key(key: Array, seed: int | None) -> Array:
    """The key that Keras's JAX backend makes from a seed; without a seed, the given key."""
    return key if seed is None else jax.random.wrap_key_data(jnp.array([seed, 0], jnp.uint32), impl="threefry2x32")
