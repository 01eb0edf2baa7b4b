"""Trainable and frozen parameters apart, and together again."""

from typing import Any

import jax

from densefn.layer import Layer, Params
from densefn.param import plain


def partition(layer: Layer, params: Params) -> tuple[Any, Any]:
    """Takes trainable and frozen parameters apart.

    Args:
      layer: whose declaration says what is trainable: all but what `Frozen` holds and what a form such as
        `densefn.forms.LowRank` freezes.
      params: the layer's parameters, or any tree of their structure, such as gradients.

    Returns:
      `(trainable, frozen)`, each with the structure of the parameters and None in the place of the other's. JAX takes
      None for a tree without leaves: `jax.grad` and optax pass over it.

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
    """Puts together what `partition` took apart; either may have changed in between.

    Args:
      trainable: the first tree of `partition`.
      frozen: the second.

    Returns:
      One tree, the parameters.

    >>> combine({"kernel": 1.0, "bias": None}, {"kernel": None, "bias": 2.0})
    {'bias': 2.0, 'kernel': 1.0}
    """
    # `is_leaf`: to JAX, None is a tree without leaves, and the trees of two halves differ.
    return jax.tree.map(lambda w, kept: kept if w is None else w, trainable, frozen, is_leaf=lambda w: w is None)
