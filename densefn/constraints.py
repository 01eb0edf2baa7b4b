"""Constraints with Keras's names, arguments and defaults: projections of a parameter, applied after an optimizer step.

With the default `axis=0`, a kernel `[in, units]` has one norm for each unit, and a bias has one norm. Norms are
computed in float32 at least.

Source: `keras/src/constraints/constraints.py` of Keras 3.15.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import jax.numpy as jnp
from jax import Array

from densefn import _checks
from densefn._values import Value
from densefn.precision import widen

# Keras's backend epsilon: a zero column stays zero. All other norms become smaller by the factor n / (n + epsilon).
_EPSILON = 1e-7


def _axes(given: Any) -> int | tuple[int, ...]:
    if isinstance(given, tuple | list):
        return tuple(_checks.integer(axis) for axis in given)
    return _checks.integer(given)


_Axis = Annotated[int | tuple[int, ...], _axes]


class Constraint(Value):
    """Projects an array onto a set."""

    tag: ClassVar[str | None] = "name"
    kind: ClassVar[str | None] = "constraint"

    @abstractmethod
    def __call__(self, w: Array) -> Array:
        """The projection, of the shape and dtype of `w`."""

    def formula(self, w: str) -> str:
        """The projection of an array called `w`, as an explanation writes it."""
        return f"{self!r}({w})"


class MaxNorm(Constraint):
    """Norms of at most `max_value`: `w * clip(norm, 0, max_value) / (epsilon + norm)`.

    Args:
      max_value: the greatest norm, at least 0.
      axis: the axis or axes along which norms are taken; 0 gives one norm for each unit of a kernel `[in, units]`.

    >>> MaxNorm(2.5)(jnp.array([[3.0, 1.0], [4.0, 0.0]])).round(4)
    Array([[1.5, 1. ],
           [2. , 0. ]], dtype=float32)
    """

    max_value: Annotated[float, _checks.number(minimum=0)] = 2.0
    axis: _Axis = 0

    def __call__(self, w: Array) -> Array:
        return _rescale(w, self.axis, lambda norm: jnp.clip(norm, 0, self.max_value))

    def formula(self, w: str) -> str:
        return f"{w} * min(n, {self.max_value:g}) / n, {_norm(w, self.axis)}"


class MinMaxNorm(Constraint):
    """Norms between two bounds: `w * d / (epsilon + norm)`.

    The new norm is `d = rate * clip(norm, min_value, max_value) + (1 - rate) * norm`: with a rate below 1, each
    projection moves the norm by that fraction of its distance to the bound. A column of zeros stays zero.

    Args:
      min_value: the least norm, at least 0.
      max_value: the greatest norm, at least `min_value`.
      rate: the fraction, in [0, 1].
      axis: the axis or axes along which norms are taken.

    >>> MinMaxNorm(2.0, 2.5)(jnp.array([[3.0, 1.0], [4.0, 0.0]])).round(4)
    Array([[1.5, 2. ],
           [2. , 0. ]], dtype=float32)
    """

    min_value: Annotated[float, _checks.number(minimum=0)] = 0.0
    max_value: Annotated[float, _checks.number(minimum=0)] = 1.0
    rate: Annotated[float, _checks.number(minimum=0, maximum=1)] = 1.0
    axis: _Axis = 0

    def check_together(self) -> None:
        if self.min_value > self.max_value:
            raise ValueError(f"MinMaxNorm: expected min_value <= max_value, got {self.min_value} > {self.max_value}")

    def __call__(self, w: Array) -> Array:
        return _rescale(w, self.axis, self._target)

    def _target(self, norm: Array) -> Array:
        return self.rate * jnp.clip(norm, self.min_value, self.max_value) + (1 - self.rate) * norm

    def formula(self, w: str) -> str:
        clipped = f"min(max(n, {self.min_value:g}), {self.max_value:g})"
        target = clipped if self.rate == 1 else f"({self.rate:g} * {clipped} + {1 - self.rate:g} * n)"
        return f"{w} * {target} / n, {_norm(w, self.axis)}"


class NonNeg(Constraint):
    """No negative entries: `max(w, 0)`.

    >>> NonNeg()(jnp.array([-1.0, 2.0]))
    Array([0., 2.], dtype=float32)
    """

    def __call__(self, w: Array) -> Array:
        return jnp.where(w <= 0, jnp.zeros_like(w), w)

    def formula(self, w: str) -> str:
        return f"max({w}, 0)"


class UnitNorm(Constraint):
    """Norms of one: `w / (epsilon + norm)`.

    Args:
      axis: the axis or axes along which norms are taken.

    >>> UnitNorm()(jnp.array([[3.0, 0.0], [0.0, 0.0]])).round(4)
    Array([[1., 0.],
           [0., 0.]], dtype=float32)
    """

    axis: _Axis = 0

    def __call__(self, w: Array) -> Array:
        return _rescale(w, self.axis, jnp.ones_like)

    def formula(self, w: str) -> str:
        return f"{w} / n, {_norm(w, self.axis)}"


def _rescale(w: Array, axis: int | tuple[int, ...], target: Callable[[Array], Array]) -> Array:
    """Gives the slices of `w` along `axis` the norm `target(norm)`."""
    wide = widen(w)
    square = jnp.sum(jnp.square(wide), axis, keepdims=True)
    # The square root has no derivative at 0, and `where` alone multiplies an infinite one by 0: NaN for a zero column.
    # So its argument is replaced by 1 there as well.
    norm = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, jnp.ones_like(square))), jnp.zeros_like(square))
    return (wide * (target(norm) / (_EPSILON + norm))).astype(w.dtype)


def _norm(w: str, axis: int | tuple[int, ...]) -> str:
    return f"n = sqrt(sum({w}^2, axis={axis}))"


NAMES: dict[str, type[Constraint]] = _checks.both_cases(MaxNorm, MinMaxNorm, NonNeg, UnitNorm)

AnyConstraint = Annotated[
    str | Constraint | Callable[[Array], Array] | None,
    _checks.optional(_checks.named("constraint", NAMES, Constraint)),
]


def get(constraint: AnyConstraint) -> Callable[[Array], Array] | None:
    """The projection that a constraint field stands for, or None.

    >>> get("max_norm")
    MaxNorm()
    """
    return _checks.resolve("constraint", NAMES, constraint)
