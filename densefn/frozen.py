"""`Frozen`: a layer that training does not change."""

import functools
from dataclasses import replace
from functools import partial
from typing import Any

import jax
from jax import Array
from jax.typing import ArrayLike

from densefn._combinator import Around
from densefn._registry import register
from densefn._values import fields
from densefn.layer import InputShape, Layer, Output, Params


@register
class Frozen(Around):
    """A layer whose parameters training does not change. Its parameters are those of the body.

    As with Keras's `trainable = False`, regularizers and constraints of the parameters have no effect. The activity
    regularizer still has. `densefn.partition` separates frozen from trainable parameters. `densefn train` computes no
    gradient and keeps no optimizer state for frozen ones. `jax.grad` differentiates whatever it is given.

    Args:
      body: a layer.

    >>> import jax.numpy as jnp
    >>> from densefn import Dense, Sequential
    >>> model = Sequential(Frozen(Dense(8, kernel_regularizer="l2")), Dense(2))
    >>> params = model.init(jax.random.key(0), (None, 4))
    >>> model.forward(params, jnp.ones((1, 4))).penalty
    Array(0., dtype=float32)

    Source: `Layer.trainable` of Keras 3.15.
    """

    def declare(self, input_shape: InputShape | None = None) -> dict[str, Any]:
        frozen = partial(replace, trainable=False, regularizer=None, constraint=None)
        return jax.tree.map(frozen, self.body.declare(input_shape))

    def apply(self, params: Params, x: ArrayLike) -> Array:
        return self.body.apply(params, x)

    def forward(self, params: Params, x: ArrayLike) -> Output:
        return without_weight_penalties(self.body).forward(params, x)


@functools.cache
def without_weight_penalties(layer: Layer) -> Layer:
    """The same layer with no kernel or bias regularizers, at any depth."""
    changed = {}
    for field in fields(type(layer)):
        given = getattr(layer, field.name)
        if isinstance(given, Layer):
            changed[field.name] = without_weight_penalties(given)
        elif isinstance(given, tuple) and given and all(isinstance(part, Layer) for part in given):
            changed[field.name] = tuple(map(without_weight_penalties, given))
        elif field.name in ("kernel_regularizer", "bias_regularizer"):
            changed[field.name] = None
    return replace(layer, **changed)
