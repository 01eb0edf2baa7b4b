"""A small layer with numbers to check by hand."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jax import Array

from densefn import activations
from densefn.dense import Dense
from densefn.explanation.facts import Example


def example(layer: Dense) -> Example | None:
    """Applies a small layer with the same activation to small whole numbers: 2 rows, 3 inputs and 2 units.

    None for a user's function, and for an activation over an axis other than the last. They may not accept such small
    arrays.
    """
    written = dict(layer.activation.arguments) if isinstance(layer.activation, activations.Activation) else {}
    if activations.name_of(layer.activation) is None or written.get("axis", -1) != -1:
        return None
    small = replace(
        layer, units=2, dtype="float32", kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None
    )
    x = jnp.array([[1.0, 2.0, -1.0], [0.0, 1.0, 3.0]])
    params = {"kernel": jnp.array([[1.0, 0.0], [2.0, -1.0], [0.0, 1.0]]), "bias": jnp.array([1.0, -1.0])}
    if not layer.use_bias:
        del params["bias"]
    bias = tuple(params["bias"].tolist()) if layer.use_bias else None
    z, y = replace(small, activation=None).apply(params, x), small.apply(params, x)
    return Example(_table(x), _table(params["kernel"]), bias, _table(z), _table(y))


def _table(x: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in np.asarray(x).tolist())
