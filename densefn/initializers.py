"""Initializers with Keras's names, arguments and distributions.

An initializer is called as JAX's are, `initializer(key, shape, dtype)`, so the functions of `jax.nn.initializers`
serve as well. A kernel is `[in, units]`; with `fan_in = in` and `fan_out = units` a variance-scaling initializer draws
with variance `scale / fan`:

    uniform: U(-limit, limit), limit = sqrt(3 scale / fan)
    normal:  N(0, sigma^2) cut off at two sigma, and widened so that the result has variance scale / fan

Source: `keras/src/initializers/random_initializers.py` of Keras 3.15.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from jax import Array

from densefn import checks
from densefn.precision import accumulator
from densefn.values import Value

Shape = tuple[int, ...]

# The standard deviation of a unit normal cut off at -2 and 2.
_TRUNCATED_STDDEV = 0.87962566103423978


class Initializer(Value):
    """Draws the first value of a parameter."""

    tag: ClassVar[str | None] = "name"

    @abstractmethod
    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        """Draws an array of this shape and dtype from the key."""


class Zeros(Initializer):
    """All zeros."""

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return jnp.zeros(shape, dtype)


class Ones(Initializer):
    """All ones."""

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return jnp.ones(shape, dtype)


def fans(shape: Shape) -> tuple[int, int]:
    """The number of inputs and outputs of one unit: `(in, units)` of a kernel, `(n, n)` of a vector."""
    if len(shape) > 2:
        raise ValueError(f"expected a vector or a matrix, whose fans are known, got shape {shape}")
    return (shape[0], shape[-1]) if shape else (1, 1)


def variance_scaling(
    key: Array,
    shape: Shape,
    dtype: Any,
    *,
    scale: float,
    mode: Literal["fan_in", "fan_avg"],
    distribution: Literal["truncated_normal", "uniform"],
) -> Array:
    """Draws with variance `scale / fan`, as the module's page says.

    Reference: He et al., "Delving Deep into Rectifiers", 2015, and Glorot and Bengio, "Understanding the difficulty of
    training deep feedforward neural networks", 2010.
    """
    fan_in, fan_out = fans(shape)
    fan = max(1.0, fan_in if mode == "fan_in" else (fan_in + fan_out) / 2)
    # Drawn in float32 at least: narrow dtypes have too few values between the bounds.
    drawn = accumulator(dtype)
    if distribution == "uniform":
        limit = math.sqrt(3 * scale / fan)
        return jax.random.uniform(key, shape, drawn, -limit, limit).astype(dtype)
    stddev = math.sqrt(scale / fan) / _TRUNCATED_STDDEV
    return (stddev * jax.random.truncated_normal(key, -2.0, 2.0, shape, drawn)).astype(dtype)


class GlorotUniform(Initializer):
    """U(-limit, limit) with limit = sqrt(6 / (fan_in + fan_out)): Keras's default for kernels."""

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return variance_scaling(key, shape, dtype, scale=1.0, mode="fan_avg", distribution="uniform")


class GlorotNormal(Initializer):
    """A truncated normal with standard deviation sqrt(2 / (fan_in + fan_out))."""

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return variance_scaling(key, shape, dtype, scale=1.0, mode="fan_avg", distribution="truncated_normal")


class LecunUniform(Initializer):
    """U(-limit, limit) with limit = sqrt(3 / fan_in)."""

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return variance_scaling(key, shape, dtype, scale=1.0, mode="fan_in", distribution="uniform")


class LecunNormal(Initializer):
    """A truncated normal with standard deviation sqrt(1 / fan_in)."""

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return variance_scaling(key, shape, dtype, scale=1.0, mode="fan_in", distribution="truncated_normal")


class HeUniform(Initializer):
    """U(-limit, limit) with limit = sqrt(6 / fan_in)."""

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return variance_scaling(key, shape, dtype, scale=2.0, mode="fan_in", distribution="uniform")


class HeNormal(Initializer):
    """A truncated normal with standard deviation sqrt(2 / fan_in): for relu."""

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        return variance_scaling(key, shape, dtype, scale=2.0, mode="fan_in", distribution="truncated_normal")


NAMES: dict[str, type[Initializer]] = checks.both_cases(
    Zeros, Ones, GlorotUniform, GlorotNormal, LecunUniform, LecunNormal, HeUniform, HeNormal
)

_named = checks.named("initializer", NAMES, Initializer)


def check(given: Any) -> Any:
    """The check of an initializer field."""
    if given is None:
        raise TypeError('expected an initializer, got None; write "zeros" for zeros (Keras draws random values here)')
    return _named(given)


AnyInitializer = Annotated[str | Initializer | Callable[..., Array], check]


def get(initializer: AnyInitializer) -> Callable[..., Array]:
    """The function of key, shape and dtype that an initializer field stands for.

    >>> get("glorot_uniform")
    GlorotUniform()
    >>> get("zeros")(jax.random.key(0), (2,))
    Array([0., 0.], dtype=float32)
    """
    return checks.resolve(NAMES, initializer)
