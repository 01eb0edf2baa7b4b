"""The probability density of a parameter's initial values."""

import math
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from densefn import _svg as svg
from densefn._fans import Fans
from densefn.einsum import Arranged
from densefn.initializers import TRUNCATED_STDDEV, ByFans, RandomNormal, RandomUniform, TruncatedNormal


@dataclass(frozen=True)
class Density:
    """A uniform or a normal distribution; the normal one may be truncated.

    Attributes:
      parameter: the parameter's name.
      low: the lower bound; None for a normal distribution that is not truncated.
      high: the upper bound; None for a normal distribution that is not truncated.
      mean: the mean.
      deviation: the standard deviation, after truncation.
      sigma: the standard deviation before truncation; None for a uniform distribution.
    """

    parameter: str
    low: float | None
    high: float | None
    mean: float
    deviation: float
    sigma: float | None

    def at(self, value: float) -> float:
        """The density at a value between the bounds, divided by its maximum."""
        return 1.0 if self.sigma is None else math.exp(-(((value - self.mean) / self.sigma) ** 2) / 2)


@singledispatch
def density(initializer: Any, name: str, fans: Fans) -> Density | None:
    """The density of an initializer for these fans; None for constants, functions and orthogonal matrices."""
    del initializer, name, fans


@density.register
def _(initializer: RandomUniform, name: str, fans: Fans) -> Density | None:
    low, high = initializer.minval, initializer.maxval
    return Density(name, low, high, (low + high) / 2, (high - low) / math.sqrt(12), None) if low < high else None


@density.register
def _(initializer: RandomNormal, name: str, fans: Fans) -> Density | None:
    mean, sigma = initializer.mean, initializer.stddev
    return Density(name, None, None, mean, sigma, sigma) if sigma else None


@density.register
def _(initializer: TruncatedNormal, name: str, fans: Fans) -> Density | None:
    mean, sigma = initializer.mean, initializer.stddev
    if not sigma:
        return None
    return Density(name, mean - 2 * sigma, mean + 2 * sigma, mean, TRUNCATED_STDDEV * sigma, sigma)


@density.register
def _(initializer: ByFans, name: str, fans: Fans) -> Density | None:
    return density(initializer.law(fans), name, fans)


@density.register
def _(initializer: Arranged, name: str, fans: Fans) -> Density | None:
    return density(initializer.initializer, name, fans)


def draw(density: Density) -> str:
    """Draws the density, with lines at the mean and at one standard deviation on either side."""
    width, top, bottom = 340.0, 22.0, 112.0
    # A normal density is drawn to 3.5 sigma, where it is 0.2 % of its maximum.
    reach = 3.5 * (density.sigma or density.deviation) if density.low is None else 1.2 * (density.mean - density.low)
    left, scale = density.mean - reach, (width - 20) / (2 * reach)

    def at(value: float) -> float:
        return 10 + scale * (value - left)

    ends = (left if density.low is None else density.low, left + 2 * reach if density.high is None else density.high)
    values = [ends[0] + (ends[1] - ends[0]) * step / 100 for step in range(101)]
    curve = [(at(value), bottom - (bottom - top) * density.at(value)) for value in values]
    marks = {"mean": density.mean, "mean - std": density.mean - density.deviation}
    marks["mean + std"] = density.mean + density.deviation
    elements = [
        svg.path([(at(ends[0]), bottom), *curve, (at(ends[1]), bottom)], "kernel"),
        svg.line(10, bottom, 330, bottom),
    ]
    for name, value in marks.items():
        elements.append(svg.line(at(value), top, at(value), bottom + 4, "deviation"))
        elements.append(svg.text(at(value), top - 8, name.replace("mean ", ""), "tick middle"))
        elements.append(svg.text(at(value), bottom + 18, f"{value:.4g}", "tick middle"))
    for value in (density.low, density.high):
        if value is not None:
            elements.append(svg.text(at(value), bottom + 34, f"{value:.4g}", "tick middle"))
            elements.append(svg.line(at(value), bottom, at(value), bottom + 22))
    label = f"Density of the initial values of {density.parameter}: standard deviation {density.deviation:.4g}"
    return svg.picture(width, bottom + 42, label, elements)
