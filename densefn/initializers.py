"""Initializers with Keras's names, arguments and distributions.

An initializer is called as JAX's are, `initializer(key, shape, dtype)`, so the functions of `jax.nn.initializers` serve
as well. A kernel is `[in, units]`; with `fan_in = in` and `fan_out = units` a variance-scaling initializer draws with
variance `scale / fan`:

    uniform: U(-limit, limit), limit = sqrt(3 scale / fan)
    normal:  N(0, sigma^2) cut off at two sigma, and widened so that the result has variance scale / fan

With a `seed` an initializer gives the same values whatever the key: bit for bit those that Keras's JAX backend gives
for that seed. Without one it draws from the key, and layers with equal initializers differ.

Source: `keras/src/initializers/random_initializers.py` and `constant_initializers.py` of Keras 3.15.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array

from densefn import _checks
from densefn._fans import Fans, fans_of
from densefn._values import Value, shown
from densefn.precision import accumulator

Shape = tuple[int, ...]

# The standard deviation of a unit normal cut off at -2 and 2.
TRUNCATED_STDDEV = 0.87962566103423978

_Finite = Annotated[float, _checks.number()]
_Seed = Annotated[int | None, _checks.optional(_checks.whole(minimum=0, maximum=2**32 - 1))]


class Initializer(Value):
    """Draws the first value of a parameter."""

    tag: ClassVar[str | None] = "name"
    kind: ClassVar[str | None] = "initializer"

    @abstractmethod
    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        """Draws an array of this shape and dtype from the key, for these fans."""

    def __call__(self, key: Array, shape: Shape, dtype: Any = jnp.float32) -> Array:
        """Draws an array of this shape and dtype from the key, for the fans that Keras sees in the shape."""
        return self.draw(key, shape, dtype, fans_of(shape))


class Zeros(Initializer):
    """All zeros."""

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        return jnp.zeros(shape, dtype)


class Ones(Initializer):
    """All ones."""

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        return jnp.ones(shape, dtype)


class Constant(Initializer):
    """All `value`."""

    value: _Finite = 0.0

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        return jnp.full(shape, self.value, dtype)


class Identity(Initializer):
    """`gain` on the diagonal of a matrix, square or not, and zeros elsewhere; Keras loses the gain on saving."""

    gain: _Finite = 1.0

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        if len(shape) != 2:
            raise ValueError(f"Identity: expected a matrix, got shape {shape}; use another initializer here")
        return (self.gain * jnp.eye(*shape)).astype(dtype)


class RandomNormal(Initializer):
    """N(mean, stddev^2)."""

    mean: _Finite = 0.0
    stddev: Annotated[float, _checks.number(minimum=0)] = 0.05
    seed: _Seed = None

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        # Here and below, drawn in float32 at least: narrow dtypes have too few values.
        drawn = jax.random.normal(_key(key, self.seed), shape, accumulator(dtype))
        return (drawn * self.stddev + self.mean).astype(dtype)


class TruncatedNormal(Initializer):
    """N(mean, stddev^2) cut off at two `stddev` from the mean, which leaves a standard deviation of 0.88 `stddev`."""

    mean: _Finite = 0.0
    stddev: Annotated[float, _checks.number(minimum=0)] = 0.05
    seed: _Seed = None

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        drawn = jax.random.truncated_normal(_key(key, self.seed), -2.0, 2.0, shape, accumulator(dtype))
        return (drawn * self.stddev + self.mean).astype(dtype)


class RandomUniform(Initializer):
    """U(minval, maxval)."""

    minval: _Finite = -0.05
    maxval: _Finite = 0.05
    seed: _Seed = None

    def check_together(self) -> None:
        if self.minval > self.maxval:
            raise ValueError(f"RandomUniform: expected minval <= maxval, got {self.minval} > {self.maxval}")

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        drawn = jax.random.uniform(_key(key, self.seed), shape, accumulator(dtype), self.minval, self.maxval)
        return drawn.astype(dtype)


Law = RandomUniform | RandomNormal | TruncatedNormal


class ByFans(Initializer):
    """Base of the initializers whose distribution depends on the fans."""

    @abstractmethod
    def law(self, fans: Fans) -> Law:
        """The distribution that it draws from for these fans."""

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        return self.law(fans).draw(key, shape, dtype, fans)


class VarianceScaling(ByFans):
    """Draws with variance `scale / fan`, as the module's page says.

    Args:
      scale: above 0.
      mode: which fan: `"fan_in"`, `"fan_out"`, or `"fan_avg"`, the mean of the two.
      distribution: `"truncated_normal"`, also named `"normal"`; `"untruncated_normal"`; or `"uniform"`.
      seed: gives the same values whatever the key.

    >>> VarianceScaling(2.0, distribution="uniform").law(fans_of((150, 10)))
    RandomUniform(minval=-0.2, maxval=0.2)

    Reference: He et al., "Delving Deep into Rectifiers", 2015, and Glorot and Bengio, "Understanding the difficulty of
    training deep feedforward neural networks", 2010.
    """

    scale: Annotated[float, _checks.number(above=0)] = 1.0
    mode: Annotated[str, _checks.choice("fan_in", "fan_out", "fan_avg")] = "fan_in"
    distribution: Annotated[str, _checks.choice("truncated_normal", "normal", "untruncated_normal", "uniform")] = (
        "truncated_normal"
    )
    seed: _Seed = None

    def law(self, fans: Fans) -> Law:
        fan = {"fan_in": fans.fan_in, "fan_out": fans.fan_out, "fan_avg": (fans.fan_in + fans.fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return RandomUniform(-limit, limit, self.seed)
        if self.distribution == "untruncated_normal":
            return RandomNormal(0.0, math.sqrt(variance), self.seed)
        return TruncatedNormal(0.0, math.sqrt(variance) / TRUNCATED_STDDEV, self.seed)


class Scaled(ByFans):
    """Base of the named cases of `VarianceScaling`."""

    scaling: ClassVar[tuple[float, str, str]]
    """Its scale, mode and distribution."""

    seed: _Seed = None

    def law(self, fans: Fans) -> Law:
        return VarianceScaling(*self.scaling, self.seed).law(fans)


class GlorotUniform(Scaled):
    """U(-limit, limit) with limit = sqrt(6 / (fan_in + fan_out)): Keras's default for kernels."""

    scaling = (1.0, "fan_avg", "uniform")


