"""Activations by Keras's names: functions of one array.

Source: `keras/src/activations/activations.py` of Keras 3.15.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import jax
from jax import Array

from densefn.values import find


def linear(x: Array) -> Array:
    """The identity, Keras's name for no activation."""
    return x


NAMES: dict[str, Callable[[Array], Array]] = {
    "linear": linear,
    "relu": jax.nn.relu,
    # Keras's gelu is the exact one; jax.nn's default is the tanh approximation.
    "gelu": partial(jax.nn.gelu, approximate=False),
    "tanh": jax.numpy.tanh,
    "sigmoid": jax.nn.sigmoid,
    "softmax": jax.nn.softmax,
}


def check(given: Any) -> Any:
    """The check of an activation field: a name or a function of one array."""
    if isinstance(given, str):
        get(given)
        return given
    if callable(given):
        return given
    raise TypeError(f"expected an activation: a name ({', '.join(NAMES)}) or a function of one array, got {given!r}")


Activation = Annotated[str | Callable[[Array], Array], check]


def get(activation: Activation) -> Callable[[Array], Array]:
    """The function that an activation field stands for.

    Args:
      activation: a name or a function.

    Raises:
      ValueError: if there is no such name.

    >>> get("relu")(jax.numpy.array([-1.0, 2.0]))
    Array([0., 2.], dtype=float32)
    """
    return find(NAMES, activation, "activation") if isinstance(activation, str) else activation
