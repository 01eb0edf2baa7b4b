"""Regularizers with Keras's names, arguments and defaults: functions of an array that give a scalar penalty.

Sums run in float32 at least, whatever the dtype of the array (Keras sums a bfloat16 array in bfloat16).

Source: `keras/src/regularizers/regularizers.py` of Keras 3.15.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, ClassVar

import jax.numpy as jnp
from jax import Array

from densefn import checks
from densefn.precision import widen
from densefn.values import Value

_Factor = Annotated[float, checks.number(minimum=0)]


class Regularizer(Value):
    """Gives the penalty of an array."""

    tag: ClassVar[str | None] = "name"

    @abstractmethod
    def __call__(self, w: Array) -> Array:
        """The penalty, a scalar of float32 at least."""


class L1(Regularizer):
    """`l1 * sum(|w|)`.

    >>> float(L1(0.5)(jnp.array([3.0, -4.0])))
    3.5
    """

    l1: _Factor = 0.01

    def __call__(self, w: Array) -> Array:
        return self.l1 * jnp.sum(jnp.abs(widen(w)))


class L2(Regularizer):
    """`l2 * sum(w^2)`, without the factor 1/2 that PyTorch's weight decay has.

    >>> float(L2(0.5)(jnp.array([3.0, -4.0])))
    12.5
    """

    l2: _Factor = 0.01

    def __call__(self, w: Array) -> Array:
        return self.l2 * jnp.sum(jnp.square(widen(w)))


NAMES: dict[str, type[Regularizer]] = checks.both_cases(L1, L2)

AnyRegularizer = Annotated[
    str | Regularizer | Callable[[Array], Array] | None,
    checks.optional(checks.named("regularizer", NAMES, Regularizer)),
]


def get(regularizer: AnyRegularizer) -> Callable[[Array], Array] | None:
    """The function of an array that a regularizer field stands for, or None.

    >>> get("l2")
    L2()
    """
    return checks.resolve(NAMES, regularizer)