class GlorotNormal(Scaled):
    """A truncated normal with standard deviation sqrt(2 / (fan_in + fan_out))."""

    scaling = (1.0, "fan_avg", "truncated_normal")


class LecunUniform(Scaled):
    """U(-limit, limit) with limit = sqrt(3 / fan_in)."""

    scaling = (1.0, "fan_in", "uniform")


class LecunNormal(Scaled):
    """A truncated normal with standard deviation sqrt(1 / fan_in): the default of Flax for kernels."""

    scaling = (1.0, "fan_in", "truncated_normal")


class HeUniform(Scaled):
    """U(-limit, limit) with limit = sqrt(6 / fan_in)."""

    scaling = (2.0, "fan_in", "uniform")


class HeNormal(Scaled):
    """A truncated normal with standard deviation sqrt(2 / fan_in): for relu."""

    scaling = (2.0, "fan_in", "truncated_normal")


class Orthogonal(Initializer):
    """`gain` times a matrix with orthonormal columns, or rows where it has fewer of them.

    An array of rank 3 and more is a matrix of its last axis by all others. It is made in float32 at least; Keras has
    none for bfloat16.

    Reference: Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear networks", 2014.
    """

    gain: _Finite = 1.0
    seed: _Seed = None

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: expected a matrix, got shape {shape}; use another initializer here")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = (max(rows, columns), min(rows, columns))
        q, r = jnp.linalg.qr(jax.random.normal(_key(key, self.seed), tall, accumulator(dtype)))
        # QR is unique up to the signs of R's diagonal: with all of them positive, Q is uniformly distributed.
        q = q * jnp.sign(jnp.diagonal(r))[None, :]
        return (self.gain * (q.T if rows < columns else q).reshape(shape)).astype(dtype)


