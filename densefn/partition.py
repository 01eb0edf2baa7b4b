"""Splits parameters into trainable and frozen ones, and joins them again."""

from typing import Any

import jax

from densefn.layer import Layer, Params
from densefn.param import plain


def partition(layer: Layer, params: Params) -> tuple[Any, Any]:
    """Splits parameters into trainable and frozen ones.

    Args:
      layer: the layer. All its parameters are trainable except those in a `Frozen` layer and those that a form such as
        `densefn.forms.LowRank` freezes.
      params: the layer's parameters, or a tree of the same structure, such as gradients.

    Returns:
      `(trainable, frozen)`: two trees with the structure of the parameters, each with None for the parameters of the
      other. To JAX, None is a tree without leaves, which `jax.grad` and optax skip.

    >>> import jax.numpy as jnp
    >>> from densefn import Dense, Frozen, Sequential
    >>> model = Sequential(Frozen(Dense(3, use_bias=False)), Dense(1, use_bias=False))
    >>> params = model.init(jax.random.key(0), (None, 2))
    >>> trainable, frozen = partition(model, params)
    >>> jax.tree.map(jnp.shape, trainable)
    {'0': {'kernel': None}, '1': {'kernel': (3, 1)}}
    >>> loss = lambda trainable, x: jnp.sum(model.apply(combine(trainable, frozen), x))
    >>> jax.tree.map(jnp.shape, jax.grad(loss)(trainable, jnp.ones((4, 2))))
    {'0': {'kernel': None}, '1': {'kernel': (3, 1)}}

    Source: the form is that of `equinox.partition`.
    """
    # `jax.tree.map` refuses two kinds of mapping, and the declaration is made of dicts.
    declared, params = layer.declare(), plain(params)
    trainable, frozen = (
        jax.tree.map(lambda p, w, chosen=chosen: w if p.trainable is chosen else None, declared, params)
        for chosen in (True, False)
    )
    return trainable, frozen


def combine(trainable: Any, frozen: Any) -> Any:
    """Joins the two trees of `partition`, whose arrays may have changed in between.

    Args:
      trainable: the first tree of `partition`.
      frozen: the second.

    Returns:
      One tree, the parameters.

    >>> combine({"kernel": 1.0, "bias": None}, {"kernel": None, "bias": 2.0})
    {'bias': 2.0, 'kernel': 1.0}
    """
    # Without `is_leaf`, JAX takes None for a tree without leaves, and the two trees differ in structure.
    return jax.tree.map(lambda w, kept: kept if w is None else w, trainable, frozen, is_leaf=lambda w: w is None)
