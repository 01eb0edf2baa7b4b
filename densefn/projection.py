"""A layer's constraints as a link of an optax chain."""

from typing import TYPE_CHECKING, Any

import jax
from jax import Array

from densefn import param
from densefn.layer import Layer

if TYPE_CHECKING:
    import optax


def projection(layer: Layer) -> "optax.GradientTransformation":
    """Makes the last link of an optax chain: it changes updates so that the updated parameters meet the constraints.

    `optax.apply_updates` then gives the same as `layer.project` after it, up to a rounding. The members of an ensemble,
    along leading axes or under `vmap`, are projected one by one. Parameters that `optax.masked` hides do not change.

    Args:
      layer: the layer with the constraints. The parameters given to `update` must be those of the layer.

    Returns:
      A transformation without state, whose `update` needs the parameters.

    Raises:
      ModuleNotFoundError: if optax is not installed.
      ValueError: by `update`, if it is called without parameters.

    >>> import jax.numpy as jnp, optax
    >>> from densefn import Dense
    >>> layer = Dense(1, use_bias=False, kernel_constraint="non_neg")
    >>> optimizer = optax.chain(optax.sgd(1.0), projection(layer))
    >>> params = {"kernel": jnp.array([[0.5], [2.0]])}
    >>> updates, _ = optimizer.update({"kernel": jnp.ones((2, 1))}, optimizer.init(params), params)
    >>> optax.apply_updates(params, updates)["kernel"].ravel()
    Array([0., 1.], dtype=float32)

    Source: the form is that of `optax.keep_params_nonnegative`.
    """
    try:
        import optax
    except ModuleNotFoundError:
        raise ModuleNotFoundError("projection needs optax: pip install 'densefn[train]'", name="optax") from None

    def init(params: Any) -> Any:
        del params
        return optax.EmptyState()

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if params is None:
            raise ValueError("projection: expected params in update(updates, state, params), got None")
        projected = project(layer.declare(), param.plain(updates), param.plain(params))
        return param.as_given(updates, projected), state

    def project(declared: Any, updates: Any, params: Any) -> Any:
        # A masked node hides all parameters under it. A leaf of the declaration may have a tree of arrays in `params`.
        if isinstance(params, optax.MaskedNode):
            return updates
        if isinstance(declared, param.Param):
            return _toward(updates, declared, params)
        return jax.tree.map(project, declared, updates, params, is_leaf=lambda node: node is not declared)

    return optax.GradientTransformation(init, update)


def _toward(update: Any, p: param.Param, w: Array) -> Any:
    """The update that leads from `w` to the projection of `w + update`."""
    if p.constraint is None:
        return update
    # `optax.apply_updates` adds the update in the dtype of `w`; the constraint must see the same rounded sum.
    target = param.project(p, (w + update).astype(w.dtype))
    return target.astype(update.dtype) - w.astype(update.dtype)