class UniformFanIn(ByFans):
    """U(-limit, limit) with limit = 1 / sqrt(fan_in), for a kernel and its bias alike.

    It is the default of PyTorch's and Equinox's Linear, for both of which a bias sees the `fan_in` of its kernel.

    Source: `torch/nn/modules/linear.py` of PyTorch 2.13, `equinox/nn/_linear.py` of Equinox 0.13.
    """

    seed: _Seed = None

    def law(self, fans: Fans) -> Law:
        limit = 1 / math.sqrt(max(1, fans.inputs))
        return RandomUniform(-limit, limit, self.seed)


class TruncatedFanIn(ByFans):
    """N(0, sigma^2) cut off at two sigma, with sigma = 1 / sqrt(fan_in): the default of Haiku's Linear for kernels.

    The standard deviation that is left is 0.88 sigma; `LecunNormal` makes up for it.

    Source: `haiku/_src/basic.py` of Haiku 0.0.17.
    """

    seed: _Seed = None

    def law(self, fans: Fans) -> Law:
        return TruncatedNormal(0.0, 1 / math.sqrt(max(1, fans.inputs)), self.seed)


class FromFunction(Initializer):
    """A function of key, shape and dtype, such as those of `jax.nn.initializers`."""

    function: Annotated[Callable[..., Any], lambda given: given]

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        drawn = jnp.asarray(self.function(key, shape, dtype))
        if drawn.shape != shape:
            name = shown(self.function)
            raise ValueError(f"expected the initializer {name} to return an array {shape}, got {drawn.shape}")
        return drawn.astype(dtype)


def _key(key: Array, seed: int | None) -> Array:
    """The key that a seed stands for in Keras's JAX backend; without a seed, the key that is given."""
    return key if seed is None else jax.random.wrap_key_data(jnp.array([seed, 0], jnp.uint32), impl="threefry2x32")


NAMES: dict[str, type[Initializer]] = {
    **_checks.both_cases(
        Zeros, Ones, Constant, Identity, RandomNormal, TruncatedNormal, RandomUniform, VarianceScaling
    ),
    **_checks.both_cases(GlorotUniform, GlorotNormal, LecunUniform, LecunNormal, HeUniform, HeNormal, Orthogonal),
    "zero": Zeros,
    "one": Ones,
    "normal": RandomNormal,
    "uniform": RandomUniform,
    "IdentityInitializer": Identity,
    "OrthogonalInitializer": Orthogonal,
    **_checks.both_cases(UniformFanIn, TruncatedFanIn),
    "torch_default": UniformFanIn,
    "equinox_default": UniformFanIn,
    "flax_default": LecunNormal,
    "haiku_default": TruncatedFanIn,
}

_named = _checks.named("initializer", NAMES, Initializer)


def check(given: Any) -> Any:
    """The check of an initializer field."""
    if given is None:
        raise TypeError('expected an initializer, got None; write "zeros" for zeros (Keras draws random values here)')
    if isinstance(given, str) and given in ("constant", "Constant"):
        raise ValueError(
            f"the initializer {given!r} has no value; write Constant(0.5), or a table with its name and value"
        )
    return _named(given)


AnyInitializer = Annotated[str | Initializer | Callable[..., Any], check]


def get(initializer: AnyInitializer) -> Initializer:
    """The initializer that a field stands for.

    >>> get("glorot_uniform")
    GlorotUniform()
    >>> get("zeros")(jax.random.key(0), (2,))
    Array([0., 0.], dtype=float32)
    """
    found = _checks.resolve("initializer", NAMES, initializer)
    return found if isinstance(found, Initializer) else FromFunction(found)
