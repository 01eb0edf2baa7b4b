"""Regularizers with Keras's names, arguments and defaults: functions of an array that give a scalar penalty.

Sums run in float32 at least, whatever the dtype of the array (Keras sums a bfloat16 array in bfloat16).

Source: `keras/src/regularizers/regularizers.py` of Keras 3.15.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, ClassVar

import jax
import jax.numpy as jnp
from jax import Array

from densefn import _checks
from densefn._dot import dot
from densefn._values import Value
from densefn.precision import widen

# Keras's lower bound of a norm that is a divisor.
_EPSILON = 1e-7

_Factor = Annotated[float, _checks.number(minimum=0)]


class Regularizer(Value):
    """Gives the penalty of an array."""

    tag: ClassVar[str | None] = "name"
    kind: ClassVar[str | None] = "regularizer"

    @abstractmethod
    def __call__(self, w: Array) -> Array:
        """The penalty, a scalar of float32 at least."""

    def formula(self, w: str) -> str:
        """The penalty of an array called `w`, as an explanation writes it."""
        return f"{self!r}({w})"


class L1(Regularizer):
    """`l1 * sum(|w|)`.

    >>> float(L1(0.5)(jnp.array([3.0, -4.0])))
    3.5
    """

    l1: _Factor = 0.01

    def __call__(self, w: Array) -> Array:
        return self.l1 * jnp.sum(jnp.abs(widen(w)))

    def formula(self, w: str) -> str:
        return f"{self.l1:g} * sum(|{w}|)"


class L2(Regularizer):
    """`l2 * sum(w^2)`, without the factor 1/2 that PyTorch's weight decay has.

    >>> float(L2(0.5)(jnp.array([3.0, -4.0])))
    12.5
    """

    l2: _Factor = 0.01

    def __call__(self, w: Array) -> Array:
        return self.l2 * jnp.sum(jnp.square(widen(w)))

    def formula(self, w: str) -> str:
        return f"{self.l2:g} * sum({w}^2)"


class L1L2(Regularizer):
    """`l1 * sum(|w|) + l2 * sum(w^2)`.

    The names `"l1l2"` and `"l1_l2"` stand for `L1L2(0.01, 0.01)`, as Keras documents it. (In its code the first has
    no penalty, and the second is an error.)

    Args:
      l1: the factor of the sum of absolute values, at least 0.
      l2: the factor of the sum of squares, at least 0.

    >>> float(L1L2(0.5, 0.1)(jnp.array([3.0, -4.0])))
    6.0
    """

    l1: _Factor = 0.01
    l2: _Factor = 0.01

    def __call__(self, w: Array) -> Array:
        return L1(self.l1)(w) + L2(self.l2)(w)

    def formula(self, w: str) -> str:
        return f"{L1(self.l1).formula(w)} + {L2(self.l2).formula(w)}"


class OrthogonalRegularizer(Regularizer):
    """`factor` times the mean of `|cos|` of the angles between the rows of a matrix, or between its columns.

    The rows of a kernel `[in, units]` belong to the inputs, the columns to the units. A row of zeros counts as
    orthogonal to all others. A matrix of one row has no pairs, so its penalty is 0 (Keras gives NaN).

    Args:
      factor: the factor of the mean, at least 0.
      mode: `"rows"` or `"columns"`.

    >>> OrthogonalRegularizer(1.0)(jnp.array([[1.0, 0.0], [2.0, 0.0]]))
    Array(1., dtype=float32)
    """

    factor: _Factor = 0.01
    mode: Annotated[str, _checks.choice("rows", "columns")] = "rows"

    def __call__(self, w: Array) -> Array:
        if w.ndim != 2:
            raise ValueError(f"OrthogonalRegularizer: expected a matrix, got shape {w.shape}; use it for kernels")
        rows = widen(w if self.mode == "rows" else w.T)
        square = jnp.sum(jnp.square(rows), axis=1, keepdims=True)
        unit = rows * jax.lax.rsqrt(jnp.maximum(square, _EPSILON**2))
        # Without `where`, the gradient of a row of zeros, which has no direction, would be of the order 1 / _EPSILON.
        unit = jnp.where(square > 0, unit, jnp.zeros_like(unit))
        pairs = len(rows) * (len(rows) - 1) / 2
        cosines = jnp.triu(jnp.abs(dot(unit, unit.T, unit.dtype)), k=1)
        return self.factor * jnp.sum(cosines) / max(pairs, 1)

    def formula(self, w: str) -> str:
        return f"{self.factor:g} * mean |cos| of the angles between the {self.mode} of {w}"


NAMES: dict[str, type[Regularizer]] = {
    **_checks.both_cases(L1, L2, L1L2, OrthogonalRegularizer),
    "l1_l2": L1L2,
}

AnyRegularizer = Annotated[
    str | Regularizer | Callable[[Array], Array] | None,
    _checks.optional(_checks.named("regularizer", NAMES, Regularizer)),
]


def get(regularizer: AnyRegularizer) -> Callable[[Array], Array] | None:
    """The function of an array that a regularizer field stands for, or None.

    >>> get("l2")
    L2()
    """
    return _checks.resolve("regularizer", NAMES, regularizer)
