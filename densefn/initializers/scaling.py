"""Initializers whose distribution depends on the fans of a kernel: variance scaling, and defaults of other libraries.

`VarianceScaling` has the equations, and `Scaled` is the base of its named cases.
"""

import math
from abc import abstractmethod
from typing import Annotated, Any, ClassVar

from jax import Array

from densefn import _checks
from densefn._fans import Fans
from densefn.initializers.distributions import (
    TRUNCATED_STDDEV,
    RandomNormal,
    RandomUniform,
    Seed,
    TruncatedNormal,
)
from densefn.initializers.initializer import Initializer, Shape

Law = RandomUniform | RandomNormal | TruncatedNormal


class ByFans(Initializer):
    """Base of the initializers whose distribution depends on the fans."""

    @abstractmethod
    def law(self, fans: Fans) -> Law:
        """The distribution for these fans."""

    def draw(self, key: Array, shape: Shape, dtype: Any, fans: Fans) -> Array:
        return self.law(fans).draw(key, shape, dtype, fans)

    def formula(self, fans: Fans) -> str:
        return f"{self.law(fans).formula(fans)} (fan_in {fans.inputs:,}, fan_out {fans.fan_out:,})"


class VarianceScaling(ByFans):
    """Draws with mean 0 and variance `scale / fan`.

    - `"uniform"`: U(-limit, limit) with limit = sqrt(3 scale / fan), as U(-a, a) has variance a^2 / 3.
    - `"truncated_normal"`: N(0, sigma^2) truncated to [-2 sigma, 2 sigma] with sigma = sqrt(scale / fan) / 0.8796, as
      truncation reduces the standard deviation to 0.8796 sigma.
    - `"untruncated_normal"`: N(0, scale / fan).

    Args:
      scale: a number above 0; 1 by default.
      mode: the fan: `"fan_in"` (the default), `"fan_out"`, or `"fan_avg"`, the mean of the two.
      distribution: `"truncated_normal"` (the default), also named `"normal"`; `"untruncated_normal"`; or `"uniform"`.
      seed: from 0 to 2^32 - 1. The values depend on it instead of the key. The default, None, draws from the key.

    >>> from densefn._fans import fans_of
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
    seed: Seed = None

    def law(self, fans: Fans) -> Law:
        fan = {"fan_in": fans.fan_in, "fan_out": fans.fan_out, "fan_avg": (fans.fan_in + fans.fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)  # as in Keras: no division by zero for a kernel without inputs
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

    seed: Seed = None

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
    """A truncated normal with standard deviation sqrt(2 / fan_in). It suits relu."""

    scaling = (2.0, "fan_in", "truncated_normal")


class UniformFanIn(ByFans):
    """U(-limit, limit) with limit = 1 / sqrt(fan_in), where a bias has the `fan_in` of its kernel.

    It is the default of PyTorch's and Equinox's Linear, for the kernel and the bias.

    Source: `torch/nn/modules/linear.py` of PyTorch 2.13, `equinox/nn/_linear.py` of Equinox 0.13.
    """

    seed: Seed = None

    def law(self, fans: Fans) -> Law:
        limit = 1 / math.sqrt(max(1, fans.inputs))
        return RandomUniform(-limit, limit, self.seed)


class TruncatedFanIn(ByFans):
    """N(0, sigma^2) truncated at two sigma, with sigma = 1 / sqrt(fan_in): the default of Haiku's Linear for kernels.

    Truncation reduces the standard deviation to 0.88 sigma. `LecunNormal` corrects for that.

    Source: `haiku/_src/basic.py` of Haiku 0.0.17.
    """

    seed: Seed = None

    def law(self, fans: Fans) -> Law:
        return TruncatedNormal(0.0, 1 / math.sqrt(max(1, fans.inputs)), self.seed)
